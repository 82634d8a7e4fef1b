"""The agent's runs over the API: what they tell, to whom, and who may stop or approve them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bot.web.api import redacting
from tests.agent_rows import add_message, add_run, add_step, add_ticket, add_usage
from tests.web.conftest import World

API = "/api/v1"
AT = datetime(2026, 9, 10, 12, tzinfo=UTC)
THEIRS = {"organization_id": "github:2", "repository_id": "github:20"}


async def a_run(world: World, state: str = "developing", **told: Any) -> int:
    """Write a run of the ticket github:42 of acme/api."""
    [known] = await world.rows("select count(*) as count from tickets where id = 'github:42'")
    if not known["count"]:
        await add_ticket(world.engine, number=12, title="Mend the clock")
    return await add_run(world.engine, state=state, **told)


async def listed(program: httpx.AsyncClient, query: str = "") -> list[int]:
    """List the ids of runs."""
    answer = await program.get(f"{API}/runs{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_a_run_tells_all_of_itself(world: World) -> None:
    run = await a_run(
        world,
        "done",
        started_at=AT,
        finished_at=AT + timedelta(minutes=3),
        cost_usd=0.5,
        turns=7,
        input_tokens=100,
        cache_read_tokens=300,
        verdict="passed",
        evidence={"command": "pytest -q"},
        checklist=[{"text": "Read the code", "done": True}],
        changes={"files": [{"path": "clock.py", "status": "M"}]},
        outcome={"kind": "submitted"},
        limits=["turns"],
        pull_request_number=7,
    )
    await add_step(world.engine, run, "ls", ok=True, seconds=0.25)
    await add_usage(world.engine, run, cost_usd=0.5, input_tokens=100)
    await add_usage(world.engine, run)
    program = await world.program("viewer")
    told = (await program.get(f"{API}/runs/{run}")).json()
    assert (told["number"], told["title"]) == (12, "Mend the clock")
    assert (told["repository"], told["ticket_id"]) == ("acme/api", "github:42")
    assert (told["cost_usd"], told["cache_hit_rate"], told["elapsed_seconds"]) == (0.5, 0.75, 180)
    assert told["evidence"] == {"command": "pytest -q"}
    assert told["checklist"] == [{"text": "Read the code", "done": True}]
    assert told["changes"]["files"][0]["path"] == "clock.py"
    assert [(step["name"], step["ok"], step["seconds"]) for step in told["steps"]] == [
        ("ls", True, 0.25)
    ]
    assert [call["cost_usd"] for call in told["usage"]] == [0.5, None]
    assert (told["limits"], told["verdict"]) == (["turns"], "passed")


async def test_runs_are_listed_by_state_ticket_and_repository(world: World) -> None:
    ended = await a_run(world, "done")
    await add_ticket(world.engine, "github:43", repository_id="github:11")
    other = await add_run(world.engine, "github:43", repository_id="github:11")
    waiting = await a_run(world, "waiting_approval")
    program = await world.program("viewer")
    assert await listed(program) == [waiting, other, ended]
    assert await listed(program, "?state=queued") == [other]
    assert await listed(program, "?status=done") == [ended]
    assert await listed(program, "?state=active") == [waiting, other]
    assert await listed(program, "?state=ended&status=ended") == [ended]
    assert await listed(program, "?ticket_id=github%3A42") == [waiting, ended]
    assert await listed(program, "?repo_id=acme%2Fweb") == [other]
    assert await listed(program, "?limit=2") == [waiting, other]
    page = (await program.get(f"{API}/runs?limit=2")).json()
    assert await listed(program, f"?limit=2&cursor={page['next_cursor']}") == [ended]
    assert (await program.get(f"{API}/runs?state=done&status=failed")).status_code == 422
    assert (await program.get(f"{API}/runs?state=lost")).status_code == 422


async def test_messages_come_in_pages_oldest_first(world: World) -> None:
    run = await a_run(world)
    for position in range(5):
        await add_message(world.engine, run, position, f"said {position}")
    program = await world.program("viewer")
    first = (await program.get(f"{API}/runs/{run}/messages?limit=3")).json()
    assert [message["position"] for message in first["items"]] == [0, 1, 2]
    assert first["items"][0]["content"] == [{"type": "text", "text": "said 0"}]
    query = f"?limit=3&cursor={first['next_cursor']}"
    rest = (await program.get(f"{API}/runs/{run}/messages{query}")).json()
    assert ([message["position"] for message in rest["items"]], rest["next_cursor"]) == (
        [3, 4],
        None,
    )


async def test_live_secrets_are_in_no_answer(world: World) -> None:
    secret = "newest-key-of-all"
    run = await a_run(world, summary=f"It is {secret}.", evidence={"result": {"output": secret}})
    await add_message(world.engine, run, 0, f"the key is {secret}, is it not?")
    await add_step(world.engine, run, "env", detail=f"SECRET_KEY={secret}")
    program = await world.program("admin")
    for path in (f"/runs/{run}", f"/runs/{run}/messages"):
        answer = await program.get(f"{API}{path}")
        assert answer.status_code == 200
        assert secret not in answer.text
    [message] = (await program.get(f"{API}/runs/{run}/messages")).json()["items"]
    assert message["content"][0]["text"].endswith(", is it not?")


def test_every_text_of_a_body_is_looked_at() -> None:
    told = {"a": ["x", {"b": "x"}], "c": ("x",), "d": 1, "e": None}
    shown = {"a": ["y", {"b": "y"}], "c": ["y"], "d": 1, "e": None}
    assert redacting.through(told, lambda text: text.replace("x", "y")) == shown


async def test_a_run_at_work_is_asked_to_stop_and_one_that_waits_is_stopped(world: World) -> None:
    program = await world.program("manager")
    waiting = await a_run(world, "queued")
    told = (await program.post(f"{API}/runs/{waiting}/stop")).json()
    assert (told["state"], told["stop_requested_at"] is not None) == ("cancelled", True)
    working = await a_run(world, "developing")
    told = (await program.post(f"{API}/runs/{working}/stop")).json()
    assert (told["state"], told["stop_requested_at"] is not None) == ("developing", True)
    ended = await program.post(f"{API}/runs/{waiting}/stop")
    assert ended.status_code == 409
    assert ended.json()["detail"] == f"Run {waiting} has ended: it is cancelled."
    entries = await world.rows("select detail from audit_log where action = 'stop_run' order by id")
    assert [entry["detail"] for entry in entries] == [
        f"run {waiting} of github:42",
        f"run {working} of github:42",
    ]


async def test_a_plan_is_approved_once(world: World) -> None:
    run = await a_run(world, "waiting_approval", kind="plan", plan="Mend it.")
    program = await world.program("manager")
    told = (await program.post(f"{API}/runs/{run}/approve")).json()
    assert (told["state"], told["kind"], told["plan"]) == ("queued", "develop", "Mend it.")
    assert ("approved", "by manager") in [(step["name"], step["detail"]) for step in told["steps"]]
    assert (await program.post(f"{API}/runs/{run}/approve")).status_code == 409


@pytest.mark.parametrize("action", ["stop", "approve"])
async def test_viewers_stop_and_approve_nothing(world: World, action: str) -> None:
    run = await a_run(world, "waiting_approval")
    program = await world.program("viewer")
    assert (await program.post(f"{API}/runs/{run}/{action}")).status_code == 403
    [row] = await world.rows("select state, stop_requested_at from runs")
    assert row == {"state": "waiting_approval", "stop_requested_at": None}


async def test_runs_of_another_organisation_are_not_there(world: World) -> None:
    run = await a_run(world, "waiting_approval")
    await add_message(world.engine, run, 0, "ours")
    await add_ticket(world.engine, "github:9", **THEIRS)
    theirs = await add_run(world.engine, "github:9", **THEIRS)
    stranger = await world.program("stranger")
    assert await listed(stranger) == [theirs]
    assert await listed(stranger, "?ticket_id=github%3A42") == []
    assert (await stranger.get(f"{API}/runs?repo_id=acme%2Fapi")).status_code == 404
    for method, path in (
        ("GET", ""),
        ("GET", "/messages"),
        ("POST", "/stop"),
        ("POST", "/approve"),
    ):
        answer = await stranger.request(method, f"{API}/runs/{run}{path}")
        assert answer.status_code == 404, path
    [row] = await world.rows("select state from runs where id = :id", id=run)
    assert row["state"] == "waiting_approval"


@pytest.mark.parametrize("unknown", ["0", "999999", "9" * 30, "first", "-1"])
async def test_what_is_no_run_is_not_found(world: World, unknown: str) -> None:
    program = await world.program("manager")
    assert (await program.get(f"{API}/runs/{unknown}")).status_code == 404
    assert (await program.post(f"{API}/runs/{unknown}/stop")).status_code == 404
