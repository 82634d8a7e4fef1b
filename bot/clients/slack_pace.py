"""How often Slack may be asked: methods have tiers, each with so many requests a minute.

<https://docs.slack.dev/apis/web-api/rate-limits>. Slack allows bursts, so nothing waits before a
minute's share is used up; where Slack itself says to wait, that counts.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

MINUTE_SECONDS = 60.0
A_MINUTE: Mapping[str, int] = {
    "conversations.history": 50,
    "conversations.join": 50,
    "conversations.list": 20,
    "conversations.replies": 50,
    "users.list": 20,
}
"""Requests a minute of the methods that are asked page after page."""


@dataclass
class Pace:
    """The requests of one piece of work. `calls` counts them all."""

    calls: int = 0
    asked: dict[str, deque[float]] = field(default_factory=dict)

    async def turn(self, method: str) -> None:
        """Wait until a method may be asked once more."""
        self.calls += 1
        if method not in A_MINUTE:
            return
        asked = self.asked.setdefault(method, deque(maxlen=A_MINUTE[method]))
        await asyncio.sleep(pause(asked, A_MINUTE[method], time.monotonic()))
        asked.append(time.monotonic())


def pause(asked: deque[float], allowed: int, now: float) -> float:
    """Return for how many seconds to wait before one more request than those asked at some times.

    >>> pause(deque([10.0, 20.0]), 2, 30.0), pause(deque([10.0, 20.0]), 3, 30.0)
    (40.0, 0.0)
    """
    if len(asked) < allowed:
        return 0.0
    return max(asked[-allowed] + MINUTE_SECONDS - now, 0.0)
