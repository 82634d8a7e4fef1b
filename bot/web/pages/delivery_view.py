"""What the Delivery screen shows, put together from the metrics: cards, charts and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from bot.web import charts, courses, words
from bot.web.charts import Chart, Mark
from bot.web.pages.filters import Filters
from bot.web.svg import Caption
from models.metrics.core import DAY, HOUR, Bin, Bucket
from models.metrics.deployments import DeploymentFrequency, FrequencyBucket, RepositoryFrequency
from models.metrics.development import Headline, SpreadBucket, ThroughputBucket
from models.metrics.durations import DurationBucket, RepositoryDurations
from models.metrics.failures import FailureBucket, RepositoryFailures
from models.metrics.lead_time import ChangeLeadTime, LeadTimeBucket, RepositoryLeadTime
from models.metrics.levels import change_lead_time_level
from models.metrics.recovery import RecoveryTime

CANDIDATES = (HOUR, DAY, 7 * DAY, 30.4375 * DAY)
EVERY = {Bucket.DAY: "per day", Bucket.WEEK: "per week", Bucket.MONTH: "per month"}

AnyBucket = (
    FrequencyBucket
    | LeadTimeBucket
    | FailureBucket
    | DurationBucket
    | SpreadBucket
    | ThroughputBucket
)


@dataclass(frozen=True)
class Percentile:
    """One percentile of the lead times."""

    name: str
    seconds: float | None


@dataclass(frozen=True)
class RepositoryRow:
    """One repository's part of the metrics; None where it has none of one."""

    name: str
    frequency: RepositoryFrequency | None
    lead_time: RepositoryLeadTime | None
    failures: RepositoryFailures | None
    recovery: RepositoryDurations | None


def bucket_days(start_date: str, filters: Filters) -> tuple[date, date]:
    """Return the days of a bucket that lie in the period, first and last."""
    start = date.fromisoformat(start_date)
    after = {
        Bucket.DAY: start + timedelta(days=1),
        Bucket.WEEK: start + timedelta(days=7),
        Bucket.MONTH: (start.replace(day=1) + timedelta(days=32)).replace(day=1),
    }[filters.bucket]
    last = after - timedelta(days=1)
    return max(start, filters.window.start_date), min(last, filters.window.end_date)


def bucket_name(start_date: str, bucket: Bucket) -> str:
    """Name a bucket: Sun 6 Sep 2026, Week of 31 Aug 2026, September 2026."""
    day = date.fromisoformat(start_date)
    if bucket is Bucket.DAY:
        return words.whole_day(day)
    if bucket is Bucket.MONTH:
        return f"{day:%B %Y}"
    return f"Week of {day.day} {day:%b %Y}"


def bucket_links(series: Sequence[AnyBucket], filters: Filters) -> list[str]:
    """Return for each bucket the query that shows only its rows."""
    days = (bucket_days(bucket["start_date"], filters) for bucket in series)
    return [
        filters.query(start=first.isoformat(), end=last.isoformat(), by=None)
        for first, last in days
    ]


def frequency_chart(series: Sequence[FrequencyBucket], filters: Filters) -> Chart:
    """Deployments over time: counted, redeployed, failed attempts."""
    stacks = [
        charts.Stack(
            date.fromisoformat(one["start_date"]),
            bucket_name(one["start_date"], filters.bucket),
            (one["count"], one["shown"] - one["count"], one["failed"]),
        )
        for one in series
    ]
    total, failed = sum(s.counts[0] for s in stacks), sum(s.counts[2] for s in stacks)
    description = (
        f"{words.count(total, 'deployment')} counted and "
        f"{words.count(failed, 'failed attempt')}, {EVERY[filters.bucket]}."
    )
    names = ("counted", "redeployed", "failed attempts")
    return charts.bars(Caption("frequency", "Deployments over time", description), names, stacks)


def lead_time_chart(
    told: ChangeLeadTime, series: Sequence[LeadTimeBucket], filters: Filters
) -> Chart:
    """Lead time over time, with the cut-off of the level that is next."""
    caption = Caption(
        "lead-time",
        "Change lead time over time",
        f"{typical(told)}, {EVERY[filters.bucket]} of deployment.",
    )
    cutoff = goal(told["median_seconds"], filters.edition)
    return charts.band(caption, spreads_of(series, filters), cutoff)


def spreads_of(
    series: Sequence[LeadTimeBucket | DurationBucket | SpreadBucket], by: Filters
) -> list[charts.Spread]:
    """Return the buckets of a duration as they are drawn."""
    return [
        charts.Spread(
            date.fromisoformat(one["start_date"]),
            bucket_name(one["start_date"], by.bucket),
            one["p50_seconds"],
            one["p90_seconds"],
            one["count"] or 0,
        )
        for one in series
    ]


def typical(told: ChangeLeadTime | RecoveryTime | Headline) -> str:
    """Say how long something takes, typically and slowly."""
    median, slow = words.duration(told["p50_seconds"]), words.duration(told["p90_seconds"])
    return f"Median {median}, 90th percentile {slow}"


def marks_of(told: ChangeLeadTime | RecoveryTime | Headline) -> list[Mark]:
    """Return where the median and the 90th percentile stand in a histogram."""
    known = (("p50", told["p50_seconds"]), ("p90", told["p90_seconds"]))
    return [Mark(at, f"{name} {words.duration(at)}") for name, at in known if at is not None]


def bins_of(bins: Sequence[Bin]) -> list[charts.Bin]:
    """Return the bins of a histogram as they are drawn."""
    return [charts.Bin(one["from_seconds"], one["to_seconds"], one["count"]) for one in bins]


def goal(median: float | None, edition: int) -> Mark | None:
    """Return the cut-off of the next better level, or of the best where it is reached."""
    cutoffs = [
        seconds
        for seconds in CANDIDATES
        if place(seconds - 1, edition) != place(seconds + 1, edition)
    ]
    within_reach = [seconds for seconds in cutoffs if seconds < (median or 0)]
    if not cutoffs:
        return None
    nearest = within_reach[-1] if within_reach else cutoffs[0]
    return Mark(nearest, f"{place(nearest - 1, edition)}: under {words.round_duration(nearest)}")


def place(seconds: float, edition: int) -> str | None:
    """Return the level, or the place, of a lead time."""
    told = change_lead_time_level(seconds, edition)
    return told["level"] or told["level_place"]


def histogram_chart(told: ChangeLeadTime, bins: Sequence[Bin]) -> Chart:
    """How lead times are spread."""
    description = f"{words.count(told['count'], 'change')} by how long they took."
    caption = Caption("spread", "Spread of lead times", description)
    return charts.histogram(caption, bins_of(bins), marks_of(told))


def stages_chart(told: ChangeLeadTime) -> Chart:
    """What the mean lead time is made of."""
    stages = told["stages"]
    parts = [
        charts.Part("Coding", stages["coding_seconds"] or 0),
        charts.Part("Pickup", stages["pickup_seconds"] or 0),
        charts.Part("Review", stages["review_seconds"] or 0),
        charts.Part("Deploy", stages["deploy_seconds"] or 0),
    ]
    said = ", ".join(f"{part.name.lower()} {words.duration(part.seconds)}" for part in parts)
    return charts.stages(Caption("stages", "Where the time goes", f"On average {said}."), parts)


def percentiles(told: ChangeLeadTime) -> list[Percentile]:
    """Return the percentiles by name."""
    return [
        Percentile("p50", told["p50_seconds"]),
        Percentile("p75", told["p75_seconds"]),
        Percentile("p90", told["p90_seconds"]),
        Percentile("p95", told["p95_seconds"]),
    ]


def kinds_note(told: DeploymentFrequency) -> str:
    """Say what the counted deployments were, and what was not counted."""
    counted = [f"{told['kinds'][kind]} {kind}" for kind in ("new", "rollback", "rollforward")]
    if told["kinds"]["baseline"]:
        counted.append(f"{told['kinds']['baseline']} baseline")
    said = f"Counted: {', '.join(counted)}."
    said += f" Shown, not counted: {words.count(told['kinds']['redeploy'], 'redeploy')}."
    if told["attempt_success_rate"] is not None:
        said += f" Attempts that succeeded: {words.share(told['attempt_success_rate'])}."
    if told["median_days_between"] is not None:
        said += f" Median between two: {words.duration(told['median_days_between'] * DAY)}."
    return said


def cohorts_note(told: ChangeLeadTime) -> str:
    """Say whose changes are in the number, and how many of bots are left out."""
    cohorts = told["by_cohort"]
    said = [
        f"{name} {cohorts[name]['count']} ({words.duration(cohorts[name]['median_seconds'])})"
        for name in ("people", "agent")
        if cohorts[name]["count"]
    ]
    left_out = f"left out: {words.count(cohorts['bots']['count'], 'change')} by bots"
    return f"By {', '.join(said)}; {left_out}." if said else f"{left_out.capitalize()}."


def by_repository(
    frequencies: Sequence[RepositoryFrequency],
    lead_times: Sequence[RepositoryLeadTime],
    failures: Sequence[RepositoryFailures],
    recoveries: Sequence[RepositoryDurations],
) -> list[RepositoryRow]:
    """Put the metrics' parts of each repository side by side, by name."""
    often = {one["repository_id"]: one for one in frequencies}
    long = {one["repository_id"]: one for one in lead_times}
    failed = {one["repository_id"]: one for one in failures}
    mended = {one["repository_id"]: one for one in recoveries}
    names = {
        one["repository_id"]: one["repository"] or one["repository_id"]
        for one in [*frequencies, *lead_times, *failures, *recoveries]
    }
    rows = [
        RepositoryRow(name, often.get(key), long.get(key), failed.get(key), mended.get(key))
        for key, name in names.items()
    ]
    return sorted(rows, key=lambda row: row.name)


def together_chart(
    often: Sequence[FrequencyBucket],
    failures: Sequence[FailureBucket],
    medians: Sequence[LeadTimeBucket],
    filters: Filters,
) -> Chart:
    """Deployments, which of them failed, and the median lead time above them."""
    failed = {one["start_date"]: one["failed"] for one in failures}
    median = {one["start_date"]: one for one in medians}
    stacks, spreads = [], []
    for one in often:
        start, bad = one["start_date"], failed.get(one["start_date"], 0)
        at, name = date.fromisoformat(start), bucket_name(start, filters.bucket)
        took = median.get(start)
        stacks.append(charts.Stack(at, name, (max(0, one["count"] - bad), bad)))
        spreads.append(charts.Spread(at, name, took["p50_seconds"] if took else None, None, 0))
    total = sum(one["count"] for one in often)
    description = (
        f"{words.count(total, 'deployment')}, {sum(failed.values())} of which failed, "
        f"and the median lead time of what they brought, {EVERY[filters.bucket]}."
    )
    caption = Caption("together", "Deployments, failures and lead time over time", description)
    return courses.together(caption, ("held", "failed"), stacks, spreads)
