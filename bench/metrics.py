"""How soon the API and the pages answer, on two years of a large organisation."""

import asyncio
import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from pydantic import SecretStr

from bench.data import Size, fill, settle
from bench.report import goal, milliseconds, quantile, say, table
from bench.stage import Stage, database, web
from bot.settings import Settings
from bot.web.accounts import create_user
from bot.web.auth import cookie_name
from bot.web.pages.filters import DEFAULT_PERIOD
from bot.web.sessions import start_session
from bot.web.tokens import access_token
from models.store import engine

REPETITIONS = 30
KEY = "bench-key-of-32-characters-length"
SMALL = Size(repositories=10, deployments=2_000, changes=5_000, incidents=200)


@dataclass(frozen=True)
class Question:
    """A request, and the seconds its 95th percentile should stay under."""

    name: str
    path: str
    goal_seconds: float
    days: int

    def target(self, today: datetime) -> str:
        """Return path and query."""
        start = today - timedelta(days=self.days - 1)
        first, last = ("start_date", "end_date") if self.path == API else ("start", "end")
        query = {first: f"{start:%Y-%m-%d}", last: f"{today:%Y-%m-%d}"}
        return f"{self.path}?{urlencode(query)}"


API = "/api/v1/metrics/dora"
PAGES = (
    *("/delivery", "/delivery/deployment-frequency", "/delivery/change-lead-time"),
    *("/delivery/stability", "/pull-requests", "/pull-requests/groups", "/people", "/incidents"),
)
QUESTIONS = (
    Question("API, all of dora, 90 days", API, 0.060, 90),
    Question("API, all of dora, 2 years", API, 0.300, 730),
    *(Question(f"{path}, as it opens", path, 0.150, DEFAULT_PERIOD) for path in PAGES),
    *(Question(f"{path}, 90 days", path, 0.150, 90) for path in PAGES),
)


def run(on: Stage, *, quick: bool = False) -> None:
    """Make the data, ask 30 times each in turn, print."""
    size = SMALL if quick else Size()
    settings = Settings(secret_key=SecretStr(KEY))
    now = datetime.now(UTC)
    with database(on, "metrics") as url:
        began = time.monotonic()
        token, session = asyncio.run(filled(url, settings, now, size))
        made = time.monotonic() - began
        headers = {
            "authorization": f"Bearer {token}",
        }
        page = {"cookie": f"{cookie_name(settings)}={session}"}
        took: dict[str, list[float]] = {question.name: [] for question in QUESTIONS}
        with web(on, url) as (_, port), connection(port) as ask:
            for _ in range(5 if quick else REPETITIONS):
                for question in QUESTIONS:
                    sent = headers if question.path == API else page
                    began = time.perf_counter()
                    ask.request("GET", question.target(now), headers=sent)
                    answer = ask.getresponse()
                    body = answer.read()
                    took[question.name].append(time.perf_counter() - began)
                    assert answer.status == 200, (answer.status, body[:500])
    print_figures(size, made, took)


async def filled(url: str, settings: Settings, now: datetime, size: Size) -> tuple[str, str]:
    """Make the data and a person of the organisation; return their JWT and their session."""
    opened = engine(url, pool_size=2, name="bench")
    try:
        async with opened.begin() as db:
            await fill(db, now, size)
        async with opened.connect() as db:
            await settle(await db.execution_options(isolation_level="AUTOCOMMIT"))
        async with opened.begin() as db:
            user = await create_user(db, "lead@example.com", organization="bench")
            return access_token(settings, user.id), await start_session(
                db, user.id, instead_of=None
            )
    finally:
        await opened.dispose()


@contextmanager
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    """Open one keep-alive connection."""
    opened = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        yield opened
    finally:
        opened.close()


def print_figures(size: Size, made: float, took: dict[str, list[float]]) -> None:
    """Print the quantiles with their goals."""
    say(
        f"metrics: {size.deployments:,} deployments, {size.changes:,} pull requests, "
        f"{size.incidents:,} incidents, {size.days} days, {size.repositories} repositories "
        f"(made in {made:.0f} s); times as the client saw them"
    )
    table(
        "",
        ("request", "times", "least", "p50", "p95", "goal for p95"),
        (
            (
                question.name,
                str(len(took[question.name])),
                milliseconds(min(took[question.name])),
                milliseconds(quantile(took[question.name], 0.5)),
                milliseconds(quantile(took[question.name], 0.95)),
                goal(
                    f"under {milliseconds(question.goal_seconds)}",
                    quantile(took[question.name], 0.95) < question.goal_seconds,
                ),
            )
            for question in QUESTIONS
        ),
    )
