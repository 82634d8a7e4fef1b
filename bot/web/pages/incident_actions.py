"""What managers say of incidents: forms that are sent, so that they work without script."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.pages.agent_actions import noted, own_repository, tell, written
from bot.web.pages.delivery import engine
from bot.web.pages.incidents import detail, own, screen
from bot.web.pages.render import utc_now
from models import incident_changes as changes
from models.errors import Refused
from models.incidents import SEVERITIES, IncidentReport, IncidentState

LONGEST_TITLE, LONGEST_BODY, LONGEST_NAME = 256, 60_000, 200

Act = Callable[[Request, FormData], Awaitable[str]]
"""Does what a form asks for; returns a sentence about it, or raises `Refused`."""
Of = Callable[[AsyncConnection, RowMapping, FormData, str], Awaitable[str]]
"""Does what a form asks for of one incident, as a user; returns a sentence about it."""


def of_incident(name: str, act: Of) -> Act:
    """Return what a form of one incident does: look it up, do it, write down who did."""

    async def done(request: Request, form: FormData) -> str:
        member: Member = request.state.member
        async with engine(request).begin() as db:
            found = await own(db, request)
            said = await act(db, found, form, member.user_id)
            await noted(db, request, name, f"{found['key']}: {said}")
        await tell(request, "incident")
        return said

    return done


def action(act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Return the page that takes a form, for managers only, and shows where it was sent from."""

    @require("manager")
    async def taken(request: Request) -> Response:
        form = await request.form()
        show = detail if "key" in request.path_params and not form.get("from_list") else screen
        try:
            said = await act(request, form)
        except Refused as error:
            return await show(request, str(error), refused=True)
        if request.headers.get("hx-request") == "true":
            return await show(request, said)
        path = "/incidents" if show is screen else f"/incidents/{request.path_params['key']}"
        return RedirectResponse(f"{path}?{request.url.query}".rstrip("?"), 303)

    return taken


async def report(request: Request, form: FormData) -> str:
    """Report an incident; it began now unless the form says when."""
    member: Member = request.state.member
    title = written(form, "title", LONGEST_TITLE)
    if not title:
        raise Refused("An incident needs a title.")
    named = written(form, "repository", LONGEST_NAME)
    async with engine(request).begin() as db:
        repository = await own_repository(db, request, named) if named else None
        told = IncidentReport(
            id=changes.report_id(member.organization_id),
            organization_id=member.organization_id,
            title=title,
            description=written(form, "description", LONGEST_BODY),
            severity=severity(form),
            environment=written(form, "environment", LONGEST_NAME) or "production",
            repository_id=repository,
            started_at=time(form, "started_at") or utc_now(),
            reported_by=member.user_id,
        )
        await changes.report(db, told)
        await noted(db, request, "report_incident", f"{told.id}: {title}")
    await tell(request, "incident")
    return "It is reported, and appears here in a moment."


async def say(db: AsyncConnection, found: RowMapping, form: FormData, by: str) -> str:
    """Say how an incident goes on: a state, a note, or both."""
    state, body = written(form, "state", 20) or None, written(form, "body", LONGEST_BODY)
    if state is None and not body:
        raise Refused("Say a state, a note, or both.")
    if state is not None and state not in set(IncidentState):
        raise Refused(f"A state is one of {', '.join(IncidentState)}; {state!r} is none.")
    await changes.say(db, found["id"], state, body, by)
    return f"It is {state} now." if state else "The note is kept."


async def correct(db: AsyncConnection, found: RowMapping, form: FormData, by: str) -> str:
    """Correct what differs from what is known; an empty field takes a correction back."""
    told: dict[str, Any] = {
        "severity": severity(form),
        "environment": written(form, "environment", LONGEST_NAME) or None,
        "repository_id": written(form, "repository", LONGEST_NAME) or None,
        "service": written(form, "service", LONGEST_NAME) or None,
        "started_at": time(form, "started_at"),
        "resolved_at": time(form, "resolved_at"),
    }
    await known_repository(db, found["organization_id"], told["repository_id"])
    differing = {name: value for name, value in told.items() if differs(found, name, value)}
    if not differing:
        raise Refused("Nothing differs from what is known.")
    begun = told["started_at"] or found["started_at"]
    if told["resolved_at"] and told["resolved_at"] < begun:
        raise Refused("The end is before the beginning.")
    for name, value in differing.items():
        await changes.correct(db, found["id"], name, value, by)
    return f"Corrected: {', '.join(name.removesuffix('_id') for name in differing)}."


def differs(found: RowMapping, name: str, value: Any) -> bool:
    """Whether a field of the form says something else; forms know times to the minute."""
    known = found[name]
    if value is None:
        return name in found["corrected"]
    if isinstance(known, datetime):
        return bool(known.replace(second=0, microsecond=0) != value)
    return bool(known != value)


async def known_repository(
    db: AsyncConnection, organization_id: str, repository_id: str | None
) -> None:
    """Raise `Refused` for a repository that is not the organisation's."""
    from bot.web.pages.filters import repositories

    if repository_id and repository_id not in (await repositories(db, organization_id)).names:
        raise Refused(f"There is no repository {repository_id!r} in this organisation.")


async def dismiss(db: AsyncConnection, found: RowMapping, form: FormData, by: str) -> str:
    """Say that it was no incident, or that it was one after all."""
    none = not found["dismissed"]
    await changes.correct(db, found["id"], "dismissed", none, by)
    return "It was no incident." if none else "It was an incident after all."


async def learn(db: AsyncConnection, found: RowMapping, form: FormData, by: str) -> str:
    """Keep the post-mortem."""
    await changes.learn(db, found["id"], written(form, "post-mortem", LONGEST_BODY), by)
    return "The post-mortem is kept."


async def link(db: AsyncConnection, found: RowMapping, form: FormData, by: str) -> str:
    """Link a deployment by hand, or unlink one."""
    for name, act in (("link", changes.link), ("unlink", changes.unlink)):
        if deployment := written(form, name, LONGEST_NAME):
            await act(db, found["id"], deployment, by)
            return f"{name.capitalize()}ed by hand: it stays so."
    raise Refused("Choose a deployment.")


def severity(form: FormData) -> str | None:
    """Return the severity of a form; None where none is said."""
    said = written(form, "severity", 20) or None
    if said is not None and said not in SEVERITIES:
        raise Refused(f"A severity is one of {', '.join(SEVERITIES)}; {said!r} is none.")
    return said


def time(form: FormData, name: str) -> datetime | None:
    """Return a time of a form, which is in UTC; None where none is said."""
    said = written(form, name, 40)
    if not said:
        return None
    try:
        told = datetime.fromisoformat(said)
    except ValueError as error:
        raise Refused(f"{name} is a time such as 2026-09-01T10:00, in UTC.") from error
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def routes() -> list[Route]:
    """Return the routes of the forms."""
    of: dict[str, Of] = {
        "say": say,
        "correct": correct,
        "dismiss": dismiss,
        "post-mortem": learn,
        "link": link,
    }
    names = {"say": "update_incident", "post-mortem": "write_post_mortem"}
    acts = {
        f"/incidents/{{key}}/{path}": of_incident(names.get(path, f"{path}_incident"), act)
        for path, act in of.items()
    }
    acts["/incidents"] = report
    return [Route(path, action(act), methods=["POST"]) for path, act in acts.items()]
