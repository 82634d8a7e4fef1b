"""Send deliveries to a webhook endpoint, signed as GitHub signs them.

docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
"""

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import httpx
from pydantic_core import to_json

from bot.sample.repositories import APP_ID
from bot.sample.world import Delivery

AWAY = 503
TRIES = 60
LONGEST_WAIT_SECONDS = 30.0
Progress = Callable[[int], None]
"""Told how many deliveries have been answered so far."""


def signed(delivery: Delivery, secret: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of the request GitHub would make."""
    body = to_json(delivery.payload)
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/0000000",
        "x-github-delivery": delivery.delivery_id,
        "x-github-event": delivery.event,
        "x-github-hook-id": "410077251",
        "x-github-hook-installation-target-id": str(APP_ID),
        "x-github-hook-installation-target-type": "integration",
        "x-hub-signature-256": f"sha256={digest}",
    }
    return headers, body


async def replay(
    deliveries: Iterable[Delivery],
    url: str,
    secret: str,
    *,
    concurrency: int = 16,
    on_progress: Progress | None = None,
    client: httpx.AsyncClient | None = None,
) -> dict[int, int]:
    """POST them, begun in their order, at most `concurrency` at a time; how often each status came.

    503 is tried again when its `Retry-After` says, 60 times at most; any other answer is counted
    and final. Raises an `ExceptionGroup` of `httpx.TransportError` when nobody listens.
    """
    counts: Counter[int] = Counter()
    waiting = iter(deliveries)

    async def work(session: httpx.AsyncClient, queue: Iterator[Delivery]) -> None:
        for delivery in queue:
            counts[await _post(session, url, *signed(delivery, secret))] += 1
            if on_progress:
                on_progress(counts.total())

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    session = client or httpx.AsyncClient(limits=limits, timeout=60)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work(session, waiting))
    finally:
        if client is None:
            await session.aclose()
    return dict(counts)


async def _post(session: httpx.AsyncClient, url: str, headers: dict[str, str], body: bytes) -> int:
    for _ in range(TRIES):
        answer = await session.post(url, headers=headers, content=body)
        if answer.status_code != AWAY:
            return answer.status_code
        await asyncio.sleep(_wait_seconds(answer))
    return AWAY


def _wait_seconds(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(LONGEST_WAIT_SECONDS, float(text)) if text.isdecimal() else 1.0
