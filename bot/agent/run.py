"""One run, state by state: the only file that knows the order.

Whatever a state needs is in the store before the next one begins, and every side effect is keyed
(branch, marker, head commit), so that a run taken up again after its worker died finds what the
dead one made.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot import metrics
from bot.agent import ending
from bot.agent.folders import forget_run
from bot.agent.place import Place, opened
from bot.agent.preparing import read_instructions
from bot.agent.retiring import warn_of_retiring_models
from bot.agent.states import develop, gate, plan, publish, set_up, validate
from bot.surroundings import Surroundings
from models import runs
from models.errors import Refused
from models.runs import ENDED, TRIES, RunState

log = structlog.get_logger()

LOOK_SECONDS = 0.5
BEAT_SECONDS = 2.0
REST_SECONDS = 5.0

Last = tuple[RunState, str | None]
State = Callable[[Place], Awaitable[RunState]]
ORDER: dict[str, State] = {
    RunState.SETUP: set_up,
    RunState.PLANNING: plan,
    RunState.DEVELOPING: develop,
    RunState.VALIDATING: validate,
    RunState.GATING: gate,
    RunState.PUBLISHING: publish,
}
"""What is done in each state; it tells the next one."""


@dataclass
class Runs:
    """The runs of one worker: as many at once as the settings allow, one a repository."""

    surroundings: Surroundings
    going: set[asyncio.Task[None]] = field(default_factory=set)

    async def work(self) -> None:
        """Take up runs that are due, for ever; when cancelled, let go of those at work."""
        warning = asyncio.create_task(warn_of_retiring_models(self.surroundings.settings))
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            ending = (warning, *self.going)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def look(self) -> None:
        """Take up what is due, as far as there are hands free; the store may be away."""
        try:
            while len(self.going) < self.surroundings.settings.agent_concurrency:
                claimed = await claim(self.surroundings)
                if claimed is None:
                    return
                task = asyncio.create_task(carry(self.surroundings, claimed))
                self.going.add(task)
                task.add_done_callback(self.going.discard)
        except (SQLAlchemyError, OSError) as error:
            log.warning("runs_not_claimed", error=str(error)[:500])
            await asyncio.sleep(REST_SECONDS)


async def claim(surroundings: Surroundings) -> dict[str, Any] | None:
    """Claim the run that is due; None where there is none, or another worker was faster."""
    with contextlib.suppress(IntegrityError):
        async with surroundings.engine.begin() as db:
            claimed = await runs.claim_run(db)
        return dict(claimed) if claimed else None
    return None


async def develop_one(surroundings: Surroundings) -> int | None:
    """Claim the run that is due and carry it to its end here; its id, None where none is due."""
    claimed = await claim(surroundings)
    if claimed is None:
        return None
    await carry(surroundings, claimed)
    return int(claimed["id"])


async def carry(surroundings: Surroundings, claimed: dict[str, Any]) -> None:
    """Carry a claimed run on from the state it is in, under its lease, until it ends or is stopped.

    Who is told to stop lets go of the run; it is taken up again at once by another worker.
    """
    run_id, started = int(claimed["id"]), time.monotonic()
    log.info("run_taken_up", run=run_id, state=claimed["state"], attempt=claimed["attempts"])
    going = asyncio.create_task(through(surroundings, claimed))
    watch = asyncio.create_task(watched(surroundings, run_id, going))
    try:
        await asyncio.wait({going})
        if going.cancelled() and watch.done() and watch.result() == "stopped":
            await ending.stopped(surroundings, run_id)
        elif not going.cancelled() and (error := going.exception()):
            await ending.failed(surroundings, run_id, error)
        elif not going.cancelled() and (last := going.result()):
            await ending.end(surroundings, run_id, *last)
    except asyncio.CancelledError:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        await let_go(surroundings, run_id)
        raise
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    await counted(surroundings, run_id, time.monotonic() - started)


async def through(surroundings: Surroundings, claimed: dict[str, Any]) -> Last | None:
    """Go through the states of a run; return its last one and why, None where it waits for people.

    Its end is not said in here: the watch takes a run that has ended for one that was lost.
    """
    if claimed["attempts"] > TRIES:
        raise Refused(f"Its worker ended {TRIES} times while it ran, so it was given up.")
    async with opened(surroundings, claimed) as place:
        if place.state != RunState.SETUP:
            await read_instructions(place)
        while place.state in ORDER:
            following = await ORDER[place.state](place)
            if following in ENDED:
                return following, place.why
            await place.move(following)
        await place.board.show()
    return None


async def watched(surroundings: Surroundings, run_id: int, going: asyncio.Task[Any]) -> str:
    """Keep a run's lease; end its work when somebody asked for that, or when it is not ours."""
    while True:
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with surroundings.engine.begin() as db:
                asked = await runs.beat(db, run_id)
            if asked is not False:
                going.cancel()
                return "lost" if asked is None else "stopped"
        await asyncio.sleep(BEAT_SECONDS)


async def let_go(surroundings: Surroundings, run_id: int) -> None:
    """Let another worker take a run up at once."""
    with contextlib.suppress(SQLAlchemyError, OSError):
        async with surroundings.engine.begin() as db:
            await runs.give_back(db, run_id)


async def counted(surroundings: Surroundings, run_id: int, seconds: float) -> None:
    """Count a run that has ended, for Prometheus, and delete its folders."""
    async with surroundings.engine.connect() as db:
        ended = await runs.run(db, run_id)
    if ended and ended["state"] in ENDED:
        metrics.ran(ended["state"], seconds, ended["cost_usd"])
        with contextlib.suppress(Refused):
            await forget_run(surroundings.settings, run_id)
