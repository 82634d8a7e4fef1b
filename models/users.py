"""People who sign in: users, their roles in organisations, sessions, links and tokens."""

from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models.columns import maybe_text, maybe_time, now, number, text, time

ROLES = ("viewer", "manager", "admin")


class User(SQLModel, table=True):
    """A person who can sign in. `password_hash` is argon2, None for people who use links only."""

    __tablename__ = "users"

    id: str = text(primary_key=True)
    email: str = text(unique=True)
    name: str | None = maybe_text()
    password_hash: str | None = maybe_text()
    operator: bool = False
    created_at: datetime | None = now()


class Membership(SQLModel, table=True):
    """A person's role in an organisation: viewer, manager or admin."""

    __tablename__ = "memberships"

    user_id: str = text(primary_key=True)
    organization_id: str = text(primary_key=True, index=True)
    role: str = text()


class Session(SQLModel, table=True):
    """A signed-in browser. The cookie holds a random token, this table only its SHA-256."""

    __tablename__ = "sessions"

    token_hash: str = text(primary_key=True)
    user_id: str = text(index=True)
    created_at: datetime | None = now()
    expires_at: datetime = time()


class SignInLink(SQLModel, table=True):
    """A link that signs one person in once; only the SHA-256 of its token is kept."""

    __tablename__ = "sign_in_links"

    token_hash: str = text(primary_key=True)
    user_id: str = text()
    expires_at: datetime = time()
    used_at: datetime | None = maybe_time()


class RefreshToken(SQLModel, table=True):
    """A refresh token of the API. Each use replaces it; using one twice ends its family."""

    __tablename__ = "refresh_tokens"

    token_hash: str = text(primary_key=True)
    family: str = text(index=True)
    user_id: str = text()
    expires_at: datetime = time()
    used_at: datetime | None = maybe_time()


class AuditEntry(SQLModel, table=True):
    """What a person, or somebody who was turned away, did that changes rights or settings."""

    __tablename__ = "audit_log"

    id: int | None = number(default=None, primary_key=True)
    at: datetime | None = now()
    user_id: str | None = maybe_text()
    organization_id: str | None = maybe_text()
    action: str = text()
    detail: str | None = maybe_text()


EXPIRED = tuple(
    sql(f"delete from {table} where expires_at < now()")  # noqa: S608 - our own tables
    for table in ("sessions", "sign_in_links", "refresh_tokens", "connect_states")
)


async def forget_expired(db: AsyncConnection) -> None:
    """Delete sessions, links and tokens that nobody can use any more."""
    for statement in EXPIRED:
        await db.execute(statement)


def token_hash(token: str) -> str:
    """Return what the tables keep of a token."""
    return sha256(token.encode("utf-8", "replace")).hexdigest()


class Belongs(NamedTuple):
    """A person's place in one organisation. `role`: viewer, manager or admin."""

    organization_id: str
    login: str
    name: str | None
    role: str


async def memberships(db: AsyncConnection, user_id: str) -> list[Belongs]:
    """List where a person belongs, by login.

    An organisation that a person named (`login:acme`) is read as the one GitHub has since told of.
    """
    rows = await db.execute(
        sql(
            "select coalesce(g.id, o.id) as organization_id, coalesce(g.login, o.login) as login, "
            "coalesce(g.name, o.name) as name, m.role "
            "from memberships m join organizations o on o.id = m.organization_id "
            "left join organizations g on o.id like 'login:%' and g.id like 'github:%' "
            "and lower(g.login) = lower(o.login) where m.user_id = :user_id "
            "order by lower(o.login), array_position(array['admin','manager','viewer'], m.role)"
        ),
        {"user_id": user_id},
    )
    highest: dict[str, Belongs] = {}
    for row in rows:
        highest.setdefault(row.organization_id, Belongs(*row))
    return list(highest.values())


async def audit(
    db: AsyncConnection,
    action: str,
    *,
    user_id: str | None = None,
    organization_id: str | None = None,
    detail: str | None = None,
) -> None:
    """Write down what a person, or somebody who was turned away, did."""
    await db.execute(
        sql(
            "insert into audit_log (user_id, organization_id, action, detail) "
            "values (:user_id, :organization_id, :action, :detail)"
        ),
        {
            "user_id": user_id,
            "organization_id": organization_id,
            "action": action,
            "detail": detail,
        },
    )
