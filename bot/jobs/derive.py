"""Derive a repository's deployments and changes: facts in, rows of two tables out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.history import History, Step
from bot.jobs.rows import (
    pull_request_change,
    pushed_change,
    service_deployment,
    superseded,
    unmeasured,
)
from handlers.changes import grouped
from models import DeploymentChange, ServiceDeployment
from models import deriving as ask
from models.graph import (
    Range,
    Span,
    known_ranges,
    merged_ranges,
    owners,
    positions,
)


@dataclass
class Known:
    """What the facts tell of the steps of a history that bring something: ranges, and what is in
    them. `lacking`: the ranges (base, head) that GitHub was not asked for yet.
    """

    ranges: dict[Span, Range] = field(default_factory=dict)
    groups: dict[Span, dict[str, list[str]]] = field(default_factory=dict)
    told: dict[Span, dict[str, Row[Any]]] = field(default_factory=dict)
    seen: dict[Span, dict[str, Row[Any]]] = field(default_factory=dict)
    direct: dict[Span, dict[str, Row[Any]]] = field(default_factory=dict)
    lacking: list[tuple[str, str]] = field(default_factory=list)


def span_of(step: Step) -> Span | None:
    """Return what a step leads over; None for one that brings nothing after another one."""
    if not step.brings or step.predecessor is None:
        return None
    before = step.predecessor
    return Span(before.sha, step.attempt.sha, before.finished_at, step.until)


async def ranges_of(db: AsyncConnection, history: History) -> Known:
    """Find the commits of each deployment that its predecessor had not, by the best evidence."""
    spans = list(dict.fromkeys(span for step in history.steps() if (span := span_of(step))))
    known = await known_ranges(db, history.place, spans)
    lacking = [
        (span.base, span.head)
        for span in spans
        if span not in known and not span.head.startswith("tag:")
    ]
    rest = [span for span in spans if known.get(span) is None]
    sure = {span: found for span, found in known.items() if found}
    ranges = sure | await merged_ranges(db, history.place, rest)
    return Known({span: ranges[span] for span in spans}, lacking=list(dict.fromkeys(lacking)))


async def look(db: AsyncConnection, history: History, known: Known) -> None:
    """Find whose the commits of each range are, and what is told of these pull requests."""
    place, spans = history.place, list(known.ranges)
    shas = {span: found.shas for span, found in known.ranges.items() if found.shas}
    owned = await owners(db, place, shas)
    known.groups = {span: grouped(shas[span], owned[span]) for span in shas}
    asked = [span for span in spans if known.groups.get(span)]
    pull_requests = [ask.Asked(list(known.groups[span]), span.until) for span in asked]
    known.told = dict(zip(asked, await ask.turns(db, place, pull_requests), strict=True))
    known.seen = dict(zip(asked, await ask.first_commits(db, place, pull_requests), strict=True))
    pushed = [span for span in shas if len(owned[span]) < len(set(shas[span]))]
    commits = [
        ask.Asked([sha for sha in shas[span] if sha not in owned[span]], span.until)
        for span in pushed
    ]
    known.direct = dict(zip(pushed, await ask.direct_commits(db, place, commits), strict=True))


async def derive(
    db: AsyncConnection, history: History, known: Known
) -> tuple[list[ServiceDeployment], list[DeploymentChange]]:
    """Return the rows that stand from `since` on."""
    steps = history.steps()
    found = [await changes_of_step(db, history, step, known) for step in steps]
    before = await brought_before(db, history, found)
    deployments, changes = [], []
    for step, brought in zip(steps, found, strict=True):
        fresh = [each for each in brought if (each.service_id, each.change_id) not in before]
        before |= {(each.service_id, each.change_id) for each in fresh}
        kind = "rollforward" if any(change.corrective for change in fresh) else step.kind
        deployment = service_deployment(history, step, kind if step.brings else step.kind)
        deployment.cohorts = sorted({change.cohort for change in fresh})
        deployments.append(deployment)
        changes += fresh
    deployments += [superseded(history, attempt) for attempt in history.superseded()]
    return deployments, changes


async def brought_before(
    db: AsyncConnection, history: History, found: Sequence[Sequence[DeploymentChange]]
) -> set[tuple[str, str]]:
    """Return which changes reached which services before deriving starts."""
    if history.since is None:
        return set()
    pairs = [(change.service_id, change.change_id) for each in found for change in each]
    return await ask.attributed(db, pairs, history.since)


async def changes_of_step(
    db: AsyncConnection, history: History, step: Step, known: Known
) -> list[DeploymentChange]:
    """Return the changes that one deployment brought to its service, be it again."""
    if step.kind == "baseline":
        return await contained(db, history, step)
    span = span_of(step)
    if span is None or span not in known.groups:
        return []
    told, seen = known.told.get(span, {}), known.seen.get(span, {})
    found = pull_request_changes(history, step, known.groups[span], told, seen)
    found += pushed_changes(history, step, known.ranges[span].shas, known.direct.get(span, {}))
    for change in found:
        change.evidence = known.ranges[span].evidence
    return found


async def contained(db: AsyncConnection, history: History, first: Step) -> list[DeploymentChange]:
    """Return the pull requests that the first deployment ever seen contains."""
    place, attempt = history.place, first.attempt
    at = await positions(db, place, [(attempt.sha, first.until)])
    until = at.get(0, attempt.finished_at)
    bound = {"repository": place.repository_id, "until": until}
    ids = [row.id for row in await ask.rows(db, ask.MERGED_BEFORE, **bound)]
    if not ids:
        return []
    asked = [ask.Asked(ids, first.until)]
    [told], [seen] = await ask.turns(db, place, asked), await ask.first_commits(db, place, asked)
    found = pull_request_changes(history, first, ids, told, seen)
    for change in found:
        unmeasured(change)
    return found


def pull_request_changes(
    history: History,
    step: Step,
    owners: Iterable[str],
    told: Mapping[str, Row[Any]],
    seen: Mapping[str, Row[Any]],
) -> list[DeploymentChange]:
    """Return the changes that are merged pull requests."""
    return [
        pull_request_change(history, step, told[owner], seen.get(owner))
        for owner in owners
        if owner in told and step.shape.made_of(touched_by(told[owner], seen.get(owner)))
    ]


def touched_by(told: Row[Any], seen: Row[Any] | None) -> list[str] | None:
    """Return the paths a pull request touches: its merge's, else its commits', None: not known."""
    if told.paths_known:
        return list(told.paths)
    return list(seen.paths or ()) if seen and seen.paths_known else None


def pushed_changes(
    history: History, step: Step, shas: Iterable[str], told: Mapping[str, Row[Any]]
) -> list[DeploymentChange]:
    """Return the changes that are pushes without a pull request; a push of many commits is one."""
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
