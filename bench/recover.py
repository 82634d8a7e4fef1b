"""How fast missed deliveries are taken from GitHub's log, beside those that come by webhook."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from bench.bodies import in_turn
from bench.load import Order, letter
from bench.report import goal, milliseconds, say, table
from bench.stage import SECRET, Stage, ask, connects, database, free_port, running, until, web
from bot import logs
from bot.jobs.reconcile import Reconciled, reconcile
from bot.sample.staging import Stage as SampleStage
from bot.sample.story import story
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.vault import Vault
from models.store import engine

GOAL_SECONDS = 60.0
CONNECTIONS = 20
KEPT = "select count(*), count(*) filter (where via = 'recovered') from deliveries"


@dataclass(frozen=True)
class Plan:
    """How many were missed: as many as GitHub sends a busy organisation in a day."""

    missed: int = 7000


QUICK = Plan(missed=300)


def run(on: Stage, *, quick: bool = False) -> None:
    """Let deliveries fail, take them from the log, and take as many by webhook."""
    plan = QUICK if quick else Plan()
    logs.configure("json", "WARNING")
    with ExitStack() as stack:
        url = stack.enter_context(database(on, "recover"))
        port = stack.enter_context(log_of(on, plan.missed))
        started, cpu = time.perf_counter(), time.process_time()
        came_to = asyncio.run(recovered(on, url, port))
        seconds, own = time.perf_counter() - started, time.process_time() - cpu
        assert came_to.recovered == plan.missed, came_to
        again = asyncio.run(recovered(on, url, port))
        assert again.missed == 0, again
        webhooks = by_webhook(on, stack, url, plan.missed)
        total, taken = ask(url, KEPT)
        assert (total, taken) == (2 * plan.missed, plan.missed), "one was lost, or kept twice"
    print_figures(plan, seconds, own, webhooks)


@contextmanager
def log_of(on: Stage, missed: int) -> Iterator[int]:
    """Run a GitHub whose log holds so many failures."""
    port, log = free_port(), on.home / "delivery_log.log"
    environment = {"PATH": os.defpath, "PORT": str(port), "COUNT": str(missed)}
    with running([sys.executable, "-m", "bench.delivery_log"], environment, log) as process:
        until(lambda: connects(port), process, log)
        yield port


async def recovered(on: Stage, url: str, port: int) -> Reconciled:
    """Read the log once, as a worker does."""
    settings = Settings(
        database_url=SecretStr(url),
        secret_key=SecretStr("bench-key-of-32-characters-length"),
        app_id=99,
        private_key=SecretStr(SampleStage(on.home).key()),
        github_api_url=f"http://127.0.0.1:{port}",
    )
    opened = engine(url, pool_size=settings.database_pool_size, name="recover")
    try:
        return await reconcile(Surroundings(settings, opened, None, Vault(settings.secret_keys)))
    finally:
        await opened.dispose()


def by_webhook(on: Stage, stack: ExitStack, url: str, count: int) -> float:
    """Deliver as many to the web process; return the seconds that took."""
    _, port = stack.enter_context(web(on, url))
    letters = [
        letter("/webhooks/github", event, body, SECRET)
        for event, body in in_turn(story().deliveries)
    ]
    result = on.drive(Order(port, letters, CONNECTIONS, seconds=120, most=count))
    return result.seconds


def print_figures(plan: Plan, seconds: float, own: float, webhooks: float) -> None:
    """Print rates and the goal."""
    say(f"recover: {plan.missed:,} deliveries that GitHub's log shows as failed (13 and 24 kB)")
    rows = [
        ("from GitHub's log", seconds, f"{own:.1f} s"),
        (f"by webhook, {CONNECTIONS} connections", webhooks, ""),
    ]
    table(
        "",
        ("", "deliveries/s", "each", "in all", "of our CPU"),
        (
            (
                name,
                f"{plan.missed / took:,.0f}",
                milliseconds(took / plan.missed),
                f"{took:.1f} s",
                cpu,
            )
            for name, took, cpu in rows
        ),
    )
    say(f"Goal: {goal('7,000 in a minute', seconds / plan.missed * 7000 < GOAL_SECONDS)}.")
