"""One reading of GitHub's log of deliveries: what is missing is listed, taken and kept."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from isal import isal_zlib
from pydantic_core import PydanticSerializationError, to_json

from bot import metrics
from bot.clients.asking import GitHubError, RateLimited
from bot.clients.github_deliveries import Attempt, DeliveryLog, Recorded
from bot.queue import INGEST, nudge
from bot.surroundings import Surroundings
from handlers import SOURCES
from models.recovering import Missed, keep_missed, known_deliveries

log = structlog.get_logger()

SOURCE, RECOVERED, PULLED = "github", "recovered", "pulled"
TOGETHER, AT_ONCE = 200, 20
GRACE = timedelta(minutes=1)
"""A delivery that GitHub gave up a moment ago may be in our hands still, about to be kept."""

SHOWN_WITHIN = timedelta(hours=1)
"""How long GitHub may fail to show a delivery before it is asked to send it again instead."""

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
    that need nothing more. `newest` is the newest attempt that was looked at; `whole`: all was.
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

    async def run(self) -> Reconciled:
        """List what is missing, take it oldest first; stop where GitHub wants no more."""
        try:
            await self.look()
        except GitHubError as error:
            self.leave(error)
            return self.came_to()
        for portion in portions(self.missing()):
            if self.log.rest_until and not self.stopped:
                self.stopped, self.error, self.until = True, RESERVED, self.log.rest_until
            if self.stopped:
                break
            taken = await asyncio.gather(*map(self.take, portion))
            await self.keep([each for each in taken if each])
        return self.came_to()

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
        if not attempts:
            return
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
                recorded = await self.shown(newest)
                if recorded is not None:
                    return missed(attempts, recorded)
                await self.send_again(newest)
            except GitHubError as error:
                self.leave(error)
        return None

    async def shown(self, attempt: Attempt) -> Recorded | None:
        """Return what was sent; None where it is gone, or GitHub fails to show it for too long."""
        try:
            return await self.log.recorded(attempt.id)
        except GitHubError as error:
            long = attempt.delivered_at < self.now - SHOWN_WITHIN
            if isinstance(error, RateLimited) or not (error.passing and long):
                raise
            return None

    async def send_again(self, attempt: Attempt) -> None:
        """Have GitHub send a delivery again, once: what it lost for good is left to the sync."""
        if not attempt.redelivery and await self.log.deliver_again(attempt.id):
            self.asked_again += 1
        else:
            self.failed += 1
            log.warning("delivery_lost", delivery=attempt.guid, github_event=attempt.event)
        self.handled.add(attempt.guid)

    def leave(self, error: GitHubError) -> None:
        """Leave something for the next reading; where GitHub refuses us, all that is left."""
        self.error = str(error)
        if isinstance(error, RateLimited):
            self.stopped, self.until = True, error.until
        elif not error.passing:
            self.stopped = True
        elif self.whole:
            self.failed += 1

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
