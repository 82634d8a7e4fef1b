"""GitHub's limits as its answers state them.

<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

SECONDARY = (b"secondary rate limit", b"abuse detection", b"rate limit exceeded")
SECONDARY_SECONDS = 60.0
LONGEST = timedelta(hours=2)


def limited_until(status: int, headers: Mapping[str, str], body: bytes) -> datetime | None:
    """Return until when GitHub wants no more requests; None when it takes them.

    An answer that was given counts too, when it was the last of its hour.
    """
    now = datetime.now(UTC)
    refused = status in (403, 429)
    told = retry_after(headers.get("retry-after"), now) if refused or status == 503 else None
    until = told or (reset(headers, now) if refused or status < 300 else None)
    if not until and refused and (status == 429 or says_limit(body)):
        until = now + timedelta(seconds=SECONDARY_SECONDS)
    return min(until, now + LONGEST) if until else None


def says_limit(body: bytes) -> bool:
    """Whether a refusal's words name a limit."""
    words = body[:4000].lower()
    return any(known in words for known in SECONDARY)


def retry_after(value: str | None, now: datetime) -> datetime | None:
    """Read `Retry-After`, in seconds or as a date; None where it is missing or neither."""
    if not value:
        return None
    if value.strip().isdecimal():
        return now + timedelta(seconds=min(int(value), LONGEST.total_seconds()))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def reset(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return when the hourly limit begins anew, if none of it is left."""
    return begins_anew(headers, now) if headers.get("x-ratelimit-remaining") == "0" else None


def begins_anew(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return when the hourly limit begins anew, by its own clock; None where it is not told."""
    at = headers.get("x-ratelimit-reset", "")
    if not at.isdecimal():
        return None
    theirs = retry_after(headers.get("date"), now) or now
    seconds = int(at) - theirs.timestamp()
    return now + timedelta(seconds=min(max(seconds, 1.0), LONGEST.total_seconds()))
