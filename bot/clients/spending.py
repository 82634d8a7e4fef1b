"""How much of GitHub's hourly limit is spent on reading history, so that others have enough left.

<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.clients.limits import begins_anew

LEFT_FOR_OTHERS = 0.2
SAME_HOUR = timedelta(minutes=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Spending:
    """What one account spent of one limit in the hour that GitHub counts.

    `ours` was spent by reading history; `limit` and `left` are as GitHub last said.
    """

    limit: int = 0
    left: int = 0
    ours: int = 0
    resets_at: datetime = LONG_AGO

    def note(self, headers: Mapping[str, str], cost: int) -> None:
        """Count what an answer cost; one that says nothing of limits has none."""
        now = datetime.now(UTC)
        limit, left = (headers.get(f"x-ratelimit-{name}", "") for name in ("limit", "remaining"))
        resets_at = begins_anew(headers, now)
        if not (resets_at and limit.isdecimal() and left.isdecimal()):
            return
        if resets_at > self.resets_at + SAME_HOUR:
            self.ours = 0
        self.limit, self.left, self.resets_at = int(limit), int(left), resets_at
        self.ours += cost

    def until(self, most: float) -> datetime | None:
        """Return until when to wait, having spent our share; None while there is some left.

        `most` is our share of the limit. Whoever does not take all of it leaves its last fifth.
        """
        if datetime.now(UTC) >= self.resets_at:
            return None
        short = most < 1 and self.left < self.limit * LEFT_FOR_OTHERS
        return self.resets_at if short or self.ours >= self.limit * most else None
