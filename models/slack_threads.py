"""Questions asked of Slack's channels and threads while they are judged."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

NAMED = text("select name, private from slack_channels where id = :channel")
KNOWN = text("select exists (select from slack_messages where id = :message)")
THREADS = text("""
    select distinct thread_id from slack_messages where channel_key = :channel order by thread_id
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
