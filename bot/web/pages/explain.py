"""Why a number is what it is: what counted, what did not and why, row by row."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages import cards
from bot.web.pages.delivery import bar, engine
from bot.web.pages.filters import Filters, chosen, repositories
from bot.web.pages.render import page, utc_now
from bot.web.problems import Problem
from models.metrics import dora as metrics
from models.metrics.explanation import Explanation, Page
from models.metrics.levels import Level

Asked = tuple[Explanation, Level, cards.Card]
Question = Callable[[AsyncConnection, Filters, Page, datetime], Awaitable[Asked]]


async def deployment_frequency(
    db: AsyncConnection, filters: Filters, rows: Page, now: datetime
) -> Asked:
    """Take deployment frequency apart."""
    scope, window = filters.scope, filters.window
    told = await metrics.deployment_frequency(db, scope, window, now, filters.edition)
    explained = await metrics.deployment_frequency_explanation(db, scope, window, rows)
    return explained, told, cards.frequency_card(told, [], window)


async def change_lead_time(db: AsyncConnection, filters: Filters, rows: Page, _: datetime) -> Asked:
    """Take change lead time apart."""
    scope, window = filters.scope, filters.window
    told = await metrics.change_lead_time(db, scope, window, filters.edition)
    explained = await metrics.change_lead_time_explanation(db, scope, window, rows)
    return explained, told, cards.lead_time_card(told, [])


QUESTIONS: dict[str, tuple[Question, str]] = {
    "deployment-frequency": (deployment_frequency, "deployments"),
    "change-lead-time": (change_lead_time, "changes"),
}


@require("viewer")
async def explain(request: Request) -> Response:
    """`GET /delivery/explain/{metric}`: the number, its definition and its rows."""
    member: Member = request.state.member
    asked = QUESTIONS.get(request.path_params["metric"])
    if asked is None:
        raise Problem(404, "Not Found", "There is no metric of that name.")
    question, download = asked
    now, rows = utc_now(), Page(cursor=request.query_params.get("cursor"))
    async with engine(request).connect() as db:
        known = await repositories(db, member.organization_id)
        filters = await chosen(db, request.query_params, member.organization_id, known, now)
        explained, level, card = await question(db, filters, rows, now)
    return page(
        request,
        "explain.html",
        explained=explained,
        card=card,
        level=level,
        download=f"/delivery/{download}.csv",
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
