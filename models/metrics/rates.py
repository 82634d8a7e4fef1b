"""Rates: which part of the counted rows has the value 1, the questions asked of such rows."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Bucket, Rows, Window, ask, by_bucket

SERIES = """
select width_bucket(at, cast(:starts as timestamptz[])) as place,
       count(*) as count, sum(value) as part
from rows where counted group by place
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
    parts = await by_bucket(db, rows, SERIES, window, bucket)
    return [(day, Rate(row["part"], row["count"]) if row else Rate(0, 0)) for day, row in parts]


async def rates_by_repository(db: AsyncConnection, rows: Rows) -> list[RepositoryRate]:
    """A rate of each repository with counted rows, by name."""
    answer = await ask(db, rows, BY_REPOSITORY)
    return [
        RepositoryRate(row["part"], row["count"], row["repository_id"], row["repository"])
        for row in answer.mappings()
    ]
