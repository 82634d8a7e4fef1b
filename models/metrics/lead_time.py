"""Change lead time: from a change's first commit to the deployment that shipped it (R3, R8)."""

from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import COHORTS, Bucket, Rows, Scope, Window, ask, scoped
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
from models.metrics.levels import Level, change_lead_time_level

# Names are looked up, not joined: what a question does not read costs nothing, and an index that
# holds the rest answers it alone.
CHANGES = """
select c.organization_id, c.repository_id, c.service_id, c.environment_class,
       c.id, c.deployed_at as at, c.url, c.change_id, c.service_deployment_id,
       (select r.full_name from repositories r where r.id = c.repository_id) as repository,
       (select d.service from service_deployments d where d.id = c.service_deployment_id)
           as service,
       (select d.environment from service_deployments d where d.id = c.service_deployment_id)
           as environment,
       concat_ws(' ', (select r.full_name from repositories r where r.id = c.repository_id)
           || coalesce('#' || c.pull_request_number, '@' || left(c.sha, 7)), c.title) as what,
       c.pull_request_number, c.sha, c.title, c.cohort, c.first, c.evidence,
       c.first_commit_at, c.merged_at,
       c.lead_seconds as value, c.coding_seconds, c.pickup_seconds, c.review_seconds,
       c.deploy_seconds,
       c.lead_seconds is not null and c.cohort = any(:cohorts) as counted,
       case when c.lead_seconds is null then coalesce(c.reason, 'its lead time was not measured')
            when c.cohort = any(:cohorts) then null
            when c.cohort = 'bots' then 'made by a bot: bots are left out of lead time'
            when c.cohort = 'agent' then 'made by the agent: the filter leaves its changes out'
            else 'made by people: the filter leaves their changes out' end as reason
from deployment_changes c
"""

NAMED = """service_deployment_id in (
    select id from service_deployments
    where organization_id = :organization_id and environment = :environment)"""

# A change reaches an environment of its own name once, at its first deployment there.
FIRST_THERE = """not exists (
    select from deployment_changes e join service_deployments ed on ed.id = e.service_deployment_id
    where e.change_id = facts.change_id and e.organization_id = :organization_id
      and ed.environment = :environment and (e.deployed_at, e.id) < (facts.at, facts.id))
"""

# `offset 0` makes Postgres judge each row once, not once for each number.
LEAD_TIME = """
select count(lead) as count,
       percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by lead) as percentiles,
       avg(lead) as mean,
       avg(coalesce(coding_seconds, 0)) filter (where lead is not null) as coding,
       avg(coalesce(pickup_seconds, 0)) filter (where lead is not null) as pickup,
       avg(coalesce(review_seconds, 0)) filter (where lead is not null) as review,
       avg(coalesce(deploy_seconds, 0)) filter (where lead is not null) as deploy,
       count(people) as people_count, count(agent) as agent_count, count(bots) as bots_count,
       percentile_cont(0.5) within group (order by people) as people_median,
       percentile_cont(0.5) within group (order by agent) as agent_median,
       percentile_cont(0.5) within group (order by bots) as bots_median,
       (select array[count(value), percentile_cont(0.5) within group (order by value)]
        from rows where counted and at < :start) as previous
from (select case when counted then value end as lead,
             case when cohort = 'people' then value end as people,
             case when cohort = 'agent' then value end as agent,
             case when cohort = 'bots' then value end as bots,
             coding_seconds, pickup_seconds, review_seconds, deploy_seconds
      from rows where at >= :start offset 0) judged
"""


def changes(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The changes deployed in a scope, each once, with whether it counts and why not.

    A roll-up takes the deployment that first brought a change; a service has its own.
    """
    rows = scoped(CHANGES, scope, since, until, named=NAMED)
    once = "first" if scope.by_class else FIRST_THERE
    return replace(
        rows,
        sql=rows.sql if scope.service else f"{rows.sql} and {once}",
        parameters={**rows.parameters, "cohorts": list(scope.cohorts)},
    )


METRIC = Metric(
    name="change_lead_time",
    title="Change lead time",
    definition="How long a change took from its first commit to the deployment that shipped it.",
    formula="median of (deployed_at - first_commit_at); weekends included; bots left out unless "
    "asked for; bucketed by the day of deployment",
    source="https://dora.dev/guides/dora-metrics-four-keys/",
    rows=changes,
    nothing="no change with a lead time reached {environment} from {start_date} to {end_date}",
    connect="Send a `deployment_status` of state `success` for the environment, and the "
    "`pull_request` and `push` events of its repository: lead time begins with the second "
    "deployment, because what the first one brought cannot be known.",
    columns=(
        *("at", "repository", "service", "environment", "pull_request_number", "title", "sha"),
        *("cohort", "first_commit_at", "merged_at", "value", "coding_seconds", "pickup_seconds"),
        *("review_seconds", "deploy_seconds", "evidence", "counted", "reason", "url"),
    ),
)


class Stages(TypedDict):
    """Mean seconds of each stage of the counted changes; they sum to `mean_seconds`."""

    coding_seconds: float | None
    pickup_seconds: float | None
    review_seconds: float | None
    deploy_seconds: float | None


class ChangeLeadTime(Percentiles, Level):
    """Lead times of the changes deployed in a window; `reason` says why there are
    none, and is None where there are.

    `by_cohort`: people, agent and bots, whichever cohorts the scope counts.
    """

    stages: Stages
    by_cohort: dict[str, Median]
    previous: Median
    reason: str | None


LeadTimeBucket = DurationBucket
RepositoryLeadTime = RepositoryDurations


async def change_lead_time(
    db: AsyncConnection, scope: Scope, window: Window, edition: int = 2024
) -> ChangeLeadTime:
    """How long changes took that were deployed in a window, beside as many days before."""
    rows = changes(scope, window.previous.start, window.end)
    told = (await ask(db, rows, LEAD_TIME, start=window.start)).mappings().one()
    spread = percentiles(told)
    previous_count, previous_median = told["previous"]
    return ChangeLeadTime(
        **spread,
        stages=Stages(
            coding_seconds=told["coding"],
            pickup_seconds=told["pickup"],
            review_seconds=told["review"],
            deploy_seconds=told["deploy"],
        ),
        by_cohort={cohort: median(told, cohort) for cohort in COHORTS},
        previous=Median(median_seconds=previous_median, count=int(previous_count)),
        reason=None if told["count"] else METRIC.no_data(scope, window),
        **change_lead_time_level(spread["median_seconds"], edition),
    )


def median(row: RowMapping, name: str) -> Median:
    """One of the medians of the answer, with its count."""
    return Median(median_seconds=row[f"{name}_median"], count=row[f"{name}_count"])


async def change_lead_time_series(
    db: AsyncConnection, scope: Scope, window: Window, bucket: Bucket
) -> list[DurationBucket]:
    """Lead times by day, week or month of deployment; a bucket without changes has no values."""
    return await duration_series(db, changes(scope, window.start, window.end), window, bucket)


async def change_lead_time_by_repository(
    db: AsyncConnection, scope: Scope, window: Window
) -> list[RepositoryDurations]:
    """Each repository with counted changes, by name."""
    return await durations_by_repository(db, changes(scope, window.start, window.end))
