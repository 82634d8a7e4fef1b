"""The engine of synchronisations: what a connector reads, page after page, is kept and counted.

How far it has come is written down with each page's rows in one transaction, so that one that is
killed goes on where it was.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import metrics
from bot.connectors.protocol import Connector, Page, Trouble, Wait, Wish
from bot.jobs import PutOff, Surroundings
from bot.live import publish
from handlers.events import Job
from models.columns import Fact
from models.errors import Refused
from models.missed import happened_at, note_missed
from models.queue import queue
from models.store import remember
from models.syncing import (
    Progress,
    advance_sync,
    begin_sync,
    finish_sync,
    first_done,
    interrupted_sync,
    keep_etags,
    last_done,
    opened_since,
)

OVERLAP = timedelta(hours=1)
"""How much before the last sync the next one begins: clocks differ, and answers come late."""


class Place(BaseModel):
    """Where a sync stands: since when it reads, where in the connector's pages, what may wait.

    `waiting`: jobs as `models.queue` has them, by key, that are queued with the last page.
    """

    since: datetime | None = None
    days: int | None = None
    cursor: str | None = None
    waiting: dict[str, dict[str, object]] = {}


@dataclass
class Sync:
    """One synchronisation under way.

    `heard_since`: from when on webhooks should have told; of a repository that was `opened` to us
    later, from then on.
    """

    connector: Connector
    wish: Wish
    number: int
    place: Place
    heard_since: datetime | None
    opened: Mapping[str, datetime] = field(default_factory=dict)
    trouble: str | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))


async def run_sync(
    surroundings: Surroundings, connector: Connector, wish: Wish, name: str, *, fresh: bool = False
) -> int | None:
    """Read what is wished for, or go on with the same that was interrupted; return its number.

    `name` is how `sync_logs` lists it; one of the same name and repository is gone on with, unless
    a `fresh` one is asked for. None where nothing is connected. Raises `PutOff` where the source
    limits us, and `Refused` where it would not tell; what was read by then is kept.
    """
    sync: Sync | None = None
    try:
        async with connector.authenticate(surroundings, wish.organization_id) as line:
            if line is None:
                return None
            sync = await begun(surroundings, connector, wish, name, fresh=fresh)
            async for page in connector.fetch(line, sync.wish, sync.place.cursor):
                await keep(surroundings, sync, page)
    except Wait as wait:
        raise PutOff(wait.until, str(wait)) from None
    except Trouble as trouble:
        sync = sync or await begun(surroundings, connector, wish, name, fresh=fresh)
        await ended(surroundings, sync, str(trouble), failed=True)
        raise Refused(str(trouble)) from None
    await ended(surroundings, sync, sync.trouble, failed=False)
    return sync.number


async def ended(surroundings: Surroundings, sync: Sync, error: str | None, *, failed: bool) -> None:
    """Write down how a sync ended, count it, and tell open pages."""
    async with surroundings.engine.begin() as db:
        await finish_sync(db, sync.number, error, failed=failed)
    seconds = (datetime.now(UTC) - sync.began_at).total_seconds()
    metrics.synced(sync.connector.name, "failed" if failed else "done", seconds)
    events = ("sync",) if failed else ("sync", "change", "deployment")
    with contextlib.suppress(RedisError, OSError):
        await publish(surroundings.redis, sync.wish.organization_id, *events)


async def begun(
    surroundings: Surroundings, connector: Connector, wish: Wish, name: str, *, fresh: bool
) -> Sync:
    """Go on with the sync that was interrupted today, or begin one."""
    home, source, repository = wish.organization_id, connector.name, wish.repository_id
    async with surroundings.engine.begin() as db:
        first = await first_done(db, home, source)
        opened = await opened_since(db, home)
        unfinished = None
        if not fresh:
            unfinished = await interrupted_sync(db, home, source, name, repository_id=repository)
        place = Place.model_validate_json(unfinished[1]) if unfinished else Place()
        if unfinished and reaches(place, wish):
            number = unfinished[0]
        else:
            place = Place(since=wish.since, days=wish.days)
            told = place.model_dump_json()
            number = await begin_sync(db, home, source, name, repository_id=repository, cursor=told)
    wish = replace(wish, since=place.since, days=place.days)
    return Sync(connector, wish, number, place, first, opened)


def reaches(place: Place, wish: Wish) -> bool:
    """Tell whether what was interrupted reads as far back as is wished for now."""
    return place.since is None or (wish.since is not None and place.since <= wish.since)


async def keep(surroundings: Surroundings, sync: Sync, page: Page) -> None:
    """Keep a page with where the next one begins; its jobs that may wait go with the last one."""
    home = sync.wish.organization_id
    for row in page.rows:
        row.organization_id = row.organization_id or home
    sync.place.cursor = page.cursor
    sync.place.waiting = merged(sync.place.waiting, page.waiting)
    async with surroundings.engine.begin() as db:
        missed = await missed_on(db, sync, page)
        await remember(db, page.rows)
        await queue(db, page.jobs, home)
        if page.cursor is None or page.through:
            await queue(db, [job_of(each) for each in sync.place.waiting.values()], home)
            sync.place.waiting = {}
        await keep_etags(db, home, page.etags)
        told = Progress(page.items, page.calls, missed, page.expected)
        await advance_sync(db, sync.number, sync.place.model_dump_json(), told)
        if page.cursor is None:
            sync.trouble = page.trouble
            await finish_sync(db, sync.number, page.trouble, failed=False)
    metrics.synced_page(sync.connector.name, page.items, missed)
    with contextlib.suppress(RedisError, OSError):
        await publish(surroundings.redis, home, "sync")


async def missed_on(db: AsyncConnection, sync: Sync, page: Page) -> int:
    """Count what a page tells that webhooks had not; nothing before anything was ever read."""
    if sync.heard_since is None:
        return 0
    between = (sync.heard_since, sync.began_at)
    rows = [row for row in page.rows if told_of(sync, row)]
    return await note_missed(db, sync.connector.name, rows, between, sync.number)


def told_of(sync: Sync, row: Fact) -> bool:
    """Tell whether webhooks should have told a row: not what was before we had its repository."""
    since = sync.opened.get(str(getattr(row, "repository_id", None)))
    return since is None or happened_at(row) >= since


def merged(
    known: dict[str, dict[str, object]], jobs: Iterable[Job]
) -> dict[str, dict[str, object]]:
    """Return jobs that wait, one a key: the earliest `since` stays, and none if one has none."""
    found = dict(known)
    for job in jobs:
        before = found.get(job.key)
        since = job.since.isoformat() if job.since else None
        if before is not None:
            since = min(since, str(before["since"])) if since and before["since"] else None
        found[job.key] = {
            "name": job.name,
            "key": job.key,
            "arguments": dict(job.arguments),
            "since": since,
            "lane": job.lane,
        }
    return found


def job_of(told: dict[str, object]) -> Job:
    """Return a job that waited."""
    since = told["since"]
    return Job(
        name=str(told["name"]),
        key=str(told["key"]),
        arguments=dict(told["arguments"]) if isinstance(told["arguments"], dict) else {},
        since=datetime.fromisoformat(since) if isinstance(since, str) else None,
        lane=str(told["lane"]),
    )


async def since_last(
    surroundings: Surroundings, connector: Connector, wish: Wish, names: tuple[str, ...]
) -> Wish:
    """Return a wish for what changed since the last sync of some names; all without one."""
    async with surroundings.engine.connect() as db:
        before = await last_done(
            db, wish.organization_id, connector.name, names, repository_id=wish.repository_id
        )
    return replace(wish, since=before - OVERLAP if before else None)
