"""Tells open pages that something changed: one Redis channel an organisation, names only.

A message is the name of an event and carries no data: every page asks again for what its viewer
may see, so a lost message costs nothing but a moment.
"""

from redis.asyncio import Redis

EVENTS = ("deployment", "delivery", "ticket", "run", "incident", "change", "build", "sync")
CHANNELS = "live:*"


def channel(organization_id: str) -> str:
    """Name the channel of an organisation."""
    return f"live:{organization_id}"


def organization_of(name: str) -> str:
    """Return whose channel a name is."""
    return name.removeprefix("live:")


async def publish(redis: "Redis", organization_id: str, *events: str) -> None:
    """Tell the open pages of an organisation what happened: `deployment`, `delivery`.

    `deployment` says that numbers may have changed, `delivery` that the inbox has. Several events
    go in one round trip; publish once a batch, not once a row.
    """
    async with redis.pipeline(transaction=False) as told:
        for event in events:
            told.publish(channel(organization_id), event)
        await told.execute()
