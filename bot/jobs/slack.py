"""What is asked of Slack: channels to join, people, and messages that nobody told us of."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

import models
from bot.clients.slack import RateLimited, Slack, SlackError, slack_for
from bot.jobs import PutOff, Surroundings, job
from handlers.events import Job
from handlers.slack import POSTED, follow, identity_row, message_row
from handlers.slack_payloads import Message, User, time_of
from models.chat import forget_connection_secret
from models.columns import Fact
from models.incident_reading import Reading, incident_settings_of
from models.queue import ClaimedJob, queue
from models.slack import channels_seen, slack_connections
from models.slack_threads import channel_named, message_known, threads_of
from models.store import remember
from models.syncing import Progress, advance_sync, begin_sync, finish_sync

log = structlog.get_logger()


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


@job
async def sync_slack(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read a workspace's channels and people, and join the public channels of the patterns."""
    team_id, home = str(claimed.arguments["team"]), str(claimed.organization_id)
    async with slack_of(surroundings, claimed, team_id) as slack:
        if slack is None:
            return
        async with surroundings.engine.begin() as db:
            number = await begin_sync(db, home, "slack", team_id)
        try:
            items = await synced(surroundings, slack, home)
        except SlackError as error:
            async with surroundings.engine.begin() as db:
                await finish_sync(db, number, str(error))
            raise
        async with surroundings.engine.begin() as db:
            await advance_sync(db, number, None, Progress(items))
            await finish_sync(db, number)


async def synced(surroundings: Surroundings, slack: Slack, home: str) -> int:
    """Remember channels and people, and join; return how many there are."""
    at = datetime.now(UTC)
    listed = await slack.channels()
    async with surroundings.engine.begin() as db:
        reading = await incident_settings_of(db, home)
        before = {channel.id: channel.name for channel in await channels_seen(db, home)}
        rows = [row for each in listed for row in channel_rows(slack.team_id, each, at)]
        await remember(db, owned(rows, home))
        await queue(db, renamed(rows, before, reading), home)
    for each in listed:
        if wanted(each, reading):
            await joined(surroundings, slack, home, each["id"])
    people = await slack.users()
    async with surroundings.engine.begin() as db:
        await remember(db, identities(home, slack.team_id, people, at))
    return len(listed) + len(people)


def wanted(channel: Mapping[str, Any], reading: Reading) -> bool:
    """Tell whether a channel is to be joined: public, alive, of a pattern, and not joined yet."""
    if any(channel.get(name) for name in ("is_private", "is_archived", "is_member")):
        return False
    return reading.reads(str(channel.get("name", "")), str(channel.get("id", "")))


async def joined(surroundings: Surroundings, slack: Slack, home: str, channel_id: str) -> None:
    """Join one channel; one that refuses is written down and left."""
    try:
        await slack.join(channel_id)
    except RateLimited:
        raise
    except SlackError as error:
        log.warning("slack_channel_not_joined", channel=channel_id, says=str(error))
        return
    key = f"slack:{slack.team_id}:{channel_id}"
    async with surroundings.engine.begin() as db:
        await remember(db, owned([aspect(key, "member", datetime.now(UTC), holds=True)], home))


def channel_rows(team_id: str, channel: Mapping[str, Any], at: datetime) -> Iterator[Fact]:
    """Yield what a channel is, as Slack answered at a time."""
    key = f"slack:{team_id}:{channel['id']}"
    yield models.SlackChannel(
        id=key,
        changed_at=at,
        team_id=team_id,
        channel_id=str(channel["id"]),
        name=str(channel.get("name") or channel["id"]),
        private=bool(channel.get("is_private")),
    )
    for name in ("archived", "member"):
        yield aspect(key, name, at, holds=bool(channel.get(f"is_{name}")))


def aspect(channel_key: str, name: str, at: datetime, *, holds: bool) -> models.SlackChannelState:
    """Return whether something holds of a channel, as Slack answered at a time."""
    return models.SlackChannelState(
        id=f"{channel_key}:{name}", changed_at=at, channel_key=channel_key, aspect=name, holds=holds
    )


def owned(rows: Sequence[Fact], home: str) -> Sequence[Fact]:
    """Return rows as those of an organisation."""
    for row in rows:
        row.organization_id = home
    return rows


def renamed(rows: Sequence[Fact], before: Mapping[str, str], reading: Reading) -> Iterator[Job]:
    """Yield that the threads of channels are judged anew whose name was not known."""
    for row in rows:
        if not isinstance(row, models.SlackChannel) or before.get(row.id) == row.name:
            continue
        if row.id in before or reading.reads(row.name, row.channel_id):
            yield judged_anew(row.id)


def judged_anew(channel_key: str) -> Job:
    """Have the threads of a channel judged anew."""
    key = f"follow_channel:{channel_key}"
    return Job("follow_channel", key=key, arguments={"channel": channel_key})


def identities(
    home: str, team_id: str, people: Sequence[Mapping[str, Any]], at: datetime
) -> Sequence[Fact]:
    """Return the accounts of a workspace."""
    users = (User.model_validate(person) for person in people)
    return owned([identity_row(home, team_id, user, at) for user in users], home)


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
        reading = await incident_settings_of(db, home)
    if named is None or named[1] or not reading.reads(named[0], channel_id):
        return
    async with slack_of(surroundings, claimed, team_of(key)) as slack:
        if slack is not None:
            await joined(surroundings, slack, home, channel_id)


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
        rows = list(channel_rows(team_of(key), channel, at))
        await remember(db, owned(rows, home))
        await queue(db, [judged_anew(key)], home)


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
        rows = list(thread_rows(slack, f"slack:{team_id}:{channel_id}", found))
    async with surroundings.engine.begin() as db:
        await remember(db, owned(rows, home))
        await queue(db, [follow(key)], home)


async def worth_fetching(db: AsyncConnection, home: str, key: str, emoji: str) -> bool:
    """Tell whether a reaction means something, in a channel of the patterns, and is on news."""
    reading = await incident_settings_of(db, home)
    if emoji not in (*reading.start_reactions, *reading.resolve_reactions):
        return False
    channel_key = key.rpartition(":")[0]
    named = await channel_named(db, channel_key)
    if named is None or not reading.reads(named[0], channel_key.split(":")[2]):
        return False
    return not await message_known(db, key)


def thread_rows(
    slack: Slack, channel: str, found: Sequence[Mapping[str, Any]]
) -> Iterator[models.SlackMessage]:
    """Yield the messages of a thread as Slack tells them, without our own."""
    for each in found:
        message = Message.model_validate(each)
        own = message.app and message.app == slack.app_id
        if own or (message.user and message.user == slack.bot_user_id):
            continue
        at = time_of(message.edited.ts if message.edited else message.ts)
        yield message_row(channel, message, at, POSTED)


@job
async def forget_slack_token(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Forget the token of a workspace that took the app away."""
    connection_id, home = str(claimed.arguments["connection"]), str(claimed.organization_id)
    async with surroundings.engine.begin() as db:
        for each in await slack_connections(db, home):
            if each.id == connection_id and each.state == "deleted":
                await forget_connection_secret(db, connection_id)
