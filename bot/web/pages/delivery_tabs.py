"""What each tab of the Delivery screen asks of the metrics, and draws."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.pages import cards, stability_cards
from bot.web.pages import delivery_view as view
from bot.web.pages import incident_view as told
from bot.web.pages import stability_view as stable
from bot.web.pages.filters import Filters
from models import incident_screens as asked
from models.metrics import dora as metrics
from models.metrics import stability as failing
from models.metrics.core import Bucket
from models.metrics.deployments import DeploymentFrequency

LATEST_ROWS = 15


async def overview(db: AsyncConnection, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for the five numbers, for one chart of all, and for each repository's part."""
    scope, window, of_medians = filters.scope, filters.window, filters.of_medians
    bucket = of_medians.bucket
    often = await metrics.deployment_frequency_series(db, scope, window, bucket)
    failures = await failing.change_failure_rate_series(db, scope, window, bucket)
    medians = await metrics.change_lead_time_series(db, scope, window, bucket)
    told = await metrics.deployment_frequency(db, scope, window, now, filters.edition)
    return {
        "cards": [
            await frequency_card(db, filters, told),
            await lead_time_card(db, filters),
            *(await stability_figures(db, filters, now))["cards"],
        ],
        "together_chart": view.together_chart(often, failures, medians, of_medians),
        "bucket_links": view.bucket_links(often, of_medians),
        "every": view.EVERY[bucket],
        "shown_bucket": bucket,
        "frequency": told,
        "repository_rows": await repository_rows(db, filters, now),
    }


async def repository_rows(
    db: AsyncConnection, filters: Filters, now: datetime
) -> list[view.RepositoryRow]:
    """Ask for each repository's part of the numbers."""
    scope, window = filters.scope, filters.window
    return view.by_repository(
        await metrics.deployment_frequency_by_repository(db, scope, window, now),
        await metrics.change_lead_time_by_repository(db, scope, window),
        await failing.change_failure_rate_by_repository(db, scope, window),
        await failing.failed_deployment_recovery_time_by_repository(db, scope, window),
    )


async def frequency_card(
    db: AsyncConnection, filters: Filters, told: DeploymentFrequency
) -> cards.Card:
    """Ask for the course of deployment frequency, and make its card."""
    days = await metrics.deployment_frequency_series(db, filters.scope, filters.window, Bucket.DAY)
    return cards.frequency_card(told, days, filters.window)


async def lead_time_card(db: AsyncConnection, filters: Filters) -> cards.Card:
    """Ask for change lead time and its course, and make its card."""
    scope, window = filters.scope, filters.window
    told = await metrics.change_lead_time(db, scope, window, filters.edition)
    sparks = await metrics.change_lead_time_series(db, scope, window, cards.spark_bucket(window))
    return cards.lead_time_card(told, sparks)


async def frequency(db: AsyncConnection, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for deployment frequency and the latest deployments."""
    scope, window = filters.scope, filters.window
    told = await metrics.deployment_frequency(db, scope, window, now, filters.edition)
    series = await metrics.deployment_frequency_series(db, scope, window, filters.bucket)
    return {
        "frequency": told,
        "nothing_deployed": None if told["shown"] or told["failed"] else told["reason"],
        "frequency_chart": view.frequency_chart(series, filters),
        "bucket_links": view.bucket_links(series, filters),
        "kinds_note": view.kinds_note(told),
        "shown_bucket": filters.bucket,
        "latest": await metrics.latest_deployments(db, scope, window, LATEST_ROWS),
    }


async def lead_times(db: AsyncConnection, filters: Filters, _: datetime) -> dict[str, Any]:
    """Ask for change lead time, its course, its spread and its stages."""
    filters = filters.of_medians
    scope, window = filters.scope, filters.window
    told = await metrics.change_lead_time(db, scope, window, filters.edition)
    series = await metrics.change_lead_time_series(db, scope, window, filters.bucket)
    bins = await metrics.change_lead_time_histogram(db, scope, window)
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


async def stability_figures(db: AsyncConnection, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for what went wrong, and make its cards."""
    scope, window, edition = filters.scope, filters.window, filters.edition
    spark = cards.spark_bucket(window)
    failures = await failing.change_failure_rate(db, scope, window, edition)
    recovery = await failing.failed_deployment_recovery_time(db, scope, window, now, edition)
    rework = await failing.rework_rate(db, scope, window)
    return {
        "failures": failures,
        "recovery": recovery,
        "cards": [
            stability_cards.failure_card(
                failures, await failing.change_failure_rate_series(db, scope, window, spark)
            ),
            stability_cards.recovery_card(
                recovery,
                await failing.failed_deployment_recovery_time_series(db, scope, window, spark),
            ),
            stability_cards.rework_card(
                rework, await failing.rework_rate_series(db, scope, window, spark)
            ),
        ],
    }


async def stability(db: AsyncConnection, filters: Filters, now: datetime) -> dict[str, Any]:
    """Ask for what went wrong over time, how long it lasted, and which incidents there were."""
    filters = filters.of_medians
    scope, window = filters.scope, filters.window
    figures = await stability_figures(db, filters, now)
    restore = await failing.time_to_restore(db, scope, window, now)
    failures = await failing.change_failure_rate_series(db, scope, window, filters.bucket)
    recoveries = await failing.failed_deployment_recovery_time_series(
        db, scope, window, filters.bucket
    )
    bins = await failing.failed_deployment_recovery_time_histogram(db, scope, window)
    return figures | {
        "restore": restore,
        "severities": stable.severities(restore),
        "failure_chart": stable.failure_chart(figures["failures"], failures, filters),
        "recovery_chart": stable.recovery_chart(figures["recovery"], recoveries, filters),
        "recovery_histogram": stable.recovery_histogram(figures["recovery"], bins),
        "bucket_links": view.bucket_links(failures, filters),
        "every": view.EVERY[filters.bucket],
        "shown_bucket": filters.bucket,
        "incidents": await latest_incidents(db, filters, now),
    }


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
