"""How the synchronisations with a source stand: what is connected, heard, and was read last."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ACCOUNTS = text("""
    select account_login from connections
     where organization_id = :organization and source = :source and state = 'active'
     order by account_login
""")
INBOX = text("""
    select max(received_at) as last_event_at,
           count(*) filter (where status = 'received') as waiting,
           count(*) filter (where status = 'failed') as failed,
           count(*) filter (where status = 'parked') as parked
      from deliveries where organization_id = :organization and source = :source
""")
PARTS = text("""
    select distinct on (s.name) s.name as part, s.state, s.items, s.expected, s.calls, s.missed,
           s.error, s.started_at, s.finished_at, r.full_name as repository,
           extract(epoch from coalesce(s.finished_at, now()) - s.started_at)::float as seconds
      from sync_logs s left join repositories r on r.id = s.repository_id
     where s.organization_id = :organization and s.source = :source
     order by s.name, s.id desc
""")
FORGET = text("""
    delete from sync_logs s
     where s.started_at < now() - make_interval(days => :days)
       and exists (select from sync_logs later
                    where later.organization_id = s.organization_id and later.source = s.source
                      and later.name = s.name and later.state = 'done' and later.id > s.id
                      and later.repository_id is not distinct from s.repository_id)
       and s.id <> (select min(first.id) from sync_logs first
                     where first.organization_id = s.organization_id
                       and first.source = s.source and first.state = 'done')
""")
KEPT_DAYS = 90


class Inbox(NamedTuple):
    """What came by webhook: when last (None: never), and how many deliveries are not settled."""

    last_event_at: datetime | None = None
    waiting: int = 0
    failed: int = 0
    parked: int = 0


class PartState(NamedTuple):
    """The latest reading of a part. `state`: running, done or failed; `repository`: of one only.

    `items` of `expected` (None: unknown) were read by `calls` requests, and `missed` of them had
    not come by webhook. `seconds`: how long it took, or has gone on.
    """

    part: str
    state: str
    items: int
    expected: int | None
    calls: int
    missed: int
    error: str | None
    started_at: datetime
    finished_at: datetime | None
    repository: str | None
    seconds: float


async def accounts_of(db: AsyncConnection, organization_id: str, source: str) -> Sequence[str]:
    """Return what an organisation connected of a source, by name."""
    bound = {"organization": organization_id, "source": source}
    return [str(each) for each in (await db.execute(ACCOUNTS, bound)).scalars()]


async def inbox_of(db: AsyncConnection, organization_id: str, source: str) -> Inbox:
    """Return what a source told an organisation by webhook."""
    bound = {"organization": organization_id, "source": source}
    return Inbox(*(await db.execute(INBOX, bound)).one())


async def parts_of(db: AsyncConnection, organization_id: str, source: str) -> Sequence[PartState]:
    """Return the latest reading of each part of a source, by name."""
    bound = {"organization": organization_id, "source": source}
    return [PartState(*row) for row in await db.execute(PARTS, bound)]


async def forget_sync_logs(db: AsyncConnection) -> None:
    """Delete what was read long ago; of each kind the last that was done stays.

    So does the first of a source: what happened since then should have come by webhook.
    """
    await db.execute(FORGET, {"days": KEPT_DAYS})
