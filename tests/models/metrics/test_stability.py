"""What stability says of rows: GOLDEN.md's numbers, and why each row counts or does not."""

import csv
import json
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from models import IncidentCorrection, IncidentDeployment, Team, TeamRepository
from models.metrics import stability
from models.metrics.core import Scope, Window
from models.metrics.csv import csv_lines
from models.metrics.dora import dora
from models.metrics.explanation import Explanation, Metric, Page, explanation
from tests.models.metrics.rows import (
    Row,
    at,
    deployment,
    failure,
    found,
    incident,
    keep,
    keep_failures,
    keep_incidents,
)

pytestmark = pytest.mark.store

MINUTE, HOUR = 60, 3600
SEPTEMBER = Window(date(2026, 9, 1), date(2026, 9, 30))
NOW = datetime(2026, 9, 1, 18, tzinfo=UTC)
ACME = Scope("acme")
D0 = deployment("08-31 12:00", "baseline")


async def explained(db: AsyncConnection, metric: Metric, scope: Scope = ACME) -> Explanation:
    """Take a metric of September apart."""
    return await explanation(db, metric, scope, SEPTEMBER, Page())


def reasons(told: Explanation) -> dict[str, int]:
    """Return how many rows were left out, by reason."""
    return {left_out["reason"]: left_out["count"] for left_out in told["excluded"]}


async def test_g4_a_rollback_is_in_rework_and_not_in_the_denominator(db: AsyncConnection):
    kinds = (("09:00", "new"), ("10:00", "new"), ("11:00", "new"), ("11:40", "rollback"))
    rows = [deployment(f"09-01 {time}", kind) for time, kind in (*kinds, ("15:00", "new"))]
    await keep(db, [D0, *rows], [])
    await keep_failures(db, [failure(rows[1], "09-01 11:40", remedy_id=rows[3]["id"])])
    rate = await stability.change_failure_rate(db, ACME, SEPTEMBER)
    assert (rate["rate"], rate["failed"], rate["count"], rate["level"]) == (0.25, 1, 4, "low")
    recovery = await stability.failed_deployment_recovery_time(db, ACME, SEPTEMBER, NOW)
    assert (recovery["median_seconds"], recovery["count"]) == (100 * MINUTE, 1)
    reworked = await stability.rework_rate(db, ACME, SEPTEMBER)
    assert (reworked["rate"], reworked["reworked"], reworked["count"]) == (0.2, 1, 5)
    told = await explained(db, stability.FAILURES)
    assert reasons(told) == {"a rollback is not in the denominator": 1}
    failed = [row for row in told["rows"] if row["failed"]]
    assert [(row["id"], row["value"], row["failed_because"]) for row in failed] == [
        (rows[1]["id"], 1, "rolled back later")
    ]


async def test_g6_of_a_baseline_alone_there_is_no_rate(db: AsyncConnection):
    first = deployment("09-01 10:00", "baseline")
    await keep(db, [first], [])
    await keep_incidents(db, [incident("09-01 08:00", "09-01 09:00")])
    rate = await stability.change_failure_rate(db, ACME, SEPTEMBER)
    assert (rate["rate"], rate["count"], rate["level"]) == (None, 0, None)
    assert rate["reason"] == (
        "no deployment of new code to production finished from 2026-09-01 to 2026-09-30"
    )
    recovery = await stability.failed_deployment_recovery_time(db, ACME, SEPTEMBER, NOW)
    assert (recovery["median_seconds"], recovery["open"]) == (None, 0)
    restored = await stability.time_to_restore(db, ACME, SEPTEMBER, NOW)
    assert (restored["median_seconds"], restored["count"]) == (HOUR, 1)
    assert list(reasons(await explained(db, stability.FAILURES))) == [
        "the baseline is not in the denominator: what it brought is not known"
    ]
    await keep(db, [deployment("09-01 11:00")], [])
    rate = await stability.change_failure_rate(db, ACME, SEPTEMBER)
    assert (rate["rate"], rate["failed"], rate["count"], rate["level"]) == (0, 0, 1, "elite")


async def test_g12_what_is_still_open_is_in_no_median_and_has_its_age(db: AsyncConnection):
    d1, d2 = deployment("09-01 10:00"), deployment("09-01 12:00")
    told = incident("09-01 10:30", None)
    await keep(db, [D0, d1, d2], [])
    await keep_incidents(db, [told])
    await keep_failures(db, [failure(d1, None, evidence="incident", incidents=[told["id"]])])
    rate = await stability.change_failure_rate(db, ACME, SEPTEMBER)
    assert (rate["rate"], rate["failed"]) == (0.5, 1)
    recovery = await stability.failed_deployment_recovery_time(db, ACME, SEPTEMBER, NOW)
    assert (recovery["median_seconds"], recovery["level"], recovery["count"]) == (None, None, 0)
    assert (recovery["open"], recovery["oldest_open_seconds"]) == (1, 8 * HOUR)
    assert recovery["reason"] == (
        "no deployment to production that failed from 2026-09-01 to 2026-09-30 has recovered: "
        "1 still open"
    )
    restored = await stability.time_to_restore(db, ACME, SEPTEMBER, NOW)
    assert (restored["count"], restored["open"]) == (0, 1)
    assert restored["oldest_open_seconds"] == 7.5 * HOUR
    for metric in (stability.RECOVERIES, stability.RESTORES):
        (row,) = (await explained(db, metric))["rows"]
        assert (row["counted"], row["value"]) == (False, None)
        assert row["reason"] == "still open: not in the median"
        assert row["age_seconds"] != 0
    (row,) = [row for row in (await explained(db, stability.FAILURES))["rows"] if row["failed"]]
    assert row["incidents"] == [told["key"]]


async def test_g13_mean_and_median_are_of_all_incidents_by_severity(db: AsyncConnection):
    await keep_incidents(
        db,
        [
            incident("09-01 10:10", "09-01 11:00", severity="sev1"),
            incident("09-01 10:30", "09-01 12:30", severity=None),
        ],
    )
    told = await stability.time_to_restore(db, ACME, SEPTEMBER, NOW)
    assert (told["median_seconds"], told["mean_seconds"]) == (85 * MINUTE, 85 * MINUTE)
    severities = {name: part["median_seconds"] for name, part in told["by_severity"].items()}
    assert severities == {
        "sev1": 50 * MINUTE,
        "sev2": None,
        "sev3": None,
        "sev4": None,
        "none": 120 * MINUTE,
    }


async def test_a_failure_of_another_kind_is_shown_and_not_counted(db: AsyncConnection):
    rows = [
        deployment("09-01 10:00", "baseline"),
        deployment("09-01 11:00", "rollback"),
        deployment("09-01 12:00", "redeploy"),
        deployment("09-01 13:00", None),
    ]
    await keep(db, rows, [])
    await keep_failures(db, [failure(row, "09-01 14:00") for row in rows[:3]])
    rate = await stability.change_failure_rate(db, ACME, SEPTEMBER)
    assert (rate["failed"], rate["count"]) == (0, 0)
    assert reasons(await explained(db, stability.FAILURES)) == {
        "it failed, but the baseline is not in the denominator: what it brought is not known": 1,
        "it failed, but a rollback is not in the denominator": 1,
        "it failed, but a redeploy is not in the denominator: it changed nothing": 1,
        "it never succeeded": 1,
    }
    recovery = await stability.failed_deployment_recovery_time(db, ACME, SEPTEMBER, NOW)
    assert recovery["count"] == 0
    assert set(reasons(await explained(db, stability.RECOVERIES))) == {
        "it failed, but the baseline is not counted: what it brought is not known",
        "it failed, but a rollback is not counted",
        "it failed, but it does not count as a deployment of new code",
    }


async def test_what_was_resolved_before_it_began_says_so(db: AsyncConnection):
    d1 = deployment("09-01 10:00")
    await keep(db, [d1], [])
    await keep_failures(db, [failure(d1, "09-01 09:00")])
    await keep_incidents(db, [incident("09-01 10:00", "09-01 09:00")])
    assert reasons(await explained(db, stability.RECOVERIES)) == {
        "resolved before the deployment finished": 1
    }
    assert reasons(await explained(db, stability.RESTORES)) == {"resolved before it began": 1}


async def test_a_dismissed_incident_says_who_dismissed_it(db: AsyncConnection):
    told, unknown = (
        incident("09-01 10:00", ended, dismissed=True) for ended in (None, "09-01 11:00")
    )
    await keep_incidents(db, [told, unknown])
    correction = {"field": "dismissed", "value": "true", "by": "ada@example.com"}
    await db.execute(insert(IncidentCorrection), [{"incident_id": told["id"], **correction}])
    restored = await stability.time_to_restore(db, ACME, SEPTEMBER, NOW)
    assert (restored["count"], restored["open"], restored["oldest_open_seconds"]) == (0, 0, None)
    assert reasons(await explained(db, stability.RESTORES)) == {
        "dismissed by ada@example.com: it was no incident": 1,
        "dismissed: it was no incident": 1,
    }


async def test_a_deployment_belongs_to_each_cohort_whose_change_it_brought(db: AsyncConnection):
    both = deployment("09-01 10:00", cohorts=["agent", "people"])
    people, nobody = deployment("09-01 11:00"), deployment("09-01 12:00", cohorts=[])
    await keep(db, [both, people, nobody], [])
    await keep_failures(db, [failure(both, None)])
    told = await stability.change_failure_rate(db, Scope("acme", cohorts=("people",)), SEPTEMBER)
    assert (told["failed"], told["count"]) == (1, 3)
    assert told["by_cohort"] == {
        "people": {"rate": 0.5, "failed": 1, "count": 2},
        "agent": {"rate": 1, "failed": 1, "count": 1},
        "bots": {"rate": None, "failed": 0, "count": 0},
    }


async def a_team(db: AsyncConnection, team_id: str, *, owned: bool = True) -> None:
    """A team of acme, and whether acme/api is its."""
    row = {"id": team_id, "organization_id": "acme", "source": "hand", "name": "Core"}
    await db.execute(insert(Team), [row | {"slug": "core"}])
    place = {"team_id": team_id, "repository_id": "acme/api", "owned": owned}
    await db.execute(
        insert(TeamRepository), [{"id": f"{team_id}:acme/api", "organization_id": "acme", **place}]
    )


async def test_a_teams_numbers_are_those_of_its_repositories(db: AsyncConnection):
    await found(db)
    await a_team(db, "hand:1")
    await a_team(db, "hand:2", owned=False)
    ours, theirs = deployment("09-01 10:00"), deployment("09-01 10:00", repository_id="acme/web")
    await keep(db, [ours, theirs], [])
    await keep_failures(db, [failure(row, "09-01 11:00") for row in (ours, theirs)])
    await keep_incidents(
        db,
        [
            incident("09-01 10:00", "09-01 11:00", ours["service_id"]),
            incident("09-01 10:00", "09-01 12:00", theirs["service_id"]),
            incident("09-01 10:00", "09-01 13:00"),
        ],
    )
    for team_id, count in (("hand:1", 1), ("hand:2", 0)):
        body = await dora(db, Scope("acme", team_id=team_id), SEPTEMBER, NOW)
        assert body["scope"]["team"] == "Core"
        for metric in ("deployment_frequency", "change_failure_rate", "time_to_restore"):
            assert body[metric]["count"] == count, metric  # type: ignore[literal-required]
        assert body["failed_deployment_recovery_time"]["count"] == count
        assert body["rework_rate"]["count"] == count


async def test_an_incident_of_a_class_is_about_the_environment_that_it_blames(db: AsyncConnection):
    eu = deployment("09-01 10:00", environment="prod-eu", service="prod-eu")
    linked, other = incident("09-01 10:00", "09-01 11:00"), incident("09-01 10:00", "09-01 13:00")
    await keep(db, [eu], [])
    await keep_incidents(db, [linked, other])
    names = {name: eu[name] for name in ("organization_id", "repository_id", "service_id")}
    blamed = {"service_deployment_id": eu["id"], "deployment_id": eu["deployment_id"]}
    said = {"evidence": "hand", "reason": "linked by ada"}
    await db.execute(
        insert(IncidentDeployment), [{"incident_id": linked["id"], **names, **blamed, **said}]
    )
    there = Scope("acme", environment="prod-eu")
    assert (await stability.time_to_restore(db, there, SEPTEMBER, NOW))["median_seconds"] == HOUR
    assert (await stability.time_to_restore(db, ACME, SEPTEMBER, NOW))["count"] == 2


async def test_the_body_has_designs_names_and_without_data_says_why(db: AsyncConnection):
    body = await dora(db, ACME, SEPTEMBER, NOW)
    assert json.loads(json.dumps(body)) == body
    named = {
        "change_failure_rate": {"rate", "failed", "count", "level"},
        "failed_deployment_recovery_time": {"median_seconds", "count", "open", "level"},
        "time_to_restore": {"mean_seconds", "median_seconds", "count", "by_severity"},
        "rework_rate": {"rate", "reworked", "count"},
    }
    for metric, names in named.items():
        part: Row = body[metric]  # type: ignore[literal-required]
        assert names | {"previous", "reason"} <= set(part)
        assert part["count"] == 0
        assert part["reason"]
        assert part.get("rate") is part.get("median_seconds") is None


async def test_csv_has_lists_as_words(db: AsyncConnection):
    row = deployment("09-01 10:00", cohorts=["agent", "people"])
    told = [incident("09-01 10:10", None), incident("09-01 10:20", None)]
    await keep(db, [row], [])
    await keep_incidents(db, told)
    await keep_failures(db, [failure(row, None, incidents=[each["id"] for each in told])])
    lines = [text async for text in csv_lines(db, stability.FAILURES, ACME, SEPTEMBER)]
    (line,) = csv.DictReader(lines)
    assert line["cohorts"] == "agent people"
    assert line["incidents"] == f"{told[0]['key']} {told[1]['key']}"
    assert (line["failed"], line["at"]) == ("true", "2026-09-01T10:00:00Z")
    for metric in (stability.RECOVERIES, stability.RESTORES, stability.REWORK):
        lines = [text async for text in csv_lines(db, metric, ACME, SEPTEMBER)]
        assert len(list(csv.DictReader(lines))) == (2 if metric is stability.RESTORES else 1)


async def test_the_previous_period_is_as_many_days_before(db: AsyncConnection):
    before, now = deployment("08-20 10:00"), deployment("09-20 10:00", "rollforward")
    await keep(db, [before, now], [])
    await keep_failures(db, [failure(before, at("08-20 12:00"))])
    await keep_incidents(db, [incident("08-20 10:00", "08-20 13:00")])
    rate = await stability.change_failure_rate(db, ACME, SEPTEMBER)
    assert rate["previous"] == {"rate": 1, "failed": 1, "count": 1}
    recovery = await stability.failed_deployment_recovery_time(db, ACME, SEPTEMBER, NOW)
    assert recovery["previous"] == {"median_seconds": 2 * HOUR, "count": 1}
    restored = await stability.time_to_restore(db, ACME, SEPTEMBER, NOW)
    assert restored["previous"]["median_seconds"] == 3 * HOUR
    reworked = await stability.rework_rate(db, ACME, SEPTEMBER)
    assert (reworked["rate"], reworked["previous"]["rate"]) == (1, 0)
