"""When an organisation's sources are read again: what changed often, everything at night. Pure.

What changed is read every 15 minutes. Everything is read once a day at 03:00 in the organisation's
zone; where that hour does not exist, as soon as clocks go on after it, and where it comes twice, in
the first of the two. Both are put off by a few minutes that differ from organisation to
organisation, so that not all of them ask at once.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zlib import crc32
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from models.columns import EPOCH

CHANGES, FULL = "changes", "full"
EVERY = timedelta(minutes=15)
AT_NIGHT = time(3)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def spread(organization_id: str) -> timedelta:
    """Return by how much an organisation's times are put off: less than 15 minutes."""
    return timedelta(seconds=crc32(organization_id.encode()) % int(EVERY.total_seconds()))


def zone_called(name: str) -> ZoneInfo:
    """Return a zone by its IANA name; UTC where nobody knows it (any more)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def last_due(kind: str, now: datetime, zone: str, organization_id: str) -> datetime:
    """Return the latest time, now or before, at which `changes` or a `full` reading was due."""
    late = spread(organization_id)
    if kind == CHANGES:
        return now - (now - EPOCH - late) % EVERY
    return max(at for at in nights(now, zone, late) if at <= now)


def next_due(kind: str, now: datetime, zone: str, organization_id: str) -> datetime:
    """Return the first time after now at which `changes` or a `full` reading is due."""
    if kind == CHANGES:
        return last_due(kind, now, zone, organization_id) + EVERY
    return min(at for at in nights(now, zone, spread(organization_id)) if at > now)


def nights(now: datetime, zone: str, late: timedelta) -> Iterator[datetime]:
    """Yield when everything is read on the days around now."""
    place = zone_called(zone)
    today = now.astimezone(place).date()
    for days in range(-2, 3):
        yield first_of(today + days * DAY, AT_NIGHT, place) + late


def first_of(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """Return when clocks of a zone first show a time on a day, or first show a later one."""
    local = datetime.combine(day, clock, zone)
    before, after = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    if before <= after:
        return before
    # The time lies in a gap: clocks went on somewhere between the two readings of it.
    while before - after > MINUTE:
        middle = after + (before - after) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < local.replace(tzinfo=None):
            after = middle
        else:
            before = middle
    return rounded(before)


def rounded(at: datetime) -> datetime:
    """Return the full minute at or before a time: that is when clocks change."""
    return at.replace(second=0, microsecond=0)
