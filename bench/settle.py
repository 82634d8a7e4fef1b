"""How soon a delivery has changed the tables, and how fast one worker drains a backlog."""

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

from pydantic import SecretStr
from pydantic_core import to_json

from bench.bodies import widened
from bench.load import Letter, Order, letter
from bench.report import goal, milliseconds, say, table
from bench.stage import (
    SECRET,
    Stage,
    ask,
    connects,
    database,
    resident_megabytes,
    running,
    until,
    web,
    worker,
)
from bot.sample.staging import Stage as SampleStage
from bot.sample.staging import staged
from bot.sample.story import story
from bot.settings import Settings, environment

PER_SECOND = 200
CONNECTIONS = 8
FIRST = 20
GOAL_P99_SECONDS = 0.250
GOAL_PER_SECOND = 1000
DRAIN_SECONDS = 300

SETTLED = """
    select count(*) filter (where status in ('settled', 'ignored')) as settled,
           count(*) filter (where status in ('failed', 'parked')) as failed,
           count(*) filter (where status = 'received') as waiting,
           percentile_cont(0.5) within group (order by took),
           percentile_cont(0.99) within group (order by took),
           extract(epoch from max(settled_at) - min(settled_at))
      from (select *, extract(epoch from settled_at - received_at) as took from deliveries
             where id > {after}) d
"""
WAITING = "select exists (select from deliveries where status = 'received')"
JOBS = """
    select count(*) filter (where status = 'done'),
           count(*) filter (where status in ('waiting', 'running')),
           count(*) filter (where status = 'parked') from jobs
"""


@dataclass(frozen=True)
class Plan:
    """How long deliveries come steadily, and how many then wait together."""

    steady_seconds: int = 20
    backlog: int = 10_000


QUICK = Plan(steady_seconds=3, backlog=1_000)


@dataclass(frozen=True)
class Figures:
    """What the table says of some deliveries; durations in seconds."""

    settled: int
    failed: int
    waiting: int
    p50: float
    p99: float
    took: float


def run(on: Stage, *, quick: bool = False) -> None:
    """Deliver steadily beside a worker, then pile up a backlog and start one."""
    plan = QUICK if quick else Plan()
    with ExitStack() as stack:
        url = stack.enter_context(database(on, "settle"))
        told, letters = sample(on, url)
        log = on.home / "github.log"
        github = stack.enter_context(running([sys.executable, "-m", "bot.sample.stage"], told, log))
        until(lambda: connects(int(told["GITHUB_API_URL"].rpartition(":")[2])), github, log)
        more = {name: told[name] for name in ("APP_ID", "PRIVATE_KEY", "GITHUB_API_URL")}
        _, port = stack.enter_context(web(on, url, **more))
        steadily = plan.steady_seconds * PER_SECOND
        with worker(on, url, **more) as process:
            send(on, port, letters[:FIRST])
            wait(url, process)
            send(on, port, letters[FIRST:steadily], PER_SECOND)
            wait(url, process)
            steady, memory = figures(url, FIRST), resident_megabytes(process)
        (last,) = ask(url, "select max(id) from deliveries")
        send(on, port, letters[steadily : steadily + plan.backlog])
        with worker(on, url, **more) as process:
            wait(url, process)
            drained = figures(url, last)
            print_figures(steady, drained, memory, ask(url, JOBS))


def sample(on: Stage, url: str) -> tuple[dict[str, str], list[Letter]]:
    """Return the environment of a stand-in for GitHub's API, and its story as requests."""
    settings = Settings(
        database_url=SecretStr(url),
        veelocity_home=on.home,
        webhook_secret=SecretStr(SECRET),
        secret_key=SecretStr("bench-key-of-32-characters-length"),
    )
    told = environment(staged(settings, on.home))
    noted = SampleStage(on.home).note()
    return told, [
        letter("/webhooks/github", each.event, to_json(widened(each.payload)), SECRET)
        for each in story(noted.seed, noted.until).deliveries
    ]


def send(on: Stage, port: int, letters: list[Letter], per_second: float | None = None) -> None:
    """Send each letter once; all must be accepted."""
    seconds = len(letters) / per_second + 30 if per_second else 300
    result = on.drive(
        Order(port, letters, CONNECTIONS, seconds, per_second=per_second, most=len(letters))
    )
    assert result.statuses[202] == len(letters), result.statuses


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until nothing is left to settle."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while ask(url, WAITING)[0] and time.monotonic() < deadline:
        assert process.poll() is None, "the worker ended"
        time.sleep(0.25)


def figures(url: str, after: int) -> Figures:
    """Ask what became of the deliveries after one."""
    told = ask(url, SETTLED.format(after=after))
    return Figures(*(float(value or 0) for value in told))


def print_figures(
    steady: Figures, drained: Figures, memory: float, jobs: tuple[object, ...]
) -> None:
    """Print both, with their goals."""
    rate = drained.settled / drained.took if drained.took else 0
    say("settle: the sample's deliveries, as large as GitHub's, one worker that does the jobs too")
    table(
        "",
        ("", "settled", "failed", "p50", "p99", "settled/s", "goal"),
        (
            (
                f"{PER_SECOND} a second",
                f"{steady.settled:,.0f}",
                f"{steady.failed:,.0f}",
                milliseconds(steady.p50),
                milliseconds(steady.p99),
                "",
                goal("p99 under 250 ms", steady.p99 < GOAL_P99_SECONDS),
            ),
            (
                "backlog",
                f"{drained.settled:,.0f}",
                f"{drained.failed:,.0f}",
                "",
                "",
                f"{rate:,.0f}",
                goal("over 1,000/s", rate > GOAL_PER_SECOND),
            ),
        ),
    )
    done, left, parked = jobs
    say(f"Jobs: {done} done, {left} waiting, {parked} parked. Worker: {memory:.0f} MB.")
