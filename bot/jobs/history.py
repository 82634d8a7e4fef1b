"""What happened to a repository, in order: every finished attempt, judged against those before."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from handlers.changes import Attempt, Shape, kind_of, shapes_of
from handlers.github.deployments import RESULTS, TRIALS, run_id, ships
from handlers.github.environments import shipped_to
from handlers.rules import Rule, counting, counts_merges, judged, names_workflow
from models import deriving as ask
from models.columns import EPOCH
from models.graph import Place, known_by, tagged
from models.rules import rule_of


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

    @property
    def counts(self) -> bool:
        """Whether it is one of deployment frequency's N."""
        return self.kind not in (None, "redeploy")

    @property
    def until(self) -> datetime:
        """Until when what happened is known of it."""
        return known_by(self.attempt.finished_at)


@dataclass
class History:
    """What is known of a repository's deployments; `since`: where deriving starts, None: anew."""

    home: ask.Home
    since: datetime | None
    rule: Rule = field(default_factory=Rule)
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
        return [step for step in self.all_steps if self.is_fresh(step.attempt)]

    @cached_property
    def all_steps(self) -> list[Step]:
        """Every step of every service, in the order it happened."""
        services: dict[tuple[str, str], list[tuple[Attempt, Shape]]] = {}
        for attempt in self.attempts:
            if not self.counts(attempt):
                continue
            for shape in shapes_of(attempt.environment, self.shapes):
                key = (attempt.environment_class, shape.name)
                services.setdefault(key, []).append((attempt, shape))
        steps = [step for each in services.values() for step in sequence(each)]
        return sorted(steps, key=lambda step: (step.attempt.finished_at, step.attempt.id))

    def counts(self, attempt: Attempt) -> bool:
        """Tell whether an attempt is one of the source that counts, and not left out."""
        counted = self.sources[attempt.environment_class]
        return attempt.excluded is None and attempt.source == counted

    def is_fresh(self, attempt: Attempt) -> bool:
        """Tell whether an attempt is to be derived now."""
        return self.since is None or attempt.finished_at >= self.since

    def superseded(self) -> list[Attempt]:
        """Return the successes that were told of and do not count here."""
        return [
            attempt
            for attempt in self.attempts
            if attempt.succeeded and not self.counts(attempt) and self.is_fresh(attempt)
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


async def history_of(
    db: AsyncConnection,
    home: ask.Home,
    since: datetime | None,
    rule: Rule | None = None,
    described: Sequence[Shape] | None = None,
) -> History:
    """Read what is known, by the rule and the services that are kept or by other ones.

    Where another source counts now, everything is derived anew.
    """
    place, bound = home.place, {"repository": home.place.repository_id}
    rule = rule or await kept_rule(db, place.repository_id)
    attempts = await attempts_of(db, place, rule)
    attempts = await resolved(db, place, attempts)
    attempts.sort(key=lambda attempt: (attempt.finished_at, attempt.id))
    sources = counting(rule, attempts)
    before = {row.environment_class: row.source for row in await ask.rows(db, ask.SOURCES, **bound)}
    if any(sources.get(name) != source for name, source in before.items()):
        since = None
    if described is None:
        kept = await ask.rows(db, ask.SHAPES, **bound)
        described = [Shape(row.name, row.environment, tuple(row.paths)) for row in kept]
    return History(home, since, rule, sources, attempts, list(described))


async def kept_rule(db: AsyncConnection, repository_id: str) -> Rule:
    """Return how a repository's deployments count, as is kept or by default."""
    told = await rule_of(db, repository_id)
    lists = {name: tuple(each) for name, each in told.items() if isinstance(each, list)}
    return Rule(**{**told, **lists})


async def attempts_of(db: AsyncConnection, place: Place, rule: Rule) -> list[Attempt]:
    """Return the finished attempts that were told of, each as the rule sees it."""
    bound = {"repository": place.repository_id, "transient": bool(rule.production)}
    told = {row.id: attempt_of(row) for row in await ask.rows(db, ask.ATTEMPTS, **bound)}
    named = [attempt_of_run(row) for row in await named_runs(db, place.repository_id, rule)]
    told |= {attempt.id: attempt for attempt in named}
    attempts = judged(rule, list(told.values()), {attempt.id for attempt in named})
    if counts_merges(rule, attempts):
        merges = await ask.rows(db, ask.MERGES, repository=place.repository_id)
        attempts += judged(rule, [merge_of(row) for row in merges], ())
    return attempts


async def named_runs(
    db: AsyncConnection, repository_id: str, rule: Rule, since: datetime | None = None
) -> Sequence[Row[Any]]:
    """Return the finished runs, since a time, of the workflows that a rule names."""
    if not rule.workflows:
        return []
    known = await ask.rows(db, ask.WORKFLOWS, repository=repository_id)
    named = [row for row in known if ships(row.path) and names_workflow(rule, row.name, row.path)]
    return await ask.rows(
        db,
        ask.RUNS,
        repository=repository_id,
        names=[row.name for row in named],
        paths=[row.path for row in named],
        results=list(RESULTS),
        trials=sorted(TRIALS),
        since=since,
    )


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


def attempt_of_run(row: Row[Any]) -> Attempt:
    """Return a row of RUNS as the attempt that it is where its name says that it deploys."""
    environment, to = shipped_to(f"{row.name} {PurePosixPath(row.path or '').stem}")
    return Attempt(
        id=run_id(row.run_id.removeprefix("github:"), row.attempt),
        source="workflow_run",
        environment=environment,
        environment_class=to,
        sha=row.head_sha,
        ref=row.branch,
        creator_login=row.actor_login,
        created_at=row.started_at,
        succeeded=RESULTS[row.conclusion] == "success",
        finished_at=row.completed_at,
        url=row.url,
    )


async def resolved(db: AsyncConnection, place: Place, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Replace tags by the commits they were pushed to, where a push told."""
    asked = {
        attempt.id: (attempt.sha.removeprefix("tag:"), known_by(attempt.finished_at))
        for attempt in attempts
        if attempt.sha.startswith("tag:")
    }
    shas = await tagged(db, place, asked)
    return [
        replace(attempt, sha=shas[attempt.id]) if attempt.id in shas else attempt
        for attempt in attempts
    ]
