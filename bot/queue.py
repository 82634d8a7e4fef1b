"""The one place that speaks to arq: hints that a lane has work, which nothing depends on."""

import asyncio
from dataclasses import dataclass, field

import structlog
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.asyncio import Redis, from_url
from redis.exceptions import RedisError

log = structlog.get_logger()

INGEST, JOBS = "ingest", "jobs"
TOGETHER_SECONDS = 0.01


def redis_settings(url: str) -> RedisSettings:
    """Return arq's settings for a Redis address; it is not waited for when it is away."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_retries = 0
    settings.conn_timeout = 2
    return settings


def opened(url: str) -> Redis:
    """Open a client for a Redis address; it connects when it is first used."""
    client: Redis = from_url(url)  # type: ignore[no-untyped-call]
    return client


@dataclass
class Hints:
    """Sends one hint for all the work that came within ten milliseconds."""

    url: str
    due: asyncio.Event = field(default_factory=asyncio.Event)
    redis: ArqRedis | None = None
    silent: bool = False

    def hint(self) -> None:
        """Say that there is work; returns at once."""
        self.due.set()

    async def run(self) -> None:
        """Send hints as they fall due, for ever."""
        while True:
            await self.due.wait()
            await asyncio.sleep(TOGETHER_SECONDS)
            self.due.clear()
            await self.send()

    async def send(self) -> None:
        """Send one hint; the sweeper finds the work without it, so a failure is said only once."""
        try:
            if self.redis is None:
                self.redis = await create_pool(redis_settings(self.url))
            await self.redis.enqueue_job("wake", INGEST)
            self.silent = False
        except (RedisError, OSError) as error:
            if not self.silent:
                log.warning("hint_not_sent", error=str(error))
            self.silent, self.redis = True, None
