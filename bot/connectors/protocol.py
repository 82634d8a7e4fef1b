"""What a source that can be asked must offer, so that one engine synchronises them all."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bot.surroundings import Surroundings
from handlers.events import Job
from models.columns import Fact

EVERYTHING = "all"


class Wait(Exception):  # noqa: N818 - it is a wish, not a bug
    """A source takes no requests before `until`."""

    def __init__(self, until: datetime, why: str) -> None:
        super().__init__(why)
        self.until = until


class Trouble(Exception):  # noqa: N818 - the source's, told in words for people
    """A source would not tell: what it refused, and what would help."""


@dataclass(frozen=True)
class Wish:
    """What is to be read: a part of what an organisation has at a source.

    `part` is one of the connector's. `since`: only what changed since then; None: everything the
    source keeps, or that of the last `days`. `repository_id`: only what is of one repository.
    """

    organization_id: str
    part: str = EVERYTHING
    since: datetime | None = None
    repository_id: str | None = None
    days: int | None = None


@dataclass(frozen=True)
class Page:
    """What one page told, as rows and jobs, and where the next one begins (None: it was the last).

    `items` were read by `calls` requests; `expected` of them there are in all, where that is known.
    `waiting` are jobs that may wait until the last page: whatever derives anew what is read here.
    """

    cursor: str | None
    rows: Sequence[Fact] = ()
    jobs: Sequence[Job] = ()
    waiting: Sequence[Job] = ()
    items: int = 0
    calls: int = 0
    expected: int | None = None


@dataclass(frozen=True)
class Condition:
    """Whether a source answers us. `says`: in words; `missing`: permissions that it lacks."""

    connected: bool
    says: str
    missing: tuple[str, ...] = ()


class Connector(Protocol):
    """One source that can be asked. Everything it raises but `Wait` and `Trouble` is a bug.

    `parts` are what can be read on its own; `EVERYTHING` reads them all. `supported_metrics` are
    the metrics, by their names in the API, that need what this source tells.
    """

    name: str
    parts: tuple[str, ...]
    supported_metrics: frozenset[str]

    def authenticate(
        self, surroundings: Surroundings, organization_id: str
    ) -> AbstractAsyncContextManager[Any | None]:
        """Open a line to what an organisation connected; None where it connected nothing."""

    async def test_connection(self, surroundings: Surroundings, organization_id: str) -> Condition:
        """Ask the source something small, and say whether it answers."""

    def fetch(self, line: Any, wish: Wish, cursor: str | None) -> AsyncIterator[Page]:
        """Read page after page, from where a page said that the next one begins."""
