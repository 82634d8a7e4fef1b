"""The one place that speaks to Linear's API (https://linear.app/developers/graphql).

A line is opened for one piece of work. It asks with a personal API key or with an OAuth token,
which is renewed in time; neither is in any error, log or address. What is asked is in
`linear_queries`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import BaseModel, SecretStr, field_serializer

from bot.clients.asking import Patience
from bot.clients.github import trusted
from models.errors import Refused

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger()

LONGEST_LIMIT = timedelta(hours=2)
UNSAID_SECONDS = 60.0
LIMITS = ("requests", "complexity", "endpoint-requests")
AGAIN = "Linear does not take the {what} any more: connect Linear again."


class LinearError(Refused):
    """What Linear would not do, in words. `code` is Linear's own, empty where it was not reached.

    `passing`: asking again later may help.
    """

    def __init__(self, code: str, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.code, self.passing = code, passing


class RateLimited(LinearError):  # noqa: N818 - it is a wish, not a bug
    """Linear takes no such request before `until`: put the work off."""

    def __init__(self, until: datetime) -> None:
        super().__init__(
            "RATELIMITED", f"Linear takes no more requests before {until:%H:%M:%S} UTC."
        )
        self.until = until


class LinearSecret(BaseModel):
    """What is sealed of a connection: an API key, or OAuth tokens with what they may do."""

    api_key: SecretStr | None = None
    access_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    scopes: list[str] = []

    @field_serializer("api_key", "access_token", "refresh_token", when_used="json")
    def reveal(self, value: SecretStr | None) -> str | None:
        """Write the secrets themselves: JSON is made only to be sealed."""
        return value.get_secret_value() if value else None

    @property
    def header(self) -> str:
        """The Authorization: an API key as it is, a token as Bearer."""
        if self.access_token is not None:
            return f"Bearer {self.access_token.get_secret_value()}"
        return self.api_key.get_secret_value() if self.api_key else ""


Renew = Callable[[LinearSecret], Awaitable[LinearSecret]]


@dataclass
class Linear:
    """An open line to one workspace. Every call raises `RateLimited` or `LinearError`.

    `renew` is told which secret Linear refused, and returns one to try instead.
    """

    client: "httpx.AsyncClient"
    secret: LinearSecret = field(repr=False)
    renew: Renew | None = None
    patience: Patience = field(default_factory=Patience)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data that a query of ours asks for; again where Linear stumbles."""
        for attempt in range(self.patience.tries):
            try:
                return await self.attempt(query, variables)
            except LinearError as error:
                last = attempt == self.patience.tries - 1
                if not error.passing or last or query.lstrip().startswith("mutation"):
                    raise
                log.info("linear_asked_again", asked=named(query), why=str(error))
            await asyncio.sleep(self.patience.pause(attempt))
        raise LinearError("", "Linear was not asked at all.")

    async def attempt(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Ask once, and once more with a renewed token where this one is refused."""
        try:
            return await self.sent(query, variables)
        except LinearError as error:
            if error.code != "AUTHENTICATION_ERROR" or self.renew is None:
                raise
        self.secret = await self.renew(self.secret)
        return await self.sent(query, variables)

    async def sent(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Send one query and read its answer."""
        response = await posted(
            self.client,
            named(query),
            "/graphql",
            json={"query": query, "variables": dict(variables)},
            headers={"authorization": self.secret.header},
        )
        kind = "OAuth token" if self.secret.access_token else "API key"
        return understood(named(query), response, kind)


def web_client(api_url: str) -> "httpx.AsyncClient":
    """Open a pool of connections to Linear's API."""
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)
    return httpx.AsyncClient(
        base_url=api_url,
        headers={"user-agent": "Veelocity"},
        verify=trusted(),
        timeout=httpx.Timeout(30, connect=5),
    )


@asynccontextmanager
async def linear_as(
    api_url: str, secret: LinearSecret, renew: Renew | None = None
) -> AsyncIterator[Linear]:
    """Open a line with a secret."""
    async with web_client(api_url) as client:
        yield Linear(client, secret, renew)


async def posted(
    client: "httpx.AsyncClient", asked: str, path: str, **request: Any
) -> "httpx.Response":
    """Send one request; raise `LinearError` where nothing came back."""
    import httpx

    started = time.monotonic()
    try:
        response = await client.post(path, **request)
    except httpx.RequestError as error:
        why = f"Linear could not be reached for {asked}: {type(error).__name__}."
        raise LinearError("", why, passing=True) from None
    seconds = round(time.monotonic() - started, 3)
    log.debug("linear_asked", asked=asked, status=response.status_code, seconds=seconds)
    return response


def named(query: str) -> str:
    """Return the name of a query, as errors and logs say it."""
    words = query.split("(")[0].split("{")[0].split()
    return words[1] if len(words) > 1 else "a query"


def understood(asked: str, response: "httpx.Response", kind: str) -> dict[str, Any]:
    """Return the data of an answer without errors; raise what says why there is none.

    An answer that is good only in part is not taken: what lacks would be taken for gone.
    """
    told = body_of(response)
    errors = [each for each in told.get("errors") or () if isinstance(each, dict)]
    codes = {str((each.get("extensions") or {}).get("code", "")) for each in errors}
    if response.status_code == 429 or "RATELIMITED" in codes:
        raise RateLimited(limited_until(response.headers))
    if response.status_code == 401 or "AUTHENTICATION_ERROR" in codes:
        raise LinearError("AUTHENTICATION_ERROR", AGAIN.format(what=kind))
    if errors:
        code = next(iter(sorted(codes - {""})), "")
        raise LinearError(
            code, refusal(asked, errors), passing=code in ("INTERNAL_SERVER_ERROR", "")
            and response.status_code >= 500,
        )  # fmt: skip
    data = told.get("data")
    if response.status_code >= 300 or not isinstance(data, dict):
        why = f"Linear answered {asked} with {response.status_code} and nothing to read."
        raise LinearError("", why, passing=response.status_code >= 500)
    return data


def body_of(response: "httpx.Response") -> dict[str, Any]:
    """Return the JSON object of an answer, an empty one where it is none."""
    try:
        told = response.json()
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def refusal(asked: str, errors: list[dict[str, Any]]) -> str:
    """Say what Linear found wrong, in its own words for people where it has some."""
    said = []
    for each in errors[:3]:
        more = each.get("extensions") or {}
        where = ".".join(str(part) for part in each.get("path") or ())
        words = str(more.get("userPresentableMessage") or each.get("message") or "no reason given")
        said.append(f"{words[:300]}{f' (at {where})' if where else ''}")
    rest = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
    return f"Linear refused {asked}: {'; '.join(said)}{rest}"


def limited_until(headers: Mapping[str, str]) -> datetime:
    """Return when a limit ends, by the clock of those that are used up; a minute where unsaid."""
    now = datetime.now(UTC)
    ends = []
    for name in LIMITS:
        left = headers.get(f"x-ratelimit-{name}-remaining", "")
        at = headers.get(f"x-ratelimit-{name}-reset", "")
        if at.isdecimal() and len(at) <= 14 and (not left.isdecimal() or int(left) == 0):
            ends.append(datetime.fromtimestamp(int(at) / 1000, UTC))
    until = max(ends, default=now + timedelta(seconds=UNSAID_SECONDS))
    return min(max(until, now + timedelta(seconds=1)), now + LONGEST_LIMIT)
