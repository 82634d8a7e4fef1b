"""What the agent is told by an organisation: prompt templates, versioned, and its settings."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Numeric, RowMapping, UniqueConstraint, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel

from models.columns import maybe_text, now, number, texts
from models.columns import text as words


class Prompt(SQLModel, table=True):
    """A version of an organisation's prompt template; the newest is the one in use.

    Version 0 does not exist: without a row the template that Veelocity brings is used. `retired`
    versions are kept for the runs that used them; a retired newest one means the default again.
    """

    __tablename__ = "prompts"
    __table_args__ = (UniqueConstraint("organization_id", "version", name="prompts_version"),)

    id: int | None = number(default=None, primary_key=True)
    organization_id: str = words()
    version: int
    body: str = words()
    note: str | None = maybe_text()
    retired: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    created_by: str | None = maybe_text()
    created_at: datetime | None = now()


class AgentSettings(SQLModel, table=True):
    """How an organisation wants its tickets developed; written by its admins only.

    None means the setting of this Veelocity. `models` is the allow-list, the first is the default;
    empty means the setting's. `setup_hosts` are the hosts that a setup phase may reach.
    `completion_url` is told when a run ends, signed with `completion_secret` (sealed).
    """

    __tablename__ = "agent_settings"

    organization_id: str = words(primary_key=True)
    ticket_budget_usd: Decimal | None = Field(default=None, sa_type=Numeric(12, 6))
    repository_day_budget_usd: Decimal | None = Field(default=None, sa_type=Numeric(12, 6))
    organization_day_budget_usd: Decimal | None = Field(default=None, sa_type=Numeric(12, 6))
    models: list[str] = texts(sa_column_kwargs={"server_default": "{}"})
    setup_hosts: list[str] = texts(sa_column_kwargs={"server_default": "{}"})
    similar_tickets: bool = Field(default=True, sa_column_kwargs={"server_default": "true"})
    completion_url: str | None = maybe_text()
    completion_secret: str | None = maybe_text()
    updated_at: datetime | None = now()


NEWEST = text("""
    select * from prompts where organization_id = :organization order by version desc limit 1
""")
WISHES = text("select * from agent_settings where organization_id = :organization")


async def agent_settings(db: AsyncConnection, organization_id: str) -> AgentSettings:
    """Return how an organisation wants its tickets developed; defaults where it never said."""
    found = (await db.execute(WISHES, {"organization": organization_id})).mappings().first()
    if found is None:
        return AgentSettings(
            organization_id=organization_id, models=[], setup_hosts=[], similar_tickets=True
        )
    return AgentSettings(**found)


async def newest_prompt(db: AsyncConnection, organization_id: str) -> RowMapping | None:
    """Return the version of an organisation's template that is in use; None means the default.

    That is the newest; where it is retired, none is.
    """
    found = (await db.execute(NEWEST, {"organization": organization_id})).mappings().first()
    return found if found and not found["retired"] else None
