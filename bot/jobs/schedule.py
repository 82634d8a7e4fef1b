"""`sync_all`, `sync_source`, and the schedule by which the worker orders both.

A connector is read by jobs of its own where there are any: `sync_<source>_<part>` for its parts,
else `sync_<source>`. One without them is read by `sync_source`, so that a further connector needs
none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.connectors import CONNECTORS
from bot.connectors.protocol import EVERYTHING, Connector, Wish
from bot.jobs import JOBS, Surroundings, job, register
from bot.jobs.syncing import run_sync, since_last
from bot.queue import SYNC
from handlers.events import Job
from handlers.schedules import CHANGES, FULL, last_due
from models.queue import ClaimedJob, queue
from models.schedules import Household, forget_parked, going_on, households, take_slot
from models.syncing import interrupted_sync

REPOSITORY_DAYS = 90
"""How far back a repository is read of which nothing was read before."""


@dataclass(frozen=True)
class Order:
    """A job that reads a part of a source."""

    source: str
    part: str
    job: Job


@job
async def sync_all(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Have every source of an organisation read that is connected and is not being read."""
    home = str(claimed.organization_id)
    async with surroundings.engine.begin() as db:
        for household in await households(db, home):
            await order(db, household, full=bool(claimed.arguments.get("full")))


@job
async def sync_source(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read a source, a part of it, or what it has of one repository."""
    told = claimed.arguments
    wish = Wish(
        str(claimed.organization_id),
        str(told.get("part", EVERYTHING)),
        repository_id=told.get("repository"),
    )
    await read(surroundings, CONNECTORS[str(told["source"])], wish, full=bool(told.get("full")))


async def read(
    surroundings: Surroundings, connector: Connector, wish: Wish, *, full: bool
) -> int | None:
    """Read what changed at a source since the last time, or everything; return the log's number.

    A full reading that was interrupted is gone on with before anything else.
    """
    names = (wish.part,) if wish.part != EVERYTHING else (FULL, CHANGES)
    if not (full or await unread(surroundings, connector.name, wish)):
        wish = await since_last(surroundings, connector, wish, names)
    if wish.since is None and wish.repository_id:
        wish = replace(wish, days=REPOSITORY_DAYS)
    name = names[0] if len(names) == 1 or wish.since is None else CHANGES
    return await run_sync(surroundings, connector, wish, name)


async def unread(surroundings: Surroundings, source: str, wish: Wish) -> bool:
    """Tell whether everything was to be read, and that was interrupted."""
    home, repository = wish.organization_id, wish.repository_id
    async with surroundings.engine.connect() as db:
        found = await interrupted_sync(db, home, source, FULL, repository_id=repository)
    return wish.part == EVERYTHING and found is not None


async def queue_syncs(db: AsyncConnection, now: datetime) -> int:
    """Queue every reading that is due and was not queued yet; return how many jobs.

    What is due is taken in the transaction that queues it, so that two workers queue it once.
    """
    queued = 0
    for household in await households(db):
        taken = [kind for kind in (FULL, CHANGES) if await due(db, household, kind, now)]
        if taken:
            full = FULL in taken and FULL in household.slots
            queued += len(await order(db, household, full=full))
    return queued


async def due(db: AsyncConnection, household: Household, kind: str, now: datetime) -> bool:
    """Tell whether a reading is due that nobody has taken, and take it."""
    at = last_due(kind, now, household.time_zone, household.organization_id)
    known = household.slots.get(kind)
    if known is not None and known >= at.timestamp():
        return False
    return await take_slot(db, household.organization_id, kind, at)


async def order(
    db: AsyncConnection, household: Household, *, full: bool = False
) -> Sequence[Order]:
    """Queue the jobs that read an organisation's sources; what is being read is left alone."""
    home = household.organization_id
    connectors = [CONNECTORS[source] for source in household.sources if source in CONNECTORS]
    wanted = [each for one in connectors for each in orders(one, home, full=full)]
    return (await ordered(db, home, wanted))[0]


async def ordered(
    db: AsyncConnection, home: str, wanted: Iterable[Order]
) -> tuple[Sequence[Order], Sequence[Order]]:
    """Queue jobs; return those that are new, and those that wait or run already."""
    wanted = list(wanted)
    going = await going_on(db, home, (each.job.key for each in wanted))
    fresh = [each for each in wanted if each.job.key not in going]
    await forget_parked(db, home, (each.job.key for each in fresh))
    await queue(db, [each.job for each in fresh], home)
    return fresh, [each for each in wanted if each.job.key in going]


def orders(
    connector: Connector,
    home: str,
    part: str = EVERYTHING,
    *,
    full: bool = False,
    repository_id: str | None = None,
) -> list[Order]:
    """Return the jobs that read a source or a part of it, or what it has of one repository."""
    more: dict[str, object] = {"full": True} if full else {}
    if repository_id is not None:
        more = {"source": connector.name, "part": part, "repository": repository_id, **more}
        return [made(connector.name, part, "sync_source", f"{part}:{repository_id}", more, home)]
    found = [each for each in parts_of(connector) if part in (EVERYTHING, each)]
    return [
        made(connector.name, each, name, "", more, home)
        if (name := job_called(connector.name, each)) in JOBS
        else made(connector.name, each, "sync_source", f"{connector.name}:{each}",
                  {"source": connector.name, "part": each, **more}, home)
        for each in found
    ]  # fmt: skip


def made(
    source: str, part: str, name: str, about: str, arguments: dict[str, object], home: str
) -> Order:
    """Return an order; its key says what is read, so that it is queued once."""
    key = ":".join(each for each in (name, home, about) if each)
    return Order(source, part, Job(name, key=key, arguments=arguments, lane=SYNC))


def parts_of(connector: Connector) -> tuple[str, ...]:
    """Return the parts of a source that are read by a job each; of one without, everything."""
    register()
    alone = tuple(each for each in connector.parts if job_called(connector.name, each) in JOBS)
    return alone or (EVERYTHING,)


def job_called(source: str, part: str) -> str:
    """Return what the job is called that reads a part of a source."""
    return f"sync_{source}" if part == EVERYTHING else f"sync_{source}_{part}"
