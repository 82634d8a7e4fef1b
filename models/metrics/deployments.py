"""Deployment frequency: how often a service reaches its users (METRICS.md R1, R2)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import DAY, Bucket, Rows, Scope, Window, ask, by_bucket, scoped, utc
from models.metrics.explanation import Metric
from models.metrics.levels import Level, deployment_frequency_level

DEPLOYMENTS = """
select d.organization_id, d.repository_id, d.service_id, d.environment_class, d.environment,
       d.id, d.finished_at as at, d.started_at, d.url, r.full_name as repository, d.service,
       concat_ws(' ', r.full_name, d.environment, left(d.sha, 7)) as what,
       d.sha, d.ref, d.creator_login, d.state, d.kind,
       d.state = 'success' and d.kind is not null as shown,
       d.counted, case when d.counted then 1 else 0 end as value,
       case when d.counted then null
            when d.reason is not null then d.reason
            when d.state <> 'success' then 'the attempt failed: it is not a deployment'
            when d.kind = 'redeploy' then 'redeploy: the same commit was already running'
            else 'it does not count as a deployment' end as reason
from service_deployments d left join repositories r on r.id = d.repository_id
"""

# The latest counted time before a row is that of the counted deployment before it.
FREQUENCY = """
select count(*) filter (where counted) as count,
       count(*) filter (where shown) as shown,
       count(*) filter (where state = 'failure') as failed,
       count(*) filter (where kind = 'new') as new,
       count(*) filter (where kind = 'rollback') as rollback,
       count(*) filter (where kind = 'rollforward') as rollforward,
       count(*) filter (where kind = 'redeploy') as redeploy,
       count(*) filter (where kind = 'baseline') as baseline,
       percentile_cont(0.5) within group (order by date_part('epoch', at - before))
           filter (where counted) as median_gap,
       (select count(*) from rows where counted and at < :start) as previous
from (select *, max(at) filter (where counted) over (
          order by at rows between unbounded preceding and 1 preceding) as before
      from rows where at >= :start) following
"""

SERIES = """
select width_bucket(at, cast(:starts as timestamptz[])) as place,
       count(*) filter (where counted) as count,
       count(*) filter (where state = 'failure') as failed,
       count(*) filter (where shown) as shown
from rows group by place
"""

BY_REPOSITORY = """
select parts.*, r.full_name as repository
from (select repository_id, count(*) filter (where counted) as count,
             count(*) filter (where state = 'failure') as failed,
             count(*) filter (where shown) as shown
      from rows group by repository_id) parts
left join repositories r on r.id = repository_id order by repository, repository_id
"""

LATEST = """
select latest.*, (select count(*) from deployment_changes c
                  where c.service_deployment_id = latest.id) as changes
from (select * from rows where state <> 'superseded'
      order by at desc, id desc limit :limit) latest
order by at desc, id desc
"""


def deployments(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The attempts that finished in a scope, each with whether it counts and why not."""
    return scoped(DEPLOYMENTS, scope, since, until)


METRIC = Metric(
    name="deployment_frequency",
    title="Deployment frequency",
    definition="How often a new state of the code reached the environment and stayed.",
    formula="(baseline + new + rollforward + rollback) / days elapsed; redeploys are only shown",
    source="https://dora.dev/guides/dora-metrics-four-keys/",
    rows=deployments,
    nothing="no deployment to {environment} finished from {start_date} to {end_date}",
    connect="Send a `deployment_status` of state `success` for the environment: a GitHub Actions "
    "job with `environment: production` does so by itself.",
    columns=(
        *("at", "repository", "service", "environment", "sha", "ref", "kind", "state"),
        *("value", "counted", "reason", "url"),
    ),
)


KINDS = ("new", "rollback", "rollforward", "redeploy", "baseline")


class PreviousFrequency(TypedDict):
    """As many days directly before."""

    per_day: float | None
    count: int


class DeploymentFrequency(Level):
    """Deployments counted in a window, over the days elapsed.

    `shown`: all that succeeded, redeploys too. `attempt_success_rate`: 0 to 1, of all attempts.
    `median_days_between`: between consecutive counted deployments; None below two.
    `reason` says why there is no value, and is None where there is one.
    """

    per_day: float | None
    per_week: float | None
    count: int
    shown: int
    failed: int
    kinds: dict[str, int]
    median_days_between: float | None
    attempt_success_rate: float | None
    previous: PreviousFrequency
    reason: str | None


class FrequencyBucket(TypedDict):
    """One day, week or month, by its first day: counted, failed, and shown (redeploys too)."""

    start_date: str
    count: int
    failed: int
    shown: int


class RepositoryFrequency(TypedDict):
    """One repository's part."""

    repository_id: str
    repository: str | None
    count: int
    failed: int
    shown: int
    per_day: float | None
    per_week: float | None


class LatestDeployment(TypedDict):
    """One attempt as a table shows it.

    `changes`: how many it brought. `reason`: why it does not count.
    """

    id: str
    repository_id: str
    repository: str | None
    service: str
    environment: str
    sha: str
    ref: str | None
    creator_login: str | None
    state: str
    kind: str | None
    counted: bool
    reason: str | None
    changes: int
    started_at: str
    finished_at: str
    url: str | None


async def deployment_frequency(
    db: AsyncConnection, scope: Scope, window: Window, now: datetime, edition: int = 2024
) -> DeploymentFrequency:
    """How often deployments were made in a window, beside as many days before (one query)."""
    rows = deployments(scope, window.previous.start, window.end)
    told = (await ask(db, rows, FREQUENCY, start=window.start)).mappings().one()
    elapsed = window.elapsed_days(now)
    per_day = per(told["count"], elapsed)
    attempts = told["shown"] + told["failed"]
    before = told["previous"], window.previous.elapsed_days(now)
    return DeploymentFrequency(
        per_day=per_day,
        per_week=per(told["count"] * 7, elapsed),
        count=told["count"],
        shown=told["shown"],
        failed=told["failed"],
        kinds={kind: told[kind] for kind in KINDS},
        median_days_between=told["median_gap"] and told["median_gap"] / DAY,
        attempt_success_rate=told["shown"] / attempts if attempts else None,
        previous=PreviousFrequency(per_day=per(*before), count=told["previous"]),
        reason=None if told["count"] else METRIC.no_data(scope, window),
        **deployment_frequency_level(per_day, edition),
    )


def per(count: int, days: int) -> float | None:
    """A rate; nothing counted is no data, never 0."""
    return count / days if count else None


async def deployment_frequency_series(
    db: AsyncConnection, scope: Scope, window: Window, bucket: Bucket
) -> list[FrequencyBucket]:
    """Deployments by day, week or month in the window's zone; every bucket is there."""
    rows = deployments(scope, window.start, window.end)
    parts = await by_bucket(db, rows, SERIES, window, bucket)
    return [frequency_bucket(day, row) for day, row in parts]


def frequency_bucket(start_date: str, row: Mapping[Any, int] | None) -> FrequencyBucket:
    """One bucket; None is an empty one."""
    count, failed, shown = (row["count"], row["failed"], row["shown"]) if row else (0, 0, 0)
    return FrequencyBucket(start_date=start_date, count=count, failed=failed, shown=shown)


async def deployment_frequency_by_repository(
    db: AsyncConnection, scope: Scope, window: Window, now: datetime
) -> list[RepositoryFrequency]:
    """Each repository that attempted a deployment, by name."""
    answer = await ask(db, deployments(scope, window.start, window.end), BY_REPOSITORY)
    elapsed = window.elapsed_days(now)
    return [
        RepositoryFrequency(
            repository_id=row["repository_id"],
            repository=row["repository"],
            count=row["count"],
            failed=row["failed"],
            shown=row["shown"],
            per_day=per(row["count"], elapsed),
            per_week=per(row["count"] * 7, elapsed),
        )
        for row in answer.mappings()
    ]


async def latest_deployments(
    db: AsyncConnection, scope: Scope, window: Window, limit: int = 20
) -> list[LatestDeployment]:
    """The attempts that finished last, newest first: failures and redeploys too, of one source."""
    answer = await ask(db, deployments(scope, window.start, window.end), LATEST, limit=limit)
    return [
        LatestDeployment(
            id=row["id"],
            repository_id=row["repository_id"],
            repository=row["repository"],
            service=row["service"],
            environment=row["environment"],
            sha=row["sha"],
            ref=row["ref"],
            creator_login=row["creator_login"],
            state=row["state"],
            kind=row["kind"],
            counted=row["counted"],
            reason=row["reason"],
            changes=row["changes"],
            started_at=utc(row["started_at"]),
            finished_at=utc(row["at"]),
            url=row["url"],
        )
        for row in answer.mappings()
    ]
