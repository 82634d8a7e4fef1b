"""Builds over the API: each route with series, CSV and explanation; what workflows build."""

import csv
import io
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from models import Team, TeamRepository
from tests.models.metrics.builds_rows import build, keep_builds
from tests.web.conftest import World

SEPTEMBER = "start_date=2026-09-01&end_date=2026-09-30"
OURS = {"organization_id": "github:1", "repository_id": "github:10"}
ROUTES = {
    "success-rate": ("rate", 0.5),
    "duration": ("p50_seconds", 600),
    "frequency": ("count", 4),
}
WORKFLOWS = "/api/v1/connectors/github-actions/workflows"


@pytest.fixture
async def built(world: World) -> World:
    """The world with five builds of ours, of which one was cancelled, and one of others."""
    rows = [
        build("09-03 12:00", "success", platform="ios", flaky=True, **OURS),
        build("09-03 13:00", "failure", platform="android", **OURS),
        build("09-12 12:00", "timed_out", platform="mobile", failure="Sign", **OURS),
        build("09-12 12:00", "success", **OURS),
        build("09-12 12:00", "cancelled", platform="ios", **OURS),
        build("09-03 12:00", organization_id="github:2", repository_id="github:20"),
    ]
    team = {"id": "hand:1", "source": "hand", "name": "Core", "slug": "core"}
    async with world.engine.begin() as db:
        await keep_builds(db, rows)
        await db.execute(insert(Team), [{**team, "organization_id": "github:1"}])
        owned = {"id": "hand:1:github:10", "team_id": "hand:1", "owned": True, **OURS}
        await db.execute(insert(TeamRepository), [owned])
    return world


@pytest.mark.parametrize("route", ROUTES)
async def test_each_route_has_its_number_series_rows_and_csv(built: World, route: str) -> None:
    program = await built.program("viewer")
    named, value = ROUTES[route]
    address = f"/api/v1/metrics/builds/{route}"
    lengths = {"day": 30, "week": 5, "month": 1, "repo": 1, "team": 1, "platform": 4, "workflow": 1}
    for group, length in lengths.items():
        body = (await program.get(f"{address}?{SEPTEMBER}&group_by={group}")).json()
        assert (body[named], body["count"], body["group_by"]) == (value, 4, group)
        assert len(body["series"]) == length
        assert sum(part["count"] for part in body["series"]) == 4
        assert ("histogram" in body) == (route == "duration")
    explained = (await program.get(f"{address}/explain?{SEPTEMBER}&platform=ios")).json()
    assert explained["counted"] == 2
    assert explained["excluded"] == [{"reason": "cancelled: neither passed nor failed", "count": 1}]
    for path in (address, f"{address}/explain"):
        answer = await program.get(f"{path}?{SEPTEMBER}&format=csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert len(list(csv.DictReader(io.StringIO(answer.text)))) == 5


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("platform=ios", 2),
        ("platform=android", 2),
        ("platform=mobile", 3),
        ("platform=none", 1),
        ("repo_id=github:10", 4),
        ("team_id=hand:1", 4),
    ],
)
async def test_builds_can_be_narrowed(built: World, asked: str, count: int) -> None:
    program = await built.program("viewer")
    body = (await program.get(f"/api/v1/metrics/builds/frequency?{SEPTEMBER}&{asked}")).json()
    assert body["count"] == count
    assert body["platform"] == (asked.partition("platform=")[2] or None)


@pytest.mark.parametrize(
    ("asked", "status"), [("platform=windows", 422), ("repo_id=github:20", 404), ("x=1", 422)]
)
async def test_what_is_not_there_is_refused(built: World, asked: str, status: int) -> None:
    program = await built.program("viewer")
    for route in (*ROUTES, "failures", "flaky"):
        answer = await program.get(f"/api/v1/metrics/builds/{route}?{SEPTEMBER}&{asked}")
        assert answer.status_code == status


async def test_failures_and_flaky_workflows_are_listed(built: World) -> None:
    program = await built.program("viewer")
    failed = (await program.get(f"/api/v1/metrics/builds/failures?{SEPTEMBER}")).json()
    assert [(one["failure"], one["count"]) for one in failed["items"]] == [
        ("Sign", 1),
        ("Run the tests", 1),
    ]
    flaky = (await program.get(f"/api/v1/metrics/builds/flaky?{SEPTEMBER}")).json()
    assert (flaky["count"], flaky["runs"], flaky["workflows"]) == (1, 4, 1)
    assert flaky["items"][0]["rate"] == 0.25
    few = await program.get(f"/api/v1/metrics/builds/failures?{SEPTEMBER}&limit=1")
    assert len(few.json()["items"]) == 1


async def test_nothing_is_no_data_and_says_why(built: World) -> None:
    program = await built.program("viewer")
    asked = "start_date=2025-09-01&end_date=2025-09-30"
    body = (await program.get(f"/api/v1/metrics/builds/success-rate?{asked}")).json()
    assert body["rate"] is None
    assert body["reason"] == "no build passed or failed from 2025-09-01 to 2025-09-30"


async def test_a_manager_says_what_a_workflow_builds(built: World) -> None:
    viewer, manager = await built.program("viewer"), await built.program("manager")
    workflow = (await viewer.get(WORKFLOWS)).json()["items"][0]
    address = f"{WORKFLOWS}/{quote(workflow['id'])}/platform"
    assert (await viewer.put(address, json={"platform": "ios"})).status_code == 403
    said = await manager.put(address, json={"platform": "android"})
    assert (said.json()["platform"], said.json()["platform_by"]) == ("android", "person")
    said = await manager.put(address, json={"platform": "none"})
    assert (said.json()["platform"], said.json()["platform_by"]) == (None, "person")
    jobs = await built.rows("select arguments from jobs where name = 'measure_builds'")
    assert [job["arguments"] for job in jobs] == [
        {"repository": workflow["repository_id"], "workflow": workflow["id"]}
    ]
    audited = await built.rows(
        "select detail from audit_log where action like '%platform' order by id"
    )
    assert [row["detail"].rpartition(": ")[2] for row in audited] == ["android", "none"]
    back = await manager.put(address, json={"platform": None})
    assert back.json()["platform_by"] != "person"
    assert not await built.rows("select from workflow_platforms")


@pytest.mark.parametrize("body", [{"platform": "windows"}, {}, {"platform": "ios", "by": "me"}])
async def test_another_platform_is_refused(built: World, body: dict[str, str]) -> None:
    manager = await built.program("manager")
    workflow = (await manager.get(WORKFLOWS)).json()["items"][0]
    answer = await manager.put(f"{WORKFLOWS}/{quote(workflow['id'])}/platform", json=body)
    assert answer.status_code == 422


async def test_a_workflow_of_others_is_unknown(built: World) -> None:
    manager = await built.program("manager")
    async with built.engine.begin() as db:
        await keep_builds(
            db, [build("09-03 12:00", organization_id="github:2", workflow_id="github:w9")]
        )
    for workflow in ("github:w9", "github:none"):
        answer = await manager.put(f"{WORKFLOWS}/{workflow}/platform", json={"platform": "ios"})
        assert answer.status_code == 404


async def test_runs_carry_what_became_of_their_build(built: World) -> None:
    program = await built.program("viewer")
    runs = "/api/v1/connectors/github-actions/runs"
    first = (await program.get(f"{runs}?limit=1")).json()["items"][0]
    told = {"id": first["run_id"], "platform": "android", "failure": "Lint", "flaky": False, **OURS}
    async with built.engine.begin() as db:
        await keep_builds(db, [build("09-03 12:00", "failure", **told)])
    (now,) = (await program.get(f"{runs}?platform=android")).json()["items"]
    assert (now["run_id"], now["failure"]) == (first["run_id"], "Lint")
