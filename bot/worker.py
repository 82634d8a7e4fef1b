"""The worker: lanes that drain what Postgres holds, woken by arq or by the sweeper."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from arq.cron import cron
from arq.worker import Worker, func
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import deliveries, metrics
from bot.agent.run import Runs
from bot.jobs import Surroundings, register, work
from bot.jobs.digests import queue_digests
from bot.jobs.linear_outcomes import queue_outcomes
from bot.jobs.reconcile import keep_reconciling
from bot.jobs.schedule import queue_syncs
from bot.live import publish
from bot.queue import AGENT, HISTORY, INGEST, JOBS, SYNC, arq
from models.missed import forget_missed
from models.queue import find_homes, forget_jobs
from models.slack_chatter import forget_chatter
from models.subscribing import forget_notices
from models.sync_states import forget_sync_logs
from models.users import forget_expired

log = structlog.get_logger()

SWEEP_SECONDS = 15.0
JOBS_TOGETHER, HISTORIES_TOGETHER, SYNCS_TOGETHER = 4, 2, 4
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, STEADY_SECONDS = 0.5, 15.0, 10.0


@dataclass
class Lane:
    """One kind of work, drained whenever somebody says that there is some, and at every sweep.

    `drain` does a batch and tells whether there may be more.
    """

    name: str
    drain: Callable[[], Awaitable[bool]]
    sweep_seconds: float = SWEEP_SECONDS
    due: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Drain for ever; a failure is logged and tried again, it never ends the lane."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.sweep_seconds):
                    await self.due.wait()
            self.due.clear()
            try:
                while await self.drain():
                    pass
            except (SQLAlchemyError, OSError) as error:
                log.warning("lane_stopped", lane=self.name, error=str(error)[:500])
                await asyncio.sleep(1)
                self.due.set()
            except Exception:
                log.exception("lane_failed", lane=self.name)
                await asyncio.sleep(5)
                self.due.set()


@dataclass
class Workshop:
    """The lanes of one worker, over one store."""

    surroundings: Surroundings
    sweep_seconds: float = SWEEP_SECONDS
    lanes: dict[str, Lane] = field(init=False)

    def __post_init__(self) -> None:
        self.lanes = {
            INGEST: Lane(INGEST, self.settle, self.sweep_seconds),
            JOBS: Lane(JOBS, self.work, self.sweep_seconds),
            AGENT: Lane(AGENT, self.assist, self.sweep_seconds),
            HISTORY: Lane(HISTORY, self.read_history, self.sweep_seconds),
            SYNC: Lane(SYNC, self.synchronise, self.sweep_seconds),
        }

    def wake(self, lane: str = INGEST) -> None:
        """Say that a lane has work."""
        if lane in self.lanes:
            self.lanes[lane].due.set()

    async def settle(self) -> bool:
        """Settle a batch of deliveries, wake the jobs they led to, tell open pages."""
        letters = await deliveries.settle(self.engine)
        if any(letter.decided and letter.decided.jobs for letter in letters):
            self.wake(JOBS)
            self.wake(AGENT)
            self.wake(HISTORY)
        for home in {letter.organization_id for letter in letters} - {None}:
            await self.tell(str(home), "delivery")
        return bool(letters)

    async def work(self) -> bool:
        """Work on a few jobs at once; tell whether there were any."""
        return await work(self.surroundings, INGEST, JOBS_TOGETHER)

    async def assist(self) -> bool:
        """Work on a few of the agent's errands: who asked, reactions, follow-ups."""
        return await work(self.surroundings, AGENT, JOBS_TOGETHER)

    async def read_history(self) -> bool:
        """Read what was before we came, of a few repositories at once.

        Each may take hours, so that these are apart from the jobs that follow from webhooks.
        """
        busy = await work(self.surroundings, HISTORY, HISTORIES_TOGETHER)
        if busy:
            self.wake(JOBS)
        return busy

    async def synchronise(self) -> bool:
        """Read what changed at a few sources at once: no history may keep that waiting."""
        busy = await work(self.surroundings, SYNC, SYNCS_TOGETHER)
        if busy:
            self.wake(JOBS)
        return busy

    async def schedule(self) -> None:
        """Order the readings that are due, and say so."""
        async with self.engine.begin() as db:
            due = await queue_syncs(db, datetime.now(UTC))
        if due:
            self.wake(SYNC)

    async def tell(self, organization_id: str, event: str) -> None:
        """Tell open pages that something changed; they live without it."""
        with contextlib.suppress(RedisError, OSError):
            await publish(self.surroundings.redis, organization_id, event)

    async def sweep(self) -> None:
        """Tidy up every 15 seconds; needs Postgres."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            with contextlib.suppress(SQLAlchemyError, OSError):
                await self.tidy()

    async def tidy(self) -> None:
        """Look for homes of deliveries, forget what expired, order what is due to be told."""
        async with self.engine.begin() as db:
            await forget_expired(db)
            await forget_jobs(db)
            if await find_homes(db):
                self.wake(INGEST)
        async with self.engine.begin() as db:
            await forget_chatter(db)
        async with self.engine.begin() as db:
            await forget_notices(db)
            if await queue_digests(db, datetime.now(UTC)):
                self.wake(JOBS)
        async with self.engine.begin() as db:
            if await queue_outcomes(db):
                self.wake(AGENT)
        async with self.engine.begin() as db:
            await forget_missed(db)
            await forget_sync_logs(db)
        await self.schedule()

    @property
    def engine(self) -> AsyncEngine:
        """The store's engine."""
        return self.surroundings.engine

    async def run(self, redis_url: str | None) -> None:
        """Run all lanes until cancelled; with Redis, listen to its hints as well.

        The collector is told not to look again and again at what was imported: that took half of
        the time of deriving a large repository.
        """
        register()
        gc.freeze()
        for lane in self.lanes.values():
            lane.due.set()
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes.values():
                group.create_task(lane.run(), name=f"lane {lane.name}")
            group.create_task(self.sweep(), name="sweeper")
            group.create_task(keep_reconciling(self.surroundings, self.wake), name="delivery log")
            group.create_task(metrics.watch(self.engine, self.surroundings.redis), name="metrics")
            group.create_task(Runs(self.surroundings).work(), name="runs")
            if redis_url:
                group.create_task(listen(redis_url, self), name="hints")


async def wake(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
    """Arq's one function: a hint that lanes have work."""
    for lane in args:
        ctx["workshop"].wake(lane)


async def scheduled(ctx: dict[Any, Any]) -> None:
    """Arq's clock: each minute one of the workers looks what is due. The sweeper does without."""
    with contextlib.suppress(SQLAlchemyError, OSError):
        await ctx["workshop"].schedule()


async def listen(redis_url: str, workshop: Workshop) -> None:
    """Keep heeding hints: arq's worker ends when Redis goes away, so it is started again."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        started = time.monotonic()
        try:
            await heed(redis_url, workshop)
        except (RedisError, OSError) as error:
            log.warning("redis_away", error=str(error)[:300])
        except Exception:
            log.exception("hints_failed")
        steady = time.monotonic() - started > STEADY_SECONDS
        pause = FIRST_PAUSE_SECONDS if steady else min(pause * 2, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)


async def heed(redis_url: str, workshop: Workshop) -> None:
    """Run one arq worker until Redis goes away, and leave nothing of it behind."""
    async with arq(redis_url) as redis:
        worker = Worker(
            functions=[func(wake, name="wake")],
            cron_jobs=[cron(scheduled, name="scheduled", second=0, keep_result=0)],
            redis_pool=redis,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
            ctx={"workshop": workshop},
            poll_delay=0.05,
            keep_result=0,
            max_jobs=50,
            handle_signals=False,
            health_check_interval=3600,
        )
        try:
            await worker.async_run()
        finally:
            for task in worker.tasks.values():
                task.cancel()
            await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
