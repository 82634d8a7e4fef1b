"""Questions asked of Slack's channels and threads while they are judged."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

NAMED = text("select name, private from slack_channels where id = :channel")
KNOWN = text("select exists (select from slack_messages where id = :message)")
THREADS = text("""
    select distinct thread_id from slack_messages where channel_key = :channel order by thread_id
""")
AMONG = text("select id from incidents where id = any(:threads)")
MARKS = text("select id, at from slack_reactions where message_id = any(:messages)")
INCIDENTS = text("""
    select id from (
        select id, started_at from incidents
         where organization_id = :organization and source = 'slack'
           and starts_with(id, 'slack:' || :team || ':') and started_at >= :since
           and (resolved_at is null or not :open)
         order by started_at desc limit 200) newest
     order by id
""")


async def channel_named(db: AsyncConnection, channel_key: str) -> tuple[str, bool] | None:
    """Return a channel's name and whether it is private; None until Slack told of it."""
    row = (await db.execute(NAMED, {"channel": channel_key})).first()
    return (row.name, row.private) if row else None


async def message_known(db: AsyncConnection, message_id: str) -> bool:
    """Tell whether anything was told of a message."""
    return bool(await db.scalar(KNOWN, {"message": message_id}))


async def threads_of(db: AsyncConnection, channel_key: str) -> list[str]:
    """Return the threads of a channel of which messages are kept, by their first messages."""
    return [str(each) for each in (await db.scalars(THREADS, {"channel": channel_key})).all()]


async def incidents_among(db: AsyncConnection, threads: Iterable[str]) -> set[str]:
    """Return which of some threads are incidents, as far as was told."""
    return set((await db.scalars(AMONG, {"threads": list(threads)})).all())


async def marks_on(db: AsyncConnection, message_ids: Iterable[str]) -> dict[str, datetime]:
    """Return when reactions on some messages were made or taken away, by their ids."""
    rows = await db.execute(MARKS, {"messages": list(message_ids)})
    return {row.id: row.at for row in rows}


async def incident_threads(
    db: AsyncConnection, organization_id: str, team_id: str, since: datetime, *, open_only: bool
) -> list[str]:
    """Return the threads of a workspace that are incidents which began since; the newest 200."""
    bound = {"organization": organization_id, "team": team_id, "since": since, "open": open_only}
    return [str(each) for each in (await db.scalars(INCIDENTS, bound)).all()]
