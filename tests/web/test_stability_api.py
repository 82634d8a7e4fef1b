"""Stability over the API: each route, its series, CSV and explanation, and a team's part."""

import csv
import io

import pytest
from sqlalchemy import insert

from models import Team, TeamRepository
from tests.models.metrics.rows import at, deployment, failure, incident, keep, keep_failures
from tests.models.metrics.rows import keep_incidents as keep_them
from tests.web.conftest import World

SEPTEMBER = "start_date=2026-09-01&end_date=2026-09-30"
ROUTES = {
    "change-failure-rate": ("rate", 0.5, 2),
    "failed-deployment-recovery-time": ("median_seconds", 3600, 1),
    "time-to-restore": ("median_seconds", 7200, 1),
    "mttr": ("median_seconds", 7200, 1),
    "rework-rate": ("rate", 0.5, 2),
}
OURS = {"organization_id": "github:1", "repository_id": "github:10"}
DURATIONS = ("failed-deployment-recovery-time", "time-to-restore", "mttr")


@pytest.fixture
async def unstable(world: World) -> World:
    """The world, where of two deployments in staging one failed."""
    there = {**OURS, "environment": "staging", "environment_class": "staging"}
    rows = [
        deployment("09-01 10:00", service="staging", **there),
        deployment("09-02 10:00", "rollforward", service="staging", **there),
    ]
    began, ended = at("09-01 10:00"), at("09-01 12:00")
    told = incident(began, ended, "github:10/staging", environment_class="staging")
    team = {"id": "hand:1", "source": "hand", "name": "Core", "slug": "core"}
    other = {**team, "id": "hand:2", "organization_id": "github:2"}
    owned = {"id": "hand:1:github:10", "team_id": "hand:1", **OURS}
    async with world.engine.begin() as db:
        await keep(db, rows, [])
        await keep_failures(db, [failure(rows[0], at("09-01 11:00"))])
        await keep_them(db, [{**told, "organization_id": "github:1"}])
        await db.execute(insert(Team), [{**team, "organization_id": "github:1"}, other])
        await db.execute(insert(TeamRepository), [owned])
    return world


@pytest.mark.parametrize("route", ROUTES)
async def test_each_route_has_its_number_series_rows_and_csv(unstable: World, route: str) -> None:
    program = await unstable.program("viewer")
    named, value, count = ROUTES[route]
    address = f"/api/v1/metrics/dora/{route}"
    asked = f"{SEPTEMBER}&environment=staging"
    for group, length in (("day", 30), ("week", 5), ("month", 1), ("repo", 1)):
        body = (await program.get(f"{address}?{asked}&group_by={group}")).json()
        assert (body[named], body["count"], body["group_by"]) == (value, count, group)
        assert len(body["series"]) == length
        assert sum(part["count"] for part in body["series"]) == count
        assert ("histogram" in body) == (route in DURATIONS)
        assert body["scope"]["environment"] == "staging"
    explained = (await program.get(f"{address}/explain?{asked}")).json()
    assert explained["counted"] == count
    for path in (address, f"{address}/explain"):
        answer = await program.get(f"{path}?{asked}&format=csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert len(list(csv.DictReader(io.StringIO(answer.text)))) == count


async def test_all_metrics_can_be_narrowed_to_a_team(unstable: World) -> None:
    program = await unstable.program("viewer")
    asked = f"{SEPTEMBER}&environment=staging&team_id=hand:1"
    body = (await program.get(f"/api/v1/metrics/dora?{asked}")).json()
    assert body["scope"]["team"] == "Core"
    assert body["change_failure_rate"]["count"] == 2
    assert body["time_to_restore"]["count"] == 1
    async with unstable.engine.begin() as db:
        await db.execute(TeamRepository.__table__.update().values(owned=False))  # type: ignore[attr-defined]
    body = (await program.get(f"/api/v1/metrics/dora?{asked}")).json()
    assert body["change_failure_rate"]["count"] == body["time_to_restore"]["count"] == 0


@pytest.mark.parametrize("team", ["hand:2", "hand:none"])
async def test_a_team_of_others_is_unknown_by_name(unstable: World, team: str) -> None:
    program = await unstable.program("viewer")
    for route in ("", "/deployment-frequency", "/lead-time", *(f"/{name}" for name in ROUTES)):
        answer = await program.get(f"/api/v1/metrics/dora{route}?{SEPTEMBER}&team_id={team}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"There is no team {team!r} in this organisation."


async def test_the_csv_of_all_metrics_holds_each(unstable: World) -> None:
    program = await unstable.program("viewer")
    address = f"/api/v1/metrics/dora?{SEPTEMBER}&environment=staging&format=csv"
    rows = list(csv.DictReader(io.StringIO((await program.get(address)).text)))
    told = {(row["metric"], row["figure"]): row["value"] for row in rows}
    assert told["change_failure_rate", "rate"] == "0.5"
    assert told["failed_deployment_recovery_time", "median_seconds"] == "3600.0"
    assert told["time_to_restore", "by_severity.sev2.count"] == "1"
    assert told["rework_rate", "reworked"] == "1"
