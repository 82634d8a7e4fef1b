"""What each tab of the Delivery screen asks of the metrics, and draws."""

from asyncio import gather
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.web.pages import cards, stability_cards
from bot.web.pages import delivery_view as view
from bot.web.pages import incident_view as told
from bot.web.pages import stability_view as stable
from bot.web.pages.asking import alone
from bot.web.pages.filters import Filters
from models import incident_screens as asked
from models.metrics import dora as metrics
from models.metrics import stability as failing
from models.metrics.core import Bin, Bucket
from models.metrics.deployments import (
    DeploymentFrequency,
    FrequencyBucket,
    RepositoryFrequency,
)
from models.metrics.durations import DurationBucket, RepositoryDurations
from models.metrics.failures import RepositoryFailures
from models.metrics.lead_time import ChangeLeadTime
from models.metrics.restore import TimeToRestore

Series = TypeVar("Series")

LATEST_ROWS = 15


async def overview(pool: AsyncEngine, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for the five numbers, for one chart of all, and for each repository's part."""
    window, of_medians = filters.window, filters.of_medians
    (lead, medians, spark, of_lead), (often, bars, days, of_often), broken = await gather(
        alone(pool, lambda db: lead_time_parts(db, of_medians)),
        alone(pool, lambda db: frequency_parts(db, of_medians, now)),
        alone(pool, lambda db: stability_parts(db, of_medians, now)),
    )
    figures, of_failures, of_recoveries = broken
    return {
        "cards": [
            cards.frequency_card(often, days, window),
            cards.lead_time_card(lead, spark),
            *stability_cards_of(figures),
        ],
        "together_chart": view.together_chart(bars, figures["course"], medians, of_medians),
        "bucket_links": view.bucket_links(bars, of_medians),
        "every": view.EVERY[of_medians.bucket],
        "shown_bucket": of_medians.bucket,
        "frequency": often,
        "repository_rows": view.by_repository(of_often, of_lead, of_failures, of_recoveries),
    }


async def course(
    series: Callable[[Bucket], Awaitable[Series]], filters: Filters
) -> tuple[Series, Series]:
    """Ask for a series by the bucket of a chart and by that of a card: once where they are one."""
    shown = await series(filters.bucket)
    spark = cards.spark_bucket(filters.window)
    return shown, shown if spark is filters.bucket else await series(spark)


async def lead_time_parts(
    db: AsyncConnection, filters: Filters
) -> tuple[ChangeLeadTime, list[DurationBucket], list[DurationBucket], list[RepositoryDurations]]:
    """Ask for change lead time, its two courses, and each repository's part."""
    scope, window = filters.scope, filters.window
    told = await metrics.change_lead_time(db, scope, window, filters.edition)
    shown, spark = await course(
        lambda bucket: metrics.change_lead_time_series(db, scope, window, bucket), filters
    )
    return told, shown, spark, await metrics.change_lead_time_by_repository(db, scope, window)


async def frequency_parts(
    db: AsyncConnection, filters: Filters, now: datetime
) -> tuple[
    DeploymentFrequency, list[FrequencyBucket], list[FrequencyBucket], list[RepositoryFrequency]
]:
    """Ask for deployment frequency, its two courses, and each repository's part."""
    scope, window, series = filters.scope, filters.window, metrics.deployment_frequency_series
    return (
        await metrics.deployment_frequency(db, scope, window, now, filters.edition),
        await series(db, scope, window, filters.bucket),
        await series(db, scope, window, Bucket.DAY),
        await metrics.deployment_frequency_by_repository(db, scope, window, now),
    )


async def stability_parts(
    db: AsyncConnection, filters: Filters, now: datetime
) -> tuple[dict[str, Any], list[RepositoryFailures], list[RepositoryDurations]]:
    """Ask for what went wrong, and for each repository's part of it."""
    scope, window = filters.scope, filters.window
    return (
        await failure_figures(db, filters) | await recovery_figures(db, filters, now),
        await failing.change_failure_rate_by_repository(db, scope, window),
        await failing.failed_deployment_recovery_time_by_repository(db, scope, window),
    )


async def frequency(pool: AsyncEngine, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for deployment frequency and the latest deployments."""
    scope, window = filters.scope, filters.window
    async with pool.connect() as db:
        told = await metrics.deployment_frequency(db, scope, window, now, filters.edition)
        series = await metrics.deployment_frequency_series(db, scope, window, filters.bucket)
        latest = await metrics.latest_deployments(db, scope, window, LATEST_ROWS)
    return {
        "frequency": told,
        "nothing_deployed": None if told["shown"] or told["failed"] else told["reason"],
        "frequency_chart": view.frequency_chart(series, filters),
        "bucket_links": view.bucket_links(series, filters),
        "kinds_note": view.kinds_note(told),
        "shown_bucket": filters.bucket,
        "latest": latest,
    }


async def lead_times(pool: AsyncEngine, filters: Filters, _: datetime) -> dict[str, Any]:
    """Ask for change lead time, its course, its spread and its stages."""
    filters = filters.of_medians
    scope, window, by = filters.scope, filters.window, filters.bucket
    told, series, bins = await gather(
        alone(pool, lambda db: metrics.change_lead_time(db, scope, window, filters.edition)),
        alone(pool, lambda db: metrics.change_lead_time_series(db, scope, window, by)),
        alone(pool, lambda db: metrics.change_lead_time_histogram(db, scope, window)),
    )
    return {
        "lead_time": told,
        "lead_time_chart": view.lead_time_chart(told, series, filters),
        "bucket_links": view.bucket_links(series, filters),
        "every": view.EVERY[filters.bucket],
        "shown_bucket": filters.bucket,
        "histogram_chart": view.histogram_chart(told, bins),
        "stages_chart": view.stages_chart(told),
        "percentiles": view.percentiles(told),
        "cohorts_note": view.cohorts_note(told),
    }


async def failure_figures(db: AsyncConnection, filters: Filters) -> dict[str, Any]:
    """Ask for change failure rate and rework rate with their courses, and make their cards."""
    scope, window, spark = filters.scope, filters.window, cards.spark_bucket(filters.window)
    told = await failing.change_failure_rate(db, scope, window, filters.edition)
    shown, sparks = await course(
        lambda bucket: failing.change_failure_rate_series(db, scope, window, bucket), filters
    )
    rework = await failing.rework_rate(db, scope, window)
    weeks = await failing.rework_rate_series(db, scope, window, spark)
    return {
        "failures": told,
        "course": shown,
        "failure_card": stability_cards.failure_card(told, sparks),
        "rework_card": stability_cards.rework_card(rework, weeks),
    }


async def recovery_figures(db: AsyncConnection, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for recovery time with its course, and make its card."""
    scope, window, edition = filters.scope, filters.window, filters.edition
    told = await failing.failed_deployment_recovery_time(db, scope, window, now, edition)
    shown, sparks = await course(
        lambda bucket: failing.failed_deployment_recovery_time_series(db, scope, window, bucket),
        filters,
    )
    return {
        "recovery": told,
        "recoveries": shown,
        "recovery_card": stability_cards.recovery_card(told, sparks),
    }


async def stability(pool: AsyncEngine, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for what went wrong over time, how long it lasted, and which incidents there were."""
    filters = filters.of_medians
    failed, (recovered, bins), (restore, incidents) = await gather(
        alone(pool, lambda db: failure_figures(db, filters)),
        alone(pool, lambda db: recoveries(db, filters, now)),
        alone(pool, lambda db: restores(db, filters, now)),
    )
    figures: dict[str, Any] = failed | recovered
    return figures | {
        "cards": stability_cards_of(figures),
        "said": told,
        "restore": restore,
        "severities": stable.severities(restore),
        "failure_chart": stable.failure_chart(figures["failures"], figures["course"], filters),
        "recovery_chart": stable.recovery_chart(
            figures["recovery"], figures["recoveries"], filters
        ),
        "recovery_histogram": stable.recovery_histogram(figures["recovery"], bins),
        "bucket_links": view.bucket_links(figures["course"], filters),
        "every": view.EVERY[filters.bucket],
        "shown_bucket": filters.bucket,
        "incidents": incidents,
    }


def stability_cards_of(figures: dict[str, Any]) -> list[cards.Card]:
    """Return the cards of what went wrong, in the order of the screen."""
    return [figures[f"{name}_card"] for name in ("failure", "recovery", "rework")]


async def recoveries(
    db: AsyncConnection, filters: Filters, now: datetime
) -> tuple[dict[str, Any], list[Bin]]:
    """Ask for recovery time, and how it spreads."""
    scope, window = filters.scope, filters.window
    figures = await recovery_figures(db, filters, now)
    return figures, await failing.failed_deployment_recovery_time_histogram(db, scope, window)


async def restores(
    db: AsyncConnection, filters: Filters, now: datetime
) -> tuple[TimeToRestore, list[stable.IncidentRow]]:
    """Ask for time to restore, and the latest incidents."""
    restore = await failing.time_to_restore(db, filters.scope, filters.window, now)
    return restore, await latest_incidents(db, filters, now)


async def latest_incidents(
    db: AsyncConnection, filters: Filters, now: datetime
) -> list[stable.IncidentRow]:
    """Ask for the latest incidents of the period, or still open, and for what they blame."""
    window = filters.window
    wanted = asked.Wanted(filters.scope, window.start, window.end)
    rows = await asked.listed(db, wanted, LATEST_ROWS)
    ids = [row["id"] for row in rows]
    derived, by_hand = await asked.blamed(db, ids), await asked.by_hand(db, ids)
    return [
        stable.IncidentRow(
            row,
            told.shape(row["state"]),
            told.lasted(row, now),
            told.blames(derived.get(row["id"], ()), by_hand.get(row["id"], ())),
        )
        for row in rows
    ]
