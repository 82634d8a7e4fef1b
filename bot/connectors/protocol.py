"""What a source that can be asked must offer, so that one engine synchronises them all."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.surroundings import Surroundings
from handlers.events import Job
from models.columns import Fact
from models.sync_states import Inbox, PartState

EVERYTHING = "all"
ABSENT, CONNECTED, LACKING, RUNNING, FAILED = STATES = (
    "absent", "connected", "lacking", "running", "failed",
)  # fmt: skip
"""How a source stands: not connected; well; something lacks; being read; not read at last."""


class Wait(Exception):  # noqa: N818 - it is a wish, not a bug
    """A source takes no requests before `until`."""

    def __init__(self, until: datetime, why: str) -> None:
        super().__init__(why)
        self.until = until


class Trouble(Exception):  # noqa: N818 - the source's, told in words for people
    """A source would not tell: what it refused, and what would help."""


@contextmanager
def in_words(refused: type[Exception]) -> Iterator[None]:
    """Tell what a source says as a connector does: `refused` is what its client raises.

    One that has a time `until` when to ask again is a `Wait`, any other is a `Trouble`.
    """
    try:
        yield
    except refused as error:
        until = getattr(error, "until", None)
        if isinstance(until, datetime):
            raise Wait(until, str(error)) from None
        raise Trouble(str(error)) from None


@dataclass(frozen=True)
class Wish:
    """What is to be read: a part of what an organisation has at a source.

    `part` is one of the connector's. `since`: only what changed since then; None: everything the
    source keeps, or that of the last `days`. `repository_id`: only what is of one repository.
    `account`: only that account's, by its id at the source, where several may be connected.
    """

    organization_id: str
    part: str = EVERYTHING
    since: datetime | None = None
    repository_id: str | None = None
    days: int | None = None
    account: str | None = None


@dataclass(frozen=True)
class Page:
    """What one page told, as rows and jobs, and where the next one begins (None: it was the last).

    `items` were read by `calls` requests; `expected` of them there are in all, where that is known.
    `waiting` are jobs that may wait until the last page: whatever derives anew what is read here;
    with a page that says `through` they are queued before. `etags` are those of lists that were
    read to their end. `trouble`, on the last page: what could not be read beside all else.
    """

    cursor: str | None
    rows: Sequence[Fact] = ()
    jobs: Sequence[Job] = ()
    waiting: Sequence[Job] = ()
    items: int = 0
    calls: int = 0
    expected: int | None = None
    through: bool = False
    etags: Mapping[str, str] = field(default_factory=dict)
    trouble: str | None = None


@dataclass(frozen=True)
class Condition:
    """Whether a source answers us. `says`: in words; `missing`: permissions that it lacks."""

    connected: bool
    says: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyncStatus:
    """How a source stands. A time is None where there is none, `state` one of STATES.

    `accounts`: what is connected, by their names there; `parts`: the latest reading of each;
    `missing`: what is left to do, in sentences.
    """

    source: str
    state: str
    accounts: Sequence[str]
    inbox: Inbox
    parts: Sequence[PartState]
    next_run_at: datetime | None
    next_full_at: datetime | None
    missing: Sequence[str] = ()


class Connector(Protocol):
    """One source that can be asked. Everything it raises but `Wait` and `Trouble` is a bug.

    `name` is its key in tables, addresses and commands, `title` what people call it.
    `parts` are what can be read on its own; `EVERYTHING` reads them all. `supported_metrics` are
    the metrics, by their names in the API, that need what this source tells.
    """

    name: str
    title: str
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

    async def sync_status(self, db: AsyncConnection, organization_id: str) -> SyncStatus:
        """Say how reading stands, from what is kept: `bot.connectors.status` has most of it."""
