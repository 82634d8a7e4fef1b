"""What the Stability tab shows, put together from the metrics: charts and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from bot.web import charts, courses, words
from bot.web.charts import Chart
from bot.web.pages.delivery_view import (
    EVERY,
    bins_of,
    bucket_name,
    marks_of,
    spreads_of,
    typical,
)
from bot.web.pages.filters import Filters
from bot.web.pages.incident_view import Blame, Said
from bot.web.svg import Caption
from models.incident_screens import Row
from models.incidents import SEVERITIES
from models.metrics.core import Bin
from models.metrics.durations import DurationBucket
from models.metrics.failures import ChangeFailureRate, FailureBucket
from models.metrics.recovery import RecoveryTime
from models.metrics.restore import RestoreFigures, TimeToRestore

FAILED = "failed deployment"


@dataclass(frozen=True)
class SeverityRow:
    """Time to restore of one severity; the last row is of all."""

    name: str
    figures: RestoreFigures


@dataclass(frozen=True)
class IncidentRow:
    """An incident with its state as a shape, how long it lasted, and what it blames."""

    incident: Row
    shape: Said
    lasted_seconds: float
    blames: list[Blame]


def failure_chart(
    told: ChangeFailureRate, series: Sequence[FailureBucket], filters: Filters
) -> Chart:
    """Change failure rate over time."""
    drawn = [
        courses.Share(
            date.fromisoformat(one["start_date"]),
            bucket_name(one["start_date"], filters.bucket),
            one["rate"],
            one["failed"],
            one["count"],
        )
        for one in series
    ]
    description = (
        f"{told['failed']} of {words.count(told['count'], 'deployment')} failed, "
        f"{words.share(told['rate'])} in all, {EVERY[filters.bucket]}."
    )
    caption = Caption("failures", "Change failure rate over time", description)
    return courses.shares(caption, drawn, "failed", "deployment")


def recovery_chart(told: RecoveryTime, series: Sequence[DurationBucket], filters: Filters) -> Chart:
    """Recovery times over time: the median and the band up to the 90th percentile."""
    description = f"{typical(told)}, {EVERY[filters.bucket]} of the failure."
    caption = Caption("recovery", "Recovery times over time", description)
    return charts.band(caption, spreads_of(series, filters), None, FAILED)


def recovery_histogram(told: RecoveryTime, bins: Sequence[Bin]) -> Chart:
    """How recovery times are spread."""
    description = f"{words.count(told['count'], FAILED)} by how long they took to mend."
    caption = Caption("recovery-spread", "Spread of recovery times", description)
    return charts.histogram(caption, bins_of(bins), marks_of(told), FAILED)


def severities(told: TimeToRestore) -> list[SeverityRow]:
    """Return time to restore by severity, the worst first, and of all last."""
    by_severity = told["by_severity"]
    named = [(name, name) for name in SEVERITIES] + [("none", "not said")]
    rows = [
        SeverityRow(words_of, by_severity[name]) for name, words_of in named if name in by_severity
    ]
    of_all = RestoreFigures(
        mean_seconds=told["mean_seconds"],
        median_seconds=told["median_seconds"],
        count=told["count"],
        open=told["open"],
    )
    return [*rows, SeverityRow("all", of_all)]
