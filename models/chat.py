"""What ties Slack and Linear to an organisation: secrets of connections, members, subscriptions."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import SQLModel

from models.columns import maybe_text, maybe_time, now, number, text, time


class ConnectionSecret(SQLModel, table=True):
    """The tokens of one connection as JSON, encrypted by MultiFernet.

    `expires_at`: when the access token ends, None where it does not.
    """

    __tablename__ = "connection_secrets"

    connection_id: str = text(primary_key=True)
    ciphertext: str = text()
    expires_at: datetime | None = maybe_time()
    stored_at: datetime | None = now()


class ConnectState(SQLModel, table=True):
    """A consent that was begun (OAuth's `state`), of which only the SHA-256 is kept.

    `kind`: slack or linear to install, slack_member to tie a Slack account to a member.
    """

    __tablename__ = "connect_states"

    token_hash: str = text(primary_key=True)
    kind: str = text()
    organization_id: str | None = maybe_text()
    user_id: str | None = maybe_text()
    account: str | None = maybe_text()
    expires_at: datetime = time()


class SlackMember(SQLModel, table=True):
    """The member that a Slack account is, as that person proved with `/veelocity connect`."""

    __tablename__ = "slack_members"

    team_id: str = text(primary_key=True)
    slack_user_id: str = text(primary_key=True)
    user_id: str = text(index=True)
    connected_at: datetime | None = now()


class Subscription(SQLModel, table=True):
    """What a channel of Slack wants to hear. Nothing is sent anywhere without one.

    `kind`: digest or alerts. `cadence` of digests: weekly or daily. `last_period`: the first day
    of the period that the last digest was about.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("subscriptions_once", "organization_id", "channel_key", "kind", unique=True),
    )

    id: int | None = number(default=None, primary_key=True)
    organization_id: str = text()
    channel_key: str = text()
    kind: str = text()
    cadence: str = text(default="weekly")
    last_period: str | None = maybe_text()
    by: str = text()
    created_at: datetime | None = now()


class Notice(SQLModel, table=True):
    """A message we sent to a channel about one thing, so that it is sent once and then updated.

    The id is `<kind>:<thing>:<channel>`. `message_ts` is Slack's id of it, None while it is sent.
    """

    __tablename__ = "notices"

    id: str = text(primary_key=True)
    organization_id: str = text()
    channel_key: str = text()
    message_ts: str | None = maybe_text()
    digest: str = text(default="")
    sent_at: datetime | None = now()


class SyncLog(SQLModel, table=True):
    """One synchronisation with a source: what was read, how long it took, what went wrong.

    `cursor` says where an interrupted one goes on. `state`: running, done or failed.
    """

    __tablename__ = "sync_logs"
    __table_args__ = (Index("sync_logs_listed", "organization_id", "id"),)

    id: int | None = number(default=None, primary_key=True)
    organization_id: str = text()
    source: str = text()
    name: str = text()
    state: str = text(default="running")
    items: int = 0
    cursor: str | None = maybe_text()
    error: str | None = maybe_text()
    started_at: datetime | None = now()
    finished_at: datetime | None = maybe_time()
