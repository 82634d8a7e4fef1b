"""The Delivery screen: DORA's metrics as cards, charts and tables, live, with their explanation."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages import cards
from bot.web.pages import delivery_view as view
from bot.web.pages.filters import PERIODS, Filters, Repositories, chosen, repositories
from bot.web.pages.render import page, utc_now
from models.metrics import deployments, lead_time
from models.metrics import dora as metrics
from models.metrics.core import Bucket
from models.metrics.csv import csv_lines
from models.metrics.explanation import Metric

LATEST_ROWS = 15

LATEST_EVENT = text("""
    select received_at from deliveries where organization_id = :organization_id
     order by id desc limit 1
""")


@require("viewer")
async def delivery(request: Request) -> Response:
    """`GET /delivery`: the whole screen, or the part of it that changes."""
    member: Member = request.state.member
    now = utc_now()
    async with engine(request).connect() as db:
        known = await repositories(db, member.organization_id)
        filters = await chosen(db, request.query_params, member.organization_id, known, now)
        figures = await measured(db, filters, now)
        last = await latest_event(db, member.organization_id)
    return page(
        request,
        "delivery.html",
        blocks=("pulse", "figures"),
        last_event=last,
        **bar(filters, known, request.query_params),
        **figures,
    )


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


async def measured(db: AsyncConnection, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for every number of the screen, and draw it."""
    return (
        await frequency(db, filters, now)
        | await lead_times(db, filters)
        | {
            "repository_rows": view.by_repository(
                await metrics.deployment_frequency_by_repository(
                    db, filters.scope, filters.window, now
                ),
                await metrics.change_lead_time_by_repository(db, filters.scope, filters.window),
            ),
            "latest": await metrics.latest_deployments(
                db, filters.scope, filters.window, LATEST_ROWS
            ),
        }
    )


async def latest(db: AsyncConnection, filters: Filters) -> list[deployments.LatestDeployment]:
    """Return the attempts that finished last."""
    return await metrics.latest_deployments(db, filters.scope, filters.window, LATEST_ROWS)


async def frequency(db: AsyncConnection, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for deployment frequency, and draw it."""
    scope, window = filters.scope, filters.window
    told = await metrics.deployment_frequency(db, scope, window, now, filters.edition)
    days = await metrics.deployment_frequency_series(db, scope, window, Bucket.DAY)
    series = days
    if filters.bucket is not Bucket.DAY:
        series = await metrics.deployment_frequency_series(db, scope, window, filters.bucket)
    return {
        "frequency": told,
        "nothing_deployed": None if told["shown"] or told["failed"] else told["reason"],
        "frequency_card": cards.frequency_card(told, days, window),
        "frequency_chart": view.frequency_chart(series, filters),
        "bucket_links": view.bucket_links(series, filters),
        "kinds_note": view.kinds_note(told),
    }


async def lead_times(db: AsyncConnection, filters: Filters) -> dict[str, Any]:
    """Ask for change lead time, and draw it."""
    filters = filters.of_medians
    scope, window = filters.scope, filters.window
    told = await metrics.change_lead_time(db, scope, window, filters.edition)
    series = await metrics.change_lead_time_series(db, scope, window, filters.bucket)
    sparks = await metrics.change_lead_time_series(db, scope, window, cards.spark_bucket(window))
    bins = await metrics.change_lead_time_histogram(db, scope, window)
    return {
        "lead_time": told,
        "lead_time_card": cards.lead_time_card(told, sparks),
        "lead_time_chart": view.lead_time_chart(told, series, filters),
        "lead_time_links": view.bucket_links(series, filters),
        "lead_time_every": view.EVERY[filters.bucket],
        "histogram_chart": view.histogram_chart(told, bins),
        "stages_chart": view.stages_chart(told),
        "percentiles": view.percentiles(told),
        "cohorts_note": view.cohorts_note(told),
    }


def downloads(metric: Metric, name: str) -> Any:
    """Return the page that sends a metric's rows as CSV, with the filters of the screen."""

    @require("viewer")
    async def download(request: Request) -> Response:
        member: Member = request.state.member
        async with engine(request).connect() as db:
            known = await repositories(db, member.organization_id)
            filters = await chosen(
                db, request.query_params, member.organization_id, known, utc_now()
            )
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


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        Route("/delivery", delivery, name="delivery"),
        Route("/delivery/deployments.csv", downloads(deployments.METRIC, "deployments")),
        Route("/delivery/changes.csv", downloads(lead_time.METRIC, "changes")),
    ]
