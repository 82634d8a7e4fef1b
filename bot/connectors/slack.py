"""Slack as a connector: channels, people, and what was said in the channels of the patterns.

Of what was said only incidents are kept, as with events (`handlers.slack_history`). What history
does not tell is not found: messages that were deleted, reactions that were taken away, and answers
to threads that are no incident.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

import models
from bot.clients.slack import RateLimited, Slack, SlackError, slack_for
from bot.clients.slack_scopes import SCOPES
from bot.connectors import status
from bot.connectors.protocol import (
    EVERYTHING,
    Condition,
    Page,
    SyncStatus,
    Trouble,
    Wait,
    Wish,
    in_words,
)
from bot.queue import SYNC
from bot.surroundings import Surroundings
from handlers.events import Job
from handlers.slack import follow, identity_row
from handlers.slack_history import Bot, Past, marks_of, opens, past, said_row
from handlers.slack_payloads import User
from models.chat import connection_secret
from models.columns import Fact
from models.errors import Refused
from models.incident_reading import Reading, fits, incident_settings_of
from models.slack import ChannelSeen, channels_seen, slack_connections
from models.slack_threads import incident_threads, incidents_among, marks_on

log = structlog.get_logger()

name: str = "slack"
title: str = "Slack"
parts: tuple[str, ...] = (EVERYTHING,)
supported_metrics: frozenset[str] = frozenset({"time-to-restore", "change-failure-rate"})

FIRST_DAYS = 7
FOLLOWED = timedelta(days=30)
CHANNELS, PEOPLE, TALK, THREADS = "channels", "people", "talk", "threads"
UNHEARD = ("channel_not_found", "not_in_channel", "is_archived")
GONE = ("thread_not_found", *UNHEARD)
NOTHING = "No workspace of Slack is connected with a token."


class Place(BaseModel):
    """Where a sync stands: in which workspace and step, what is `passed`, what is being read.

    `passed`: the last channel or thread that was read to its end; `at` and `after`: a channel that
    is not, and Slack's cursor in it.
    """

    team: str
    step: str = CHANNELS
    passed: str = ""
    at: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class Line:
    """The workspaces of an organisation that are connected with a token, by their ids."""

    surroundings: Surroundings
    organization_id: str
    teams: Sequence[str]

    @asynccontextmanager
    async def to(self, team_id: str) -> AsyncIterator[Slack | None]:
        """Open a line to one workspace."""
        near = self.surroundings
        place = (near.engine, near.settings, near.vault, self.organization_id, team_id)
        async with slack_for(*place) as slack:
            yield slack


@asynccontextmanager
async def authenticate(
    surroundings: Surroundings, organization_id: str
) -> AsyncIterator[Line | None]:
    """Find the workspaces of an organisation; None where none has a token."""
    async with surroundings.engine.connect() as db:
        teams = await teams_of(db, organization_id)
    with in_words(Refused):
        yield Line(surroundings, organization_id, teams) if teams else None


async def teams_of(db: AsyncConnection, organization_id: str) -> list[str]:
    """List the workspaces of an organisation that we have a token of, by their ids."""
    return sorted([
        each.external_id
        for each in await slack_connections(db, organization_id)
        if each.state == "active" and await connection_secret(db, each.id)
    ])  # fmt: skip


def sync_job(team_id: str, *, full: bool = False) -> Job:
    """Have a workspace read; `full`: the last 7 days, not only since the last time."""
    arguments = {"team": team_id, **({"full": True} if full else {})}
    return Job("sync_slack", key=f"sync_slack:{team_id}", arguments=arguments, lane=SYNC)


async def test_connection(surroundings: Surroundings, organization_id: str) -> Condition:
    """Ask Slack whose token it is, of every workspace."""
    try:
        async with authenticate(surroundings, organization_id) as line:
            if line is None:
                return Condition(connected=False, says=NOTHING)
            told = [await asked(line, team) for team in line.teams]
    except (Wait, Trouble) as error:
        return Condition(connected=False, says=str(error))
    names = ", ".join(name for name, _ in told)
    missing = sorted({scope for _, scopes in told for scope in SCOPES if scope not in scopes})
    return Condition(connected=True, says=f"Slack answers for {names}.", missing=tuple(missing))


async def asked(line: Line, team_id: str) -> tuple[str, Sequence[str]]:
    """Return a workspace's name, and what its token may do."""
    async with line.to(team_id) as slack:
        if slack is None:
            raise Trouble(NOTHING)
        told = await slack.workspace()
        return told.name, told.scopes


async def fetch(line: Line, wish: Wish, cursor: str | None) -> AsyncIterator[Page]:
    """Read workspace after workspace: its channels, its people, what was said, open threads."""
    teams = [team for team in line.teams if wish.account in (None, team)]
    begun = Place.model_validate_json(cursor) if cursor else None
    for team in teams:
        if begun and team < begun.team:
            continue
        following = next((each for each in teams if each > team), None)
        place = begun if begun and begun.team == team else Place(team=team)
        async with line.to(team) as slack:
            if slack is not None:
                async for page in Reader(line, slack, wish).pages(place):
                    yield page
        yield Page(cursor=Place(team=following).model_dump_json() if following else None)


async def sync_status(db: AsyncConnection, organization_id: str) -> SyncStatus:
    """Say how reading Slack stands, and what keeps it from hearing."""
    seen = await channels_seen(db, organization_id)
    reading = await incident_settings_of(db, organization_id)
    missing = []
    if patterns := ", ".join(f"#{pattern}" for pattern in unheard(seen, reading)):
        missing.append(f"The bot is in no channel that fits {patterns}: /invite it.")
    for each in await slack_connections(db, organization_id):
        lacking = [scope for scope in SCOPES if scope not in each.permissions]
        if each.state == "active" and lacking and await connection_secret(db, each.id):
            missing.append(f"{each.account_login} did not grant {', '.join(lacking)}.")
    return await status.sync_status(db, organization_id, name, missing)


def unheard(seen: Sequence[ChannelSeen], reading: Reading) -> list[str]:
    """List the patterns that fit no channel our bot is in."""
    heard = [each for each in seen if each.member and not each.archived]
    return [
        pattern
        for pattern in reading.channels
        if not any(fits(pattern, each.name) or pattern == each.channel_id for each in heard)
    ]


@dataclass
class Reader:
    """One workspace that is being read. `counted`: the requests that pages have told of."""

    line: Line
    slack: Slack
    wish: Wish
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    counted: int = 0

    @property
    def home(self) -> str:
        """The organisation."""
        return self.line.organization_id

    @property
    def since(self) -> datetime:
        """From when on messages are read."""
        return self.wish.since or self.now - timedelta(days=self.wish.days or FIRST_DAYS)

    @property
    def bot(self) -> Bot:
        """Our own bot."""
        return Bot(self.slack.bot_user_id, self.slack.app_id)

    async def pages(self, place: Place) -> AsyncIterator[Page]:
        """Yield page after page, from a place on."""
        if place.step == CHANNELS:
            place = place.model_copy(update={"step": PEOPLE})
            yield await self.channels(place)
        if place.step == PEOPLE:
            place = place.model_copy(update={"step": TALK})
            yield await self.people(place)
        if place.step == TALK:
            async for page in self.talk(place):
                yield page
            place = Place(team=place.team, step=THREADS)
        async for page in self.threads(place):
            yield page

    def page(
        self, place: Place, rows: Sequence[Fact], jobs: Sequence[Job] = (), items: int = 0
    ) -> Page:
        """Return a page, after which the next one is at a place."""
        calls, self.counted = self.slack.pace.calls - self.counted, self.slack.pace.calls
        return Page(place.model_dump_json(), rows, jobs, items=items, calls=calls)

    async def channels(self, following: Place) -> Page:
        """Read the channels there are, and join the public ones of the patterns."""
        listed = await self.slack.channels()
        async with self.line.surroundings.engine.connect() as db:
            reading = await incident_settings_of(db, self.home)
            before = {channel.id: channel.name for channel in await channels_seen(db, self.home)}
        rows = [row for each in listed for row in channel_rows(self.slack.team_id, each, self.now)]
        rows += [row for each in listed if wanted(each, reading)
                 for row in await joined(self.slack, str(each["id"]))]  # fmt: skip
        return self.page(following, rows, list(renamed(rows, before, reading)), len(listed))

    async def people(self, following: Place) -> Page:
        """Read who belongs to the workspace."""
        told = await self.slack.users()
        rows = list(identities(self.home, self.slack.team_id, told, self.now))
        return self.page(following, rows, items=len(told))

    async def talk(self, place: Place) -> AsyncIterator[Page]:
        """Read what was said in channel after channel; one that cannot be read is left out."""
        async with self.line.surroundings.engine.connect() as db:
            reading = await incident_settings_of(db, self.home)
            channels = [each for each in await channels_seen(db, self.home)
                        if self.hears(each, reading)]  # fmt: skip
        for channel in sorted(channels, key=lambda each: each.channel_id):
            if channel.channel_id <= place.passed:
                continue
            after = place.after if place.at == channel.channel_id else None
            while True:
                try:
                    told, after = await self.slack.history(channel.channel_id, self.since, after)
                except SlackError as error:
                    if error.code not in UNHEARD:
                        raise
                    log.warning("slack_channel_unread", channel=channel.id, says=str(error))
                    break
                rows, jobs = await self.incidents(channel, past(told, self.bot), reading)
                yield self.page(self.after(place, channel, after), rows, jobs, len(told))
                if after is None:
                    break

    def hears(self, channel: ChannelSeen, reading: Reading) -> bool:
        """Tell whether a channel is one whose messages count: ours, of a pattern, and joined."""
        if channel.team_id != self.slack.team_id or channel.archived or not channel.member:
            return False
        return reading.reads(channel.name, channel.channel_id)

    def after(self, place: Place, channel: ChannelSeen, after: str | None) -> Place:
        """Return the place after a page of a channel."""
        if after is None:
            return Place(team=place.team, step=TALK, passed=channel.channel_id)
        return Place(team=place.team, step=TALK, at=channel.channel_id, after=after)

    async def incidents(
        self, channel: ChannelSeen, told: Sequence[Past], reading: Reading
    ) -> tuple[list[Fact], list[Job]]:
        """Return what a page tells of threads that are incidents, or were so far."""
        named = models.SlackChannel(
            id=channel.id, team_id=channel.team_id, channel_id=channel.channel_id,
            name=channel.name, private=channel.private,
        )  # fmt: skip
        roots = {f"{channel.id}:{each.root}" for each in told}
        async with self.line.surroundings.engine.connect() as db:
            known = await incidents_among(db, roots)
        kept = {each.root for each in told
                if f"{channel.id}:{each.root}" in known or opens(named, each, reading)}  # fmt: skip
        rows, jobs = list[Fact](), list[Job]()
        for root in sorted(kept):
            first = next((each for each in told if each.ts == root), None)
            thread = [first] if first and not first.reply_count else None
            found = await self.thread(channel.id, root, reading, thread)
            rows += found
            jobs += [follow(f"{channel.id}:{root}")] if found else []
        return rows, jobs

    async def threads(self, place: Place) -> AsyncIterator[Page]:
        """Read the threads of incidents that began before what `talk` reads.

        Of those that are over only where everything is read.
        """
        async with self.line.surroundings.engine.connect() as db:
            reading = await incident_settings_of(db, self.home)
            known = await incident_threads(
                db, self.home, place.team, self.now - FOLLOWED,
                open_only=self.wish.since is not None,
            )  # fmt: skip
        for thread in known:
            channel, _, ts = thread.rpartition(":")
            if thread <= place.passed or float(ts) >= self.since.timestamp():
                continue
            rows = await self.thread(channel, ts, reading)
            following = Place(team=place.team, step=THREADS, passed=thread)
            yield self.page(following, rows, [follow(thread)] if rows else [], len(rows))

    async def thread(
        self, channel: str, root: str, reading: Reading, told: Sequence[Past] | None = None
    ) -> list[Fact]:
        """Return the rows of a thread; `told`: its messages, where they are all known."""
        if told is None:
            try:
                found = await self.slack.thread(channel.rpartition(":")[2], root)
            except SlackError as error:
                if error.code not in GONE:
                    raise
                return []
            told = past(found, self.bot)
        if not told:
            return []
        async with self.line.surroundings.engine.connect() as db:
            known = await marks_on(db, [f"{channel}:{each.ts}" for each in told])
        said = [said_row(channel, each) for each in told]
        return [*said, *marks_of(channel, told, reading, known, self.bot)]


def wanted(channel: Mapping[str, Any], reading: Reading) -> bool:
    """Tell whether a channel is to be joined: public, alive, of a pattern, and not joined yet."""
    if any(channel.get(name) for name in ("is_private", "is_archived", "is_member")):
        return False
    return reading.reads(str(channel.get("name", "")), str(channel.get("id", "")))


async def joined(slack: Slack, channel_id: str) -> Sequence[Fact]:
    """Join one channel, and return that we did; one that refuses is written down and left."""
    try:
        await slack.join(channel_id)
    except RateLimited:
        raise
    except SlackError as error:
        log.warning("slack_channel_not_joined", channel=channel_id, says=str(error))
        return ()
    key = f"slack:{slack.team_id}:{channel_id}"
    return [aspect(key, "member", datetime.now(UTC), holds=True)]


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
) -> Iterator[Fact]:
    """Yield the accounts of a workspace that can be read."""
    for person in people:
        try:
            user = User.model_validate(person)
        except ValidationError:
            log.warning("slack_person_not_read", team=team_id)
            continue
        yield identity_row(home, team_id, user, at)
