"""DORA's levels by edition, with their cut-offs; read from https://dora.dev/research/.

2023 and 2024 name levels. 2025 has none: it publishes how many answered what, so that a number
has a place in that distribution. A level never comes from change failure rate alone.
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


def deployment_frequency_level(per_day: float | None, edition: int) -> Level:
    """Where so many deployments a day stand; None is no data."""
    return judged(per_day, FREQUENCY_2025 if edition == 2025 else FREQUENCY, edition)


def change_lead_time_level(median_seconds: float | None, edition: int) -> Level:
    """Where a median change lead time stands; None is no data."""
    return judged(median_seconds, LEAD_TIME_2025 if edition == 2025 else LEAD_TIME, edition)


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
