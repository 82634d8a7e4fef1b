"""What a turn of the agent takes beside the model and the command: budget, store, sandbox, loop."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.report import goal, middle, milliseconds, quantile, say, table
from bench.sandbox import folders
from bench.stage import Stage, database
from bot.agent.budget import budgeted
from bot.agent.conversation import Block, Limits, Message, Reply, Request, Task, ToolResult, Usage
from bot.agent.loop import loop
from bot.agent.sandbox import Sandbox, lacks
from bot.agent.tools import TOOLS, Toolbox
from bot.settings import Settings
from models import runs
from models.budgets import Spender, limits_of
from models.store import engine

GOAL_SECONDS = 0.030
TURNS = 150
QUICKLY = 15
MODEL = "claude-sonnet-5-5"
COMMAND = "printf %02000d 1"
PLENTY = Decimal(100_000)
MAKE_RUN = text("""
    insert into runs (ticket_id, organization_id, repository_id, kind)
    values ('github:1', 'github:1', 'github:1', 'develop') returning id
""")


@dataclass
class Clocks:
    """When the model was asked, and how long the tools took."""

    asked: list[float] = field(default_factory=list)
    tools: list[float] = field(default_factory=list)

    @property
    def turns(self) -> list[float]:
        """The seconds from one call of the model to the next."""
        return [after - before for before, after in zip(self.asked, self.asked[1:], strict=False)]


def run(on: Stage, *, quick: bool = False) -> None:
    """Let a model that answers at once run a command each turn, and print what a turn took."""
    turns = QUICKLY if quick else TURNS
    with database(on, "turns") as url:
        clocks = asyncio.run(measured(url, turns))
    if clocks is not None:
        print_table(turns, clocks)


async def measured(url: str, turns: int) -> Clocks | None:
    """Measure, where this machine has a sandbox."""
    lacking = await lacks(Settings(sandbox="bubblewrap"))
    if lacking:
        say(f"turns: not measured. {' '.join(each.what for each in lacking)}")
        return None
    opened = engine(url)
    try:
        with folders() as (work, tmp):
            return await talk(opened, Sandbox(work, tmp), turns)
    finally:
        await opened.dispose()


def print_table(turns: int, clocks: Clocks) -> None:
    """Print a turn and its parts."""
    say(f"turns: {turns} of them, the model answering at once, a command that takes no time")
    whole, tools = middle(clocks.turns), middle(clocks.tools)
    late = milliseconds(quantile(clocks.turns, 0.95))
    table(
        "",
        ("", "median", "95 of 100 within", "goal"),
        (
            ("a turn", milliseconds(whole), late, goal("under 30 ms", whole < GOAL_SECONDS)),
            ("of it the tool: sandbox and command", milliseconds(tools), "", ""),
            ("of it budget, messages and steps", milliseconds(whole - tools), "", ""),
        ),
    )


async def talk(opened: AsyncEngine, sandbox: Sandbox, turns: int) -> Clocks:
    """Hold a conversation over the real store and sandbox, everything kept as in a run."""
    async with opened.begin() as db:
        run_id = int((await db.execute(MAKE_RUN)).scalar_one())
    clocks, spender = Clocks(), Spender(run_id, "github:1", "github:1", "github:1")
    within = limits_of(spender, datetime.now(UTC).date(), PLENTY, PLENTY, PLENTY)
    asked = budgeted(model(clocks, turns), opened, spender, lambda: within, "anthropic")
    toolbox = Toolbox(sandbox, progress, stepping(opened, run_id, clocks))
    outcome = await loop(
        asked, toolbox.execute, task(opened, run_id), Limits(usd=PLENTY, turns=999)
    )
    assert outcome.kind == "submitted", outcome
    return clocks


def model(clocks: Clocks, turns: int) -> Any:
    """Return a model that runs a command each turn, and submits at last."""

    async def ask(_: Request) -> Reply:
        clocks.asked.append(time.perf_counter())
        number = len(clocks.asked)
        wants = ("bash", {"command": f"{COMMAND}; : {number}"})
        if number > turns:
            wants = ("submit", {"title": "Done", "summary": "Nothing was done."})
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": wants[0], "input": wants[1]}
        return Reply([call], "tool_use", Usage(1, 1), Decimal("0.001"), MODEL, seconds=0.0)

    return ask


def task(opened: AsyncEngine, run_id: int) -> Task:
    """Return a task whose messages are stored as they happen."""
    first = {"role": "user", "content": [{"type": "text", "text": "Mend it. " * 500}]}
    position = iter(range(10_000))

    async def keep(message: Message) -> None:
        async with opened.begin() as db:
            await runs.say(db, run_id, next(position), message)

    return Task(MODEL, "You develop. " * 500, [first], TOOLS, 16_000, keep)


async def progress(_: Sequence[dict[str, Any]]) -> None:
    """Take no note of progress: the model reports none."""


def stepping(opened: AsyncEngine, run_id: int, clocks: Clocks) -> Any:
    """Return what notes each call of a tool, as a run does."""

    async def step(block: Block, result: ToolResult) -> None:
        clocks.tools.append(result.seconds)
        async with opened.begin() as db:
            await runs.note(db, run_id, "tool", str(block["name"]), detail=result.text, ok=True)

    return step
