"""Reads GitHub's own log of deliveries: for what was missed, or, in pull mode, for everything.

What is found goes through the inbox like any other delivery, and is settled as if it had come.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import structlog
from isal import isal_zlib
from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy.exc import SQLAlchemyError

from bot import metrics
from bot.clients.asking import GitHubError, RateLimited
from bot.clients.github import GitHub
from bot.clients.github_deliveries import Attempt, DeliveryLog, Recorded
from bot.queue import INGEST, nudge
from bot.surroundings import Surroundings
from bot.vault import app_credentials
from handlers import SOURCES
from models.errors import Refused
from models.recovering import (
    LogCursor,
    Missed,
    keep_missed,
    known_deliveries,
    log_checked,
    log_cursor,
    read_alone,
)

log = structlog.get_logger()

SOURCE, RECOVERED, PULLED = "github", "recovered", "pulled"
KEPT = timedelta(days=3)
OVERLAP = timedelta(minutes=1)
GRACE = timedelta(minutes=1)
"""A delivery that GitHub gave up a moment ago may be in our hands still, about to be kept."""

SHOWN_WITHIN = timedelta(hours=1)
"""How long GitHub may fail to show a delivery before it is asked to send it again instead."""

TOGETHER, AT_ONCE = 200, 20
EVERY_SECONDS = 300.0
QUICK_SECONDS, CALM_SECONDS, TROUBLED_SECONDS = 5.0, 30.0, 60.0
DUE = 0.8
NO_APP = "There is no GitHub App yet whose deliveries could be looked for."
BUSY = "Another process reads the log at this moment."
READ = "The log has been read a moment ago."
RESERVED = "The rest of GitHub's requests of this hour is left for tokens."


@dataclass(frozen=True)
class Reconciled:
    """What one reading of the log came to.

    `missed`: deliveries that somebody registered for and the inbox did not know; `recovered` of
    them are there now, GitHub sends `asked_again` again, and of `failed` it shows nothing.
    `error`: why not all was read (None: all was); `until`: when to try again, where GitHub said so.
    """

    missed: int = 0
    recovered: int = 0
    asked_again: int = 0
    failed: int = 0
    error: str | None = None
    until: datetime | None = None


@dataclass
class Reading:
    """One reading of the log, from its end back to `since`.

    `found` are the attempts of each delivery that is missing, the newest first; `handled` are those
    that need nothing more. `newest` is the newest attempt that was looked at.
    """

    surroundings: Surroundings
    log: DeliveryLog
    since: datetime
    now: datetime
    found: dict[str, list[Attempt]] = field(default_factory=dict)
    handled: set[str] = field(default_factory=set)
    newest: Attempt | None = None
    whole: bool = False
    stopped: bool = False
    recovered: int = 0
    asked_again: int = 0
    failed: int = 0
    error: str | None = None
    until: datetime | None = None
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def pulling(self) -> bool:
        """Whether every delivery is taken, because none comes by itself."""
        return self.surroundings.settings.pull

    async def run(self) -> None:
        """List what is missing, take it oldest first; stop where GitHub wants no more."""
        try:
            await self.look()
        except GitHubError as error:
            self.stop(error)
            return
        for portion in portions(self.missing()):
            if self.log.rest_until and not self.stopped:
                self.stopped, self.error, self.until = True, RESERVED, self.log.rest_until
            if self.stopped:
                return
            taken = await asyncio.gather(*map(self.take, portion))
            await self.keep([each for each in taken if each])

    async def look(self) -> None:
        """Read the log back to where it was read before."""
        async for page in self.log.pages(failures=not self.pulling):
            fresh = [each for each in page if self.due(each)]
            self.newest = max([*fresh, *filter(None, [self.newest])], key=age, default=None)
            await self.sort([each for each in fresh if registered(each)])
            if page and page[-1].delivered_at <= self.since:
                break
        self.whole = True

    def due(self, attempt: Attempt) -> bool:
        """Tell whether an attempt is new to us, and surely over where a webhook may bring it."""
        young = not self.pulling and attempt.delivered_at > self.now - GRACE
        return attempt.delivered_at > self.since and not young

    async def sort(self, attempts: list[Attempt]) -> None:
        """Put attempts to their deliveries, but for those that the inbox knows."""
        async with self.surroundings.engine.connect() as db:
            known = await known_deliveries(db, SOURCE, {each.guid for each in attempts})
        for each in attempts:
            if each.guid not in known:
                self.found.setdefault(each.guid, []).append(each)

    def missing(self) -> list[list[Attempt]]:
        """Return the deliveries to take, oldest first. What succeeded once is not missing.

        In pull mode whoever answered GitHub was not us.
        """
        if not self.pulling:
            for guid, attempts in list(self.found.items()):
                if any(each.succeeded for each in attempts):
                    del self.found[guid]
        return sorted(self.found.values(), key=lambda attempts: age(attempts[-1]))

    async def take(self, attempts: list[Attempt]) -> Missed | None:
        """Return a delivery as it was sent; where that is gone, have GitHub send it again."""
        newest = attempts[0]
        async with self.slots:
            if self.stopped:
                return None
            try:
                recorded = await self.log.recorded(newest.id)
                if recorded is not None:
                    return missed(attempts, recorded)
                await self.send_again(newest)
            except GitHubError as error:
                await self.not_shown(newest, error)
        return None

    async def not_shown(self, attempt: Attempt, error: GitHubError) -> None:
        """Leave a delivery that GitHub does not show now for the next reading, for an hour."""
        if isinstance(error, RateLimited) or not error.passing:
            self.stop(error)
            return
        if attempt.delivered_at < self.now - SHOWN_WITHIN and not attempt.redelivery:
            try:
                await self.send_again(attempt)
            except GitHubError as again:
                error = again
            else:
                return
        self.failed += 1
        self.error = str(error)
        if isinstance(error, RateLimited):
            self.stop(error)

    async def send_again(self, attempt: Attempt) -> None:
        """Have GitHub send a delivery again, once: what it lost for good is left to the sync."""
        if not attempt.redelivery and await self.log.deliver_again(attempt.id):
            self.asked_again += 1
        else:
            self.failed += 1
            log.warning("delivery_lost", delivery=attempt.guid, github_event=attempt.event)
        self.handled.add(attempt.guid)

    def stop(self, error: GitHubError) -> None:
        """Ask no more in this reading."""
        self.stopped, self.error = True, str(error)
        self.until = error.until if isinstance(error, RateLimited) else None

    async def keep(self, taken: list[Missed]) -> None:
        """Put a portion into the inbox, and say that it is there."""
        via = PULLED if self.pulling else RECOVERED
        async with self.surroundings.engine.begin() as db:
            new = await keep_missed(db, SOURCE, via, taken)
        self.recovered += new
        self.handled |= {each.delivery_id for each in taken}
        metrics.recovered(SOURCE, via, new)
        if new and self.surroundings.settings.redis_address:
            await nudge(self.surroundings.redis, INGEST)

    def read_until(self) -> tuple[int | None, datetime | None]:
        """Return how far all is handled: to the newest attempt, else just before what is left."""
        if not self.whole or self.newest is None:
            return None, None
        left = [each[-1] for guid, each in self.found.items() if guid not in self.handled]
        if not left:
            return self.newest.id, self.newest.delivered_at
        return None, min(map(age, left))[0] - timedelta(microseconds=1)

    def came_to(self) -> Reconciled:
        """Return what the reading came to."""
        return Reconciled(
            len(self.found),
            self.recovered,
            self.asked_again,
            self.failed,
            self.error,
            self.until,
        )


def age(attempt: Attempt) -> tuple[datetime, int]:
    """Return what attempts are ordered by."""
    return attempt.delivered_at, attempt.id


def registered(attempt: Attempt) -> bool:
    """Tell whether anybody wants to know of an event."""
    return bool(SOURCES[SOURCE].registered(attempt.event, attempt.action))


def portions(missing: list[list[Attempt]]) -> Iterator[list[list[Attempt]]]:
    """Yield what is missing in portions that are kept together."""
    for start in range(0, len(missing), TOGETHER):
        yield missing[start : start + TOGETHER]


def missed(attempts: list[Attempt], recorded: Recorded) -> Missed:
    """Return a delivery as the inbox keeps it."""
    body = written(recorded)
    return Missed(
        attempts[0].guid,
        attempts[0].event,
        to_json(recorded.headers).decode(),
        isal_zlib.compress(body, 1),
        sha256(body).digest(),
        attempts[-1].delivered_at,
    )


def written(recorded: Recorded) -> bytes:
    """Write a payload as GitHub sends it; with escapes where it holds what is no Unicode."""
    try:
        return to_json(recorded.payload)
    except (PydanticSerializationError, UnicodeEncodeError):
        return json.dumps(recorded.payload, separators=(",", ":")).encode()


async def reconcile(
    surroundings: Surroundings, *, unless_since: timedelta | None = None
) -> Reconciled:
    """Read the log once, and take what is missing; one process at a time does so.

    `unless_since`: not where anybody has read it so lately. Raises `Refused` where the app's key
    cannot be opened.
    """
    settings, engine = surroundings.settings, surroundings.engine
    async with engine.connect() as db:
        credentials = await app_credentials(db, settings, surroundings.vault)
    if credentials is None:
        return Reconciled(error=NO_APP)
    cursor_id = f"{SOURCE}:{credentials.app_id}"
    async with engine.begin() as alone:
        if not await read_alone(alone, cursor_id):
            return Reconciled(error=BUSY)
        now = datetime.now(UTC)
        async with engine.connect() as db:
            cursor = await log_cursor(db, cursor_id)
        if unless_since and cursor.checked_at and cursor.checked_at > now - unless_since:
            return Reconciled(error=READ)
        async with GitHub(credentials, settings.github_api_url) as github:
            reading = Reading(surroundings, DeliveryLog(github), start(cursor, now), now)
            await reading.run()
        newest_id, delivered_at = reading.read_until()
        async with engine.begin() as db:
            await log_checked(
                db,
                cursor_id,
                newest_id=newest_id,
                delivered_at=delivered_at,
                error=reading.error,
            )
    return told(reading.came_to())


def start(cursor: LogCursor, now: datetime) -> datetime:
    """Return from when on the log is read: an attempt shows only when it is over."""
    earliest = now - KEPT
    return max(cursor.delivered_at - OVERLAP, earliest) if cursor.delivered_at else earliest


def told(reconciled: Reconciled) -> Reconciled:
    """Log what a reading came to, where it came to anything."""
    if reconciled.missed or reconciled.error:
        log.info(
            "delivery_log_read",
            missed=reconciled.missed,
            recovered=reconciled.recovered,
            asked_again=reconciled.asked_again,
            failed=reconciled.failed,
            error=reconciled.error,
        )
    return reconciled


async def keep_reconciling(surroundings: Surroundings, wake: Callable[[], None]) -> None:
    """Read the log now and again, for ever; `wake` is called when there is something to settle."""
    pulling = surroundings.settings.pull
    pause = QUICK_SECONDS if pulling else EVERY_SECONDS
    recently: timedelta | None = None
    while True:
        reconciled = await tried(surroundings, recently)
        if reconciled.recovered:
            wake()
        pause = pause_after(reconciled, pause, datetime.now(UTC)) if pulling else EVERY_SECONDS
        recently = timedelta(seconds=pause * DUE)
        await asyncio.sleep(pause)


async def tried(surroundings: Surroundings, recently: timedelta | None) -> Reconciled:
    """Read the log; what fails is logged and tried again, it never ends the worker."""
    try:
        return await reconcile(surroundings, unless_since=recently)
    except (SQLAlchemyError, OSError, Refused) as error:
        log.warning("delivery_log_unread", error=str(error)[:500])
        return Reconciled(error=str(error))
    except Exception as error:
        log.exception("delivery_log_failed")
        return Reconciled(error=str(error))


def pause_after(reconciled: Reconciled, pause: float, now: datetime) -> float:
    """Return the seconds until pull mode reads again: few while there is news, GitHub allowing."""
    if reconciled.until:
        return max((reconciled.until - now).total_seconds(), QUICK_SECONDS)
    if reconciled.missed and not reconciled.error:
        return QUICK_SECONDS
    if reconciled.error and reconciled.error not in (NO_APP, BUSY, READ):
        return TROUBLED_SECONDS
    return min(pause * 2, CALM_SECONDS)
