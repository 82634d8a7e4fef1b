"""The clock, the dice and the post of the story: who acts next, and what GitHub sends of it."""

import hashlib
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from bot.sample.graph import Commit, Files
from bot.sample.people import NEWCOMER, PEOPLE, Person, after
from bot.sample.repositories import INSTALLATION_ID, ORGANIZATION, Plan

T = TypeVar("T")
Steps = Iterator[datetime]
"""A process yields the moment at which it goes on."""


@dataclass(frozen=True)
class Delivery:
    """One HTTP request as its source would send it: github, slack or linear."""

    event: str
    delivery_id: str
    payload: dict[str, Any]
    at: datetime
    source: str = "github"


@dataclass(eq=False)
class PullRequest:
    """A pull request as it stands, and what has ever been seen of it."""

    author: Person
    title: str
    branch: str
    base: str
    labels: list[str] = field(default_factory=list)
    body: str | None = None
    id: int = 0
    number: int = 0
    head: str = ""
    commits: list[str] = field(default_factory=list)
    draft: bool = False
    state: str = "open"
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ready_at: datetime | None = None
    first_commit_at: datetime | None = None
    first_review_at: datetime | None = None
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    merged_by: Person | None = None
    merge_sha: str | None = None
    test_sha: str | None = None
    """GitHub tries the merge of every open pull request and tells that commit too."""
    reviewers: list[Person] = field(default_factory=list)
    comments: int = 0
    review_comments: int = 0
    complete: bool = True
    """Every delivery about it was sent: none before the installation, none lost."""


@dataclass(frozen=True)
class Shipped:
    """What a change was when it reached the default branch."""

    sha: str
    first_commit_at: datetime
    merged_at: datetime
    author: Person
    title: str
    fix: bool
    pr: PullRequest | None = None
    lost: bool = False


@dataclass(eq=False)
class Attempt:
    """One GitHub deployment to production."""

    id: int
    sha: str
    created_at: datetime
    purpose: str
    by: Person
    ref: str
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None


@dataclass(eq=False)
class Spoken:
    """An incident as Slack's thread tells it; `key` is the thread's first message."""

    repository_id: int
    key: str
    severity: str
    opened_at: datetime
    resolved_at: datetime | None = None


@dataclass(eq=False)
class Repository:
    """A repository as it stands."""

    plan: Plan
    name: str
    known_from: datetime
    number: int
    head: str = ""
    updated_at: datetime | None = None
    pushed_at: datetime | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    merges: dict[str, int] = field(default_factory=dict)
    """Commits that a merge made on main → the number of the pull request."""
    shipped: list[Shipped] = field(default_factory=list)
    pending: list[Shipped] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    running: list[tuple[str, bool]] = field(default_factory=list)
    """SHAs in the order they went live, each with whether it carried a fix."""
    open_issues: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    version: list[int] = field(default_factory=lambda: [3, 0, 0])

    @property
    def full_name(self) -> str:
        """The name at this moment."""
        return f"{ORGANIZATION['login']}/{self.name}"


@dataclass(eq=False)
class World:
    """Everything that moves. The deliveries begin at `start`; life began a little before.

    `until` is what the pace of all is set by, `ends` is when nothing more happens.
    """

    seed: int
    start: datetime
    until: datetime
    ends: datetime
    now: datetime
    rng: Random
    talk: Random
    repositories: list[Repository] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    others: list[Delivery] = field(default_factory=list)
    """What Slack and Linear send, in any order."""
    spoken: list[Spoken] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    """Numbers of Linear's issues that are taken."""
    planned: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Linear's issues that somebody works on, by number."""
    undelivered: list[tuple[int, str, str, datetime]] = field(default_factory=list)
    incidents: list[tuple[int, int, str, datetime, datetime | None]] = field(default_factory=list)
    queue: list[tuple[datetime, int, Steps]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def spawn(self, steps: Steps, at: datetime | None = None) -> None:
        """Let a process begin at `at`, or now."""
        heapq.heappush(self.queue, (at or self.now, self.count("process"), steps))

    def run(self) -> None:
        """Let everybody act in the order of time, until it ends."""
        while self.queue and self.queue[0][0] <= self.ends:
            at, _, steps = heapq.heappop(self.queue)
            self.now = max(at, self.now)
            following = next(steps, None)
            if following is not None:
                self.spawn(steps, following)

    def count(self, kind: str) -> int:
        """1, 2, 3, …: one row of numbers for each kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self.counts[kind]

    def id(self, kind: str) -> int:
        """The next id of its kind as GitHub counts: growing, with gaps of other people's."""
        base = 1_000_000_007 + int.from_bytes(kind.encode()[:4], "big") % 997 * 1_000_003
        self.counts[kind] = self.counts.get(kind, base) + self.rng.randint(3, 4000)
        return self.counts[kind]

    def sha(self, *about: object) -> str:
        """A fresh SHA-1."""
        text = f"{self.seed}:{self.count('sha')}:{about}"
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def chance(self, early: float, late: float | None = None) -> bool:
        """True with this probability, which moves from `early` to `late` over the story."""
        return self.rng.random() < self.eased(early, early if late is None else late)

    def eased(self, early: float, late: float) -> float:
        """Between `early` at the start and `late` at the end."""
        passed = (self.now - self.start) / (self.until - self.start)
        return early + (late - early) * min(1.0, max(0.0, passed))

    def about(self, early: float, late: float, spread: float = 0.8) -> float:
        """A duration around a median that moves; never negative, sometimes long."""
        return self.eased(early, late) * math.exp(self.rng.gauss(0, spread))

    def pick(self, weighted: Sequence[tuple[T, float]]) -> T:
        """One of these by weight."""
        values, weights = zip(*weighted, strict=True)
        chosen: T = self.rng.choices(values, weights)[0]
        return chosen

    def minutes(self, low: float, high: float) -> datetime:
        """Some minutes from now, whatever the hour."""
        return self.now + timedelta(seconds=round(self.rng.uniform(low, high) * 60))

    def working(self, hours: float, person: Person) -> datetime:
        """After so many of somebody's working hours."""
        return after(self.now, hours, person.clock)

    def person(self, *but: Person) -> Person:
        """Somebody of the team as it is now, none of `but`."""
        team = [p for p in PEOPLE if p not in but and (p is not NEWCOMER or self.joined)]
        return self.rng.choice(team)

    @property
    def joined(self) -> bool:
        """Whether the newcomer is here: after a third of the story."""
        return self.now > self.start + (self.until - self.start) / 3

    def knows(self, repository: Repository | None) -> bool:
        """Whether the app is installed here by now."""
        return self.now >= (repository.known_from if repository else self.start)

    def send(
        self,
        event: str,
        payload: dict[str, Any],
        sender: dict[str, Any],
        about: dict[str, Any] | None = None,
    ) -> None:
        """Put a delivery into the post: `payload` with what every delivery carries."""
        envelope = {
            **({"repository": about} if about else {}),
            "organization": ORGANIZATION,
            "sender": sender,
        }
        if "installation" not in payload:
            envelope["installation"] = {"id": INSTALLATION_ID}
        bits = Random(f"{self.seed}:{self.count('delivery')}").getrandbits(128)
        delivery_id = str(UUID(int=bits, version=4))
        self.deliveries.append(Delivery(event, delivery_id, payload | envelope, self.now))


def commit(  # noqa: PLR0913 - a commit has this many parts
    world: World,
    repository: Repository,
    parents: tuple[str, ...],
    message: str,
    author: Person,
    *,
    at: datetime,
    files: Files,
    committer: Person | None = None,
    committed_at: datetime | None = None,
) -> Commit:
    """A new commit in the repository's graph, on no branch yet."""
    made = Commit(
        order=len(repository.commits),
        sha=world.sha(repository.plan.id, message),
        tree=world.sha("tree"),
        parents=parents,
        message=message,
        author=author,
        authored_at=at,
        committer=committer or author,
        committed_at=committed_at or at,
        files=files,
    )
    repository.commits[made.sha] = made
    return made
