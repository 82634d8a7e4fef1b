"""Time to restore (MTTR): how long incidents lasted, whatever caused them (METRICS.md R5)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from models.incidents import SEVERITIES
from models.metrics.core import Bin, Bucket, Rows, Scope, Window, ask, by_bucket, histogram, scoped
from models.metrics.explanation import Metric
from models.metrics.recovery import waiting

UNRATED = "none"

RESTORES = """
select i.organization_id, p.repository_id, p.service_id, i.environment_class, i.environment,
       i.id, i.key, i.started_at as at, i.started_at, i.resolved_at, i.url, i.source, i.severity,
       i.title, p.reason as place_because,
       (select r.full_name from repositories r where r.id = p.repository_id) as repository,
       concat_ws(' ', i.key, i.title) as what,
       not i.dismissed and i.resolved_at is null as open,
       cast(extract(epoch from i.resolved_at - i.started_at) as float8) as value,
       case when i.resolved_at is null then cast(extract(epoch from
           coalesce(cast(:now as timestamptz), now()) - i.started_at) as float8)
           end as age_seconds,
       not i.dismissed and coalesce(i.resolved_at >= i.started_at, false) as counted,
       case when i.dismissed then concat('dismissed', (
                select ' by ' || c.by from incident_corrections c
                where c.incident_id = i.id and c.field = 'dismissed'), ': it was no incident')
            when i.resolved_at is null then 'still open: not in the median'
            when i.resolved_at < i.started_at then 'resolved before it began' end as reason
from incidents i left join incident_places p on p.incident_id = i.id
"""

# An incident whose words name only a class of environments is about those it blames.
NAMED = """(environment = :environment or id in (
    select l.incident_id from incident_deployments l
    join service_deployments d on d.id = l.service_deployment_id
    where l.organization_id = :organization_id and d.environment = :environment))"""

RESTORE = """
select inside, severity, grouping(severity) = 1 as whole,
       count(*) filter (where counted) as count, count(*) filter (where open) as open,
       avg(value) filter (where counted) as mean,
       percentile_cont(0.5) within group (order by value) filter (where counted) as median,
       max(age_seconds) filter (where open) as oldest
from (select at >= :start as inside, counted, open, value, age_seconds,
             case when severity = any(:severities) then severity else 'none' end as severity
      from rows) rated
group by grouping sets ((inside), (inside, severity))
"""

SERIES = """
select width_bucket(at, cast(:starts as timestamptz[])) as place,
       count(*) filter (where counted) as count, count(*) filter (where open) as open,
       avg(value) filter (where counted) as mean,
       percentile_cont(0.5) within group (order by value) filter (where counted) as median
from rows group by place
"""

BY_REPOSITORY = """
select parts.*, r.full_name as repository
from (select repository_id, count(*) filter (where counted) as count,
             count(*) filter (where open) as open, avg(value) filter (where counted) as mean,
             percentile_cont(0.5) within group (order by value) filter (where counted) as median
      from rows group by repository_id) parts
left join repositories r on r.id = repository_id order by repository, repository_id
"""


def restores(
    scope: Scope, since: datetime | None, until: datetime | None, now: datetime | None = None
) -> Rows:
    """The incidents that began in a scope, each with how long it lasted and whether it counts.

    `now` is when those still open are looked at; None: when Postgres is asked.
    """
    rows = scoped(RESTORES, scope, since, until, named=NAMED)
    return replace(rows, parameters={**rows.parameters, "now": now})


METRIC = Metric(
    name="time_to_restore",
    title="Time to restore",
    definition="How long incidents lasted, whether or not a deployment caused them.",
    formula="mean and median of (resolved_at - started_at) over all incidents; weekends included; "
    "bucketed by the day on which the incident began",
    source="https://dora.dev/guides/dora-metrics-four-keys/",
    rows=restores,
    nothing="no incident of {environment} that began from {start_date} to {end_date} was resolved",
    connect="No incident was ever told: connect Slack, label an issue `incident`, or send "
    "`POST /api/v1/incidents`.",
    columns=(
        *("at", "key", "title", "severity", "source", "environment", "repository", "service_id"),
        *("place_because", "resolved_at", "age_seconds", "value", "counted", "reason", "url"),
    ),
)


class RestoreFigures(TypedDict):
    """How long incidents lasted; None without resolved ones. `open` are in neither number."""

    mean_seconds: float | None
    median_seconds: float | None
    count: int
    open: int


class TimeToRestore(RestoreFigures):
    """How long a window's incidents lasted; `reason` says why there are no figures.

    `by_severity`: sev1 to sev4, and `none` of those that name no severity; each is there.
    """

    oldest_open_seconds: float | None
    by_severity: dict[str, RestoreFigures]
    previous: RestoreFigures
    reason: str | None


class RestoreBucket(RestoreFigures):
    """The incidents that began in one day, week or month, by its first day."""

    start_date: str


class RepositoryRestore(RestoreFigures):
    """One repository's part; both None: it is not known what those incidents are about."""

    repository_id: str | None
    repository: str | None


async def time_to_restore(
    db: AsyncConnection, scope: Scope, window: Window, now: datetime
) -> TimeToRestore:
    """How long a window's incidents lasted, beside as many days before (one query)."""
    rows = restores(scope, window.previous.start, window.end, now)
    answer = await ask(db, rows, RESTORE, start=window.start, severities=list(SEVERITIES))
    parts = {
        (row["inside"], None if row["whole"] else row["severity"]): row for row in answer.mappings()
    }
    whole = parts.get((True, None))
    figures = restore_figures(whole)
    return TimeToRestore(
        **figures,
        oldest_open_seconds=whole["oldest"] if whole else None,
        by_severity={
            severity: restore_figures(parts.get((True, severity)))
            for severity in (*SEVERITIES, UNRATED)
        },
        previous=restore_figures(parts.get((False, None))),
        reason=None
        if figures["count"]
        else METRIC.no_data(scope, window) + waiting(figures["open"]),
    )


def restore_figures(row: Mapping[Any, Any] | None) -> RestoreFigures:
    """What Postgres says of one set of incidents; None is an empty one."""
    return RestoreFigures(
        mean_seconds=row["mean"] if row else None,
        median_seconds=row["median"] if row else None,
        count=row["count"] if row else 0,
        open=row["open"] if row else 0,
    )


async def time_to_restore_series(
    db: AsyncConnection, scope: Scope, window: Window, bucket: Bucket
) -> list[RestoreBucket]:
    """How long incidents lasted by day, week or month of their beginning; empty ones too."""
    rows = restores(scope, window.start, window.end)
    parts = await by_bucket(db, rows, SERIES, window, bucket)
    return [RestoreBucket(start_date=day, **restore_figures(row)) for day, row in parts]


async def time_to_restore_by_repository(
    db: AsyncConnection, scope: Scope, window: Window
) -> list[RepositoryRestore]:
    """Each repository with incidents, by name; last those of which none is known."""
    answer = await ask(db, restores(scope, window.start, window.end), BY_REPOSITORY)
    return [
        RepositoryRestore(
            repository_id=row["repository_id"],
            repository=row["repository"],
            **restore_figures(row),
        )
        for row in answer.mappings()
    ]


async def time_to_restore_histogram(db: AsyncConnection, scope: Scope, window: Window) -> list[Bin]:
    """How incidents spread from under an hour to over thirty days."""
    return await histogram(db, restores(scope, window.start, window.end))
