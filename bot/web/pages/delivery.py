"""The Delivery screen: DORA's metrics as cards, charts and tables, live, with their explanation."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages import delivery_tabs as tabs
from bot.web.pages.filters import PERIODS, Filters, Repositories, known_and_chosen
from bot.web.pages.render import page, utc_now
from models.metrics import deployments, lead_time, stability
from models.metrics.core import Bucket
from models.metrics.csv import csv_lines
from models.metrics.explanation import Metric

Figures = Callable[[AsyncEngine, Filters, datetime], Awaitable[dict[str, Any]]]

LATEST_EVENT = text("""
    select received_at from deliveries where organization_id = :organization_id
     order by id desc limit 1
""")


@dataclass(frozen=True)
class Tab:
    """A part of the screen with an address of its own; `figures` asks for what it shows."""

    key: str
    name: str
    path: str
    figures: Figures


def screen(tab: Tab) -> Callable[[Request], Awaitable[Response]]:
    """Return the page of a tab: the whole of it, or the part of it that changes."""

    @require("viewer")
    async def shown(request: Request) -> Response:
        member: Member = request.state.member
        now = utc_now()
        async with engine(request).connect() as db:
            known, filters = await known_and_chosen(db, request, now)
            last = await latest_event(db, member.organization_id)
        figures = await tab.figures(engine(request), filters, now)
        return page(
            request,
            "delivery.html",
            blocks=("pulse", "figures"),
            last_event=last,
            tab=tab,
            tabs=TABS,
            **bar(filters, known, request.query_params),
            **figures,
        )

    return shown


def engine(request: Request) -> AsyncEngine:
    """Return the process's pool of connections."""
    found: AsyncEngine = request.app.state.engine
    return found


def bar(filters: Filters, known: Repositories, query: Mapping[str, str]) -> dict[str, Any]:
    """Return what the bar above the numbers shows."""
    kept = {"organization": query["organization"]} if query.get("organization") else {}
    return {
        "filters": filters,
        "known": known,
        "periods": PERIODS,
        "buckets": list(Bucket),
        "link": lambda **changes: filters.query(**{**kept, **changes}),
    }


async def latest_event(db: AsyncConnection, organization_id: str) -> datetime | None:
    """Return when the organisation's newest delivery came; None where none ever did."""
    found: datetime | None = await db.scalar(LATEST_EVENT, {"organization_id": organization_id})
    return found


def downloads(metric: Metric, name: str) -> Any:
    """Return the page that sends a metric's rows as CSV, with the filters of the screen."""

    @require("viewer")
    async def download(request: Request) -> Response:
        async with engine(request).connect() as db:
            _, filters = await known_and_chosen(db, request, utc_now())
        return StreamingResponse(
            lines(engine(request), metric, filters),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )

    return download


async def lines(pool: AsyncEngine, metric: Metric, filters: Filters) -> AsyncIterator[str]:
    """Yield a metric's rows as they come, on a connection of their own."""
    async with pool.connect() as db:
        async for line in csv_lines(db, metric, filters.scope, filters.window):
            yield line


TABS = (
    Tab("overview", "Overview", "/delivery", tabs.overview),
    Tab("frequency", "Deployment frequency", "/delivery/deployment-frequency", tabs.frequency),
    Tab("lead_time", "Lead time", "/delivery/change-lead-time", tabs.lead_times),
    Tab("stability", "Stability", "/delivery/stability", tabs.stability),
)
DOWNLOADS = {
    "deployments": deployments.METRIC,
    "changes": lead_time.METRIC,
    "failures": stability.FAILURES,
    "recoveries": stability.RECOVERIES,
    "restores": stability.RESTORES,
    "rework": stability.REWORK,
}


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        *(Route(tab.path, screen(tab), name=tab.key) for tab in TABS),
        *(Route(f"/delivery/{name}.csv", downloads(of, name)) for name, of in DOWNLOADS.items()),
    ]
