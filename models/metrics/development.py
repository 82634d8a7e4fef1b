"""Development metrics: review time, stages, cycle time, throughput and what is open (R7, R8).

Each takes a `Sight`, what whoever asks may see of people: `await sight_of(db, organization_id,
email, user_id)`.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.ageing import Ageing, OpenPullRequest, open_pull_requests
from models.metrics.core import Rows, Scope, Window
from models.metrics.cycle_time import CYCLE_TIME, issues
from models.metrics.explanation import Explanation, Metric, Page, explanation
from models.metrics.groups import (
    GROUPS,
    Durations,
    Headline,
    Spread,
    SpreadBucket,
    SpreadOf,
    duration_bins,
    duration_series,
    durations,
    durations_by,
    headline_and_course,
    seen_by,
)
from models.metrics.privacy import Sight, enough_people, sight_of, too_few
from models.metrics.review_time import (
    MERGE_TIME,
    REVIEW_TIME,
    ReviewStages,
    merges,
    review_stages,
    reviews,
)
from models.metrics.throughput import (
    THROUGHPUT,
    Throughput,
    ThroughputBucket,
    ThroughputOf,
    done,
    throughput,
    throughput_and_course,
    throughput_by,
    throughput_series,
)

__all__ = [
    "GROUPS",
    "METRICS",
    "Ageing",
    "Durations",
    "Headline",
    "OpenPullRequest",
    "ReviewStages",
    "Sight",
    "Spread",
    "SpreadBucket",
    "SpreadOf",
    "Throughput",
    "ThroughputBucket",
    "ThroughputOf",
    "development_explanation",
    "duration_bins",
    "duration_series",
    "durations",
    "durations_by",
    "headline_and_course",
    "metric_seen_by",
    "open_pull_requests",
    "review_stages",
    "sight_of",
    "throughput",
    "throughput_and_course",
    "throughput_by",
    "throughput_series",
    "why_withheld",
]

ROWS = {
    REVIEW_TIME.name: reviews,
    MERGE_TIME.name: merges,
    CYCLE_TIME.name: issues,
    THROUGHPUT.name: done,
}
METRICS = {metric.name: metric for metric in (REVIEW_TIME, MERGE_TIME, CYCLE_TIME, THROUGHPUT)}


def metric_seen_by(name: str, sight: Sight) -> Metric:
    """Return a metric of this module whose rows name only whom somebody may see.

    `name`: pr_review_time, pr_merge_time, cycle_time or throughput.
    """
    return seen_by(METRICS[name], sight, ROWS[name])


async def why_withheld(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window, sight: Sight
) -> str | None:
    """Say why a group's figure, with the rows it is read from, is withheld; None: it is not."""
    rows = metric.rows(scope, window.start, window.end)
    return too_few(await enough_people(db, sight, rows))


async def development_explanation(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window, sight: Sight, page: Page
) -> Explanation:
    """Take a metric's number apart; where it is withheld, so are the rows that it is read from."""
    few = await why_withheld(db, metric, scope, window, sight)
    if few is None:
        return await explanation(db, metric, scope, window, page)
    told = await explanation(db, withheld_metric(metric), scope, window, page)
    return Explanation(**{**told, "last_event_at": None, "next_step": f"Withheld: {few}."})


def withheld_metric(metric: Metric) -> Metric:
    """Return a metric without rows."""

    def none(scope: Scope, since: object, until: object) -> Rows:
        rows = metric.rows(scope, None, None)
        return Rows(f"select * from ({rows.sql}) facts where false", rows.parameters)  # noqa: S608

    return Metric(**{**vars(metric), "rows": none})
