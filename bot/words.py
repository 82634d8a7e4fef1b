"""How numbers and times are said to people: 52 min, 14.2 h, 2.4 d, 3 min ago, 12 % up."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

MINUTE, HOUR, DAY = 60, 3600, 86400
NOTHING = "\N{EN DASH}"
FEWEST_FOR_A_TREND = 5
WEEK_DAYS, MONTH_DAYS = 7, 30.4375

Measured = tuple[float | None, int]
"""A value, and how many samples it is of."""


@dataclass(frozen=True)
class Change:
    """How a number stands against the previous period. `tone`: good, bad or none (grey)."""

    direction: str
    says: str
    tone: str


def duration(seconds: float | None) -> str:
    """Say a duration in the unit that fits; None is a dash.

    >>> duration(3120), duration(51120), duration(207360)
    ('52 min', '14.2 h', '2.4 d')
    """
    value, unit = measured(seconds)
    return f"{value} {unit}".strip()


def measured(seconds: float | None) -> tuple[str, str]:
    """Return a duration as its number and its unit, so that they can be set apart."""
    if seconds is None:
        return NOTHING, ""
    if abs(seconds) < MINUTE:
        return f"{seconds:.0f}", "s"
    if abs(seconds) < 1.5 * HOUR:
        return f"{seconds / MINUTE:.0f}", "min"
    if abs(seconds) < 2 * DAY:
        return shortest(seconds / HOUR), "h"
    return shortest(seconds / DAY), "d"


def exact_duration(seconds: float | None) -> str:
    """Say a duration to the second, for tooltips: 2 d 9 h 36 min 0 s."""
    if seconds is None:
        return "no data"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join([*parts, f"{left} s"])


def shortest(value: float) -> str:
    """Say a number with one decimal where it is small: 3, 4.7, 128.

    >>> shortest(3.0), shortest(4.71), shortest(128.4)
    ('3', '4.7', '128')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.1f}".removesuffix(".0")


def rate(value: float | None) -> str:
    """Say a number per day or week: two decimals below one, none where nothing is known."""
    if value is None:
        return NOTHING
    return f"{value:.2f}" if 0 < abs(value) < 1 else shortest(value)


def share(value: float | None) -> str:
    """Say a share of one as a percentage; None is a dash."""
    return NOTHING if value is None else f"{shortest(value * 100)} %"


def usd(amount: Decimal | float | None) -> str:
    """Say an amount of US dollars; None is a dash, and what is spent is never said to be nothing.

    >>> usd(1.5), usd(Decimal("0.0004")), usd(0)
    ('$1.50', '<$0.01', '$0.00')
    """
    if amount is None:
        return NOTHING
    if 0 < amount < 0.005:
        return "<$0.01"
    return f"${amount:,.2f}".replace(",", "\u202f")


def tokens(count: int) -> str:
    """Say a number of tokens, in thousands or millions where there are many.

    >>> tokens(940), tokens(23_400), tokens(1_250_000)
    ('940', '23k', '1.2M')
    """
    if count < 1000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 999_500 else f"{shortest(count / 1e6)}M"


def ago(then: datetime, now: datetime) -> str:
    """Say how long ago something happened.

    >>> ago(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 4, tzinfo=UTC))
    '4 s ago'
    """
    return f"{duration(max(0.0, (now - then).total_seconds()))} ago"


def day(value: date) -> str:
    """Say a day within a year: 6 Sep."""
    return f"{value.day} {value:%b}"


def whole_day(value: date) -> str:
    """Say a day with its weekday and year: Sun 6 Sep 2026."""
    return f"{value:%a} {value.day} {value:%b %Y}"


def clock(value: datetime) -> str:
    """Say a time to the minute in UTC: 6 Sep 2026, 14:05 UTC."""
    utc = value.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def count(number: int, noun: str, plural: str = "") -> str:
    """Say how many: 1 deployment, 2 deployments."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}".replace(",", "\u202f")


def round_duration(seconds: float) -> str:
    """Say a duration in the largest unit that needs no decimals, for axes: 12 h, 1 d, 90 min."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return duration(seconds) if seconds else "0"


def per_unit(per_day: float | None) -> tuple[str, str]:
    """Say a rate a day so that it is at least one where it can be."""
    if per_day is None:
        return NOTHING, ""
    if per_day >= 1:
        return rate(per_day), "per day"
    if per_day * WEEK_DAYS >= 1:
        return rate(per_day * WEEK_DAYS), "per week"
    return rate(per_day * MONTH_DAYS), "per month"


def change(now: Measured, before: Measured, *, higher: str) -> Change | None:
    """Compare two periods; grey where either has too few samples to say anything."""
    (value, count), (previous, previous_count) = now, before
    if value is None or not previous:
        return None
    moved = value / previous - 1
    direction = "same" if abs(moved) < 0.005 else "up" if moved > 0 else "down"
    lower = "bad" if higher == "good" else "good"
    tone = {"same": "none", "up": higher, "down": lower}[direction]
    if min(count, previous_count) < FEWEST_FOR_A_TREND:
        tone = "none"
    return Change(direction, f"{abs(moved) * 100:.0f} %", tone)
