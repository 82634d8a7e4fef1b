"""Change failure rate: which deployments of new code failed in use (METRICS.md R4)."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import COHORTS, Bucket, Rows, Scope, Window, ask, scoped
from models.metrics.explanation import Metric
from models.metrics.levels import Level, change_failure_rate_level
from models.metrics.rates import Rate, rate_series, rates_by_repository

# What a question does not read costs nothing: names are looked up, and one index holds the rest.
FAILURES = """
select d.organization_id, d.repository_id, d.service_id, d.environment_class, d.environment,
       d.id, d.finished_at as at, d.url, d.service, d.sha, d.kind, d.state, d.cohorts,
       (select r.full_name from repositories r where r.id = d.repository_id) as repository,
       concat_ws(' ', (select r.full_name from repositories r where r.id = d.repository_id),
                 d.environment, left(d.sha, 7)) as what,
       f.service_deployment_id is not null as failed, f.evidence, f.reason as failed_because,
       (select array_agg(i.key order by i.started_at, i.id) from incidents i
         where i.id = any(f.incidents)) as incidents,
       f.remedy_id, f.recovered_at,
       d.counted and d.kind in ('new', 'rollforward') as counted,
       case when f.service_deployment_id is null then 0 else 1 end as value,
       case when d.counted and d.kind in ('new', 'rollforward') then null
            when d.state <> 'success'
                then coalesce(d.reason, 'the attempt failed: it is not a deployment')
            else case when f.service_deployment_id is null then '' else 'it failed, but ' end
                || case d.kind when 'rollback' then 'a rollback is not in the denominator'
                   when 'baseline'
                       then 'the baseline is not in the denominator: what it brought is not known'
                   when 'redeploy' then 'a redeploy is not in the denominator: it changed nothing'
                   else coalesce(d.reason, 'it does not count as a deployment') end
            end as reason
from service_deployments d left join failed_deployments f on f.service_deployment_id = d.id
"""

# Few groups: people, agent and bots brought changes together in eight ways at most.
RATE = """
select cohorts, at >= :start as inside, count(*) as count, sum(value) as failed
from rows where counted group by cohorts, inside
"""


def failures(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The attempts that finished in a scope, each with whether it counts and whether it failed."""
    return scoped(FAILURES, scope, since, until)


METRIC = Metric(
    name="change_failure_rate",
    title="Change failure rate",
    definition="Which part of the deployments of new code failed in use.",
    formula="failed deployments / (new + rollforward). A deployment failed, by the best evidence: "
    "an incident names it or a person linked it, it was rolled back, one of its changes was "
    "reverted later, a hotfix followed it, or an incident began soon after it",
    source="https://dora.dev/guides/dora-metrics-four-keys/",
    rows=failures,
    nothing="no deployment of new code to {environment} finished from {start_date} to {end_date}",
    connect="Send a `deployment_status` of state `success` for the environment; then open "
    "incidents in Slack, by an issue labelled `incident`, or by `POST /api/v1/incidents`.",
    columns=(
        *("at", "repository", "service", "environment", "sha", "kind", "state", "cohorts"),
        *("failed", "evidence", "failed_because", "incidents", "remedy_id", "recovered_at"),
        *("value", "counted", "reason", "url"),
    ),
)


class FailureCount(TypedDict):
    """How many deployments failed of how many; `rate` is 0 to 1, None without any."""

    rate: float | None
    failed: int
    count: int


class ChangeFailureRate(Level):
    """Which part of a window's deployments of new code failed; `reason` says why there is none.

    Deployments count whoever made them. `by_cohort`: of those that brought a change of people,
    agent or bots; one that brought changes of several counts for each.
    """

    rate: float | None
    failed: int
    count: int
    by_cohort: dict[str, FailureCount]
    previous: FailureCount
    reason: str | None


class FailureBucket(TypedDict):
    """The deployments of one day, week or month, by its first day."""

    start_date: str
    rate: float | None
    failed: int
    count: int


class RepositoryFailures(FailureCount):
    """One repository's part."""

    repository_id: str
    repository: str | None


async def change_failure_rate(
    db: AsyncConnection, scope: Scope, window: Window, edition: int = 2024
) -> ChangeFailureRate:
    """Which part of a window's deployments failed, beside as many days before (one query)."""
    rows = failures(scope, window.previous.start, window.end)
    told = (await ask(db, rows, RATE, start=window.start)).mappings().all()
    here = [row for row in told if row["inside"]]
    total = summed(here)
    return ChangeFailureRate(
        **total,
        by_cohort={
            cohort: summed([row for row in here if cohort in row["cohorts"]]) for cohort in COHORTS
        },
        previous=summed([row for row in told if not row["inside"]]),
        reason=None if total["count"] else METRIC.no_data(scope, window),
        **change_failure_rate_level(total["rate"], edition),
    )


def summed(groups: Sequence[RowMapping]) -> FailureCount:
    """Some of the groups of the answer together."""
    failed, count = (sum(group[name] for group in groups) for name in ("failed", "count"))
    return failure_count(Rate(failed, count))


def failure_count(told: Rate) -> FailureCount:
    """A rate in this metric's words."""
    return FailureCount(rate=told.rate, failed=told.part, count=told.count)


async def change_failure_rate_series(
    db: AsyncConnection, scope: Scope, window: Window, bucket: Bucket
) -> list[FailureBucket]:
    """The rate by day, week or month of deployment; a bucket without deployments has none."""
    rows = failures(scope, window.start, window.end)
    series = await rate_series(db, rows, window, bucket)
    return [FailureBucket(start_date=day, **failure_count(told)) for day, told in series]


async def change_failure_rate_by_repository(
    db: AsyncConnection, scope: Scope, window: Window
) -> list[RepositoryFailures]:
    """Each repository with deployments of new code, by name."""
    parts = await rates_by_repository(db, failures(scope, window.start, window.end))
    return [
        RepositoryFailures(
            repository_id=told.repository_id, repository=told.repository, **failure_count(told)
        )
        for told in parts
    ]
