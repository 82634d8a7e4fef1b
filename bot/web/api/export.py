"""Everything an organisation has, over the API, as it is read from the store."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from limits import parse
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response, StreamingResponse

from bot.web.accounts import audit
from bot.web.api.endpoints import Call, Query, endpoint
from bot.web.limiting import limiter, refuse_beyond
from models.exporting import exported

NDJSON = "application/x-ndjson"
EXPORTS = parse("10 per hour")
LONGEST_SECONDS = 3600
PIECE = 64 * 1024
UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class Exporting(Query):
    """What is exported. `deliveries`: what each delivery said, too."""

    deliveries: bool = False


@endpoint("GET", "/export", roles=("admin",), query=Exporting, answer=str, media=NDJSON)
async def export(call: Call, query: Exporting) -> Response:
    """Everything the organisation has, without secrets: a header, then one row of a table a line.

    Ten an hour; each is written to the audit log. docs/export.md tells what a line holds.
    """
    member = call.member
    counters = limiter(call.request)
    wait = await counters.wait(EXPORTS, "export", member.organization_id)
    refuse_beyond(wait, "Too many exports")
    async with call.engine.begin() as db:
        await audit(
            db,
            "export",
            user_id=member.user_id,
            organization_id=member.organization_id,
            detail="with what deliveries said" if query.deliveries else None,
        )
    now = datetime.now(UTC)
    head = {"version": version("veelocity"), "exported_at": now}
    organization = (member.organization_id, member.organization)
    name = UNSAFE.sub("-", f"{member.organization}-{now:%Y-%m-%d}.ndjson")
    return StreamingResponse(
        pieces(call.engine, organization, head, bodies=query.deliveries),
        media_type=NDJSON,
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
        },
    )


async def pieces(
    pool: AsyncEngine, organization: tuple[str, str], head: Mapping[str, Any], *, bodies: bool
) -> AsyncIterator[str]:
    """Yield lines, many at a time; whoever reads too slowly is cut off after an hour."""
    lines: list[str] = []
    size = 0
    async with (
        asyncio.timeout(LONGEST_SECONDS),
        pool.connect() as db,
        aclosing(exported(db, organization, head, bodies=bodies)) as told,
    ):
        async for _, line in told:
            lines.append(line)
            size += len(line)
            if size >= PIECE:
                yield "".join(lines)
                lines, size = [], 0
        yield "".join(lines)
