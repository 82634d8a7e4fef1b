"""The Incidents screens: the list with what each blames, and one incident from end to end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bot.web.auth import Member, require
from bot.web.markdown import rendered
from bot.web.pages import incident_view as view
from bot.web.pages.delivery import bar, engine
from bot.web.pages.filters import Filters, known_and_chosen, repositories
from bot.web.pages.render import answered, utc_now
from bot.web.problems import Problem
from models import incident_screens as asked
from models.errors import Refused
from models.incidents import SEVERITIES, SOURCES, IncidentState
from models.metrics.csv import line

PAGE_ROWS = 25
CSV_ROWS = 500
STATES = ("all", "open", "resolved")
UNRATED = "none"
COLUMNS = (
    *("key", "state", "severity", "title", "source", "environment", "repository", "service"),
    *("started_at", "resolved_at", "lasted_seconds", "deployment_id", "sha", "evidence", "reason"),
    *("linked_by", "url"),
)


@dataclass(frozen=True)
class Choice:
    """What the list is narrowed to beside the bar; None and `all` leave everything in."""

    state: str = "all"
    severity: str | None = None
    source: str | None = None
    before: str | None = None

    @property
    def kept(self) -> dict[str, str | None]:
        """What of it stands in the address."""
        state = None if self.state == "all" else self.state
        return {"state": state, "severity": self.severity, "source": self.source}


def choice(query: Mapping[str, str]) -> Choice:
    """Read the choice from a query string; raise `Refused` naming what is wrong with it."""
    return Choice(
        state=one_of(query, "state", STATES) or "all",
        severity=one_of(query, "severity", (*SEVERITIES, UNRATED)),
        source=one_of(query, "source", SOURCES),
        before=query.get("before") or None,
    )


def one_of(query: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    """Return what was chosen of what there is; None where nothing was."""
    said = query.get(name) or None
    if said is not None and said not in known:
        raise Refused(f"{name} is one of {', '.join(known)}; {said[:40]!r} is none.")
    return said


def wanted(filters: Filters, of: Choice) -> asked.Wanted:
    """Return which incidents are meant."""
    window = filters.window
    narrowed = (of.state, of.severity, of.source, of.before)
    return asked.Wanted(filters.scope, window.start, window.end, *narrowed)


@require("viewer")
async def incidents(request: Request) -> Response:
    """`GET /incidents`: the list, or the part of it that changes."""
    return await screen(request)


async def screen(request: Request, said: str | None = None, *, refused: bool = False) -> Response:
    """Answer with the list; `said` is the answer to what was just asked for."""
    return answered(
        request,
        "incidents.html",
        blocks=("pulse", "list"),
        refused=refused,
        path="/incidents",
        said=said,
        **await figures(request),
    )


async def figures(request: Request) -> dict[str, Any]:
    """Ask for everything that the list shows."""
    member: Member = request.state.member
    now = utc_now()
    of = choice(request.query_params)
    async with engine(request).connect() as db:
        known, filters = await known_and_chosen(db, request, now)
        found = await asked.listed(db, wanted(filters, of), PAGE_ROWS + 1)
        rows = found[:PAGE_ROWS]
        shown = bar(filters, known, request.query_params)
        link = shown["link"]
        return shown | {
            "link": lambda **changes: link(**{**of.kept, **changes}),
            "view": view,
            "choice": of,
            "more": of.kept,
            "states": STATES,
            "severities": (*SEVERITIES, UNRATED),
            "sources": view.SOURCES,
            "may_manage": member.may("manager"),
            "rows": await with_blame(db, rows, now),
            "older": rows[-1]["key"] if len(found) > PAGE_ROWS else None,
            "open_now": await asked.still_open(db, member.organization_id),
            "ever_told": bool(rows) or await asked.ever_told(db, member.organization_id),
        }


async def with_blame(
    db: AsyncConnection, rows: Sequence[RowMapping], now: datetime
) -> list[dict[str, Any]]:
    """Return incidents with what they blame, what they could blame, and how long they lasted."""
    ids = [row["id"] for row in rows]
    derived = await asked.blamed(db, ids)
    hand = await asked.by_hand(db, ids)
    could = await asked.candidates(db, ids)
    return [told(row, derived, hand, could, now) for row in rows]


def told(
    row: RowMapping,
    derived: Mapping[str, Sequence[Any]],
    hand: Mapping[str, Sequence[Any]],
    could: Mapping[str, Sequence[Any]],
    now: datetime,
) -> dict[str, Any]:
    """Return one incident as the screens show it."""
    blames = view.blames(derived.get(row["id"], ()), hand.get(row["id"], ()))
    linked = {one.deployment["deployment_id"] for one in blames}
    others = [one for one in could.get(row["id"], ()) if one["deployment_id"] not in linked]
    return dict(row) | {
        "shape": view.shape(row["state"]),
        "place": view.place(row),
        "lasted": view.lasted(row, now),
        "blames": blames,
        "candidates": others[: asked.MOST_CANDIDATES],
        "unlinked": [one for one in hand.get(row["id"], ()) if not one["linked"]],
    }


@require("viewer")
async def incident(request: Request) -> Response:
    """`GET /incidents/{key}`: one incident, or the part of it that changes."""
    return await detail(request)


async def detail(request: Request, said: str | None = None, *, refused: bool = False) -> Response:
    """Answer with one incident; `said` is the answer to what was just asked for."""
    member: Member = request.state.member
    path = f"/incidents/{request.path_params['key']}"
    async with engine(request).connect() as db:
        found = await own(db, request)
        known = await repositories(db, member.organization_id)
        return answered(
            request,
            "incident.html",
            blocks=("pulse", "incident"),
            refused=refused,
            path=path,
            said=said,
            may_manage=member.may("manager"),
            known=known,
            **await one(db, found),
        )


async def own(db: AsyncConnection, request: Request) -> RowMapping:
    """Return the incident of the path; raise `Problem` 404 where it is not the organisation's."""
    member: Member = request.state.member
    key = request.path_params["key"]
    found = None if "\0" in key else await asked.one(db, member.organization_id, key)
    if found is None:
        raise Problem(404, "Not Found", "There is no such incident.")
    return found


async def one(db: AsyncConnection, found: RowMapping) -> dict[str, Any]:
    """Ask for everything of one incident."""
    now = utc_now()
    told_of = (await with_blame(db, [found], now))[0]
    hand = (await asked.by_hand(db, [found["id"]])).get(found["id"], [])
    story = await asked.story(db, found["organization_id"], found["id"])
    ids = [
        blame.deployment["service_deployment_id"]
        for blame in told_of["blames"]
        if not blame.pending
    ]
    changes = await asked.brought(db, ids)
    return {
        "view": view,
        "incident": told_of,
        "timeline": view.timeline(found, story, hand),
        "post_mortem": story.post_mortem,
        "lessons": rendered(story.post_mortem["body"]) if story.post_mortem else None,
        "changes": changes[: asked.MOST_CHANGES],
        "more_changes": len(changes) > asked.MOST_CHANGES,
        "states": list(IncidentState),
        "severities": SEVERITIES,
    }


@require("viewer")
async def download(request: Request) -> Response:
    """`GET /incidents.csv`: the list as CSV, with the filters of the screen."""
    of = choice(request.query_params)
    async with engine(request).connect() as db:
        _, filters = await known_and_chosen(db, request, utc_now())
    return StreamingResponse(
        lines(engine(request), wanted(filters, of)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="incidents.csv"'},
    )


async def lines(pool: AsyncEngine, first: asked.Wanted) -> AsyncIterator[str]:
    """Yield incidents a page at a time: one line for each deployment that it blames, or one."""
    yield line(COLUMNS)
    page_of = first
    async with pool.connect() as db:
        while rows := await asked.listed(db, page_of, CSV_ROWS):
            for row in await with_blame(db, rows, utc_now()):
                for told_line in as_lines(row):
                    yield told_line
            page_of = replace(page_of, before=rows[-1]["key"])


def as_lines(row: dict[str, Any]) -> list[str]:
    """Return an incident's lines."""
    shared = row | {
        "service": row["place_service"] or row["service"],
        "lasted_seconds": row["lasted"] if row["resolved_at"] else None,
    }
    told_of = [
        shared
        | {
            "deployment_id": blame.deployment["deployment_id"],
            "sha": blame.deployment["sha"],
            "evidence": blame.evidence,
            "reason": blame.reason,
            "linked_by": blame.deployment["by"],
        }
        for blame in row["blames"]
    ]
    return [line([each.get(name) for name in COLUMNS]) for each in told_of or [shared]]


def routes() -> list[Route]:
    """Return the screens' routes."""
    return [
        Route("/incidents", incidents, name="incidents"),
        Route("/incidents.csv", download),
        Route("/incidents/{key}", incident, name="incident"),
    ]
