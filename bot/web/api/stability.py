"""DORA's stability metrics over the API: failures, recovery, restoring, rework, each explained."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.api.endpoints import Call, endpoint
from bot.web.api.metrics import (
    EXPLANATION,
    HEADER,
    ExplainedPeriod,
    SeriesPeriod,
    as_csv,
    explained,
    header,
    measured,
)
from bot.web.api.typed import combined
from models.metrics import stability
from models.metrics.core import Bin, Bucket, Scope, Window
from models.metrics.durations import DurationBucket, RepositoryDurations
from models.metrics.explanation import Metric

Series = Callable[[AsyncConnection, Scope, Window, Bucket], Awaitable[Sequence[Any]]]
Parts = Callable[[AsyncConnection, Scope, Window], Awaitable[Sequence[Any]]]


@dataclass(frozen=True)
class Asked:
    """What one metric answers: its rows, its series and its parts, and how its values spread."""

    metric: Metric
    series: Series
    by_repository: Parts
    histogram: Parts | None = None


FAILURES = Asked(
    stability.FAILURES,
    stability.change_failure_rate_series,
    stability.change_failure_rate_by_repository,
)
RECOVERIES = Asked(
    stability.RECOVERIES,
    stability.failed_deployment_recovery_time_series,
    stability.failed_deployment_recovery_time_by_repository,
    stability.failed_deployment_recovery_time_histogram,
)
RESTORES = Asked(
    stability.RESTORES,
    stability.time_to_restore_series,
    stability.time_to_restore_by_repository,
    stability.time_to_restore_histogram,
)
REWORK = Asked(
    stability.REWORK,
    stability.rework_rate_series,
    stability.rework_rate_by_repository,
)

FailureRate = combined(
    "ChangeFailureRateSeries",
    "Change failure rate of a period, with its series: by day, week or month, or by repository.",
    stability.ChangeFailureRate,
    **HEADER,
    group_by=str,
    series=list[stability.FailureBucket | stability.RepositoryFailures],
)
Recovery = combined(
    "RecoveryTimeSeries",
    "Failed deployment recovery time of a period, with its series and how the times spread.",
    stability.RecoveryTime,
    **HEADER,
    group_by=str,
    series=list[DurationBucket | RepositoryDurations],
    histogram=list[Bin],
)
Restore = combined(
    "TimeToRestoreSeries",
    "Time to restore of a period, with its series and how the times spread.",
    stability.TimeToRestore,
    **HEADER,
    group_by=str,
    series=list[stability.RestoreBucket | stability.RepositoryRestore],
    histogram=list[Bin],
)
Rework = combined(
    "ReworkRateSeries",
    "Rework rate of a period, with its series: by day, week or month, or by repository.",
    stability.ReworkRate,
    **HEADER,
    group_by=str,
    series=list[stability.ReworkBucket | stability.RepositoryRework],
)


@endpoint(
    "GET", "/metrics/dora/change-failure-rate", query=SeriesPeriod, answer=FailureRate, csv=True
)
async def change_failure_rate(call: Call, query: SeriesPeriod) -> Any:
    """Which part of the deployments of new code failed; as CSV, the deployments themselves."""
    if query.format == "csv":
        return await as_csv(call, query, stability.FAILURES)
    async with call.engine.connect() as db:
        scope, window, edition = await measured(db, call, query, datetime.now(UTC))
        part = await stability.change_failure_rate(db, scope, window, edition)
        return dict(part) | await course(db, scope, window, (FAILURES, query.group_by))


@endpoint(
    "GET",
    "/metrics/dora/failed-deployment-recovery-time",
    query=SeriesPeriod,
    answer=Recovery,
    csv=True,
)
async def failed_deployment_recovery_time(call: Call, query: SeriesPeriod) -> Any:
    """How soon failed deployments were mended; as CSV, the failed deployments themselves."""
    if query.format == "csv":
        return await as_csv(call, query, stability.RECOVERIES)
    now = datetime.now(UTC)
    async with call.engine.connect() as db:
        scope, window, edition = await measured(db, call, query, now)
        part = await stability.failed_deployment_recovery_time(db, scope, window, now, edition)
        return dict(part) | await course(db, scope, window, (RECOVERIES, query.group_by))


@endpoint("GET", "/metrics/dora/mttr", query=SeriesPeriod, answer=Restore, csv=True)
async def mttr(call: Call, query: SeriesPeriod) -> Any:
    """Time to restore by its old name; the same answer as `time-to-restore`."""
    return await time_to_restore(call, query)


@endpoint("GET", "/metrics/dora/time-to-restore", query=SeriesPeriod, answer=Restore, csv=True)
async def time_to_restore(call: Call, query: SeriesPeriod) -> Any:
    """How long incidents lasted, by severity too; as CSV, the incidents themselves."""
    if query.format == "csv":
        return await as_csv(call, query, stability.RESTORES)
    now = datetime.now(UTC)
    async with call.engine.connect() as db:
        scope, window, _ = await measured(db, call, query, now)
        part = await stability.time_to_restore(db, scope, window, now)
        return dict(part) | await course(db, scope, window, (RESTORES, query.group_by))


@endpoint("GET", "/metrics/dora/rework-rate", query=SeriesPeriod, answer=Rework, csv=True)
async def rework_rate(call: Call, query: SeriesPeriod) -> Any:
    """Which part of the deployments was rework; as CSV, the deployments themselves."""
    if query.format == "csv":
        return await as_csv(call, query, stability.REWORK)
    async with call.engine.connect() as db:
        scope, window, _ = await measured(db, call, query, datetime.now(UTC))
        part = await stability.rework_rate(db, scope, window)
        return dict(part) | await course(db, scope, window, (REWORK, query.group_by))


async def course(
    db: AsyncConnection, scope: Scope, window: Window, by: tuple[Asked, str]
) -> dict[str, Any]:
    """Return what stands around a number: what it is of, its series, and how its values spread."""
    asked, group_by = by
    told = await header(db, scope, window) | {"group_by": group_by}
    if group_by == "repo":
        told["series"] = await asked.by_repository(db, scope, window)
    else:
        told["series"] = await asked.series(db, scope, window, Bucket(group_by))
    if asked.histogram:
        told["histogram"] = await asked.histogram(db, scope, window)
    return told


@endpoint(
    "GET",
    "/metrics/dora/change-failure-rate/explain",
    query=ExplainedPeriod,
    answer=EXPLANATION,
    csv=True,
)
async def change_failure_rate_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Which deployments failed and why, which did not, and which are not in the denominator."""
    return await why(call, query, stability.FAILURES)


@endpoint(
    "GET",
    "/metrics/dora/failed-deployment-recovery-time/explain",
    query=ExplainedPeriod,
    answer=EXPLANATION,
    csv=True,
)
async def failed_deployment_recovery_time_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Which failed deployments were mended when; those still open with their age."""
    return await why(call, query, stability.RECOVERIES)


@endpoint(
    "GET",
    "/metrics/dora/time-to-restore/explain",
    query=ExplainedPeriod,
    answer=EXPLANATION,
    csv=True,
)
async def time_to_restore_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Which incidents count, how long each lasted, and why others do not count."""
    return await why(call, query, stability.RESTORES)


@endpoint("GET", "/metrics/dora/mttr/explain", query=ExplainedPeriod, answer=EXPLANATION, csv=True)
async def mttr_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Time to restore by its old name, explained."""
    return await why(call, query, stability.RESTORES)


@endpoint(
    "GET", "/metrics/dora/rework-rate/explain", query=ExplainedPeriod, answer=EXPLANATION, csv=True
)
async def rework_rate_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Which deployments were rework, which were not, and which do not count."""
    return await why(call, query, stability.REWORK)


async def why(call: Call, query: ExplainedPeriod, metric: Metric) -> Any:
    """Take a metric's number apart, as JSON or as CSV."""
    if query.format == "csv":
        return await as_csv(call, query, metric)
    return await explained(call, query, metric)
