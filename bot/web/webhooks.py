"""Where sources deliver: a plain ASGI handler that checks, keeps and answers, and parses nothing.

GitHub: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from bot import metrics
from bot.web.inbox import Inbox, Receipt

log = structlog.get_logger()

BODY_CAP = 25 * 1024 * 1024
KEPT_HEADERS = (
    b"content-type",
    b"user-agent",
    b"x-github-hook-id",
    b"x-github-hook-installation-target-id",
    b"x-github-hook-installation-target-type",
)
NAME = re.compile(rb"[!-~]{1,200}")


@dataclass(frozen=True)
class Answer:
    """What a sender is told: a status, a JSON body, and when to try again."""

    status: int
    says: dict[str, object]
    retry_after: int | None = None


class TooLarge(Exception):  # noqa: N818 - it is an answer, not a bug
    """A body beyond the cap."""


class Gone(Exception):  # noqa: N818 - it is an answer, not a bug
    """A sender that hung up before its body was whole."""


@dataclass
class GitHubWebhook:
    """`POST /webhooks/github`. `secrets` gives the current and the previous secret."""

    inbox: Inbox
    secrets: Callable[[], Sequence[str]]
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST":
            await respond(send, Answer(405, {"title": "Only POST is understood here"}))
            return
        try:
            answer = await self.answer(dict(scope["headers"]), receive)
        except Gone:
            return
        metrics.answered("github", answer.status)
        await respond(send, answer)

    async def answer(self, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        """Check, keep, and say what became of it."""
        secrets = self.secrets()
        if not secrets:
            return Answer(503, {"title": "No webhook secret is configured"}, retry_after=300)
        try:
            body = await body_of(headers, receive)
        except TooLarge:
            return Answer(413, {"title": "The body is larger than 25 MiB"})
        if not signed(body, headers.get(b"x-hub-signature-256", b""), secrets):
            log.warning("signature_refused", delivery=shown(headers, b"x-github-delivery"))
            return Answer(401, {"title": "X-Hub-Signature-256 is missing or wrong"})
        for name in (b"x-github-event", b"x-github-delivery"):
            if not NAME.fullmatch(headers.get(name, b"")):
                return Answer(400, {"title": f"The header {name.decode()} is missing or malformed"})
        return self.said(headers, await self.kept(headers, body))

    async def kept(self, headers: dict[bytes, bytes], body: bytes) -> Receipt | None:
        """Keep a request whose signature holds."""
        mattering = {
            name.decode(): shown(headers, name) for name in KEPT_HEADERS if name in headers
        }
        return await self.inbox.keep(
            b"github",
            headers[b"x-github-delivery"],
            headers[b"x-github-event"],
            to_json(mattering),
            body,
        )

    def said(self, headers: dict[bytes, bytes], receipt: Receipt | None) -> Answer:
        """Return the answer to a request that was kept, known before, or could not be kept."""
        if receipt is None:
            return Answer(503, {"title": "The delivery could not be stored"}, retry_after=5)
        says: dict[str, object] = {
            "delivery_id": headers[b"x-github-delivery"].decode(),
            "status": "received" if receipt.new else "seen",
            "decisions": f"{self.public_url}/deliveries/{receipt.id}",
        }
        return Answer(202 if receipt.new else 200, says)


async def body_of(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """Read a body, no further than the cap."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > BODY_CAP:
        raise TooLarge
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_CAP:
            raise TooLarge
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def signed(body: bytes, signature: bytes, secrets: Sequence[str]) -> bool:
    """Tell, in constant time, whether one of the secrets made the signature of these bytes."""
    matches = [
        hmac.compare_digest(
            b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode(), signature
        )
        for secret in secrets
    ]
    return any(matches)


def shown(headers: dict[bytes, bytes], name: bytes) -> str:
    """Return a header for the log, cut short, with nothing unprintable."""
    return headers.get(name, b"").decode("ascii", "replace")[:200].replace("\0", "\ufffd")


async def respond(send: Send, answer: Answer) -> None:
    """Send an answer; an error is a problem document (RFC 9457)."""
    failed = answer.status >= 400
    says = (
        {"type": "about:blank", "status": answer.status, **answer.says} if failed else answer.says
    )
    body = to_json(says)
    kind = b"application/problem+json" if failed else b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if answer.retry_after:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
