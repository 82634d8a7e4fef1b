"""DORA's levels by edition, with their cut-offs; read from https://dora.dev/research/.

2023 and 2024 name levels. 2025 has none: it publishes how many answered what, so that a number
has a place in that distribution. One number has the best level whose cut-off it reaches; a team's
level never comes from change failure rate alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from models.errors import Refused
from models.metrics.core import DAY, HOUR

EDITIONS = (2023, 2024, 2025)
MONTH_DAYS = 30.4375
SOURCE = "https://dora.dev/research/{edition}/dora-report/"


@dataclass(frozen=True)
class Cutoff:
    """A level's name, its cut-off in words, and whether a value reaches it."""

    name: str
    words: str
    reached: Callable[[float], bool]


class Level(TypedDict):
    """Where a number stands. `level`: elite, high, medium or low; None without data and in 2025.

    `level_place`: its place in 2025's distribution; None in other editions. `level_cutoffs`: each
    level or place, best first, with its cut-off in words. `level_source`: who published them.
    """

    level: str | None
    level_place: str | None
    level_edition: int
    level_cutoffs: dict[str, str]
    level_source: str


# Per day. "On demand" is not a rate; more than one a day is the nearest that can be measured.
FREQUENCY = (
    Cutoff("elite", "on demand: more than 1 a day", lambda per_day: per_day > 1),
    Cutoff("high", "from 1 a day to 1 a week", lambda per_day: per_day >= 1 / 7),
    Cutoff("medium", "from 1 a week to 1 a month", lambda per_day: per_day >= 1 / MONTH_DAYS),
    Cutoff("low", "less than 1 a month", lambda _: True),
)
LEAD_TIME = (
    Cutoff("elite", "less than 1 day", lambda seconds: seconds < DAY),
    Cutoff("high", "from 1 day to 1 week", lambda seconds: seconds <= 7 * DAY),
    Cutoff("medium", "from 1 week to 1 month", lambda seconds: seconds <= MONTH_DAYS * DAY),
    Cutoff("low", "more than 1 month", lambda _: True),
)
# In 2024 medium failed less often than high. It stays as published, so that whoever reaches it
# reaches high as well, and this number alone never says medium.
FAILURE_RATE_2024 = (
    Cutoff("elite", "at most 5 %", lambda rate: rate <= 0.05),
    Cutoff("high", "at most 20 %", lambda rate: rate <= 0.20),
    Cutoff(
        "medium",
        "at most 10 %: as published, stricter than high, so this number alone never says medium",
        lambda rate: rate <= 0.10,
    ),
    Cutoff("low", "more than 20 %", lambda _: True),
)
FAILURE_RATE_2023 = (
    Cutoff("elite", "at most 5 %", lambda rate: rate <= 0.05),
    Cutoff("high", "at most 10 %", lambda rate: rate <= 0.10),
    Cutoff("medium", "at most 15 %", lambda rate: rate <= 0.15),
    Cutoff("low", "more than 15 %", lambda _: True),
)
# In 2024 high and medium recovered equally soon.
RECOVERY_2024 = (
    Cutoff("elite", "less than 1 hour", lambda seconds: seconds < HOUR),
    Cutoff("high", "less than 1 day", lambda seconds: seconds < DAY),
    Cutoff("medium", "less than 1 day: as published, the same as high", lambda s: s < DAY),
    Cutoff("low", "1 day or more", lambda _: True),
)
RECOVERY_2023 = (
    Cutoff("elite", "less than 1 hour", lambda seconds: seconds < HOUR),
    Cutoff("high", "less than 1 day", lambda seconds: seconds < DAY),
    Cutoff("medium", "from 1 day to 1 week", lambda seconds: seconds <= 7 * DAY),
    Cutoff("low", "more than 1 week", lambda _: True),
)
# In 2025 "on demand" stands above "hourly to daily", so that here it takes more than one an hour.
FREQUENCY_2025 = (
    Cutoff("top 16 %", "on demand: more than 1 an hour", lambda per_day: per_day > 24),
    Cutoff("top 23 %", "from 1 an hour to 1 a day", lambda per_day: per_day >= 1),
    Cutoff("top 45 %", "from 1 a day to 1 a week", lambda per_day: per_day >= 1 / 7),
    Cutoff("top 76 %", "from 1 a week to 1 a month", lambda per_day: per_day >= 1 / MONTH_DAYS),
    Cutoff("last 24 %", "less than 1 a month", lambda _: True),
)
LEAD_TIME_2025 = (
    Cutoff("top 9 %", "less than 1 hour", lambda seconds: seconds < HOUR),
    Cutoff("top 24 %", "less than 1 day", lambda seconds: seconds < DAY),
    Cutoff("top 56 %", "less than 1 week", lambda seconds: seconds < 7 * DAY),
    Cutoff("last 44 %", "1 week or more", lambda _: True),
)
FAILURE_RATE_2025 = (
    Cutoff("top 9 %", "at most 2 %", lambda rate: rate <= 0.02),
    Cutoff("top 17 %", "at most 4 %", lambda rate: rate <= 0.04),
    Cutoff("top 36 %", "at most 8 %", lambda rate: rate <= 0.08),
    Cutoff("top 62 %", "at most 16 %", lambda rate: rate <= 0.16),
    Cutoff("last 38 %", "more than 16 %", lambda _: True),
)
RECOVERY_2025 = (
    Cutoff("top 21 %", "less than 1 hour", lambda seconds: seconds < HOUR),
    Cutoff("top 57 %", "less than 1 day", lambda seconds: seconds < DAY),
    Cutoff("top 85 %", "less than 1 week", lambda seconds: seconds < 7 * DAY),
    Cutoff("last 15 %", "1 week or more", lambda _: True),
)
FAILURE_RATES = {2023: FAILURE_RATE_2023, 2024: FAILURE_RATE_2024, 2025: FAILURE_RATE_2025}
RECOVERIES = {2023: RECOVERY_2023, 2024: RECOVERY_2024, 2025: RECOVERY_2025}


def deployment_frequency_level(per_day: float | None, edition: int) -> Level:
    """Where so many deployments a day stand; None is no data."""
    return judged(per_day, FREQUENCY_2025 if edition == 2025 else FREQUENCY, edition)


def change_lead_time_level(median_seconds: float | None, edition: int) -> Level:
    """Where a median change lead time stands; None is no data."""
    return judged(median_seconds, LEAD_TIME_2025 if edition == 2025 else LEAD_TIME, edition)


def change_failure_rate_level(rate: float | None, edition: int) -> Level:
    """Where a change failure rate (0 to 1) stands; None is no data."""
    return judged(rate, FAILURE_RATES.get(edition, ()), edition)


def recovery_time_level(median_seconds: float | None, edition: int) -> Level:
    """Where a median failed deployment recovery time stands; None is no data."""
    return judged(median_seconds, RECOVERIES.get(edition, ()), edition)


def judged(value: float | None, cutoffs: tuple[Cutoff, ...], edition: int) -> Level:
    """The best of the cut-offs that a value reaches. Refused for an edition not known."""
    if edition not in EDITIONS:
        raise Refused(f"unknown edition {edition}: choose from 2023, 2024, 2025")
    reached = None
    if value is not None:
        reached = next(cutoff.name for cutoff in cutoffs if cutoff.reached(value))
    return Level(
        level=None if edition == 2025 else reached,
        level_place=reached if edition == 2025 else None,
        level_edition=edition,
        level_cutoffs={cutoff.name: cutoff.words for cutoff in cutoffs},
        level_source=SOURCE.format(edition=edition),
    )
