"""Badges: the public pictures, and the page on which managers make them and take them back."""

import time
from typing import Any

from limits import parse
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.web import badges
from bot.web.auth import Member, require
from bot.web.badges import TITLES, drawn
from bot.web.limiting import client_address, limiter, refuse_beyond
from bot.web.making_badges import address, make, withdraw
from bot.web.pages.agent_actions import own_repository, written
from bot.web.pages.delivery import engine
from bot.web.pages.filters import repositories
from bot.web.pages.render import page, utc_now
from models.badge_figures import figure_of
from models.badges import Shown, badges_of, shown_by
from models.errors import Refused
from models.users import token_hash

BY_ADDRESS = parse("300 per minute")
KEPT_SECONDS, MOST_KEPT = 60.0, 1000
LONGEST = 200
HEADERS = {
    "cache-control": "max-age=300",
    "content-security-policy": "default-src 'none'",
    "cross-origin-resource-policy": "cross-origin",
}


async def badge(request: Request) -> Response:
    """`GET /badges/{token}.svg`: the figure, for everybody who knows the address.

    What was never made and what was taken back are told the same.
    """
    wait = await limiter(request).wait(BY_ADDRESS, "badges", client_address(request))
    refuse_beyond(wait, "Too many requests")
    async with engine(request).connect() as db:
        shown = await shown_by(db, token_hash(request.path_params["token"]))
        if shown is None:
            return PlainTextResponse("There is no such badge.\n", 404)
        svg = await picture(request.app.state, db, shown)
    return Response(svg, media_type="image/svg+xml", headers=HEADERS)


async def picture(state: Any, db: AsyncConnection, shown: Shown) -> str:
    """Return a badge's drawing; it is asked for once a minute at most, however many look at it."""
    if not hasattr(state, "pictures"):
        state.pictures = {}
    kept: dict[Shown, tuple[float, str]] = state.pictures
    until, svg = kept.get(shown, (0.0, ""))
    if time.monotonic() < until:
        return svg
    svg = drawn(await figure_of(db, shown, utc_now()))
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[shown] = time.monotonic() + KEPT_SECONDS, svg
    return svg


@require("manager")
async def settings(request: Request) -> Response:
    """`GET /settings/badges`: those that stand, and the form that makes one."""
    return await screen(request)


async def screen(request: Request, **changed: Any) -> Response:
    """Answer with the page; `changed`: what was just made, or why it was not."""
    member: Member = request.state.member
    async with engine(request).connect() as db:
        made = await badges_of(db, member.organization_id)
        known = await repositories(db, member.organization_id)
    return page(
        request,
        "badges.html",
        status_code=422 if changed.get("refused") else 200,
        **{
            "path": "/settings/badges",
            "badges": made,
            "known": known,
            "metrics": TITLES,
            "chosen": request.query_params.get("metric"),
            "repository": request.query_params.get("repository"),
            "new": None,
            "refused": None,
            **changed,
        },
    )


@require("manager")
async def make_one(request: Request) -> Response:
    """`POST /settings/badges`: make one; its address is shown now and never again."""
    member: Member = request.state.member
    form = await request.form()
    try:
        metric, named = written(form, "metric", LONGEST), written(form, "repository", LONGEST)
        async with engine(request).begin() as db:
            repository = await own_repository(db, request, named) if named else None
            token = await make(db, member, Shown(member.organization_id, repository, metric))
            figure = await figure_of(
                db, Shown(member.organization_id, repository, metric), utc_now()
            )
    except Refused as error:
        return await screen(request, refused=str(error))
    url = address(request.app.state.settings, token)
    return await screen(request, new={"url": url, "title": badges.title(figure)})


@require("manager")
async def withdraw_one(request: Request) -> Response:
    """`POST /settings/badges/withdraw`: take one back for ever."""
    member: Member = request.state.member
    badge_id = written(await request.form(), "badge", LONGEST)
    async with engine(request).begin() as db:
        done = await withdraw(db, member, badge_id)
    if not done:
        return await screen(request, refused="There is no such badge any more.")
    kept = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/settings/badges{kept}", 303)


def routes() -> list[Route]:
    """Return the routes of the pictures and of the page."""
    return [
        Route("/badges/{token}.svg", badge, name="badge"),
        Route("/settings/badges", settings, name="settings_badges"),
        Route("/settings/badges", make_one, methods=["POST"]),
        Route("/settings/badges/withdraw", withdraw_one, methods=["POST"]),
    ]
