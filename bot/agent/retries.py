"""Asks again where waiting may help: full jitter, `retry-after`, a bound on tries.

<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from bot.agent.trouble import ModelError

log = structlog.get_logger()

Answer = TypeVar("Answer")
OnWait = Callable[[str, float], Awaitable[None]]
"""Told before each wait: why, in words for people, and for how many seconds."""


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how long is waited.

    Before try n+1 any time up to `first_seconds` · 2ⁿ⁻¹ is waited, at most `longest_seconds`;
    where the other side names a time, that one, at most `asked_seconds`. An answer that is silent
    for `silent_seconds` is given up; any byte counts as life, so a ping does too.
    """

    tries: int = 8
    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    asked_seconds: float = 120.0
    silent_seconds: float = 120.0

    def wait(self, tried: int, retry_after: float | None) -> float:
        """Return how many seconds to wait after a number of tries."""
        if retry_after is not None:
            return min(retry_after + random.uniform(0, self.first_seconds), self.asked_seconds)  # noqa: S311 - not a secret
        most = min(self.longest_seconds, self.first_seconds * 2 ** (tried - 1))
        return random.uniform(0, most)  # noqa: S311 - not a secret


async def patiently(
    once: Callable[[], Awaitable[Answer]], patience: Patience, on_wait: OnWait | None = None
) -> Answer:
    """Return what one of the tries answers; raise the last `ModelError` when none does.

    Only errors that are `passing` are tried again.
    """
    tried = 0
    while True:
        tried += 1
        try:
            return await once()
        except ModelError as error:
            if not error.passing:
                raise
            if tried >= patience.tries:
                raise given_up(error, tried) from error
            wait = patience.wait(tried, error.retry_after)
            said = str(error)
        log.info("model_waits", tried=tried, seconds=round(wait, 3), why=said)
        if on_wait:
            await on_wait(said, wait)
        await asyncio.sleep(wait)


def given_up(error: ModelError, tried: int) -> ModelError:
    """Return the last error with the number of tries it took."""
    times = "once" if tried == 1 else f"{tried} times"
    return ModelError(f"{error} (tried {times})", error.kind)
