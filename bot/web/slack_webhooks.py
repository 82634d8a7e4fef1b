"""Where Slack delivers: what it signed is kept before it is answered, within its three seconds.

Signature: <https://docs.slack.dev/authentication/verifying-requests-from-slack>, events:
<https://docs.slack.dev/apis/events-api/>. What is kept is JSON without Slack's `token`.
"""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import structlog
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from bot.web.inbox import Inbox, Receipt
from bot.web.receiving import (
    NAME,
    NO_SECRET,
    Answer,
    Reading,
    Unread,
    answer_of,
    answer_post,
    object_in,
    shown,
)

log = structlog.get_logger()

WINDOW_SECONDS = 300
KEEP_SECONDS = 2.0
KEPT_HEADERS = (
    b"content-type",
    b"user-agent",
    b"x-slack-request-timestamp",
    b"x-slack-retry-num",
    b"x-slack-retry-reason",
)
UNSIGNED = Answer(401, {"title": "X-Slack-Signature is missing or wrong"})
STALE = Answer(
    401, {"title": "X-Slack-Request-Timestamp is missing, or five minutes away from our clock"}
)

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Told:
    """What a request tells, as it is kept: `body` is JSON."""

    delivery_id: bytes
    event: bytes
    body: bytes


@dataclass
class Desk:
    """What Slack's three addresses share: the secret, the reading, and the inbox."""

    inbox: Inbox
    secret: str
    reading: Reading = field(default_factory=Reading)

    async def signed(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Return a body that Slack signed; raise Unread with the answer to any other."""
        if not self.secret:
            raise Unread(NO_SECRET)
        body = await self.reading.body_of(headers, receive)
        if refusal := refused(body, headers, self.secret, time.time()):
            log.warning("slack_signature_refused", says=refusal.says["title"])
            raise Unread(refusal)
        return body

    async def keep(self, told: Told, headers: Headers) -> Receipt | None:
        """Keep what was told; None where that takes longer than Slack waits.

        A repeat is known by its id alone: the digest is that of the id.
        """
        kept = {name.decode(): shown(headers[name]) for name in KEPT_HEADERS if name in headers}
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                return await self.inbox.keep(
                    b"slack",
                    told.delivery_id,
                    told.event,
                    to_json(kept),
                    told.body,
                    digest=sha256(told.delivery_id).digest(),
                )
        except TimeoutError:
            return None


def refused(body: bytes, headers: Headers, secret: str, now: float) -> Answer | None:
    """Return why a request is not believed; None for one that is. Compares in constant time."""
    at = headers.get(b"x-slack-request-timestamp", b"")
    if not (at.isdigit() and len(at) <= 12) or abs(now - int(at)) > WINDOW_SECONDS:
        return STALE
    made = b"v0=" + hmac.digest(secret.encode(), b"v0:%b:%b" % (at, body), "sha256").hex().encode()
    given = headers.get(b"x-slack-signature", b"")
    return None if hmac.compare_digest(made, given) else UNSIGNED


@dataclass
class SlackWebhook:
    """One of Slack's addresses; `answer` is asked about each request that Slack signed."""

    desk: Desk
    answer: Callable[[Headers, bytes], Awaitable[Answer]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def answer(headers: dict[bytes, bytes]) -> Answer:
            return await self.answer(headers, await self.desk.signed(headers, receive))

        await answer_post("slack", scope, send, answer)


@dataclass
class Events:
    """`POST /webhooks/slack/events`: what happened in a workspace, kept and settled later."""

    desk: Desk
    public_url: str

    async def answer(self, headers: Headers, body: bytes) -> Answer:
        """Keep an event; answer Slack's question whether this address is ours at once."""
        payload = object_in(body)
        if payload.get("type") == "url_verification":
            return Answer(200, {"challenge": str(payload.get("challenge", ""))[:1000]})
        told = event_told(payload, body)
        return answer_of(told.delivery_id, await self.desk.keep(told, headers), self.public_url)


def event_told(payload: dict[str, Any], body: bytes) -> Told:
    """Return what an event tells, without Slack's token; what cannot be read is kept as it came."""
    payload.pop("token", None)
    event = payload.get("event")
    kind = event.get("type") if isinstance(event, dict) else payload.get("type")
    return Told(
        delivery_id=named(payload.get("event_id")) or sha256(body).hexdigest().encode(),
        event=named(kind) or b"unknown",
        body=to_json(payload) if payload else body,
    )


def named(value: object) -> bytes:
    """Return what can be a name in the inbox; empty for anything else."""
    name = value.encode("utf-8", "replace") if isinstance(value, str) else b""
    return name if NAME.fullmatch(name) else b""
