"""What a rule of deployments would count, beside what counts now: nothing of it is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

DAYS = 90
MOST_SHOWN = 20

MERGES = text("""
    select count(*) from pull_requests
     where repository_id = :repository and base_is_default and merged_at >= :since
       and merge_commit_sha is not null
""")


@dataclass(frozen=True)
class Counts:
    """The deployments of a service by kind; `new` has those that mend something (rollforward).

    `counted`: baseline, new and rollback. `failed`: attempts that did not succeed.
    """

    service: str
    environment_class: str
    counted: int
    baseline: int
    new: int
    rollback: int
    redeploy: int
    failed: int


@dataclass(frozen=True)
class Heard:
    """The successes that one source told of one environment; how many count now, and would."""

    source: str
    environment: str
    told: int
    counted_now: int
    counted_then: int


@dataclass(frozen=True)
class Differing:
    """A deployment to production that counts under one of two rules only; `reason`: why not."""

    id: str
    service: str
    environment: str
    source: str
    sha: str
    ref: str | None
    finished_at: datetime
    url: str | None
    reason: str | None


@dataclass(frozen=True)
class Preview:
    """What a rule would count of a repository's last `days`, beside what counts now.

    `counted_now`, `counted_then`: deployments to production. `gained`, `lost`: the newest that
    newly would count, or would no longer, of `gained_count` and `lost_count`.
    """

    days: int
    since: datetime
    counted_now: int
    counted_then: int
    services: Sequence[Counts]
    heard: Sequence[Heard]
    gained: Sequence[Differing]
    gained_count: int
    lost: Sequence[Differing]
    lost_count: int


async def merges_since(db: AsyncConnection, repository_id: str, since: datetime) -> int:
    """Count the merges to the default branch since a time, which may stand for deployments."""
    bound = {"repository": repository_id, "since": since}
    return int((await db.execute(MERGES, bound)).scalar() or 0)
