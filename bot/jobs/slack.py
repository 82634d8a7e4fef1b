"""What is asked of Slack: channels to join, people, and messages that nobody told us of."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.slack import RateLimited, Slack, slack_for
from bot.connectors import slack as reading
from bot.connectors.protocol import Wish
from bot.jobs import PutOff, Surroundings, job
from bot.jobs.syncing import run_sync, since_last
from handlers.slack import follow
from handlers.slack_history import Bot, past, said_row
from models.chat import forget_connection_secret
from models.columns import Fact
from models.incident_reading import incident_settings_of
from models.queue import ClaimedJob, queue
from models.schedules import going_on
from models.slack import slack_connections
from models.slack_threads import channel_named, message_known, threads_of
from models.store import remember


def team_of(key: str) -> str:
    """Return the workspace of a key (`slack:T1:C1`)."""
    return key.split(":")[1]


@contextmanager
def put_off() -> Iterator[None]:
    """Put a job off where Slack asks to wait."""
    try:
        yield
    except RateLimited as limited:
        raise PutOff(limited.until, str(limited)) from None


@asynccontextmanager
async def slack_of(
    surroundings: Surroundings, claimed: ClaimedJob, team_id: str
) -> AsyncIterator[Slack | None]:
    """Open a line to a workspace of the job's organisation; None where there is no token."""
    home = str(claimed.organization_id)
    store, vault = surroundings.engine, surroundings.vault
    with put_off():
        async with slack_for(store, surroundings.settings, vault, home, team_id) as slack:
            yield slack


def owned(rows: Sequence[Fact], home: str) -> Sequence[Fact]:
    """Return rows as those of an organisation."""
    for row in rows:
        row.organization_id = home
    return rows


@job
async def sync_slack(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read a workspace: channels, which are joined, people, and what was said of incidents.

    Without the argument `team`: every workspace that is connected, each by a job of its own.
    `full`: the last 7 days, not only what was said since the last time.
    """
    home = str(claimed.organization_id)
    team_id, full = claimed.arguments.get("team"), bool(claimed.arguments.get("full"))
    if team_id is None:
        async with surroundings.engine.begin() as db:
            jobs = [reading.sync_job(team, full=full) for team in await reading.teams_of(db, home)]
            going = await going_on(db, home, (each.key for each in jobs))
            await queue(db, [each for each in jobs if each.key not in going], home)
        return
    async with surroundings.engine.connect() as db:
        if team_id not in await reading.teams_of(db, home):
            return
    wish = Wish(home, account=team_id)
    if not full:
        wish = await since_last(surroundings, reading, wish, (team_id,))
    await run_sync(surroundings, reading, wish, team_id)


@job
async def follow_channel(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Judge the threads of a channel anew, since what it is called decides."""
    async with surroundings.engine.begin() as db:
        threads = await threads_of(db, str(claimed.arguments["channel"]))
        await queue(db, [follow(thread) for thread in threads], claimed.organization_id)


@job
async def join_channel(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Join a public channel that is new, or newly named, where it fits the patterns."""
    key, home = str(claimed.arguments["channel"]), str(claimed.organization_id)
    channel_id = key.split(":")[2]
    async with surroundings.engine.connect() as db:
        named = await channel_named(db, key)
        settings = await incident_settings_of(db, home)
    if named is None or named[1] or not settings.reads(named[0], channel_id):
        return
    async with slack_of(surroundings, claimed, team_of(key)) as slack:
        if slack is None:
            return
        rows = await reading.joined(slack, channel_id)
    async with surroundings.engine.begin() as db:
        await remember(db, owned(rows, home))


@job
async def learn_channel(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Learn what a channel is called into which our bot was invited."""
    key, home = str(claimed.arguments["channel"]), str(claimed.organization_id)
    async with slack_of(surroundings, claimed, team_of(key)) as slack:
        if slack is None:
            return
        at = datetime.now(UTC)
        channel = await slack.channel(key.split(":")[2])
    if not channel.get("id"):
        return
    async with surroundings.engine.begin() as db:
        rows = list(reading.channel_rows(team_of(key), channel, at))
        await remember(db, owned(rows, home))
        await queue(db, [reading.judged_anew(key)], home)


@job
async def fetch_message(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Fetch the thread of a message that somebody marked and that nobody told us of."""
    key, home = str(claimed.arguments["message"]), str(claimed.organization_id)
    async with surroundings.engine.connect() as db:
        if not await worth_fetching(db, home, key, str(claimed.arguments["emoji"])):
            return
    _, team_id, channel_id, ts = key.split(":")
    async with slack_of(surroundings, claimed, team_id) as slack:
        if slack is None:
            return
        found = await slack.thread(channel_id, ts)
        told = past(found, Bot(slack.bot_user_id, slack.app_id))
        rows = [said_row(f"slack:{team_id}:{channel_id}", each) for each in told]
    async with surroundings.engine.begin() as db:
        await remember(db, owned(rows, home))
        await queue(db, [follow(key)], home)


async def worth_fetching(db: AsyncConnection, home: str, key: str, emoji: str) -> bool:
    """Tell whether a reaction means something, in a channel of the patterns, and is on news."""
    settings = await incident_settings_of(db, home)
    if emoji not in (*settings.start_reactions, *settings.resolve_reactions):
        return False
    channel_key = key.rpartition(":")[0]
    named = await channel_named(db, channel_key)
    if named is None or not settings.reads(named[0], channel_key.split(":")[2]):
        return False
    return not await message_known(db, key)


@job
async def forget_slack_token(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Forget the token of a workspace that took the app away."""
    connection_id, home = str(claimed.arguments["connection"]), str(claimed.organization_id)
    async with surroundings.engine.begin() as db:
        for each in await slack_connections(db, home):
            if each.id == connection_id and each.state == "deleted":
                await forget_connection_secret(db, connection_id)
