"""GOLDEN.md's cases, at the level of derived rows. The baseline D0 lies outside each window."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Bucket, Scope, Window
from models.metrics.dora import (
    change_lead_time,
    change_lead_time_explanation,
    deployment_frequency,
    deployment_frequency_explanation,
    deployment_frequency_series,
)
from tests.models.metrics.rows import Row, at, change, deployment, found, keep, unmeasured

pytestmark = pytest.mark.store

HOUR = 3600
SEPTEMBER = Window(date(2026, 9, 1), date(2026, 9, 30))
NOW = datetime(2026, 10, 1, tzinfo=UTC)
ACME = Scope("acme")
D0 = deployment("08-31 12:00", "baseline")


async def lead_hours(db: AsyncConnection, scope: Scope = ACME) -> tuple[int, float | None]:
    """How many lead times, and their median in hours."""
    told = await change_lead_time(db, scope, SEPTEMBER)
    median = told["median_seconds"]
    return told["count"], None if median is None else median / HOUR


async def count(db: AsyncConnection, scope: Scope = ACME) -> int:
    return (await deployment_frequency(db, scope, SEPTEMBER, NOW))["count"]


async def test_g1_squash_merge(db: AsyncConnection):
    d1 = deployment("09-03 12:00")
    stages = {
        "coding_seconds": 31.0 * HOUR,
        "pickup_seconds": 12.0 * HOUR,
        "review_seconds": 6.0 * HOUR,
        "deploy_seconds": 2.0 * HOUR,
    }
    await keep(db, [D0, d1], [change(d1, "09-01 09:00", **stages)])
    told = await change_lead_time(db, ACME, SEPTEMBER)
    assert told["median_seconds"] == told["mean_seconds"] == 51 * HOUR
    assert told["stages"] == stages
    assert await count(db) == 1


async def test_g2_commits_deploy_days_later_in_one_batch(db: AsyncConnection):
    d1 = deployment("09-10 12:00")
    firsts = ("09-07 08:00", "09-08 09:00", "09-10 06:00")
    await keep(db, [D0, d1], [change(d1, first) for first in firsts])
    assert await lead_hours(db) == (3, 51)
    assert await count(db) == 1
    rows = (await change_lead_time_explanation(db, ACME, SEPTEMBER))["rows"]
    assert sorted(row["value"] / HOUR for row in rows) == [6, 51, 76]


async def test_g5_redeploys_and_deployments_without_changes(db: AsyncConnection):
    d1, d4 = deployment("09-01 09:00"), deployment("09-03 12:00")
    nightly = [deployment("09-02 02:00", "redeploy"), deployment("09-03 02:00", "redeploy")]
    human = change(d1, "09-01 08:00")
    bot = change(d4, "09-03 11:30", cohort="bots")
    await keep(db, [D0, d1, *nightly, d4], [human, bot])
    frequency = await deployment_frequency(db, ACME, SEPTEMBER, NOW)
    assert (frequency["count"], frequency["shown"]) == (2, 4)
    assert await lead_hours(db) == (1, 1)
    told = await change_lead_time(db, ACME, SEPTEMBER)
    assert told["by_cohort"] == {
        "people": {"median_seconds": HOUR, "count": 1},
        "agent": {"median_seconds": None, "count": 0},
        "bots": {"median_seconds": HOUR / 2, "count": 1},
    }


async def test_g6_nothing_is_known_of_what_a_baseline_brought(db: AsyncConnection):
    d1 = deployment("09-01 10:00", "baseline")
    pr1 = unmeasured(change(d1, "09-01 06:00"), "in the baseline")
    await keep(db, [d1], [pr1])
    assert await lead_hours(db) == (0, None)
    told = await change_lead_time(db, ACME, SEPTEMBER)
    assert told["reason"] == (
        "no change with a lead time reached production from 2026-09-01 to 2026-09-30"
    )
    assert told["level"] is None
    d2 = deployment("09-01 11:00")
    await keep(db, [d2], [change(d2, "09-01 10:30")])
    assert await lead_hours(db) == (1, 0.5)


async def test_g7_weeks_are_those_of_the_zone_across_a_change_of_clocks(db: AsyncConnection):
    times = ("10-18 21:59", "10-18 22:01", "10-25 22:59", "10-25 23:01")
    last = deployment("10-25 23:00")
    await keep(db, [deployment(time) for time in times], [change(last, "10-24 22:00")])
    window = Window(date(2026, 10, 12), date(2026, 11, 1), "Europe/Berlin")
    weeks = await deployment_frequency_series(db, ACME, window, Bucket.WEEK)
    assert [(week["start_date"], week["count"]) for week in weeks] == [
        ("2026-10-12", 1),
        ("2026-10-19", 2),
        ("2026-10-26", 1),
    ]
    told = await change_lead_time(db, ACME, window)
    assert told["median_seconds"] == 25 * HOUR


async def test_g8_an_old_repository_is_not_measured_by_its_first_deployment(db: AsyncConnection):
    d1, d2 = deployment("09-01 10:00", "baseline"), deployment("09-02 11:00")
    old: list[Row] = [
        unmeasured(change(d1, at("09-01 09:00") - timedelta(days=number % 365)), "in the baseline")
        for number in range(500)
    ]
    await keep(db, [d1, d2], [*old, change(d2, "09-01 15:00")])
    assert await lead_hours(db) == (1, 20)
    frequency = await deployment_frequency(db, ACME, SEPTEMBER, NOW)
    assert (frequency["count"], frequency["kinds"]["baseline"]) == (2, 1)
    explained = await change_lead_time_explanation(db, ACME, SEPTEMBER)
    assert explained["excluded"] == [{"reason": "in the baseline", "count": 500}]


async def test_g10_a_monorepo_has_its_services_and_counts_each_change_once(db: AsyncConnection):
    web = deployment("09-01 11:00", service="web")
    ios = deployment("09-01 15:00", service="ios")
    lib = change(web, "09-01 09:00")
    again = change(ios, "09-01 09:00", change_id=lib["change_id"], first=False)
    pr1, pr2 = change(web, "09-01 08:00"), change(ios, "09-01 07:30")
    await keep(db, [D0, web, ios], [pr1, pr2, lib, again])
    of_web = Scope("acme", service=web["service_id"])
    of_ios = Scope("acme", service=ios["service_id"])
    assert await lead_hours(db, of_web) == (2, 2.5)
    assert await lead_hours(db, of_ios) == (2, 6.75)
    assert await lead_hours(db, Scope("acme", "acme/api")) == (3, 3)
    assert [await count(db, of_web), await count(db, of_ios)] == [1, 1]


async def test_g11_a_failed_attempt_is_not_a_deployment(db: AsyncConnection):
    await found(db)
    failed, d1 = deployment("09-01 10:05", None), deployment("09-01 10:20")
    await keep(db, [D0, failed, d1], [change(d1, "09-01 09:00")])
    frequency = await deployment_frequency(db, ACME, SEPTEMBER, NOW)
    assert (frequency["count"], frequency["attempt_success_rate"]) == (1, 0.5)
    assert await lead_hours(db) == (1, 80 / 60)
    explained = await deployment_frequency_explanation(db, ACME, SEPTEMBER)
    assert explained["excluded"] == [{"reason": "it never succeeded", "count": 1}]
