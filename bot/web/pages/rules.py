"""The screens of deployment rules: what counts in each repository, and one repository's rule."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.jobs.rule_previews import preview_of
from bot.web.api import rules as api
from bot.web.api.listing import repository_named
from bot.web.api.rules import KnownRule, SentRule
from bot.web.api.services import Services, describe, known
from bot.web.auth import Member, require
from bot.web.pages import rules_forms as forms
from bot.web.pages.agent_actions import tell
from bot.web.pages.delivery import engine
from bot.web.pages.incident_view import Said
from bot.web.pages.render import page, utc_now
from handlers.changes import Shape
from models.rule_preview import DAYS
from models.rules import counted, ruled

MOST_LISTED = 200
SOURCES = {
    "auto": "the best source heard of",
    "deployments": "GitHub’s deployments",
    "workflow": "workflow runs that deploy",
    "release": "published releases",
    "merge": "merges to the default branch",
    "api": "reports over the API",
}
NAMES = {
    "deployment_status": "deployments",
    "workflow_run": "workflow runs",
    "release": "releases",
    "merge": "merges",
    "api": "reports",
}
STATES = {
    "default": Said("by default", "ignored", ""),
    "applying": Said("being applied", "working", "asking"),
    "applied": Said("applied", "settled", "settled"),
    "failed": Said("could not be applied", "failed", "failed"),
}
FIELDS = {
    "production": ("Environments that are production", "beside those that are so by themselves"),
    "ignored": ("Environments that do not count", "whatever else they are"),
    "workflows": ("Workflows that deploy", "by name or file; empty: those named for deploying"),
}


@require("viewer")
async def rules(request: Request) -> Response:
    """`GET /settings/rules`: every repository with its rule, and what counts now."""
    member: Member = request.state.member
    wanted = request.query_params.get("q", "").strip()[:200]
    since = utc_now() - timedelta(days=DAYS)
    async with engine(request).connect() as db:
        rows = await ruled(db, member.organization_id)
        told = await counted(db, member.organization_id, since)
    fitting = [row for row in rows if wanted.lower() in row["full_name"].lower()]
    applying = sum(api.shown(row).state == "applying" for row in rows)
    return page(
        request,
        "rules.html",
        blocks=("list",),
        path="/settings/rules",
        days=DAYS,
        wanted=wanted,
        applying=applying,
        ruled=sum(row["changed_at"] is not None for row in rows),
        total=len(fitting),
        rows=[listed(row, told.get(row["id"], ())) for row in fitting[:MOST_LISTED]],
    )


def listed(row: RowMapping, told: Sequence[RowMapping]) -> dict[str, Any]:
    """Return a repository as the list shows it."""
    rule = api.shown(row)
    counting = [each for each in told if each["counted"]]
    return {
        "name": rule.repository,
        "path": f"/settings/rules/{quote(rule.repository)}",
        "rule": rule,
        "by": SOURCES[rule.source],
        "state": STATES[rule.state],
        "counted": sum(each["counted"] for each in counting),
        "sources": [NAMES.get(each["source"], each["source"]) for each in counting],
        "services": sorted({name for each in counting for name in each["services"] or ()}),
    }


@require("viewer")
async def rule(request: Request) -> Response:
    """`GET /settings/rules/{owner}/{name}`: a repository's rule, or how far it is applied."""
    async with engine(request).connect() as db:
        repository_id, kept, services = await asked(db, request)
        draft = forms.of_rule(kept, services)
        preview = await previewed(db, repository_id, draft)
    saved = "saved" in request.query_params
    return screen(request, kept, draft, preview, blocks=("state",), saved=saved)


@require("manager")
async def save(request: Request) -> Response:
    """`POST /settings/rules/{owner}/{name}`: keep the form, or say what it would count."""
    member: Member = request.state.member
    draft = forms.read(await request.form())
    async with engine(request).begin() as db:
        repository_id, kept, services = await asked(db, request)
        keeping = not draft.errors and draft.do == "save"
        if keeping:
            await keep(db, member, repository_id, draft, services)
            kept = await api.known_rule(db, member.organization_id, repository_id)
        preview = await previewed(db, repository_id, draft)
    if keeping:
        await tell(request, "deployment")
    partial = request.headers.get("hx-request") == "true"
    if keeping and not partial:
        query = f"&{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{address(kept)}?saved=1{query}", 303)
    return screen(request, kept, draft, preview, blocks=("rule",), saved=keeping)


async def asked(db: AsyncConnection, request: Request) -> tuple[str, KnownRule, Services]:
    """Return a repository's id, rule and services; raise `Problem` 404 for those of others."""
    member: Member = request.state.member
    named = f"{request.path_params['owner']}/{request.path_params['name']}"
    repository_id = await repository_named(db, member, named)
    kept = await api.known_rule(db, member.organization_id, repository_id)
    return repository_id, kept, Services(services=(await known(db, repository_id)).services)


async def keep(
    db: AsyncConnection, member: Member, repository_id: str, draft: forms.Draft, before: Services
) -> None:
    """Keep a form: the rule, and the services where they are others."""
    sent = SentRule.model_validate(draft.rule)
    await api.keep(db, member, repository_id, sent, "rule_deployments")
    services = Services(services=draft.services)
    if sorted(map(repr, services.services)) != sorted(map(repr, before.services)):
        await describe(db, member, repository_id, services)


async def previewed(db: AsyncConnection, repository_id: str, draft: forms.Draft) -> Any:
    """Return what a form would count; None where something is wrong with it."""
    if draft.errors:
        return None
    shapes = [Shape(each.name, each.environment, tuple(each.paths)) for each in draft.services]
    sent = SentRule.model_validate(draft.rule)
    return await preview_of(db, repository_id, sent.rule(), utc_now(), sorted(shapes, key=repr))


def address(kept: KnownRule) -> str:
    """Return the screen's address."""
    return f"/settings/rules/{quote(kept.repository)}"


def screen(
    request: Request,
    kept: KnownRule,
    draft: forms.Draft,
    preview: Any,
    *,
    blocks: Sequence[str],
    saved: bool,
) -> Response:
    """Answer with the screen, or with the part of it that changes."""
    member: Member = request.state.member
    partial = request.headers.get("hx-request") == "true"
    told: Mapping[str, Any] = {
        "kept": kept,
        "state": STATES[kept.state],
        "said": draft.said,
        "services": draft.rows,
        "errors": draft.errors,
        "preview": preview,
        "previewing": draft.do == "preview",
        "saved": saved,
        "may_manage": member.may("manager"),
        "sources": SOURCES,
        "names": NAMES,
        "fields": FIELDS,
    }
    return page(
        request,
        "rule.html",
        blocks=blocks,
        status_code=422 if draft.errors and not partial else 200,
        path=address(kept),
        **told,
    )


def routes() -> list[Route]:
    """Return the routes of the screens."""
    return [
        Route("/settings/rules", rules, name="rules"),
        Route("/settings/rules/{owner}/{name}", rule, name="rule"),
        Route("/settings/rules/{owner}/{name}", save, methods=["POST"]),
    ]
