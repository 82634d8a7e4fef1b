"""The API of deployment rules: reading, changing, going back, previewing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from bot.jobs.rule_previews import preview_of
from handlers.rules import Rule
from models.store import remember
from tests.web.conftest import World

ADDRESS = "/api/v1/repositories/github:10/deployment-rule"
SENT = {
    "source": "release",
    "production": ["live*"],
    "ignored": ["docs"],
    "workflows": ["ship.yml"],
}
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
DEFAULT = {
    "repository_id": "github:10", "repository": "acme/api", "source": "auto", "production": [],
    "ignored": [], "workflows": [], "state": "default", "by": None, "changed_at": None,
    "applied_at": None, "error": None,
}  # fmt: skip


async def test_a_repository_without_a_rule_is_counted_by_default(world: World) -> None:
    viewer = await world.program("viewer")
    assert (await viewer.get(ADDRESS)).json() == DEFAULT


async def test_a_rule_is_kept_and_taken_back(world: World) -> None:
    manager = await world.program("manager")
    kept = await manager.put(ADDRESS, json=SENT)
    assert kept.status_code == 200, kept.text
    told = kept.json()
    assert {name: told[name] for name in SENT} == SENT
    assert (told["state"], told["by"], told["applied_at"]) == ("applying", "manager", None)
    assert (await manager.get(ADDRESS)).json() == told
    back = (await manager.delete(ADDRESS)).json()
    assert {name: back[name] for name in SENT} == {name: DEFAULT[name] for name in SENT}
    assert (back["state"], back["changed_at"] > told["changed_at"]) == ("applying", True)
    noted = await world.rows("select action, detail from audit_log order by id")
    assert [row["action"] for row in noted][-2:] == ["rule_deployments", "unrule_deployments"]
    assert "live*" in noted[-2]["detail"]
    orders = await world.rows("select key, arguments from jobs where name = 'collect_changes'")
    assert [row["key"] for row in orders] == ["collect_changes:github:10"]
    assert orders[0]["arguments"]["all"] is True


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"source": "guess"}, "source"),
        ({"production": [""]}, "A pattern is empty."),
        ({"ignored": ["x" * 201]}, "at most 200 characters"),
        ({"workflows": list(map(str, range(51)))}, "There may be 50 patterns at most."),
        ({"production": "live"}, "production"),
        ({"pattern": []}, "There is no such parameter."),
    ],
)
async def test_what_is_wrong_is_named(world: World, wrong: dict[str, Any], says: str) -> None:
    manager = await world.program("manager")
    for method, address in (("PUT", ADDRESS), ("POST", f"{ADDRESS}/preview")):
        answer = await manager.request(method, address, json=wrong)
        assert answer.status_code == 422
        assert says in answer.text
    assert await world.rows("select * from deployment_rules") == []


async def test_a_viewer_reads_and_previews_only(world: World) -> None:
    viewer = await world.program("viewer")
    assert (await viewer.put(ADDRESS, json=SENT)).status_code == 403
    assert (await viewer.delete(ADDRESS)).status_code == 403
    assert (await viewer.post(f"{ADDRESS}/preview", json=SENT)).status_code == 200
    assert await world.rows("select * from deployment_rules") == []


async def test_rules_of_others_are_neither_read_nor_written(world: World) -> None:
    admin = await world.program("admin")
    for repository in ("github:20", "globex%2Fapi"):
        address = f"/api/v1/repositories/{repository}/deployment-rule"
        assert (await admin.get(address)).status_code == 404
        assert (await admin.put(address, json=SENT)).status_code == 404
        assert (await admin.delete(address)).status_code == 404
        assert (await admin.post(f"{address}/preview", json=SENT)).status_code == 404
    assert await world.rows("select * from deployment_rules") == []


async def test_a_rule_of_a_former_owner_says_nothing_any_more(world: World) -> None:
    manager = await world.program("manager")
    await manager.put(ADDRESS, json=SENT)
    await world.rows("update repositories set organization_id = 'github:2' where id = 'github:10'")
    stranger = await world.program("stranger")
    told = (await stranger.get(ADDRESS)).json()
    assert (told["source"], told["by"], told["state"]) == ("auto", None, "default")


def told(number: int, source: str, environment: str, to: str, days: float) -> models.Deployment:
    """A deployment of acme/web that succeeded so many days ago."""
    when = NOW - timedelta(days=days)
    return models.Deployment(
        id=f"github:p{number}", organization_id="github:1", changed_at=when,
        repository_id="github:11", source=source, environment=environment, environment_class=to,
        sha=f"{number:040}", created_at=when, result="success", result_at=when,
    )  # fmt: skip


async def test_a_preview_says_what_would_change(world: World) -> None:
    async with world.engine.begin() as db:
        await remember(db, [
            told(1, "deployment_status", "production", "production", 100),
            told(2, "deployment_status", "production", "production", 20),
            told(3, "deployment_status", "docs", "production", 10),
            told(4, "deployment_status", "blue", "other", 5),
            told(5, "workflow_run", "production", "production", 4),
        ])  # fmt: skip
    async with world.engine.connect() as db:
        rule = Rule(production=("BLUE",), ignored=("docs",))
        found = await preview_of(db, "github:11", rule, NOW)
        other = await preview_of(db, "github:11", Rule("workflow"), NOW)
        assert await preview_of(db, "github:none", rule, NOW) is None
    assert found
    assert other
    assert (found.counted_now, found.counted_then) == (2, 2)
    assert [(each.id, each.environment) for each in found.gained] == [("github:p4", "blue")]
    assert [(each.id, each.reason) for each in found.lost] == [
        ("github:p3", "the rule of this repository ignores the environment docs")
    ]
    kinds = {each.service: (each.baseline, each.new, each.counted) for each in found.services}
    assert kinds == {"production": (0, 1, 1), "blue": (1, 0, 1)}
    heard = {
        (each.source, each.environment): (each.told, each.counted_now, each.counted_then)
        for each in found.heard
    }
    assert heard == {
        ("deployment_status", "production"): (1, 1, 1),
        ("deployment_status", "docs"): (1, 1, 0),
        ("deployment_status", "blue"): (1, 0, 1),
        ("workflow_run", "production"): (1, 0, 0),
    }
    assert (other.lost_count, other.gained_count) == (2, 1)
    assert {each.reason for each in other.lost} == {
        "this repository's rule counts deployments by workflow run, not by deployment status"
    }
    assert (
        await world.rows("select * from service_deployments where repository_id='github:11'") == []
    )
