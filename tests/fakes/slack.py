"""A Slack over loopback HTTP: its Web API, believing a token, and keeping what was said.

<https://docs.slack.dev/apis/web-api/>
"""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.serving import serving

SCOPES = {
    "conversations.list": "channels:read",
    "conversations.info": "channels:read",
    "conversations.join": "channels:join",
    "conversations.replies": "channels:history",
    "conversations.history": "channels:history",
    "users.list": "users:read",
    "users.info": "users:read",
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.getPermalink": "",
    "auth.test": "",
}
WRITES = {name for name in SCOPES if name.startswith(("chat.post", "chat.upd"))} | {
    "conversations.join"
}
ALL = sorted({scope for scope in SCOPES.values() if scope} | {"groups:read", "users:read.email"})


class Denied(Exception):  # noqa: N818 - it is an answer
    """An answer with `ok: false`."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


@dataclass
class FakeSlack:
    """What the workspace holds; `said` is what was posted, oldest first, `asked` every call.

    `limited`: methods that answer 429 once each time they are named. `slow_seconds` delays all.
    """

    team_id: str = "T1"
    team: str = "Acme"
    token: str = "xoxb-fake-token"
    bot_user_id: str = "U0BOT"
    app_id: str = "A0APP"
    client_id: str = "123.456"
    client_secret: str = "slack-client-secret"
    codes: set[str] = field(default_factory=set)
    scopes: list[str] = field(default_factory=lambda: list(ALL))
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    said: list[dict[str, Any]] = field(default_factory=list)
    responded: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    limited: list[str] = field(default_factory=list)
    revoked: bool = False
    page: int = 2
    url: str = ""

    def channel(self, channel_id: str, name: str, **more: Any) -> None:
        """Let there be a channel."""
        told = {"id": channel_id, "name": name, "is_private": False, "is_archived": False}
        self.channels[channel_id] = {**told, "is_member": False, **more}

    def user(self, user_id: str, name: str, email: str | None = None, **more: Any) -> None:
        """Let there be somebody."""
        profile = {"real_name": name, "display_name": "", **({"email": email} if email else {})}
        told = {"id": user_id, "team_id": self.team_id, "name": name.lower(), "profile": profile}
        self.users[user_id] = {**told, "is_bot": False, "updated": 1788000000, **more}

    def message(self, channel_id: str, ts: str, text: str, **more: Any) -> None:
        """Let something have been said."""
        told = {"type": "message", "user": "U1", "text": text, "ts": ts}
        self.messages.setdefault(channel_id, []).append({**told, **more})

    @property
    def texts(self) -> list[str]:
        """What was posted, by its `text`."""
        return [each["text"] for each in self.said]


Answer = Callable[[FakeSlack, dict[str, Any]], dict[str, Any]]


@contextmanager
def fake_slack(**told: Any) -> Iterator[FakeSlack]:
    """Serve a Slack; its address is `url`."""
    state = FakeSlack(**told)
    with serving(slack_api(state)) as url:
        state.url = url
        yield state


def slack_api(state: FakeSlack) -> Starlette:
    """The API of a Slack in this state."""
    app = Starlette(
        routes=[
            Route("/api/{method}", asked, methods=["POST"]),
            Route("/commands/{rest:path}", responded, methods=["POST"]),
        ]
    )
    app.state.slack = state
    return app


async def asked(request: Request) -> Response:
    state: FakeSlack = request.app.state.slack
    method = request.path_params["method"]
    state.asked.append(method)
    if method in state.limited:
        state.limited.remove(method)
        body = {"ok": False, "error": "ratelimited"}
        return JSONResponse(body, 429, {"retry-after": "1"})
    try:
        if method == "oauth.v2.access":
            return JSONResponse(await access(state, request))
        believe(state, request, method)
        arguments = await arguments_of(request, method)
        told = METHODS[method](state, arguments)
    except Denied as denied:
        return JSONResponse(denied.body)
    return JSONResponse({"ok": True, **told}, headers={"x-oauth-scopes": ",".join(state.scopes)})


def believe(state: FakeSlack, request: Request, method: str) -> None:
    """Believe the bot's token, where it may do this."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token:
        raise Denied("not_authed")
    if token != state.token:
        raise Denied("invalid_auth")
    if state.revoked:
        raise Denied("token_revoked")
    if method not in SCOPES:
        raise Denied("unknown_method")
    if SCOPES[method] and SCOPES[method] not in state.scopes:
        raise Denied("missing_scope", needed=SCOPES[method], provided=",".join(state.scopes))


async def arguments_of(request: Request, method: str) -> dict[str, Any]:
    """Read arguments as Slack does: JSON is understood by methods that write only."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    body = await request.body()
    if kind == "application/json":
        if method not in WRITES:
            return {}
        read: dict[str, Any] = json.loads(body)
        return read
    async with request.form() as form:
        return dict(form)


async def access(state: FakeSlack, request: Request) -> dict[str, Any]:
    """Exchange a code, which works once, for the token."""
    login = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic "))
    if login.decode() != f"{state.client_id}:{state.client_secret}":
        raise Denied("bad_client_secret")
    async with request.form() as form:
        code = str(form.get("code", ""))
    if code not in state.codes:
        raise Denied("invalid_code")
    state.codes.remove(code)
    return {
        "ok": True,
        "access_token": state.token,
        "token_type": "bot",
        "scope": ",".join(state.scopes),
        "bot_user_id": state.bot_user_id,
        "app_id": state.app_id,
        "team": {"id": state.team_id, "name": state.team},
        "enterprise": None,
        "is_enterprise_install": False,
        "authed_user": {"id": "U1"},
    }


async def responded(request: Request) -> Response:
    state: FakeSlack = request.app.state.slack
    state.responded.append(await request.json())
    return Response("ok")


def needed(arguments: dict[str, Any], *names: str) -> list[Any]:
    """Return arguments that must be there."""
    for name in names:
        if not arguments.get(name):
            raise Denied("invalid_arguments", needed_argument=name)
    return [arguments[name] for name in names]


def channel_of(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    (channel_id,) = needed(arguments, "channel")
    if channel_id not in state.channels:
        raise Denied("channel_not_found")
    return state.channels[channel_id]


def listed(state: FakeSlack, items: list[Any], name: str, arguments: dict[str, Any]) -> Any:
    """Return a page, which is smaller than what is asked for: Slack may do that."""
    start = int(arguments.get("cursor") or 0)
    last = start + min(int(arguments.get("limit", 100)), state.page)
    cursor = str(last) if last < len(items) else ""
    return {name: items[start:last], "response_metadata": {"next_cursor": cursor}}


def about_token(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": "https://acme.slack.com/",
        "team": state.team,
        "team_id": state.team_id,
        "user": "veelocity",
        "user_id": state.bot_user_id,
        "bot_id": "B0BOT",
    }


def list_channels(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    kinds = str(arguments.get("types", "public_channel")).split(",")
    if "private_channel" in kinds and "groups:read" not in state.scopes:
        raise Denied("missing_scope", needed="groups:read")
    seen = [each for each in state.channels.values()
            if each["is_member"] or not each["is_private"]]  # fmt: skip
    return dict(listed(state, seen, "channels", arguments))


def about_channel(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"channel": channel_of(state, arguments)}


def join(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    channel = channel_of(state, arguments)
    if channel["is_private"]:
        raise Denied("method_not_supported_for_channel_type")
    if channel["is_archived"]:
        raise Denied("is_archived")
    channel["is_member"] = True
    return {"channel": channel}


def replies(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    """A thread by its first message; by a reply only that one is told."""
    channel = channel_of(state, arguments)
    if not channel["is_member"]:
        raise Denied("not_in_channel")
    (ts,) = needed(arguments, "ts")
    told = state.messages.get(channel["id"], [])
    found = [each for each in told if ts in (each["ts"], each.get("thread_ts"))]
    if not found:
        raise Denied("thread_not_found")
    return dict(listed(state, found, "messages", arguments))


def history(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    """What was said in a channel since `oldest`, newest first; of threads their first messages."""
    channel = channel_of(state, arguments)
    if not channel["is_member"]:
        raise Denied("not_in_channel")
    oldest = float(arguments.get("oldest") or 0)
    told = state.messages.get(channel["id"], [])
    found = [with_replies(each, told) for each in told
             if each.get("thread_ts", each["ts"]) == each["ts"] or is_broadcast(each)]  # fmt: skip
    found = [each for each in found if float(each["ts"]) > oldest]
    found.sort(key=lambda each: float(each["ts"]), reverse=True)
    return dict(listed(state, found, "messages", arguments))


def is_broadcast(message: dict[str, Any]) -> bool:
    return bool(message.get("subtype") == "thread_broadcast")


def with_replies(message: dict[str, Any], told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a message with the number of answers in its thread, where there are any."""
    ts = message["ts"]
    many = sum(1 for each in told if each.get("thread_ts") == ts and each["ts"] != ts)
    return {**message, "thread_ts": ts, "reply_count": many} if many else message


def list_users(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    return dict(listed(state, list(state.users.values()), "members", arguments))


def about_user(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    (user,) = needed(arguments, "user")
    if user not in state.users:
        raise Denied("user_not_found")
    return {"user": state.users[user]}


def post(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    channel = channel_of(state, arguments)
    needed(arguments, "text")
    if channel["is_archived"]:
        raise Denied("is_archived")
    if not channel["is_member"]:
        raise Denied("not_in_channel")
    ts = f"17900000{len(state.said):02d}.000100"
    state.said.append({**arguments, "ts": ts})
    return {"channel": channel["id"], "ts": ts, "message": {"text": arguments["text"]}}


def update(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    channel, ts = needed(arguments, "channel", "ts")
    for each in state.said:
        if (each["channel"], each["ts"]) == (channel, ts):
            each.update(arguments, updated=each.get("updated", 0) + 1)
            return {"channel": channel, "ts": ts}
    raise Denied("message_not_found")


def permalink(state: FakeSlack, arguments: dict[str, Any]) -> dict[str, Any]:
    channel, ts = needed(arguments, "channel", "message_ts")
    place = f"https://acme.slack.com/archives/{channel}/p{ts.replace('.', '')}"
    return {"channel": channel, "permalink": place}


METHODS: dict[str, Answer] = {
    "auth.test": about_token,
    "chat.getPermalink": permalink,
    "chat.postMessage": post,
    "chat.update": update,
    "conversations.history": history,
    "conversations.info": about_channel,
    "conversations.join": join,
    "conversations.list": list_channels,
    "conversations.replies": replies,
    "users.info": about_user,
    "users.list": list_users,
}
