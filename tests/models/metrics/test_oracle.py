from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics import dora
from models.metrics.core import Bucket, Scope, Window
from tests.models.metrics import oracle
from tests.models.metrics.rows import Row, change, deployment, keep

pytestmark = pytest.mark.store

ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "Pacific/Apia"),
)
ENVIRONMENTS = (
    *(("production", "production"), ("production", "production"), ("prod-eu", "production")),
    *(("prod-eu", "production"), ("qa", "staging")),
)
COHORTS = ("people", "agent", "bots")
NEAR = st.sampled_from([-1, 0, 0, 1])


def moments(window: Window) -> st.SearchStrategy[datetime]:
    """Times in a window and in the one before, often at their edges or where clocks change."""
    edges = st.sampled_from([window.previous.start, window.start, window.end])
    starts = [window.midnight(day) for day in window.buckets(Bucket.DAY)]
    length = int((window.end - window.start).total_seconds())
    inside = st.integers(0, length).map(lambda seconds: window.start + timedelta(seconds=seconds))
    near = (edges | st.sampled_from(starts)).flatmap(
        lambda instant: NEAR.map(lambda seconds: instant + timedelta(seconds=seconds))
    )
    return inside | near | inside.map(lambda instant: instant - timedelta(seconds=length))


@st.composite
def histories(draw: st.DrawFn, window: Window) -> dict[str, list[Row]]:
    """Deployments of a few services, and the changes they brought."""
    size = draw(st.sampled_from([0, 1, 5, 10, 15]))
    deployments = [drawn_deployment(draw, window) for _ in range(size)]
    shipped = [row for row in deployments if row["kind"] not in {None, "redeploy"}]
    changes = [
        drawn_change(draw, deployed)
        for deployed in shipped
        for _ in range(draw(st.sampled_from([0, 1, 2, 4])))
    ]
    return {"deployments": deployments, "changes": told_once(changes)}


def drawn_deployment(draw: st.DrawFn, window: Window) -> Row:
    """An attempt to deploy one of six services."""
    environment, environment_class = draw(st.sampled_from(ENVIRONMENTS))
    kinds = ("new", "new", "rollback", "rollforward", "redeploy", "baseline", None)
    return deployment(
        draw(moments(window)),
        draw(st.sampled_from(kinds)),
        service=draw(st.sampled_from([environment, environment, f"{environment}-ios"])),
        environment=environment,
        environment_class=environment_class,
        repository_id=draw(st.sampled_from(["acme/api", "acme/api", "acme/web"])),
        organization_id=draw(st.sampled_from([*["acme"] * 9, "other"])),
    )


def drawn_change(draw: st.DrawFn, deployed: Row) -> Row:
    """A change with stages that sum to its lead time, or without any."""
    stage = st.none() | st.sampled_from([0.0, 3599.0, 3600.0, 3601.0]) | st.floats(0, 4e6)
    stages = {name: draw(stage) for name in ("pickup_seconds", "review_seconds", "deploy_seconds")}
    coding = draw(st.floats(-9000, 4e6))
    measured = draw(st.sampled_from([True, True, True, False]))
    lead = coding + sum(value or 0 for value in stages.values())
    number = draw(st.integers(1, 4))
    return change(
        deployed,
        deployed["finished_at"] - timedelta(days=1),
        change_id=f"{deployed['organization_id']}/{deployed['repository_id']}/pr-{number}",
        cohort=draw(st.sampled_from(COHORTS)),
        lead_seconds=lead if measured else None,
        coding_seconds=coding,
        reason=None if measured else "in the baseline",
        **stages,
    )


def told_once(changes: list[Row]) -> list[Row]:
    """A change once a service, and `first` where it reached its environment class first."""
    services: dict[Any, Row] = {}
    firsts: set[Any] = set()
    for row in sorted(changes, key=lambda row: (row["deployed_at"], row["id"])):
        services.setdefault((row["change_id"], row["service_id"]), row)
    for row in services.values():
        key = (row["change_id"], row["environment_class"])
        row["first"] = key not in firsts
        firsts.add(key)
    return list(services.values())


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """From a day to three months, in some zone."""
    start = draw(st.dates(date(2026, 3, 1), date(2026, 4, 5)))
    length = draw(st.sampled_from([1, 7, 30, 90]) | st.integers(1, 60))
    return Window(start, start + timedelta(days=length - 1), draw(st.sampled_from(ZONES)))


SCOPES = (
    Scope("acme"),
    Scope("acme", "acme/api", cohorts=("people",)),
    Scope("acme", cohorts=COHORTS),
    Scope("acme", cohorts=("bots",)),
    Scope("acme", environment="staging", cohorts=COHORTS),
    Scope("acme", environment="prod-eu", cohorts=COHORTS),
    Scope("acme", "acme/api", environment="prod-eu", cohorts=COHORTS),
    Scope("acme", service="acme/api/production", cohorts=COHORTS),
    Scope("acme", service="acme/api/prod-eu", environment="prod-eu", cohorts=COHORTS),
)


def same(told: Any, computed: Any) -> None:
    """Equal, as far as sums of floats can be."""
    if isinstance(computed, dict):
        for key, value in computed.items():
            same(told[key], value)
    elif isinstance(computed, list):
        assert len(told) == len(computed)
        for left, right in zip(told, computed, strict=True):
            same(left, right)
    else:
        assert told == (computed if computed is None else pytest.approx(computed, abs=1e-6))


@given(
    window=windows(), scope=st.sampled_from(SCOPES), bucket=st.sampled_from(Bucket), data=st.data()
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_sql_says_what_the_plain_version_says(
    db: AsyncConnection, window: Window, scope: Scope, bucket: Bucket, data: st.DataObject
) -> None:
    history = data.draw(histories(window))
    now = data.draw(moments(window))
    deployments = history["deployments"]
    environments = {row["id"]: row["environment"] for row in deployments}
    savepoint = await db.begin_nested()
    await keep(db, deployments, history["changes"])
    changes = [
        {**row, "environment": environments[row["service_deployment_id"]]}
        for row in history["changes"]
    ]

    frequency = await dora.deployment_frequency(db, scope, window, now)
    same(frequency, oracle.frequency(deployments, scope, window, now))
    assert (frequency["reason"] is None) == (frequency["count"] > 0)
    same(
        await dora.deployment_frequency_series(db, scope, window, bucket),
        oracle.frequency_series(deployments, scope, window, bucket.value),
    )
    lead_time = await dora.change_lead_time(db, scope, window)
    same(lead_time, oracle.lead_time(changes, scope, window))
    if lead_time["mean_seconds"] is not None:
        stages = [value or 0 for value in lead_time["stages"].values()]
        assert sum(stages) == pytest.approx(lead_time["mean_seconds"], abs=1e-3)
    same(
        await dora.change_lead_time_series(db, scope, window, bucket),
        oracle.lead_time_series(changes, scope, window, bucket.value),
    )
    bins = await dora.change_lead_time_histogram(db, scope, window)
    assert [each["count"] for each in bins] == oracle.histogram(changes, scope, window)

    explained = await dora.change_lead_time_explanation(db, scope, window)
    assert explained["counted"] == lead_time["count"]
    assert sum(row["counted"] for row in explained["rows"]) == lead_time["count"]
    by_repository = await dora.change_lead_time_by_repository(db, scope, window)
    assert sum(part["count"] for part in by_repository) == lead_time["count"]
    parts = await dora.deployment_frequency_by_repository(db, scope, window, now)
    assert sum(part["count"] for part in parts) == frequency["count"]
    await savepoint.rollback()
