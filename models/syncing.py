"""What synchronisations read, where they stand, and what they found that nobody had told us."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Index, RowMapping
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel

from models.columns import maybe_text, maybe_time, now, number, text, time


class SyncLog(SQLModel, table=True):
    """One synchronisation with a source: what was read, how long it took, what went wrong.

    `name` is the part that was read (`repos`, `prs`, `actions`, `changes`, `backfill` …),
    `repository_id` where it was about one. `state`: running, done or failed. `cursor` says where an
    interrupted one goes on. `items` of `expected` (None: unknown) were read by `calls` requests;
    `missed` of them should have come by webhook and had not.
    """

    __tablename__ = "sync_logs"
    __table_args__ = (
        Index("sync_logs_listed", "organization_id", "id"),
        Index("sync_logs_latest", "organization_id", "source", "name", "id"),
    )

    id: int | None = number(default=None, primary_key=True)
    organization_id: str = text()
    source: str = text()
    name: str = text()
    repository_id: str | None = maybe_text()
    state: str = text(default="running")
    items: int = 0
    expected: int | None = None
    calls: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    missed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    cursor: str | None = maybe_text()
    error: str | None = maybe_text()
    started_at: datetime | None = now()
    finished_at: datetime | None = maybe_time()


class MissedNews(SQLModel, table=True):
    """A thing of which a webhook should have told us and did not, found by a sync.

    The id is `<table>:<row>:<changed_at>`, so that it is found once. `what` is the table.
    """

    __tablename__ = "missed_news"
    __table_args__ = (Index("missed_news_listed", "organization_id", "changed_at"),)

    id: str = text(primary_key=True)
    organization_id: str = text()
    source: str = text()
    repository_id: str | None = maybe_text()
    what: str = text()
    thing_id: str = text()
    changed_at: datetime = time()
    found_at: datetime | None = now()
    sync_id: int | None = number(default=None)


class SyncSlot(SQLModel, table=True):
    """The last time at which a scheduled synchronisation was due and was queued."""

    __tablename__ = "sync_slots"

    organization_id: str = text(primary_key=True)
    name: str = text(primary_key=True)
    due_at: datetime = time()


class DeliveryCursor(SQLModel, table=True):
    """How far a source's own log of deliveries has been read: GitHub's is kept for three days.

    `id` names the app (`github:<app id>`); `newest_id` and `delivered_at` are of the newest
    delivery that was handled.
    """

    __tablename__ = "delivery_cursors"

    id: str = text(primary_key=True)
    newest_id: int | None = number(default=None)
    delivered_at: datetime | None = maybe_time()
    checked_at: datetime | None = maybe_time()
    error: str | None = maybe_text()


class ETag(SQLModel, table=True):
    """What a list at a source was when it was last read, so that an unchanged one costs nothing."""

    __tablename__ = "etags"

    id: str = text(primary_key=True)
    organization_id: str = text(index=True)
    etag: str = text()
    stored_at: datetime | None = now()


RESUMED_HOURS = 24
"""How old an interrupted sync may be that is gone on with: what changed since comes by webhook."""

BEGIN = sql("""
    insert into sync_logs (organization_id, source, name, repository_id, state, items, cursor)
    values (:organization_id, :source, :name, :repository_id, 'running', 0, :cursor) returning id
""")
INTERRUPTED = sql("""
    select id, cursor from (
        select id, cursor, state, started_at from sync_logs
         where organization_id = :organization_id and source = :source and name = :name
           and repository_id is not distinct from :repository_id
         order by id desc limit 1) latest
     where cursor is not null and state <> 'done'
       and started_at > now() - make_interval(hours => :hours)
""")
LAST_DONE = sql("""
    select max(started_at) from sync_logs
     where organization_id = :organization_id and source = :source and name = any(:names)
       and repository_id is not distinct from :repository_id and state = 'done'
""")
FIRST_DONE = sql("""
    select min(started_at) from sync_logs
     where organization_id = :organization_id and source = :source and state = 'done'
""")
ADVANCE = sql("""
    update sync_logs
       set state = 'running', error = null, cursor = :cursor, items = items + :items,
           calls = calls + :calls, missed = missed + :missed,
           expected = coalesce(cast(:expected as int), expected)
     where id = :id
""")
FINISH = sql("""
    update sync_logs set state = :state, error = :error,
           finished_at = case when cast(:state as text) = 'done' then now() end
     where id = :id
""")
ETAGS = sql("""
    select id, etag from etags where organization_id = :organization_id and starts_with(id, :prefix)
""")
KEEP_ETAGS = sql("""
    insert into etags (id, organization_id, etag)
    select key, :organization_id, value from json_each_text(cast(:etags as json)) order by key
        on conflict (id) do update set etag = excluded.etag, stored_at = now()
""")
OPENED = sql("""
    select repository_id, min(changed_at) as since from connection_repositories
     where organization_id = :organization_id and selected group by repository_id
""")
LISTED = sql("""
    select s.*, r.full_name as repository from sync_logs s
      left join repositories r on r.id = s.repository_id
     where s.organization_id = :organization_id
       and (cast(:source as text) is null or s.source = :source)
       and (cast(:before as bigint) is null or s.id < :before)
     order by s.id desc limit :limit
""")


class Progress(NamedTuple):
    """What one more page brought: items, by so many requests; how many are `expected` in all."""

    items: int = 0
    calls: int = 0
    missed: int = 0
    expected: int | None = None


def place_of(
    organization_id: str, source: str, name: str, repository_id: str | None
) -> dict[str, Any]:
    """Return what one kind of synchronisation is known by."""
    return {
        "organization_id": organization_id,
        "source": source,
        "name": name,
        "repository_id": repository_id,
    }


async def begin_sync(
    db: AsyncConnection,
    organization_id: str,
    source: str,
    name: str,
    *,
    repository_id: str | None = None,
    cursor: str | None = None,
) -> int:
    """Write down that a synchronisation began; return its number."""
    bound = place_of(organization_id, source, name, repository_id)
    number: int = (await db.execute(BEGIN, {**bound, "cursor": cursor})).scalar_one()
    return number


async def interrupted_sync(
    db: AsyncConnection,
    organization_id: str,
    source: str,
    name: str,
    *,
    repository_id: str | None = None,
) -> tuple[int, str] | None:
    """Return number and cursor of the last synchronisation of a kind if it can be gone on with."""
    bound = place_of(organization_id, source, name, repository_id)
    row = (await db.execute(INTERRUPTED, {**bound, "hours": RESUMED_HOURS})).first()
    return (row.id, row.cursor) if row else None


async def last_done(
    db: AsyncConnection,
    organization_id: str,
    source: str,
    names: Sequence[str],
    *,
    repository_id: str | None = None,
) -> datetime | None:
    """Return when the last synchronisation of some kinds began that came to its end."""
    bound = place_of(organization_id, source, "", repository_id) | {"names": list(names)}
    at: datetime | None = await db.scalar(LAST_DONE, bound)
    return at


async def first_done(db: AsyncConnection, organization_id: str, source: str) -> datetime | None:
    """Return when the first synchronisation with a source began that came to its end."""
    bound = {"organization_id": organization_id, "source": source}
    at: datetime | None = await db.scalar(FIRST_DONE, bound)
    return at


async def advance_sync(
    db: AsyncConnection, number: int, cursor: str | None, progress: Progress
) -> None:
    """Write down how far a synchronisation has come, in the transaction of what was read."""
    await db.execute(ADVANCE, {"id": number, "cursor": cursor, **progress._asdict()})


async def finish_sync(
    db: AsyncConnection, number: int, error: str | None = None, *, failed: bool | None = None
) -> None:
    """Write down how a synchronisation ended; one that failed can go on from its cursor.

    `failed`: whether it did; without it, one with an error has.
    """
    state = "failed" if (bool(error) if failed is None else failed) else "done"
    await db.execute(FINISH, {"id": number, "state": state, "error": error})


async def etags_of(db: AsyncConnection, organization_id: str, prefix: str) -> dict[str, str]:
    """Return the ETags of lists whose names begin so, by their names."""
    bound = {"organization_id": organization_id, "prefix": prefix}
    rows = (await db.execute(ETAGS, bound)).all()
    return {row.id: row.etag for row in rows}


async def keep_etags(db: AsyncConnection, organization_id: str, etags: Mapping[str, str]) -> None:
    """Keep what lists were like, by name, in the transaction of what was read of them."""
    if etags:
        bound = {"organization_id": organization_id, "etags": to_json(etags).decode()}
        await db.execute(KEEP_ETAGS, bound)


async def opened_since(db: AsyncConnection, organization_id: str) -> dict[str, datetime]:
    """Return since when webhooks tell of each repository that is open to us."""
    rows = await db.execute(OPENED, {"organization_id": organization_id})
    return {row.repository_id: row.since for row in rows}


async def sync_logs(
    db: AsyncConnection,
    organization_id: str,
    *,
    source: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[RowMapping]:
    """List synchronisations, the newest first; `before`: only those with a smaller number."""
    bound = {"organization_id": organization_id, "source": source, "before": before}
    return (await db.execute(LISTED, {**bound, "limit": limit})).mappings().all()
