"""Where GitHub delivers: a plain ASGI handler that checks, keeps and answers, and parses nothing.

<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import structlog
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from bot.clients import github_deliveries
from bot.web.inbox import Inbox, Receipt
from bot.web.receiving import (
    NAME,
    NO_SECRET,
    Answer,
    Reading,
    answer_of,
    answer_post,
    shown,
)

log = structlog.get_logger()

KEPT_HEADERS = tuple(name.encode() for name in github_deliveries.KEPT_HEADERS)
UNSIGNED = Answer(401, {"title": "X-Hub-Signature-256 is missing or wrong"})


@dataclass
class GitHubWebhook:
    """`POST /webhooks/github`. `secrets` gives the current and the previous secret."""

    inbox: Inbox
    secrets: Callable[[], Sequence[str]]
    public_url: str
    reading: Reading = field(default_factory=Reading)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await answer_post("github", scope, send, lambda headers: self.answer(headers, receive))

    async def answer(self, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        """Check, keep, and say what became of it."""
        secrets = self.secrets()
        if not secrets:
            return NO_SECRET
        body = await self.reading.body_of(headers, receive)
        if not signed(body, headers.get(b"x-hub-signature-256", b""), secrets):
            log.warning("signature_refused", delivery=shown(headers.get(b"x-github-delivery", b"")))
            return UNSIGNED
        for name in (b"x-github-event", b"x-github-delivery"):
            if not NAME.fullmatch(headers.get(name, b"")):
                return Answer(400, {"title": f"The header {name.decode()} is missing or malformed"})
        receipt = await self.kept(headers, body)
        return answer_of(headers[b"x-github-delivery"], receipt, self.public_url, new=202)

    async def kept(self, headers: dict[bytes, bytes], body: bytes) -> Receipt | None:
        """Keep a request whose signature holds."""
        return await self.inbox.keep(
            b"github",
            headers[b"x-github-delivery"],
            headers[b"x-github-event"],
            mattering(*map(headers.get, KEPT_HEADERS)),
            body,
        )


def signed(body: bytes, signature: bytes, secrets: Sequence[str]) -> bool:
    """Tell, in constant time, whether one of the secrets made the signature of these bytes."""
    matches = [
        hmac.compare_digest(
            b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode(), signature
        )
        for secret in secrets
    ]
    return any(matches)


@lru_cache(maxsize=256)
def mattering(*values: bytes | None) -> bytes:
    """Return the headers that are kept, as JSON; a hook sends the same ones each time."""
    told = zip(KEPT_HEADERS, values, strict=True)
    return to_json({name.decode(): shown(value) for name, value in told if value is not None})
