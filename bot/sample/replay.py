"""Send deliveries to the app's webhooks, signed as their sources sign them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import httpx

from bot.sample.signing import PATHS, signed
from bot.sample.world import Delivery

AWAY = 503
TRIES = 60
LONGEST_WAIT_SECONDS = 30.0
Progress = Callable[[int], None]
"""Told how many deliveries have been answered so far."""


async def replay(
    deliveries: Iterable[Delivery],
    address: str,
    secrets: Mapping[str, str],
    *,
    concurrency: int = 16,
    on_progress: Progress | None = None,
    client: httpx.AsyncClient | None = None,
) -> Counter[int]:
    """POST them, begun in their order, at most `concurrency` at a time; how often each status came.

    `address` is the app's, `secrets` are by source.

    503 is tried again when its `Retry-After` says, 60 times at most; any other answer is counted
    and final. Raises an `ExceptionGroup` of `httpx.TransportError` when nobody listens.
    """
    counts: Counter[int] = Counter()
    waiting = iter(deliveries)

    async def work(session: httpx.AsyncClient, queue: Iterator[Delivery]) -> None:
        for delivery in queue:
            counts[await _post(session, address, delivery, secrets[delivery.source])] += 1
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
    return counts


async def _post(session: httpx.AsyncClient, address: str, delivery: Delivery, secret: str) -> int:
    for _ in range(TRIES):
        headers, body = signed(delivery, secret)
        url = address.rstrip("/") + PATHS[delivery.source]
        answer = await session.post(url, headers=headers, content=body)
        if answer.status_code != AWAY:
            return answer.status_code
        await asyncio.sleep(_wait_seconds(answer))
    return AWAY


def _wait_seconds(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(LONGEST_WAIT_SECONDS, float(text)) if text.isdecimal() else 1.0
