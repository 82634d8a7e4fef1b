"""Why a number is what it is: what counted, what did not and why, row by row."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.web.auth import require
from bot.web.pages import cards, stability_cards
from bot.web.pages.delivery import bar, engine
from bot.web.pages.filters import Filters, known_and_chosen
from bot.web.pages.render import page, utc_now
from bot.web.problems import Problem
from models.metrics import deployments, lead_time, stability
from models.metrics import dora as metrics
from models.metrics.explanation import Metric, Page, explanation
from models.metrics.levels import Level

Answer = tuple[cards.Card, Level | None]
Question = Callable[[AsyncConnection, Filters, datetime], Awaitable[Answer]]


async def deployment_frequency(db: AsyncConnection, filters: Filters, now: datetime) -> Answer:
    """Ask for deployment frequency."""
    scope, window = filters.scope, filters.window
    told = await metrics.deployment_frequency(db, scope, window, now, filters.edition)
    return cards.frequency_card(told, [], window), told


async def change_lead_time(db: AsyncConnection, filters: Filters, _: datetime) -> Answer:
    """Ask for change lead time."""
    told = await metrics.change_lead_time(db, filters.scope, filters.window, filters.edition)
    return cards.lead_time_card(told, []), told


async def change_failure_rate(db: AsyncConnection, filters: Filters, _: datetime) -> Answer:
    """Ask for change failure rate."""
    scope, window = filters.scope, filters.window
    told = await stability.change_failure_rate(db, scope, window, filters.edition)
    return stability_cards.failure_card(told, []), told


async def recovery_time(db: AsyncConnection, filters: Filters, now: datetime) -> Answer:
    """Ask for failed deployment recovery time."""
    told = await stability.failed_deployment_recovery_time(
        db, filters.scope, filters.window, now, filters.edition
    )
    return stability_cards.recovery_card(told, []), told


async def time_to_restore(db: AsyncConnection, filters: Filters, now: datetime) -> Answer:
    """Ask for time to restore, which has no levels."""
    told = await stability.time_to_restore(db, filters.scope, filters.window, now)
    return stability_cards.restore_card(told, []), None


async def rework_rate(db: AsyncConnection, filters: Filters, _: datetime) -> Answer:
    """Ask for rework rate, which has no levels."""
    told = await stability.rework_rate(db, filters.scope, filters.window)
    return stability_cards.rework_card(told, []), None


@dataclass(frozen=True)
class Explained:
    """A metric that can be taken apart: its rows, its number, and the name of its CSV."""

    metric: Metric
    question: Question
    download: str


EXPLAINED = {
    "deployment-frequency": Explained(deployments.METRIC, deployment_frequency, "deployments"),
    "change-lead-time": Explained(lead_time.METRIC, change_lead_time, "changes"),
    "change-failure-rate": Explained(stability.FAILURES, change_failure_rate, "failures"),
    "failed-deployment-recovery-time": Explained(stability.RECOVERIES, recovery_time, "recoveries"),
    "time-to-restore": Explained(stability.RESTORES, time_to_restore, "restores"),
    "rework-rate": Explained(stability.REWORK, rework_rate, "rework"),
}


@require("viewer")
async def explain(request: Request) -> Response:
    """`GET /delivery/explain/{metric}`: the number, its definition and its rows."""
    asked = EXPLAINED.get(request.path_params["metric"])
    if asked is None:
        raise Problem(404, "Not Found", "There is no metric of that name.")
    now, rows = utc_now(), Page(cursor=request.query_params.get("cursor"))
    async with engine(request).connect() as db:
        known, filters = await known_and_chosen(db, request, now)
        card, level = await asked.question(db, filters, now)
        explained = await explanation(db, asked.metric, filters.scope, filters.window, rows)
    return page(
        request,
        "explain.html",
        explained=explained,
        card=card,
        level=level,
        download=f"/delivery/{asked.download}.csv",
        rows=[moments(row) for row in explained["rows"]],
        last_event=moment(explained["last_event_at"]),
        total=explained["counted"] + sum(one["count"] for one in explained["excluded"]),
        **bar(filters, known, request.query_params),
    )


def moments(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its time as a time."""
    return row | {"at": moment(row["at"])}


def moment(said: str | None) -> datetime | None:
    """Read a time as the metrics write it."""
    return datetime.fromisoformat(said) if said else None


def routes() -> list[Route]:
    """Return the explanation's route."""
    return [Route("/delivery/explain/{metric}", explain, name="explain")]
