"""`sync`: have sources read now, and show what is read until it is."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.connectors import CONNECTORS
from bot.jobs import work
from bot.jobs.schedule import Order, ordered, orders
from bot.opening import surrounded, with_store
from bot.queue import INGEST, SYNC, nudge
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.words import count, duration
from models.errors import Refused
from models.schedules import households

DONE, NOTHING, FAILED = 0, 1, 3
POLL_SECONDS = 0.3
Row = dict[str, Any]

NAMED = text("""
    select id, organization_id from repositories
     where (lower(full_name) = lower(:name) or id = :name) and deleted_at is null
       and (cast(:home as text) is null or organization_id = :home)
     order by id = :name desc, changed_at desc limit 1
""")
ORGANIZATION = text("""
    select id from organizations where lower(login) = lower(:name) or id = :name limit 1
""")
WORKERS = text("""
    select exists (select from pg_stat_activity
                    where datname = current_database() and application_name = :name)
""")
NEWEST_LOG = text("select coalesce(max(id), 0) from sync_logs")
# A reading that was interrupted goes on under its old number.
LOGS = text("""
    select s.id, o.login as organization, s.source, s.name as part, r.full_name as repository,
           s.state, s.items, s.expected, s.calls, s.missed, s.error, s.started_at, s.finished_at,
           extract(epoch from coalesce(s.finished_at, now()) - s.started_at)::float
               as duration_seconds
      from sync_logs s
      left join organizations o on o.id = s.organization_id
      left join repositories r on r.id = s.repository_id
     where s.organization_id = any(:homes) and (s.id > :before or s.id = any(:running))
     order by s.id
""")
RUNNING = text("select id from sync_logs where state <> 'done' and organization_id = any(:homes)")
GOING = text("""
    select key, status, error from jobs
     where organization_id = any(:homes) and lane = :lane and status in ('waiting', 'running')
       and (key = any(:keys) or name = any(:names))
     order by id
""")
HERE = "No worker is running: it is read in this process."
NO_REPOSITORY = "No repository is called {name!r}."
NO_ORGANIZATION = "No organisation is called {name!r}."
NO_SOURCE = "--source is one of {known}"
NOT_CONNECTED = "{what} is not connected."
NOTHING_CONNECTED = "No source is connected: connect one on Settings."


class Show(Protocol):
    """Shows how far readings have come."""

    def __call__(self, rows: Sequence[Row]) -> None:
        """Show the readings as they stand."""


@dataclass(frozen=True)
class Asked:
    """What is to be read; None: all of it. `full`: everything, not only what changed."""

    repository: str | None = None
    organization: str | None = None
    source: str | None = None
    full: bool = False


def sync(asked: Asked, *, as_json: bool) -> None:
    """Have sources read, and show it until it is done; exit with what it came to."""
    if asked.source is not None and asked.source not in CONNECTORS:
        raise typer.BadParameter(NO_SOURCE.format(known=", ".join(CONNECTORS)))

    async def do(store: AsyncEngine, settings: Settings) -> tuple[int, list[Row]]:
        async with surrounded(store, settings) as surroundings:
            return await carried_out(surroundings, asked, quiet=as_json)

    code, rows = with_store(do)
    if as_json:
        sys.stdout.write(to_json(rows, indent=2).decode() + "\n")
    else:
        for row in rows:
            typer.echo(result(row))
    raise typer.Exit(code)


async def carried_out(
    surroundings: Surroundings, asked: Asked, *, quiet: bool
) -> tuple[int, list[Row]]:
    """Queue the jobs and see them through; return the exit code, and what was read."""
    engine = surroundings.engine
    async with engine.begin() as db:
        wanted = await asked_for(db, asked)
        homes = list(wanted)
        before = int(await db.scalar(NEWEST_LOG) or 0)
        running = list((await db.execute(RUNNING, {"homes": homes})).scalars())
        for home, found in wanted.items():
            for each in (await ordered(db, home, found))[1]:
                typer.echo(f"{called(vars(each))} is being read already.", err=True)
    await nudge(surroundings.redis, SYNC)
    jobs = [each.job for found in wanted.values() for each in found]
    keys, names = [job.key for job in jobs], sorted({job.name for job in jobs})
    bound = {"homes": homes, "lane": SYNC, "keys": keys, "names": names}
    logged = {"homes": homes, "before": before, "running": running}
    troubles = await seen_through(surroundings, bound, logged, quiet=quiet)
    async with engine.connect() as db:
        rows = [dict(row) for row in (await db.execute(LOGS, logged)).mappings()]
    rows = [row for row in rows if row["id"] > before or row["state"] == "done"]
    for trouble in troubles:
        typer.echo(trouble, err=True)
    failed = troubles or any(row["state"] == "failed" for row in rows)
    return (FAILED if failed else DONE if rows else NOTHING), rows


async def asked_for(db: AsyncConnection, asked: Asked) -> dict[str, list[Order]]:
    """Return the jobs that read what is asked for, by organisation; raise `Refused` for none."""
    home, repository_id = await scope_of(db, asked)
    source = asked.source or (repository_id.partition(":")[0] if repository_id else None)
    wanted: dict[str, list[Order]] = {}
    for household in await households(db, home):
        found = [
            order
            for each in household.sources
            if each in CONNECTORS and source in (None, each)
            for order in orders(
                CONNECTORS[each],
                household.organization_id,
                full=asked.full,
                repository_id=repository_id,
            )
        ]
        if found:
            wanted[household.organization_id] = found
    if not wanted:
        title = CONNECTORS[source].title if source and source in CONNECTORS else source
        raise Refused(NOT_CONNECTED.format(what=title) if source else NOTHING_CONNECTED)
    return wanted


async def scope_of(db: AsyncConnection, asked: Asked) -> tuple[str | None, str | None]:
    """Return the organisation and the repository that are asked for; None means all."""
    home: str | None = None
    if asked.organization is not None:
        home = await db.scalar(ORGANIZATION, {"name": asked.organization})
        if home is None:
            raise Refused(NO_ORGANIZATION.format(name=asked.organization))
    if asked.repository is None:
        return home, None
    found = (await db.execute(NAMED, {"name": asked.repository, "home": home})).first()
    if found is None:
        raise Refused(NO_REPOSITORY.format(name=asked.repository))
    return found.organization_id, found.id


async def seen_through(
    surroundings: Surroundings, bound: Row, logged: Row, *, quiet: bool
) -> list[str]:
    """Show readings until their jobs have ended; return the troubles of those that did not.

    Where no worker is there, the jobs are done in this process.
    """
    here = await nobody_works(surroundings)
    if here:
        typer.echo(HERE, err=True)
    with shown(quiet=quiet) as show:
        while True:
            if here:
                await work(surroundings, SYNC, 4)
            async with surroundings.engine.connect() as db:
                rows = (await db.execute(LOGS, logged)).mappings().all()
                going = (await db.execute(GOING, bound)).all()
            show([dict(row) for row in rows])
            if all(each.status == "waiting" and each.error for each in going):
                break
            await asyncio.sleep(POLL_SECONDS)
    while here and await work(surroundings, INGEST, 4):
        pass
    return [str(each.error) for each in going]


async def nobody_works(surroundings: Surroundings) -> bool:
    """Tell whether no worker is there that could do the jobs."""
    name = "worker" if surroundings.settings.redis_address else "web"
    async with surroundings.engine.connect() as db:
        return not await db.scalar(WORKERS, {"name": name})


@contextmanager
def shown(*, quiet: bool) -> Iterator[Show]:
    """Yield what shows readings: bars on a terminal, else nothing before the end."""
    if quiet or not sys.stderr.isatty():
        yield lambda rows: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        known: dict[int, Any] = {}

        def show(rows: Sequence[Row]) -> None:
            for row in rows:
                if row["id"] not in known:
                    known[row["id"]] = bars.add_task(called(row), total=None)
                over = row["state"] == "done"
                total = row["items"] if over else row["expected"]
                bars.update(known[row["id"]], completed=row["items"], total=total)

        yield show


def called(row: Row) -> str:
    """Say what a reading is of."""
    told = (row["source"], row["part"], row.get("repository"))
    return " ".join(str(each) for each in told if each)


def result(row: Row) -> str:
    """Say what a reading came to, in one line."""
    parts = [f"{called(row)}: {row['state']}", count(row["items"], "thing"),
             count(row["calls"], "request"), duration(row["duration_seconds"])]  # fmt: skip
    if row["missed"]:
        parts.append(f"{count(row['missed'], 'thing')} had not come by webhook")
    if row["error"]:
        parts.append(str(row["error"]))
    return " · ".join(parts)
