"""Whole runs through what goes wrong with a model: a pull request, or clear words on the board."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

import models
from models.store import remember
from tests.agent.conftest import Repository, plain_git
from tests.agent.runs import GOOD, LOOK, MEND, ORGANIZATION, SUBMIT, Desk, Opened, bash
from tests.agent.runs import desk as desk
from tests.fakes.anthropic import Turn

HALF = {"content": [{"type": "text", "text": "Half an answer. " * 20}] * 3}
NO = {"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal"}}
FULL = {"content": [], "stop_reason": "model_context_window_exceeded"}
TOO_LONG = {"error": 400, "message": "prompt is too long: 1000001 tokens > 1000000 maximum"}
SPENT = {"error": 429, "details": {"error_code": "enforced_spend_limit_reached"}}
CUT = {
    "content": [
        {
            "type": "tool_use",
            "name": "bash",
            "input": {},
            "partial_json": '{"command": "touch half-a-command',
        }
    ],
    "stop_reason": "max_tokens",
}

PASSING: dict[str, Sequence[Turn]] = {
    "overloaded twice": ({"error": 529}, {"error": 529}),
    "an error in mid-stream": ({**HALF, "midstream": "overloaded_error"},),
    "a dropped stream": ({**HALF, "drop": True},),
    "a stream that ends too early": ({**HALF, "cut": True},),
    "a silent stream": ({**HALF, "silent": True},),
    "no answer at all": ({"silent": 0},),
}


@pytest.mark.parametrize("name", PASSING)
async def test_what_passes_is_waited_for(desk: Opened, name: str):
    turns = PASSING[name]
    here, model = await desk((LOOK, *turns, MEND, SUBMIT), claude_silent_seconds=0.5)
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert len(here.pulls()) == 1
    assert len(model.requests) == len(GOOD) + len(turns)
    assert model.bodies[1]["messages"] == model.bodies[1 + len(turns)]["messages"]
    assert len(await waits(here)) == len(turns)
    assert "✅ done" in here.board(issue)


async def waits(here: Desk) -> list[str]:
    """Return the notes about having waited for the model."""
    rows = await here.ask("select detail from run_steps where name = 'waiting for the model'")
    return [row["detail"] for row in rows]


async def test_a_broken_stream_is_paid(desk: Opened):
    used = {"input_tokens": 100_000}
    here, _ = await desk((LOOK, {**HALF, "drop": True, "usage": used}, MEND, SUBMIT))
    await here.ticket()
    run = await here.develop()
    assert run["input_tokens"] > 100_000
    rows = await here.ask("select cost_usd from usage order by id")
    assert len(rows) == len(GOOD)
    assert run["cost_usd"] == sum(row["cost_usd"] for row in rows)
    assert rows[1]["cost_usd"] > Decimal("0.1")


async def test_the_time_that_is_asked_for_is_waited(desk: Opened):
    here, _ = await desk(({"error": 429, "retry_after": 2}, *GOOD))
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    (said,) = await waits(here)
    assert said.endswith(("(2 s)", "(3 s)"))


async def test_tries_that_are_used_up_are_said(desk: Opened):
    here, model = await desk([{"error": 529, "message": "Overloaded"}] * 2, claude_tries=2)
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "failed"
    assert len(model.requests) == 2
    assert here.pulls() == []
    assert "Anthropic could not answer: Overloaded (529) (tried 2 times)" in here.board(issue)
    assert await here.status(issue) == "failed"


async def test_what_was_made_before_is_a_draft_that_says_why(desk: Opened):
    here, _ = await desk((MEND, {"silent": 0}), claude_tries=1, claude_silent_seconds=0.5)
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "draft", run["error"]
    (pull,) = here.pulls()
    assert pull.draft
    assert "Anthropic cannot be reached" in pull.body
    assert f"#{pull.number}" in here.board(issue)
    assert "a + b" in here.origin.show(pull.head, "add.py")


async def test_a_refusal_begins_anew_with_the_other_model(desk: Opened):
    here, model = await desk((LOOK, NO, MEND, SUBMIT))
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert [body["model"] for body in model.bodies] == [
        "claude-sonnet-5-5",
        "claude-sonnet-5-5",
        "claude-opus-5-5",
        "claude-opus-5-5",
    ]
    assert len(model.bodies[2]["messages"]) == 1
    assert "work on this has begun already" in str(model.bodies[2]["messages"])
    assert len(here.pulls()) == 1


async def test_a_second_refusal_is_said(desk: Opened):
    here, _ = await desk((NO, NO))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "failed"
    assert "claude-opus-5-5 declined to go on" in here.board(issue)
    assert here.pulls() == []


async def test_a_call_that_was_cut_off_is_not_executed(desk: Opened):
    here, model = await desk((CUT, *GOOD))
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    first, second = model.bodies[:2]
    assert second["max_tokens"] == 2 * first["max_tokens"]
    assert "cut off" in str(second["messages"][-1])
    assert [each["path"] for each in run["changes"]["files"]] == ["add.py"]
    steps = await here.ask("select name from run_steps where kind = 'tool'")
    assert not any("half-a-command" in step["name"] for step in steps)


@pytest.mark.parametrize("turn", [FULL, TOO_LONG], ids=["stop reason", "error"])
async def test_a_full_context_is_made_shorter_once(desk: Opened, turn: Turn):
    talk = [bash(f"head -c 4000 /dev/zero | tr '\\0' x; true {turn}") for turn in range(6)]
    here, model = await desk((*talk, turn, MEND, SUBMIT))
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    before, after = (str(model.bodies[at]["messages"]) for at in (6, 7))
    assert len(after) < len(before) / 2
    assert "older part was taken out" in after
    assert len(here.pulls()) == 1


async def test_a_context_that_stays_full_is_said(desk: Opened):
    here, _ = await desk((LOOK, TOO_LONG, TOO_LONG))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "failed"
    assert "longer than the model can read" in here.board(issue)


async def test_a_spend_limit_is_said_at_once(desk: Opened):
    here, model = await desk([SPENT])
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "failed"
    assert len(model.requests) == 1
    assert "The spend limit at Anthropic is reached" in here.board(issue)


async def neighbour(here: Desk) -> Desk:
    """Return a desk on another repository of the same organisation."""
    bare = here.origin.bare.parent / "other.git"
    plain_git(here.origin.bare.parent, "clone", "-q", "--bare", str(here.origin.bare), str(bare))
    repository = here.github.repository("acme/other", bare)
    other = replace(here, repository=repository, origin=Repository(bare, here.origin.clone))
    async with here.engine.begin() as db:
        row = models.Repository(
            id=other.repository_id,
            organization_id=ORGANIZATION,
            full_name="acme/other",
            owner_login="acme",
            default_branch="main",
        )
        await remember(db, [row])
    return other


SPENDING = text("""
    select coalesce(max(spent_usd + reserved_usd), 0) from budgets
     where id like 'organization:%'
""")


async def test_two_runs_never_spend_more_than_the_organisations_day(desk: Opened):
    day = Decimal("0.30")
    dear = {"input_tokens": 8_000, "output_tokens": 200}

    def script(body: dict[str, Any]) -> Turn:
        return {**bash(f"cat add.py; true {len(body['messages'])}"), "usage": dear}

    here, model = await desk(script, organisation_day_budget_usd=day)
    there = await neighbour(here)
    await here.ticket()
    await there.ticket()
    most = Decimal(0)

    async def watch() -> None:
        nonlocal most
        while True:
            async with here.engine.connect() as db:
                most = max(most, (await db.execute(SPENDING)).scalar_one())
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    ended = await asyncio.gather(here.develop(), there.develop())
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert {run["repository_id"] for run in ended} == {here.repository_id, there.repository_id}
    assert {run["state"] for run in ended} == {"over_budget"}
    assert sum(run["cost_usd"] for run in ended) > day / 3
    assert all(run["cost_usd"] > 0 for run in ended)
    assert sum(run["cost_usd"] for run in ended) <= day
    assert Decimal(0) < most <= day
    (row,) = await here.ask("select sum(cost_usd) as usd from usage")
    assert row["usd"] <= day
    assert len(model.requests) == sum(run["turns"] for run in ended)
