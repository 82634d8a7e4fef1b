"""Development metrics against lists and plain Python, on random histories."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Bucket, Scope, Window
from models.metrics.development import (
    duration_series,
    durations,
    durations_by,
    headline_and_course,
    metric_seen_by,
    review_stages,
    sight_of,
    throughput,
    throughput_and_course,
    throughput_by,
    throughput_series,
)
from tests.models.metrics.development_rows import (
    Row,
    identity,
    issue,
    keep_pull_requests,
    linear_issue,
    link,
    pull_request,
    team,
)
from tests.models.metrics.oracle import bucket_of, days, days_before, local_day, percentile
from tests.models.metrics.rows import found
from tests.models.metrics.test_oracle import moments

pytestmark = pytest.mark.store

COHORTS = ("people", "agent", "bots")
LOGINS = ("ada", "ben", "cleo", "dan", "eve", "flo", "Gus")
TEAMS = {"hand:red": ("ada", "ben", "cleo", "dan", "eve"), "hand:blue": ("eve", "flo", "gus")}
JOINED = {"flo": "gus"}
TABLES = (
    *("pull_requests", "pull_request_times", "issues", "linear_issues", "issue_pull_requests"),
    *("issue_times", "teams", "team_members", "identities", "organizations", "repositories"),
    "organization_settings",
)


@st.composite
def pull_requests(draw: st.DrawFn, window: Window) -> list[Row]:
    """Pull requests of a few people and programs, in every state."""
    return [drawn(draw, window) for _ in range(draw(st.sampled_from([0, 3, 12, 30])))]


def drawn(draw: st.DrawFn, window: Window) -> Row:
    """One pull request."""
    opened = draw(moments(window))
    ready = opened + timedelta(minutes=draw(st.sampled_from([0, 0, 90])))
    draft = draw(st.sampled_from([False, False, False, True]))
    wait = st.integers(0, 5 * 24 * 60)
    reviewed = ready + timedelta(minutes=draw(wait)) if draw(st.booleans()) else None
    merged = ready + timedelta(minutes=draw(wait)) if draw(st.booleans()) else None
    cohort = draw(st.sampled_from(["people", "people", "people", "agent", "bots"]))
    told: dict[str, Any] = {"cohort": cohort, "merged_at": merged, "first_review_at": reviewed}
    if draft and not merged:
        told |= {"draft": True, "ready_at": None, "first_review_at": None}
    else:
        told["ready_at"] = ready
    return pull_request(
        opened,
        first_commit_at=opened - timedelta(minutes=draw(st.integers(-60, 600))),
        author_login=draw(st.sampled_from(LOGINS)) if cohort == "people" else cohort,
        repository_id=draw(st.sampled_from(["acme/api", "acme/web"])),
        organization_id=draw(st.sampled_from(["acme", "acme", "acme", "acme", "rival"])),
        **told,
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[Scope, Window]:
    """Whose figures, and when."""
    start = date(2026, 3, 1) + timedelta(days=draw(st.integers(0, 60)))
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "America/Havana"]))
    window = Window(start, start + timedelta(days=draw(st.integers(0, 20))), zone)
    cohorts = draw(st.sampled_from([("people", "agent"), ("people",), COHORTS, ("agent",)]))
    repository = draw(st.sampled_from([None, None, "acme/api"]))
    of_team = draw(st.sampled_from([None, None, *TEAMS]))
    return Scope("acme", repository, cohorts=cohorts, team_id=of_team), window


def of_scope(rows: Iterable[Row], scope: Scope) -> list[Row]:
    """The rows of an organisation, repository and team."""
    members = TEAMS.get(scope.team_id or "", ())
    return [
        row
        for row in rows
        if row["organization_id"] == "acme"
        and scope.repository_id in {None, row["repository_id"]}
        and (scope.team_id is None or person(row) in {who(login) for login in members})
    ]


def who(login: str) -> str:
    return JOINED.get(login.lower(), login.lower())


def person(row: Row) -> str:
    return who(row["author_login"])


def on(rows: Iterable[Row], time: str, dates: list[date], zone: str) -> list[Row]:
    """The rows of some days."""
    return [row for row in rows if row[time] and local_day(row[time], zone) in dates]


def active(rows: Iterable[Row]) -> bool:
    """Whether a figure may be shown: of nobody, or of five people at least."""
    people = {person(row) for row in rows if row["cohort"] == "people"}
    return len(people) not in range(1, 5)


def waited(row: Row) -> float | None:
    if row["first_review_at"] is None:
        return None
    return (row["first_review_at"] - row["ready_at"]).total_seconds()


def spread(values: list[float], shown: bool) -> dict[str, Any]:
    """How values spread, or nothing."""
    names = ("p50", "p75", "p90", "p95")
    if not shown:
        return dict.fromkeys(
            ("median_seconds", *(f"{name}_seconds" for name in names), "mean_seconds", "count")
        )
    told = {f"{name}_seconds": percentile(values, int(name[1:]) / 100) for name in names}
    mean = fmean(values) if values else None
    return {
        "median_seconds": told["p50_seconds"], **told, "mean_seconds": mean, "count": len(values)
    }  # fmt: skip


def values(rows: Iterable[Row], cohorts: Iterable[str]) -> list[float]:
    told = [waited(row) for row in rows if row["cohort"] in cohorts]
    return [value for value in told if value is not None]


async def cleaned(db: AsyncConnection) -> None:
    """Begin anew, with two teams of which two members are one person."""
    await db.rollback()
    for table in TABLES:
        await db.execute(text(f"delete from {table}"))  # noqa: S608
    await found(db)
    for name, members in TEAMS.items():
        await team(db, name, *members)
    await identity(db, "github:login:flo", "flo@acme.example")
    await identity(db, "github:login:gus", "flo@acme.example")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), questions())
async def test_review_time_is_what_plain_python_says(
    db: AsyncConnection, data: st.DataObject, question: tuple[Scope, Window]
) -> None:
    scope, window = question
    rows = data.draw(pull_requests(window))
    await cleaned(db)
    await keep_pull_requests(db, rows)
    sight = await sight_of(db, "acme")
    metric = metric_seen_by("pr_review_time", sight)
    zone, of_these = window.time_zone, of_scope(rows, scope)
    here = on(of_these, "answered_at", days(window), zone)
    before = on(of_these, "answered_at", days_before(window), zone)
    shown = active(here)
    told = await durations(db, metric, scope, window, sight)
    expected = spread(values(here, scope.cohorts), shown)
    assert {name: told[name] for name in expected} == pytest.approx(expected)  # type: ignore[literal-required]
    for cohort in COHORTS:
        part = values(here, (cohort,))
        visible = shown or cohort != "people"
        assert told["by_cohort"][cohort] == pytest.approx(
            {"median_seconds": percentile(part, 0.5), "count": len(part)}
            if visible
            else {"median_seconds": None, "count": None}
        )
    past = values(before, scope.cohorts)
    assert told["previous"] == pytest.approx(
        {"median_seconds": percentile(past, 0.5), "count": len(past)}
        if active(before)
        else {"median_seconds": None, "count": None}
    )
    assert (told["reason"] == "fewer than 5 active people") == (not shown)
    for bucket in ("day", "week"):
        series = await duration_series(db, metric, scope, window, sight, Bucket(bucket))
        by_day: dict[date, list[float]] = {}
        for row in here:
            day = bucket_of(local_day(row["answered_at"], zone), bucket)
            by_day.setdefault(day, []).extend(values([row], scope.cohorts))
        wanted = sorted({bucket_of(day, bucket) for day in days(window)})
        assert [(one["start_date"], one["count"], one["p50_seconds"]) for one in series] == [
            (day.isoformat(), len(by_day.get(day, [])) if shown else None,
             pytest.approx(percentile(by_day.get(day, []), 0.5)) if shown else None)
            for day in wanted
        ]  # fmt: skip
        headline, course = await headline_and_course(
            db, metric, scope, window, sight, Bucket(bucket)
        )
        assert course == series
        for name, value in headline.items():
            assert value == pytest.approx(told[name]), name  # type: ignore[literal-required]
    by_repository = await durations_by(db, metric, scope, window, sight, "repo")
    assert [(part["id"], part["count"]) for part in by_repository] == [
        (name, len(part) if active(of) else None)
        for name in ("acme/api", "acme/web")
        for of in [[row for row in here if row["repository_id"] == name]]
        if (part := values(of, scope.cohorts))
    ]
    by_team = await durations_by(db, metric, scope, window, sight, "team")
    assert [(part["id"], part["count"]) for part in by_team] == [
        (name, len(part) if active(of) else None)
        for name in ("hand:blue", "hand:red")
        for of in [[row for row in here if person(row) in set(map(who, TEAMS[name]))]]
        if (part := values(of, scope.cohorts))
    ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), questions())
async def test_merges_stages_and_throughput_are_what_plain_python_says(
    db: AsyncConnection, data: st.DataObject, question: tuple[Scope, Window]
) -> None:
    scope, window = question
    rows = data.draw(pull_requests(window))
    await cleaned(db)
    await keep_pull_requests(db, rows)
    sight, zone = await sight_of(db, "acme"), window.time_zone
    here = on(of_scope(rows, scope), "merged_at", days(window), zone)
    before = on(of_scope(rows, scope), "merged_at", days_before(window), zone)
    counted = [row for row in here if row["cohort"] in scope.cohorts]
    shown = active(here)
    told = await review_stages(db, scope, window, sight)
    coding, pickup, review = zip(*map(stages, counted), strict=True) if counted else ((),) * 3
    for name, parts in (("coding", coding), ("pickup", pickup), ("review", review)):
        for share in (50, 90):
            wanted = percentile(list(parts), share / 100) if shown else None
            assert told[name][f"p{share}_seconds"] == pytest.approx(wanted)  # type: ignore[literal-required]
    metric = metric_seen_by("pr_merge_time", sight)
    merge = await durations(db, metric, scope, window, sight)
    open_for = [(row["merged_at"] - row["opened_at"]).total_seconds() for row in counted]
    assert merge["p75_seconds"] == pytest.approx(percentile(open_for, 0.75) if shown else None)
    now = window.end
    done = await throughput(db, scope, window, sight, now)
    assert done["pull_requests"] == (len(counted) if shown else None)
    assert done["previous"]["pull_requests"] == (
        sum(row["cohort"] in scope.cohorts for row in before) if active(before) else None
    )
    series = await throughput_series(db, scope, window, sight, Bucket.DAY)
    per_day = Counter(local_day(row["merged_at"], zone) for row in counted)
    assert [one["pull_requests"] for one in series] == [
        per_day[day] if shown else None for day in days(window)
    ]
    for bucket in Bucket:
        assert await throughput_and_course(db, scope, window, sight, now, bucket) == (
            done,
            await throughput_series(db, scope, window, sight, bucket),
        )
    parts = await throughput_by(db, scope, window, sight, "team")
    assert [(part["id"], part["pull_requests"]) for part in parts] == [
        (name, sum(row["cohort"] in scope.cohorts for row in of) if active(of) else None)
        for name in ("hand:blue", "hand:red")
        for of in [[row for row in here if person(row) in set(map(who, TEAMS[name]))]]
        if any(row["cohort"] in scope.cohorts for row in of)
    ]


def stages(row: Row) -> tuple[float, float, float]:
    """Coding, pickup and review of a merged pull request."""
    start = row["first_commit_at"]
    merged = max(row["merged_at"], start)
    ready = min(max(row["ready_at"] or merged, start), merged)
    review = min(max(row["first_review_at"] or merged, ready), merged)
    marks = (start, ready, review, merged)
    coding, pickup, reviewing = (
        (after - before).total_seconds() for before, after in pairwise(marks)
    )
    return coding, pickup, reviewing


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), st.sampled_from([("people", "agent"), COHORTS]))
async def test_cycle_time_is_to_the_last_merge_of_an_issue(
    db: AsyncConnection, data: st.DataObject, cohorts: tuple[str, ...]
) -> None:
    window = Window(date(2026, 4, 1), date(2026, 4, 14))
    rows = [row for row in data.draw(pull_requests(window)) if row["organization_id"] == "acme"]
    await cleaned(db)
    await keep_pull_requests(db, rows)
    expected: list[float] = []
    people: set[str] = set()
    for number in range(data.draw(st.integers(0, 8))):
        created: datetime = data.draw(moments(window))
        made = await (issue if number % 2 else linear_issue)(db, created)
        linked = (
            data.draw(st.lists(st.sampled_from(rows), unique_by=id, max_size=3)) if rows else []
        )
        for pull in linked:
            await link(db, made, pull)
        ended = [pull for pull in linked if pull["merged_at"]]
        if not ended:
            continue
        last = max(ended, key=lambda pull: (pull["merged_at"], pull["pull_request_id"]))
        if local_day(last["merged_at"], "UTC") not in days(window):
            continue
        if last["cohort"] == "people":
            people.add(person(last))
        if last["merged_at"] >= created and last["cohort"] in cohorts:
            expected.append((last["merged_at"] - created).total_seconds())
    sight, scope = await sight_of(db, "acme"), Scope("acme", cohorts=cohorts)
    told = await durations(db, metric_seen_by("cycle_time", sight), scope, window, sight)
    shown = len(people) not in range(1, 5)
    assert told["count"] == (len(expected) if shown else None)
    assert told["median_seconds"] == pytest.approx(percentile(expected, 0.5) if shown else None)
