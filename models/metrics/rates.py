"""Rates: which part of the counted rows has the value 1, the questions asked of such rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Bucket, Rows, Window, ask

SERIES = """
select cast(date_trunc(:bucket, at at time zone :time_zone) as date) as day,
       count(*) as count, sum(value) as part
from rows where counted group by day
"""

BY_REPOSITORY = """
select parts.*, r.full_name as repository
from (select repository_id, count(*) as count, sum(value) as part
      from rows where counted group by repository_id) parts
left join repositories r on r.id = repository_id order by repository, repository_id
"""


@dataclass(frozen=True)
class Rate:
    """So many of how many; of none, no rate."""

    part: int
    count: int

    @property
    def rate(self) -> float | None:
        """The part, 0 to 1; None of nothing."""
        return self.part / self.count if self.count else None


@dataclass(frozen=True)
class RepositoryRate(Rate):
    """One repository's part."""

    repository_id: str
    repository: str | None


async def rate_series(
    db: AsyncConnection, rows: Rows, window: Window, bucket: Bucket
) -> list[tuple[str, Rate]]:
    """A rate by day, week or month, by its first day; empty ones too."""
    answer = await ask(db, rows, SERIES, bucket=bucket.value, time_zone=window.time_zone)
    told: Mapping[Any, Rate] = {
        row["day"]: Rate(row["part"], row["count"]) for row in answer.mappings()
    }
    return [(day.isoformat(), told.get(day, Rate(0, 0))) for day in window.buckets(bucket)]


async def rates_by_repository(db: AsyncConnection, rows: Rows) -> list[RepositoryRate]:
    """A rate of each repository with counted rows, by name."""
    answer = await ask(db, rows, BY_REPOSITORY)
    return [
        RepositoryRate(row["part"], row["count"], row["repository_id"], row["repository"])
        for row in answer.mappings()
    ]
