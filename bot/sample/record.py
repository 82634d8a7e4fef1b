"""What truly happened, from the generator's own knowledge: METRICS.md R0-R3 and R8, naively.

Tests recompute the product's numbers from it, so nothing here comes from `models` or `handlers`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bot.sample.graph import between
from bot.sample.people import Cohort
from bot.sample.world import Attempt, Repository, Shipped, World

Kind = Literal["baseline", "new", "redeploy", "rollback", "rollforward"]


@dataclass(frozen=True)
class Deployed:
    """A production deployment that succeeded; `changes` are those it was first to bring."""

    id: int
    repository_id: int
    sha: str
    kind: Kind
    purpose: str
    """Why the story made it: new, redeploy or rollback. `kind` is worked out without it."""
    created_at: datetime
    finished_at: datetime
    changes: tuple[str, ...]


@dataclass(frozen=True)
class FailedAttempt:
    """A GitHub deployment to production that ended in failure or error and never succeeded."""

    id: int
    repository_id: int
    sha: str
    failed_at: datetime


@dataclass(frozen=True)
class Change:
    """A merged pull request, or one commit pushed to main without one (`number` is None)."""

    repository_id: int
    number: int | None
    sha: str
    """On main: the squash or merge commit, or the last of the rebased ones."""
    title: str
    author: str
    cohort: Cohort
    first_commit_at: datetime
    opened_at: datetime | None
    ready_at: datetime | None
    first_review_at: datetime | None
    merged_at: datetime
    """For a direct push the moment of the push, which only its delivery tells."""
    fix: bool
    """Revert or hotfix."""
    deployment_id: int | None
    """The first to bring it; None while undeployed. A baseline may be that, without a lead time."""
    deployed_at: datetime | None
    """None while undeployed, and for what a baseline contains."""
    complete: bool
    """False when deliveries about it came before the installation or were lost; its commits are
    then to be asked of the API."""

    @property
    def lead(self) -> timedelta | None:
        """First commit to production; None without one."""
        return self.deployed_at - self.first_commit_at if self.deployed_at else None


@dataclass(frozen=True)
class Incident:
    """An issue with the label `incident`; `resolved_at` None while open."""

    repository_id: int
    number: int
    severity: str
    opened_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class SpokenIncident:
    """An incident that was told in Slack; `key` names the thread's first message."""

    repository_id: int
    key: str
    severity: str
    opened_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class Undelivered:
    """A push that happened and was never told."""

    repository_id: int
    ref: str
    after: str
    at: datetime


@dataclass(frozen=True)
class Record:
    """The truth about a story; each tuple in the order of time within a repository."""

    deployments: tuple[Deployed, ...]
    failed_attempts: tuple[FailedAttempt, ...]
    changes: tuple[Change, ...]
    incidents: tuple[Incident, ...]
    spoken: tuple[SpokenIncident, ...]
    undelivered: tuple[Undelivered, ...]


def record(world: World) -> Record:
    """Work the truth out of what the story did."""
    deployments = [d for repo in world.repositories for d in _deployments(repo)]
    return Record(
        deployments=tuple(deployments),
        failed_attempts=tuple(f for repo in world.repositories for f in _failed(repo)),
        changes=tuple(c for repo in world.repositories for c in _changes(repo, deployments)),
        incidents=tuple(
            Incident(*values) for values in world.incidents if values[3] >= _since(world, values[0])
        ),
        spoken=tuple(SpokenIncident(**vars(spoken)) for spoken in world.spoken),
        undelivered=tuple(Undelivered(*values) for values in world.undelivered),
    )


def _since(world: World, repository_id: int) -> datetime:
    return next(r.known_from for r in world.repositories if r.plan.id == repository_id)


def _successes(repo: Repository) -> list[tuple[datetime, Attempt]]:
    done = [(a.succeeded_at, a) for a in repo.attempts if a.succeeded_at]
    return sorted(
        ((at, attempt) for at, attempt in done if at >= repo.known_from),
        key=lambda pair: (pair[0], pair[1].id),
    )


def _deployments(repo: Repository) -> Iterator[Deployed]:
    """Kinds by SHA (R1): what a deployment brings is what none before it had."""
    by_sha = {shipped.sha: shipped for shipped in repo.shipped}
    gone: list[str] = []
    for finished_at, attempt in _successes(repo):
        brought = between(repo.commits, set(gone), attempt.sha)
        changes = [by_sha[c.sha] for c in brought if c.sha in by_sha]
        yield Deployed(
            id=attempt.id,
            repository_id=repo.plan.id,
            sha=attempt.sha,
            kind=_kind(attempt.sha, gone, changes),
            purpose=attempt.purpose,
            created_at=attempt.created_at,
            finished_at=finished_at,
            changes=tuple(shipped.sha for shipped in changes),
        )
        gone.append(attempt.sha)


def _kind(sha: str, gone: list[str], changes: list[Shipped]) -> Kind:
    if not gone:
        return "baseline"
    if sha == gone[-1]:
        return "redeploy"
    if sha in gone:
        return "rollback"
    return "rollforward" if any(shipped.fix for shipped in changes) else "new"


def _failed(repo: Repository) -> Iterator[FailedAttempt]:
    for attempt in repo.attempts:
        failed_at = attempt.failed_at
        if failed_at and failed_at >= repo.known_from and not attempt.succeeded_at:
            yield FailedAttempt(attempt.id, repo.plan.id, attempt.sha, failed_at)


def _changes(repo: Repository, deployments: list[Deployed]) -> Iterator[Change]:
    """Those merged since the app knows the repository."""
    first = {sha: d for d in deployments if d.repository_id == repo.plan.id for sha in d.changes}
    for shipped in repo.shipped:
        if shipped.merged_at >= repo.known_from:
            yield _change(repo, shipped, first.get(shipped.sha))


def _change(repo: Repository, shipped: Shipped, deployed: Deployed | None) -> Change:
    pr = shipped.pr
    measured = deployed is not None and deployed.kind != "baseline"
    return Change(
        repository_id=repo.plan.id,
        number=pr.number if pr else None,
        sha=shipped.sha,
        title=shipped.title,
        author=shipped.author.login,
        cohort=shipped.author.cohort,
        first_commit_at=shipped.first_commit_at,
        opened_at=pr.created_at if pr else None,
        ready_at=pr.ready_at if pr else None,
        first_review_at=pr.first_review_at if pr else None,
        merged_at=shipped.merged_at,
        fix=shipped.fix,
        deployment_id=deployed.id if deployed else None,
        deployed_at=deployed.finished_at if deployed and measured else None,
        complete=pr.complete if pr else not shipped.lost,
    )
