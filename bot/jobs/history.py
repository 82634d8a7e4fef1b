"""What happened to a repository, in order: every finished attempt, judged against those before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from handlers.changes import Attempt, Shape, counting_source, kind_of, shapes_of
from models import deriving as ask
from models.columns import EPOCH
from models.graph import Place, tagged


@dataclass(frozen=True)
class Step:
    """One deployment of one service in its sequence, and what ran before it."""

    attempt: Attempt
    shape: Shape
    kind: str | None
    predecessor: Attempt | None

    @property
    def brings(self) -> bool:
        """Whether it can bring changes that were not there before."""
        return self.kind == "new"

    def seen_from(self, place: Place) -> Place:
        """Return a place as of the end of the deployment."""
        return place.by(self.attempt.finished_at)


@dataclass
class History:
    """What is known of a repository's deployments; `since`: where deriving starts, None: anew."""

    home: ask.Home
    since: datetime | None
    sources: dict[str, str] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """The repository."""
        return self.home.place

    @property
    def start(self) -> datetime:
        """The time from which on derived rows are replaced."""
        return self.since or EPOCH

    def steps(self) -> list[Step]:
        """Return every step of every service from `since` on, in the order it happened."""
        services: dict[tuple[str, str], list[tuple[Attempt, Shape]]] = {}
        for attempt in self.attempts:
            if attempt.source != self.sources[attempt.environment_class]:
                continue
            for shape in shapes_of(attempt.environment, self.shapes):
                key = (attempt.environment_class, shape.name)
                services.setdefault(key, []).append((attempt, shape))
        steps = [step for each in services.values() for step in sequence(each)]
        fresh = [step for step in steps if self.is_fresh(step.attempt)]
        return sorted(fresh, key=lambda step: (step.attempt.finished_at, step.attempt.id))

    def is_fresh(self, attempt: Attempt) -> bool:
        """Tell whether an attempt is to be derived now."""
        return self.since is None or attempt.finished_at >= self.since

    def superseded(self) -> list[Attempt]:
        """Return the successes told by sources that do not count here."""
        return [
            attempt
            for attempt in self.attempts
            if attempt.succeeded
            and attempt.source != self.sources[attempt.environment_class]
            and self.is_fresh(attempt)
        ]


def sequence(attempts: Sequence[tuple[Attempt, Shape]]) -> list[Step]:
    """Judge one service's attempts in order: each against what ran, and what ever ran, before."""
    running: Attempt | None = None
    seen: set[str] = set()
    steps = []
    for attempt, shape in attempts:
        if not attempt.succeeded:
            steps.append(Step(attempt, shape, None, running))
            continue
        kind = kind_of(attempt.sha, running.sha if running else None, seen)
        steps.append(Step(attempt, shape, kind, running))
        running = attempt
        seen.add(attempt.sha)
    return steps


async def history_of(db: AsyncConnection, home: ask.Home, since: datetime | None) -> History:
    """Read what is known; where another source counts now, everything is derived anew."""
    place, bound = home.place, {"repository": home.place.repository_id}
    attempts = [attempt_of(row) for row in await ask.rows(db, ask.ATTEMPTS, **bound)]
    if not any(attempt.environment_class == "production" for attempt in attempts):
        attempts += [merge_of(row) for row in await ask.rows(db, ask.MERGES, **bound)]
    attempts = [await resolved(db, place, attempt) for attempt in attempts]
    attempts.sort(key=lambda attempt: (attempt.finished_at, attempt.id))
    classes = {attempt.environment_class for attempt in attempts}
    sources = {
        name: counting_source(a for a in attempts if a.environment_class == name)
        for name in classes
    }
    before = {row.environment_class: row.source for row in await ask.rows(db, ask.SOURCES, **bound)}
    if any(sources.get(name) != source for name, source in before.items()):
        since = None
    described = [
        Shape(row.name, row.environment, tuple(row.paths))
        for row in await ask.rows(db, ask.SHAPES, **bound)
    ]
    return History(home, since, sources, attempts, described)


def attempt_of(row: Row[Any]) -> Attempt:
    """Return a row of ATTEMPTS as an attempt."""
    return Attempt(
        id=row.id,
        source=row.source,
        environment=row.environment,
        environment_class=row.environment_class,
        sha=row.sha,
        ref=row.ref,
        creator_login=row.creator_login,
        created_at=row.created_at,
        succeeded=row.succeeded_at is not None,
        finished_at=row.succeeded_at or row.failed_at,
        url=row.url,
    )


def merge_of(row: Row[Any]) -> Attempt:
    """Return a merge as the deployment it stands for where nothing else tells of any."""
    return Attempt(
        id=f"{row.id}:merge",
        source="merge",
        environment="production",
        environment_class="production",
        sha=row.sha,
        ref=row.ref,
        creator_login=row.author_login,
        created_at=row.merged_at,
        succeeded=True,
        finished_at=row.merged_at,
        url=row.url,
    )


async def resolved(db: AsyncConnection, place: Place, attempt: Attempt) -> Attempt:
    """Replace a tag by the commit it was pushed to, where a push told."""
    if not attempt.sha.startswith("tag:"):
        return attempt
    sha = await tagged(db, place.by(attempt.finished_at), attempt.sha.removeprefix("tag:"))
    return Attempt(**{**vars(attempt), "sha": sha}) if sha else attempt
