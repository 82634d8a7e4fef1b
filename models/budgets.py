"""Money: what may be spent, what is reserved for calls under way, and what each call cost."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Double, Index, Numeric
from sqlmodel import Field, SQLModel

from models.columns import maybe_text, maybe_time, now, number
from models.columns import text as words


class Budget(SQLModel, table=True):
    """What was spent and what is reserved of one budget.

    The id says whose: `ticket:github:42`, `repository:github:7:2026-09-01` or
    `organization:github:9:2026-09-01` (the day in UTC). The limit is not kept here: it is given
    with each reservation, so that a changed setting holds from the next call on.
    """

    __tablename__ = "budgets"

    id: str = words(primary_key=True)
    spent_usd: Decimal = Field(
        default=Decimal(0), sa_type=Numeric(12, 6), sa_column_kwargs={"server_default": "0"}
    )
    reserved_usd: Decimal = Field(
        default=Decimal(0), sa_type=Numeric(12, 6), sa_column_kwargs={"server_default": "0"}
    )
    updated_at: datetime | None = now()


class Usage(SQLModel, table=True):
    """One call of a model: what was reserved for it, what it used and what it cost.

    `cost_usd` is None while the call is under way. A call whose worker died in it counts as what
    was reserved for it (`assumed`), since nobody knows better. `scopes` are the ids of the budgets
    it was reserved in.
    """

    __tablename__ = "usage"
    __table_args__ = (
        Index("usage_run", "run_id", "id"),
        Index("usage_called", "organization_id", "called_at"),
    )

    id: int | None = number(default=None, primary_key=True)
    run_id: int = number()
    ticket_id: str = words()
    repository_id: str = words()
    organization_id: str = words()
    scopes: str = words()
    provider: str = words()
    model: str = words()
    reserved_usd: Decimal = Field(sa_type=Numeric(12, 6))
    cost_usd: Decimal | None = Field(default=None, sa_type=Numeric(12, 6))
    assumed: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    input_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    output_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    cache_read_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    cache_write_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    seconds: float | None = Field(default=None, sa_type=Double)
    error: str | None = maybe_text()
    called_at: datetime | None = now()
    answered_at: datetime | None = maybe_time()


@dataclass(frozen=True)
class Limit:
    """One budget a call must fit into: its id, what it is called to people, its limit in USD."""

    id: str
    name: str
    usd: Decimal


def limits_of(
    run: "Spender",
    day: date,
    ticket_usd: Decimal,
    repository_usd: Decimal,
    organization_usd: Decimal,
) -> tuple[Limit, Limit, Limit]:
    """Return the three budgets that a call of a run must fit into."""
    return (
        Limit(f"ticket:{run.ticket_id}", "the ticket", ticket_usd),
        Limit(f"repository:{run.repository_id}:{day}", "the repository's day", repository_usd),
        Limit(
            f"organization:{run.organization_id}:{day}", "the organisation's day", organization_usd
        ),
    )


@dataclass(frozen=True)
class Spender:
    """Whose call it is."""

    run_id: int
    ticket_id: str
    repository_id: str
    organization_id: str


@dataclass(frozen=True)
class Spent:
    """What a call used: tokens by kind, and its price."""

    cost_usd: Decimal
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    seconds: float | None = None
    error: str | None = None
