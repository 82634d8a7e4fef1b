"""What the Pull requests screen shows, put together from the metrics: cards, charts, tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from bot.web import charts, words
from bot.web.charts import Chart
from bot.web.pages.cards import Card, Change, change, thinned
from bot.web.pages.delivery_view import (
    EVERY,
    bins_of,
    bucket_name,
    marks_of,
    spreads_of,
    typical,
)
from bot.web.pages.filters import Filters
from bot.web.svg import Caption
from bot.web.whiskers import Whisker, whiskers
from models.metrics.core import Bin
from models.metrics.development import (
    Headline,
    ReviewStages,
    SpreadBucket,
    SpreadOf,
    Throughput,
    ThroughputBucket,
    ThroughputOf,
)

COURSE = "Its course over the period."
STAGES = ("Coding", "Pickup", "Review", "Deploy")


@dataclass(frozen=True)
class GroupRow:
    """What one repository or team got done, and how long its reviews and merges took.

    `reason`: why its figures are withheld; None where they are shown.
    """

    name: str
    done: ThroughputOf | None
    reviewed: SpreadOf | None
    merged: SpreadOf | None
    reason: str | None


def duration_card(
    key: str, title: str, noun: str, told: Headline, weeks: Sequence[SpreadBucket]
) -> Card:
    """A median duration, of which less is better."""
    value, unit = words.measured(told["median_seconds"])
    before, count = told["previous"], told["count"] or 0
    return Card(
        key=key,
        title=title,
        path=f"/pull-requests/explain/{key}",
        value=value,
        unit=f"{unit}, median" if unit else "",
        exact=f"{words.exact_duration(told['median_seconds'])}; p75 "
        f"{words.duration(told['p75_seconds'])}, p90 {words.duration(told['p90_seconds'])}",
        count=words.count(count, noun),
        reason=told["reason"],
        pill=None,
        change=change(
            (told["median_seconds"], count),
            (before["median_seconds"], before["count"] or 0),
            higher="bad",
        ),
        spark=charts.sparkline(
            Caption(f"spark-{key}", title, COURSE), thinned([week["p50_seconds"] for week in weeks])
        ),
    )


def throughput_card(told: Throughput, weeks: Sequence[ThroughputBucket]) -> Card:
    """Pull requests merged a week; neither more nor fewer is good in itself."""
    per_week, count = told["pull_requests_per_week"], told["pull_requests"] or 0
    issues = words.count(told["issues"] or 0, "issue")
    return Card(
        key="throughput",
        title="Throughput",
        path="/pull-requests/explain/throughput",
        value=words.rate(per_week),
        unit="merged a week" if per_week is not None else "",
        exact=f"{words.count(count, 'pull request')} merged, {issues} completed",
        count=words.count(count, "pull request"),
        reason=told["reason"],
        pill=None,
        change=course(told),
        spark=charts.sparkline(
            Caption("spark-throughput", "Pull requests merged a week", COURSE),
            thinned([week["pull_requests"] for week in weeks]),
        ),
    )


def course(told: Throughput) -> Change | None:
    """Say how much more or less was merged than before, in grey: neither is good in itself."""
    count, before = told["pull_requests"], told["previous"]["pull_requests"]
    moved = change((count, count or 0), (before, before or 0), higher="good")
    return replace(moved, tone="none") if moved else None


def stages_chart(told: ReviewStages) -> Chart:
    """Each stage: what is typical, and how long the slow ones take."""
    parts = zip(
        STAGES, (told["coding"], told["pickup"], told["review"], told["deploy"]), strict=True
    )
    rows = [Whisker(name, part["p50_seconds"], part["p90_seconds"]) for name, part in parts]
    said = ", ".join(f"{row.name.lower()} {words.duration(row.p50)}" for row in rows)
    description = f"Medians: {said}; whiskers reach to the 90th percentile."
    return whiskers(Caption("stages", "Stages of a pull request", description), rows, "Stage")


def course_chart(
    key: str, title: str, told: Headline, series: Sequence[SpreadBucket], filters: Filters
) -> Chart:
    """A duration over time: the median, and the band up to the 90th percentile."""
    caption = Caption(key, title, f"{typical(told)}, {EVERY[filters.bucket]}.")
    return charts.band(caption, spreads_of(series, filters))


def histogram_chart(told: Headline, bins: Sequence[Bin]) -> Chart:
    """How long pull requests waited for their first review."""
    said = f"{words.count(told['count'] or 0, 'pull request')} by how long they waited."
    caption = Caption("waits", "Spread of review times", said)
    return charts.histogram(caption, bins_of(bins), marks_of(told), "pull request")


def throughput_chart(told: Throughput, series: Sequence[ThroughputBucket], by: Filters) -> Chart:
    """What was merged and completed over time."""
    stacks = [
        charts.Stack(
            date.fromisoformat(one["start_date"]),
            bucket_name(one["start_date"], by.bucket),
            (one["pull_requests"] or 0, one["issues"] or 0),
        )
        for one in series
    ]
    description = (
        f"{words.count(told['pull_requests'] or 0, 'pull request')} merged and "
        f"{words.count(told['issues'] or 0, 'issue')} completed, {EVERY[by.bucket]}."
    )
    caption = Caption("throughput-chart", "Throughput over time", description)
    return charts.bars(caption, ("pull requests merged", "issues completed"), stacks)


def groups(
    done: Sequence[ThroughputOf], reviewed: Sequence[SpreadOf], merged: Sequence[SpreadOf]
) -> list[GroupRow]:
    """Join the parts of repositories or teams, by name and never by output."""
    names = {one["id"]: one["name"] or one["id"] for one in (*done, *reviewed, *merged)}
    parts_done = {one["id"]: one for one in done}
    parts_reviewed = {one["id"]: one for one in reviewed}
    parts_merged = {one["id"]: one for one in merged}
    rows = []
    for key, name in sorted(names.items(), key=lambda named: named[1].lower()):
        parts = (parts_done.get(key), parts_reviewed.get(key), parts_merged.get(key))
        reason = next((part["reason"] for part in parts if part and part["reason"]), None)
        rows.append(GroupRow(name, *parts, reason=reason))
    return rows
