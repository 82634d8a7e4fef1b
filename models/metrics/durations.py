"""How durations spread: the questions that every metric of seconds asks of its rows."""

from typing import TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Bucket, Rows, Window, ask, by_bucket

SERIES = """
select width_bucket(at, cast(:starts as timestamptz[])) as place, count(*) as count,
       percentile_cont(array[0.5, 0.9]) within group (order by value) as percentiles
from rows where counted group by place
"""

BY_REPOSITORY = """
select parts.*, r.full_name as repository
from (select repository_id, count(*) as count, avg(value) as mean,
             percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by value)
                 as percentiles
      from rows where counted group by repository_id) parts
left join repositories r on r.id = repository_id order by repository, repository_id
"""


class Median(TypedDict):
    """A median and of how many."""

    median_seconds: float | None
    count: int


class Seconds(TypedDict):
    """Percentiles and mean of some durations, in seconds."""

    median_seconds: float | None
    p50_seconds: float | None
    p75_seconds: float | None
    p90_seconds: float | None
    p95_seconds: float | None
    mean_seconds: float | None


class Percentiles(Seconds):
    """How durations spread, in seconds; None without data."""

    count: int


class DurationBucket(TypedDict):
    """The durations of one day, week or month, by its first day."""

    start_date: str
    p50_seconds: float | None
    p90_seconds: float | None
    count: int


class RepositoryDurations(Percentiles):
    """One repository's part."""

    repository_id: str
    repository: str | None


def percentiles(row: RowMapping) -> Percentiles:
    """What Postgres says of one set of durations."""
    p50, p75, p90, p95 = row["percentiles"] or (None,) * 4
    return Percentiles(
        median_seconds=p50,
        p50_seconds=p50,
        p75_seconds=p75,
        p90_seconds=p90,
        p95_seconds=p95,
        mean_seconds=row["mean"],
        count=row["count"],
    )


async def duration_series(
    db: AsyncConnection, rows: Rows, window: Window, bucket: Bucket
) -> list[DurationBucket]:
    """Counted durations by day, week or month; a bucket without any has no values."""
    parts = await by_bucket(db, rows, SERIES, window, bucket)
    return [duration_bucket(day, row) for day, row in parts]


def duration_bucket(start_date: str, row: RowMapping | None) -> DurationBucket:
    """One bucket; None is an empty one."""
    p50, p90 = row["percentiles"] if row else (None, None)
    count = row["count"] if row else 0
    return DurationBucket(start_date=start_date, p50_seconds=p50, p90_seconds=p90, count=count)


async def durations_by_repository(db: AsyncConnection, rows: Rows) -> list[RepositoryDurations]:
    """Each repository with counted durations, by name."""
    answer = await ask(db, rows, BY_REPOSITORY)
    return [
        RepositoryDurations(
            repository_id=row["repository_id"], repository=row["repository"], **percentiles(row)
        )
        for row in answer.mappings()
    ]
