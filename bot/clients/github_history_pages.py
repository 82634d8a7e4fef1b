"""What the parts of a repository's history have in common: pages, windows of time, sizes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from bot.clients.asking import Answer, GitHubError, Patience, RateLimited
from bot.clients.github_history_payloads import Json, Told
from bot.clients.github_reading import Reader

log = structlog.get_logger()

T = TypeVar("T")
KnownRuns = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Tells which attempts of runs (`github:42/1`) are known whole: earlier attempts and jobs too."""


@dataclass(frozen=True)
class HistoryPage:
    """One page of a part.

    `told`: events with their payloads, as webhooks would have told, or by names of our own for what
    no webhook carries (`handlers.github.history`). `items`: pull requests, runs … on this page,
    read by `calls` requests; `expected` of them there are in all, where GitHub says so. `next`:
    where the next page begins; None: this was the last. `unchanged`: the list is as it was when
    its ETag was kept, so that nothing was read.
    """

    told: Sequence[Told]
    items: int
    next: str | None
    calls: int = 0
    expected: int | None = None
    unchanged: bool = False


UNCHANGED = HistoryPage((), 0, None, unchanged=True)


@dataclass(frozen=True)
class Window:
    """The time that is read: from `since` to `until`; None: without an end on that side."""

    since: datetime | None = None
    until: datetime | None = None

    def has(self, *times: datetime | None) -> bool:
        """Tell whether the latest of some times is inside; what tells no time is."""
        last = latest(*times)
        if last is None:
            return True
        return not self.past(last) and not (self.until and last > self.until)

    def past(self, *times: datetime | None) -> bool:
        """Tell whether the latest of some times is before the window."""
        last = latest(*times)
        return bool(self.since and last and last < self.since)


@dataclass
class Size:
    """How much is asked for at a time: half of it where that failed, twice where it went well."""

    most: int
    now: int = 0
    failures: int = 0

    def __post_init__(self) -> None:
        self.now = self.now or self.most

    async def failed(self, error: GitHubError, patience: Patience) -> None:
        """Ask for less after a pause; raise the error where that cannot help, or helps no more."""
        if isinstance(error, RateLimited) or not error.passing:
            raise error
        if self.now == 1 and self.failures >= patience.tries - 1:
            raise error
        self.failures = self.failures + 1 if self.now == 1 else 0
        self.now = max(1, self.now // 2)
        log.info("github_asked_for_less", size=self.now, why=str(error))
        await asyncio.sleep(patience.pause(self.failures))

    def succeeded(self) -> None:
        """Ask for more again."""
        self.now, self.failures = min(self.most, self.now * 2), 0


@dataclass
class Past:
    """A repository whose history is read: how, and what its lists are by their ETags.

    `known` are those of lists that were read to their end before; who asks for a page again after
    a failure must not be told that it is as it was.
    """

    reader: Reader
    repository: Json
    etags: dict[str, str]
    known: Mapping[str, str] = field(default_factory=dict)
    known_runs: KnownRuns | None = None
    workflows: dict[int, Json] | None = None
    pulls: Size = field(default_factory=lambda: Size(50))
    rests: Size = field(default_factory=lambda: Size(100))

    def anew(self, cursor: str | None) -> bool:
        """Tell whether this is the first page of what was never read to its end."""
        return cursor is None and not self.known

    async def listed(self, part: str, rest: str, *, first: bool, **params: Any) -> Answer:
        """Ask for a list, its `first` page by the ETag that it had, and keep the new one."""
        key = f"github:{self.repository['id']}:{part}"
        etag = self.known.get(key, "") if first else ""
        answer = await self.reader.get(rest, etag=etag, **params)
        if first and (told := answer.headers.get("etag")):
            self.etags[key] = told
        return answer


def stamp(at: datetime | None) -> str:
    """Write a time as GitHub's search reads it; `*` for none."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "*"


def updated(since: datetime | None) -> str:
    """Return what narrows a search to what changed since a time."""
    return f" updated:>={stamp(since)}" if since else ""


def moment(told: object) -> datetime | None:
    """Read a time; None where there is none, or none that can be read."""
    try:
        at = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at


def times(told: Json, *names: str) -> tuple[datetime | None, ...]:
    """Read some times of an object."""
    return tuple(moment(told.get(name)) for name in names)


def latest(*moments: datetime | None) -> datetime | None:
    """Return the latest of the times that are known."""
    return max((each for each in moments if each), default=None)


async def together(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Ask several things at once; where one fails the others are given up, and nothing is left."""
    tasks = [asyncio.ensure_future(each) for each in asked]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
