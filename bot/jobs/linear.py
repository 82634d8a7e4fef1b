"""`sync_linear`: what Linear knows and did not tell, page after page, by the same rows as webhooks.

How far it has come is written down with each page's rows in one transaction, so that one that is
killed goes on where it was.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ValidationError
from redis.exceptions import RedisError

from bot.clients.linear import Linear, LinearError, RateLimited
from bot.clients.linear_queries import LISTS, misread, page, rest_of_issue
from bot.clients.linear_tokens import linear_for
from bot.jobs import PutOff, Surroundings, job
from bot.live import publish
from handlers.events import Job
from handlers.linear import issues, plans, talk
from handlers.linear.payloads import Person, State, Team, Time, Told, identity
from models.columns import Fact
from models.queue import ClaimedJob, queue
from models.store import remember
from models.syncing import (
    Progress,
    advance_sync,
    begin_sync,
    finish_sync,
    interrupted_sync,
    last_done,
)

NESTED = ("labels", "attachments", "history")
OVERLAP = timedelta(hours=1)


class Cursor(BaseModel):
    """Where a sync stands: in which list, after which entry, and since when issues are read."""

    step: str = next(iter(LISTS))
    after: str | None = None
    since: datetime | None = None


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


@asynccontextmanager
async def speaking(
    surroundings: Surroundings, organization_id: str
) -> AsyncIterator[Linear | None]:
    """Open a line for a job; raises `PutOff` where Linear limits us."""
    try:
        async with linear_for(
            surroundings.engine, surroundings.settings, surroundings.vault, organization_id
        ) as linear:
            yield linear
    except RateLimited as limited:
        raise PutOff(limited.until, str(limited)) from None


@job
async def sync_linear(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read a workspace: people, teams, projects, cycles, labels, issues."""
    home = str(claimed.organization_id)
    async with speaking(surroundings, home) as linear:
        if linear is None:
            return
        number, place = await begun(surroundings, home, full=bool(claimed.arguments.get("full")))
        cursor: Cursor | None = place
        try:
            while cursor is not None:
                cursor = await one_page(surroundings, linear, (home, number), cursor)
        except RateLimited:
            raise
        except LinearError as error:
            async with surroundings.engine.begin() as db:
                await finish_sync(db, number, str(error))
            raise
        async with surroundings.engine.begin() as db:
            await finish_sync(db, number)
    with contextlib.suppress(RedisError, OSError):
        await publish(surroundings.redis, home, "change")


async def begun(surroundings: Surroundings, home: str, *, full: bool) -> tuple[int, Cursor]:
    """Go on with the sync that was interrupted today, or begin one; return its number and place."""
    async with surroundings.engine.begin() as db:
        for name in ("full",) if full else ("full", "changes"):
            if unfinished := await interrupted_sync(db, home, "linear", name):
                return unfinished[0], Cursor.model_validate_json(unfinished[1])
        before = None if full else await last_done(db, home, "linear", ("full", "changes"))
        cursor = Cursor(since=before - OVERLAP if before else None)
        name, place = "changes" if before else "full", cursor.model_dump_json()
        number = await begin_sync(db, home, "linear", name, cursor=place)
    return number, cursor


async def one_page(
    surroundings: Surroundings, linear: Linear, sync: tuple[str, int], cursor: Cursor
) -> Cursor | None:
    """Read one page and remember it with where the next one begins; None after the last."""
    home, number = sync
    told = await page(linear, cursor.step, cursor.after, cursor.since)
    if cursor.step == "issues":
        for node in told.nodes:
            await complete(linear, node)
    found = read(cursor.step, told.nodes, home)
    following = next_of(cursor, told.next)
    async with surroundings.engine.begin() as db:
        for row in found.rows:
            row.organization_id = home
        await remember(db, found.rows)
        await queue(db, jobs_of(found, home), home)
        place = (following or cursor).model_dump_json()
        await advance_sync(db, number, place, Progress(len(told.nodes)))
    return following


def next_of(cursor: Cursor, after: str | None) -> Cursor | None:
    """Return the place after a page: in the same list, in the next one, or None at the end."""
    if after is not None:
        return cursor.model_copy(update={"after": after})
    steps = list(LISTS)
    place = steps.index(cursor.step) + 1
    if place == len(steps):
        return None
    return cursor.model_copy(update={"step": steps[place], "after": None})


async def complete(linear: Linear, node: dict[str, Any]) -> None:
    """Ask for the labels, attachments and history of an issue that has more than a page shows."""
    more = [name for name in NESTED if has_more(node.get(name))]
    if more:
        whole = await rest_of_issue(linear, str(node["id"]))
        node |= {name: whole[name] for name in more if name in whole}


def has_more(connection: Any) -> bool:
    """Tell whether a list goes on beyond what was told."""
    info = connection.get("pageInfo") if isinstance(connection, dict) else None
    return isinstance(info, dict) and bool(info.get("hasNextPage"))


def read(step: str, nodes: Iterable[Mapping[str, Any]], home: str) -> Read:
    """Return what a page says; raise `LinearError` for one that is not as documented."""
    try:
        if step == "issues":
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


def jobs_of(found: Read, home: str) -> list[Job]:
    """Return what follows from a page of issues: links, and incidents to look at."""
    if found.since is None:
        return []
    followed = [issues.follow_incident(issue) for issue in found.labelled]
    return [issues.link_issues(home, found.since), *followed]
