"""How soon the command line says something and the web process answers, and what they weigh."""

import subprocess
import sys
import time
from collections.abc import Callable

from bench.report import goal, middle, milliseconds, say, table
from bench.stage import Stage, database, resident_megabytes, web, worker

GOAL_HELP_SECONDS = 0.5
REPETITIONS = 5


def run(on: Stage, *, quick: bool = False) -> None:
    """Start each a few times and print the medians."""
    times = 1 if quick else REPETITIONS
    with database(on, "start") as url:
        helped = middle(timed(say_help) for _ in range(times))
        ready = middle(timed(lambda: start_web(on, url)) for _ in range(times))
        with web(on, url) as (serving, _), worker(on, url) as working:
            time.sleep(2 if quick else 5)
            memory = (resident_megabytes(serving), resident_megabytes(working))
    say("start: the median of a few starts")
    table(
        "",
        ("", "figure", "goal"),
        (
            (
                "python -m bot --help",
                milliseconds(helped),
                goal("under 500 ms", helped < GOAL_HELP_SECONDS),
            ),
            ("web, until /readyz", milliseconds(ready), ""),
            ("web, memory idle", f"{memory[0]:.0f} MB", goal("under 80 MB", memory[0] < 80)),
            ("worker, memory idle", f"{memory[1]:.0f} MB", ""),
        ),
    )


def timed(do: Callable[[], float | None]) -> float:
    """Return how long something took: as it says, else as the clock does."""
    began = time.perf_counter()
    told = do()
    return time.perf_counter() - began if told is None else told


def say_help() -> None:
    """Ask the command line what it can do."""
    subprocess.run([sys.executable, "-m", "bot", "--help"], check=True, capture_output=True)


def start_web(on: Stage, url: str) -> float:
    """Start the web process and return the seconds until it was ready, without its stop."""
    began = time.perf_counter()
    with web(on, url):
        return time.perf_counter() - began
