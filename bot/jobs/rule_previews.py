"""Preview a rule of deployments: history and kinds under two rules, by the code that derives."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.history import History, Step, history_of
from handlers.changes import Attempt, Shape
from handlers.rules import Rule, superseded_because
from models.deriving import home_of
from models.rule_preview import DAYS, MOST_SHOWN, Counts, Differing, Heard, Preview, merges_since

REDEPLOY = "the same commit was running already"
ELSEWHERE = "its environment is not production"
Key = tuple[str, str]
"""An attempt's id and a service."""


async def preview_of(
    db: AsyncConnection,
    repository_id: str,
    rule: Rule,
    now: datetime,
    described: Sequence[Shape] | None = None,
) -> Preview | None:
    """Return what a rule would count of the last 90 days; None for a repository not described.

    `described`: its services, if they are to be others than those that are kept.
    """
    home = await home_of(db, repository_id)
    if home is None:
        return None
    since = now - timedelta(days=DAYS)
    kept = await history_of(db, home, None)
    drafted = await history_of(db, home, None, rule, described)
    merges = await merges_since(db, repository_id, since)
    before, after = dict(counted(kept, since)), dict(counted(drafted, since))
    gained = [differing(step, None) for key, step in after.items() if key not in before]
    lost = [
        differing(step, why_not(drafted, step.attempt))
        for key, step in before.items()
        if key not in after
    ]
    return Preview(
        days=DAYS,
        since=since,
        counted_now=len(before),
        counted_then=len(after),
        services=services(drafted, since),
        heard=heard((kept, before), (drafted, after), since, merges),
        gained=newest(gained),
        gained_count=len(gained),
        lost=newest(lost),
        lost_count=len(lost),
    )


def counted(history: History, since: datetime) -> Iterator[tuple[Key, Step]]:
    """Yield the steps since a time that count as deployments to production."""
    for step in recent(history, since):
        if step.attempt.environment_class == "production" and step.counts:
            yield (step.attempt.id, step.shape.name), step


def recent(history: History, since: datetime) -> Iterator[Step]:
    """Yield the steps since a time."""
    return (step for step in history.steps() if step.attempt.finished_at >= since)


def services(history: History, since: datetime) -> list[Counts]:
    """Count the deployments of every service by kind, production first."""
    kinds: dict[Key, Counter[str]] = {}
    for step in recent(history, since):
        key = (step.attempt.environment_class, step.shape.name)
        kinds.setdefault(key, Counter())[step.kind or "failed"] += 1
    ordered = sorted(kinds, key=lambda key: (key[0] != "production", *key))
    return [
        Counts(
            service=name,
            environment_class=environment_class,
            counted=sum(kinds[environment_class, name][kind] for kind in COUNTED),
            baseline=kinds[environment_class, name]["baseline"],
            new=kinds[environment_class, name]["new"],
            rollback=kinds[environment_class, name]["rollback"],
            redeploy=kinds[environment_class, name]["redeploy"],
            failed=kinds[environment_class, name]["failed"],
        )
        for environment_class, name in ordered
    ]


COUNTED = ("baseline", "new", "rollback")
Counting = tuple[History, Mapping[Key, Step]]


def heard(now: Counting, then: Counting, since: datetime, merges: int) -> list[Heard]:
    """Say what each source told of each environment, and how much of it counts in production."""
    told: dict[str, Attempt] = {}
    for history, _ in (now, then):
        told |= {each.id: each for each in history.attempts if each.finished_at >= since}
    total = Counter(
        place(each) for each in told.values() if each.succeeded and each.source != "merge"
    )
    if merges:
        total["merge", "production"] = merges
    before, after = (
        Counter(place(each) for each in distinct(steps.values())) for _, steps in (now, then)
    )
    return [
        Heard(*key, told=total[key], counted_now=before[key], counted_then=after[key])
        for key in sorted(total | before | after)
    ]


def place(attempt: Attempt) -> tuple[str, str]:
    """Return where an attempt is told of."""
    return attempt.source, attempt.environment


def distinct(steps: Iterable[Step]) -> Iterable[Attempt]:
    """Return the attempts of steps, each once though it deployed several services."""
    return {step.attempt.id: step.attempt for step in steps}.values()


def why_not(history: History, attempt: Attempt) -> str:
    """Say why a deployment does not count under a rule."""
    seen = next((each for each in history.attempts if each.id == attempt.id), attempt)
    if seen.excluded:
        return seen.excluded
    if seen.environment_class != "production":
        return ELSEWHERE
    source = history.sources.get("production", attempt.source)
    if source != seen.source:
        return superseded_because(history.rule, source, seen)
    return REDEPLOY


def differing(step: Step, reason: str | None) -> Differing:
    """Return a step as it is shown."""
    attempt = step.attempt
    return Differing(
        id=attempt.id,
        service=step.shape.name,
        environment=attempt.environment,
        source=attempt.source,
        sha=attempt.sha,
        ref=attempt.ref,
        finished_at=attempt.finished_at,
        url=attempt.url,
        reason=reason,
    )


def newest(found: list[Differing]) -> list[Differing]:
    """Return the newest of some deployments."""
    return sorted(found, key=lambda each: (each.finished_at, each.id), reverse=True)[:MOST_SHOWN]
