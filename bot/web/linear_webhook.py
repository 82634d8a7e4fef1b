"""Where Linear delivers: what it signed a moment ago is kept, then answered within five seconds.

<https://linear.app/developers/webhooks>. Linear takes any answer but 200 for a failure and sends
again after a minute, an hour and six hours.
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
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Receive, Scope, Send

from bot.web.inbox import Inbox, Receipt
from bot.web.receiving import (
    NAME,
    NO_SECRET,
    NOT_STORED,
    Answer,
    Reading,
    answer_of,
    answer_post,
    object_in,
    shown,
)

log = structlog.get_logger()

NEW_SECONDS, AGAIN_SECONDS = 60, 7 * 3600
KEEP_SECONDS = 4.0
MOST_MILLISECONDS = 10**14
KEPT_HEADERS = (b"content-type", b"user-agent", b"linear-event")
UNSIGNED = Answer(401, {"title": "Linear-Signature is missing or wrong"})
UNDATED = Answer(400, {"title": "The body is no JSON object with a webhookTimestamp"})
ANOTHER_EVENT = Answer(400, {"title": "Linear-Event is not the type that the body says"})
STALE = Answer(
    401, {"title": "The webhookTimestamp is a minute away from our clock: is this a replay?"}
)


@dataclass
class LinearWebhook:
    """`POST /webhooks/linear`. `known` tells whether a delivery was kept, by its id and event.

    Neither is signed: what is not of this minute is taken for nothing but a delivery sent again.
    """

    inbox: Inbox
    secret: str
    known: Callable[[str, str], Awaitable[bool]]
    public_url: str
    reading: Reading = field(default_factory=Reading)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await answer_post("linear", scope, send, lambda headers: self.answer(headers, receive))

    async def answer(self, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        """Check, keep, and say what became of it."""
        if not self.secret:
            return NO_SECRET
        body = await self.reading.body_of(headers, receive)
        if not signed(body, headers.get(b"linear-signature", b""), self.secret):
            log.warning("linear_signature_refused")
            return UNSIGNED
        for name in (b"linear-event", b"linear-delivery"):
            if not NAME.fullmatch(headers.get(name, b"")):
                return Answer(400, {"title": f"The header {name.decode()} is missing or malformed"})
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                refusal = await self.refused(headers, body)
                if refusal:
                    return refusal
                receipt = await self.kept(headers, body)
        except (TimeoutError, SQLAlchemyError, OSError):
            return NOT_STORED
        return answer_of(headers[b"linear-delivery"], receipt, self.public_url)

    async def refused(self, headers: dict[bytes, bytes], body: bytes) -> Answer | None:
        """Say why a body is not believed; None for a fresh one, or one that is sent again.

        The header that names the event is not signed, the body that names it too is.
        """
        payload = object_in(body)
        at = sent_at(payload)
        if at is None:
            return UNDATED
        if payload.get("type") != headers[b"linear-event"].decode():
            return ANOTHER_EVENT
        away = abs(time.time() - at)
        if away <= NEW_SECONDS:
            return None
        names = (b"linear-delivery", b"linear-event")
        delivery_id, event = (headers[name].decode() for name in names)
        if away <= AGAIN_SECONDS and await self.known(delivery_id, event):
            return None
        log.warning("linear_delivery_stale", delivery=delivery_id, seconds=round(away))
        return STALE

    async def kept(self, headers: dict[bytes, bytes], body: bytes) -> Receipt | None:
        """Keep a delivery; one that is sent again is known by its id, whatever it says by then."""
        told = {name.decode(): shown(headers[name]) for name in KEPT_HEADERS if name in headers}
        delivery_id = headers[b"linear-delivery"]
        return await self.inbox.keep(
            b"linear",
            delivery_id,
            headers[b"linear-event"],
            to_json(told),
            body,
            digest=sha256(delivery_id).digest(),
        )


def signed(body: bytes, signature: bytes, secret: str) -> bool:
    """Tell, in constant time, whether the secret made the signature of these bytes."""
    made = hmac.digest(secret.encode(), body, "sha256").hex().encode()
    return hmac.compare_digest(made, signature.lower())


def sent_at(payload: Mapping[str, Any]) -> float | None:
    """Return when a body says it was sent, in seconds; None where it does not say."""
    at = payload.get("webhookTimestamp")
    if not isinstance(at, int) or isinstance(at, bool) or not 0 < at < MOST_MILLISECONDS:
        return None
    return at / 1000
