"""What the Builds screen shows, put together from the metrics: cards, charts and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from bot.web import charts, courses, words
from bot.web.charts import Chart
from bot.web.pages.cards import Card, change, thinned, weekly_mean
from bot.web.pages.delivery_view import EVERY, bins_of, bucket_name, spreads_of
from bot.web.pages.filters import Filters
from bot.web.svg import Caption
from models.metrics.build_counts import BuildCounts
from models.metrics.builds import (
    BuildDuration,
    BuildFrequency,
    LatestBuild,
    SuccessRate,
)
from models.metrics.core import Bin, Bucket
from models.metrics.durations import DurationBucket

COURSE = "Its course over the period."
NAMES: Mapping[str | None, str] = {
    "ios": "iOS",
    "android": "Android",
    "mobile": "iOS and Android",
    "none": "no app",
    None: "not known",
}
SHAPES: Mapping[str, tuple[str, str, str]] = {
    "success": ("success", "success", "passed"),
    "failure": ("failed", "failed", "failed"),
    "timed_out": ("failed", "failed", "timed out"),
    "cancelled": ("blocked", "ignored", "cancelled"),
    "skipped": ("ignored", "ignored", "skipped"),
    "running": ("working", "working", "running"),
}
"""Of each outcome: its icon, its kind, and how people call it."""


@dataclass(frozen=True)
class Shape:
    """An outcome, as shape and words."""

    icon: str
    kind: str
    words: str


@dataclass(frozen=True)
class BuildRow:
    """A build as the table shows it, with its times as times."""

    build: LatestBuild
    shape: Shape
    platform: str
    started_at: datetime


def success_card(told: SuccessRate, series: Sequence[BuildCounts]) -> Card:
    """Which part of the builds passed."""
    before = told["previous"]
    left_out = told["cancelled"] + told["skipped"]
    return Card(
        key="build-success-rate",
        title="Success rate",
        path="/builds/explain/success-rate",
        value=words.share(told["rate"]),
        unit="",
        exact=f"{told['success']} passed, {told['failed']} failed, {told['timed_out']} timed out; "
        f"{left_out} cancelled or skipped",
        count=words.count(told["count"], "build"),
        reason=told["reason"],
        pill=None,
        change=change(
            (told["rate"], told["count"]), (before["rate"], before["count"]), higher="good"
        ),
        spark=charts.sparkline(
            Caption("spark-build-success", "Success rate", COURSE),
            thinned([one["rate"] for one in series]),
        ),
    )


def duration_card(told: BuildDuration, series: Sequence[DurationBucket], *, slow: bool) -> Card:
    """How long a typical build takes (p50), or a slow one (p90)."""
    before = told["previous"]
    seconds, earlier = (
        (told["p90_seconds"], before["p90_seconds"])
        if slow
        else (told["p50_seconds"], before["p50_seconds"])
    )
    value, unit = words.measured(seconds)
    percentile, title = ("p90", "Slow build") if slow else ("p50", "Typical build")
    mean = words.duration(told["mean_seconds"])
    return Card(
        key=f"build-{percentile}",
        title=title,
        path="/builds/explain/duration",
        value=value,
        unit=f"{unit}, {percentile}" if unit else "",
        exact=f"{words.exact_duration(seconds)}; mean {mean}",
        count=words.count(told["count"], "build"),
        reason=told["reason"],
        pill=None,
        change=change((seconds, told["count"]), (earlier, before["count"]), higher="bad"),
        spark=charts.sparkline(
            Caption(f"spark-build-{percentile}", title, COURSE),
            thinned([one["p90_seconds" if slow else "p50_seconds"] for one in series]),
        ),
    )


def today_card(told: BuildFrequency, series: Sequence[BuildCounts], bucket: Bucket) -> Card:
    """Builds since midnight; beside it how many a day there are, of which neither is good."""
    before = told["previous"]
    moved = change(
        (told["per_day"], told["count"]), (before["per_day"], before["count"]), higher="good"
    )
    counts = [one["passed"] + one["failed"] + one["bots"] for one in series]
    smooth = bucket is Bucket.DAY
    per_day = words.rate(told["per_day"])
    return Card(
        key="build-frequency",
        title="Builds today",
        path="/builds/explain/frequency",
        value=str(told["today"]) if told["count"] else words.NOTHING,
        unit=f"{per_day} a day" if told["count"] else "",
        exact=f"{told['today']} since midnight; {per_day} a day over the period",
        count=words.count(told["count"], "build"),
        reason=told["reason"],
        pill=None,
        change=replace(moved, tone="none") if moved else None,
        spark=charts.sparkline(
            Caption(
                "spark-build-frequency",
                f"Builds {EVERY[bucket]}",
                "Mean of seven days, over the period." if smooth else COURSE,
            ),
            thinned(weekly_mean(counts) if smooth else counts),
        ),
    )


def success_chart(told: SuccessRate, series: Sequence[BuildCounts], by: Filters) -> Chart:
    """Which part of the builds passed, over time."""
    points = [
        courses.Share(
            date.fromisoformat(one["start_date"]),
            bucket_name(one["start_date"], by.bucket),
            one["rate"],
            one["success"],
            one["count"],
        )
        for one in series
    ]
    said = f"{words.share(told['rate'])} of {words.count(told['count'], 'build')} passed"
    caption = Caption("success-chart", "Success rate over time", f"{said}, {EVERY[by.bucket]}.")
    return courses.shares(caption, points, "passed", "build")


def duration_chart(told: BuildDuration, series: Sequence[DurationBucket], by: Filters) -> Chart:
    """How long builds took over time: the median, and the band up to the 90th percentile."""
    said = (
        f"Typically {words.duration(told['p50_seconds'])}, "
        f"slowly {words.duration(told['p90_seconds'])}, {EVERY[by.bucket]}."
    )
    caption = Caption("duration-chart", "Build time over time", said)
    return charts.band(caption, spreads_of(series, by), noun="build")


def histogram_chart(told: BuildDuration, bins: Sequence[Bin]) -> Chart:
    """How build times are spread."""
    said = f"{words.count(told['count'], 'build')} by how long they took."
    known = (("p50", told["p50_seconds"]), ("p90", told["p90_seconds"]))
    marks = [
        charts.Mark(at, f"{name} {words.duration(at)}") for name, at in known if at is not None
    ]
    caption = Caption("spread-chart", "Spread of build times", said)
    return charts.histogram(caption, bins_of(bins), marks, "build")


def count_chart(series: Sequence[BuildCounts], by: Filters) -> Chart:
    """Builds over time; those of bots and those called off stand apart."""
    names = ("passed", "started by bots", "failed", "cancelled or skipped")
    stacks = [
        charts.Stack(
            date.fromisoformat(one["start_date"]),
            bucket_name(one["start_date"], by.bucket),
            (one["passed"], one["bots"], one["failed"], one["left_out"]),
        )
        for one in series
    ]
    sums = [sum(stack.counts[place] for stack in stacks) for place in range(len(names))]
    said = ", ".join(f"{amount} {name}" for amount, name in zip(sums, names, strict=True))
    caption = Caption("count-chart", "Builds over time", f"{said}, {EVERY[by.bucket]}.")
    return charts.bars(caption, names, stacks)


def shape(outcome: str | None) -> Shape:
    """Return an outcome as shape and words; GitHub's rarer ones are called as it calls them."""
    known = outcome or "running"
    return Shape(*SHAPES.get(known, ("ignored", "ignored", known.replace("_", " "))))


def build_row(build: LatestBuild) -> BuildRow:
    """Return a build as the table shows it."""
    return BuildRow(
        build,
        shape(build["status"]),
        NAMES.get(build["platform"], build["platform"] or ""),
        datetime.fromisoformat(build["started_at"]),
    )
