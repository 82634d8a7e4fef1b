"""DORA's metrics (https://dora.dev) in one body, and time to restore beside them."""

from asyncio import gather
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
    "Asked",
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
    "dora_at_once",
    "failed_deployment_recovery_time",
    "latest_deployments",
    "rework_rate",
    "time_to_restore",
]

FIRST_PAGE = Page()


class Header(TypedDict):
    """What the numbers are of; dates are days of `time_zone`, the last one included."""

    start_date: str
    end_date: str
    time_zone: str
    scope: ScopeBody


class Deployments(TypedDict):
    """What is counted of deployments and incidents."""

    deployment_frequency: DeploymentFrequency
    change_failure_rate: ChangeFailureRate
    failed_deployment_recovery_time: RecoveryTime
    rework_rate: ReworkRate


class Changes(TypedDict):
    """What is counted of changes, and of incidents whatever caused them."""

    change_lead_time: ChangeLeadTime
    time_to_restore: TimeToRestore


class Dora(Header, Deployments, Changes):
    """The body of `GET /metrics/dora`."""


@dataclass(frozen=True)
class Asked:
    """What is measured: whose rows, which days, seen when, by which edition of DORA's levels."""

    scope: Scope
    window: Window
    now: datetime
    edition: int = 2024


async def dora(
    db: AsyncConnection, scope: Scope, window: Window, now: datetime, edition: int = 2024
) -> Dora:
    """Every DORA metric of a scope in a window. Refused for an edition that is not known."""
    asked = Asked(scope, window, now, edition)
    head, told = await header(db, asked), await of_changes(db, asked)
    return body_of(head, told, await of_deployments(db, asked))


async def dora_at_once(engine: AsyncEngine, asked: Asked) -> Dora:
    """The same by two connections at the same time, so that Postgres may use two processors."""

    async def changes() -> tuple[Header, Changes]:
        async with engine.connect() as db:
            return await header(db, asked), await of_changes(db, asked)

    async def others() -> Deployments:
        async with engine.connect() as db:
            return await of_deployments(db, asked)

    (head, told), rest = await gather(changes(), others())
    return body_of(head, told, rest)


def body_of(head: Header, changes: Changes, deployments: Deployments) -> Dora:
    """Put the parts together in the order in which people name them."""
    return Dora(
        **head,
        deployment_frequency=deployments["deployment_frequency"],
        change_lead_time=changes["change_lead_time"],
        change_failure_rate=deployments["change_failure_rate"],
        failed_deployment_recovery_time=deployments["failed_deployment_recovery_time"],
        rework_rate=deployments["rework_rate"],
        time_to_restore=changes["time_to_restore"],
    )


async def header(db: AsyncConnection, asked: Asked) -> Header:
    """What the numbers are of."""
    return Header(
        start_date=asked.window.start_date.isoformat(),
        end_date=asked.window.end_date.isoformat(),
        time_zone=asked.window.time_zone,
        scope=await scope_body(db, asked.scope),
    )


async def of_changes(db: AsyncConnection, asked: Asked) -> Changes:
    """What takes about as long as the rest: the many changes, and the few incidents."""
    scope, window = asked.scope, asked.window
    return Changes(
        change_lead_time=await change_lead_time(db, scope, window, asked.edition),
        time_to_restore=await time_to_restore(db, scope, window, asked.now),
    )


async def of_deployments(db: AsyncConnection, asked: Asked) -> Deployments:
    """The metrics whose rows are deployments."""
    scope, window, now, edition = asked.scope, asked.window, asked.now, asked.edition
    return Deployments(
        deployment_frequency=await deployment_frequency(db, scope, window, now, edition),
        change_failure_rate=await change_failure_rate(db, scope, window, edition),
        failed_deployment_recovery_time=await failed_deployment_recovery_time(
            db, scope, window, now, edition
        ),
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
