"""Tickets over the API: listed, changed and ordered by whom, and whose they are."""

from typing import Any

import httpx
import pytest

from models.runs import RunState
from tests.agent_rows import add_budget, add_pull_request, add_run, add_ticket
from tests.web.conftest import World

API = "/api/v1"
THEIRS = {"organization_id": "github:2", "repository_id": "github:20"}


async def ids_of(program: httpx.AsyncClient, path: str) -> list[str]:
    """List the tickets that a question answers with."""
    answer = await program.get(f"{API}{path}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def three(world: World) -> None:
    """Let acme/api have three open tickets, and acme/web one."""
    for number, priority in ((1, "high"), (2, "medium"), (3, "medium")):
        await add_ticket(
            world.engine, f"github:{number}", priority=priority, number=number, position=number
        )
    await add_ticket(world.engine, "github:4", repository_id="github:11", position=1.0)


async def test_a_ticket_says_its_place_its_money_and_its_latest_run(world: World) -> None:
    await three(world)
    await add_budget(world.engine, "ticket:github:2", 1.25, 0.5)
    await add_pull_request(world.engine, 7)
    await world.rows("update tickets set pull_request_number = 7 where id = 'github:2'")
    await add_run(world.engine, "github:2", state="failed")
    run = await add_run(world.engine, "github:2", state="done")
    program = await world.program("viewer")
    told = (await program.get(f"{API}/tickets/github%3A2")).json()
    assert told == (await program.get(f"{API}/tickets/github:2")).json()
    assert (told["repository"], told["number"], told["queue_position"]) == ("acme/api", 2, 2)
    assert (told["spent_usd"], told["budget_usd"]) == (1.25, None)
    assert (told["runs"], told["run_id"], told["run_state"]) == (2, run, "done")
    assert told["pull_request_url"] == "https://github.com/acme/api/pull/7"
    assert told["requested_by"] == "ada"


async def test_tickets_are_listed_by_status_type_priority_and_repository(world: World) -> None:
    await three(world)
    await world.rows("update tickets set status = 'closed' where id = 'github:3'")
    program = await world.program("viewer")
    assert await ids_of(program, "/tickets") == ["github:4", "github:3", "github:2", "github:1"]
    assert await ids_of(program, "/tickets?status=closed") == ["github:3"]
    assert await ids_of(program, "/tickets?priority=high") == ["github:1"]
    assert await ids_of(program, "/tickets?type=docs") == []
    assert await ids_of(program, "/tickets?repo_id=acme%2Fweb") == ["github:4"]
    page = (await program.get(f"{API}/tickets?limit=3")).json()
    assert await ids_of(program, f"/tickets?limit=3&cursor={page['next_cursor']}") == ["github:1"]
    assert (await program.get(f"{API}/tickets?status=lost")).status_code == 422


async def test_what_is_next_has_no_run_under_way(world: World) -> None:
    program = await world.program("viewer")
    nothing = (await program.get(f"{API}/tickets/repository/acme%2Fapi/next")).json()
    assert nothing == {"ticket": None, "queue_position": None, "total_open_tickets": 0}
    await three(world)
    told = (await program.get(f"{API}/tickets/repository/github%3A10/next")).json()
    assert (told["ticket"]["id"], told["queue_position"]) == ("github:1", 1)
    assert told["total_open_tickets"] == 3
    await add_run(world.engine, "github:1")
    told = (await program.get(f"{API}/tickets/repository/github:10/next")).json()
    assert (told["ticket"]["id"], told["queue_position"]) == ("github:2", 2)


async def test_managers_order_the_queue(world: World) -> None:
    await three(world)
    program = await world.program("manager")
    address = f"{API}/tickets/repository/acme%2Fapi/order"
    answer = await program.put(address, json={"ticket_ids": ["github:3", "github:4", "nonsense"]})
    assert [item["id"] for item in answer.json()["items"]] == ["github:3", "github:1", "github:2"]
    assert [item["queue_position"] for item in answer.json()["items"]] == [1, 2, 3]
    others = await world.rows("select position from tickets where id = 'github:4'")
    assert others == [{"position": 1.0}]
    [entry] = await world.rows("select * from audit_log where action = 'order_tickets'")
    assert (entry["organization_id"], entry["detail"]) == ("github:1", "github:10")


async def test_a_ticket_is_changed_and_set_back_to_defaults(world: World) -> None:
    await three(world)
    program, address = await world.program("manager"), f"{API}/tickets/github:3"
    sent = {
        "priority": "critical",
        "type": "docs",
        "model": "claude-opus-5-5",
        "budget_usd": 1.5,
        "additional_context": "Mind the tests.",
        "auto_update_status": False,
    }
    told = (await program.patch(address, json=sent)).json()
    assert {name: told[name] for name in sent} == sent
    assert told["queue_position"] == 1
    back = (await program.patch(address, json={"model": None, "budget_usd": None})).json()
    assert (back["model"], back["budget_usd"]) == (None, None)
    assert (back["type"], back["additional_context"]) == ("docs", "Mind the tests.")
    entries = await world.rows("select detail from audit_log where action = 'change_ticket'")
    assert len(entries) == 2
    assert "Mind the tests" not in str(entries)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "gpt-unheard-of"},
        {"budget_usd": -1},
        {"budget_usd": 0.1234567},
        {"priority": "soon"},
        {"status": "lost"},
        {"title": "Another"},
        {"additional_context": "\x00"},
    ],
)
async def test_what_cannot_be_is_refused_by_name(world: World, wrong: dict[str, Any]) -> None:
    await add_ticket(world.engine, "github:1")
    program = await world.program("manager")
    answer = await program.patch(f"{API}/tickets/github:1", json=wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(wrong))


async def test_models_are_those_of_the_organisations_allow_list(world: World) -> None:
    await add_ticket(world.engine, "github:1")
    await world.rows(
        "insert into agent_settings (organization_id, models) values ('github:1', '{gpt-x}')"
    )
    program = await world.program("manager")
    address = f"{API}/tickets/github:1"
    assert (await program.patch(address, json={"model": "gpt-x"})).json()["model"] == "gpt-x"
    assert (await program.patch(address, json={"model": "claude-sonnet-5-5"})).status_code == 422


async def test_a_ticket_cancelled_by_hand_stops_its_runs(world: World) -> None:
    await add_ticket(world.engine, "github:1", auto_update_status=False)
    run = await add_run(world.engine, "github:1", state="developing")
    program = await world.program("manager")
    told = (await program.patch(f"{API}/tickets/github:1", json={"status": "cancelled"})).json()
    assert (told["status"], told["queue_position"]) == ("cancelled", None)
    assert told["closed_at"]
    [row] = await world.rows("select stop_requested_by, stop_requested_at from runs", id=run)
    assert row["stop_requested_at"]
    assert row["stop_requested_by"] == "manager"
    again = (await program.patch(f"{API}/tickets/github:1", json={"status": "open"})).json()
    assert (again["status"], again["closed_at"]) == ("open", None)


async def test_viewers_read_and_change_nothing(world: World) -> None:
    await three(world)
    program = await world.program("viewer")
    assert (await program.get(f"{API}/tickets")).status_code == 200
    for method, path, body in CHANGES:
        answer = await program.request(method, f"{API}{path}", json=body)
        assert answer.status_code == 403, path
    assert await world.rows("select * from runs") == []
    assert await world.rows("select * from audit_log") == []


CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/tickets", {"repo_id": "github:10", "title": "Mend it"}),
    ("PATCH", "/tickets/github:1", {"priority": "low"}),
    ("PUT", "/tickets/repository/github:10/order", {"ticket_ids": []}),
    ("POST", "/tickets/github:1/develop-with-claude", {}),
    ("POST", "/tickets/repository/github:10/develop-next", None),
)


async def test_tickets_of_another_organisation_are_not_there(world: World) -> None:
    await add_ticket(world.engine, "github:1")
    await add_ticket(world.engine, "github:9", **THEIRS)
    stranger = await world.program("stranger")
    assert await ids_of(stranger, "/tickets") == ["github:9"]
    for path in ("/tickets/github:1", "/tickets/repository/github:10/next"):
        assert (await stranger.get(f"{API}{path}")).status_code == 404, path
    assert (await stranger.get(f"{API}/tickets?repo_id=acme%2Fapi")).status_code == 404
    for method, path, body in CHANGES:
        answer = await stranger.request(method, f"{API}{path}", json=body)
        assert answer.status_code == 404, path
    assert await world.rows("select * from runs") == []
    [kept] = await world.rows("select priority from tickets where id = 'github:1'")
    assert kept["priority"] == "medium"


async def test_nobody_is_told_anything_unsigned(world: World) -> None:
    browser = await world.browser()
    for method, path, body in CHANGES:
        answer = await browser.request(method, f"{API}{path}", json=body)
        assert answer.status_code in (401, 403), path
    assert (await browser.get(f"{API}/tickets")).status_code == 401


def test_every_state_of_a_run_can_be_asked_for() -> None:
    from typing import get_args

    from bot.web.api.runs import GROUPS, State

    assert set(get_args(State)) == {*(state.value for state in RunState), *GROUPS}
