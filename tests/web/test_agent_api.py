"""The agent's settings, prompts, budgets, schema and figures over the API."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bot.web.api.prompts import LARGEST_VERSION
from models import Prompt
from tests.agent_rows import (
    add,
    add_budget,
    add_pull_request,
    add_run,
    add_ticket,
)
from tests.web.conftest import World

API = "/api/v1"
SETTINGS = f"{API}/agent/settings"
SECRET = "signs-what-is-sent-to-us"
AT = datetime(2026, 9, 10, 12, tzinfo=UTC)
SEPTEMBER = "start_date=2026-09-01&end_date=2026-09-30"


async def test_without_settings_those_of_this_veelocity_hold(world: World) -> None:
    program = await world.program("admin")
    told = (await program.get(SETTINGS)).json()
    assert (told["ticket_budget_usd"], told["models"], told["similar_tickets"]) == (None, [], True)
    assert told["effective"] == {
        "ticket_budget_usd": 3,
        "repository_day_budget_usd": 20,
        "organization_day_budget_usd": 50,
        "models": ["claude-sonnet-5-5", "claude-opus-5-5"],
    }


async def test_admins_set_how_tickets_are_developed(world: World) -> None:
    program = await world.program("admin")
    sent = {
        "ticket_budget_usd": 1.5,
        "models": ["claude-opus-5-5", "gpt-5"],
        "setup_hosts": ["registry.example.org", "*.example.com"],
        "similar_tickets": False,
        "completion_url": "https://hooks.example.org/veelocity",
        "completion_secret": SECRET,
    }
    answer = await program.put(SETTINGS, json=sent)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told == (await program.get(SETTINGS)).json()
    assert told["effective"]["ticket_budget_usd"] == 1.5
    assert told["effective"]["models"] == ["claude-opus-5-5", "gpt-5"]
    assert told["completion_secret_is_set"] is True
    assert (told["setup_hosts"], told["similar_tickets"]) == (sent["setup_hosts"], False)


async def test_the_secret_is_sealed_and_never_told(world: World) -> None:
    program = await world.program("admin")
    sent = {"completion_url": "https://hooks.example.org", "completion_secret": SECRET}
    answers = [await program.put(SETTINGS, json=sent), await program.get(SETTINGS)]
    assert not any(SECRET in answer.text for answer in answers)
    [row] = await world.rows("select completion_secret from agent_settings")
    assert SECRET not in row["completion_secret"]
    assert world.app.state.vault.open(row["completion_secret"]) == SECRET
    assert SECRET not in str(await world.rows("select * from audit_log"))


async def test_a_secret_stays_until_it_is_replaced_or_nothing_is_sent(world: World) -> None:
    program = await world.program("admin")
    address = {"completion_url": "https://hooks.example.org"}
    lacking = await program.put(SETTINGS, json=address)
    assert lacking.status_code == 422
    assert lacking.json()["errors"][0]["field"] == "completion_secret"
    assert await world.rows("select * from agent_settings") == []
    await program.put(SETTINGS, json={**address, "completion_secret": SECRET})
    kept = (await program.put(SETTINGS, json=address)).json()
    assert kept["completion_secret_is_set"] is True
    gone = (await program.put(SETTINGS, json={})).json()
    assert (gone["completion_url"], gone["completion_secret_is_set"]) == (None, False)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org",
        "ftp://hooks.example.org",
        "https://",
        "https://127.0.0.1/",
        "https://localhost:6379/",
        "https://[::1]/",
        "https://10.0.0.7/",
        "https://192.168.1.1/",
        "https://172.16.0.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[fd00::1]/",
        "https://[fec0::2]/",
        "https://[::127.0.0.1]/",
        "https://[2002:a00:1::]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.1/",
        "https://redis/",
        "https://metadata.google.internal/",
        "https://printer.local./",
        "https://user:password@hooks.example.org/",
        "https://hooks.example.org\\@10.0.0.1/",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org/#there",
        "https://höoks.example.org/",
    ],
)
async def test_addresses_into_our_network_are_refused(world: World, url: str) -> None:
    program = await world.program("admin")
    sent = {"completion_url": url, "completion_secret": SECRET}
    answer = await program.put(SETTINGS, json=sent)
    assert answer.status_code == 422, url
    assert answer.json()["errors"][0]["field"] == "completion_url"
    assert await world.rows("select * from agent_settings") == []


async def test_loopback_is_for_development_only(world: World) -> None:
    program = await world.program("admin")
    sent = {"completion_url": "http://127.0.0.1:9000/hook", "completion_secret": SECRET}
    assert (await program.put(SETTINGS, json=sent)).status_code == 422
    state = world.app.state
    state.settings = state.settings.model_copy(update={"base_url": "http://localhost:8000"})
    assert (await program.put(SETTINGS, json=sent)).status_code == 200
    private = {**sent, "completion_url": "http://10.0.0.1/"}
    assert (await program.put(SETTINGS, json=private)).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"ticket_budget_usd": -0.01},
        {"models": ["claude sonnet"]},
        {"setup_hosts": ["https://registry.example.org"]},
        {"setup_hosts": ["localhost"]},
        {"completion_secret": "short"},
        {"similar_tickets": "perhaps"},
        {"unheard_of": 1},
    ],
)
async def test_wrong_settings_are_named(world: World, wrong: dict[str, Any]) -> None:
    program = await world.program("admin")
    answer = await program.put(SETTINGS, json=wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].partition(".")[0] == next(iter(wrong))
    assert "short" not in answer.text


async def test_settings_are_for_admins_of_their_organisation(world: World) -> None:
    for who in ("viewer", "manager"):
        program = await world.program(who)
        assert (await program.get(SETTINGS)).status_code == 403
        assert (await program.put(SETTINGS, json={})).status_code == 403
        answer = await program.post(f"{API}/agent/prompts", json={"body": "x"})
        assert answer.status_code == 403
    stranger = await world.program("stranger")
    await stranger.put(SETTINGS, json={"ticket_budget_usd": 9})
    [row] = await world.rows("select organization_id from agent_settings")
    assert row == {"organization_id": "github:2"}
    assert (await stranger.get(f"{SETTINGS}?organization=acme")).status_code == 404


async def test_prompts_are_versioned_and_retired(world: World) -> None:
    program, address = await world.program("admin"), f"{API}/agent/prompts"
    assert (await program.get(address)).json() == {"items": [], "next_cursor": None}
    first = (await program.post(address, json={"body": "Be brief.", "note": "shorter"})).json()
    second = (await program.post(address, json={"body": "Be thorough."})).json()
    assert (first["version"], second["version"]) == (1, 2)
    assert second["created_by"] == "admin@example.org"
    viewer = await world.program("viewer")
    listed = (await viewer.get(address)).json()["items"]
    assert [(item["version"], item["in_use"]) for item in listed] == [(2, True), (1, False)]
    retired = (await program.post(f"{address}/2/retire")).json()
    assert (retired["retired"], retired["in_use"]) == (True, False)
    listed = (await viewer.get(address)).json()["items"]
    assert [item["in_use"] for item in listed] == [False, False]
    page = (await viewer.get(f"{address}?limit=1")).json()
    rest = (await viewer.get(f"{address}?limit=1&cursor={page['next_cursor']}")).json()
    assert [item["version"] for item in rest["items"]] == [1]
    for unknown in ("3", "0", "first", str(LARGEST_VERSION * 10)):
        assert (await program.post(f"{address}/{unknown}/retire")).status_code == 404
    assert (await program.post(address, json={"body": "  "})).status_code == 422
    wrong = await program.post(address, json={"body": "{{ title }}"})
    assert wrong.status_code == 422
    assert "There is no placeholder {{ title }}" in wrong.text


async def test_prompts_of_another_organisation_are_not_there(world: World) -> None:
    program, stranger = await world.program("admin"), await world.program("stranger")
    await program.post(f"{API}/agent/prompts", json={"body": "Ours."})
    assert (await stranger.get(f"{API}/agent/prompts")).json()["items"] == []
    assert (await stranger.post(f"{API}/agent/prompts/1/retire")).status_code == 404
    [row] = await world.rows("select retired from prompts")
    assert row["retired"] is False
    theirs = (await stranger.post(f"{API}/agent/prompts", json={"body": "Theirs."})).json()
    assert theirs["version"] == 1


async def attempts(world: World) -> None:
    """Let there be two attempts with the organisation's prompt, one merged, and one without."""
    prompt = await add(
        world.engine, Prompt, organization_id="github:1", version=4, body="Be brief."
    )
    await add_ticket(world.engine, "github:1")
    done = {"finished_at": AT, "started_at": AT - timedelta(minutes=5), "created_at": AT}
    ours = {"prompt_id": prompt, "prompt_name": "organization"}
    merged = {**done, **ours, "state": "done", "pull_request_number": 7, "cost_usd": 1.5}
    await add_pull_request(world.engine, 7, merged_at=AT, opened_at=AT + timedelta(minutes=1))
    await add_run(world.engine, "github:1", **merged, input_tokens=100, cache_read_tokens=300)
    await add_run(world.engine, "github:1", **done, **ours, state="failed", cost_usd=0.5)
    await add_run(world.engine, "github:1", **done, state="draft", prompt_name="default")


async def test_prompts_are_reported_by_version(world: World) -> None:
    await attempts(world)
    program = await world.program("viewer")
    told = (await program.get(f"{API}/agent/prompts/report")).json()["items"]
    by_name = {item["name"]: item for item in told}
    ours = by_name["organization"]
    assert (ours["version"], ours["runs"], ours["merged"]) == (4, 2, 1)
    assert (ours["success_rate"], ours["cost"]["total_usd"]) == (0.5, 2)
    assert ours["cost"]["per_merged_pull_request_usd"] == 2
    assert (by_name["default"]["version"], by_name["default"]["success_rate"]) == (None, 0)
    stranger = await world.program("stranger")
    assert (await stranger.get(f"{API}/agent/prompts/report")).json() == {"items": []}


async def test_budgets_say_what_is_left(world: World) -> None:
    day = datetime.now(UTC).date()
    await add_ticket(world.engine, "github:1", number=12, budget_usd=2)
    await add_ticket(world.engine, "github:2", number=13, status="closed")
    await add_budget(world.engine, "ticket:github:1", 1.5, 0.75)
    await add_budget(world.engine, "ticket:github:2", 9, 0)
    await add_budget(world.engine, f"repository:github:10:{day}", 4, 1)
    await add_budget(world.engine, "repository:github:10:2020-01-01", 20, 0)
    await add_budget(world.engine, f"repository:github:20:{day}", 7, 0)
    await add_budget(world.engine, f"organization:github:1:{day}", 4, 1)
    told = (await (await world.program("viewer")).get(f"{API}/agent/budgets")).json()
    assert told["day"] == day.isoformat()
    assert told["organization"] == spending("acme", 4, 1, 50, 45)
    assert told["repositories"] == [spending("acme/api", 4, 1, 20, 15)]
    assert told["tickets"] == [spending("acme/api#12", 1.5, 0.75, 2, 0)]
    theirs = (await (await world.program("stranger")).get(f"{API}/agent/budgets")).json()
    assert theirs["organization"] == spending("globex", 0, 0, 50, 50)
    assert [each["name"] for each in theirs["repositories"]] == ["globex/api"]
    assert theirs["tickets"] == []


def spending(name: str, spent: float, reserved: float, limit: float, left: float) -> Any:
    """Return a budget as it is told."""
    names = ("name", "spent_usd", "reserved_usd", "limit_usd", "left_usd")
    return dict(zip(names, (name, spent, reserved, limit, left), strict=True))


async def test_the_schema_of_the_configuration_is_for_everybody(world: World) -> None:
    answer = await (await world.browser()).get("/schemas/veelocity.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/schema+json")
    assert "test" in json.loads(answer.text)["properties"]


async def metric(program: httpx.AsyncClient, query: str = "") -> Any:
    """Ask for the agent's figures of September."""
    answer = await program.get(f"{API}/metrics/agent?{SEPTEMBER}{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_agents_figures_are_told(world: World) -> None:
    await attempts(world)
    program = await world.program("viewer")
    told = await metric(program)
    assert (told["runs"], told["merged"], told["success_rate"]) == (3, 1, pytest.approx(1 / 3))
    assert told["tokens"]["cache_hit_rate"] == 0.75
    assert told["scope"]["organization"] == "acme"
    assert len(told["series"]) == 30
    assert sum(day["runs"] for day in told["series"]) == 3
    by_model = (await metric(program, "&group_by=model"))["series"]
    assert [(group["name"], group["runs"]) for group in by_model] == [("claude-sonnet-5-5", 3)]
    by_repo = (await metric(program, "&group_by=repo&repo_id=acme%2Fapi"))["series"]
    assert [group["name"] for group in by_repo] == ["acme/api"]


async def test_figures_come_as_csv_and_explain_themselves(world: World) -> None:
    await attempts(world)
    program = await world.program("viewer")
    answer = await program.get(f"{API}/metrics/agent?{SEPTEMBER}&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(answer.text.splitlines()) == 4
    told = (await program.get(f"{API}/metrics/agent/explain?{SEPTEMBER}")).json()
    assert (told["metric"], told["counted"], len(told["rows"])) == ("agent", 3, 3)


async def test_figures_of_another_organisation_are_not_there(world: World) -> None:
    await attempts(world)
    stranger = await world.program("stranger")
    told = await metric(stranger)
    assert (told["runs"], told["success_rate"], told["cost"]["total_usd"]) == (0, None, 0)
    assert told["reason"].startswith("no attempt of the agent")
    answer = await stranger.get(f"{API}/metrics/agent?repo_id=acme%2Fapi")
    assert answer.status_code == 404
