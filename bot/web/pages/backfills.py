"""The History part of Settings: how far each repository was read, and reading more of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.web.api import backfills as api
from bot.web.api.endpoints import Call
from bot.web.auth import Member, require
from bot.web.pages.agent_actions import written
from bot.web.pages.delivery import engine
from bot.web.pages.render import page
from bot.web.problems import Problem
from handlers.github.installations import BACKFILL_DAYS
from models import backfilling as known
from models.backfilling import Standing, standings

TEMPLATE = "backfills.html"
NO_NUMBER = f"Say how many days: a whole number from 1 to {api.MOST_DAYS}."
COMPLETE = 100
ICONS = {
    known.UNREAD: ("ignored", "ignored", "not read yet"),
    known.QUEUED: ("received", "waiting", "waits for its turn"),
    known.READING: ("received", "working", "is being read"),
    known.PAUSED: ("received", "waiting", "paused"),
    known.READ: ("settled", "settled", "read"),
    known.FAILED: ("failed", "failed", "failed"),
}


@dataclass(frozen=True)
class Shape:
    """A state as shape and words."""

    kind: str
    icon: str
    words: str


@dataclass(frozen=True)
class Shown:
    """A repository on the screen. `done`: per cent, None where nobody knows how much there is."""

    told: Standing
    state: Shape
    days: int | None
    done: int | None

    @property
    def busy(self) -> bool:
        """Whether it is being read, or will be."""
        return self.told.state in (known.QUEUED, known.READING)


@require("manager")
async def history(request: Request) -> Response:
    """`GET /settings/history`: how far each repository was read."""
    return await screen(request)


@require("manager")
async def priced(request: Request) -> Response:
    """`GET /settings/history/cost`: what it costs to read more of one, before it is asked for."""
    call = Call(request, organization=request.state.member)
    try:
        found = await api.standing_of(call, str(request.query_params.get("repository") or ""))
        days = days_of(request.query_params.get("days"))
        told: dict[str, Any] = {"cost": await api.counted(call, found.repository_id, days)}
    except Problem as fault:
        return await screen(request, refused=fault.detail)
    return await screen(request, **told, asked=found)


@require("manager")
async def read_more(request: Request) -> Response:
    """`POST /settings/history`: have more of a repository read, or what failed read again."""
    call, form = Call(request, organization=request.state.member), await request.form()
    try:
        found = await api.standing_of(call, written(form, "repository", 300))
        await api.ordered(call, found.repository_id, days_of(form.get("days")))
    except Problem as fault:
        return await screen(request, refused=fault.detail)
    kept = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/settings/history{kept}", 303)


async def screen(request: Request, **told: Any) -> Response:
    """Answer with the screen, and what a form led to."""
    member: Member = request.state.member
    async with engine(request).connect() as db:
        found = await standings(db, member.organization_id)
    now = datetime.now(UTC)
    shared = {"cost": None, "asked": None, "refused": None} | told
    return page(
        request,
        TEMPLATE,
        blocks=("repositories", "price"),
        path="/settings/history",
        status_code=422 if shared["refused"] and not partial(request) else 200,
        repositories=[shown(each, now) for each in found],
        usual_days=BACKFILL_DAYS,
        **shared,
    )


def partial(request: Request) -> bool:
    """Tell whether only parts of the screen are asked for."""
    return request.headers.get("hx-request") == "true"


def days_of(said: object) -> int:
    """Read how many days; raise `Problem` 422 for what is no such number."""
    text = str(said or "").strip()
    if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= api.MOST_DAYS:
        return int(text)
    raise Problem(422, "Unprocessable Content", NO_NUMBER)


def shown(each: Standing, now: datetime) -> Shown:
    """Return a repository as the screen shows it."""
    done = None
    if each.expected:
        done = min(COMPLETE, COMPLETE * each.items // each.expected)
    if each.state == known.READ:
        done = COMPLETE
    days = round((now - each.since).total_seconds() / 86400) if each.since else None
    return Shown(each, Shape(*ICONS[each.state]), days, done)


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        Route("/settings/history", history, name="history"),
        Route("/settings/history", read_more, methods=["POST"]),
        Route("/settings/history/cost", priced),
    ]
