"""The organisations somebody belongs to, and how each wants to be measured."""

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.accounts import audit
from bot.web.api.endpoints import Call, Strict, Words, endpoint
from models.metrics.core import measured_in


def iana_zone(value: str) -> str:
    """Refuse a time zone that IANA does not know."""
    if value not in available_timezones():
        raise ValueError(f"{value!r} is no time zone; one is Europe/Berlin")
    return value


class Organization(BaseModel):
    """An organisation, one's role there, and how it is measured."""

    id: str
    login: str
    name: str | None
    role: str
    time_zone: str
    level_edition: int


class Organizations(BaseModel):
    """The organisations somebody belongs to."""

    items: list[Organization]


class Changes(Strict):
    """What to change of an organisation's settings; what is left out stays.

    `time_zone`: an IANA name, in which days, weeks and months are counted.
    """

    time_zone: Annotated[Words, AfterValidator(iana_zone)] | None = None
    level_edition: Literal[2023, 2024, 2025] | None = None


@endpoint("GET", "/organizations", roles=(), answer=Organizations)
async def organizations(call: Call) -> Organizations:
    """List the organisations one belongs to, by login."""
    async with call.engine.connect() as db:
        items = [
            await told(db, belongs.organization_id, belongs.login, belongs.name, belongs.role)
            for belongs in call.person.memberships
        ]
    return Organizations(items=items)


@endpoint(
    "PATCH",
    "/organizations/{organization_id}",
    roles=("admin",),
    body=Changes,
    answer=Organization,
)
async def change_organization(call: Call, sent: Changes) -> Organization:
    """Change how an organisation is measured; pages and answers show it at once."""
    member = call.member
    async with call.engine.begin() as db:
        await db.execute(
            text(
                "insert into organization_settings as s "
                "(organization_id, time_zone, level_edition) "
                "values (:id, coalesce(:time_zone, 'UTC'), coalesce(:level_edition, 2024)) "
                "on conflict (organization_id) do update set "
                "time_zone = coalesce(:time_zone, s.time_zone), "
                "level_edition = coalesce(:level_edition, s.level_edition)"
            ),
            {"id": member.organization_id, **sent.model_dump()},
        )
        await audit(
            db,
            "change_organization",
            user_id=member.user_id,
            organization_id=member.organization_id,
            detail=sent.model_dump_json(exclude_none=True),
        )
        name = next(
            belongs.name
            for belongs in member.memberships
            if belongs.organization_id == member.organization_id
        )
        return await told(db, member.organization_id, member.organization, name, member.role)


async def told(
    db: AsyncConnection, organization_id: str, login: str, name: str | None, role: str
) -> Organization:
    """Return an organisation with its settings."""
    time_zone, edition = await measured_in(db, organization_id)
    return Organization(
        id=organization_id,
        login=login,
        name=name,
        role=role,
        time_zone=time_zone,
        level_edition=edition,
    )
