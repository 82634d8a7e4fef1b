"""Runs that are stopped, let go of, or whose worker is killed: they go on, and nothing is twice."""

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.agent.run import Runs, develop_one
from bot.agent.workspace import agent_home
from bot.jobs import work
from bot.settings import Settings, environment
from models import runs
from models.runs import WORKING
from tests.agent.runs import GOOD, LOOK, MEND, SUBMIT, Desk, bash, desk_of
from tests.agent.sandboxes import eventually, need_a_sandbox, running
from tests.fakes.anthropic import Fake

Opened = Callable[..., Any]
STATES = ("setup", "developing", "validating", "gating", "publishing")
PATIENCE_SECONDS = 30.0


@pytest.fixture
async def desk(
    settings: Settings, engine: AsyncEngine, clean_redis: str, tmp_path: Path
) -> AsyncIterator[Opened]:
    """Opens a desk with a model that follows a script."""
    await need_a_sandbox()
    async with AsyncExitStack() as held:

        async def opened(script: Any, **more: Any) -> tuple[Desk, Fake]:
            return await held.enter_async_context(
                desk_of(settings, engine, tmp_path, script, **more)
            )

        yield opened


async def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert time.monotonic() < end, "it never came to be"
        await asyncio.sleep(0.05)


async def worker(here: Desk, *how: str) -> asyncio.subprocess.Process:
    """Start another worker's process on the same run."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.agent.dying",
        *how,
        env=environment(here.surroundings.settings),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def forget_the_dead(here: Desk) -> None:
    """Let the dead worker's lease be over."""
    async with here.engine.begin() as db:
        await db.execute(text("update runs set leased_until = now() - interval '1 second'"))


def assert_once(here: Desk, issue: Any, run: dict[str, Any]) -> None:
    """One branch, one pull request, one comment, one check."""
    assert run["state"] == "done", run["error"]
    assert len(here.pulls()) == 1
    assert here.board(issue)
    assert len(here.repository.checks) == 1
    assert set(here.origin.branches()) == {"refs/heads/main", f"refs/heads/{run['branch']}"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", STATES)
async def test_a_run_whose_worker_is_killed_goes_on(desk: Opened, state: str, when: str):
    here, model = await desk(GOOD)
    issue = await here.ticket()
    dead = await worker(here, state, when)
    _, said = await dead.communicate()
    assert dead.returncode == -signal.SIGKILL, said.decode()
    assert await develop_one(here.surroundings) is None, "the dead worker's lease holds"
    await forget_the_dead(here)
    assert_once(here, issue, await here.develop())
    assert len(model.requests) == len(GOOD)
    rows = await here.ask("select cost_usd, assumed from usage")
    assert len(rows) == len(GOOD)
    assert not any(row["assumed"] for row in rows)


async def test_only_the_call_in_flight_is_paid_twice(desk: Opened):
    slow = {**MEND, "seconds": 60}
    script = iter((LOOK, slow, MEND, SUBMIT))
    here, model = await desk(lambda body: next(script))
    issue = await here.ticket()
    killed = await worker(here)
    await until(lambda: asyncio.sleep(0, len(model.requests) == 2))
    killed.kill()
    await killed.wait()
    await forget_the_dead(here)
    run = await here.develop()
    assert_once(here, issue, run)
    assert len(model.requests) == 4
    rows = await here.ask("select cost_usd, reserved_usd, assumed from usage order by id")
    assert [row["assumed"] for row in rows] == [False, True, False, False]
    assert rows[1]["cost_usd"] == rows[1]["reserved_usd"]
    assert run["cost_usd"] == sum(row["cost_usd"] for row in rows)


def napping() -> str:
    """Return seconds that no other process on this machine sleeps."""
    return f"51.{secrets.randbelow(10**9):09}"


async def test_a_command_under_way_is_said_to_be_interrupted(desk: Opened):
    nap = napping()
    script = iter((bash(f"sleep {nap}"), *GOOD))
    here, model = await desk(lambda body: next(script))
    await here.ticket()
    killed = await worker(here)

    async def begun() -> bool:
        return bool(running(nap))

    await until(begun)
    killed.kill()
    await killed.wait()
    assert await eventually(lambda: not running(nap))
    await forget_the_dead(here)
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    (result,) = model.bodies[1]["messages"][-1]["content"]
    assert result["is_error"]
    assert "interrupted" in str(result["content"])


async def test_a_worker_that_is_told_to_end_lets_go_at_once(desk: Opened):
    script = iter((LOOK, {**MEND, "seconds": 60}, MEND, SUBMIT))
    here, model = await desk(lambda body: next(script))
    issue = await here.ticket()
    working = asyncio.create_task(Runs(here.surroundings).work())
    await until(lambda: asyncio.sleep(0, len(model.requests) == 2))
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert_once(here, issue, await here.develop())


async def test_a_run_is_stopped_within_five_seconds(desk: Opened):
    nap = napping()
    here, _ = await desk([bash(f"sleep {nap}")])
    issue = await here.ticket()
    going = asyncio.create_task(here.develop())

    async def asleep() -> bool:
        return bool(running(nap))

    await until(asleep)
    (row,) = await here.ask("select id from runs")
    began = time.monotonic()
    async with here.engine.begin() as db:
        assert await runs.stop(db, row["id"], "ada") == "developing"
    run = await going
    assert time.monotonic() - began < 5
    assert run["state"] == "cancelled"
    assert "Stopped by ada." in here.board(issue)
    assert await here.status(issue) == "cancelled"
    assert not running(nap)
    assert here.pulls() == []


async def test_a_run_that_waits_is_stopped_at_once(desk: Opened):
    here, model = await desk(GOOD)
    await here.ticket()
    (row,) = await here.ask("select id from runs")
    async with here.engine.begin() as db:
        assert await runs.stop(db, row["id"], "ada") == "cancelled"
    assert await develop_one(here.surroundings) is None
    assert not model.requests


async def test_one_run_a_repository_at_a_time(desk: Opened):
    script = iter((*GOOD, LOOK, MEND, SUBMIT))
    here, _ = await desk(lambda body: next(script))
    await here.ticket("First")
    await here.ticket("Second")
    both = Runs(here.surroundings)
    working = asyncio.create_task(both.work())
    seen: set[int] = set()

    async def ended() -> bool:
        rows = await here.ask("select state from runs")
        seen.add(sum(row["state"] in WORKING for row in rows))
        return all(row["state"] == "done" for row in rows)

    await until(ended)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert max(seen) == 1
    assert len(here.pulls()) == 2


async def test_a_run_whose_workers_keep_dying_is_given_up(desk: Opened):
    here, model = await desk(GOOD)
    issue = await here.ticket()
    async with here.engine.begin() as db:
        await db.execute(text("update runs set attempts = 5"))
    run = await here.develop()
    assert run["state"] == "failed"
    assert "given up" in here.board(issue)
    assert not model.requests


async def test_a_tree_that_was_lost_is_begun_again(desk: Opened, tmp_path: Path):
    script = iter((LOOK, {**MEND, "seconds": 60}, MEND, SUBMIT))
    here, model = await desk(lambda body: next(script))
    issue = await here.ticket()
    killed = await worker(here)
    await until(lambda: asyncio.sleep(0, len(model.requests) == 2))
    killed.kill()
    await killed.wait()
    await forget_the_dead(here)
    folder = agent_home(here.surroundings.settings)
    (folder / "runs").rename(folder / "elsewhere")
    assert_once(here, issue, await here.develop())
    assert "working tree was lost" in str(model.bodies[2]["messages"][0]["content"])


async def test_a_run_stopped_in_the_queue_says_so(desk: Opened):
    here, _ = await desk(GOOD)
    issue = await here.ticket()
    (row,) = await here.ask("select id from runs")
    async with here.engine.begin() as db:
        await runs.stop(db, row["id"], "ada")
    assert await here.status(issue) == "cancelled"
    steps = await here.ask("select name, detail from run_steps")
    assert steps == [{"name": "cancelled", "detail": "Stopped by ada."}]
    while await work(here.surroundings, "agent", 4):
        pass
    assert "Stopped by ada." in here.board(issue)
