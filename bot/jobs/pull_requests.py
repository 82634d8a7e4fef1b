"""`measure_pull_requests`: how long the parts of pull requests took, from all that was told."""

from contextlib import suppress

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs import Surroundings, job
from bot.live import publish
from models import pull_request_times as times
from models.deriving import Home, home_of
from models.graph import SLACK
from models.issue_times import issues_of, measure_issues
from models.queue import ClaimedJob

TOGETHER = 1000


@job
async def measure_pull_requests(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Measure a repository's pull requests of which something was told since the job's `since`.

    Their times are a function of what is remembered, so that any order of orders leaves the same.
    """
    since = claimed.since - SLACK if claimed.since else None
    if claimed.arguments.get("all"):
        since = None
    async with surroundings.engine.begin() as db:
        home = await home_of(db, str(claimed.arguments["repository"]))
        if home is None:
            return
        ids = await times.touched(db, home.place, since)
        changed = await measured(db, home, ids)
    if changed:
        with suppress(RedisError, OSError):
            await publish(surroundings.redis, home.organization_id, "change")


async def measured(db: AsyncConnection, home: Home, ids: list[str]) -> int:
    """Measure pull requests, then their issues, in the caller's transaction; count what changed."""
    await times.lock(db, home.place.repository_id)
    portions = (ids[start : start + TOGETHER] for start in range(0, len(ids), TOGETHER))
    changed = [one for some in portions for one in await times.measure(db, some)]
    await measure_issues(db, home.organization_id, await issues_of(db, changed))
    return len(changed)
