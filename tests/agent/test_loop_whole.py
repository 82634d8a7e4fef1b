"""The loop with all its real parts: SDK, sandbox, budget and store; only the model is scripted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.agent.budget import budgeted
from bot.agent.conversation import Limits, Outcome, Task
from bot.agent.loop import loop
from bot.agent.model import Patience, ask_of
from bot.agent.sandbox import Sandbox
from bot.agent.tools import TOOLS, Toolbox
from bot.settings import Settings
from models import runs
from models.budgets import Spender, limits_of
from tests.agent_rows import add_run, add_ticket
from tests.fakes.anthropic import Script, calls, fake_anthropic, says
from tests.fakes.anthropic_rules import check_messages

SONNET, OPUS = "claude-sonnet-5-5", "claude-opus-5-5"
QUICK = Patience(first_seconds=0.001, longest_seconds=0.002, asked_seconds=0.05, silent_seconds=0.5)
PLENTY = Limits(usd=Decimal(100), turns=100)
FIRST = {"role": "user", "content": [{"type": "text", "text": "Mend #7."}]}
SUBMIT = calls("submit", title="Mend it", summary="It was mended.")
TOO_LONG = {"error": 400, "message": "prompt is too long: 1000001 tokens > 1000000 maximum"}


@dataclass
class Stand:
    """A run in the store, and a sandbox it works in."""

    engine: AsyncEngine
    box: Sandbox
    run_id: int
    position: int = 0
    conversation: int = 0

    async def keep(self, message: Any) -> None:
        async with self.engine.begin() as db:
            await runs.say(db, self.run_id, self.position, message, self.conversation)
        self.position += 1

    async def begin_again(self, message: Any) -> None:
        self.conversation += 1
        await self.keep(message)

    async def ignore(self, *_: Any) -> None:
        """People are told elsewhere."""

    async def stored(self) -> list[dict[str, Any]]:
        async with self.engine.connect() as db:
            said = await runs.said(db, self.run_id)
        return [
            {name: row[name] for name in ("role", "content", "stop_reason") if row[name]}
            for row in said
        ]

    async def play(self, script: Script, usd: Any = 50) -> tuple[Outcome, list[dict[str, Any]]]:
        """Go on with what is stored; return the outcome and what the model was sent."""
        messages = await self.stored() or [FIRST]
        if messages == [FIRST]:
            await self.keep(FIRST)
        task = Task(SONNET, "You develop.", messages, TOOLS, 8000, self.keep, OPUS)
        task.begin_again = self.begin_again
        spender = Spender(self.run_id, "github:42", "github:10", "github:1")
        within = limits_of(spender, date(2026, 9, 1), Decimal(usd), Decimal(50), Decimal(50))
        toolbox = Toolbox(self.box, self.ignore, self.ignore)
        with fake_anthropic(script) as fake:
            settings = Settings(anthropic_base_url=fake.url, anthropic_api_key="key")
            async with ask_of(settings, SONNET, patience=QUICK) as model:
                ask = budgeted(model, self.engine, spender, lambda: within, "anthropic")
                outcome = await loop(ask, toolbox.execute, task, PLENTY)
            assert fake.errors == []
        check_messages(fake.bodies[-1]["messages"], paused=False)
        return outcome, fake.bodies

    async def row(self, question: str) -> Any:
        async with self.engine.connect() as db:
            return (await db.execute(text(question))).one()


@pytest.fixture
async def stand(engine: AsyncEngine, box: Sandbox) -> AsyncIterator[Stand]:
    await add_ticket(engine)
    return Stand(engine, box, await add_run(engine))


async def test_a_run_goes_through_every_trouble_to_its_end(stand: Stand):
    cut_off = {
        "content": [
            {"type": "text", "text": "I write it."},
            {
                "type": "tool_use",
                "name": "bash",
                "input": {},
                "partial_json": '{"command": "rm -rf /repo/ke',
            },
        ],
        "stop_reason": "max_tokens",
    }
    script = [
        {"error": 529},
        calls("bash", command="echo kept > kept; mkdir sub; cd sub"),
        {"error": 429, "retry_after": 0.01},
        calls("str_replace_based_edit_tool", command="create", path="a.py", file_text="a\n"),
        {**calls("bash", command="touch never"), "midstream": "overloaded_error"},
        {**calls("bash", command="touch never"), "drop": True},
        {**calls("bash", command="touch never"), "silent": True},
        cut_off,
        calls("bash", command="pwd; cat ../kept ../a.py"),
        says("Done?"),
        TOO_LONG,
        calls("bash", command="ls /repo"),
        {"content": [], "stop_reason": "refusal"},
        calls("report_progress", items=[{"text": "Mend", "done": True}]),
        SUBMIT,
    ]
    outcome, bodies = await stand.play(script)
    assert outcome.kind == "submitted"
    assert [body["model"] for body in bodies[-3:]] == [SONNET, OPUS, OPUS]
    assert [body["max_tokens"] for body in bodies[7:9]] == [8000, 16000]
    said = str([body["messages"][-1] for body in bodies])
    assert "/repo/sub\\nkept\\na" in said
    assert "never" not in (await stand.box.run("ls")).output
    assert stand.conversation == 2


async def test_money_and_tokens_agree_wherever_they_are_kept(stand: Stand):
    broken = {**calls("bash", command="ls"), "drop": True}
    await stand.play([calls("bash", command="ls"), broken, says("Hm."), {"error": 529}, SUBMIT])
    spent, reserved = await stand.row("select sum(spent_usd), sum(reserved_usd) from budgets")
    used = await stand.row("select sum(cost_usd), count(*), sum(output_tokens) from usage")
    run = await stand.row("select cost_usd, turns, output_tokens from runs")
    assert (run.cost_usd, run.turns) == (used[0], 3)
    assert (spent, reserved, used[1]) == (3 * run.cost_usd, 0, 3)
    assert run.output_tokens == used[2] > 0


async def test_a_run_is_gone_on_with_at_the_exact_turn(stand: Stand):
    """Its worker died while a tool ran: what the store has is asked with, and nothing is lost."""

    class Died(BaseException):
        """Stands for kill -9: nothing of ours runs after it."""

    box = stand.box

    class Dying:
        async def run(self, *_: Any, **__: Any) -> Any:
            raise Died

    stand.box = Dying()  # type: ignore[assignment]
    with pytest.raises(Died):
        await stand.play([calls("bash", command="touch twice")])
    stand.box = box
    assert [each["role"] for each in await stand.stored()] == ["user", "assistant"]
    outcome, bodies = await stand.play([calls("bash", command="touch twice"), SUBMIT])
    assert outcome.kind == "submitted"
    assert bodies[0]["messages"][-1]["content"][0]["is_error"] is True
    assert len(bodies) == 2


async def test_a_run_ends_within_its_budget(stand: Stand):
    def endless(body: dict[str, Any]) -> dict[str, Any]:
        return calls("bash", command=f"echo {len(body['messages'])}")

    outcome, bodies = await stand.play(endless, usd="0.1")
    assert (outcome.kind, outcome.limit) == ("limit", "the ticket")
    (spent,) = await stand.row("select spent_usd from budgets where id like 'ticket:%'")
    assert 0 < spent <= Decimal("0.1")
    assert bodies[-1]["max_tokens"] < 8000
