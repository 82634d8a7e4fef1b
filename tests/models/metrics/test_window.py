from datetime import UTC, date, datetime

import pytest

from models.errors import Refused
from models.metrics.core import Bucket, Scope, Window


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def test_days_are_those_of_the_zone():
    window = Window(date(2026, 10, 19), date(2026, 10, 25), "Europe/Berlin")
    assert window.start == datetime(2026, 10, 18, 22, tzinfo=UTC)
    assert window.end == datetime(2026, 10, 25, 23, tzinfo=UTC)
    assert window.days == 7


def test_a_skipped_midnight_starts_the_day_when_clocks_move():
    window = Window(date(2026, 9, 6), date(2026, 9, 6), "America/Santiago")
    assert (window.start, window.end) == (
        datetime(2026, 9, 6, 4, tzinfo=UTC),
        datetime(2026, 9, 7, 3, tzinfo=UTC),
    )


def test_a_repeated_midnight_starts_the_day_the_first_time():
    window = Window(date(2026, 11, 1), date(2026, 11, 1), "America/Havana")
    assert (window.start, window.end) == (
        datetime(2026, 11, 1, 4, tzinfo=UTC),
        datetime(2026, 11, 2, 5, tzinfo=UTC),
    )


def test_previous_is_as_many_days_directly_before():
    previous = Window(date(2026, 3, 16), date(2026, 3, 31), "Europe/Berlin").previous
    assert previous == Window(date(2026, 2, 28), date(2026, 3, 15), "Europe/Berlin")


@pytest.mark.parametrize(
    ("today", "elapsed"),
    [
        (date(2026, 9, 1), 1),
        (date(2026, 9, 10), 10),
        (date(2026, 9, 30), 30),
        (date(2026, 10, 9), 30),
        (date(2026, 8, 31), 30),
    ],
)
def test_only_days_that_have_begun_are_counted(today: date, elapsed: int):
    assert Window(date(2026, 9, 1), date(2026, 9, 30)).elapsed_days(noon(today)) == elapsed


def test_today_is_the_zones_today():
    now = datetime(2026, 9, 9, 23, tzinfo=UTC)
    assert Window(date(2026, 9, 1), date(2026, 9, 30)).elapsed_days(now) == 9
    assert Window(date(2026, 9, 1), date(2026, 9, 30), "Asia/Tokyo").elapsed_days(now) == 10
    assert Window.last(7, now, "Asia/Tokyo").end_date == date(2026, 9, 10)
    assert Window.last(7, now, "Asia/Tokyo").days == 7


def test_every_bucket_is_there_from_the_one_that_holds_the_first_day():
    window = Window(date(2026, 12, 30), date(2027, 2, 1))
    assert window.buckets(Bucket.WEEK)[:2] == [date(2026, 12, 28), date(2027, 1, 4)]
    assert window.buckets(Bucket.MONTH) == [
        date(2026, 12, 1),
        date(2027, 1, 1),
        date(2027, 2, 1),
    ]
    assert len(window.buckets(Bucket.DAY)) == window.days == 34


@pytest.mark.parametrize(
    ("start", "end", "zone", "words"),
    [
        (date(2026, 9, 2), date(2026, 9, 1), "UTC", "end_date 2026-09-01 is before"),
        (date(2026, 9, 1), date(2026, 9, 1), "Europe/Nowhere", "unknown time zone"),
        (date(2026, 9, 1), date(2026, 9, 1), "../etc/passwd", "unknown time zone"),
        (date(1, 1, 1), date(1, 1, 2), "UTC", "dates must lie between"),
        (date(2000, 1, 1), date(2026, 1, 1), "UTC", "at most ten years"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(start: date, end: date, zone: str, words: str):
    with pytest.raises(Refused, match=words):
        Window(start, end, zone)


def test_an_unknown_cohort_is_refused():
    with pytest.raises(Refused, match="unknown cohort 'cats': choose from people, agent, bots"):
        Scope("acme", cohorts=("cats",))
