"""A real Chromium against the real app on a real Postgres and Redis.

Without a Chromium these tests are skipped with the reason; VEELOCITY_REQUIRE_BROWSER=1 makes that
a failure.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.schema import migrate
from bot.web.auth import create_user, sign_in_link
from models.store import engine
from tests.browser import seeds

ROOT = Path(__file__).parents[2]
USUAL = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_SECONDS = 30
SLACK_SECRET = "of-the-tests-and-slack"
T = TypeVar("T")


def chromium() -> str | None:
    """Return a Chromium: CHROMIUM, else one on the PATH, else None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, USUAL)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser, and put it last: Playwright's loop would stop other tests' own."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: here in item.path.parents)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Say which Chromium to start, and how."""
    found = chromium()
    if found is None:
        if os.environ.get("VEELOCITY_REQUIRE_BROWSER") == "1":
            pytest.fail("VEELOCITY_REQUIRE_BROWSER=1, and no Chromium was found")
        pytest.skip("no Chromium was found: set CHROMIUM, or install one")
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    return {"executable_path": found, "args": [*sandbox, "--disable-dev-shm-usage"]}


@pytest.fixture(scope="session")
def playwright(
    browser_type_launch_args: dict[str, Any], live_server: "LiveServer"
) -> Iterator[Playwright]:
    """Start Playwright, where there is a Chromium, and after everything that runs a loop."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def base_url(live_server: "LiveServer") -> str:
    """Let pages be opened by their path."""
    return live_server.url


@dataclass(frozen=True)
class LiveServer:
    """A running app. `ask` runs a question or a change against its database."""

    url: str
    database_url: str
    redis_url: str

    def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run a coroutine function with a connection, in a transaction of its own.

        In a thread, since Playwright runs a loop in this one.
        """
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(self.asked(question))).result()

    async def asked(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Connect, ask, commit."""
        pool = engine(self.database_url)
        try:
            async with pool.begin() as db:
                return await question(db)
        finally:
            await pool.dispose()


@contextmanager
def new_database(postgres_url: str) -> Iterator[str]:
    """Make a database of our own, migrated, for a while: that of other tests is emptied by them."""
    name = f"browser_{uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"create database {name}".encode())
    told = urlsplit(postgres_url)
    url = f"postgresql://{told.netloc}/{name}" + (f"?{told.query}" if told.query else "")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migrate, url).result()
    yield url
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="session")
def database(browser_type_launch_args: dict[str, Any], postgres_url: str) -> Iterator[str]:
    """The database of the app that all tests share."""
    with new_database(postgres_url) as url:
        yield url


@contextmanager
def started(server: LiveServer, kind: str, **more: str) -> Iterator[None]:
    """Start a process of the app (web or worker) for a while; `more` settings by their names."""
    told = {
        "DATABASE_URL": server.database_url,
        "REDIS_URL": server.redis_url,
        "SECRET_KEY": "a secret of the tests, long enough",
        "WEBHOOK_SECRET": "of-the-tests",
        "SLACK_SIGNING_SECRET": SLACK_SECRET,
        "PORT": server.url.rpartition(":")[2],
        "LOG_FORMAT": "console",
        **more,
    }
    command = [sys.executable, "-m", "bot", kind]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **told}) as process:
        try:
            if kind == "web":
                wait_for(f"{server.url}/static/0/app.css")
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def live_server(database: str, redis_url: str) -> Iterator[LiveServer]:
    """Start the app in a process of its own, with a small organisation in its tables."""
    server = LiveServer(f"http://127.0.0.1:{free_port()}", database, redis_url)
    server.ask(seeds.plant)
    with started(server, "web"):
        yield server


def wait_for(url: str) -> None:
    """Wait until an address answers."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own server
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="session")
def session_cookies(live_server: LiveServer) -> list[dict[str, Any]]:
    """Sign an admin in, once, by a real one-time link."""
    return signed_in(live_server)


def signed_in(server: LiveServer) -> list[dict[str, Any]]:
    """Return the cookies of an admin who signs in by a real one-time link."""
    token = server.ask(account)
    jar = urllib.request.HTTPCookieProcessor()
    urllib.request.build_opener(jar).open(f"{server.url}/sign-in/{token}").close()
    return [{"name": one.name, "value": one.value, "url": server.url} for one in jar.cookiejar]


async def account(db: AsyncConnection) -> str:
    """Make an admin of the organisation and a one-time link's token for them."""
    user = await create_user(db, "ada@example.org", organization="acme", role="admin")
    return await sign_in_link(db, user)


@pytest.fixture
def context(context: BrowserContext, session_cookies: Any) -> BrowserContext:
    """A browser in which an admin is signed in."""
    context.add_cookies(session_cookies)
    return context


@pytest.fixture
def console(page: Page) -> list[str]:
    """What the browser complains about: errors of scripts, and of the content policy."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else 0)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said
