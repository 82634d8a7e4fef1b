"""Derive a repository's deployments and changes: facts in, rows of two tables out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.history import History, Step
from bot.jobs.rows import (
    pull_request_change,
    pushed_change,
    service_deployment,
    service_id,
    superseded,
    unmeasured,
)
from handlers.changes import Attempt, grouped
from models import DeploymentChange, ServiceDeployment
from models import deriving as ask
from models.graph import (
    Place,
    Range,
    compared_range,
    merged_range,
    owners,
    position,
    pushed_range,
)


@dataclass
class Graph:
    """Answers which commits a deployment brought, from the best evidence there is."""

    db: AsyncConnection
    place: Place

    async def known(self, base: Attempt, head: Attempt) -> tuple[bool, Range | None]:
        """Tell whether a range need not be asked of GitHub (any more), and the range if known."""
        place = self.place.by(head.finished_at)
        if pushed := await pushed_range(self.db, place, base.sha, head.sha):
            return True, pushed
        return await compared_range(self.db, place, base.sha, head.sha)

    async def range(self, base: Attempt, head: Attempt) -> Range:
        """Return the commits of a deployment that its predecessor had not."""
        if known := (await self.known(base, head))[1]:
            return known
        place = self.place.by(head.finished_at)
        until = await position(self.db, place, head.sha)
        if until is None:
            return Range((), "unknown")
        since = await position(self.db, place, base.sha) or base.finished_at
        return await merged_range(self.db, place, since, until)

    async def baseline(self, first: Attempt) -> list[str]:
        """Return the pull requests that the first deployment ever seen contains."""
        place = self.place.by(first.finished_at)
        until = await position(self.db, place, first.sha) or first.finished_at
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
        if pair not in wanted and not (await graph.known(step.predecessor, step.attempt))[0]:
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
        deployment = service_deployment(history, step, kind if step.brings else step.kind)
        deployment.cohorts = sorted({change.cohort for change in found})
        deployments.append(deployment)
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
    owned = await owners(db, step.seen_from(history.place), known.shas)
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
    place = step.seen_from(history.place)
    told = await ask.turns(db, place, list(groups))
    seen = await ask.first_commits(db, place, list(groups))
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
    told = await ask.direct_commits(db, step.seen_from(history.place), shas)
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
