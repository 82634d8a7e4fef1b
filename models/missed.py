"""What a sync found that a webhook should have told: the one question, asked before it is kept."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import TextClause

from models.columns import Fact
from models.store import columns, newest

GRACE = timedelta(minutes=10)
"""How long a webhook may take before its news counts as missed."""

UNTOLD = frozenset({"repositories", "contributors", "identities", "connection_repositories"})
"""Tables that many payloads mention in passing: what they say late is no news that was missed."""

CLOCKS = ("changed_at", "rank", "digest")
TIMES = ("created_at", "completed_at")
"""When a thing happened that its source does not date otherwise: it never changes, or only once."""

NOTE = text("""
    insert into missed_news
        (id, organization_id, source, repository_id, what, thing_id, changed_at, sync_id)
    select m.id, m.organization_id, :source, m.repository_id, :what, m.thing_id, m.changed_at, :sync
      from json_to_recordset(cast(:news as json)) as m(
           id text, organization_id text, repository_id text, thing_id text,
           changed_at timestamptz)
        on conflict (id) do nothing
""")

BY_DAY = text("""
    select date(m.changed_at at time zone :zone) as day, m.what, m.source, count(*) as count
      from missed_news m
     where m.organization_id = :organization and m.changed_at >= :since
     group by 1, 2, 3 order by 1 desc, 4 desc, 2
""")

FORGET = text("delete from missed_news where found_at < now() - make_interval(days => :days)")
KEPT_DAYS = 90


@cache
def unheard(table: type[Fact]) -> TextClause:
    """Return the question which rows of a table say something else than what is kept of them."""
    own = str(table.__tablename__)
    said = ", ".join(f"told.{name}" for name in columns(table) if name not in CLOCKS)
    known = ", ".join(f"known.{name}" for name in columns(table) if name not in CLOCKS)
    dated = ", ".join(f"told.{name}" for name in TIMES if name in columns(table))
    at = f"greatest(told.changed_at, {dated})" if dated else "told.changed_at"
    return text(
        f"select told.id, {at} as changed_at "  # noqa: S608 - names come from our own tables
        f"from json_populate_recordset(null::{own}, cast(:rows as json)) told "
        f"left join {own} known on known.id = told.id "
        f"where {at} >= :since and {at} < :until and (known.id is null "
        f"or known.changed_at < told.changed_at and ({said}) is distinct from ({known}))"
    )


def happened_at(row: Fact) -> datetime:
    """Return when something was news, by its clock or the time it names itself."""
    named: list[datetime | None] = [getattr(row, name, None) for name in TIMES]
    return max([row.changed_at, *(at for at in named if at)])


async def note_missed(
    db: AsyncConnection,
    source: str,
    rows: Iterable[Fact],
    between: tuple[datetime, datetime],
    sync_id: int | None = None,
) -> int:
    """Write down which rows are news that should have come before; return how many are new to us.

    `between`: the times from which on webhooks were heard, and until which they had to come. It is
    asked before `remember`, in its transaction.
    """
    bound = {"since": between[0], "until": between[1] - GRACE}
    found = 0
    for table, said in newest(rows).items():
        what = str(table.__tablename__)
        if what in UNTOLD:
            continue
        news = (await db.execute(unheard(table), {**bound, "rows": to_json(said).decode()})).all()
        if not news:
            continue
        told = {row["id"]: row for row in said}
        noted = [
            {
                "id": f"{what}:{each.id}:{each.changed_at.isoformat()}",
                "organization_id": told[each.id]["organization_id"],
                "repository_id": told[each.id].get("repository_id"),
                "thing_id": each.id,
                "changed_at": each.changed_at,
            }
            for each in news
        ]
        written = await db.execute(
            NOTE,
            {"source": source, "what": what, "sync": sync_id, "news": to_json(noted).decode()},
        )
        found += written.rowcount
    return found


async def missed_by_day(
    db: AsyncConnection, organization_id: str, since: datetime, zone: str
) -> Sequence[tuple[str, str, str, int]]:
    """Return day (ISO), what, source and how many things were missed, the latest day first."""
    bound = {"organization": organization_id, "since": since, "zone": zone}
    rows = (await db.execute(BY_DAY, bound)).all()
    return [(day.isoformat(), what, source, count) for day, what, source, count in rows]


async def forget_missed(db: AsyncConnection) -> None:
    """Delete what was missed so long ago that nobody asks."""
    await db.execute(FORGET, {"days": KEPT_DAYS})
