"""What all webhooks share: how a body is read, how far, and how its sender is answered."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json
from starlette.types import Message, Receive, Scope, Send

from bot import metrics
from bot.web.inbox import Receipt

BODY_CAP = 25 * 1024 * 1024
BODY_SECONDS = 20
ORDINARY_BYTES = 256 * 1024
LARGE_TOGETHER_BYTES = 256 * 1024 * 1024
NAME = re.compile(rb"[!-~]{1,200}")


@dataclass(frozen=True)
class Answer:
    """What a sender is told: a status, a JSON body, and headers beside those of every answer."""

    status: int
    says: dict[str, object]
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Unread(Exception):  # noqa: N818 - it is an answer, not a bug
    """A body that was not read to its end; None: its sender hung up."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__()
        self.answer = answer


def later(seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header that tells a sender when to try again."""
    return ((b"retry-after", str(seconds).encode()),)


ONLY_POST = Answer(405, {"title": "Only POST is understood here"}, ((b"allow", b"POST"),))
NO_SECRET = Answer(503, {"title": "No webhook secret is configured"}, later(300))
NOT_STORED = Answer(503, {"title": "The delivery could not be stored"}, later(5))
BUSY = Answer(503, {"title": "Too many large bodies are being read"}, later(5))
TOO_LARGE = Answer(413, {"title": "The body is larger than 25 MiB"})
TOO_SLOW = Answer(
    408,
    {"title": f"The body did not arrive within {BODY_SECONDS} seconds"},
    ((b"connection", b"close"),),
)


@dataclass
class Reading:
    """Reads bodies. Whoever has no secret can send large ones too: together they are bounded.

    Bodies of an ordinary size are always read, so that a flood of large ones does not keep them
    out; `held` counts the bytes beyond.
    """

    held: int = 0

    async def body_of(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Read a body, no further than the cap; raise Unread for one that is not read whole."""
        length = headers.get(b"content-length", b"")
        if length.isdigit() and (len(length) > 20 or int(length) > BODY_CAP):
            raise Unread(TOO_LARGE)
        message = await received(receive)
        body: bytes = message.get("body", b"")
        cap(body)
        if not message.get("more_body"):
            return body
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self.parts_of(message, receive)
        except TimeoutError:
            raise Unread(TOO_SLOW) from None

    async def parts_of(self, message: Message, receive: Receive) -> bytes:
        """Read a body that comes in parts."""
        body, held = bytearray(message.get("body", b"")), 0
        try:
            while message.get("more_body"):
                message = await received(receive)
                body += message.get("body", b"")
                beyond = max(len(body) - ORDINARY_BYTES, 0)
                self.held, held = self.held + beyond - held, beyond
                cap(body)
                if self.held > LARGE_TOGETHER_BYTES:
                    raise Unread(BUSY)
            return bytes(body)
        finally:
            self.held -= held


async def answer_post(
    source: str,
    scope: Scope,
    send: Send,
    answer: Callable[[dict[bytes, bytes]], Awaitable[Answer]],
) -> None:
    """Answer a request of a source; nothing but POST is, and a sender that hung up is not."""
    if scope["method"] != "POST":
        await respond(send, ONLY_POST)
        return
    try:
        said = await answer(dict(scope["headers"]))
    except Unread as unread:
        if unread.answer is None:
            return
        said = unread.answer
    metrics.answered(source, said.status)
    await respond(send, said)


def answer_of(
    delivery_id: bytes, receipt: Receipt | None, public_url: str, new: int = 200
) -> Answer:
    """Return the answer to a delivery that was kept, known before, or could not be kept.

    `new`: the status where it was not known.
    """
    if receipt is None:
        return NOT_STORED
    says: dict[str, object] = {
        "delivery_id": delivery_id.decode(),
        "status": "received" if receipt.new else "seen",
        "decisions": f"{public_url}/deliveries/{receipt.id}",
    }
    return Answer(new if receipt.new else 200, says)


def object_in(body: bytes) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none."""
    try:
        payload = from_json(body, allow_inf_nan=False)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


async def received(receive: Receive) -> Message:
    """Return the next part of a body; raise Unread when its sender hung up."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Unread(None)
    return message


def cap(body: bytes | bytearray) -> None:
    """Raise Unread for a body beyond the cap."""
    if len(body) > BODY_CAP:
        raise Unread(TOO_LARGE)


def shown(value: bytes) -> str:
    """Return a header's value, cut short, with nothing unprintable."""
    return value.decode("ascii", "replace")[:200].replace("\0", "\ufffd")


async def respond(send: Send, answer: Answer) -> None:
    """Send an answer; an error is a problem document (RFC 9457), nothing to say an empty body."""
    failed = answer.status >= 400
    says = (
        {"type": "about:blank", "status": answer.status, **answer.says} if failed else answer.says
    )
    body = to_json(says) if says else b""
    kind = b"application/problem+json" if failed else b"application/json"
    length = str(len(body)).encode()
    headers = [(b"content-type", kind), (b"content-length", length), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
