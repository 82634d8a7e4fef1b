"""Builds over time by who started them: those of bots, and those called off, stand apart."""

from typing import TypedDict

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.builds import SUCCESSES, builds
from models.metrics.core import Bucket, Rows, Scope, Window, by_bucket

# Of rows that are alike only one is judged.
SERIES = """
select place,
       sum(many) filter (where counted) as count,
       sum(many) filter (where counted and value = 1) as success,
       sum(many) filter (where counted and not bot and value = 1) as passed,
       sum(many) filter (where counted and not bot and value = 0) as failed,
       sum(many) filter (where counted and bot) as bots,
       sum(many) filter (where not counted) as left_out
from (select alike.*,
             coalesce(actor_login like '%[bot]' or lower(actor_login) = any(:bots), false)
             and lower(actor_login) <> all(:agents) as bot
      from (select width_bucket(at, cast(:starts as timestamptz[])) as place, counted, value,
                   actor_login, count(*) as many
            from rows group by place, counted, value, actor_login) alike) told
group by place
"""
PROGRAMS = text("""
    select kind, lower(login) as login from contributors
     where organization_id = :organization_id and kind in ('agent', 'bot')
""")


class BuildCounts(TypedDict):
    """Builds of one day, week or month, by its first day.

    `success` of `count` passed; `rate`: 0 to 1, None of nothing. Each is in one of the others:
    `passed` and `failed` (timed out, too): started by people, the agent or nobody known. `bots`:
    passed or failed, started by bots. `left_out`: cancelled, skipped, or ended otherwise.
    """

    start_date: str
    rate: float | None
    success: int
    count: int
    passed: int
    failed: int
    bots: int
    left_out: int


async def build_counts(
    db: AsyncConnection, scope: Scope, window: Window, platform: str | None, bucket: Bucket
) -> list[BuildCounts]:
    """Every build that ended, by day, week or month, empty ones too."""
    rows = builds(SUCCESSES, scope, platform, window.start, window.end)
    known = (await db.execute(PROGRAMS, {"organization_id": scope.organization_id})).all()
    bots = [row.login for row in known if row.kind == "bot"]
    agents = [row.login for row in known if row.kind == "agent"]
    question = Rows(rows.sql, {**rows.parameters, "bots": bots, "agents": agents})
    parts = await by_bucket(db, question, SERIES, window, bucket)
    return [counts_of(day, row) for day, row in parts]


def counts_of(start_date: str, row: RowMapping | None) -> BuildCounts:
    """One bucket; None is an empty one."""
    told = {name: int(value or 0) for name, value in row.items()} if row else {}
    success, count = told.get("success", 0), told.get("count", 0)
    return BuildCounts(
        start_date=start_date,
        rate=success / count if count else None,
        success=success,
        count=count,
        passed=told.get("passed", 0),
        failed=told.get("failed", 0),
        bots=told.get("bots", 0),
        left_out=told.get("left_out", 0),
    )
