"""The API's tokens: a JWT for fifteen minutes, and a refresh token that each use replaces.

<https://www.rfc-editor.org/rfc/rfc7519>, <https://www.rfc-editor.org/rfc/rfc9700#section-4.14>
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.settings import Settings
from bot.web.sessions import new_token, token_hash

ISSUER = "veelocity"
AUDIENCE = "veelocity-api"
ACCESS_SECONDS = 900
REFRESH_DAYS = 30


def derived(key: str, purpose: str) -> bytes:
    """Return a key for one purpose, so that no secret serves two."""
    return hmac.digest(key.encode(), f"veelocity {purpose}".encode(), hashlib.sha256)


def access_token(settings: Settings, user_id: str) -> str:
    """Sign a JWT for a person with the newest key; it is good for `ACCESS_SECONDS`."""
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user_id,
        "iat": now,
        "exp": now + timedelta(seconds=ACCESS_SECONDS),
        "jti": uuid4().hex,
    }
    return jwt.encode(claims, derived(settings.secret_keys[0], "jwt"), algorithm="HS256")


def token_user(settings: Settings, token: str) -> str | None:
    """Return whose JWT this is; None when it is forged, too old, or meant for others.

    Every key of `SECRET_KEY` verifies, so that keys can be changed without signing people out.
    """
    for key in settings.secret_keys:
        try:
            claims = jwt.decode(
                token,
                derived(key, "jwt"),
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"]},
            )
        except jwt.PyJWTError:
            continue
        return str(claims["sub"])
    return None


def scrape_token(settings: Settings) -> str:
    """Return the token that lets a Prometheus on another machine read /metrics.

    It follows from `SECRET_KEY`, so there is nothing to store; a new key makes a new one.
    """
    return "vl_" + derived(settings.secret_keys[0], "scrape").hex()


async def refresh_token(db: AsyncConnection, user_id: str, family: str | None = None) -> str:
    """Make a refresh token, in the family of the one that it replaces."""
    token = new_token()
    await db.execute(
        text(
            "insert into refresh_tokens (token_hash, family, user_id, expires_at) "
            "values (:hash, :family, :user_id, now() + make_interval(days => :days))"
        ),
        {
            "hash": token_hash(token),
            "family": family or uuid4().hex,
            "user_id": user_id,
            "days": REFRESH_DAYS,
        },
    )
    return token


async def rotated(db: AsyncConnection, token: str) -> tuple[str, str] | None:
    """Use a refresh token up; return whose it was and the one that replaces it.

    None when it is unknown or too old. Used before, somebody has stolen it: its family ends.
    """
    row = (
        await db.execute(
            text(
                "update refresh_tokens set used_at = now() where token_hash = :hash "
                "and used_at is null and expires_at > now() returning user_id, family"
            ),
            {"hash": token_hash(token)},
        )
    ).one_or_none()
    if row is None:
        await end_family(db, token)
        return None
    return row.user_id, await refresh_token(db, row.user_id, row.family)


async def end_family(db: AsyncConnection, token: str) -> None:
    """End a refresh token and all that came of the same sign-in."""
    await db.execute(
        text(
            "delete from refresh_tokens where family = "
            "(select family from refresh_tokens where token_hash = :hash)"
        ),
        {"hash": token_hash(token)},
    )
