"""Stability: what SQL says of random histories is what the plain version says."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics import stability
from models.metrics.core import Bucket, Scope, Window
from models.metrics.explanation import Page, explanation
from tests.models.metrics import oracle
from tests.models.metrics.rows import (
    Row,
    failure,
    incident,
    keep,
    keep_failures,
    keep_incidents,
)
from tests.models.metrics.test_oracle import (
    COHORTS,
    ENVIRONMENTS,
    SCOPES,
    drawn_deployment,
    moments,
    same,
    windows,
)

pytestmark = pytest.mark.store

SECONDS = st.sampled_from([0, 1, 3599, 3600, 3601, 86400]) | st.integers(-4000, 3_000_000)


@st.composite
def histories(draw: st.DrawFn, window: Window) -> dict[str, list[Row]]:
    """Deployments of a few services, which of them failed, and incidents."""
    deployments = [
        {
            **drawn_deployment(draw, window),
            "cohorts": draw(st.lists(st.sampled_from(COHORTS), unique=True)),
        }
        for _ in range(draw(st.sampled_from([0, 1, 5, 12])))
    ]
    failed = [
        failure(row, draw(later(row["finished_at"])))
        for row in deployments
        if row["kind"] and draw(st.booleans())
    ]
    incidents = [drawn_incident(draw, window) for _ in range(draw(st.sampled_from([0, 1, 3, 9])))]
    return {"deployments": deployments, "failed": failed, "incidents": incidents}


def later(moment: datetime) -> st.SearchStrategy[datetime | None]:
    """A time after another, seldom before it; or never."""
    return st.none() | SECONDS.map(lambda seconds: moment + timedelta(seconds=seconds))


def drawn_incident(draw: st.DrawFn, window: Window) -> Row:
    """An incident of one of a few services, or of nobody knows which."""
    began = draw(moments(window))
    environment, environment_class = draw(st.sampled_from(ENVIRONMENTS))
    return incident(
        began,
        draw(later(began)),
        draw(st.sampled_from([None, f"acme/api/{environment}", "acme/web/production"])),
        environment=environment,
        environment_class=environment_class,
        severity=draw(st.sampled_from([None, "sev1", "sev2", "sev3", "sev4"])),
        organization_id=draw(st.sampled_from([*["acme"] * 9, "other"])),
        dismissed=draw(st.sampled_from([False, False, False, True])),
    )


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
    rows, failed, incidents = history["deployments"], history["failed"], history["incidents"]
    savepoint = await db.begin_nested()
    await keep(db, rows, [])
    await keep_failures(db, failed)
    await keep_incidents(db, incidents)

    rate = await stability.change_failure_rate(db, scope, window)
    same(rate, oracle.failure_rate(rows, failed, scope, window))
    same(
        await stability.change_failure_rate_series(db, scope, window, bucket),
        oracle.failure_series(rows, failed, scope, window, bucket.value),
    )
    recovery = await stability.failed_deployment_recovery_time(db, scope, window, now)
    same(recovery, oracle.recovery(rows, failed, scope, window, now))
    same(
        await stability.failed_deployment_recovery_time_series(db, scope, window, bucket),
        oracle.recovery_series(rows, failed, scope, window, bucket.value),
    )
    times, _ = oracle.hurt(rows, failed, scope, window, oracle.days(window))
    bins = await stability.failed_deployment_recovery_time_histogram(db, scope, window)
    assert [each["count"] for each in bins] == oracle.bins(times)
    restored = await stability.time_to_restore(db, scope, window, now)
    same(restored, oracle.restore(incidents, scope, window, now))
    same(
        await stability.time_to_restore_series(db, scope, window, bucket),
        oracle.restore_series(incidents, scope, window, bucket.value),
    )
    reworked = await stability.rework_rate(db, scope, window)
    same(reworked, oracle.rework(rows, scope, window))
    same(
        await stability.rework_rate_series(db, scope, window, bucket),
        oracle.rework_series(rows, scope, window, bucket.value),
    )
    await parts_and_rows_agree(db, scope, window, (rate, recovery, restored, reworked))
    await savepoint.rollback()


async def parts_and_rows_agree(
    db: AsyncConnection, scope: Scope, window: Window, told: tuple[Any, Any, Any, Any]
) -> None:
    """The parts of repositories, and the rows of explanations, sum to the whole."""
    metrics = (stability.FAILURES, stability.RECOVERIES, stability.RESTORES, stability.REWORK)
    by_repository = (
        stability.change_failure_rate_by_repository,
        stability.failed_deployment_recovery_time_by_repository,
        stability.time_to_restore_by_repository,
        stability.rework_rate_by_repository,
    )
    for metric, whole, split in zip(metrics, told, by_repository, strict=True):
        explained = await explanation(db, metric, scope, window, Page(limit=500))
        assert explained["counted"] == whole["count"]
        assert (whole["reason"] is None) == (whole["count"] > 0)
        assert sum(row["counted"] for row in explained["rows"]) == whole["count"]
        assert all(bool(row["reason"]) != row["counted"] for row in explained["rows"])
        split_up: Any = await split(db, scope, window)
        assert sum(part["count"] for part in split_up) == whole["count"]
