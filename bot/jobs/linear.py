"""`sync_linear`: what Linear knows and did not tell, by the same rows as webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.clients.linear import Linear, RateLimited
from bot.clients.linear_tokens import linear_for
from bot.connectors import linear
from bot.connectors.protocol import Wish
from bot.jobs import PutOff, Surroundings, job
from bot.jobs.schedule import read
from models.queue import ClaimedJob


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
    await read(surroundings, linear, wish, full=bool(claimed.arguments.get("full")))
