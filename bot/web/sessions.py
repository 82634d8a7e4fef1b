"""Signing in, in the store: one-time links and signed-in browsers.

Tokens are 256 random bits; the tables hold only their SHA-256. Postgres keeps the time.
"""

import secrets

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.accounts import clean_email, user_known_by
from models.errors import Refused
from models.users import User, token_hash

__all__ = [
    "SESSION_DAYS",
    "end_session",
    "new_token",
    "session_user",
    "sign_in_link",
    "start_session",
    "token_hash",
    "used_link",
]

SESSION_DAYS = 14
LINK_MINUTES = 24 * 60


def new_token() -> str:
    """Return 256 random bits for an address or a cookie."""
    return secrets.token_urlsafe(32)


async def sign_in_link(
    db: AsyncConnection, email_or_user: str | User, *, minutes: int = LINK_MINUTES
) -> str:
    """Return the token of a link (`/sign-in/<token>`) that signs a person in once.

    Raises `Refused` when nobody has that e-mail address.
    """
    user = email_or_user if isinstance(email_or_user, User) else None
    if isinstance(email_or_user, str):
        user = await user_known_by(db, "email", clean_email(email_or_user))
    if user is None:
        raise Refused(f"Nobody has the e-mail address {email_or_user!r}.")
    token = new_token()
    await db.execute(
        text(
            "insert into sign_in_links (token_hash, user_id, expires_at) "
            "values (:hash, :user_id, now() + make_interval(mins => :minutes))"
        ),
        {"hash": token_hash(token), "user_id": user.id, "minutes": minutes},
    )
    return token


async def used_link(db: AsyncConnection, token: str) -> str | None:
    """Use a sign-in link up and return whose it was; None when used, too old or never made."""
    user_id: str | None = await db.scalar(
        text(
            "update sign_in_links set used_at = now() where token_hash = :hash "
            "and used_at is null and expires_at > now() returning user_id"
        ),
        {"hash": token_hash(token)},
    )
    return user_id


async def start_session(db: AsyncConnection, user_id: str, *, instead_of: str | None) -> str:
    """Sign a browser in under a new token and return it; the one it had before ends."""
    token = new_token()
    await db.execute(
        text(
            "delete from sessions where token_hash = :old "
            "or (user_id = :user_id and expires_at < now())"
        ),
        {"old": token_hash(instead_of) if instead_of else "", "user_id": user_id},
    )
    await db.execute(
        text(
            "insert into sessions (token_hash, user_id, expires_at) "
            "values (:hash, :user_id, now() + make_interval(days => :days))"
        ),
        {"hash": token_hash(token), "user_id": user_id, "days": SESSION_DAYS},
    )
    return token


async def session_user(db: AsyncConnection, token: str) -> tuple[User, bool] | None:
    """Return who is signed in under a token, and whether its 14 days began anew just now.

    They do once a day at most, so that reading a page rarely writes. None: not signed in.
    """
    found = await db.execute(
        text(
            "select u.*, s.expires_at < now() + make_interval(days => :days) - interval '1 day' "
            "as stale from sessions s join users u on u.id = s.user_id "
            "where s.token_hash = :hash and s.expires_at > now()"
        ),
        {"hash": token_hash(token), "days": SESSION_DAYS},
    )
    row = found.mappings().one_or_none()
    if row is None:
        return None
    if row["stale"]:
        await db.execute(
            text(
                "update sessions set expires_at = now() + make_interval(days => :days) "
                "where token_hash = :hash"
            ),
            {"hash": token_hash(token), "days": SESSION_DAYS},
        )
    return User(**{key: value for key, value in row.items() if key != "stale"}), row["stale"]


async def end_session(db: AsyncConnection, token: str) -> None:
    """Sign one browser out."""
    await db.execute(
        text("delete from sessions where token_hash = :hash"), {"hash": token_hash(token)}
    )
