"""The bar's choices are read from the address, and written back into it."""

from datetime import UTC, date, datetime

import pytest

from bot.web.pages.delivery_view import bucket_days, bucket_name, goal
from bot.web.pages.filters import (
    Filters,
    Repositories,
    read_bucket,
    read_window,
    usual_bucket,
)
from models.errors import Refused
from models.metrics.core import Bucket, Scope, Window

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


def filters(**changes: object) -> Filters:
    """Return a choice of the last 30 days."""
    told: dict[str, object] = {
        "period": 30,
        "window": Window.last(30, NOW),
        "scope": Scope("github:1"),
        "repository": None,
        "bucket": Bucket.DAY,
        "by_chosen": False,
        "edition": 2024,
    }
    return Filters(**(told | changes))  # type: ignore[arg-type]


def test_a_period_ends_today() -> None:
    assert read_window({}, NOW, "UTC") == (30, Window(date(2026, 9, 1), date(2026, 9, 30)))
    assert read_window({"period": "7"}, NOW, "UTC")[0] == 7


def test_two_dates_win_over_a_period() -> None:
    asked = {"period": "7", "start": "2026-01-02", "end": "2026-01-03"}
    assert read_window(asked, NOW, "UTC") == (None, Window(date(2026, 1, 2), date(2026, 1, 3)))


@pytest.mark.parametrize(
    "asked",
    [
        {"period": "8"},
        {"period": "x"},
        {"start": "2026-02-30"},
        {"start": "2026-01-03", "end": "2026-01-02"},
    ],
)
def test_a_wrong_period_is_refused_by_name(asked: dict[str, str]) -> None:
    with pytest.raises(Refused):
        read_window(asked, NOW, "UTC")


def test_a_wrong_bucket_is_refused() -> None:
    with pytest.raises(Refused, match="day, week or month"):
        read_bucket("hour")


def test_a_query_keeps_what_was_chosen() -> None:
    chosen = filters(repository="acme/api", scope=Scope("github:1", environment="staging"))
    assert chosen.query() == "period=30&repository=acme%2Fapi&environment=staging"
    assert chosen.query(period=7, repository=None) == "period=7&environment=staging"
    days = filters().query(start="2026-01-01", end="2026-01-02")
    assert days == "start=2026-01-01&end=2026-01-02"


def test_long_periods_have_longer_bars() -> None:
    assert [usual_bucket(days) for days in (7, 90, 365, 1000)] == ["day", "day", "week", "month"]


def test_medians_need_longer_buckets_unless_one_was_chosen() -> None:
    long = {"period": 90, "window": Window.last(90, NOW)}
    assert filters(**long).of_medians.bucket is Bucket.WEEK
    assert filters(**long, by_chosen=True).of_medians.bucket is Bucket.DAY
    assert filters().of_medians.bucket is Bucket.DAY


def test_a_bucket_ends_with_the_period() -> None:
    weeks = filters(bucket=Bucket.WEEK)
    assert bucket_days("2026-08-31", weeks) == (date(2026, 9, 1), date(2026, 9, 6))
    assert bucket_days("2026-09-28", weeks) == (date(2026, 9, 28), date(2026, 9, 30))
    assert bucket_name("2026-08-31", Bucket.WEEK) == "Week of 31 Aug 2026"


def test_a_repository_is_known_by_name_and_id() -> None:
    known = Repositories({"github:1": "acme/api"}, ())
    assert known.id_of("acme/api") == known.id_of("github:1") == "github:1"
    with pytest.raises(Refused, match="no repository"):
        known.id_of("acme/other")


def test_the_goal_is_the_next_better_level() -> None:
    day = 86400
    assert (goal(3600, 2024) or day).name == "elite: under 1 d"  # type: ignore[union-attr]
    assert (goal(3 * day, 2024) or day).name == "elite: under 1 d"  # type: ignore[union-attr]
    assert (goal(10 * day, 2024) or day).name == "high: under 7 d"  # type: ignore[union-attr]
