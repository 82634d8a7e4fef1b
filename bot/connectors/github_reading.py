"""How GitHub is read page after page: repositories first, then each one's history, part by part.

The parts of a repository take turns, so that the newest of each is there after the first minute.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

import handlers
from bot.clients.github import GitHub, GitHubError, Installation
from bot.clients.github_history import PARTS, History, HistoryPage, Told, repositories, repository
from bot.connectors.protocol import EVERYTHING, Page, Wish
from handlers.events import Job
from handlers.github.installations import BACKFILL_DAYS, REMOVED, backfill
from handlers.github.payloads import Repository as Described
from handlers.github.payloads import collect_all_changes, link_issues, measure_pull_requests
from models import ConnectionRepository, RepositoryName
from models.backfilling import OpenRepository, open_repositories
from models.columns import Fact
from models.syncing import etags_of
from models.workflows import whole_runs

log = structlog.get_logger()

REPOS, PRS, ACTIONS, HISTORY = "repos", "prs", "actions", "history"
PARTS_OF: Mapping[str, tuple[str, ...]] = {
    REPOS: (),
    PRS: ("pull_requests", "issues"),
    ACTIONS: ("workflow_runs", "deployments", "releases"),
    HISTORY: PARTS,
    EVERYTHING: PARTS,
}
DERIVED = frozenset(
    {
        "collect_changes",
        "follow_incident",
        "link_issues",
        "measure_builds",
        "measure_pull_requests",
    }
)
"""The orders that may follow from history: they derive figures anew, and answer nobody."""

PAGES_A_BATCH, SECONDS_A_BATCH = 50, 60.0
MOST_TROUBLES = 5
UNREADABLE = "GitHub told {event} in a way that is not documented: {why}"


class Spot(BaseModel):
    """Where reading stands: in which installation's list, in which repository, where in its parts.

    `left` are the parts that have more, and where each goes on; None: the repository was not begun.
    `listed` are the ids of the installation's repositories so far; `waiting` counts the pages since
    derived orders were let through.
    """

    began_at: datetime
    installations: int = 0
    listing: str | None = None
    listed: list[int] = []
    repository: str | None = None
    left: dict[str, str | None] | None = None
    expected: dict[str, int] = {}
    waiting: int = 0
    let_through: bool = False
    troubles: list[str] = []

    def add(self, trouble: str) -> None:
        """Note what could not be read, once, and not without an end."""
        if trouble not in self.troubles and len(self.troubles) < MOST_TROUBLES:
            self.troubles.append(trouble)


@dataclass(frozen=True)
class Line:
    """What an organisation opened to us at GitHub: its installations, as (key, number)."""

    engine: AsyncEngine
    github: GitHub
    organization_id: str
    installations: Sequence[tuple[str, str]]

    def installation(self, number: str) -> Installation:
        """Return one of them."""
        return self.github.installation(number)

    async def open(self, repository_id: str | None = None) -> list[OpenRepository]:
        """Return the repositories that are open to us now."""
        async with self.engine.connect() as db:
            return await open_repositories(db, self.organization_id, repository_id)

    async def etags(self, repository_id: str) -> dict[str, str]:
        """Return what the lists of a repository were when they were last read."""
        async with self.engine.connect() as db:
            return await etags_of(db, self.organization_id, f"{repository_id}:")

    async def whole_runs(self, ids: Sequence[str]) -> set[str]:
        """Return which workflow runs webhooks told of as a whole."""
        async with self.engine.connect() as db:
            return await whole_runs(db, ids)


@dataclass
class Reading:
    """A reading under way."""

    line: Line
    wish: Wish
    spot: Spot
    let_at: float = field(default_factory=time.monotonic)

    def page(self, told: Sequence[Told] = (), **more: Any) -> Page:
        """Return what was told as a page, after which reading goes on at the spot."""
        rows, jobs = self.decided(told)
        more["rows"] = [*rows, *more.get("rows", ())]
        more["waiting"] = [*jobs, *more.get("waiting", ())]
        through = self.through()
        return Page(cursor=self.spot.model_dump_json(), through=through, **more)

    def decided(self, told: Sequence[Told]) -> tuple[list[Fact], list[Job]]:
        """Return the rows that follow, and of the orders those that only derive."""
        rows: list[Fact] = []
        jobs: list[Job] = []
        home, now = self.line.organization_id, datetime.now(UTC)
        for event, payload in told:
            try:
                found = handlers.decide("github", event, payload, home, now)
            except ValidationError as error:
                self.spot.add(unreadable(event, error))
                continue
            rows += found.rows
            jobs += [job for job in found.jobs if job.name in DERIVED]
        return rows, jobs

    def through(self) -> bool:
        """Tell whether it is time that figures are derived: after the first turn, then at times."""
        spot = self.spot
        spot.waiting += 1
        turn = len(PARTS_OF[self.wish.part]) + 1
        enough = PAGES_A_BATCH if spot.let_through else turn
        if spot.waiting < enough and time.monotonic() - self.let_at < SECONDS_A_BATCH:
            return False
        spot.waiting, spot.let_through, self.let_at = 0, True, time.monotonic()
        return True


def unreadable(event: str, error: ValidationError) -> str:
    """Say what of an answer was not as documented."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    why = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    log.warning("github_told_otherwise", event_name=event, why=why)
    return UNREADABLE.format(event=event, why=why)


async def read_lists(reading: Reading) -> AsyncIterator[Page]:
    """Read which repositories are open to us; of those that nobody told of, the history."""
    spot, line = reading.spot, reading.line
    while spot.installations < len(line.installations):
        key, number = line.installations[spot.installations]
        told = await repositories(line.installation(number), spot.listing)
        known = {each.id: each for each in await line.open() if each.connection_id == key}
        rows, jobs = of_list(reading, told, known)
        spot.listing = told.next
        if told.next is None:
            rows += gone(reading, key, known)
            spot.installations, spot.listed = spot.installations + 1, []
        yield reading.page(
            rows=[*reading.decided(told.told)[0], *rows],
            jobs=[job for job in jobs if job.name == "backfill"],
            waiting=[job for job in jobs if job.name != "backfill"],
            items=told.items,
            calls=told.calls,
            expected=told.expected,
        )


def of_list(
    reading: Reading, told: HistoryPage, known: Mapping[str, OpenRepository]
) -> tuple[list[Fact], list[Job]]:
    """Return what a list of repositories says beside them: which are new, which have a new name."""
    rows: list[Fact] = []
    jobs: list[Job] = []
    since = reading.spot.began_at - timedelta(days=BACKFILL_DAYS)
    for event, payload in told.told:
        if event != "repository":
            continue
        now = Described.model_validate(payload["repository"])
        reading.spot.listed.append(now.id)
        before = known.get(now.key)
        if before is None or before.backfill is None:
            jobs.append(backfill(now.key, since))
        elif before.known and differs(before, now):
            jobs += [
                collect_all_changes(now),
                measure_pull_requests(now, None),
                link_issues(now, None),
            ]
            rows += former(before, now)
    return rows, jobs


def differs(before: OpenRepository, now: Described) -> bool:
    """Tell whether a repository has a name or a default branch that nobody told us of."""
    return (before.full_name, before.default_branch) != (now.full_name, now.default_branch)


def former(before: OpenRepository, now: Described) -> list[Fact]:
    """Return the name that a repository had before it was renamed or transferred."""
    name, at = before.full_name.lower(), now.updated_at
    if at is None or name == (now.full_name or "").lower():
        return []
    return [
        RepositoryName(id=f"github:{name}", changed_at=at, full_name=name, repository_id=now.key)
    ]


def gone(reading: Reading, key: str, known: Mapping[str, OpenRepository]) -> list[Fact]:
    """Return that repositories are open no more, as an installation has just not listed them."""
    listed = {f"github:{number}" for number in reading.spot.listed}
    return [
        ConnectionRepository(
            id=f"{key}:{each.id.removeprefix('github:')}",
            changed_at=reading.spot.began_at,
            rank=REMOVED,
            connection_id=key,
            repository_id=each.id,
            full_name=each.full_name,
            private=bool(each.private),
            selected=False,
        )
        for each in known.values()
        if each.id not in listed
    ]


async def read_repositories(reading: Reading) -> AsyncIterator[Page]:
    """Read the history of each repository, by id, from where it stands.

    Of many, those are left out whose whole history is being read just now, or never was.
    """
    spot, wish = reading.spot, reading.wish
    for each in await reading.line.open(wish.repository_id):
        if spot.repository and each.id < spot.repository:
            continue
        if wish.repository_id is None and each.backfill in (None, "running"):
            continue
        if spot.repository != each.id:
            spot.repository, spot.left = each.id, None
        async for page in read_repository(reading, each):
            yield page


async def read_repository(reading: Reading, each: OpenRepository) -> AsyncIterator[Page]:
    """Read one repository: itself where it was asked for, then its parts; nothing of a gone one."""
    spot, described = reading.spot, stored(each)
    alone = reading.wish.repository_id is not None
    if spot.left is None:
        spot.left = dict.fromkeys(PARTS_OF[reading.wish.part])
    if described is None or alone:
        described = await asked(reading, each)
        about = {"action": "read", "repository": described}
        yield reading.page([("repository", about)] if described else (), calls=1)
    if described is None:
        return
    known = {} if alone or reading.wish.since is None else await reading.line.etags(each.id)
    line = reading.line
    github = line.installation(each.installation)
    history = History(github, described, known, known_runs=line.whole_runs)
    async for page in read_parts(reading, each, history):
        etags = {} if spot.left else fresh(known, history.etags)
        yield replace(page, etags=etags)


async def asked(reading: Reading, each: OpenRepository) -> Mapping[str, Any] | None:
    """Ask GitHub for a repository; None, and said, where it is gone or closed to us."""
    try:
        return await repository(reading.line.installation(each.installation), each.full_name)
    except GitHubError as error:
        if error.passing:
            raise
        reading.spot.add(str(error))
        return None


async def read_parts(
    reading: Reading, each: OpenRepository, history: History
) -> AsyncIterator[Page]:
    """Read a page of each part in turn; a part that GitHub keeps from us is left out, and said."""
    spot = reading.spot
    while spot.left:
        part = next(iter(spot.left))
        at = spot.left.pop(part)
        try:
            told = await history.page(part, at, since=reading.wish.since)
        except GitHubError as error:
            if error.passing:
                raise
            spot.add(str(error))
            yield reading.page(calls=1)
            continue
        if told.next is not None:
            spot.left[part] = told.next
        if at is None and told.expected is not None:
            spot.expected[f"{each.id} {part}"] = told.expected
        expected = sum(spot.expected.values()) or None
        yield reading.page(told.told, items=told.items, calls=told.calls, expected=expected)


def fresh(known: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Return the ETags that are new."""
    return {name: etag for name, etag in found.items() if known.get(name) != etag}


def stored(each: OpenRepository) -> Mapping[str, Any] | None:
    """Return a repository as its webhooks described it; None where none did."""
    if not each.known or each.changed_at is None:
        return None
    return {
        "id": int(each.id.removeprefix("github:")),
        "name": each.full_name.partition("/")[2],
        "full_name": each.full_name,
        "owner": {"login": each.owner_login},
        "default_branch": each.default_branch,
        "private": each.private,
        "archived": each.archived,
        "fork": each.fork,
        "html_url": each.url,
        "created_at": each.created_at.isoformat() if each.created_at else None,
        "updated_at": each.changed_at.isoformat(),
    }
