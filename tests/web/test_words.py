"""Numbers and times are said as people say them."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.web import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 s"),
        (59, "59 s"),
        (3120, "52 min"),
        (51120, "14.2 h"),
        (86400, "24 h"),
        (207360, "2.4 d"),
        (864000, "10 d"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


def test_exact_durations_go_to_the_second() -> None:
    assert words.exact_duration(207361) == "2 d 9 h 36 min 1 s"
    assert words.exact_duration(None) == "no data"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0"), (3600, "1 h"), (5400, "90 min"), (86400, "1 d")]
)
def test_axes_have_round_durations(seconds: float, said: str) -> None:
    assert words.round_duration(seconds) == said


def test_small_things() -> None:
    now = datetime(2026, 9, 6, 12, tzinfo=UTC)
    assert words.ago(now - timedelta(seconds=4), now) == "4 s ago"
    assert words.ago(now + timedelta(seconds=4), now) == "0 s ago"
    assert words.count(1, "deployment") == "1 deployment"
    assert words.count(2000, "change") == "2\N{NARROW NO-BREAK SPACE}000 changes"
    assert words.share(0.934) == "93.4 %"
    assert words.rate(0.1234) == "0.12"
    assert words.rate(None) == "\N{EN DASH}"
    assert words.whole_day(now.date()) == "Sun 6 Sep 2026"
    assert words.clock(now) == "6 Sep 2026, 12:00 UTC"
