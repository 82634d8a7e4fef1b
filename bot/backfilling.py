"""`backfill`: reads the history of one repository here, beside any worker, and shows how far."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clients.github_history import Cost
from bot.connectors.github import NOT_INSTALLED, cost_of
from bot.connectors.protocol import Trouble, Wait
from bot.jobs import PutOff
from bot.jobs.github import read_history
from bot.opening import surrounded, with_store
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.words import clock, count
from handlers.github.installations import backfill
from models.backfilling import Standing, home_of, standings
from models.errors import Refused
from models.queue import queue

LOOK_SECONDS = 0.5
LINE_EVERY = 20
UNKNOWN = "No repository called {name!r} is open to the GitHub App."
LATER = "{why} A worker goes on at {at} by itself."

Place = tuple[str, str]
"""An organisation and one of its repositories, by their ids."""


def backfill_repository(name: str, days: int | None, *, sure: bool) -> None:
    """Read the history of a repository for so many days back; None: all that GitHub keeps.

    Says what it costs first, and asks a person at a terminal who is not `sure`.
    """
    since = datetime.now(UTC) - timedelta(days=days) if days else None

    async def do(store: AsyncEngine, settings: Settings) -> Standing | None:
        async with surrounded(store, settings) as surroundings:
            place = await found(surroundings, name)
            typer.echo(priced(name, days, await cost(surroundings, place, since)))
            if not (sure or agreed()):
                return None
            return await read(surroundings, place, since)

    told = with_store(do)
    if told is None:
        typer.echo("Nothing was read.")
        raise typer.Exit(1)
    typer.echo(f"Read {count(told.items, 'thing')} of {name} by {count(told.calls, 'request')}.")
    if told.says:
        typer.echo(told.says, err=True)


def agreed() -> bool:
    """Ask a person at a terminal; whoever is none has asked by the command itself."""
    return not (sys.stdin.isatty() and sys.stdout.isatty()) or typer.confirm("Read it?")


async def found(surroundings: Surroundings, name: str) -> Place:
    """Return whose repository it is, and which; raise Refused for one that is not open to us."""
    async with surroundings.engine.connect() as db:
        place = await home_of(db, name)
    if place is None:
        raise Refused(UNKNOWN.format(name=name))
    return place


async def cost(surroundings: Surroundings, place: Place, since: datetime | None) -> Cost:
    """Ask GitHub what there is to read; raise Refused where it cannot be asked."""
    try:
        told = await cost_of(surroundings, *place, since)
    except (Wait, Trouble) as error:
        raise Refused(str(error)) from None
    if told is None:
        raise Refused(NOT_INSTALLED)
    return told


def priced(name: str, days: int | None, told: Cost) -> str:
    """Say what there is, and what reading it costs."""
    back = f"of the last {count(days, 'day')}" if days else "in all"
    parts = (
        (told.pull_requests, "pull request"),
        (told.issues, "issue"),
        (told.runs, "workflow run"),
        (told.deployments, "deployment"),
        (told.releases, "release"),
    )
    listed = ", ".join(count(number, noun) for number, noun in parts)
    return f"{name} has {listed} {back}: about {count(told.calls, 'request')} to GitHub."


async def read(surroundings: Surroundings, place: Place, since: datetime | None) -> Standing:
    """Read it here, and show how far it has come; raise Refused where GitHub puts us off."""
    reading = asyncio.create_task(read_history(surroundings, *place, since))
    quietly = not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=quietly) as shown:
        bar = shown.add_task("Reading", total=None)

        def progress(told: Standing) -> None:
            shown.update(bar, completed=told.items, total=told.expected)

        said = Lines(typer.echo) if quietly else None
        while not reading.done():
            await asyncio.wait([reading], timeout=LOOK_SECONDS)
            told = await standing(surroundings, place)
            progress(told)
            if said:
                said.add(told)
    try:
        await reading
    except PutOff as off:
        async with surroundings.engine.begin() as db:
            await queue(db, [backfill(place[1], since)], place[0])
        raise Refused(LATER.format(why=off, at=clock(off.until))) from None
    return await standing(surroundings, place)


class Lines:
    """Says how far reading has come in plain lines, now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.looked = say, 0

    def add(self, told: Standing) -> None:
        """Say it every ten seconds."""
        self.looked += 1
        if self.looked % LINE_EVERY == 0:
            of = f" of about {told.expected}" if told.expected else ""
            self.say(f"{told.items}{of} read by {count(told.calls, 'request')}")


async def standing(surroundings: Surroundings, place: Place) -> Standing:
    """Return how far the repository was read."""
    async with surroundings.engine.connect() as db:
        (told,) = await standings(db, *place)
    return told
