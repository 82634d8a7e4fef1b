"""Linear as a connector: people, teams, projects, cycles, labels and issues, page after page."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.linear import Linear
from bot.clients.linear_queries import LISTS, misread, page, rest_of_issue, workspace
from bot.clients.linear_tokens import linear_for
from bot.connectors import status
from bot.connectors.protocol import (
    EVERYTHING,
    Condition,
    Page,
    SyncStatus,
    Trouble,
    Wait,
    Wish,
    in_words,
)
from bot.surroundings import Surroundings
from handlers.events import Job
from handlers.linear import issues, plans, talk
from handlers.linear.payloads import Person, State, Team, Time, Told, identity
from models.columns import Fact
from models.errors import Refused

name: str = "linear"
title: str = "Linear"
parts: tuple[str, ...] = (EVERYTHING,)
supported_metrics: frozenset[str] = frozenset({"cycle-time", "throughput", "time-to-restore"})

NESTED = ("labels", "attachments", "history")
ISSUES = "issues"


class Cursor(BaseModel):
    """Where a sync stands: in which list, and after which entry."""

    step: str = next(iter(LISTS))
    after: str | None = None


class Aged(Told):
    """Something with the time of its last change."""

    updated_at: Time


class DatedPerson(Person, Aged):
    """Somebody, as the API describes them."""


class DatedTeam(Team, Aged):
    """A team, as the API describes it."""


class Move(Told):
    """A line of an issue's history: which state it came into, None where it was another change."""

    created_at: Time
    to_state: State | None = None


@dataclass(frozen=True)
class Read:
    """What one page says: rows, and which issues may be incidents."""

    rows: tuple[Fact, ...]
    labelled: tuple[issues.Issue, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True)
class Line:
    """An open line to the workspace of an organisation."""

    linear: Linear
    organization_id: str


@asynccontextmanager
async def authenticate(
    surroundings: Surroundings, organization_id: str
) -> AsyncIterator[Line | None]:
    """Open a line to the workspace that an organisation connected; None without one."""
    with in_words(Refused):
        async with linear_for(
            surroundings.engine, surroundings.settings, surroundings.vault, organization_id
        ) as linear:
            yield Line(linear, organization_id) if linear else None


async def test_connection(surroundings: Surroundings, organization_id: str) -> Condition:
    """Ask Linear whose workspace it is."""
    try:
        async with authenticate(surroundings, organization_id) as line:
            if line is None:
                return Condition(connected=False, says="No workspace of Linear is connected.")
            told = await workspace(line.linear)
    except (Wait, Trouble) as error:
        return Condition(connected=False, says=str(error))
    return Condition(
        connected=True,
        says=f"Linear answers for {told.organization.name}, as {told.viewer.name}.",
    )


async def fetch(line: Line, wish: Wish, cursor: str | None) -> AsyncIterator[Page]:
    """Read list after list, the newest of each first."""
    place: Cursor | None = Cursor.model_validate_json(cursor) if cursor else Cursor()
    while place is not None:
        told = await page(line.linear, place.step, place.after, wish.since)
        calls = 1
        if place.step == ISSUES:
            calls += sum([await complete(line.linear, node) for node in told.nodes])
        found = read(place.step, told.nodes, line.organization_id)
        place = next_of(place, told.next)
        yield Page(
            cursor=place.model_dump_json() if place else None,
            rows=found.rows,
            jobs=[issues.follow_incident(issue) for issue in found.labelled],
            waiting=links(found, line.organization_id),
            items=len(told.nodes),
            calls=calls,
        )


async def sync_status(db: AsyncConnection, organization_id: str) -> SyncStatus:
    """Say how reading Linear stands."""
    return await status.sync_status(db, organization_id, name)


def next_of(cursor: Cursor, after: str | None) -> Cursor | None:
    """Return the place after a page: in the same list, in the next one, or None at the end."""
    if after is not None:
        return cursor.model_copy(update={"after": after})
    steps = list(LISTS)
    place = steps.index(cursor.step) + 1
    if place == len(steps):
        return None
    return Cursor(step=steps[place])


async def complete(linear: Linear, node: dict[str, Any]) -> int:
    """Ask for what an issue has of more than a page shows; return by how many requests."""
    more = [name for name in NESTED if has_more(node.get(name))]
    if not more:
        return 0
    whole = await rest_of_issue(linear, str(node["id"]))
    node |= {name: whole[name] for name in more if name in whole}
    return 1


def has_more(connection: Any) -> bool:
    """Tell whether a list goes on beyond what was told."""
    info = connection.get("pageInfo") if isinstance(connection, dict) else None
    return isinstance(info, dict) and bool(info.get("hasNextPage"))


def read(step: str, nodes: Iterable[Mapping[str, Any]], home: str) -> Read:
    """Return what a page says; raise `LinearError` for one that is not as documented."""
    try:
        if step == ISSUES:
            return issues_read(nodes)
        return Read(tuple(row_of(step, node, home) for node in nodes))
    except ValidationError:
        raise misread(step) from None


def row_of(step: str, node: Mapping[str, Any], home: str) -> Fact:
    """Return the row of somebody or something that issues belong to."""
    if step == "users":
        person = DatedPerson.model_validate(node)
        return identity(person, home, person.updated_at)
    if step == "teams":
        team = DatedTeam.model_validate(node)
        return issues.team(team, team.updated_at)
    if step == "projects":
        project = plans.Project.model_validate(node)
        return plans.project(project, project.updated_at)
    if step == "cycles":
        cycle = plans.Cycle.model_validate(node)
        return plans.cycle(cycle, cycle.updated_at)
    label = plans.Labelled.model_validate(node)
    return plans.label(label, label.updated_at)


def issues_read(nodes: Iterable[Mapping[str, Any]]) -> Read:
    """Return the rows of issues and of what is attached to them."""
    rows: list[Fact] = []
    labelled: list[issues.Issue] = []
    oldest: datetime | None = None
    for node in nodes:
        issue = issues.Issue.model_validate(node)
        rows.append(dated(issue, node.get("history")))
        attached = (node.get("attachments") or {}).get("nodes") or ()
        for each in map(talk.Attachment.model_validate, attached):
            rows.append(talk.attached(each, issue.key, each.updated_at))
            oldest = min(oldest or each.updated_at, each.updated_at)
        oldest = min(oldest or issue.updated_at, issue.updated_at)
        if issue.labels:
            labelled.append(issue)
    return Read(tuple(rows), tuple(labelled), oldest)


def dated(issue: issues.Issue, history: Any) -> Fact:
    """Return the row of an issue, with times from its history where it lacks them itself."""
    told = (history or {}).get("nodes") or () if isinstance(history, dict) else ()
    moves = [Move.model_validate(each) for each in told]
    kind = issue.state.type if issue.state else None
    known: dict[str, datetime | None] = {}
    if kind in ("started", "completed"):
        known["started_at"] = issue.started_at or first(moves, "started")
    if kind in ("completed", "canceled"):
        known[f"{kind}_at"] = getattr(issue, f"{kind}_at") or last(moves, kind)
    times = {name: at for name, at in known.items() if at != getattr(issue, name)}
    rank = issues.RICHER if times else issues.KNOWN
    return issues.remembered(issue.model_copy(update=times), issue.updated_at, rank=rank)


def first(moves: Iterable[Move], kind: str) -> datetime | None:
    """Return when an issue first came into a state of a type."""
    return min(into(moves, kind), default=None)


def last(moves: Iterable[Move], kind: str) -> datetime | None:
    """Return when an issue last came into a state of a type."""
    return max(into(moves, kind), default=None)


def into(moves: Iterable[Move], kind: str) -> list[datetime]:
    """Return when an issue came into states of a type."""
    return [each.created_at for each in moves if each.to_state and each.to_state.type == kind]


def links(found: Read, home: str) -> Sequence[Job]:
    """Return that issues are linked to pull requests anew, since the oldest change of a page."""
    return [issues.link_issues(home, found.since)] if found.since else []
