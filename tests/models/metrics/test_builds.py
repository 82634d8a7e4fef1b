"""Small histories of builds, with values worked out by hand."""

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from models import TeamRepository
from models.errors import Refused
from models.metrics import builds
from models.metrics.core import Bucket, Scope, Window
from models.metrics.csv import csv_lines
from models.metrics.explanation import Page, explanation
from tests.models.metrics.builds_rows import build, keep_builds
from tests.models.metrics.rows import at, found

pytestmark = pytest.mark.store

ACME = Scope("acme")
SEPTEMBER = Window(at("09-01 00:00").date(), at("09-30 00:00").date())
NOW = at("09-10 12:00")


async def test_success_rate_leaves_out_what_was_called_off_and_counts_it_apart(
    db: AsyncConnection,
) -> None:
    await found(db)
    rows = [build("09-03 12:00", outcome) for outcome in ["success"] * 6 + ["failure"]]
    rows += [build("09-04 12:00", "timed_out"), build("09-04 12:00", "cancelled")]
    rows += [build("09-04 12:00", "skipped"), build("09-04 12:00", "neutral")]
    rows += [build("08-31 12:00", outcome) for outcome in ("success", "failure", "cancelled")]
    rows += [build(None, None, started_at=at("09-05 12:00"))]
    await keep_builds(db, rows)
    told = (await builds.summary(db, ACME, SEPTEMBER, None, NOW))["success_rate"]
    assert told == {
        "rate": 0.75,
        "success": 6,
        "failed": 1,
        "timed_out": 1,
        "count": 8,
        "cancelled": 1,
        "skipped": 1,
        "previous": {"rate": 0.5, "count": 2},
        "reason": None,
    }


async def test_durations_are_those_of_what_passed_or_failed(db: AsyncConnection) -> None:
    await found(db)
    rows = [build("09-03 12:00", minutes=minutes) for minutes in (1, 2, 3, 4)]
    rows += [build("09-03 12:00", "failure", minutes=5), build("09-03 12:00", "skipped")]
    rows += [build("08-20 12:00", minutes=8)]
    await keep_builds(db, rows)
    told = (await builds.summary(db, ACME, SEPTEMBER, None, NOW))["duration"]
    assert (told["mean_seconds"], told["p50_seconds"], told["count"]) == (180, 180, 5)
    assert told["p90_seconds"] == pytest.approx(276)
    assert told["previous"] == {
        "mean_seconds": 480,
        "p50_seconds": 480,
        "p90_seconds": 480,
        "count": 1,
    }
    bins = await builds.duration_histogram(db, ACME, SEPTEMBER)
    assert [one["count"] for one in bins[:5]] == [0, 1, 3, 1, 0]
    assert (bins[0]["to_seconds"], bins[-1]["from_seconds"]) == (60, 4 * 3600)


async def test_frequency_is_over_the_days_elapsed_and_today_begins_at_local_midnight(
    db: AsyncConnection,
) -> None:
    await found(db)
    times = ("09-09 21:59", "09-09 22:01", "09-10 09:00", "09-01 12:00", "08-15 12:00")
    await keep_builds(db, [build(time) for time in times])
    berlin = Window(SEPTEMBER.start_date, SEPTEMBER.end_date, "Europe/Berlin")
    told = (await builds.summary(db, ACME, berlin, None, NOW))["frequency"]
    assert told == {
        "count": 4,
        "per_day": 0.4,
        "today": 2,
        "previous": {"count": 1, "per_day": 1 / 30},
        "reason": None,
    }


async def test_nothing_is_no_data_and_says_why(db: AsyncConnection) -> None:
    await found(db)
    told = await builds.summary(db, ACME, SEPTEMBER)
    assert told["success_rate"]["rate"] is None
    assert told["duration"]["p50_seconds"] is None
    assert told["frequency"]["per_day"] is None
    assert told["frequency"]["reason"] == "no build passed or failed from 2026-09-01 to 2026-09-30"
    assert told["flaky"] == {"count": 0, "runs": 0, "workflows": 0}


@pytest.mark.parametrize(
    ("platform", "count"),
    [(None, 7), ("ios", 3), ("android", 4), ("mobile", 6), ("none", 1)],
)
async def test_a_workflow_of_both_apps_is_in_both(
    db: AsyncConnection, platform: str | None, count: int
) -> None:
    await found(db)
    of = ["ios", "ios", "android", "android", "android", "mobile", None]
    await keep_builds(db, [build("09-03 12:00", platform=one) for one in of])
    told = await builds.summary(db, ACME, SEPTEMBER, platform, NOW)
    assert told["frequency"]["count"] == count
    assert len(await builds.latest(db, ACME, 20, platform)) == count


async def test_the_parts_of_platforms_sum_to_the_whole(db: AsyncConnection) -> None:
    await found(db)
    of = ["ios", "ios", "android", "mobile", None]
    await keep_builds(db, [build("09-03 12:00", platform=one) for one in of])
    await keep_builds(db, [build("09-03 12:00", platform="ios", organization_id="rival")])
    parts = await builds.by_platform(db, ACME, SEPTEMBER)
    assert [(part["id"], part["count"]) for part in parts] == [
        ("android", 1),
        ("ios", 2),
        ("mobile", 1),
        (None, 1),
    ]
    assert await builds.platforms_known(db, "acme") == ["ios", "android", "mobile"]
    assert await builds.platforms_known(db, "rival") == ["ios"]


async def test_an_unknown_platform_is_refused(db: AsyncConnection) -> None:
    with pytest.raises(Refused, match="unknown platform 'windows'"):
        await builds.summary(db, ACME, SEPTEMBER, "windows")


async def test_failures_are_grouped_with_the_last_of_each(db: AsyncConnection) -> None:
    await found(db)
    lint = {"failure": "Lint", "url": "https://github.com/acme/api/1"}
    rows = [
        build("09-03 12:00", "failure"),
        build("09-05 12:00", "failure", url="https://github.com/acme/api/2", annotation="a.py:1"),
        build("09-04 12:00", "timed_out", **lint),
        build("09-06 12:00", "cancelled"),
        build("10-06 12:00", "failure"),
    ]
    await keep_builds(db, rows)
    assert await builds.failures_by_reason(db, ACME, SEPTEMBER) == [
        {
            "failure": "Run the tests",
            "count": 2,
            "last_at": "2026-09-05T12:00:00Z",
            "url": "https://github.com/acme/api/2",
            "workflow": "CI",
            "annotation": "a.py:1",
        },
        {
            "failure": "Lint",
            "count": 1,
            "last_at": "2026-09-04T12:00:00Z",
            "url": "https://github.com/acme/api/1",
            "workflow": "CI",
            "annotation": None,
        },
    ]


async def test_flaky_workflows_come_with_their_share(db: AsyncConnection) -> None:
    await found(db)
    rows = [build("09-03 12:00", flaky=flaky) for flaky in (True, True, False, False)]
    rows += [build("09-04 12:00", flaky=True, workflow_id="github:8", workflow="iOS")]
    rows += [build("09-04 12:00", workflow_id="github:9", workflow="Lint")]
    await keep_builds(db, rows)
    told = await builds.flaky_workflows(db, ACME, SEPTEMBER)
    assert [(one["workflow"], one["flaky"], one["runs"], one["rate"]) for one in told] == [
        ("CI", 2, 4, 0.5),
        ("iOS", 1, 1, 1.0),
    ]
    assert told[0]["repository"] == "acme/api"
    flaky = (await builds.summary(db, ACME, SEPTEMBER, None, NOW))["flaky"]
    assert flaky == {"count": 3, "runs": 6, "workflows": 2}


async def test_the_latest_are_by_their_start_whatever_became_of_them(db: AsyncConnection) -> None:
    await found(db)
    rows = [
        build("09-03 12:00", "failure"),
        build(None, None, started_at=at("09-03 12:30")),
        build("09-03 12:20", "cancelled", started_at=at("09-03 12:10")),
    ]
    await keep_builds(db, rows)
    told = await builds.latest(db, ACME, 2)
    assert [(one["status"], one["duration_seconds"]) for one in told] == [
        ("running", None),
        ("cancelled", 600),
    ]


async def test_series_have_every_bucket(db: AsyncConnection) -> None:
    await found(db)
    rows = [build("09-03 12:00", minutes=4), build("09-03 12:00", "failure", minutes=6)]
    await keep_builds(db, [*rows, build("09-17 12:00", "timed_out")])
    weeks = await builds.success_series(db, ACME, SEPTEMBER, None, Bucket.WEEK)
    assert [(week["start_date"], week["rate"], week["count"]) for week in weeks] == [
        ("2026-08-31", 0.5, 2),
        ("2026-09-07", None, 0),
        ("2026-09-14", 0.0, 1),
        ("2026-09-21", None, 0),
        ("2026-09-28", None, 0),
    ]
    lasted = await builds.duration_series(db, ACME, SEPTEMBER, None, Bucket.MONTH)
    assert lasted[0]["p50_seconds"] == 360
    counts = await builds.frequency_series(db, ACME, SEPTEMBER, None, Bucket.MONTH)
    assert counts == [{"start_date": "2026-09-01", "count": 3, "success": 1, "failed": 2}]


async def test_a_teams_builds_are_those_of_its_repositories(db: AsyncConnection) -> None:
    await found(db)
    owned = {"team_id": "hand:1", "repository_id": "acme/api", "organization_id": "acme"}
    await db.execute(insert(TeamRepository), [{"id": "hand:1/acme/api", "owned": True, **owned}])
    rows = [build("09-03 12:00"), build("09-03 12:00", repository_id="acme/web")]
    await keep_builds(db, rows)
    mine = Scope("acme", team_id="hand:1")
    assert (await builds.summary(db, mine, SEPTEMBER))["frequency"]["count"] == 1


async def test_an_explanation_names_what_does_not_count(db: AsyncConnection) -> None:
    await found(db)
    rows = [build("09-03 12:00", platform="ios"), build("09-03 12:00", "skipped", platform="ios")]
    await keep_builds(db, [*rows, build("09-03 12:00")])
    metric = builds.metric_of("build_duration", "ios")
    told = await explanation(db, metric, ACME, SEPTEMBER, Page())
    assert (told["counted"], told["excluded"]) == (
        1,
        [{"reason": "skipped: neither passed nor failed", "count": 1}],
    )
    assert told["rows"][-1]["what"].startswith("acme/api CI 0000000")
    lines = [line async for line in csv_lines(db, metric, ACME, SEPTEMBER)]
    assert (len(lines), lines[0].split(",")[:3]) == (3, ["at", "repository", "workflow"])
