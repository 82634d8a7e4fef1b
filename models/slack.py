"""Slack as it tells us: channels, and messages and reactions until their thread is judged."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from models.columns import Fact, maybe_text, maybe_time, text, time


class SlackChannel(Fact, table=True):
    """A channel by its name, keyed `slack:<team>:<channel>`.

    `name` has no `#`. What else holds of it is told apart from its name: `slack_channel_states`.
    """

    __tablename__ = "slack_channels"
    __table_args__ = (Index("slack_channels_organization", "organization_id", "name"),)

    team_id: str = text()
    channel_id: str = text()
    name: str = text()
    private: bool = False


class SlackChannelState(Fact, table=True):
    """Whether something holds of a channel: `<channel>:archived`, `:deleted` or `:member`.

    `member`: our bot is in it.
    """

    __tablename__ = "slack_channel_states"

    channel_key: str = text(index=True)
    aspect: str = text()
    holds: bool = False


class SlackMessage(Fact, table=True):
    """A message, keyed `slack:<team>:<channel>:<ts>`, `ts` being Slack's id and time of it.

    `thread_id` is the key of the thread's first message, its own where it is that. A message that
    belongs to no incident is forgotten within a day (`models.slack_chatter`).
    """

    __tablename__ = "slack_messages"
    __table_args__ = (
        Index("slack_messages_thread", "thread_id"),
        Index("slack_messages_changed", "changed_at"),
    )

    channel_key: str = text()
    thread_id: str = text()
    ts: str = text()
    author_id: str | None = maybe_text()
    author_name: str | None = maybe_text()
    bot: bool = False
    words: str = text(default="")
    posted_at: datetime = time()
    edited_at: datetime | None = maybe_time()
    deleted: bool = False


class SlackReaction(Fact, table=True):
    """Whether somebody's reaction stands on a message: `<message>:<emoji>:<user>`."""

    __tablename__ = "slack_reactions"

    message_id: str = text(index=True)
    emoji: str = text()
    author_id: str = text()
    at: datetime = time()
    standing: bool = True


class SlackConnection(NamedTuple):
    """A workspace's connection. `state` is active or deleted; `permissions` are scopes."""

    id: str
    external_id: str
    account_login: str
    state: str
    permissions: dict[str, Any]
    changed_at: datetime


class ChannelSeen(NamedTuple):
    """A channel with what holds of it. `id`: its key; `member`: our bot is in it."""

    id: str
    team_id: str
    channel_id: str
    name: str
    private: bool
    archived: bool
    member: bool


CONNECTIONS = sql("""
    select id, external_id, account_login, state, permissions, changed_at from connections
     where source = 'slack' and organization_id = :organization
       and (cast(:team as text) is null or external_id = :team)
     order by state, changed_at desc, id
""")
CHANNELS = sql("""
    select c.id, c.team_id, c.channel_id, c.name, c.private,
           coalesce(a.holds, false) as archived, coalesce(m.holds, false) as member
      from slack_channels c
      left join slack_channel_states a on a.id = c.id || '\\:archived'
      left join slack_channel_states m on m.id = c.id || '\\:member'
      left join slack_channel_states d on d.id = c.id || '\\:deleted'
     where c.organization_id = :organization and not coalesce(d.holds, false)
     order by c.name, c.id
""")


async def slack_connections(
    db: AsyncConnection, organization_id: str, team_id: str | None = None
) -> list[SlackConnection]:
    """List an organisation's workspaces, active ones first, then the one changed last."""
    found = await db.execute(CONNECTIONS, {"organization": organization_id, "team": team_id})
    return [SlackConnection(*row) for row in found]


async def slack_connection(
    db: AsyncConnection, organization_id: str, team_id: str | None = None
) -> SlackConnection | None:
    """Return the active workspace of an organisation that was connected last; None without one."""
    found = await slack_connections(db, organization_id, team_id)
    return next((each for each in found if each.state == "active"), None)


async def channels_seen(db: AsyncConnection, organization_id: str) -> list[ChannelSeen]:
    """List an organisation's channels that are not deleted, by name."""
    found = await db.execute(CHANNELS, {"organization": organization_id})
    return [ChannelSeen(*row) for row in found]
