"""`next`, `develop`, `develop-next`, `queue`, `runs`, `stop`: tickets from the command line."""

import asyncio
import contextlib
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import to_json
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.live import publish
from bot.opening import surrounded, with_store
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.watching import RESTING, STATES, Row, figures, looked_up, screen, watched
from bot.web.api.run_answers import RunSummary, told_of_run, told_of_runs
from bot.web.api.ticket_answers import Ticket, told_of_next, told_of_queue
from models import runs as run_rows
from models.errors import Refused

DONE, NOTHING, FAILED = 0, 1, 3
CODES = {"done": DONE, "draft": DONE, "waiting_approval": DONE, "failed": FAILED, "blocked": FAILED}
ISSUE = re.compile(
    r"(?:https?://[^/]+/)?(?P<name>[\w.-]+/[\w.-]+)(?:#|/issues/)(?P<number>[0-9]{1,9})", re.ASCII
)
NAMED = text("""
    select id, organization_id, full_name from repositories
     where lower(full_name) = lower(:name) or id = :name
     order by id = :name desc, deleted_at is null desc, changed_at desc limit 1
""")
WORKERS = text("""
    select exists (select from pg_stat_activity
                    where datname = current_database() and application_name = :name)
        or exists (select from runs where leased_until > now())
""")
NO_TICKET = "There is no ticket {named!r}. OWNER/NAME#NUMBER makes an issue one."
GOES_ON = "Run {id} goes on: {url}/agent/runs/{id}. Stop it: python -m bot stop {id}"
LET_GO = "Run {id} waits for a worker now. Stop it: python -m bot stop {id}"
HERE = "No worker is running: it is developed in this process."


def show_next(repository: str, *, as_json: bool) -> None:
    """Print which ticket a repository develops next; exit with 1 where none is open."""

    async def ask(store: AsyncEngine, _: Settings) -> Any:
        async with store.connect() as db:
            return await told_of_next(db, (await repository_called(db, repository)).id)

    told = with_store(ask)
    if as_json:
        print_json(told)
    elif told.ticket:
        print_tickets([told.ticket])
    else:
        waiting = "" if not told.total_open_tickets else ": the open ones are being developed"
        typer.echo(f"Nothing to do in {repository}{waiting}.")
    raise typer.Exit(DONE if told.ticket else NOTHING)


def show_queue(repository: str, *, as_json: bool) -> None:
    """Print the open tickets of a repository in their order; exit with 1 where none is open."""

    async def ask(store: AsyncEngine, _: Settings) -> list[Ticket]:
        async with store.connect() as db:
            return await told_of_queue(db, (await repository_called(db, repository)).id)

    queue = with_store(ask)
    if as_json:
        print_json(queue)
    elif queue:
        print_tickets(queue)
    else:
        typer.echo(f"No ticket of {repository} is open.")
    raise typer.Exit(DONE if queue else NOTHING)


def print_tickets(tickets: Sequence[Ticket]) -> None:
    """Print tickets, one a line."""
    for ticket in tickets:
        run = f"  run {ticket.run_id} {ticket.run_state}" if ticket.run_id else ""
        typer.echo(
            f"{ticket.queue_position:>3}  {ticket.priority:8}  {ticket.type:8}  {ticket.id}"
            f"  #{ticket.number} {printable(ticket.title)}{run}"
        )


def show_runs(repository: str | None, limit: int, *, as_json: bool) -> None:
    """Print runs, newest first; exit with 1 where there is none."""

    async def ask(store: AsyncEngine, _: Settings) -> list[RunSummary]:
        async with store.connect() as db:
            where, bound = "true", {}
            if repository:
                where, bound = "x.repository_id = :id", {"id": None}
                bound["id"] = (await repository_called(db, repository)).id
            return [RunSummary(**row) for row in await told_of_runs(db, where, limit, **bound)]

    found = with_store(ask)
    if as_json:
        print_json(found)
    elif found:
        for run in found:
            typer.echo(" · ".join([run_line(run), *figures(run.model_dump())]))
    else:
        typer.echo("There has been no run yet.")
    raise typer.Exit(DONE if found else NOTHING)


def run_line(run: RunSummary) -> str:
    """Say which run it is, of what, and where it is."""
    what = f"{run.repository}#{run.number} {printable(run.title)}"
    return f"{run.id:>4}  {STATES[run.state]:20}  {what}"


def stop(run_id: int) -> None:
    """Stop a run: at once where it waits, else its worker does within seconds."""

    async def ask(store: AsyncEngine, settings: Settings) -> str | None:
        before = await looked_up(store, run_id)
        async with store.begin() as db:
            state = await run_rows.stop(db, run_id, None)
        if state is None:
            raise Refused(f"Run {run_id} has ended: {STATES[before['state']]}.")
        async with surrounded(store, settings) as surroundings:
            with contextlib.suppress(RedisError, OSError):
                await publish(surroundings.redis, before["organization_id"], "run", "ticket")
        return state

    stopped = with_store(ask) == "cancelled"
    typer.echo(f"Run {run_id} {'is stopped' if stopped else 'will stop within seconds'}.")


def develop(named: str, *, wait: bool, here: bool, as_json: bool) -> None:
    """Queue a run for a ticket, and show it until it ends."""
    from bot.agent.tickets import start

    async def queue(surroundings: Surroundings) -> Any:
        ticket_id = await ticket_called(surroundings, named)
        return await start(surroundings, ticket_id)

    carry_out(queue, wait=wait, here=here, as_json=as_json)


def develop_next(repository: str, *, wait: bool, here: bool, as_json: bool) -> None:
    """Queue a run for the ticket that is next in a repository's queue, and show it."""
    from bot.agent.tickets import develop_next as start_next

    async def queue(surroundings: Surroundings) -> Any:
        async with surroundings.engine.connect() as db:
            found = await repository_called(db, repository)
        return await start_next(surroundings, found.id, by_id=None, by_login=None)

    carry_out(queue, wait=wait, here=here, as_json=as_json)


def carry_out(
    queue: Callable[[Surroundings], Awaitable[Any]], *, wait: bool, here: bool, as_json: bool
) -> None:
    """Queue a run and see it through; exit with what it came to."""

    async def do(store: AsyncEngine, settings: Settings) -> int:
        async with surrounded(store, settings) as surroundings:
            started = await queue(surroundings)
            typer.echo(started.words, err=as_json)
            if started.run_id is None:
                return NOTHING
            row: Row | None = None
            if wait:
                row = await seen_through(surroundings, started.run_id, here=here, quiet=as_json)
            if as_json:
                print_json(await whole(store, started.run_id))
            elif row:
                typer.echo(result(row, settings))
            return CODES.get(row["state"], NOTHING) if row else DONE

    raise typer.Exit(with_store(do))


async def whole(store: AsyncEngine, run_id: int) -> Any:
    """Return all that the API says of a run."""
    row = await looked_up(store, run_id)
    async with store.connect() as db:
        return await told_of_run(db, run_id, row["organization_id"])


async def seen_through(surroundings: Surroundings, run_id: int, *, here: bool, quiet: bool) -> Row:
    """Show a run until it rests; where nobody else would, it is carried out in this process.

    A Ctrl-C leaves the run going, or to a worker, and says how to stop it.
    """
    if not here and await nobody_works(surroundings):
        here = True
        typer.echo(HERE, err=True)
    said = (LET_GO if here else GOES_ON).format(id=run_id, url=surroundings.settings.public_url)
    try:
        async with asyncio.TaskGroup() as group:
            if here:
                group.create_task(worked_on(surroundings, run_id))
            with screen(quiet=quiet) as show:
                return await watched(surroundings.engine, run_id, show)
    except asyncio.CancelledError:
        typer.echo(f"\n{said}", err=True)
        raise
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def nobody_works(surroundings: Surroundings) -> bool:
    """Tell whether no worker is there that could take a run up, and this machine could itself."""
    from bot.agent.sandbox import lacks

    name = "worker" if surroundings.settings.redis_address else "web"
    async with surroundings.engine.connect() as db:
        if await db.scalar(WORKERS, {"name": name}):
            return False
    return not await lacks(surroundings.settings)


async def worked_on(surroundings: Surroundings, run_id: int) -> None:
    """Carry runs that are due to their end in this process, until this one has ended."""
    from bot.agent.run import develop_one

    while (await looked_up(surroundings.engine, run_id))["state"] not in RESTING:
        if await develop_one(surroundings) is None:
            await asyncio.sleep(1)


def result(row: Row, settings: Settings) -> str:
    """Say what a run came to, in one line."""
    parts = [f"Run {row['id']}: {STATES[row['state']]}", *figures(row)]
    if row["verdict"]:
        parts.append(f"tests: {row['verdict']}")
    if row["pull_request_number"]:
        path = f"{row['repository']}/pull/{row['pull_request_number']}"
        parts.append(row["pull_request_url"] or f"{settings.github_url}/{path}")
    if row["error"]:
        parts.append(printable(row["error"]))
    return " · ".join(parts)


async def repository_called(db: AsyncConnection, name: str) -> Any:
    """Return a repository by `owner/name` or id; raise `Refused` for an unknown one."""
    found = (await db.execute(NAMED, {"name": name})).first()
    if found is None:
        raise Refused(f"No repository is called {name!r}.")
    return found


async def ticket_called(surroundings: Surroundings, named: str) -> str:
    """Return the id of a ticket by its id, or by its issue, which becomes one where it is not.

    Raises `Refused` where there is neither.
    """
    from bot.agent.tickets import ticket_of_issue

    issue = ISSUE.fullmatch(named)
    async with surroundings.engine.connect() as db:
        if issue is None:
            known = await db.scalar(text("select id from tickets where id = :id"), {"id": named})
            if known is None:
                raise Refused(NO_TICKET.format(named=named))
            return str(known)
        home = await repository_called(db, issue["name"])
    place = (surroundings, home.organization_id, home.id)
    made: str = await ticket_of_issue(*place, int(issue["number"]), source="cli", by_id=None)
    return made


def printable(words: str) -> str:
    """Return words of others without what would steer a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in words)


def print_json(told: BaseModel | Sequence[BaseModel] | None) -> None:
    """Print what the API would answer."""
    sys.stdout.write(to_json(told, indent=2).decode() + "\n")
