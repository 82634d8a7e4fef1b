"""How soon a command runs in the sandbox, beside the same command without one."""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.report import goal, middle, milliseconds, quantile, say, table
from bench.stage import Stage
from bot.agent.sandbox import Sandbox, lacks, owner
from bot.settings import Settings

GOAL_SECONDS = 0.020
REPETITIONS = 200
QUICKLY = 20


def run(on: Stage, *, quick: bool = False) -> None:
    """Start `true` in turns with and without a sandbox, and print the medians."""
    asyncio.run(measured(QUICKLY if quick else REPETITIONS))


async def measured(times: int) -> None:
    """Measure, where this machine has a sandbox."""
    lacking = await lacks(Settings(sandbox="bubblewrap"))
    if lacking:
        say(f"sandbox: not measured. {' '.join(each.what for each in lacking)}")
        return
    with folders() as (work, tmp):
        box = Sandbox(work, tmp)
        figures = await in_turns((plain, lambda: sandboxed(box)), times)
    print_table(times, *figures)


def print_table(times: int, without: list[float], within: list[float]) -> None:
    """Print both, and what the sandbox adds."""
    say(f"sandbox: `true`, {times} times each, in turns")
    median = middle(within)
    met = goal("under 20 ms", median < GOAL_SECONDS)
    added = milliseconds(median - middle(without))
    table(
        "",
        ("", "median", "95 of 100 within", "goal"),
        (
            ("bash -c true", milliseconds(middle(without)), worst(without), ""),
            ("the same in the sandbox", milliseconds(median), worst(within), met),
            ("what the sandbox adds", added, "", ""),
        ),
    )


def worst(values: list[float]) -> str:
    """Write what 95 of 100 did not exceed."""
    return milliseconds(quantile(values, 0.95))


async def in_turns(
    each: tuple[Callable[[], Awaitable[None]], ...], times: int
) -> tuple[list[float], ...]:
    """Return the seconds that each took, every time; whatever disturbs, disturbs all alike."""
    taken: tuple[list[float], ...] = tuple([] for _ in each)
    for _ in range(times):
        for do, seconds in zip(each, taken, strict=True):
            began = time.perf_counter()
            await do()
            seconds.append(time.perf_counter() - began)
    return taken


async def plain() -> None:
    """Run the command as it is."""
    process = await asyncio.create_subprocess_exec("bash", "-c", "true")
    assert await process.wait() == 0


async def sandboxed(box: Sandbox) -> None:
    """Run the command in the sandbox."""
    result = await box.run("true")
    assert result.code == 0, result.output


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """Make two folders for the sandbox's user."""
    uid = owner()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        places = tuple(Path(name, each) for each in ("work", "tmp"))
        for place in (Path(name), *places):
            place.mkdir(exist_ok=True)
            if uid is not None:
                os.chown(place, uid, uid)
        yield places[0], places[1]
