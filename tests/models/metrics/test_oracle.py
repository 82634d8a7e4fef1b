from datetime import UTC, date, datetime, timedelta
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
ENVIRONMENTS = (("production", "production"), ("prod-eu", "production"), ("qa", "staging"))
COHORTS = ("people", "agent", "bots")
EMPTY: dict[str, Any] = {"deployments": [], "changes": []}


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """A time of 2026, often near a midnight of some zone or a change of clocks."""
    days = st.sampled_from([date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5)])
    some = st.dates(date(2026, 2, 15), date(2026, 5, 15))
    day = draw(days | some)
    minute = draw(st.integers(-1500, 1500))
    second = draw(st.sampled_from([0, 0, 1, -1]))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start + timedelta(minutes=minute, seconds=second)


@st.composite
def histories(draw: st.DrawFn) -> dict[str, list[Row]]:
    """Deployments of a few services, and the changes they brought."""
    deployments = [drawn_deployment(draw) for _ in range(draw(st.integers(0, 14)))]
    shipped = [row for row in deployments if row["kind"] not in {None, "redeploy"}]
    changes = [
        drawn_change(draw, deployed) for deployed in shipped for _ in range(draw(st.integers(0, 3)))
    ]
    return {"deployments": deployments, "changes": told_once(changes)}


def drawn_deployment(draw: st.DrawFn) -> Row:
    """An attempt to deploy one of six services."""
    environment, environment_class = draw(st.sampled_from(ENVIRONMENTS))
    kinds = ("new", "new", "rollback", "rollforward", "redeploy", "baseline", None)
    return deployment(
        draw(moments()),
        draw(st.sampled_from(kinds)),
        service=environment,
        environment=environment,
        environment_class=environment_class,
        repository_id=draw(st.sampled_from(["acme/api", "acme/web"])),
        organization_id=draw(st.sampled_from(["acme", "acme", "acme", "other"])),
    )


def drawn_change(draw: st.DrawFn, deployed: Row) -> Row:
    """A change with stages that sum to its lead time, or without any."""
    stage = st.none() | st.sampled_from([0.0, 3599.0, 3600.0, 3601.0]) | st.floats(0, 4e6)
    stages = {name: draw(stage) for name in ("pickup_seconds", "review_seconds", "deploy_seconds")}
    coding = draw(st.floats(-9000, 4e6))
    measured = draw(st.sampled_from([True, True, True, False]))
    lead = coding + sum(value or 0 for value in stages.values())
    number = draw(st.integers(1, 8))
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
    start = draw(st.dates(date(2026, 3, 1), date(2026, 4, 20)))
    length = draw(st.sampled_from([1, 7, 30]) | st.integers(1, 90))
    return Window(start, start + timedelta(days=length - 1), draw(st.sampled_from(ZONES)))


scopes = st.builds(
    Scope,
    organization_id=st.just("acme"),
    repository_id=st.sampled_from([None, None, "acme/api"]),
    environment=st.sampled_from(["production", "production", "prod-eu", "staging"]),
    service=st.sampled_from([None, None, "acme/api/production", "acme/api/prod-eu"]),
    cohorts=st.sampled_from([("people", "agent"), ("people",), COHORTS, ("bots",)]),
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
    history=histories() | st.just(EMPTY),
    scope=scopes,
    window=windows(),
    now=moments(),
    bucket=st.sampled_from(Bucket),
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_sql_says_what_the_plain_version_says(
    db: AsyncConnection,
    history: dict[str, list[Row]],
    scope: Scope,
    window: Window,
    now: datetime,
    bucket: Bucket,
) -> None:
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
