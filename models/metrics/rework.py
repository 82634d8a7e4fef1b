"""Rework rate: which part of the deployments only mended earlier ones (METRICS.md R6)."""

from datetime import datetime
from typing import TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Bucket, Rows, Scope, Window, ask, scoped
from models.metrics.explanation import Metric
from models.metrics.rates import Rate, rate_series, rates_by_repository

REWORK = """
select d.organization_id, d.repository_id, d.service_id, d.environment_class, d.environment,
       d.id, d.finished_at as at, d.url, d.service, d.sha, d.kind, d.state,
       (select r.full_name from repositories r where r.id = d.repository_id) as repository,
       concat_ws(' ', (select r.full_name from repositories r where r.id = d.repository_id),
                 d.environment, left(d.sha, 7)) as what,
       d.counted, case when d.kind in ('rollback', 'rollforward') then 1 else 0 end as value,
       case when d.counted then null
            when d.reason is not null then d.reason
            when d.state <> 'success' then 'the attempt failed: it is not a deployment'
            when d.kind = 'redeploy' then 'redeploy: the same commit was already running'
            else 'it does not count as a deployment' end as reason
from service_deployments d
"""

RATE = """
select count(*) filter (where at >= :start) as count,
       sum(value) filter (where at >= :start) as reworked,
       count(*) filter (where at < :start) as previous_count,
       sum(value) filter (where at < :start) as previous_reworked
from rows where counted
"""


def rework(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The attempts that finished in a scope, each with whether it only mended earlier ones."""
    return scoped(REWORK, scope, since, until)


METRIC = Metric(
    name="rework_rate",
    title="Rework rate",
    definition="Which part of the deployments only took back or mended what earlier ones brought.",
    formula="(rollback + rollforward) / (baseline + new + rollforward + rollback); a rollforward "
    "is a revert or a hotfix",
    source="https://dora.dev/guides/dora-metrics-four-keys/",
    rows=rework,
    nothing="no deployment to {environment} finished from {start_date} to {end_date}",
    connect="Send a `deployment_status` of state `success` for the environment: a GitHub Actions "
    "job with `environment: production` does so by itself.",
    columns=(
        *("at", "repository", "service", "environment", "sha", "kind", "state"),
        *("value", "counted", "reason", "url"),
    ),
)


class ReworkCount(TypedDict):
    """How many deployments were rework of how many; `rate` is 0 to 1, None without any."""

    rate: float | None
    reworked: int
    count: int


class ReworkRate(ReworkCount):
    """Which part of a window's deployments was rework; `reason` says why there is none.

    DORA publishes no levels for it; the mean of its 2025 survey is 22 %.
    """

    previous: ReworkCount
    reason: str | None


class ReworkBucket(ReworkCount):
    """The deployments of one day, week or month, by its first day."""

    start_date: str


class RepositoryRework(ReworkCount):
    """One repository's part."""

    repository_id: str
    repository: str | None


async def rework_rate(db: AsyncConnection, scope: Scope, window: Window) -> ReworkRate:
    """Which part of a window's deployments was rework, beside as many days before (one query)."""
    rows = rework(scope, window.previous.start, window.end)
    told = (await ask(db, rows, RATE, start=window.start)).mappings().one()
    return ReworkRate(
        **rework_count(Rate(told["reworked"] or 0, told["count"])),
        previous=rework_count(Rate(told["previous_reworked"] or 0, told["previous_count"])),
        reason=None if told["count"] else METRIC.no_data(scope, window),
    )


def rework_count(told: Rate) -> ReworkCount:
    """A rate in this metric's words."""
    return ReworkCount(rate=told.rate, reworked=told.part, count=told.count)


async def rework_rate_series(
    db: AsyncConnection, scope: Scope, window: Window, bucket: Bucket
) -> list[ReworkBucket]:
    """The rate by day, week or month of deployment; a bucket without deployments has none."""
    series = await rate_series(db, rework(scope, window.start, window.end), window, bucket)
    return [ReworkBucket(start_date=day, **rework_count(told)) for day, told in series]


async def rework_rate_by_repository(
    db: AsyncConnection, scope: Scope, window: Window
) -> list[RepositoryRework]:
    """Each repository with deployments, by name."""
    parts = await rates_by_repository(db, rework(scope, window.start, window.end))
    return [
        RepositoryRework(
            repository_id=told.repository_id, repository=told.repository, **rework_count(told)
        )
        for told in parts
    ]
