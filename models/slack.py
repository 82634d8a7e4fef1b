"""Slack as it tells us: channels, and messages and reactions until their thread is judged."""

from datetime import datetime

from sqlalchemy import Index

from models.columns import Fact, maybe_text, maybe_time, text, time


class SlackChannel(Fact, table=True):
    """A channel, keyed `slack:<team>:<channel>`. `member`: whether our bot is in it."""

    __tablename__ = "slack_channels"

    team_id: str = text()
    channel_id: str = text()
    name: str = text()
    private: bool = False
    archived: bool = False
    member: bool = False


class SlackMessage(Fact, table=True):
    """A message, keyed `slack:<team>:<channel>:<ts>`, `ts` being Slack's id and time of it.

    `thread_id` is the key of the thread's first message, its own where it is that. A message that
    belongs to no incident is forgotten within a day (`models.slack_threads`).
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
