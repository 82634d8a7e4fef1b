"""Failed deployment recovery time: how long a failed deployment hurt (METRICS.md R5)."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Bin, Bucket, Rows, Scope, Window, ask, histogram, scoped
from models.metrics.durations import (
    DurationBucket,
    Median,
    Percentiles,
    RepositoryDurations,
    duration_series,
    durations_by_repository,
    percentiles,
)
from models.metrics.explanation import Metric
from models.metrics.levels import Level, recovery_time_level

RECOVERIES = """
select judged.*, coalesce(not open and value >= 0 and of_new_code, false) as counted,
       case when not of_new_code then 'it failed, but '
                || case kind when 'rollback' then 'a rollback is not counted'
                   when 'baseline' then 'the baseline is not counted: what it brought is not known'
                   else 'it does not count as a deployment of new code' end
            when open then 'still open: not in the median'
            when value < 0 then 'resolved before the deployment finished' end as reason
from (select f.organization_id, f.repository_id, f.service_id, f.environment_class,
             d.environment, d.service, d.sha, d.kind, d.url,
             f.service_deployment_id as id, f.failed_at as at, f.recovered_at, f.evidence,
             f.reason as failed_because, f.remedy_id,
             (select array_agg(i.key order by i.started_at, i.id) from incidents i
               where i.id = any(f.incidents)) as incidents,
             (select r.full_name from repositories r where r.id = f.repository_id) as repository,
             concat_ws(' ', (select r.full_name from repositories r where r.id = f.repository_id),
                       d.environment, left(d.sha, 7)) as what,
             f.recovered_at is null as open,
             d.counted and d.kind in ('new', 'rollforward') as of_new_code,
             cast(extract(epoch from f.recovered_at - f.failed_at) as float8) as value,
             case when f.recovered_at is null then cast(extract(epoch from
                 coalesce(cast(:now as timestamptz), now()) - f.failed_at) as float8)
                 end as age_seconds
      from failed_deployments f join service_deployments d on d.id = f.service_deployment_id
     ) judged
"""

# `offset 0` makes Postgres judge each row once, not once for each number.
RECOVERY = """
select count(value) filter (where inside) as count,
       percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by value)
           filter (where inside) as percentiles,
       avg(value) filter (where inside) as mean,
       count(age) filter (where inside) as open, max(age) filter (where inside) as oldest,
       count(value) filter (where not inside) as previous_count,
       percentile_cont(0.5) within group (order by value) filter (where not inside)
           as previous_median
from (select at >= :start as inside, case when counted then value end as value,
             case when of_new_code then age_seconds end as age
      from rows offset 0) judged
"""


def recoveries(
    scope: Scope, since: datetime | None, until: datetime | None, now: datetime | None = None
) -> Rows:
    """The failed deployments of a scope, each with how long until it was mended.

    `now` is when those still open are looked at; None: when Postgres is asked.
    """
    rows = scoped(RECOVERIES, scope, since, until)
    return replace(rows, parameters={**rows.parameters, "now": now})


METRIC = Metric(
    name="failed_deployment_recovery_time",
    title="Failed deployment recovery time",
    definition="How long it took from a deployment that failed in use until that was mended.",
    formula="median of (recovered_at - finished_at) over failed deployments; recovered when the "
    "last incident that blames it was resolved, or without one when what mended it was deployed; "
    "weekends included; bucketed by the day of the failed deployment",
    source="https://dora.dev/guides/dora-metrics-four-keys/",
    rows=recoveries,
    nothing="no deployment to {environment} that failed from {start_date} to {end_date} "
    "has recovered",
    connect="Nothing has failed yet, as far as anybody told: incidents come from Slack, issues "
    "labelled `incident`, or `POST /api/v1/incidents`; rollbacks and reverts are seen by "
    "themselves.",
    columns=(
        *("at", "repository", "service", "environment", "sha", "kind", "evidence"),
        *("failed_because", "incidents", "remedy_id", "recovered_at", "age_seconds"),
        *("value", "counted", "reason", "url"),
    ),
)


class RecoveryTime(Percentiles, Level):
    """Recovery times of the deployments of a window that failed; `reason` says why there are none.

    `open`: failed and not recovered yet, in no percentile; `oldest_open_seconds`: the age of the
    oldest of them, None without any.
    """

    open: int
    oldest_open_seconds: float | None
    previous: Median
    reason: str | None


async def failed_deployment_recovery_time(
    db: AsyncConnection, scope: Scope, window: Window, now: datetime, edition: int = 2024
) -> RecoveryTime:
    """How soon a window's failed deployments were mended, beside as many days before."""
    rows = recoveries(scope, window.previous.start, window.end, now)
    told = (await ask(db, rows, RECOVERY, start=window.start)).mappings().one()
    spread = percentiles(told)
    return RecoveryTime(
        **spread,
        open=told["open"],
        oldest_open_seconds=told["oldest"],
        previous=Median(median_seconds=told["previous_median"], count=told["previous_count"]),
        reason=None if told["count"] else METRIC.no_data(scope, window) + waiting(told["open"]),
        **recovery_time_level(spread["median_seconds"], edition),
    )


def waiting(still_open: int) -> str:
    """Words for those that have not ended yet, after why there is no value."""
    return f": {still_open} still open" if still_open else ""


async def failed_deployment_recovery_time_series(
    db: AsyncConnection, scope: Scope, window: Window, bucket: Bucket
) -> list[DurationBucket]:
    """Recovery times by day, week or month of the failed deployment; open ones are in none."""
    return await duration_series(db, recoveries(scope, window.start, window.end), window, bucket)


async def failed_deployment_recovery_time_by_repository(
    db: AsyncConnection, scope: Scope, window: Window
) -> list[RepositoryDurations]:
    """Each repository with recovered deployments, by name."""
    return await durations_by_repository(db, recoveries(scope, window.start, window.end))


async def failed_deployment_recovery_time_histogram(
    db: AsyncConnection, scope: Scope, window: Window
) -> list[Bin]:
    """How recovery times spread from under an hour to over thirty days."""
    return await histogram(db, recoveries(scope, window.start, window.end))
