"""The cards at the top of a screen: one number each, with its level, its course and its change."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bot.web import charts, words
from bot.web.svg import Caption
from bot.words import FEWEST_FOR_A_TREND, Change, Measured, change, per_unit
from models.metrics.core import Bucket, Window
from models.metrics.deployments import DeploymentFrequency, FrequencyBucket
from models.metrics.lead_time import ChangeLeadTime, LeadTimeBucket
from models.metrics.levels import Level

__all__ = [
    "FEWEST_FOR_A_TREND",
    "Card",
    "Change",
    "Measured",
    "Pill",
    "change",
    "frequency_card",
    "lead_time_card",
    "per_unit",
    "pill",
    "spark_bucket",
    "thinned",
    "weekly_mean",
]

MOST_SPARKS = 60
WEEK_DAYS = 7


@dataclass(frozen=True)
class Pill:
    """A level, and every cut-off with its edition, for the tooltip."""

    name: str
    kind: str
    cutoffs: str


@dataclass(frozen=True)
class Card:
    """One number. Without data `value` is a dash and `reason` says why."""

    key: str
    title: str
    path: str
    value: str
    unit: str
    exact: str
    count: str
    reason: str | None
    pill: Pill | None
    change: Change | None
    spark: Markup


def frequency_card(
    told: DeploymentFrequency, days: Sequence[FrequencyBucket], window: Window
) -> Card:
    """Deployment frequency, in the largest of day, week and month that keeps it above one."""
    value, unit = per_unit(told["per_day"])
    before = told["previous"]
    return Card(
        key="deployment-frequency",
        title="Deployment frequency",
        path="/delivery/explain/deployment-frequency",
        value=value,
        unit=unit,
        exact=f"{told['count']} in {words.count(window.days, 'day')}",
        count=words.count(told["count"], "deployment"),
        reason=told["reason"],
        pill=pill(told),
        change=change(
            (told["per_day"], told["count"]), (before["per_day"], before["count"]), higher="good"
        ),
        spark=charts.sparkline(
            Caption("spark-frequency", "Deployments a day", "Mean of seven days, over the period."),
            thinned(weekly_mean([day["count"] for day in days])),
        ),
    )


def lead_time_card(told: ChangeLeadTime, weeks: Sequence[LeadTimeBucket]) -> Card:
    """Change lead time: the median."""
    value, unit = words.measured(told["median_seconds"])
    before = told["previous"]
    return Card(
        key="change-lead-time",
        title="Change lead time",
        path="/delivery/explain/change-lead-time",
        value=value,
        unit=f"{unit}, median" if unit else "",
        exact=words.exact_duration(told["median_seconds"]),
        count=words.count(told["count"], "change"),
        reason=told["reason"],
        pill=pill(told),
        change=change(
            (told["median_seconds"], told["count"]),
            (before["median_seconds"], before["count"]),
            higher="bad",
        ),
        spark=charts.sparkline(
            Caption("spark-lead-time", "Median lead time", "Its course over the period."),
            thinned([week["p50_seconds"] for week in weeks]),
        ),
    )


def spark_bucket(window: Window) -> Bucket:
    """Return what a point of a median's sparkline stands for."""
    return Bucket.DAY if window.days <= 2 * WEEK_DAYS else Bucket.WEEK


def pill(told: Level) -> Pill | None:
    """Return where a number stands; None without data."""
    name = told["level"] or told["level_place"]
    if name is None:
        return None
    cutoffs = "; ".join(f"{level}: {says}" for level, says in told["level_cutoffs"].items())
    return Pill(name, told["level"] or "place", f"DORA {told['level_edition']}: {cutoffs}")


def weekly_mean(counts: Sequence[int]) -> list[float | None]:
    """Return for each day the mean of the last seven, so that weekends do not make a saw."""
    if len(counts) <= WEEK_DAYS:
        return [float(count) for count in counts]
    ends = range(WEEK_DAYS, len(counts) + 1)
    return [sum(counts[end - WEEK_DAYS : end]) / WEEK_DAYS for end in ends]


def thinned(values: Sequence[float | None]) -> list[float | None]:
    """Return at most sixty points, the last one always."""
    step = -(-len(values) // MOST_SPARKS) or 1
    return list(values[::-1][::step][::-1])
