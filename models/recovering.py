"""Deliveries that did not come by webhook: taken from the source's own log, once and only once."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ALONE = text("select pg_try_advisory_xact_lock(hashtextextended('delivery_log:' || :id, 0))")

KNOWN = text("""
    select distinct delivery_id from deliveries
     where source = :source and delivery_id = any(:ids)
""")

# The JSON of a log is laid out otherwise than the webhook's, and so has another SHA-256.
KEEP = text("""
    insert into deliveries (source, delivery_id, event, headers, body, sha256, via, sent_at)
    select :source, t.delivery_id, t.event, cast(t.headers as jsonb), t.body, t.sha256, :via,
           t.sent_at
      from unnest(cast(:ids as text[]), cast(:events as text[]), cast(:headers as text[]),
                  cast(:bodies as bytea[]), cast(:digests as bytea[]),
                  cast(:times as timestamptz[])) with ordinality
           as t(delivery_id, event, headers, body, sha256, sent_at, place)
     where not exists (select from deliveries d
                        where d.source = :source and d.delivery_id = t.delivery_id
                          and d.event = t.event)
     order by t.place
        on conflict on constraint deliveries_once do nothing
""")

CURSOR = text("""
    select newest_id, delivered_at, checked_at, error from delivery_cursors where id = :id
""")
CHECKED = text("""
    insert into delivery_cursors (id, newest_id, delivered_at, checked_at, error)
    values (:id, :newest_id, :delivered_at, now(), :error)
        on conflict (id) do update
       set newest_id = coalesce(excluded.newest_id, delivery_cursors.newest_id),
           delivered_at = greatest(excluded.delivered_at, delivery_cursors.delivered_at),
           checked_at = excluded.checked_at, error = excluded.error
""")

BY_DAY = text("""
    select date(d.sent_at at time zone coalesce(s.time_zone, 'UTC')) as day, d.event,
           count(*) as deliveries
      from deliveries d
      left join organization_settings s on s.organization_id = d.organization_id
     where d.via = 'recovered' and d.organization_id = :organization and d.sent_at >= :since
     group by 1, 2 order by 1 desc, 3 desc, 2
""")


class Missed(NamedTuple):
    """A delivery that was taken from its source's log; `body` is compressed, `headers` is JSON.

    `sent_at`: when the source tried to deliver it first.
    """

    delivery_id: str
    event: str
    headers: str
    body: bytes
    sha256: bytes
    sent_at: datetime


class LogCursor(NamedTuple):
    """How far a log was read: `delivered_at` of the newest delivery that was handled."""

    newest_id: int | None = None
    delivered_at: datetime | None = None
    checked_at: datetime | None = None
    error: str | None = None


class RecoveredDay(NamedTuple):
    """How many deliveries of one event had been missed on a day of the organisation's zone."""

    day: date
    event: str
    deliveries: int


async def read_alone(db: AsyncConnection, cursor_id: str) -> bool:
    """Tell whether nobody else reads a log now; nobody will until the transaction ends."""
    return bool(await db.scalar(ALONE, {"id": cursor_id}))


async def known_deliveries(db: AsyncConnection, source: str, ids: Iterable[str]) -> set[str]:
    """Return which delivery ids of a source the inbox holds, however they came."""
    found = await db.execute(KNOWN, {"source": source, "ids": list(ids)})
    return set(found.scalars())


async def keep_missed(db: AsyncConnection, source: str, via: str, missed: Sequence[Missed]) -> int:
    """Put deliveries into the inbox, unless they came meanwhile; return how many are new."""
    if not missed:
        return 0
    names = ("ids", "events", "headers", "bodies", "digests", "times")
    columns = {
        name: list(told) for name, told in zip(names, zip(*missed, strict=True), strict=True)
    }
    kept = await db.execute(KEEP, {"source": source, "via": via, **columns})
    return kept.rowcount


async def log_cursor(db: AsyncConnection, cursor_id: str) -> LogCursor:
    """Return how far a log was read; nothing but None before the first time."""
    row = (await db.execute(CURSOR, {"id": cursor_id})).first()
    return LogCursor(*row) if row else LogCursor()


async def log_checked(
    db: AsyncConnection,
    cursor_id: str,
    *,
    newest_id: int | None = None,
    delivered_at: datetime | None = None,
    error: str | None = None,
) -> None:
    """Write down that a log was read just now, how far, and what went wrong; it never goes back."""
    bound = {"id": cursor_id, "newest_id": newest_id, "delivered_at": delivered_at, "error": error}
    await db.execute(CHECKED, bound)


async def recovered_by_day(
    db: AsyncConnection, organization_id: str, since: datetime
) -> Sequence[RecoveredDay]:
    """Return what webhooks had missed and GitHub's log made good, the latest day first.

    Days are those of the organisation's zone on which GitHub sent them first.
    """
    bound = {"organization": organization_id, "since": since}
    return [RecoveredDay(*row) for row in await db.execute(BY_DAY, bound)]
