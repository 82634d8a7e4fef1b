"""Synchronisations: how each source stands, what was read, and reading it now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.connectors import CONNECTORS
from bot.connectors.protocol import EVERYTHING, Connector, SyncStatus
from bot.jobs.schedule import Order, ordered, orders, parts_of
from bot.queue import SYNC, nudge
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint, invalid
from bot.web.api.listing import Listed, RepositoryListing, page, repository_named
from bot.web.auth import Member
from bot.web.problems import Problem
from models.schedules import households

QUEUED, GOES_ON = "queued", "running"
UNKNOWN = "There is no source {source!r}: it is one of {known}."
NO_PART = "{source} has no part {part!r}: it is one of {known}."
NOT_CONNECTED = "{source} is not connected."
NOTHING_CONNECTED = "No source is connected."
OTHERS = "The repository is one of {theirs}, not of {source}."


class PartStatus(BaseModel):
    """The latest reading of a part. `state`: running, done or failed; `repository`: of one only.

    `items` of `expected` (None: unknown) were read by `calls` requests, and `missed` of them had
    not come by webhook.
    """

    part: str
    state: str
    items: int
    expected: int | None
    calls: int
    missed: int
    error: str | None
    started_at: datetime
    finished_at: datetime | None
    duration_seconds: float
    repository: str | None


class SourceStatus(BaseModel):
    """How a source stands; a time is None where there is none.

    `state`: absent, connected, lacking (see `missing`), running or failed. `parts`: what was read
    last of each; `readable`: what can be asked for. `waiting`, `failed`, `parked` count deliveries
    not settled. `supported_metrics` need what it tells.
    """

    source: str
    state: str
    accounts: list[str]
    last_event_at: datetime | None
    waiting: int
    failed: int
    parked: int
    parts: list[PartStatus]
    readable: list[str]
    next_run_at: datetime | None
    next_full_at: datetime | None
    missing: list[str]
    supported_metrics: list[str]


class Statuses(BaseModel):
    """How every source stands."""

    items: list[SourceStatus]


class Logged(BaseModel):
    """One synchronisation. `part` is what was read, `repository` where it was of one only."""

    id: int
    source: str
    part: str
    repository_id: str | None
    repository: str | None
    state: str
    items: int
    expected: int | None
    calls: int
    missed: int
    error: str | None
    started_at: datetime
    finished_at: datetime | None
    duration_seconds: float | None


class Logs(Listed):
    """A page of synchronisations."""

    items: list[Logged]


class LogListing(RepositoryListing):
    """Which synchronisations."""

    source: Words | None = None


class Wanted(Strict):
    """What to read of a source. `full`: everything, not only what changed since the last time."""

    part: Words = EVERYTHING
    full: bool = False
    repo_id: Words | None = None


class Trigger(Wanted):
    """What to read. `source` None: every one that is connected."""

    source: Words | None = None


class Begun(BaseModel):
    """A job that reads a part of a source. `status`: queued, or running since before."""

    source: str
    part: str
    job: str
    status: Literal["queued", "running"]


class Triggered(BaseModel):
    """What was begun. `status`: running where all of it was going on already."""

    status: Literal["queued", "running"]
    items: list[Begun]


LOGS = """
    select x.id::text as id, x.source, x.name as part, x.repository_id, r.full_name as repository,
           x.state, x.items, x.expected, x.calls, x.missed, x.error, x.started_at, x.finished_at,
           extract(epoch from x.finished_at - x.started_at)::float as duration_seconds,
           x.started_at as at
      from sync_logs x left join repositories r on r.id = x.repository_id
"""


@endpoint("GET", "/sync/status", query=Query, answer=Statuses)
async def sync_status(call: Call, query: Query) -> Statuses:
    """Say how each source stands: what was heard and read last, and what is read next."""
    async with call.engine.connect() as db:
        return Statuses(
            items=[
                told(each, await each.sync_status(db, call.member.organization_id))
                for each in CONNECTORS.values()
            ]
        )


def told(connector: Connector, status: SyncStatus) -> SourceStatus:
    """Return how a source stands, as it is answered."""
    return SourceStatus(
        source=status.source,
        state=status.state,
        accounts=list(status.accounts),
        **status.inbox._asdict(),
        parts=[part(each._asdict()) for each in status.parts],
        readable=list(parts_of(connector)),
        next_run_at=status.next_run_at,
        next_full_at=status.next_full_at,
        missing=list(status.missing),
        supported_metrics=sorted(connector.supported_metrics),
    )


def part(state: dict[str, Any]) -> PartStatus:
    """Return how the reading of a part stands, as it is answered."""
    return PartStatus(duration_seconds=state.pop("seconds"), **state)


@endpoint("GET", "/sync/logs", query=LogListing, answer=Logs)
async def sync_logs(call: Call, query: LogListing) -> Logs:
    """List synchronisations, the newest first."""
    where = "x.organization_id = :organization_id"
    bound = {"organization_id": call.member.organization_id}
    async with call.engine.connect() as db:
        if query.repo_id is not None:
            where += " and x.repository_id = :repository_id"
            bound["repository_id"] = await repository_named(db, call.member, query.repo_id)
        if query.source is not None:
            where, bound["source"] = f"{where} and x.source = :source", query.source
        rows, cursor = await page(db, f"{LOGS} where {where}", query, **bound)
    return Logs(items=[Logged(**row) for row in rows], next_cursor=cursor)


@endpoint(
    "POST",
    "/sync/trigger",
    roles=("manager",),
    query=Query,
    body=Trigger,
    answer=Triggered,
    status=202,
    problems=("409",),
)
async def trigger(call: Call, query: Query, body: Trigger) -> Triggered:
    """Have sources read now; what is being read already is left to it."""
    return await begun(call, body.source, body)


@endpoint(
    "POST",
    "/connectors/{source}/sync",
    roles=("manager",),
    query=Query,
    body=Wanted,
    answer=Triggered,
    status=202,
    problems=("409",),
)
async def sync(call: Call, query: Query, body: Wanted) -> Triggered:
    """Have one source read now."""
    return await begun(call, str(call.path["source"]), body)


async def begun(call: Call, source: str | None, wanted: Wanted) -> Triggered:
    """Queue what is asked for; raise `Problem` where there is no such thing."""
    home = call.member.organization_id
    async with call.engine.begin() as db:
        jobs = await jobs_for(db, call.member, source, wanted)
        fresh, going = await ordered(db, home, jobs)
    await nudge(call.request.app.state.redis, SYNC)
    items = [*(said(each, QUEUED) for each in fresh), *(said(each, GOES_ON) for each in going)]
    return Triggered(status="queued" if fresh else "running", items=items)


def said(order: Order, status: Any) -> Begun:
    """Return what became of an order."""
    return Begun(source=order.source, part=order.part, job=order.job.name, status=status)


async def jobs_for(
    db: AsyncConnection, member: Member, source: str | None, wanted: Wanted
) -> Sequence[Order]:
    """Return the jobs that read what is wanted; raise `Problem` where there is no such thing."""
    home = member.organization_id
    repository = await repository_named(db, member, wanted.repo_id) if wanted.repo_id else None
    if repository is not None:
        theirs = repository.partition(":")[0]
        if source not in (None, theirs):
            detail = OTHERS.format(theirs=theirs, source=source)
            raise invalid([{"field": "source", "detail": detail}])
        source = theirs
    connected = [each for place in await households(db, home) for each in place.sources]
    named = [known(source)] if source is not None else [
        each for name, each in CONNECTORS.items() if name in connected
    ]  # fmt: skip
    for each in named:
        check_part(each, wanted.part)
        if each.name not in connected:
            raise Problem(409, "Conflict", NOT_CONNECTED.format(source=each.title))
    if not named:
        raise Problem(409, "Conflict", NOTHING_CONNECTED)
    return [
        order
        for each in named
        for order in orders(each, home, wanted.part, full=wanted.full, repository_id=repository)
    ]


def known(source: str) -> Connector:
    """Return a connector by its name; raise `Problem` 422 for an unknown one."""
    found = CONNECTORS.get(source)
    if found is None:
        detail = UNKNOWN.format(source=source, known=", ".join(CONNECTORS))
        raise invalid([{"field": "source", "detail": detail}])
    return found


def check_part(connector: Connector, wanted: str) -> None:
    """Raise `Problem` 422 where a source has no such part."""
    parts = [EVERYTHING, *(each for each in parts_of(connector) if each != EVERYTHING)]
    if wanted not in parts:
        detail = NO_PART.format(source=connector.name, part=wanted, known=", ".join(parts))
        raise invalid([{"field": "part", "detail": detail}])
