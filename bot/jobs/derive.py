"""Derive a repository's deployments and changes: facts in, rows of two tables out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from handlers.changes import (
    Attempt,
    Moments,
    Shape,
    cohort_of,
    counting_source,
    grouped,
    is_corrective,
    kind_of,
    shapes_of,
    stages_of,
)
from models import DeploymentChange, ServiceDeployment
from models import deriving as ask
from models.columns import EPOCH
from models.graph import (
    Place,
    Range,
    compared_range,
    merged_range,
    owners,
    position,
    pushed_range,
    tagged,
)

BASELINE = "contained in the first deployment ever seen, so its way there is unknown"


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
    sha = await tagged(db, place, attempt.sha.removeprefix("tag:"))
    return Attempt(**{**vars(attempt), "sha": sha}) if sha else attempt


@dataclass
class Graph:
    """Answers which commits a deployment brought, from the best evidence there is."""

    db: AsyncConnection
    place: Place

    async def known(self, base: str, head: str) -> tuple[bool, Range | None]:
        """Tell whether a range need not be asked of GitHub (any more), and the range if known."""
        if pushed := await pushed_range(self.db, self.place, base, head):
            return True, pushed
        return await compared_range(self.db, self.place, base, head)

    async def range(self, base: Attempt, head: Attempt) -> Range:
        """Return the commits of a deployment that its predecessor had not."""
        if known := (await self.known(base.sha, head.sha))[1]:
            return known
        until = await position(self.db, self.place, head.sha)
        if until is None:
            return Range((), "unknown")
        since = await position(self.db, self.place, base.sha) or base.finished_at
        return await merged_range(self.db, self.place, since, until)

    async def baseline(self, first: Attempt) -> list[str]:
        """Return the pull requests that the first deployment ever seen contains."""
        until = await position(self.db, self.place, first.sha) or first.finished_at
        bound = {"repository": self.place.repository_id, "until": until}
        return [row.id for row in await ask.rows(self.db, ask.MERGED_BEFORE, **bound)]


async def unknown_ranges(db: AsyncConnection, history: History) -> list[tuple[str, str]]:
    """Return the ranges (base, head) that only GitHub can tell and was not asked for yet."""
    graph = Graph(db, history.place)
    wanted = []
    for step in history.steps():
        if not step.brings or step.predecessor is None or step.attempt.sha.startswith("tag:"):
            continue
        pair = (step.predecessor.sha, step.attempt.sha)
        if pair not in wanted and not (await graph.known(*pair))[0]:
            wanted.append(pair)
    return wanted


async def derive(
    db: AsyncConnection, history: History
) -> tuple[list[ServiceDeployment], list[DeploymentChange]]:
    """Return the rows that stand from `since` on."""
    graph = Graph(db, history.place)
    deployments, changes = [], []
    brought: dict[str, set[str]] = {}
    for step in history.steps():
        found = await changes_of_step(db, graph, history, step, brought)
        kind = "rollforward" if any(change.corrective for change in found) else step.kind
        deployments.append(service_deployment(history, step, kind if step.brings else step.kind))
        changes += found
    deployments += [superseded(history, attempt) for attempt in history.superseded()]
    return deployments, changes


async def changes_of_step(
    db: AsyncConnection, graph: Graph, history: History, step: Step, brought: dict[str, set[str]]
) -> list[DeploymentChange]:
    """Return the changes that one deployment brought to its service for the first time."""
    service = service_id(history, step.attempt, step.shape)
    if step.kind == "baseline":
        pull_requests = await graph.baseline(step.attempt)
        found = await pull_request_changes(db, history, step, dict.fromkeys(pull_requests, ()))
        for change in found:
            unmeasured(change)
    elif step.brings and step.predecessor:
        found = await brought_by(db, graph, history, step)
    else:
        return []
    before = brought.setdefault(service, set())
    if history.since is not None and found:
        ids = [change.change_id for change in found]
        before |= await ask.attributed(db, service, ids, history.since)
    fresh = [change for change in found if change.change_id not in before]
    before |= {change.change_id for change in fresh}
    return fresh


async def brought_by(
    db: AsyncConnection, graph: Graph, history: History, step: Step
) -> list[DeploymentChange]:
    """Return what is in a deployment and was not in its predecessor."""
    assert step.predecessor is not None  # noqa: S101 - only a first deployment has none
    known = await graph.range(step.predecessor, step.attempt)
    owned = await owners(db, history.place, known.shas)
    groups = grouped(known.shas, owned)
    direct = [sha for sha in known.shas if sha not in owned]
    found = await pull_request_changes(db, history, step, groups)
    found += await pushed_changes(db, history, step, direct)
    for change in found:
        change.evidence = known.evidence
    return found


async def pull_request_changes(
    db: AsyncConnection, history: History, step: Step, groups: dict[str, Any]
) -> list[DeploymentChange]:
    """Return the changes that are merged pull requests."""
    if not groups:
        return []
    told = await ask.turns(db, list(groups))
    seen = await ask.first_commits(db, history.place, list(groups))
    return [
        pull_request_change(history, step, told[owner], seen.get(owner))
        for owner in groups
        if owner in told and step.shape.made_of(touched_by(told[owner], seen.get(owner)))
    ]


def touched_by(told: Row[Any], seen: Row[Any] | None) -> list[str] | None:
    """Return the paths a pull request touches: its merge's, else its commits', None: not known."""
    if told.paths_known:
        return list(told.paths)
    return list(seen.paths or ()) if seen and seen.paths_known else None


async def pushed_changes(
    db: AsyncConnection, history: History, step: Step, shas: Sequence[str]
) -> list[DeploymentChange]:
    """Return the changes that are pushes without a pull request; a push of many commits is one."""
    if not shas:
        return []
    told = await ask.direct_commits(db, history.place, shas)
    pushes: dict[str, list[Row[Any]]] = {}
    for sha in shas:
        if row := told.get(sha):
            pushes.setdefault(row.push_id or sha, []).append(row)
    return [
        pushed_change(history, step, commits)
        for commits in pushes.values()
        if step.shape.made_of(paths_of(commits))
    ]


def paths_of(commits: Iterable[Row[Any]]) -> list[str] | None:
    """Return the paths that commits touch, None where one of them did not tell."""
    commits = list(commits)
    if not all(commit.paths_known for commit in commits):
        return None
    return [path for commit in commits for path in commit.paths]


def service_id(history: History, attempt: Attempt, shape: Shape) -> str:
    """Return the key of a service."""
    return f"{history.place.repository_id}/{attempt.environment_class}/{shape.name}"


def pull_request_change(
    history: History, step: Step, told: Row[Any], seen: Row[Any] | None
) -> DeploymentChange:
    """Return one pull request's way to production."""
    opened = told.ready_at if told.ready_at and told.ready_at <= told.merged_at else told.opened_at
    moments = Moments(
        first_commit_at=seen.first_commit_at if seen else told.opened_at,
        ready_at=opened,
        first_review_at=told.first_review_at,
        merged_at=told.merged_at,
        deployed_at=step.attempt.finished_at,
    )
    return change(
        history,
        step,
        moments,
        change_id=told.id,
        pull_request_id=told.id,
        pull_request_number=told.number,
        sha=told.merge_commit_sha or told.head_sha,
        title=told.title,
        author_login=told.author_login,
        cohort=told.cohort,
        url=told.url,
        corrective=is_corrective(told.title, told.head_ref, told.labels),
    )


def pushed_change(history: History, step: Step, commits: Sequence[Row[Any]]) -> DeploymentChange:
    """Return the way to production of commits that were pushed together without a pull request."""
    last = commits[-1]
    moments = Moments(
        first_commit_at=min(commit.authored_at for commit in commits),
        ready_at=last.pushed_at or last.authored_at,
        first_review_at=None,
        merged_at=last.pushed_at or last.authored_at,
        deployed_at=step.attempt.finished_at,
    )
    return change(
        history,
        step,
        moments,
        change_id=last.push_id or f"{history.place.repository_id}:{last.sha}",
        sha=last.sha,
        title=last.headline,
        author_login=last.author_login or last.author_name,
        cohort=cohort_of(last.author_login, last.author_name),
        url=f"{history.home.url}/commit/{last.sha}" if history.home.url else None,
        corrective=any(is_corrective(commit.headline) for commit in commits),
    )


def change(
    history: History, step: Step, moments: Moments, *, change_id: str, **told: Any
) -> DeploymentChange:
    """Return a change with its stages."""
    stages, service = stages_of(moments), service_id(history, step.attempt, step.shape)
    return DeploymentChange(
        id=f"{service}/{step.attempt.id}/{change_id}",
        organization_id=history.home.organization_id,
        repository_id=history.place.repository_id,
        service_id=service,
        environment_class=step.attempt.environment_class,
        service_deployment_id=f"{service}/{step.attempt.id}",
        change_id=change_id,
        evidence="",
        first_commit_at=moments.first_commit_at,
        opened_at=moments.ready_at,
        first_review_at=moments.first_review_at,
        merged_at=moments.merged_at,
        deployed_at=moments.deployed_at,
        lead_seconds=stages.lead,
        coding_seconds=stages.coding,
        pickup_seconds=stages.pickup,
        review_seconds=stages.review,
        deploy_seconds=stages.deploy,
        **told,
    )


def unmeasured(change: DeploymentChange) -> None:
    """Take the times off a change that the first deployment ever seen contains."""
    change.evidence, change.reason, change.corrective = "merge order", BASELINE, False
    change.lead_seconds = change.coding_seconds = change.pickup_seconds = None
    change.review_seconds = change.deploy_seconds = None


def service_deployment(history: History, step: Step, kind: str | None) -> ServiceDeployment:
    """Return one deployment of one service as it is counted."""
    attempt = step.attempt
    before = step.predecessor
    service = service_id(history, attempt, step.shape)
    reason = None if attempt.succeeded else "the attempt did not succeed"
    if kind == "redeploy":
        reason = "the same commit was running already"
    return ServiceDeployment(
        id=f"{service}/{attempt.id}",
        service_id=service,
        service=step.shape.name,
        predecessor_id=f"{service}/{before.id}" if before else None,
        state="success" if attempt.succeeded else "failure",
        kind=kind,
        counted=reason is None,
        reason=reason,
        **told_of(history, attempt),
    )


def superseded(history: History, attempt: Attempt) -> ServiceDeployment:
    """Return what another source told of, so that Explain can say why it is not counted."""
    counting = history.sources[attempt.environment_class].replace("_", " ")
    service = f"{history.place.repository_id}/{attempt.environment_class}/{attempt.environment}"
    return ServiceDeployment(
        id=f"{service}/{attempt.id}",
        service_id=service,
        service=attempt.environment,
        state="superseded",
        reason=f"this repository's deployments are counted by {counting}, "
        f"not by {attempt.source.replace('_', ' ')}",
        **told_of(history, attempt),
    )


def told_of(history: History, attempt: Attempt) -> dict[str, Any]:
    """Return what was told of an attempt."""
    return {
        "organization_id": history.home.organization_id,
        "repository_id": history.place.repository_id,
        "environment": attempt.environment,
        "environment_class": attempt.environment_class,
        "deployment_id": attempt.id,
        "source": attempt.source,
        "sha": attempt.sha,
        "ref": attempt.ref,
        "creator_login": attempt.creator_login,
        "started_at": attempt.created_at,
        "finished_at": attempt.finished_at,
        "url": attempt.url,
    }


def start_of(history: History) -> datetime:
    """Return the time from which on derived rows are replaced."""
    return history.since or EPOCH
