import pytest

from models.errors import Refused
from models.metrics.levels import (
    change_failure_rate_level,
    change_lead_time_level,
    deployment_frequency_level,
    recovery_time_level,
)

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("per_day", "level"),
    [
        (1.01, "elite"),
        (1.0, "high"),
        (3 / 21, "high"),
        (1 / 7.01, "medium"),
        (16 / 487, "medium"),
        (1 / 30.5, "low"),
        (None, None),
    ],
)
@pytest.mark.parametrize("edition", [2023, 2024])
def test_levels_of_deployment_frequency(per_day: float | None, level: str | None, edition: int):
    told = deployment_frequency_level(per_day, edition)
    assert (told["level"], told["level_place"]) == (level, None)


@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        (DAY - 1, "elite"),
        (DAY, "high"),
        (7 * DAY, "high"),
        (7 * DAY + 1, "medium"),
        (30.4375 * DAY, "medium"),
        (30.4375 * DAY + 1, "low"),
        (None, None),
    ],
)
def test_levels_of_change_lead_time(seconds: float | None, level: str | None):
    assert change_lead_time_level(seconds, 2024)["level"] == level


@pytest.mark.parametrize(
    ("per_day", "place"),
    [
        (24.1, "top 16 %"),
        (24, "top 23 %"),
        (1, "top 23 %"),
        (1 / 7, "top 45 %"),
        (1 / 30.4375, "top 76 %"),
        (0.01, "last 24 %"),
        (None, None),
    ],
)
def test_2025_has_places_in_place_of_levels(per_day: float | None, place: str | None):
    told = deployment_frequency_level(per_day, 2025)
    assert (told["level"], told["level_place"]) == (None, place)
    assert told["level_source"] == "https://dora.dev/research/2025/dora-report/"


@pytest.mark.parametrize(
    ("seconds", "place"),
    [
        (3599, "top 9 %"),
        (3600, "top 24 %"),
        (DAY, "top 56 %"),
        (7 * DAY, "last 44 %"),
    ],
)
def test_places_of_change_lead_time(seconds: float, place: str):
    assert change_lead_time_level(seconds, 2025)["level_place"] == place


@pytest.mark.parametrize(
    ("rate", "in_2023", "in_2024"),
    [
        (0, "elite", "elite"),
        (0.05, "elite", "elite"),
        (0.0501, "high", "high"),
        (0.10, "high", "high"),
        (0.1001, "medium", "high"),
        (0.15, "medium", "high"),
        (0.1501, "low", "high"),
        (0.20, "low", "high"),
        (0.2001, "low", "low"),
        (1, "low", "low"),
        (None, None, None),
    ],
)
def test_levels_of_change_failure_rate(
    rate: float | None, in_2023: str | None, in_2024: str | None
):
    assert change_failure_rate_level(rate, 2023)["level"] == in_2023
    assert change_failure_rate_level(rate, 2024)["level"] == in_2024


def test_what_was_published_in_2024_is_kept_and_said():
    cutoffs = change_failure_rate_level(0.1, 2024)["level_cutoffs"]
    assert list(cutoffs) == ["elite", "high", "medium", "low"]
    assert cutoffs["high"] == "at most 20 %"
    assert cutoffs["medium"].startswith("at most 10 %: as published, stricter than high")


@pytest.mark.parametrize(
    ("seconds", "in_2023", "in_2024"),
    [
        (HOUR - 1, "elite", "elite"),
        (HOUR, "high", "high"),
        (DAY - 1, "high", "high"),
        (DAY, "medium", "low"),
        (7 * DAY, "medium", "low"),
        (7 * DAY + 1, "low", "low"),
        (None, None, None),
    ],
)
def test_levels_of_recovery_time(seconds: float | None, in_2023: str | None, in_2024: str | None):
    assert recovery_time_level(seconds, 2023)["level"] == in_2023
    assert recovery_time_level(seconds, 2024)["level"] == in_2024


@pytest.mark.parametrize(
    ("rate", "place"),
    [
        (0.02, "top 9 %"),
        (0.0201, "top 17 %"),
        (0.04, "top 17 %"),
        (0.08, "top 36 %"),
        (0.16, "top 62 %"),
        (0.1601, "last 38 %"),
        (None, None),
    ],
)
def test_places_of_change_failure_rate(rate: float | None, place: str | None):
    told = change_failure_rate_level(rate, 2025)
    assert (told["level"], told["level_place"]) == (None, place)


@pytest.mark.parametrize(
    ("seconds", "place"),
    [
        (HOUR - 1, "top 21 %"),
        (HOUR, "top 57 %"),
        (DAY, "top 85 %"),
        (7 * DAY, "last 15 %"),
        (None, None),
    ],
)
def test_places_of_recovery_time(seconds: float | None, place: str | None):
    told = recovery_time_level(seconds, 2025)
    assert (told["level"], told["level_place"]) == (None, place)


def test_cutoffs_come_with_their_edition():
    told = change_lead_time_level(None, 2024)
    assert told["level_edition"] == 2024
    assert list(told["level_cutoffs"]) == ["elite", "high", "medium", "low"]


def test_an_edition_that_was_never_published_is_refused():
    with pytest.raises(Refused, match="unknown edition 1999"):
        change_lead_time_level(1, 1999)
    with pytest.raises(Refused, match="unknown edition 1999"):
        change_failure_rate_level(1, 1999)
    with pytest.raises(Refused, match="unknown edition 1999"):
        recovery_time_level(1, 1999)
