"""What ties Slack and Linear to an organisation: secrets of connections, members, subscriptions."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection
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


SECRET = sql("select ciphertext from connection_secrets where connection_id = :id")
KEEP_SECRET = sql("""
    insert into connection_secrets (connection_id, ciphertext, expires_at)
    values (:id, :ciphertext, :expires_at)
        on conflict (connection_id) do update
       set ciphertext = excluded.ciphertext, expires_at = excluded.expires_at, stored_at = now()
""")
FORGET_SECRET = sql("delete from connection_secrets where connection_id = :id")
BEGIN_CONSENT = sql("""
    insert into connect_states (token_hash, kind, organization_id, user_id, account, expires_at)
    values (:token_hash, :kind, :organization_id, :user_id, :account,
            now() + make_interval(mins => :minutes))
""")
END_CONSENT = sql("""
    delete from connect_states where token_hash = :token_hash and kind = :kind
    returning organization_id, user_id, account, expires_at > now() as fresh
""")
FORGET_CONSENTS = sql("delete from connect_states where expires_at < now() - interval '1 day'")
CONSENT_MINUTES = 10


async def connection_secret(db: AsyncConnection, connection_id: str) -> str | None:
    """Return what is sealed of a connection; None where nothing is."""
    sealed: str | None = await db.scalar(SECRET, {"id": connection_id})
    return sealed


async def keep_connection_secret(
    db: AsyncConnection, connection_id: str, ciphertext: str, expires_at: datetime | None = None
) -> None:
    """Keep a connection's sealed secret in the place of the one before."""
    bound = {"id": connection_id, "ciphertext": ciphertext, "expires_at": expires_at}
    await db.execute(KEEP_SECRET, bound)


async def forget_connection_secret(db: AsyncConnection, connection_id: str) -> None:
    """Delete the secret of a connection that has ended."""
    await db.execute(FORGET_SECRET, {"id": connection_id})


async def begin_consent(db: AsyncConnection, state: ConnectState) -> None:
    """Keep that a consent was begun, for ten minutes; its `expires_at` is Postgres' to say."""
    await db.execute(FORGET_CONSENTS)
    told = state.model_dump(exclude={"expires_at"})
    await db.execute(BEGIN_CONSENT, {**told, "minutes": CONSENT_MINUTES})


async def ended_consent(db: AsyncConnection, kind: str, token_hash: str) -> ConnectState | None:
    """Use a consent up and return it; None for one that is used, too old or never begun."""
    found = await db.execute(END_CONSENT, {"token_hash": token_hash, "kind": kind})
    row = found.mappings().one_or_none()
    if row is None or not row["fresh"]:
        return None
    told = {name: row[name] for name in ("organization_id", "user_id", "account")}
    return ConnectState(token_hash=token_hash, kind=kind, **told)
