"""When an organisation's sources are read: DST in both directions, and everybody at their own."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from handlers.schedules import (
    AT_NIGHT,
    CHANGES,
    EVERY,
    FULL,
    first_of,
    last_due,
    next_due,
    spread,
    zone_called,
)

HOME = "github:9"
ZONES = ("UTC", "Europe/Athens", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe")
FIRST, LAST = datetime(2010, 1, 1), datetime(2040, 1, 1)  # noqa: DTZ001 - the zone is apart
times = some.datetimes(FIRST, LAST, timezones=some.just(UTC))


def utc(*told: int) -> datetime:
    return datetime(*told, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "clock", "expected"),
    [
        ("UTC", date(2026, 1, 1), AT_NIGHT, utc(2026, 1, 1, 3)),
        ("Europe/Berlin", date(2026, 7, 1), AT_NIGHT, utc(2026, 7, 1, 1)),
        # At 03:00 Athens' clocks go on to 04:00: the hour does not exist.
        ("Europe/Athens", date(2026, 3, 29), AT_NIGHT, utc(2026, 3, 29, 1)),
        # At 04:00 they go back to 03:00: the hour comes twice, the first time at 00:00 UTC.
        ("Europe/Athens", date(2026, 10, 25), AT_NIGHT, utc(2026, 10, 25, 0)),
        ("America/New_York", date(2026, 3, 8), time(2, 30), utc(2026, 3, 8, 7)),
        ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), utc(2026, 10, 3, 15, 30)),
        # Samoa left a whole day out.
        ("Pacific/Apia", date(2011, 12, 30), AT_NIGHT, utc(2011, 12, 30, 10)),
    ],
)
def test_the_night_begins_when_clocks_first_show_it(
    zone: str, day: date, clock: time, expected: datetime
) -> None:
    assert first_of(day, clock, ZoneInfo(zone)) == expected


@pytest.mark.parametrize(
    ("zone", "first", "nights"),
    [("Europe/Athens", utc(2026, 3, 27), 5), ("Europe/Athens", utc(2026, 10, 23), 5)],
)
def test_everything_is_read_once_a_day_when_clocks_change(
    zone: str, first: datetime, nights: int
) -> None:
    found = set()
    now = first
    while now < first + timedelta(days=nights):
        found.add(last_due(FULL, now, zone, HOME))
        now += timedelta(minutes=5)
    local = sorted(at.astimezone(ZoneInfo(zone)).date() for at in found)
    assert local == [local[0] + timedelta(days=day) for day in range(len(local))]
    assert len(local) in (nights, nights + 1)


@given(times, some.sampled_from(ZONES), some.text(min_size=1, max_size=9))
def test_what_was_due_is_past_and_what_is_next_follows_it(
    now: datetime, zone: str, home: str
) -> None:
    for kind, longest in ((CHANGES, EVERY), (FULL, timedelta(hours=50))):
        last, following = last_due(kind, now, zone, home), next_due(kind, now, zone, home)
        assert last <= now < following
        assert timedelta(0) < following - last <= longest
        assert last_due(kind, following, zone, home) == following
        assert last_due(kind, following - timedelta(microseconds=1), zone, home) == last


def test_organisations_are_spread_over_a_quarter_of_an_hour() -> None:
    late = {spread(f"github:{number}") for number in range(200)}
    assert len(late) > 150
    assert max(late) < EVERY
    assert spread(HOME) == spread(HOME)


def test_a_zone_that_nobody_knows_is_utc() -> None:
    assert zone_called("Middle/Earth") == zone_called("../etc/passwd") == ZoneInfo("UTC")
