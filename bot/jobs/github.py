"""`backfill` and `sync_github_…`: what GitHub knows and did not tell, by the rows of its webhooks.

A backfill reads the history of one repository, which nobody told of; a sync reads what changed in
all of them since the last time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from bot.connectors import github
from bot.connectors.github_reading import ACTIONS, HISTORY, PRS, REPOS
from bot.connectors.protocol import Wish
from bot.jobs import PutOff, Surroundings, job
from bot.jobs.syncing import run_sync, since_last
from handlers.github.installations import BACKFILL_DAYS
from models.backfilling import BACKFILL
from models.queue import ClaimedJob

FULL_DAYS = BACKFILL_DAYS
"""How far back everything is read at night: what is older does not change unheard."""

BUSY_SECONDS = 20
BUSY = "It is being read already."
LOCK = text("select pg_try_advisory_lock(hashtextextended(:key, 5))")
UNLOCK = text("select pg_advisory_unlock(hashtextextended(:key, 5))")


@job
async def backfill(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read the history of a repository since the job's time; with `all`, all that GitHub keeps."""
    since = None if claimed.arguments.get("all") else claimed.since
    home, repository = str(claimed.organization_id), str(claimed.arguments["repository"])
    await read_history(surroundings, home, repository, since)


async def read_history(
    surroundings: Surroundings, organization_id: str, repository_id: str, since: datetime | None
) -> int | None:
    """Read the history of a repository; return the number of its log, None without anybody to ask.

    Raises `PutOff` where GitHub limits us or it is being read already, and `Refused`.
    """
    wish = Wish(organization_id, HISTORY, since=since, repository_id=repository_id)
    async with alone(surroundings, f"{BACKFILL}:{repository_id}"):
        return await run_sync(surroundings, github, wish, BACKFILL)


@job
async def sync_github_repos(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read which repositories are open to us; the history of new ones is read after it."""
    await sync(surroundings, claimed, REPOS)


@job
async def sync_github_prs(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read the pull requests and issues that changed, with their reviews and comments."""
    await sync(surroundings, claimed, PRS)


@job
async def sync_github_actions(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Read the workflow runs, deployments and releases that are new."""
    await sync(surroundings, claimed, ACTIONS)


async def sync(surroundings: Surroundings, claimed: ClaimedJob, part: str) -> None:
    """Read a part of all repositories: what changed since the last time; with `full`, more."""
    wish = Wish(str(claimed.organization_id), part)
    full = Wish(wish.organization_id, part, since=datetime.now(UTC) - timedelta(days=FULL_DAYS))
    if not claimed.arguments.get("full"):
        wish = await since_last(surroundings, github, wish, (part,))
    async with alone(surroundings, f"{part}:{wish.organization_id}"):
        await run_sync(surroundings, github, wish if wish.since else full, part)


@asynccontextmanager
async def alone(surroundings: Surroundings, key: str) -> AsyncIterator[None]:
    """Let one process at a time read something; raise `PutOff` where another does."""
    async with surroundings.engine.connect() as db:
        autocommit = await db.execution_options(isolation_level="AUTOCOMMIT")
        if not await autocommit.scalar(LOCK, {"key": key}):
            raise PutOff(datetime.now(UTC) + timedelta(seconds=BUSY_SECONDS), BUSY)
        try:
            yield
        finally:
            await autocommit.execute(UNLOCK, {"key": key})
