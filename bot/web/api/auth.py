"""Signing in to the API: a token for fifteen minutes, refreshed by one that each use replaces."""

from typing import Annotated, Literal

from pydantic import BaseModel, StringConstraints

from bot.web.accounts import audit, checked_password
from bot.web.api.endpoints import Call, Strict, Words, endpoint
from bot.web.limiting import client_address, limit_sign_in
from bot.web.problems import Problem
from bot.web.tokens import ACCESS_SECONDS, access_token, end_family, refresh_token, rotated


class Credentials(Strict):
    """An e-mail address and its password."""

    email: Annotated[Words, StringConstraints(max_length=254)]
    password: Words


class Refresh(Strict):
    """A refresh token, as `login` or `refresh` gave it."""

    refresh_token: Words


class Tokens(BaseModel):
    """What signs requests (`Authorization: Bearer <access_token>`), and what renews it.

    `expires_in` is in seconds. A refresh token is good once, for 30 days.
    """

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - its kind
    expires_in: int = ACCESS_SECONDS
    refresh_token: str


class MemberOf(BaseModel):
    """A role in an organisation: viewer, manager or admin."""

    organization_id: str
    login: str
    name: str | None
    role: str


class Me(BaseModel):
    """Who is signed in, and where they belong."""

    id: str
    email: str
    name: str | None
    operator: bool
    memberships: list[MemberOf]


@endpoint("POST", "/auth/login", roles=None, body=Credentials, answer=Tokens)
async def login(call: Call, sent: Credentials) -> Tokens:
    """Sign in by e-mail address and password."""
    await limit_sign_in(call.request, sent.email)
    async with call.engine.connect() as db:
        user = await checked_password(db, sent.email, sent.password)
    action, told = ("api_sign_in" if user else "sign_in_refused"), client_address(call.request)
    async with call.engine.begin() as db:
        await audit(db, action, user_id=user.id if user else None, detail=f"from {told}")
        token = await refresh_token(db, user.id) if user else ""
    if user is None:
        raise refused("This e-mail address and password do not belong together.")
    return Tokens(access_token=access_token(call.settings, user.id), refresh_token=token)


@endpoint("POST", "/auth/refresh", roles=None, body=Refresh, answer=Tokens)
async def refresh(call: Call, sent: Refresh) -> Tokens:
    """Replace a refresh token. One that was used before ends all that came of its sign-in."""
    async with call.engine.begin() as db:
        fresh = await rotated(db, sent.refresh_token)
    if fresh is None:
        raise refused("This refresh token has been used, or is too old. Sign in again.")
    user_id, token = fresh
    return Tokens(access_token=access_token(call.settings, user_id), refresh_token=token)


@endpoint("POST", "/auth/logout", roles=None, body=Refresh)
async def logout(call: Call, sent: Refresh) -> None:
    """End a refresh token and all that came of the same sign-in; unknown ones are ended already."""
    async with call.engine.begin() as db:
        await end_family(db, sent.refresh_token)


@endpoint("GET", "/auth/me", roles=(), answer=Me)
async def me(call: Call) -> Me:
    """Say who is signed in, and in which organisations they have which role."""
    person = call.person
    return Me(
        id=person.id,
        email=person.email,
        name=person.name,
        operator=person.operator,
        memberships=[MemberOf(**belongs._asdict()) for belongs in person.memberships],
    )


def refused(detail: str) -> Problem:
    """Return the problem of credentials that are not right."""
    return Problem(401, "Unauthorized", detail, headers={"www-authenticate": "Bearer"})
