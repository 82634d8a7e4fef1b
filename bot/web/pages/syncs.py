"""The Synchronisation screen: what is read of each source, when, and what webhooks had missed."""

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.connectors import CONNECTORS
from bot.connectors.protocol import Condition
from bot.surroundings import Surroundings
from bot.web.api.endpoints import Call, Query
from bot.web.api.syncs import LogListing, Wanted, begun, sync_logs, sync_status
from bot.web.auth import Member, require
from bot.web.pages import syncs_view as view
from bot.web.pages.agent_actions import noted
from bot.web.pages.delivery import engine
from bot.web.pages.render import page, utc_now
from bot.web.problems import Problem
from models.missed import missed_by_day
from models.recovering import recovered_by_day
from models.schedules import zone_of

SHOWN_LOGS = 20
SHOWN_DAYS = 90
UNKNOWN = "There is no such source."


@require("manager")
async def syncs(request: Request) -> Response:
    """`GET /settings/sync`: every source, what was missed, what was read."""
    return await screen(request)


async def screen(
    request: Request,
    checked: dict[str, Condition] | None = None,
    refused: str = "",
) -> Response:
    """Answer with the screen; `checked`: what a source answered just now; `refused`: why not."""
    call = Call(request, organization=request.state.member)
    statuses = await sync_status(call, Query())
    logs = await sync_logs(call, LogListing(limit=SHOWN_LOGS))
    return page(
        request,
        "syncs.html",
        blocks=("state",),
        status_code=409 if refused else 200,
        path="/settings/sync",
        sources=statuses.items,
        titles={name: each.title for name, each in CONNECTORS.items()},
        states=view.STATES,
        logged=view.LOGGED,
        logs=logs.items,
        missed=await missed(request),
        checked=checked or {},
        refused=refused,
        saved=request.query_params.get("saved", ""),
    )


async def missed(request: Request) -> list[view.Missed]:
    """Return what webhooks had missed, day by day."""
    home = request.state.member.organization_id
    since = utc_now() - timedelta(days=SHOWN_DAYS)
    async with engine(request).connect() as db:
        found = await missed_by_day(db, home, since, await zone_of(db, home))
        return view.missed_days(found, await recovered_by_day(db, home, since))


@require("manager")
async def check(request: Request) -> Response:
    """`POST /settings/sync/check/{source}`: ask a source something small, and say what it said."""
    member: Member = request.state.member
    name = request.path_params["source"]
    connector = CONNECTORS.get(name)
    if connector is None:
        raise Problem(404, "Not Found", UNKNOWN)
    state: Any = request.app.state
    near = Surroundings(state.settings, state.engine, state.redis, state.vault)
    return await screen(
        request, {name: await connector.test_connection(near, member.organization_id)}
    )


@require("manager")
async def read(request: Request) -> Response:
    """`POST /settings/sync/read/{source}`: have a source read now."""
    name = request.path_params["source"]
    form = await request.form()
    wanted = Wanted(full=form.get("full") == "on")
    try:
        await begun(Call(request, organization=request.state.member), name, wanted)
    except Problem as fault:
        return await screen(request, refused=fault.detail)
    async with engine(request).begin() as db:
        await noted(db, request, "synchronise", f"{name}, full" if wanted.full else name)
    kept = f"&{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/settings/sync?saved={name}{kept}", 303)


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        Route("/settings/sync", syncs, name="syncs"),
        Route("/settings/sync/check/{source}", check, methods=["POST"]),
        Route("/settings/sync/read/{source}", read, methods=["POST"]),
    ]
