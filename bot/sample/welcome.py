"""The last process of `demo` and `dev`: waits for the app, tells the story, says where to look."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.agent.sandbox import lacks
from bot.sample.connecting import connect_sample
from bot.sample.deliver import DELIVERIES
from bot.sample.replay import replay
from bot.sample.staging import Stage
from bot.sample.story import story
from bot.settings import Settings, load
from bot.web.accounts import create_user
from bot.web.sessions import sign_in_link
from models.organizations import OrganizationSettings
from models.store import engine

PATIENCE_SECONDS = 60
LINK_MINUTES = 60
PERSON = "you@localhost"
ARRIVAL = 2
"""The first deliveries: a ping, and the installation that founds the organisation."""

SAMPLE, SAMPLE_ZONE = "acme", "Europe/Berlin"

WAITING = text("""
    select (select count(*) from deliveries where status in ('received', 'failed'))
         + (select count(*) from jobs where lane = 'ingest' and status in ('waiting', 'running'))
""")

MEASURED_IN = text("""
    insert into organization_settings (organization_id, time_zone, level_edition)
    select id, :zone, :edition from organizations where login = :login
        on conflict (organization_id) do nothing
""")


async def welcome(settings: Settings) -> None:
    """Wait until the app answers, replay the sample if there is one, print the way in."""
    await until(lambda: answers(settings), "the web process did not start")
    opened = engine(settings.postgres_url, pool_size=2, name="welcome")
    try:
        if settings.sample_data:
            await tell(settings, opened)
        async with opened.begin() as db:
            organization = SAMPLE if settings.sample_data else None
            if organization:
                await measure_at_home(db, organization)
            user = await create_user(db, PERSON, name="You", admin=True, organization=organization)
            token = await sign_in_link(db, user, minutes=LINK_MINUTES)
    finally:
        await opened.dispose()
    say(settings, token)
    if settings.sample_data:
        await ask_for_work(settings)


async def ask_for_work(settings: Settings) -> None:
    """Have one ticket developed before the reader's eyes; without a sandbox say what is missing."""
    missing = await lacks(settings)
    for lack in missing:
        typer.echo(f"No ticket is developed here: {lack.what} {lack.mend}")
    asked = {} if missing else {"develop": "1"}
    await until(lambda: asked_for(settings, asked), "the stand-in for GitHub did not start")
    if not missing:
        typer.echo(f"A ticket developed live, by a scripted model: {settings.public_url}/agent")


async def asked_for(settings: Settings, asked: dict[str, str]) -> bool:
    """Have the stand-in for GitHub label its issues; False while it does not answer."""
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            await client.post(f"{settings.github_api_url}/demo/ask", params=asked)
    except httpx.ConnectError:
        return False
    return True


async def measure_at_home(db: AsyncConnection, login: str) -> None:
    """Give the sample its time zone, unless its admins have said how to measure."""
    edition = OrganizationSettings.model_fields["level_edition"].default
    await db.execute(MEASURED_IN, {"login": login, "zone": SAMPLE_ZONE, "edition": edition})


def say(settings: Settings, token: str) -> None:
    """Print where to look, and how to stop."""
    typer.echo("")
    typer.echo(f"Veelocity is at {settings.public_url}")
    typer.echo(f"Sign in once, within the hour: {settings.public_url}/sign-in/{token}")
    if settings.sample_data:
        typer.echo("It shows sample data. Send one more signed delivery and watch the page change:")
        for name in DELIVERIES:
            typer.echo(f"  .venv/bin/python -m bot.sample.deliver {name}")
    else:
        typer.echo(f"To connect GitHub, sign in and open {settings.public_url}/setup")
    typer.echo("Ctrl-C stops everything; the data stays.")


async def tell(settings: Settings, opened: AsyncEngine) -> None:
    """Replay the story as signed deliveries, unless that was done at an earlier start."""
    stage = Stage(settings.veelocity_home)
    noted = stage.note()
    if noted.told:
        return
    typer.echo("Writing 180 days of a sample organisation …")
    deliveries = story(noted.seed, noted.until).everything
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        delivering = progress.add_task("Delivering, signed", total=len(deliveries))
        counts = await replay(deliveries[:ARRIVAL], settings.local_url, secrets_of(settings))
        await until(lambda: connected(opened), "the sample's organisation did not appear")
        counts += await replay(
            deliveries[ARRIVAL:],
            settings.local_url,
            secrets_of(settings),
            on_progress=lambda done: progress.update(delivering, completed=done + ARRIVAL),
        )
        total = len(deliveries)
        bar = progress.add_task("Settling", total=total)
        await until(
            lambda: settled(opened, lambda left: progress.update(bar, completed=total - left)),
            "the deliveries were not settled",
            seconds=600,
        )
    refused = sum(count for status, count in counts.items() if status not in (200, 202))
    if refused:
        typer.echo(f"{refused} deliveries were refused: {counts}", err=True)
    stage.keep(noted.model_copy(update={"told": True}))


async def connected(opened: AsyncEngine) -> bool:
    """Tie the sample's Slack and Linear to it; False while nobody has installed the app."""
    async with opened.begin() as db:
        return await connect_sample(db, SAMPLE)


def secrets_of(settings: Settings) -> dict[str, str]:
    """Return what each source signs with."""
    return {
        "github": settings.webhook_secrets[0],
        "slack": settings.slack_signing_secret.get_secret_value(),
        "linear": settings.linear_webhook_secret.get_secret_value(),
    }


async def answers(settings: Settings) -> bool:
    """Tell whether the web process is ready."""
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{settings.local_url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def settled(opened: AsyncEngine, progress: Callable[[int], None]) -> bool:
    """Tell whether nothing waits any more."""
    async with opened.connect() as db:
        left = await waiting(db)
    progress(left)
    return left == 0


async def waiting(db: AsyncConnection) -> int:
    """Count deliveries and jobs that wait."""
    return int((await db.execute(WAITING)).scalar_one())


async def until(
    ready: Callable[[], Awaitable[bool]], otherwise: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait for something to become true; raise TimeoutError with words when it does not."""
    deadline = time.monotonic() + seconds
    while not await ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {seconds:.0f} seconds")
        await asyncio.sleep(0.1)


async def until_stopped(settings: Settings) -> None:
    """Welcome; when told to stop, end in order: a progress bar shows the cursor again."""
    running = asyncio.ensure_future(welcome(settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main() -> None:
    """Run beside web and worker, and end."""
    try:
        asyncio.run(until_stopped(load()))
    except TimeoutError as error:
        sys.exit(f"There is no way in yet: {error}. Stop with Ctrl-C and start again.")


if __name__ == "__main__":
    main()
