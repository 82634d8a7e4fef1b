"""What the endpoints of the agent share: surroundings, who asked, and GitHub's refusals."""

import contextlib
from collections.abc import Iterator

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.asking import GitHubError
from bot.live import publish
from bot.surroundings import Surroundings
from bot.web.api.endpoints import Call, invalid
from bot.web.auth import Member
from bot.web.problems import Problem
from models.prompts import agent_settings

LARGEST_ID = 2**63 - 1


def surroundings_of(call: Call) -> Surroundings:
    """Return what the agent's functions may use."""
    state = call.request.app.state
    return Surroundings(call.settings, call.engine, state.redis, state.vault)


def called(member: Member) -> str:
    """Name a member where others may read it: never by the whole e-mail address."""
    return member.name or member.email.partition("@")[0]


async def tell(call: Call, *events: str) -> None:
    """Tell open pages that something changed; they live without it."""
    with contextlib.suppress(RedisError, OSError):
        await publish(call.request.app.state.redis, call.member.organization_id, *events)


@contextlib.contextmanager
def github_asked() -> Iterator[None]:
    """Turn what GitHub would not do into `Problem` 502 (503 where it takes no requests now)."""
    try:
        yield
    except GitHubError as error:
        if error.status == 429:
            again = {"retry-after": "60"}
            raise Problem(503, "Service Unavailable", str(error), headers=again) from error
        raise Problem(502, "Bad Gateway", str(error)) from error


def row_id(value: str, noun: str) -> int:
    """Read the number of a row; raise `Problem` 404 for what cannot be one."""
    number = value.isascii() and value.isdigit() and len(value) <= len(str(LARGEST_ID))
    if not number or int(value) > LARGEST_ID:
        raise missing(noun)
    return int(value)


def missing(noun: str) -> Problem:
    """Return the problem for what is not there, or not one's own."""
    return Problem(404, "Not Found", f"There is no such {noun}.")


def conflict(words: str) -> Problem:
    """Return the problem for what does not go together with how things are now."""
    return Problem(409, "Conflict", words)


async def model_allowed(db: AsyncConnection, call: Call, model: str | None) -> None:
    """Raise `Problem` 422 for a model that is not in the allow-list of the organisation."""
    if model is None:
        return
    wishes = await agent_settings(db, call.member.organization_id)
    allowed = tuple(wishes.models) or call.settings.allowed_models
    if model not in allowed:
        detail = f"{model!r} is not in the allow-list: {', '.join(allowed)}."
        raise invalid([{"field": "model", "detail": detail}])
