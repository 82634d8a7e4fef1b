"""`link_issues`: tie issues of GitHub and Linear to the pull requests that close them."""

import contextlib
from collections.abc import Iterator, Sequence

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs import Surroundings, job
from bot.live import publish
from models import issue_links
from models.issue_times import issues_of, measure_issues
from models.queue import ClaimedJob

TOGETHER = 2000


@job
async def link_issues(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Link what changed in a repository, or in Linear where none is named.

    The links are a function of what is remembered, so any order of orders leaves the same ones.
    """
    organization_id = claimed.organization_id
    if organization_id is None:
        return
    async with surroundings.engine.begin() as db:
        await issue_links.lock(db, organization_id)
        changed = await link(db, organization_id, claimed)
    if changed:
        with contextlib.suppress(RedisError, OSError):
            await publish(surroundings.redis, organization_id, "change")


async def link(db: AsyncConnection, organization_id: str, claimed: ClaimedJob) -> int:
    """Link in the caller's transaction; return how many links changed."""
    repository = claimed.arguments.get("repository")
    if repository is None:
        issues = await issue_links.changed_linear_issues(db, organization_id, claimed.since)
        linked = [await issue_links.link_issues(db, some) for some in portions(issues)]
        await measure_issues(db, organization_id, issues)
        return sum(linked)
    since = None if claimed.arguments.get("all") else claimed.since
    place = (organization_id, str(repository), since)
    pulls = await issue_links.changed_pull_requests(db, *place)
    issues = await issue_links.changed_issues(db, *place)
    before = await issues_of(db, pulls)
    linked = [await issue_links.link_pull_requests(db, some) for some in portions(pulls)]
    linked += [await issue_links.link_issues(db, some) for some in portions(issues)]
    after = await issues_of(db, pulls)
    await measure_issues(db, organization_id, sorted({*issues, *before, *after}))
    return sum(linked)


def portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids in portions that one statement takes."""
    for start in range(0, len(ids), TOGETHER):
        yield ids[start : start + TOGETHER]
