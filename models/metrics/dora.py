"""DORA's metrics (https://dora.dev) in one body, and time to restore beside them."""

from datetime import datetime
from typing import TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics import deployments, lead_time, stability
from models.metrics.core import Bin, Scope, ScopeBody, Window, histogram, scope_body
from models.metrics.deployments import (
    DeploymentFrequency,
    deployment_frequency,
    deployment_frequency_by_repository,
    deployment_frequency_series,
    latest_deployments,
)
from models.metrics.explanation import Explanation, Page, explanation
from models.metrics.lead_time import (
    ChangeLeadTime,
    change_lead_time,
    change_lead_time_by_repository,
    change_lead_time_series,
)
from models.metrics.stability import (
    ChangeFailureRate,
    RecoveryTime,
    ReworkRate,
    TimeToRestore,
    change_failure_rate,
    failed_deployment_recovery_time,
    rework_rate,
    time_to_restore,
)

METRICS = (
    *(deployments.METRIC, lead_time.METRIC, stability.FAILURES, stability.RECOVERIES),
    *(stability.RESTORES, stability.REWORK),
)
"""Every metric of the body, in its order."""

__all__ = [
    "METRICS",
    "Dora",
    "change_failure_rate",
    "change_lead_time",
    "change_lead_time_by_repository",
    "change_lead_time_explanation",
    "change_lead_time_histogram",
    "change_lead_time_series",
    "deployment_frequency",
    "deployment_frequency_by_repository",
    "deployment_frequency_explanation",
    "deployment_frequency_series",
    "dora",
    "failed_deployment_recovery_time",
    "latest_deployments",
    "rework_rate",
    "time_to_restore",
]

FIRST_PAGE = Page()


class Dora(TypedDict):
    """The body of `GET /metrics/dora`; dates are days of `time_zone`, the last one included."""

    start_date: str
    end_date: str
    time_zone: str
    scope: ScopeBody
    deployment_frequency: DeploymentFrequency
    change_lead_time: ChangeLeadTime
    change_failure_rate: ChangeFailureRate
    failed_deployment_recovery_time: RecoveryTime
    time_to_restore: TimeToRestore
    rework_rate: ReworkRate


async def dora(
    db: AsyncConnection, scope: Scope, window: Window, now: datetime, edition: int = 2024
) -> Dora:
    """Every DORA metric of a scope in a window. Refused for an edition that is not known."""
    return Dora(
        start_date=window.start_date.isoformat(),
        end_date=window.end_date.isoformat(),
        time_zone=window.time_zone,
        scope=await scope_body(db, scope),
        deployment_frequency=await deployment_frequency(db, scope, window, now, edition),
        change_lead_time=await change_lead_time(db, scope, window, edition),
        change_failure_rate=await change_failure_rate(db, scope, window, edition),
        failed_deployment_recovery_time=await failed_deployment_recovery_time(
            db, scope, window, now, edition
        ),
        time_to_restore=await time_to_restore(db, scope, window, now),
        rework_rate=await rework_rate(db, scope, window),
    )


async def deployment_frequency_explanation(
    db: AsyncConnection, scope: Scope, window: Window, page: Page = FIRST_PAGE
) -> Explanation:
    """Which attempts count as deployments, which do not, and why."""
    return await explanation(db, deployments.METRIC, scope, window, page)


async def change_lead_time_explanation(
    db: AsyncConnection, scope: Scope, window: Window, page: Page = FIRST_PAGE
) -> Explanation:
    """Which changes have a lead time, which do not, and why."""
    return await explanation(db, lead_time.METRIC, scope, window, page)


async def change_lead_time_histogram(
    db: AsyncConnection, scope: Scope, window: Window
) -> list[Bin]:
    """How lead times spread from under an hour to over thirty days."""
    return await histogram(db, lead_time.changes(scope, window.start, window.end))
