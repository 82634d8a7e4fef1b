"""The Agent screen: what is developed now, what waits, what that costs, and what became of it."""

from datetime import UTC
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.web.api.run_answers import told_of_runs
from bot.web.auth import Member, require
from bot.web.pages import agent_view as view
from bot.web.pages.deliveries import asked_id
from bot.web.pages.delivery import bar, downloads, engine
from bot.web.pages.filters import Filters, Repositories, known_and_chosen
from bot.web.pages.render import answered, utc_now
from models import agent_pages as asked
from models.metrics import agent as metrics
from models.runs import ENDED
from models.tickets import PRIORITIES, TYPES

PAGE_RUNS = 15
MOST_ACTIVE = 100
LARGEST_ID = 2**63 - 1
MINE = """x.organization_id = :organization_id
    and (cast(:repository_id as text) is null or x.repository_id = :repository_id)"""
ACTIVE = f"{MINE} and x.state <> all(:ended)"
HISTORY = f"{MINE} and x.state = any(:ended) and x.id < :before"


@require("viewer")
async def agent(request: Request) -> Response:
    """`GET /agent`: the whole screen, or the part of it that changes."""
    return await screen(request)


async def screen(request: Request, said: str | None = None, *, refused: bool = False) -> Response:
    """Answer with the screen; `said` is the answer to what was just asked for."""
    return answered(
        request,
        "agent.html",
        blocks=("pulse", "board"),
        refused=refused,
        path="/agent",
        said=said,
        **await figures(request),
    )


async def figures(request: Request) -> dict[str, Any]:
    """Ask for everything that the screen shows."""
    now = utc_now()
    async with engine(request).connect() as db:
        known, filters = await known_and_chosen(db, request, now)
        return (
            bar(filters, known, request.query_params)
            | await work(db, request, filters, known)
            | await money(db, request, filters, known)
            | await beside(db, filters)
        )


async def work(
    db: AsyncConnection, request: Request, filters: Filters, known: Repositories
) -> dict[str, Any]:
    """Ask what is at work, what waits and what is over."""
    member: Member = request.state.member
    settings = request.app.state.settings
    repository = filters.scope.repository_id
    bound = {"organization_id": member.organization_id, "repository_id": repository}
    before = asked_id(request.query_params.get("before"))
    over = {"ended": list(ENDED), "before": before or LARGEST_ID}
    active = await told_of_runs(db, ACTIVE, MOST_ACTIVE, **bound, ended=list(ENDED))
    past = await told_of_runs(db, HISTORY, PAGE_RUNS + 1, **bound, **over)
    waiting = await asked.queues(db, member.organization_id, repository)
    ever = await asked.worked_on(db, member.organization_id)
    return {
        "view": view,
        "may_manage": member.may("manager"),
        "label": settings.agent_label,
        "active": active[::-1],
        "history": past[:PAGE_RUNS],
        "older": past[PAGE_RUNS - 1]["id"] if len(past) > PAGE_RUNS else None,
        "first": before is None,
        "queues": view.queues(waiting, known.names, [repository] if repository else ever),
        "waiting": sum(map(len, waiting.values())),
        "nothing_yet": not ever,
        "types": TYPES,
        "priorities": PRIORITIES,
    }


async def money(
    db: AsyncConnection, request: Request, filters: Filters, known: Repositories
) -> dict[str, Any]:
    """Ask what is gone of today's budgets (days in UTC): all repositories', and of the chosen."""
    from bot.agent.tickets import settings_of

    member: Member = request.state.member
    wishes = await settings_of(db, request.app.state.settings, member.organization_id)
    chosen_one = filters.scope.repository_id
    names = {chosen_one: known.names[chosen_one]} if chosen_one else {}
    today = utc_now().astimezone(UTC).date()
    limits = view.limits_of_day(member.organization_id, names, today, wishes)
    gone = await asked.taken(db, [limit.id for limit in limits])
    return {"meters": view.meters(limits, gone), "ticket_usd": wishes.ticket_budget_usd}


async def beside(db: AsyncConnection, filters: Filters) -> dict[str, Any]:
    """Ask how the agent's pull requests stand beside people's, in the period that is chosen."""
    told = await metrics.agent(db, filters.scope, filters.window)
    merged = await asked.merged(db, filters.scope, filters.window)
    return {"told": told, "compared": view.comparison(told, merged)}


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        Route("/agent", agent, name="agent"),
        Route("/agent/runs.csv", downloads(metrics.METRIC, "runs")),
    ]
