"""The inbox over the API: what came, and what was decided of it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import text

from bot.web.api.endpoints import Call, Query, endpoint
from bot.web.api.listing import Listed, Listing
from bot.web.auth import Member
from bot.web.problems import Problem
from models.deliveries import DeliveryStatus

LARGEST_ID = 2**63 - 1
LONGEST_ID = len(str(LARGEST_ID))
DELIVERIES = (
    "select d.id, d.source, d.delivery_id, d.event, d.action, "
    "coalesce(o.login, d.organization_id) as organization, d.status, d.received_at, "
    "d.via, d.sent_at, d.settled_at, d.attempts, d.error, d.decisions from deliveries d "
    "left join organizations o on o.id = d.organization_id where {where} "
)


class Delivery(BaseModel):
    """One request of a source. `organization` is a login, None while nobody is known for it.

    `via`: `webhook`, or taken from the source's own log: `recovered` where it was missed, `pulled`
    in pull mode; then `sent_at` is when the source sent it first. `decisions`: what followed from
    it, in words and keys. `error`: why it did not settle.
    """

    id: int
    source: str
    delivery_id: str
    event: str
    action: str | None
    organization: str | None
    status: DeliveryStatus
    received_at: datetime
    via: str
    sent_at: datetime | None
    settled_at: datetime | None
    attempts: int
    error: str | None
    decisions: list[dict[str, Any]]


class Deliveries(Listed):
    """A page of deliveries."""

    items: list[Delivery]


class DeliveryListing(Listing):
    """Which deliveries: those of one status, or all."""

    status: DeliveryStatus | None = None


@endpoint(
    "GET", "/deliveries", roles=("admin", "operator"), query=DeliveryListing, answer=Deliveries
)
async def deliveries(call: Call, query: DeliveryListing) -> Deliveries:
    """List deliveries, newest first: an admin's organisation's; an operator's, everybody's."""
    where, bound = seen_by(call.member, query.organization)
    if query.status is not None:
        where, bound["status"] = f"{where} and d.status = :status", query.status
    if query.cursor is not None:
        where, bound["before"] = f"{where} and d.id < :before", row_id(query.cursor)
    statement = text(DELIVERIES.format(where=where) + "order by d.id desc limit :limit")
    async with call.engine.connect() as db:
        found = (await db.execute(statement, bound | {"limit": query.limit + 1})).mappings().all()
    items = [Delivery(**row) for row in found[: query.limit]]
    more = len(found) > query.limit
    return Deliveries(items=items, next_cursor=str(items[-1].id) if more else None)


@endpoint("GET", "/deliveries/{id}", roles=("admin", "operator"), query=Query, answer=Delivery)
async def delivery(call: Call, query: Query) -> Delivery:
    """Show one delivery, and what was decided of it."""
    where, bound = seen_by(call.member, query.organization)
    bound["id"] = row_id(call.path["id"])
    async with call.engine.connect() as db:
        found = await db.execute(text(DELIVERIES.format(where=f"{where} and d.id = :id")), bound)
        row = found.mappings().one_or_none()
    if row is None:
        raise Problem(404, "Not Found", "There is no such delivery.")
    return Delivery(**row)


def seen_by(member: Member, organization: str | None) -> tuple[str, dict[str, Any]]:
    """Return the condition on the deliveries that a person may see.

    Operators see those of everybody, and of nobody known, unless they ask for an organisation.
    """
    if not member.operator:
        return "d.organization_id = :organization_id", {"organization_id": member.organization_id}
    if organization is None:
        return "true", {}
    return (
        "(d.organization_id = :wanted or lower(o.login) = lower(:wanted))",
        {"wanted": organization},
    )


def row_id(value: str) -> int:
    """Read a delivery's number; raise `Problem` 404 for what cannot be one."""
    number = value.isascii() and value.isdigit() and len(value) <= LONGEST_ID
    if not number or int(value) > LARGEST_ID:
        raise Problem(404, "Not Found", "There is no such delivery.")
    return int(value)
