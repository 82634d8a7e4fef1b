"""Orders that need the network or time; each may run twice and looks before it creates."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import metrics
from bot.deliveries import patiently
from bot.surroundings import Surroundings
from models.errors import Refused
from models.queue import (
    LEASE_SECONDS,
    ClaimedJob,
    backoff,
    claim_jobs,
    finish_job,
    heartbeat,
    put_back,
)

__all__ = ["JOBS", "PutOff", "Surroundings", "job", "register", "work"]

log = structlog.get_logger()


class PutOff(Exception):  # noqa: N818 - it is a wish, not a bug
    """A job that must wait for a reason that is nobody's fault, such as a rate limit."""

    def __init__(self, until: datetime, why: str) -> None:
        super().__init__(why)
        self.until = until


Work = Callable[[Surroundings, ClaimedJob], Awaitable[None]]
JOBS: dict[str, Work] = {}


def job(function: Work) -> Work:
    """Register a job under its function's name."""
    JOBS[function.__name__] = function
    return function


@cache
def register() -> None:
    """Import every module of this package: whose functions are jobs registers them."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


async def work(surroundings: Surroundings, lane: str, together: int) -> bool:
    """Claim a few jobs of a lane and do them side by side; tell whether there were any."""
    register()
    async with surroundings.engine.begin() as db:
        claimed = await claim_jobs(db, lane, together)
    await asyncio.gather(*(do(surroundings, each) for each in claimed))
    return bool(claimed)


async def do(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Do one job under its lease; what fails is put back and tried again, then parked."""
    started = time.monotonic()
    beating = asyncio.create_task(beat(surroundings.engine, claimed.id))
    outcome = "done"
    try:
        await JOBS[claimed.name](surroundings, claimed)
        async with surroundings.engine.begin() as db:
            await finish_job(db, claimed.id)
    except asyncio.CancelledError:
        with contextlib.suppress(SQLAlchemyError, OSError):
            said = "its worker was told to stop"
            await put_back_now(surroundings.engine, claimed, said, 0, forgive=True)
        raise
    except PutOff as off:
        outcome = "put_off"
        seconds = max((off.until - datetime.now(UTC)).total_seconds(), 1)
        await back(surroundings.engine, claimed, str(off), seconds, forgive=True)
    except Refused as refusal:
        outcome = "refused"
        await back(surroundings.engine, claimed, str(refusal), backoff(claimed.attempts))
    except Exception as error:
        outcome = "failed"
        log.exception("job_failed", job=claimed.name, key=claimed.key, attempts=claimed.attempts)
        said = f"{type(error).__name__}: {error}"[:2000]
        await back(surroundings.engine, claimed, said, backoff(claimed.attempts))
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
    metrics.worked(claimed.name, outcome, time.monotonic() - started)


async def back(
    engine: AsyncEngine, claimed: ClaimedJob, why: str, seconds: float, *, forgive: bool = False
) -> None:
    """Put a job back, as soon as Postgres can be told."""
    await patiently(partial(put_back_now, engine, claimed, why, seconds, forgive=forgive))


async def put_back_now(
    engine: AsyncEngine, claimed: ClaimedJob, why: str, seconds: float, *, forgive: bool = False
) -> None:
    """Put a job back in a transaction of its own, and once more where one of its key came first."""
    for _ in range(2):
        with contextlib.suppress(IntegrityError):
            async with engine.begin() as db:
                await put_back(db, claimed, why, seconds, forgive=forgive)
            return


async def beat(engine: AsyncEngine, job_id: int) -> None:
    """Renew a job's lease for as long as it is worked on; Postgres may be away for a while."""
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with engine.begin() as db:
                await heartbeat(db, job_id)
