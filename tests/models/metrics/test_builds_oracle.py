"""Build metrics against plain Python, on random histories."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics import builds
from models.metrics.core import Bucket, Scope, Window, utc
from tests.models.metrics.builds_rows import Row, build, keep_builds
from tests.models.metrics.oracle import (
    bucket_of,
    days,
    days_before,
    elapsed,
    local_day,
    percentile,
)
from tests.models.metrics.rows import found
from tests.models.metrics.test_oracle import moments

pytestmark = pytest.mark.store

ENDS = ("success", "success", "success", "failure", "timed_out", "cancelled", "skipped", "stale")
FILTERS = {
    None: ("ios", "android", "mobile", None),
    "ios": ("ios", "mobile"),
    "android": ("android", "mobile"),
    "mobile": ("ios", "android", "mobile"),
    "none": (None,),
}
CALLED = {"failed": "failure", **{name: name for name in ENDS if name not in ("failure", "stale")}}


@st.composite
def histories(draw: st.DrawFn, window: Window) -> list[Row]:
    """Builds of a few workflows, some of them running."""
    return [drawn(draw, window) for _ in range(draw(st.sampled_from([0, 3, 12, 40])))]


def drawn(draw: st.DrawFn, window: Window) -> Row:
    """One build."""
    completed: datetime = draw(moments(window))
    workflow = draw(st.sampled_from("abc"))
    place = {
        "organization_id": draw(st.sampled_from(["acme", "acme", "acme", "rival"])),
        "repository_id": draw(st.sampled_from(["acme/api", "acme/web"])),
        "platform": draw(st.sampled_from(["ios", "android", "mobile", None])),
    }
    told = {**place, "workflow": workflow}
    told["workflow_id"] = f"{place['organization_id']}/{place['repository_id']}/{workflow}"
    if draw(st.sampled_from([False] * 9 + [True])):
        return build(None, None, started_at=completed, **told)
    outcome = draw(st.sampled_from(ENDS))
    row = build(completed, outcome, minutes=draw(st.integers(0, 300)), **told)
    if row["failure"]:
        row["failure"] = draw(st.sampled_from(["Lint", "Run tests", "Sign"]))
    return {**row, "flaky": outcome == "success" and draw(st.booleans())}


@st.composite
def questions(draw: st.DrawFn) -> tuple[Scope, Window, str | None, datetime]:
    """Whose builds, when, of which platform, and what day is today."""
    start = date(2026, 3, 1) + timedelta(days=draw(st.integers(0, 60)))
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "America/Havana"]))
    window = Window(start, start + timedelta(days=draw(st.integers(0, 20))), zone)
    scope = Scope("acme", draw(st.sampled_from([None, None, "acme/api"])))
    return scope, window, draw(st.sampled_from(list(FILTERS))), draw(moments(window))


def wanted(rows: Iterable[Row], scope: Scope, platform: str | None) -> list[Row]:
    """The builds of a scope and platform."""
    return [
        row
        for row in rows
        if row["organization_id"] == "acme"
        and scope.repository_id in {None, row["repository_id"]}
        and row["platform"] in FILTERS[platform]
    ]


def on(rows: Iterable[Row], dates: list[date], zone: str) -> list[Row]:
    """The builds that completed on some days."""
    ended = [row for row in rows if row["completed_at"]]
    return [row for row in ended if local_day(row["completed_at"], zone) in dates]


def counted(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["outcome"] in ("success", "failure", "timed_out")]


def outcomes(rows: list[Row]) -> dict[str, Any]:
    """How builds ended."""
    ends, count = Counter(row["outcome"] for row in rows), len(counted(rows))
    rate = ends["success"] / count if count else None
    return {"rate": rate, "count": count, **{name: ends[end] for name, end in CALLED.items()}}


def lengths(rows: list[Row]) -> dict[str, Any]:
    """How long builds took."""
    told = [row["duration_seconds"] for row in counted(rows)]
    return {
        "mean_seconds": fmean(told) if told else None,
        "p50_seconds": percentile(told, 0.5),
        "p90_seconds": percentile(told, 0.9),
        "count": len(told),
    }


def near(value: Any) -> Any:
    return {name: pytest.approx(one) for name, one in value.items()}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), questions())
async def test_builds_are_what_plain_python_says(
    db: AsyncConnection,
    data: st.DataObject,
    question: tuple[Scope, Window, str | None, datetime],
) -> None:
    scope, window, platform, now = question
    rows = data.draw(histories(window))
    await db.rollback()
    for table in ("builds", "organizations", "organization_settings", "repositories"):
        await db.execute(text(f"delete from {table}"))  # noqa: S608
    await found(db)
    await keep_builds(db, rows)
    zone, of_these = window.time_zone, wanted(rows, scope, platform)
    here, before = on(of_these, days(window), zone), on(of_these, days_before(window), zone)
    asked = (db, scope, window, platform)

    told: Any = await builds.summary(*asked, now)
    success, duration, frequency = (told[n] for n in ("success_rate", "duration", "frequency"))
    assert {name: success[name] for name in outcomes(here)} == near(outcomes(here))
    assert success["previous"] == {name: outcomes(before)[name] for name in ("rate", "count")}
    assert {name: duration[name] for name in lengths(here)} == near(lengths(here))
    assert duration["previous"] == near(lengths(before))
    count, earlier = len(counted(here)), len(counted(before))
    assert frequency["count"] == count
    assert frequency["per_day"] == (count / elapsed(days(window), now, zone) if count else None)
    assert frequency["today"] == len(counted(on(of_these, [local_day(now, zone)], zone)))
    assert frequency["previous"]["count"] == earlier
    assert (frequency["reason"] is None) == (count > 0)
    flaky = [row for row in here if row["flaky"]]
    assert told["flaky"] == {
        "count": len(flaky),
        "runs": count,
        "workflows": len({row["workflow_id"] for row in flaky}),
    }

    for bucket in Bucket:
        parts: dict[date, list[Row]] = defaultdict(list)
        for row in here:
            parts[bucket_of(local_day(row["completed_at"], zone), bucket.value)].append(row)
        starts = sorted({bucket_of(day, bucket.value) for day in days(window)})
        assert await builds.success_series(*asked, bucket) == [
            {"start_date": day.isoformat(), **outcomes(parts[day])} for day in starts
        ]
        series = await builds.duration_series(*asked, bucket)
        assert [(one["count"], one["p50_seconds"], one["p90_seconds"]) for one in series] == [
            (part["count"], pytest.approx(part["p50_seconds"]), pytest.approx(part["p90_seconds"]))
            for part in (lengths(parts[day]) for day in starts)
        ]
    bins = await builds.duration_histogram(*asked)
    assert [one["count"] for one in bins] == [
        sum(
            one["from_seconds"] <= row["duration_seconds"] < (one["to_seconds"] or float("inf"))
            for row in counted(here)
        )
        for one in bins
    ]

    failed: dict[str, list[Row]] = defaultdict(list)
    for row in here:
        if row["failure"]:
            failed[row["failure"]].append(row)
    reasons = await builds.failures_by_reason(*asked)
    assert {one["failure"]: (one["count"], one["last_at"], one["url"]) for one in reasons} == {
        name: (len(part), utc(last["completed_at"]), last["url"])
        for name, part in failed.items()
        for last in [max(part, key=lambda row: (row["completed_at"], row["id"]))]
    }
    assert [one["count"] for one in reasons] == sorted(map(len, failed.values()), reverse=True)

    workflows = await builds.flaky_workflows(*asked)
    assert {one["workflow_id"]: (one["flaky"], one["runs"]) for one in workflows} == {
        name: (times, sum(row["workflow_id"] == name for row in counted(here)))
        for name, times in Counter(row["workflow_id"] for row in flaky).items()
    }
    newest = sorted(of_these, key=lambda row: (row["started_at"], row["id"]), reverse=True)
    latest = await builds.latest(db, scope, 5, platform)
    assert [one["id"] for one in latest] == [row["id"] for row in newest[:5]]
    by_platform = await builds.by_platform(db, scope, window)
    everything = on(wanted(rows, scope, None), days(window), zone)
    assert {part["id"]: part["count"] for part in by_platform} == {
        name: len(counted(row for row in everything if row["platform"] == name))
        for name in {row["platform"] for row in everything}
    }
