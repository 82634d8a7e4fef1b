"""Builds: how often the runs of GitHub Actions' workflows pass, how long they take, how many are.

A build is a workflow run, of which the last attempt counts; METRICS.md, "Mobile builds".
"""

# ruff: noqa: S608 - SQL is put together of constants only

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import Refused
from models.metrics import durations
from models.metrics.core import (
    OF_TEAM,
    Bin,
    Bucket,
    Rows,
    Scope,
    Window,
    ask,
    by_bucket,
    histogram,
    utc,
)
from models.metrics.durations import DurationBucket
from models.metrics.explanation import Metric

PLATFORMS: Mapping[str, Sequence[str]] = {
    "ios": ("ios", "mobile"),
    "android": ("android", "mobile"),
    "mobile": ("ios", "android", "mobile"),
}
"""Which builds a filter means: a workflow that builds the apps of both is in both."""
NO_PLATFORM = "none"

NAMES: Mapping[str | None, str] = {
    "success": "success",
    "failure": "failed",
    "timed_out": "timed_out",
    "cancelled": "cancelled",
    "skipped": "skipped",
}
"""What the figures call GitHub's conclusions."""

MINUTE = 60
EDGES = tuple(minutes * MINUTE for minutes in (1, 2, 5, 10, 15, 20, 30, 45, 60, 120, 240))

# Names are looked up, not joined: what a question does not read costs nothing.
BUILDS = """
select b.organization_id, b.repository_id, b.id, b.completed_at as at, {value} as value,
       b.counted, b.reason,
       concat_ws(' ', (select r.full_name from repositories r where r.id = b.repository_id),
                 b.workflow, left(b.head_sha, 7)) as what,
       (select r.full_name from repositories r where r.id = b.repository_id) as repository,
       b.workflow_id, b.workflow, b.path, b.platform, b.platform_by, b.event, b.branch, b.head_sha,
       b.attempts, b.outcome, b.flaky, b.failure, b.failed_job, b.annotation, b.started_at,
       b.completed_at, b.duration_seconds, b.actor_login, b.url
from builds b
"""
SUCCESSES = BUILDS.format(value="case when b.outcome = 'success' then 1 else 0 end")
DURATIONS = BUILDS.format(value="b.duration_seconds")
COMPLETED = BUILDS.format(value="1")

OF_PLATFORM = "platform = any(:platforms)"
OF_NO_PLATFORM = "platform is null"

# To count groups costs less than to ask each row for each number.
ENDS = """
select at >= :start as inside, outcome, counted, count(*) as count
from rows group by inside, outcome, counted
"""
SPREAD = """
select at >= :start as inside, count(*) as count, avg(value) as mean,
       percentile_cont(array[0.5, 0.9]) within group (order by value) as percentiles
from rows where counted group by inside
"""
FLAKINESS = """
select count(*) as count, count(distinct workflow_id) as workflows from rows where flaky
"""
COUNT = "select count(*) from rows where counted"
NOW = text("select now()")

OUTCOMES = """
count(*) filter (where counted) as count,
count(*) filter (where outcome = 'success') as success,
count(*) filter (where outcome = 'failure') as failed,
count(*) filter (where outcome = 'timed_out') as timed_out,
count(*) filter (where outcome = 'cancelled') as cancelled,
count(*) filter (where outcome = 'skipped') as skipped
"""
SERIES = f"""
select width_bucket(at, cast(:starts as timestamptz[])) as place, {OUTCOMES}
from rows group by place
"""

# What failed has a reason, and what is flaky counts: indexes hold just these.
FAILURES = """
select grouped.*, l.url, l.workflow, l.annotation
from (select failure, count(*) as count, max(at) as last_at,
             (array_agg(id order by at desc, id desc))[1] as last_id
      from rows where failure is not null group by failure) grouped
join builds l on l.id = last_id
order by count desc, last_at desc, failure limit :limit
"""
FLAKY = """
select told.*, counts.runs, l.workflow, l.url,
       (select r.full_name from repositories r where r.id = told.repository_id) as repository
from (select workflow_id, min(repository_id) as repository_id, count(*) as flaky,
             max(at) as last_at, (array_agg(id order by at desc, id desc))[1] as last_id
      from rows where flaky group by workflow_id) told
join (select workflow_id, count(*) as runs from rows where counted group by workflow_id) counts
    using (workflow_id)
join builds l on l.id = last_id
order by flaky desc, runs, last_at desc, workflow_id limit :limit
"""
LATEST = "select * from rows order by started_at desc, id desc limit :limit"

PARTS = f"""
{OUTCOMES}, avg(duration_seconds) filter (where counted) as mean,
percentile_cont(array[0.5, 0.9]) within group (order by duration_seconds)
    filter (where counted) as percentiles
"""
BY_PLATFORM = f"""
select platform as id, platform as name, {PARTS} from rows group by platform
order by platform nulls last
"""
BY_REPOSITORY = f"""
select parts.*, (select r.full_name from repositories r where r.id = parts.id) as name
from (select repository_id as id, {PARTS} from rows group by repository_id) parts order by name, id
"""
BY_TEAM = f"""
select parts.*, t.name from (
    select o.team_id as id, {PARTS} from rows
    join team_repositories o on o.repository_id = rows.repository_id and o.owned
    group by o.team_id) parts
join teams t on t.id = parts.id order by t.name, parts.id
"""
BY_WORKFLOW = f"""
select workflow_id as id, max(workflow) as name, {PARTS} from rows group by workflow_id
order by name, id
"""
GROUPS: Mapping[str, str] = {
    "platform": BY_PLATFORM,
    "repo": BY_REPOSITORY,
    "team": BY_TEAM,
    "workflow": BY_WORKFLOW,
}
KNOWN = text("""
select known.platform from unnest(array['ios', 'android', 'mobile']) with ordinality
    as known(platform, place)
where exists (select from builds b
              where b.organization_id = :organization_id and b.platform = known.platform)
order by place
""")


def builds(
    select: str,
    scope: Scope,
    platform: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Rows:
    """The builds of a scope that completed with `since <= at < until`, whatever the environment.

    `platform`: ios, android, mobile (all of them), none, or None for every build. Refused for
    another word.
    """
    clauses: dict[str, Any] = {
        "organization_id = :organization_id": scope.organization_id,
        "repository_id = :repository_id": scope.repository_id,
        OF_TEAM: scope.team_id,
        "at >= :since": since,
        "at < :until": until,
        OF_PLATFORM: platforms(platform),
    }
    told = {clause: value for clause, value in clauses.items() if value is not None}
    names = {clause.rpartition(":")[2].rstrip(")"): value for clause, value in told.items()}
    there = [*told, *([OF_NO_PLATFORM] if platform == NO_PLATFORM else [])]
    return Rows(f"select * from ({select}) facts where {' and '.join(there)}", names)


def platforms(wanted: str | None) -> list[str] | None:
    """Return the platforms whose builds a filter means; None where it names none."""
    if wanted is None or wanted == NO_PLATFORM:
        return None
    if wanted not in PLATFORMS:
        known = ", ".join((*PLATFORMS, NO_PLATFORM))
        raise Refused(f"unknown platform {wanted!r}: choose from {known}")
    return list(PLATFORMS[wanted])


def successes(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The builds of a scope; the value of one that passed is 1."""
    return builds(SUCCESSES, scope, None, since, until)


def lengths(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The builds of a scope; their value is how many seconds the last attempt took."""
    return builds(DURATIONS, scope, None, since, until)


def completed(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The builds of a scope; the value of each is 1."""
    return builds(COMPLETED, scope, None, since, until)


COLUMNS = (
    *("at", "repository", "workflow", "platform", "platform_by", "event", "branch", "head_sha"),
    *("outcome", "attempts", "flaky", "failure", "failed_job", "annotation", "started_at"),
    *("duration_seconds", "value", "counted", "reason", "url"),
)
CONNECT = "Install the GitHub App with the events `workflow_run` and `workflow_job`."
SOURCE = "https://docs.github.com/en/rest/actions/workflow-runs"
NOTHING = "no build passed or failed from {start_date} to {end_date}"
SUCCESS_RATE = Metric(
    name="build_success_rate",
    title="Build success rate",
    definition="Which part of the workflow runs that were not called off has passed.",
    formula="success / (success + failure + timed_out); of a run the last attempt counts; "
    "cancelled and skipped runs are left out; bucketed by the day on which it completed",
    source=SOURCE,
    rows=successes,
    nothing=NOTHING,
    connect=CONNECT,
    columns=COLUMNS,
)
DURATION = Metric(
    name="build_duration",
    title="Build duration",
    definition="How long workflow runs took, from the start of their last attempt to its end.",
    formula="mean, p50 and p90 of (completed - run_started_at) over the runs that passed, failed "
    "or timed out; bucketed by the day on which it completed",
    source=SOURCE,
    rows=lengths,
    nothing=NOTHING,
    connect=CONNECT,
    columns=COLUMNS,
)
FREQUENCY = Metric(
    name="build_frequency",
    title="Build frequency",
    definition="How many workflow runs ran to their end.",
    formula="runs that passed, failed or timed out / days elapsed",
    source=SOURCE,
    rows=completed,
    nothing=NOTHING,
    connect=CONNECT,
    columns=COLUMNS,
)
METRICS = {metric.name: metric for metric in (SUCCESS_RATE, DURATION, FREQUENCY)}
SELECTS = {
    SUCCESS_RATE.name: SUCCESSES,
    DURATION.name: DURATIONS,
    FREQUENCY.name: COMPLETED,
}


def metric_of(name: str, platform: str | None) -> Metric:
    """Return a metric of this module whose rows are those of a platform.

    `name`: build_success_rate, build_duration or build_frequency.
    """
    select = SELECTS[name]
    return replace(
        METRICS[name],
        rows=lambda scope, since, until: builds(select, scope, platform, since, until),
    )


class PreviousRate(TypedDict):
    """As many days directly before."""

    rate: float | None
    count: int


class Outcomes(TypedDict):
    """How builds ended. `count` = success + failed + timed_out; `rate`: 0 to 1, None of nothing."""

    rate: float | None
    success: int
    failed: int
    timed_out: int
    count: int
    cancelled: int
    skipped: int


class SuccessRate(Outcomes):
    """How the builds of a window ended; `reason` says why there is no rate, else None."""

    previous: PreviousRate
    reason: str | None


class Lengths(TypedDict):
    """How long builds took, in seconds; None of nothing."""

    mean_seconds: float | None
    p50_seconds: float | None
    p90_seconds: float | None
    count: int


class BuildDuration(Lengths):
    """How long the builds of a window took; `reason` says why there is no value, else None."""

    previous: Lengths
    reason: str | None


class PreviousCount(TypedDict):
    """As many days directly before."""

    count: int
    per_day: float | None


class BuildFrequency(TypedDict):
    """How many builds of a window ran to their end, over the days elapsed.

    `today`: since midnight in the organisation's zone, whatever the window.
    """

    count: int
    per_day: float | None
    today: int
    previous: PreviousCount
    reason: str | None


class Flakiness(TypedDict):
    """How many builds passed on a commit on which they had failed, of how many `runs`."""

    count: int
    runs: int
    workflows: int


class BuildFigures(TypedDict):
    """Everything that the builds of a window come to, beside as many days before."""

    success_rate: SuccessRate
    duration: BuildDuration
    frequency: BuildFrequency
    flaky: Flakiness


class OutcomesBucket(Outcomes):
    """How builds ended in one day, week or month, by its first day."""

    start_date: str


class CountBucket(TypedDict):
    """How many builds ran to their end in one day, week or month, by its first day."""

    start_date: str
    count: int
    success: int
    failed: int


class BuildsOf(Outcomes):
    """The part of one platform, repository, team or workflow.

    `id`: None is that of builds without a platform.
    """

    id: str | None
    name: str | None
    mean_seconds: float | None
    p50_seconds: float | None
    p90_seconds: float | None


class FailureReason(TypedDict):
    """Builds that failed for one reason. `url`, `workflow`, `annotation`: of the last of them."""

    failure: str
    count: int
    last_at: str
    url: str | None
    workflow: str
    annotation: str | None


class FlakyWorkflow(TypedDict):
    """A workflow some of whose builds passed on a commit on which they had failed.

    `rate`: flaky / runs. `last_at`, `url`: of the last flaky build.
    """

    workflow_id: str
    workflow: str
    repository_id: str
    repository: str | None
    flaky: int
    runs: int
    rate: float
    last_at: str
    url: str | None


class LatestBuild(TypedDict):
    """One build as a table shows it.

    `status`: GitHub's conclusion, or `running`. `completed_at`, `duration_seconds`: None while it
    runs. `failure`: None where it did not fail.
    """

    id: str
    status: str
    platform: str | None
    workflow_id: str
    workflow: str
    repository_id: str
    repository: str | None
    branch: str | None
    head_sha: str
    event: str | None
    actor_login: str | None
    duration_seconds: float | None
    started_at: str
    completed_at: str | None
    url: str | None
    attempts: int
    flaky: bool
    failure: str | None
    annotation: str | None


async def summary(
    db: AsyncConnection,
    scope: Scope,
    window: Window,
    platform: str | None = None,
    now: datetime | None = None,
) -> BuildFigures:
    """Everything that a window's builds come to, beside as many days before.

    `now`: which day is today; None: when Postgres is asked.
    """
    rows = builds(DURATIONS, scope, platform, window.previous.start, window.end)
    ends = (await ask(db, rows, ENDS, start=window.start)).mappings().all()
    spreads = (await ask(db, rows, SPREAD, start=window.start)).mappings().all()
    inside = builds(DURATIONS, scope, platform, window.start, window.end)
    flaky = (await ask(db, inside, FLAKINESS)).mappings().one()
    now = now or (await db.execute(NOW)).scalar_one()
    today = await count_today(db, scope, window, platform, now)
    here, before = outcomes(counts_of(ends, True)), outcomes(counts_of(ends, False))
    reason = None if here["count"] else SUCCESS_RATE.no_data(scope, window)
    lasted = {row["inside"]: row for row in spreads}
    return BuildFigures(
        success_rate=SuccessRate(
            **here,
            previous=PreviousRate(rate=before["rate"], count=before["count"]),
            reason=reason,
        ),
        duration=BuildDuration(
            **spread(lasted.get(True)), previous=spread(lasted.get(False)), reason=reason
        ),
        frequency=BuildFrequency(
            count=here["count"],
            per_day=per(here["count"], window, now),
            today=today,
            previous=PreviousCount(
                count=before["count"], per_day=per(before["count"], window.previous, now)
            ),
            reason=reason,
        ),
        flaky=Flakiness(count=flaky["count"], runs=here["count"], workflows=flaky["workflows"]),
    )


def counts_of(ends: Sequence[RowMapping], inside: bool) -> dict[str, int]:
    """How many builds ended how, of the window or of the days before; `count`: that count."""
    here = [row for row in ends if row["inside"] is inside]
    counts = dict.fromkeys(NAMES.values(), 0)
    for row in here:
        if row["outcome"] in NAMES:
            counts[NAMES[row["outcome"]]] += row["count"]
    return {**counts, "count": sum(row["count"] for row in here if row["counted"])}


def per(count: int, window: Window, now: datetime) -> float | None:
    """How many a day; nothing counted is no rate, never 0."""
    return count / window.elapsed_days(now) if count else None


async def count_today(
    db: AsyncConnection, scope: Scope, window: Window, platform: str | None, now: datetime
) -> int:
    """How many builds ran to their end since midnight in the window's zone."""
    today = now.astimezone(window.zone).date()
    until = window.midnight(today + timedelta(days=1))
    rows = builds(COMPLETED, scope, platform, window.midnight(today), until)
    return int((await ask(db, rows, COUNT)).scalar_one())


def outcomes(told: Mapping[Any, int] | None) -> Outcomes:
    """How builds ended; None is of none."""
    counts = told or dict.fromkeys(("count", *NAMES.values()), 0)
    return Outcomes(
        rate=counts["success"] / counts["count"] if counts["count"] else None,
        success=counts["success"],
        failed=counts["failed"],
        timed_out=counts["timed_out"],
        count=counts["count"],
        cancelled=counts["cancelled"],
        skipped=counts["skipped"],
    )


def spread(told: RowMapping | None) -> Lengths:
    """How long builds took; None is of none."""
    p50, p90 = told["percentiles"] if told else (None, None)
    return Lengths(
        mean_seconds=told["mean"] if told else None,
        p50_seconds=p50,
        p90_seconds=p90,
        count=told["count"] if told else 0,
    )


async def success_series(
    db: AsyncConnection,
    scope: Scope,
    window: Window,
    platform: str | None = None,
    bucket: Bucket = Bucket.DAY,
) -> list[OutcomesBucket]:
    """How builds ended by day, week or month, empty ones too."""
    rows = builds(SUCCESSES, scope, platform, window.start, window.end)
    parts = await by_bucket(db, rows, SERIES, window, bucket)
    return [OutcomesBucket(start_date=day, **outcomes(row)) for day, row in parts]


async def duration_series(
    db: AsyncConnection,
    scope: Scope,
    window: Window,
    platform: str | None = None,
    bucket: Bucket = Bucket.DAY,
) -> list[DurationBucket]:
    """How long builds took by day, week or month; a bucket without any has no values."""
    rows = builds(DURATIONS, scope, platform, window.start, window.end)
    return await durations.duration_series(db, rows, window, bucket)


async def frequency_series(
    db: AsyncConnection,
    scope: Scope,
    window: Window,
    platform: str | None = None,
    bucket: Bucket = Bucket.DAY,
) -> list[CountBucket]:
    """How many builds ran to their end by day, week or month; `failed`: those timed out too."""
    found = await success_series(db, scope, window, platform, bucket)
    return [
        CountBucket(
            start_date=part["start_date"],
            count=part["count"],
            success=part["success"],
            failed=part["failed"] + part["timed_out"],
        )
        for part in found
    ]


async def duration_histogram(
    db: AsyncConnection, scope: Scope, window: Window, platform: str | None = None
) -> list[Bin]:
    """How long builds took, from under a minute to over four hours."""
    rows = builds(DURATIONS, scope, platform, window.start, window.end)
    return await histogram(db, rows, EDGES)


async def failures_by_reason(
    db: AsyncConnection,
    scope: Scope,
    window: Window,
    platform: str | None = None,
    limit: int = 20,
) -> list[FailureReason]:
    """What builds failed of, the most frequent first."""
    rows = builds(SUCCESSES, scope, platform, window.start, window.end)
    answer = await ask(db, rows, FAILURES, limit=limit)
    return [
        FailureReason(
            failure=row["failure"],
            count=row["count"],
            last_at=utc(row["last_at"]),
            url=row["url"],
            workflow=row["workflow"],
            annotation=row["annotation"],
        )
        for row in answer.mappings()
    ]


async def flaky_workflows(
    db: AsyncConnection,
    scope: Scope,
    window: Window,
    platform: str | None = None,
    limit: int = 20,
) -> list[FlakyWorkflow]:
    """The workflows that failed and passed on the same commit, those that did so most first."""
    rows = builds(SUCCESSES, scope, platform, window.start, window.end)
    answer = await ask(db, rows, FLAKY, limit=limit)
    return [
        FlakyWorkflow(
            workflow_id=row["workflow_id"],
            workflow=row["workflow"],
            repository_id=row["repository_id"],
            repository=row["repository"],
            flaky=row["flaky"],
            runs=row["runs"],
            rate=row["flaky"] / row["runs"],
            last_at=utc(row["last_at"]),
            url=row["url"],
        )
        for row in answer.mappings()
    ]


async def latest(
    db: AsyncConnection, scope: Scope, limit: int = 20, platform: str | None = None
) -> list[LatestBuild]:
    """The builds that started last, newest first: those that run and were called off too."""
    rows = builds(DURATIONS, scope, platform, None, None)
    answer = await ask(db, rows, LATEST, limit=limit)
    return [latest_build(row) for row in answer.mappings()]


def latest_build(row: RowMapping) -> LatestBuild:
    """One row of the table."""
    ended = row["completed_at"]
    return LatestBuild(
        id=row["id"],
        status=row["outcome"] or "running",
        platform=row["platform"],
        workflow_id=row["workflow_id"],
        workflow=row["workflow"],
        repository_id=row["repository_id"],
        repository=row["repository"],
        branch=row["branch"],
        head_sha=row["head_sha"],
        event=row["event"],
        actor_login=row["actor_login"],
        duration_seconds=row["duration_seconds"],
        started_at=utc(row["started_at"]),
        completed_at=utc(ended) if ended else None,
        url=row["url"],
        attempts=row["attempts"],
        flaky=row["flaky"],
        failure=row["failure"],
        annotation=row["annotation"],
    )


async def by_platform(db: AsyncConnection, scope: Scope, window: Window) -> list[BuildsOf]:
    """Each platform's part, each build in one; those without a platform last."""
    return await builds_by(db, scope, window, None, "platform")


async def builds_by(
    db: AsyncConnection, scope: Scope, window: Window, platform: str | None, group: str
) -> list[BuildsOf]:
    """The part of each platform, repository, team or workflow (`GROUPS`), by name."""
    rows = builds(DURATIONS, scope, platform, window.start, window.end)
    answer = await ask(db, rows, GROUPS[group])
    return [part_of(row) for row in answer.mappings()]


def part_of(row: RowMapping) -> BuildsOf:
    """The part of one group."""
    p50, p90 = row["percentiles"] or (None, None)
    return BuildsOf(
        id=row["id"],
        name=row["name"],
        **outcomes(row),
        mean_seconds=row["mean"],
        p50_seconds=p50,
        p90_seconds=p90,
    )


async def platforms_known(db: AsyncConnection, organization_id: str) -> list[str]:
    """Return which of ios, android and mobile an organisation ever built for, in this order."""
    answer = await db.execute(KNOWN, {"organization_id": organization_id})
    return list(answer.scalars())
