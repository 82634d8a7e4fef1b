"""The Settings screen, for admins: connectors, how incidents are read, who may see people."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages import settings_forms as forms
from bot.web.pages import settings_sources as sources
from bot.web.pages.agent_actions import noted, tell, written
from bot.web.pages.delivery import engine
from bot.web.pages.filters import repositories
from bot.web.pages.render import page
from bot.web.problems import Problem
from handlers.events import Job
from handlers.incident_trials import Trial, trial
from models import linear_mapping
from models.errors import Refused
from models.incident_configuring import keep_places, keep_settings
from models.incident_reading import Reading, incident_settings_of
from models.incidents import SEVERITIES
from models.metrics import privacy
from models.queue import queue

LONGEST_TEXT = 4000
SAVED = {
    "incidents": "Kept. Incidents are read anew by it.",
    "channels": "Kept. Incidents are read anew by it.",
    "people": "Kept.",
    "linear": "Kept. Incidents from Linear are read anew by it.",
    "connected": "It is connected, and is being read.",
    "checked": "It is being asked for what we do not know.",
}
PRIVACY = {
    "off": ("Nobody", "There are no figures of single people at all."),
    "self_only": ("Only themselves", "Everybody sees their own figures, and nobody else's."),
    "team": ("Their team", "People who share a team see each other's figures."),
}

Save = Callable[[Request, FormData], Awaitable[dict[str, Any] | None]]
"""Does what a form asks for: None where it is done, else what the page shows instead."""


@require("admin")
async def settings(request: Request) -> Response:
    """`GET /settings`: every section."""
    return await screen(request)


async def screen(request: Request, **changed: Any) -> Response:
    """Answer with the screen; `changed` is what a form that was not kept says instead."""
    wrong = any(changed.get(name) for name in ("errors", "place_errors", "linear_errors"))
    told = await sections(request) | changed
    return page(
        request,
        "settings.html",
        blocks=("connectors",),
        status_code=422 if wrong else 200,
        path="/settings",
        saved=SAVED.get(request.query_params.get("saved", "")),
        **told,
    )


async def sections(request: Request) -> dict[str, Any]:
    """Ask for everything that the screen shows."""
    member: Member = request.state.member
    home = member.organization_id
    async with engine(request).connect() as db:
        reading = await incident_settings_of(db, home)
        known = await repositories(db, home)
        chosen = await privacy.setting_of(db, home)
        places = await linear_mapping.places(db, home)
    return {
        "connectors": await sources.connectors(request),
        "lists": forms.LISTS,
        "severities": SEVERITIES,
        "said": forms.shown(reading),
        "errors": {},
        "channel_rows": [vars(place) for place in reading.places],
        "place_errors": {},
        "linear_places": places,
        "linear_said": {place["id"]: place["repository_id"] or "" for place in places},
        "linear_errors": {},
        "known": known,
        "privacy": PRIVACY,
        "chosen": chosen,
        "tried": None,
        "tried_places": None,
        "trial_text": "",
        "trial_channel": "incidents",
    }


def action(save: Save, section: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the page that takes a form, for admins only; what is wrong is said at its field."""

    @require("admin")
    async def taken(request: Request) -> Response:
        shown = await save(request, await request.form())
        if shown is not None:
            return await screen(request, **shown)
        kept = f"&{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/settings?saved={section}{kept}#{section}", 303)

    return taken


async def save_incidents(request: Request, form: FormData) -> dict[str, Any] | None:
    """Keep how incidents are read, or try it on a text without keeping it."""
    member: Member = request.state.member
    draft = forms.incidents(form)
    async with engine(request).begin() as db:
        kept = await incident_settings_of(db, member.organization_id)
        if form.get("do") == "try" or draft.errors:
            tried = None if draft.errors else await tried_on(form, forms.reading(draft, kept))
            return {"said": draft.said, "errors": draft.errors, "tried": tried} | asked_of(form)
        await keep_settings(db, member.organization_id, forms.columns(draft))
        await judge_again(db, member.organization_id)
        await noted(db, request, "configure_incidents", "patterns, reactions, severities, windows")
    await tell(request, "incident")
    return None


async def save_channels(request: Request, form: FormData) -> dict[str, Any] | None:
    """Keep what channels are about, or try it on a text without keeping it."""
    member: Member = request.state.member
    async with engine(request).begin() as db:
        known = await repositories(db, member.organization_id)
        draft = forms.places(form, dict(known.names))
        if form.get("do") == "try" or draft.errors:
            kept = await incident_settings_of(db, member.organization_id)
            reading = forms.with_places(kept, draft)
            tried = None if draft.errors else await tried_on(form, reading)
            shown = {"channel_rows": draft.read["rows"], "place_errors": draft.errors}
            return shown | {"tried_places": tried} | asked_of(form)
        await keep_places(db, member.organization_id, draft.read["places"])
        await judge_again(db, member.organization_id)
        detail = ", ".join(place.channel for place in draft.read["places"])
        await noted(db, request, "map_channels", detail)
    await tell(request, "incident")
    return None


async def save_linear(request: Request, form: FormData) -> dict[str, Any] | None:
    """Keep in which repository the issues of Linear's teams and projects are developed."""
    member: Member = request.state.member
    home = member.organization_id
    async with engine(request).begin() as db:
        known = await repositories(db, home)
        draft = forms.mappings(form, await linear_mapping.places(db, home), dict(known.names))
        if draft.errors:
            return {"linear_said": draft.said, "linear_errors": draft.errors}
        if wanted := draft.read["wanted"]:
            await linear_mapping.keep_mappings(db, home, wanted, member.user_id)
            detail = ", ".join(f"{key} → {said or 'nowhere'}" for key, said in wanted.items())
            await noted(db, request, "linear_mapped", detail)
    return None


async def judge_again(db: AsyncConnection, organization_id: str) -> None:
    """Order that what incidents blame is judged again: windows and places may have changed."""
    await queue(db, [Job("judge_again", key=f"judge_again:{organization_id}")], organization_id)


def asked_of(form: FormData) -> dict[str, str]:
    """Return what was tried, to be shown again."""
    return {
        "trial_text": forms.text(form, "trial_text")[:LONGEST_TEXT],
        "trial_channel": forms.text(form, "trial_channel")[:80] or "incidents",
    }


async def tried_on(form: FormData, reading: Reading) -> Trial | None:
    """Say what a text would do; None where there is none to try."""
    told = asked_of(form)
    if not told["trial_text"].strip():
        return None
    bot = forms.text(form, "trial_bot").strip() or None
    return await asyncio.to_thread(trial, told["trial_text"], told["trial_channel"], reading, bot)


async def save_people(request: Request, form: FormData) -> dict[str, Any] | None:
    """Keep who may see figures of single people."""
    member: Member = request.state.member
    said = written(form, "per_person", 20)
    if said not in privacy.SETTINGS:
        raise Refused(f"Figures are shown to {', '.join(privacy.SETTINGS)}; {said!r} is none.")
    async with engine(request).begin() as db:
        await privacy.choose_setting(db, member.organization_id, said)
        await noted(db, request, "choose_privacy", said)
    return None


@require("admin")
async def connect(request: Request) -> Response:
    """`POST /settings/connect/{source}`: connect a source by a token."""
    return await answered(request, sources.connect, "connected")


@require("admin")
async def check(request: Request) -> Response:
    """`POST /settings/check/{source}`: have a source asked now for what we may not know."""
    return await answered(request, sources.check, "checked")


async def answered(request: Request, act: sources.Act, done: str) -> Response:
    """Do what is asked of a source, and show the screen; what is refused is said on it."""
    try:
        await act(request, await request.form())
    except Problem as fault:
        said = " ".join([fault.detail, *(each["detail"] for each in fault.more.get("errors", ()))])
        return await screen(request, errors={"connectors": said})
    async with engine(request).begin() as db:
        await noted(db, request, f"{done}_source", request.path_params["source"])
    kept = f"&{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/settings?saved={done}{kept}#connectors", 303)


def routes() -> list[Route]:
    """Return the screen's routes."""
    return [
        Route("/settings", settings, name="settings"),
        Route("/settings/incidents", action(save_incidents, "incidents"), methods=["POST"]),
        Route("/settings/channels", action(save_channels, "channels"), methods=["POST"]),
        Route("/settings/linear", action(save_linear, "linear"), methods=["POST"]),
        Route("/settings/people", action(save_people, "people"), methods=["POST"]),
        Route("/settings/connect/{source}", connect, methods=["POST"]),
        Route("/settings/check/{source}", check, methods=["POST"]),
    ]
