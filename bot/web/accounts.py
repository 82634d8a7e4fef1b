"""Accounts in the store: people, their passwords, and where they belong."""

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from uuid import uuid4

from pwdlib import PasswordHash
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import Refused
from models.organizations import Organization
from models.store import remember
from models.users import ROLES, Belongs, User, audit, memberships

__all__ = [
    "Belongs",
    "audit",
    "checked_password",
    "clean_email",
    "create_user",
    "end_sessions",
    "hash_password",
    "join",
    "memberships",
    "organization_called",
    "user_known_by",
]

SHORTEST_PASSWORD = 8
EMAIL = re.compile(r"[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+")
HASHING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
"""Argon2 takes 64 MiB a guess: two at a time bound what a flood of sign-ins may use."""


@cache
def hasher() -> PasswordHash:
    """Return argon2id with the library's recommended costs."""
    return PasswordHash.recommended()


@cache
def nobodys_hash() -> str:
    """Return a hash no password has, checked for unknown people so that both take as long."""
    return hasher().hash(secrets.token_urlsafe(32))


def clean_email(email: str) -> str:
    """Return an e-mail address as it is kept; raise `Refused` for what cannot be one."""
    cleaned = email.strip().lower()
    if len(cleaned) > 254 or not EMAIL.fullmatch(cleaned):
        raise Refused(f"{email!r} is not an e-mail address.")
    return cleaned


async def hash_password(password: str) -> str:
    """Hash a password in a thread; raise `Refused` for one that is too short."""
    if len(password) < SHORTEST_PASSWORD:
        raise Refused(f"A password needs at least {SHORTEST_PASSWORD} characters.")
    return await asyncio.get_running_loop().run_in_executor(HASHING, hasher().hash, password)


async def create_user(  # noqa: PLR0913 - the options of the command `create-user`
    db: AsyncConnection,
    email: str,
    *,
    password: str | None = None,
    name: str | None = None,
    admin: bool = False,
    organization: str | None = None,
    role: str = "viewer",
) -> User:
    """Make an account, or add to the one that has this e-mail address; return it.

    `organization` is a login, made when nobody knows it yet; `admin` makes an operator, who is an
    admin of that organisation too. A new password ends every session of the account. Raises
    `Refused` for an impossible address, an unknown role or a short password.
    """
    email, role = clean_email(email), "admin" if admin else role
    if role not in ROLES:
        raise Refused(f"{role!r} is no role; there are {', '.join(ROLES)}.")
    hashed = await hash_password(password) if password is not None else None
    row = (
        await db.execute(
            text(
                "insert into users (id, email, name, password_hash, operator) "
                "values (:id, :email, :name, :hashed, :operator) on conflict (email) do update set "
                "name = coalesce(excluded.name, users.name), "
                "password_hash = coalesce(excluded.password_hash, users.password_hash), "
                "operator = users.operator or excluded.operator returning *"
            ),
            {
                "id": f"user:{uuid4().hex}",
                "email": email,
                "name": name,
                "hashed": hashed,
                "operator": admin,
            },
        )
    ).one()
    user = User(**row._mapping)
    if hashed:
        await end_sessions(db, user.id)
    if organization:
        await join(db, user.id, await organization_called(db, organization), role)
    return user


async def organization_called(db: AsyncConnection, login: str) -> str:
    """Return the id of the organisation with a login: GitHub's where GitHub told us of it."""
    found = await db.scalar(
        text(
            "select id from organizations where lower(login) = lower(:login) "
            "order by id like 'login:%', id limit 1"
        ),
        {"login": login},
    )
    if found:
        return str(found)
    made = Organization(id=f"login:{login.lower()}", login=login)
    await remember(db, [made])
    return made.id


async def join(db: AsyncConnection, user_id: str, organization_id: str, role: str) -> None:
    """Give a person a role in an organisation, in the place of the one they had."""
    await db.execute(
        text(
            "insert into memberships (user_id, organization_id, role) "
            "values (:user_id, :organization_id, :role) "
            "on conflict (user_id, organization_id) do update set role = excluded.role"
        ),
        {"user_id": user_id, "organization_id": organization_id, "role": role},
    )


async def user_known_by(db: AsyncConnection, column: str, value: str) -> User | None:
    """Return a person by `id` or `email`; None for nobody."""
    key = {"id": "id", "email": "email"}[column]
    if "\0" in value:
        return None
    found = await db.execute(
        text(f"select * from users where {key} = :value"),  # noqa: S608 - one of two names
        {"value": value},
    )
    row = found.one_or_none()
    return User(**row._mapping) if row else None


async def checked_password(db: AsyncConnection, email: str, password: str) -> User | None:
    """Return whom an e-mail address and password sign in; None for a wrong pair.

    Takes as long for unknown people as for known ones.
    """
    user = await user_known_by(db, "email", email.strip().lower())
    kept = user.password_hash if user else None
    right = await asyncio.get_running_loop().run_in_executor(
        HASHING, lambda: hasher().verify(password, kept or nobodys_hash())
    )
    return user if right and kept else None


async def end_sessions(db: AsyncConnection, user_id: str) -> None:
    """Sign a person out everywhere, the API included."""
    for table in ("sessions", "refresh_tokens"):
        await db.execute(
            text(f"delete from {table} where user_id = :user_id"),  # noqa: S608 - two names
            {"user_id": user_id},
        )
