"""The one place that speaks to Slack's Web API (https://docs.slack.dev/apis/web-api/).

A Slack is opened for one piece of work; its token is in no error, log or address.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, SecretStr, ValidationError, field_serializer
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clients.github import trusted
from bot.clients.slack_pace import Pace
from bot.settings import Settings
from bot.vault import Vault
from models.chat import connection_secret
from models.errors import Refused
from models.slack import slack_connection

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger()

Blocks = Sequence[Mapping[str, Any]]

PAGE = 200
MOST_PAGES = 1000
LONGEST_PAUSE_SECONDS = 60
LONGEST_LIMIT = timedelta(hours=1)
PUBLIC_URL = "https://slack.com"
ADDRESS = re.compile(r"https?://[a-zA-Z0-9.:-]+(?:[/?][!-~]*)?")
SLACK_HOST = re.compile(r"(?:[a-z0-9-]+\.)*slack\.com(?::443)?")

MEANINGS = {
    "account_inactive": "the token's user or workspace is gone: connect Slack again",
    "channel_not_found": "there is no such channel, or the bot is not in it: invite it",
    "invalid_auth": "the token is not valid: connect Slack again",
    "is_archived": "the channel is archived",
    "missing_scope": "a scope is missing: install the app again with the scopes of its manifest",
    "msg_too_long": "the message is too long",
    "no_permission": "the workspace does not allow it",
    "not_authed": "no token was sent: connect Slack again",
    "not_in_channel": "the bot is not in the channel: invite it",
    "restricted_action": "the workspace's admins do not allow it",
    "token_expired": "the token has expired: connect Slack again",
    "token_revoked": "the token was revoked: connect Slack again",
    "user_not_found": "there is no such user",
}
"""What to do about errors of Slack's (https://docs.slack.dev/reference/methods/)."""


class SlackError(Refused):
    """What Slack would not do, in words. `code` is Slack's own, empty where it was not reached."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RateLimited(SlackError):  # noqa: N818 - it is a wish, not a bug
    """Slack takes no such request before `until`: put the work off."""

    def __init__(self, until: datetime) -> None:
        super().__init__("ratelimited", f"Slack asks to wait until {until:%H:%M:%S} UTC.")
        self.until = until


class SlackSecret(BaseModel):
    """What is sealed of a connection. `scopes` are those that Slack granted."""

    access_token: SecretStr
    bot_user_id: str = ""
    app_id: str = ""
    scopes: list[str] = []

    @field_serializer("access_token", when_used="json")
    def reveal(self, value: SecretStr) -> str:
        """Write the token itself: JSON is made only to be sealed."""
        return value.get_secret_value()


@dataclass(frozen=True)
class Workspace:
    """Whose token it is. `url` is the workspace's address, with a slash at its end."""

    team_id: str
    name: str
    url: str
    bot_user_id: str
    scopes: tuple[str, ...]


@dataclass
class Slack:
    """An open line to one workspace as our bot. Every call raises `RateLimited` or `SlackError`."""

    client: "httpx.AsyncClient"
    team_id: str = ""
    bot_user_id: str = ""
    app_id: str = ""
    scopes: tuple[str, ...] = ()
    token: SecretStr = field(default=SecretStr(""), repr=False)
    pace: Pace = field(default_factory=Pace)

    async def read(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Ask one of Slack's methods that take a form; arguments that are None are left out."""
        told = {name: plain(value) for name, value in arguments.items() if value is not None}
        return await self.ask(method, data=told)

    async def write(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Ask one of Slack's methods that take JSON; arguments that are None are left out."""
        told = {name: value for name, value in arguments.items() if value is not None}
        kind = {"content-type": "application/json; charset=utf-8"}
        return await self.ask(method, content=to_json(told), headers=kind)

    async def ask(self, method: str, **request: Any) -> dict[str, Any]:
        """Ask once, with the bot's token."""
        token = self.token.get_secret_value()
        bearer = {"authorization": f"Bearer {token}"} if token else {}
        headers = {**request.pop("headers", {}), **bearer}
        await self.pace.turn(method)
        response = await sent(self.client, method, f"api/{method}", headers=headers, **request)
        return understood(method, response)

    async def every(self, method: str, items: str, **arguments: Any) -> AsyncIterator[Any]:
        """Yield what a method lists, page after page; a short limit between pages is waited for."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            try:
                answer = await self.read(method, limit=PAGE, cursor=cursor, **arguments)
            except RateLimited as limited:
                seconds = (limited.until - datetime.now(UTC)).total_seconds()
                if cursor is None or seconds > LONGEST_PAUSE_SECONDS:
                    raise
                await asyncio.sleep(max(seconds, 0))
                continue
            for item in answer.get(items) or ():
                yield item
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    async def workspace(self) -> Workspace:
        """Return whose token this is, and what it may do (`auth.test`)."""
        response = await sent(
            self.client, "auth.test", "api/auth.test",
            headers={"authorization": f"Bearer {self.token.get_secret_value()}"},
        )  # fmt: skip
        told = understood("auth.test", response)
        scopes = response.headers.get("x-oauth-scopes", "")
        return Workspace(
            team_id=str(told.get("team_id", "")),
            name=str(told.get("team") or told.get("team_id", "")),
            url=str(told.get("url", "")),
            bot_user_id=str(told.get("user_id", "")),
            scopes=tuple(scope.strip() for scope in scopes.split(",") if scope.strip()),
        )

    async def channels(self) -> list[dict[str, Any]]:
        """List every channel that the bot can see: the public ones and its private ones."""
        kinds = "public_channel,private_channel"
        if self.scopes and "groups:read" not in self.scopes:
            kinds = "public_channel"
        return [each async for each in self.every("conversations.list", "channels", types=kinds)]

    async def channel(self, channel_id: str) -> dict[str, Any]:
        """Return one channel."""
        told = await self.read("conversations.info", channel=channel_id)
        return dict(told.get("channel") or {})

    async def join(self, channel_id: str) -> None:
        """Join a public channel; joining twice does nothing."""
        await self.write("conversations.join", channel=channel_id)

    async def history(
        self, channel_id: str, oldest: datetime, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of what was said in a channel since, newest first, and the next cursor."""
        told = await self.read(
            "conversations.history",
            channel=channel_id, oldest=f"{oldest.timestamp():.6f}", limit=PAGE, cursor=cursor,
        )  # fmt: skip
        following = (told.get("response_metadata") or {}).get("next_cursor")
        return list(told.get("messages") or ()), following or None

    async def thread(self, channel_id: str, ts: str) -> list[dict[str, Any]]:
        """List the messages of the thread that a message belongs to, oldest first."""
        asked = {"channel": channel_id, "ts": ts}
        found = [each async for each in self.every("conversations.replies", "messages", **asked)]
        first = next((each.get("thread_ts") for each in found if each.get("ts") == ts), None)
        if first and first != ts and len(found) == 1:
            asked["ts"] = str(first)
            return [each async for each in self.every("conversations.replies", "messages", **asked)]
        return found

    async def users(self) -> list[dict[str, Any]]:
        """List everybody of the workspace, bots and people who left included."""
        return [each async for each in self.every("users.list", "members")]

    async def user(self, user_id: str) -> dict[str, Any]:
        """Return somebody: `id`, `name`, `email` (None where it is not told) and `bot`."""
        told = (await self.read("users.info", user=user_id)).get("user") or {}
        profile = told.get("profile") or {}
        name = profile.get("display_name") or profile.get("real_name") or told.get("name")
        return {
            "id": told.get("id", user_id),
            "name": name or user_id,
            "email": (profile.get("email") or "").lower() or None,
            "bot": bool(told.get("is_bot")),
        }

    async def post(
        self, channel_id: str, blocks: Blocks, text: str, thread_ts: str | None = None
    ) -> str:
        """Post a message and return its `ts`. `text` is what notifications say."""
        told = await self.write(
            "chat.postMessage",
            channel=channel_id, blocks=list(blocks), text=text, thread_ts=thread_ts,
            unfurl_links=False, unfurl_media=False,
        )  # fmt: skip
        return str(told.get("ts", ""))

    async def update(self, channel_id: str, ts: str, blocks: Blocks, text: str) -> None:
        """Put other words in the place of a message of our own."""
        await self.write("chat.update", channel=channel_id, ts=ts, blocks=list(blocks), text=text)

    async def permalink(self, channel_id: str, ts: str) -> str:
        """Return the address of a message for people."""
        told = await self.read("chat.getPermalink", channel=channel_id, message_ts=ts)
        return str(told.get("permalink", ""))


def web_client(api_url: str) -> "httpx.AsyncClient":
    """Open a pool of connections to Slack's API."""
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)
    return httpx.AsyncClient(
        base_url=api_url,
        headers={"user-agent": "Veelocity"},
        verify=trusted(),
        timeout=httpx.Timeout(15, connect=5),
    )


@asynccontextmanager
async def slack_as(api_url: str, secret: SlackSecret, team_id: str = "") -> AsyncIterator[Slack]:
    """Open a line with a token."""
    async with web_client(api_url) as client:
        yield Slack(
            client, team_id, secret.bot_user_id, secret.app_id, tuple(secret.scopes),
            secret.access_token,
        )  # fmt: skip


@asynccontextmanager
async def slack_for(
    engine: AsyncEngine,
    settings: Settings,
    vault: Vault,
    organization_id: str,
    team_id: str | None = None,
) -> AsyncIterator[Slack | None]:
    """Open a line to an organisation's workspace; None where none is connected with a token.

    `team_id`: to that one of its workspaces. Raises `Refused` where the token cannot be opened.
    """
    async with engine.connect() as db:
        found = await slack_connection(db, organization_id, team_id)
        sealed = await connection_secret(db, found.id) if found else None
    if found is None or sealed is None:
        yield None
        return
    try:
        secret = SlackSecret.model_validate_json(vault.open(sealed))
    except ValidationError:
        raise Refused("The stored token of Slack is not readable: connect Slack again.") from None
    async with slack_as(settings.slack_api_url, secret, found.external_id) as slack:
        yield slack


async def access(settings: Settings, code: str, redirect_uri: str) -> dict[str, Any]:
    """Exchange the code of a consent for a bot's token (`oauth.v2.access`)."""
    secret = settings.slack_client_secret
    login = (settings.slack_client_id or "", secret.get_secret_value() if secret else "")
    async with web_client(settings.slack_api_url) as client:
        asked = {"code": code, "redirect_uri": redirect_uri}
        name = "oauth.v2.access"
        return understood(name, await sent(client, name, f"api/{name}", data=asked, auth=login))


async def respond(url: str, body: Mapping[str, Any], *, api_url: str = PUBLIC_URL) -> None:
    """Post to the `response_url` of a command or button; raise `SlackError` where that fails.

    Only Slack's own hosts are spoken to, whatever a request named.
    """
    if not of_slack(url, api_url):
        raise SlackError("", "The response_url leads to a host that is not Slack's.")
    async with web_client(api_url) as client:
        kind = {"content-type": "application/json; charset=utf-8"}
        response = await sent(client, "response_url", url, content=to_json(body), headers=kind)
    if response.status_code >= 300:
        raise SlackError("", f"Slack answered a response_url with {response.status_code}.")


def of_slack(url: str, api_url: str) -> bool:
    """Tell whether an address is one of Slack's: https, or where Slack's API is said to be."""
    if not ADDRESS.fullmatch(url):
        return False
    asked, known = urlsplit(url), urlsplit(api_url)
    if (asked.scheme, asked.netloc) == (known.scheme, known.netloc):
        return True
    return asked.scheme == "https" and bool(SLACK_HOST.fullmatch(asked.netloc.lower()))


async def sent(
    client: "httpx.AsyncClient", method: str, path: str, **request: Any
) -> "httpx.Response":
    """Send one request; raise `RateLimited`, or `SlackError` where Slack is not reached."""
    import httpx

    started = time.monotonic()
    try:
        response = await client.post(path, **request)
    except httpx.RequestError as error:
        why = f"Slack could not be reached for {method}: {type(error).__name__}."
        raise SlackError("", why) from None
    seconds = round(time.monotonic() - started, 3)
    log.debug("slack_asked", method=method, status=response.status_code, seconds=seconds)
    if response.status_code == 429:
        raise RateLimited(limited_until(response.headers.get("retry-after", "")))
    return response


def limited_until(seconds: str) -> datetime:
    """Return when a limit ends, by `Retry-After`; half a minute from now where that is missing."""
    pause = timedelta(seconds=min(int(seconds), 10**6) if seconds.isdecimal() else 30)
    return datetime.now(UTC) + min(pause, LONGEST_LIMIT)


def understood(method: str, response: "httpx.Response") -> dict[str, Any]:
    """Return a good answer of Slack's; raise `SlackError` that says what is wrong with another."""
    try:
        told = response.json()
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise SlackError("", f"Slack answered {method} with {response.status_code} and no JSON.")
    if told.get("ok"):
        return told
    code = str(told.get("error") or "no reason")[:100]
    if code == "ratelimited":
        raise RateLimited(limited_until(response.headers.get("retry-after", "")))
    needed = told.get("needed") if code == "missing_scope" else None
    meaning = f" ({MEANINGS[code]})" if code in MEANINGS else ""
    scope = f" It needs {needed}." if isinstance(needed, str) else ""
    raise SlackError(code, f"Slack refused {method}: {code}{meaning}.{scope}")


def plain(value: Any) -> str:
    """Write an argument as a form holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
