"""Web and worker as processes of their own, and a sender that writes down what it was told."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.settings import Settings, environment
from models.store import engine as open_engine
from tests.rig import rig_of, signature
from tests.story import Delivery, Story, at
from tests.tables import Tables, emptied, tables

PATIENCE_SECONDS = 90
SECRET = "It's a Secret to Everybody"


def story(pull_requests: int = 60) -> list[Delivery]:
    """Write some months of work: four deliveries a pull request, and a deployment of every third.

    No order of deliveries is given: whatever comes when, the tables must end the same.
    """
    told = Story()
    told.baseline()
    for number in range(1, pull_requests + 1):
        month, day = 9 + number // 25, number % 25 + 1
        merged = at(f"{month:02}-{day:02} 10:00")
        told.pull_request(number, merged.replace(hour=8), merged, f"v{number}")
        if number % 3 == 0:
            told.deploy(f"v{number}", merged.replace(hour=11))
    return told.deliveries


def settings_of(postgres_url: str, redis_url: str | None) -> Settings:
    """Return the settings of both processes, on a port of their own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return Settings(
        database_url=SecretStr(postgres_url),
        redis_url=SecretStr(redis_url) if redis_url else None,
        secret_key=SecretStr("test-key-of-32-characters-length"),
        webhook_secret=SecretStr(SECRET),
        port=port,
    )


@dataclass
class Process:
    """`python -m bot web` or `worker`; what it logs is kept."""

    name: str
    settings: Settings
    log: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start, or start again."""
        known = {name: value for name, value in environment(self.settings).items() if value}
        with self.log.open("ab") as log:
            self.running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "bot", self.name],
                    env=os.environ | known | {"LOG_FORMAT": "json"},
                    stdout=log,
                    stderr=log,
                )
            )

    def kill(self) -> None:
        """Kill it as the kernel does, without a word."""
        self.running[-1].kill()
        self.running[-1].wait()

    def stop(self) -> int:
        """Ask it to end, and wait; return its exit code."""
        process = self.running[-1]
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()


@dataclass
class House:
    """The processes over one store, and a way to ask it."""

    settings: Settings
    web: Process
    worker: Process
    engine: AsyncEngine
    client: httpx.AsyncClient
    told: dict[str, list[int | str]] = field(default_factory=dict)

    async def ready(self) -> None:
        """Wait until the web process answers."""
        await until(self.answers)

    async def answers(self) -> bool:
        """Tell whether the web process answers."""
        with suppress(httpx.TransportError):
            return (await self.client.get("/healthz")).status_code == 200
        return False

    async def send(self, number: int, delivery: Delivery) -> int | None:
        """Send one delivery and write down the answer; None: there was none."""
        event, payload = delivery
        body = to_json(payload)
        headers = {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": f"{number}",
            "x-hub-signature-256": signature(body, SECRET),
        }
        try:
            answer = await self.client.post("/webhooks/github", content=body, headers=headers)
        except httpx.TransportError as error:
            self.told.setdefault(f"{number}", []).append(type(error).__name__)
            return None
        self.told.setdefault(f"{number}", []).append(answer.status_code)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code

    async def send_until_kept(self, number: int, delivery: Delivery) -> None:
        """Send one delivery again and again, as who was told to come again does."""
        while await self.send(number, delivery) not in (200, 202):  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    async def load(self, deliveries: Sequence[Delivery], senders: int = 16) -> None:
        """Send deliveries from several senders at once, each until it is kept."""
        numbered = iter(enumerate(deliveries))

        async def sender() -> None:
            for number, delivery in numbered:
                await self.send_until_kept(number, delivery)

        await asyncio.gather(*(sender() for _ in range(senders)))

    async def ask(self, question: str, **bound: Any) -> list[Any]:
        """Ask, or change, the store."""
        async with self.engine.begin() as db:
            rows = await db.execute(text(question), bound)
            return list(rows.all()) if rows.returns_rows else []

    async def settled(self, count: int) -> None:
        """Wait until every delivery is settled and no job is left."""

        async def done() -> bool:
            rows = await self.ask(
                "select (select count(*) from deliveries where status = 'settled'),"
                " (select count(*) from jobs where status <> 'done')"
            )
            return [tuple(row) for row in rows] == [(count, 0)]

        await until(done)

    @property
    def kept(self) -> set[str]:
        """The deliveries that we were told are kept."""
        return {number for number, told in self.told.items() if {200, 202} & set(told)}


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await true():  # noqa: ASYNC110 - other processes make it so
            await asyncio.sleep(0.02)


@contextmanager
def processes(settings: Settings, folder: Path) -> Iterator[tuple[Process, Process]]:
    """Yield web and worker, not started yet; kill them in the end."""
    both = tuple(Process(name, settings, folder / f"{name}.log") for name in ("web", "worker"))
    try:
        yield both[0], both[1]
    finally:
        for each in both:
            for process in each.running:
                process.kill()
                process.wait()


@asynccontextmanager
async def house(settings: Settings, folder: Path) -> AsyncIterator[House]:
    """Yield processes that are not started yet, over a migrated store."""
    engine = open_engine(settings.postgres_url, pool_size=2, name="test")
    with processes(settings, folder) as (web, worker):
        async with httpx.AsyncClient(base_url=settings.public_url, timeout=30) as client:
            try:
                yield House(settings, web, worker, engine, client)
            finally:
                await engine.dispose()


async def undisturbed(settings: Settings, deliveries: Sequence[Delivery]) -> Tables:
    """Return the tables that deliveries leave where nothing goes wrong, and forget everything."""
    async with rig_of(settings) as rig:
        for number, (event, payload) in enumerate(deliveries):
            await rig.deliver(event, payload, delivery_id=f"{number}")
        await rig.settle()
        engine = rig.app.rest.state.engine
        found = await tables(engine)
        await emptied(engine)
        return found
