"""The inbox: every delivery that came, what was decided about it, and deciding it again."""

import json
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages.delivery import engine
from bot.web.pages.render import page
from bot.web.problems import Problem
from bot.web.words import decided
from models import queue
from models.deliveries import DeliveryStatus
from models.errors import Refused

PAGE_ROWS = 50
LONGEST_BODY = 200_000
LARGEST_ID = 2**63 - 1

# Operators see everything; an admin sees what is their organisation's.
MINE = "(:everything or organization_id = :organization_id)"

LIST = text(f"""
    select d.id, d.received_at, d.via, d.source, d.event, d.action, d.status, d.attempts, d.error,
           d.decisions, d.account, o.login as organization
      from (select * from deliveries
             where {MINE} and (cast(:status as text) is null or status = :status)
               and id < :before
             order by id desc limit :most) d
      left join organizations o on o.id = d.organization_id
     order by d.id desc
""")  # noqa: S608 - MINE is a constant

ONE = text(f"""
    select d.*, o.login as organization
      from (select * from deliveries where id = :id and {MINE}) d
      left join organizations o on o.id = d.organization_id
""")  # noqa: S608

TALLY = text(f"""
    select status, count(*) as number from deliveries
     where status <> 'settled' and {MINE} group by status
""")  # noqa: S608


@dataclass(frozen=True)
class Body:
    """A delivery's body as it is shown. `whole` is False where it was cut, `size` is in bytes."""

    text: str
    size: int
    whole: bool


def allowed(member: Member) -> dict[str, Any]:
    """Return what bounds a member's view of the inbox."""
    return {"everything": member.operator, "organization_id": member.organization_id}


@require("admin", "operator")
async def deliveries(request: Request) -> Response:
    """`GET /deliveries?status=&before=`: the inbox, newest first."""
    member: Member = request.state.member
    status, before = asked_status(request), asked_id(request.query_params.get("before"))
    bound = allowed(member) | {"status": status, "before": before or LARGEST_ID}
    async with engine(request).connect() as db:
        found = (await db.execute(LIST, bound | {"most": PAGE_ROWS + 1})).mappings().all()
        tally = {row.status: row.number for row in await db.execute(TALLY, allowed(member))}
    return page(
        request,
        "deliveries.html",
        blocks=("inbox",),
        rows=[row | {"says": decided(row["decisions"])} for row in map(dict, found[:PAGE_ROWS])],
        older=found[PAGE_ROWS - 1]["id"] if len(found) > PAGE_ROWS else None,
        statuses=list(DeliveryStatus),
        status=status,
        first=before is None,
        tally=tally,
    )


def asked_status(request: Request) -> str | None:
    """Return the status that is asked for; None is all."""
    said = request.query_params.get("status") or None
    if said is not None and said not in list(DeliveryStatus):
        raise Refused(f"A status is one of {', '.join(DeliveryStatus)}; {said!r} is none.")
    return said


def asked_id(said: str | None) -> int | None:
    """Return a delivery's id; None where none was given."""
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and int(said) <= LARGEST_ID):
        raise Refused(f"A delivery's id is a number; {said!r} is none.")
    return int(said)


def sentence(decision: dict[str, Any]) -> str:
    """Say one decision: what is remembered, what is ordered, or why nothing is."""
    if "note" in decision:
        return str(decision["note"])
    by = f" by {decision['handler']}" if "handler" in decision else ""
    if "job" in decision:
        return f"order {str(decision['job']).replace('_', ' ')}{by}"
    return f"remember in {str(decision.get('remember', '?')).replace('_', ' ')}{by}"


async def one(db: AsyncConnection, member: Member, delivery_id: int) -> dict[str, Any]:
    """Return a delivery; raise `Problem` 404 where there is none, or it is another's."""
    row = (await db.execute(ONE, allowed(member) | {"id": delivery_id})).mappings().one_or_none()
    if row is None:
        raise Problem(404, "Not Found", "There is no such delivery.")
    return dict(row)


@require("admin", "operator")
async def delivery(request: Request) -> Response:
    """`GET /deliveries/{id}`: its headers, what was decided, and its body."""
    member: Member = request.state.member
    async with engine(request).connect() as db:
        found = await one(db, member, request.path_params["id"])
    return page(
        request,
        "delivery_detail.html",
        blocks=("detail",),
        delivery=found,
        body=readable(found["body"]),
        decided=[
            (sentence(said), said.get("id") or said.get("key")) for said in found["decisions"]
        ],
        settling=settling(found["received_at"], found["settled_at"]),
    )


def settling(received_at: datetime, settled_at: datetime | None) -> str | None:
    """Say how long it took to settle, in milliseconds where it was quick."""
    if settled_at is None:
        return None
    seconds = max(0.0, (settled_at - received_at).total_seconds())
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def readable(compressed: bytes) -> Body:
    """Return a stored body for reading: JSON on lines of its own, cut where it is very long."""
    try:
        unpacked = zlib.decompressobj()
        raw = unpacked.decompress(compressed, LONGEST_BODY)
        whole = not unpacked.unconsumed_tail
    except zlib.error:
        raw, whole = compressed[:LONGEST_BODY], len(compressed) <= LONGEST_BODY
    said = raw.decode("utf-8", "replace")
    return Body(pretty(said) if whole else said, len(raw), whole)


def pretty(said: str) -> str:
    """Indent JSON; anything else stays as it came."""
    try:
        return json.dumps(json.loads(said), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return said


@require("admin", "operator")
async def decide_again(request: Request) -> Response:
    """`POST /deliveries/{id}/decide-again`: put it back into the queue."""
    member: Member = request.state.member
    delivery_id = request.path_params["id"]
    async with engine(request).begin() as db:
        await one(db, member, delivery_id)
        await queue.retry(db, [delivery_id])
    return RedirectResponse(f"/deliveries/{delivery_id}", 303)


def routes() -> list[Route]:
    """Return the inbox's routes."""
    return [
        Route("/deliveries", deliveries, name="deliveries"),
        Route("/deliveries/{id:int}", delivery, name="delivery_detail"),
        Route("/deliveries/{id:int}/decide-again", decide_again, methods=["POST"]),
    ]
