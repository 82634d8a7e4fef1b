"""`sync_linear`: what Linear knows and did not tell, by the same rows as webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.clients.linear import Linear, RateLimited
from bot.clients.linear_tokens import linear_for
from bot.connectors import linear as reading
from bot.connectors.protocol import Wish
from bot.jobs import PutOff, Surroundings, job
from bot.jobs.syncing import run_sync, since_last
from handlers.schedules import CHANGES, FULL
from models.queue import ClaimedJob
from models.syncing import interrupted_sync


@asynccontextmanager
async def speaking(
    surroundings: Surroundings, organization_id: str
) -> AsyncIterator[Linear | None]:
    """Open a line for a job; raises `PutOff` where Linear limits us."""
    try:
        async with linear_for(
            surroundings.engine, surroundings.settings, surroundings.vault, organization_id
        ) as linear:
            yield linear
    except RateLimited as limited:
        raise PutOff(limited.until, str(limited)) from None


@job
async def sync_linear(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read a workspace: people, teams, projects, cycles, labels, issues."""
    wish = Wish(str(claimed.organization_id))
    full = bool(claimed.arguments.get("full")) or await unread(surroundings, wish)
    if not full:
        wish = await since_last(surroundings, reading, wish, (FULL, CHANGES))
    name = CHANGES if wish.since else FULL
    await run_sync(surroundings, reading, wish, name)


async def unread(surroundings: Surroundings, wish: Wish) -> bool:
    """Tell whether a full reading was interrupted: it is gone on with before anything else."""
    async with surroundings.engine.connect() as db:
        return bool(await interrupted_sync(db, wish.organization_id, "linear", FULL))
