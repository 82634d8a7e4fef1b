"""Which organisations have something to read, and that each reading is ordered once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CONNECTED = text("""
    select c.organization_id, coalesce(s.time_zone, 'UTC') as time_zone,
           array_agg(distinct c.source order by c.source) as sources,
           (select jsonb_object_agg(t.name, extract(epoch from t.due_at)) from sync_slots t
             where t.organization_id = c.organization_id) as slots
      from connections c
      left join organization_settings s on s.organization_id = c.organization_id
     where c.state = 'active' and c.organization_id <> ''
       and (cast(:organization as text) is null or c.organization_id = :organization)
     group by c.organization_id, s.time_zone order by c.organization_id
""")
TAKE = text("""
    insert into sync_slots (organization_id, name, due_at) values (:organization, :name, :due_at)
        on conflict (organization_id, name)
        do update set due_at = excluded.due_at where sync_slots.due_at < excluded.due_at
    returning name
""")
GOING = text("""
    select distinct key from jobs
     where organization_id = :organization and key = any(:keys)
       and status in ('waiting', 'running')
""")
FORGET_PARKED = text("""
    delete from jobs
     where organization_id = :organization and key = any(:keys) and status = 'parked'
""")
ZONE = text("select time_zone from organization_settings where organization_id = :organization")


class Household(NamedTuple):
    """An organisation with its zone, the sources it connected, and when each kind was last due.

    `slots`: the times by kind of reading, in Unix seconds; empty before the first.
    """

    organization_id: str
    time_zone: str
    sources: Sequence[str]
    slots: Mapping[str, float]


async def households(
    db: AsyncConnection, organization_id: str | None = None
) -> Sequence[Household]:
    """List the organisations that connected a source, or one of them."""
    rows = await db.execute(CONNECTED, {"organization": organization_id})
    return [
        Household(row.organization_id, row.time_zone, row.sources, row.slots or {}) for row in rows
    ]


async def take_slot(db: AsyncConnection, organization_id: str, name: str, due_at: datetime) -> bool:
    """Take what was due at a time, in the transaction that orders it; only one can."""
    bound = {"organization": organization_id, "name": name, "due_at": due_at}
    return (await db.execute(TAKE, bound)).first() is not None


async def going_on(db: AsyncConnection, organization_id: str, keys: Iterable[str]) -> set[str]:
    """Return which jobs of an organisation wait or run, by their keys."""
    bound = {"organization": organization_id, "keys": list(keys)}
    return set((await db.execute(GOING, bound)).scalars())


async def forget_parked(db: AsyncConnection, organization_id: str, keys: Iterable[str]) -> None:
    """Delete parked jobs that are ordered anew."""
    bound = {"organization": organization_id, "keys": list(keys)}
    await db.execute(FORGET_PARKED, bound)


async def zone_of(db: AsyncConnection, organization_id: str) -> str:
    """Return the IANA zone of an organisation."""
    return str(await db.scalar(ZONE, {"organization": organization_id}) or "UTC")
