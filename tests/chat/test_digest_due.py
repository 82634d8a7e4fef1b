"""When a digest is due, on clocks that change, and of which days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bot.chat.digest import due

BERLIN = "Europe/Berlin"


def at(said: str) -> datetime:
    return datetime.fromisoformat(said).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "since", "first", "last"),
    [
        ("2026-09-14T06:59", "2026-09-07T07:00", "2026-08-31", "2026-09-06"),
        ("2026-09-14T07:00", "2026-09-14T07:00", "2026-09-07", "2026-09-13"),
        ("2026-09-20T23:59", "2026-09-14T07:00", "2026-09-07", "2026-09-13"),
        # Clocks go back on Sunday 25 October: Monday's nine is at eight UTC, not at seven.
        ("2026-10-26T07:59", "2026-10-19T07:00", "2026-10-12", "2026-10-18"),
        ("2026-10-26T08:00", "2026-10-26T08:00", "2026-10-19", "2026-10-25"),
        # They went forward on Sunday 29 March.
        ("2026-03-30T06:59", "2026-03-23T08:00", "2026-03-16", "2026-03-22"),
        ("2026-03-30T07:00", "2026-03-30T07:00", "2026-03-23", "2026-03-29"),
    ],
)
def test_a_week_is_due_on_monday_at_nine_by_the_organisations_clock(
    now: str, since: str, first: str, last: str
) -> None:
    told = due("weekly", at(now), BERLIN)
    assert told.at == at(since)
    assert (told.window.start_date.isoformat(), told.window.end_date.isoformat()) == (first, last)


@pytest.mark.parametrize(
    ("now", "since", "day"),
    [
        ("2026-10-25T07:59", "2026-10-24T07:00", "2026-10-23"),
        ("2026-10-25T08:00", "2026-10-25T08:00", "2026-10-24"),
        ("2026-10-26T08:00", "2026-10-26T08:00", "2026-10-25"),
        ("2026-03-29T06:59", "2026-03-28T08:00", "2026-03-27"),
        ("2026-03-29T07:00", "2026-03-29T07:00", "2026-03-28"),
    ],
)
def test_a_day_is_due_on_the_next_at_nine_even_when_clocks_change(
    now: str, since: str, day: str
) -> None:
    told = due("daily", at(now), BERLIN)
    assert told.at == at(since)
    assert told.window.start_date.isoformat() == told.window.end_date.isoformat() == day


def test_the_day_when_clocks_go_back_has_twenty_five_hours() -> None:
    window = due("daily", at("2026-10-26T08:00"), BERLIN).window
    assert (window.end - window.start).total_seconds() == 25 * 3600


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"])
@pytest.mark.parametrize("cadence", ["weekly", "daily"])
def test_zones_far_off_have_their_own_nine(zone: str, cadence: str) -> None:
    told = due(cadence, at("2026-09-16T12:00"), zone)
    local = told.at.astimezone(told.window.zone)
    assert (local.hour, local.minute) == (9, 0)
    assert local.date() > told.window.end_date


@given(
    some.integers(1_704_067_200, 1_893_456_000),
    some.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
    some.sampled_from(["weekly", "daily"]),
)
def test_what_is_due_is_over_and_the_next_follows_without_a_gap(
    seconds: int, zone: str, cadence: str
) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    told = due(cadence, now, zone)
    assert told.at <= now
    assert told.window.end <= told.at
    assert due(cadence, told.at, zone) == told
    before = due(cadence, told.at - timedelta(seconds=1), zone)
    assert (told.window.start_date - before.window.end_date).days == 1
