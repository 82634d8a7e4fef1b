"""Tickets over the API: listed, changed and ordered by whom, and whose they are."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest
from pydantic import SecretStr

from bot.web.api.runs import GROUPS, State
from models.runs import RunState
from tests.agent_rows import add_budget, add_pull_request, add_run, add_ticket
from tests.fakes.github import FakeGitHub, fake_github
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
    assert set(get_args(State)) == {*(state.value for state in RunState), *GROUPS}


@dataclass
class AtGitHub:
    """The application, installed at a GitHub that may be written to, and a manager's program."""

    world: World
    github: FakeGitHub
    program: httpx.AsyncClient

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        """Ask for something to be done."""
        return await self.program.post(f"{API}{path}", json=body)


@pytest.fixture
async def installed(world: World) -> AsyncIterator[AtGitHub]:
    with fake_github(writes=True) as github:
        told = {
            "app_id": github.app_id,
            "private_key": SecretStr(github.private_key),
            "github_api_url": github.url,
        }
        state = world.app.state
        state.settings = state.settings.model_copy(update=told)
        await world.rows("update connections set external_id = '42'")
        github.repository("acme/api")
        yield AtGitHub(world, github, await world.program("manager"))


async def test_a_new_ticket_is_an_issue_on_github(installed: AtGitHub) -> None:
    sent = {
        "repo_id": "acme/api",
        "title": "Mend the clock",
        "body": "It is late.",
        "type": "bug",
        "priority": "high",
        "additional_context": "Mind the zone.",
        "model": "claude-opus-5-5",
        "budget_usd": 2,
    }
    answer = await installed.post("/tickets", sent)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert {name: told[name] for name in sent if name != "repo_id"} == {
        name: sent[name] for name in sent if name != "repo_id"
    }
    assert (told["source"], told["status"], told["queue_position"]) == ("api", "open", 1)
    assert told["requested_by"] == "manager@example.org"
    [issue] = installed.github.repositories["acme/api"].issues.values()
    assert (issue.title, issue.number) == ("Mend the clock", told["number"])
    assert "bug" in issue.labels
    assert "example.org" not in str(installed.github.said)


async def test_an_issue_that_is_there_becomes_a_ticket(installed: AtGitHub) -> None:
    issue = installed.github.repositories["acme/api"].issue("Slow", "Why?", "priority:low", "docs")
    answer = await installed.post("/tickets", {"repo_id": "github:10", "number": issue.number})
    told = answer.json()
    assert (told["id"], told["title"], told["body"]) == (f"github:{issue.id}", "Slow", "Why?")
    assert (told["type"], told["priority"]) == ("docs", "low")
    chosen = {"repo_id": "github:10", "number": issue.number, "priority": "critical"}
    assert (await installed.post("/tickets", chosen)).json()["priority"] == "critical"


async def test_what_is_no_issue_is_refused_in_words(installed: AtGitHub) -> None:
    unknown = await installed.post("/tickets", {"repo_id": "acme/api", "number": 999})
    assert unknown.status_code == 422
    assert unknown.json()["detail"] == "acme/api has no issue #999."
    for wrong in ({}, {"number": 1, "title": "Both"}, {"title": " "}, {"number": 0}):
        answer = await installed.post("/tickets", {"repo_id": "acme/api", **wrong})
        assert answer.status_code == 422, wrong
    assert await installed.world.rows("select * from tickets") == []


async def test_a_ticket_is_developed(installed: AtGitHub) -> None:
    await add_ticket(installed.world.engine, "github:1", number=12)
    sent = {"additional_context": "Now, please.", "auto_update_status": False}
    answer = await installed.post("/tickets/github%3A1/develop-with-claude", sent)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["ticket"]["run_id"], told["ticket"]["run_state"]) == (told["run_id"], "queued")
    assert told["ticket"]["additional_context"] == "Now, please."
    assert told["ticket"]["auto_update_status"] is False
    [run] = await installed.world.rows("select * from runs")
    assert run["instructions_commit"] == "a" * 40
    assert run["requested_by_id"].startswith("user:")
    again = await installed.post("/tickets/github%3A1/develop-with-claude", {})
    assert again.status_code == 409
    assert again.json()["detail"] == "A run of #12 is waiting or at work already."


async def test_the_next_ticket_is_developed_until_none_is_left(installed: AtGitHub) -> None:
    await three(installed.world)
    address = "/tickets/repository/acme%2Fapi/develop-next"
    started = [(await installed.post(address)).json()["ticket"]["id"] for _ in range(3)]
    assert started == ["github:1", "github:2", "github:3"]
    over = await installed.post(address)
    assert (over.status_code, over.json()["title"]) == (409, "Conflict")
    assert await installed.world.rows("select * from runs where repository_id = 'github:11'") == []


async def test_what_github_does_not_do_is_said(installed: AtGitHub) -> None:
    await add_ticket(installed.world.engine, "github:1")
    installed.github.repositories["acme/api"].heads.clear()
    refused = await installed.post("/tickets/github:1/develop-with-claude", {})
    assert refused.status_code == 422
    assert "has no branch main" in refused.json()["detail"]
    installed.github.permissions[42]["issues"] = "read"
    forbidden = await installed.post("/tickets", {"repo_id": "acme/api", "title": "Mend it"})
    assert forbidden.status_code == 502
    assert "issues: write" in forbidden.json()["detail"]
    assert await installed.world.rows("select * from runs") == []


async def test_without_an_app_nothing_is_developed(world: World) -> None:
    await add_ticket(world.engine, "github:1")
    program = await world.program("manager")
    answer = await program.post(f"{API}/tickets/github:1/develop-with-claude", json={})
    assert answer.status_code == 422
    assert "/setup" in answer.json()["detail"]
