"""The one place that speaks to arq: hints that a lane has work, which nothing depends on."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import structlog
from arq.connections import ArqRedis
from pydantic_core import from_json, to_json
from redis.asyncio import Redis, from_url
from redis.exceptions import RedisError

log = structlog.get_logger()

INGEST, JOBS, AGENT, HISTORY, SYNC = "ingest", "jobs", "agent", "history", "sync"
TOGETHER_SECONDS, REST_SECONDS = 0.01, 0.04
PATIENCE_SECONDS = 5


def arq(url: str) -> ArqRedis:
    """Open arq's client for a Redis address; it connects when it is first used.

    Jobs are JSON: by default arq unpickles them, and so would run whatever is put into Redis.
    No `socket_timeout`: with one, redis-py may swallow a cancellation (before Python 3.12).
    """
    client: ArqRedis = ArqRedis.from_url(url, socket_connect_timeout=PATIENCE_SECONDS)
    client.job_serializer, client.job_deserializer = written, from_json
    return client


def written(job: dict[str, Any]) -> bytes:
    """Return one of arq's jobs as JSON."""
    return to_json(job, serialize_unknown=True)


def opened(url: str) -> Redis:
    """Open a client for a Redis address; it connects when it is first used."""
    client: Redis = from_url(url)  # type: ignore[no-untyped-call]
    return client


async def nudge(redis: Redis, *lanes: str) -> None:
    """Say that lanes have work, once; the sweeper finds it without."""
    told: ArqRedis = ArqRedis(connection_pool=redis.connection_pool)
    told.job_serializer = written
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await told.enqueue_job("wake", *lanes)


@dataclass
class Hints:
    """Sends one hint for all the work that came within ten milliseconds, 20 a second at most.

    The worker looks for hints no more often, and sending one costs as much as keeping several
    deliveries.
    """

    url: str
    due: asyncio.Event = field(default_factory=asyncio.Event)
    silent: bool = False

    def hint(self) -> None:
        """Say that there is work; returns at once."""
        self.due.set()

    async def run(self) -> None:
        """Send hints as they fall due, for ever."""
        async with arq(self.url) as redis:
            while True:
                await self.due.wait()
                await asyncio.sleep(TOGETHER_SECONDS)
                self.due.clear()
                await self.send(redis)
                await asyncio.sleep(REST_SECONDS)

    async def send(self, redis: ArqRedis) -> None:
        """Send one hint; the sweeper finds the work without it, so a failure is said only once."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await redis.enqueue_job("wake", INGEST)
            self.silent = False
        except (RedisError, OSError) as error:
            if not self.silent:
                log.warning("hint_not_sent", error=str(error))
            self.silent = True
