"""Development metrics over the API: review time, cycle time, throughput, and who may see what.

Figures of single people and of small groups are withheld by `models.metrics.privacy`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from bot.web.api.endpoints import Call, Words, endpoint
from bot.web.api.listing import Limit, repository_named, team_named
from bot.web.api.metrics import (
    CSV,
    EXPLANATION,
    HEADER,
    Cohorts,
    Days,
    header,
    rows_as_csv,
    window_of,
)
from bot.web.api.typed import combined, described
from models.metrics import development
from models.metrics.core import Bin, Bucket, Scope, Window, measured_in
from models.metrics.csv import line
from models.metrics.development import GROUPS, Sight, sight_of
from models.metrics.explanation import Metric, Page


class PeoplePeriod(Days):
    """Whose work is measured, and when. Without dates: the last 30 days, today included.

    `repo_id`: `github:123` or `owner/name`. `team_id`: what a team's members did, `github:team:7`
    or `hand:…`. `cohorts`: of people, agent, bots, with commas. By `author`: single people, of
    whom only those that the organisation's privacy setting lets you see.
    """

    repo_id: Words | None = None
    team_id: Words | None = None
    cohorts: Cohorts = "people,agent"
    group_by: Literal["day", "week", "month", "repo", "team", "author"] = "week"
    format: Literal["json", "csv"] = "json"


class ExplainedPeoplePeriod(PeoplePeriod):
    """What is explained, a page of rows at a time."""

    cursor: Words | None = None
    limit: Limit = 50


@dataclass(frozen=True)
class Asked:
    """Whose work is asked about, when, and what whoever asks may see of single people."""

    scope: Scope
    window: Window
    sight: Sight

    def metric(self, name: str) -> Metric:
        """Return a metric whose rows name only whom they may see."""
        return development.metric_seen_by(name, self.sight)


SHARED = {**HEADER, "group_by": str, "hidden": str | None}
DURATIONS = {
    "series": list[development.SpreadBucket | development.SpreadOf],
    "histogram": list[Bin],
}
ReviewTime = combined(
    "PrReviewTime",
    "How long pull requests waited for their first review (`first_review`), and for their merge "
    "(`merge`), with the stages of those merged. `series` and `histogram` are of the first review. "
    "`hidden` says why single people are missing, where it is grouped by author.",
    **SHARED,
    first_review=development.Durations,
    merge=development.Durations,
    stages=development.ReviewStages,
    **DURATIONS,
)
CycleTime = combined(
    "CycleTime",
    "How long issues took from their creation to the merge of their last pull request.",
    development.Durations,
    **SHARED,
    **DURATIONS,
)
Throughput = combined(
    "ThroughputSeries",
    "Pull requests merged and issues completed in a period, with their series.",
    development.Throughput,
    **SHARED,
    series=list[development.ThroughputBucket | development.ThroughputOf],
)
AGEING: Any = described(development.Ageing)


@endpoint(
    "GET", "/metrics/development/pr-review-time", query=PeoplePeriod, answer=ReviewTime, csv=True
)
async def pr_review_time(call: Call, query: PeoplePeriod) -> Any:
    """How long pull requests waited for review and merge; as CSV, the pull requests themselves."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return await as_csv(db, call, asked, "pr_review_time")
        metric = asked.metric("pr_review_time")
        parts = (asked.scope, asked.window, asked.sight)
        body = {
            "first_review": await development.durations(db, metric, *parts),
            "merge": await development.durations(db, asked.metric("pr_merge_time"), *parts),
            "stages": await development.review_stages(db, *parts),
        }
        return await with_durations(db, asked, query, metric, body)


@endpoint(
    "GET",
    "/metrics/development/pr-review-time/explain",
    query=ExplainedPeoplePeriod,
    answer=EXPLANATION,
    csv=True,
)
async def pr_review_time_explained(call: Call, query: ExplainedPeoplePeriod) -> Any:
    """Which pull requests have a review time, which have not, and why."""
    return await explained(call, query, "pr_review_time")


@endpoint("GET", "/metrics/development/cycle-time", query=PeoplePeriod, answer=CycleTime, csv=True)
async def cycle_time(call: Call, query: PeoplePeriod) -> Any:
    """How long issues took from creation to merge; as CSV, the issues themselves."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return await as_csv(db, call, asked, "cycle_time")
        metric = asked.metric("cycle_time")
        found = await development.durations(db, metric, asked.scope, asked.window, asked.sight)
        return await with_durations(db, asked, query, metric, dict(found))


@endpoint(
    "GET",
    "/metrics/development/cycle-time/explain",
    query=ExplainedPeoplePeriod,
    answer=EXPLANATION,
    csv=True,
)
async def cycle_time_explained(call: Call, query: ExplainedPeoplePeriod) -> Any:
    """Which issues have a cycle time, which have not, and why."""
    return await explained(call, query, "cycle_time")


@endpoint("GET", "/metrics/development/throughput", query=PeoplePeriod, answer=Throughput, csv=True)
async def throughput(call: Call, query: PeoplePeriod) -> Any:
    """What was merged and completed; as CSV, the pull requests and issues themselves."""
    now = datetime.now(UTC)
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return await as_csv(db, call, asked, "throughput")
        parts = (asked.scope, asked.window, asked.sight)
        body = dict(await development.throughput(db, *parts, now))
        if query.group_by in GROUPS:
            body["series"] = await development.throughput_by(db, *parts, query.group_by)
        else:
            bucket = Bucket(query.group_by)
            body["series"] = await development.throughput_series(db, *parts, bucket)
        return await headed(db, asked, query, body)


@endpoint(
    "GET",
    "/metrics/development/throughput/explain",
    query=ExplainedPeoplePeriod,
    answer=EXPLANATION,
    csv=True,
)
async def throughput_explained(call: Call, query: ExplainedPeoplePeriod) -> Any:
    """Which pull requests and issues count, which do not, and why."""
    return await explained(call, query, "throughput")


@endpoint("GET", "/metrics/development/open", query=PeoplePeriod, answer=AGEING)
async def open_pull_requests(call: Call, query: PeoplePeriod) -> Any:
    """The open pull requests, the oldest first, and whose move each of them waits for."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        return await development.open_pull_requests(db, asked.scope, asked.sight, datetime.now(UTC))


async def asked_of(db: AsyncConnection, call: Call, query: PeoplePeriod) -> Asked:
    """Return what a question is about, and what whoever asks may see."""
    member = call.member
    time_zone, _ = await measured_in(db, member.organization_id)
    scope = Scope(
        organization_id=member.organization_id,
        repository_id=await repository_named(db, member, query.repo_id) if query.repo_id else None,
        team_id=await team_named(db, member, query.team_id) if query.team_id else None,
        cohorts=tuple(dict.fromkeys(query.cohorts.split(","))),
    )
    sight = await sight_of(db, member.organization_id, member.email, member.user_id)
    return Asked(scope, window_of(query, datetime.now(UTC), time_zone), sight)


async def with_durations(
    db: AsyncConnection, asked: Asked, query: PeoplePeriod, metric: Metric, body: dict[str, Any]
) -> dict[str, Any]:
    """Add a metric's series and histogram to a body."""
    parts = (metric, asked.scope, asked.window, asked.sight)
    if query.group_by in GROUPS:
        body["series"] = await development.durations_by(db, *parts, query.group_by)
    else:
        bucket = Bucket(query.group_by)
        body["series"] = await development.duration_series(db, *parts, bucket)
    body["histogram"] = await development.duration_bins(db, *parts)
    return await headed(db, asked, query, body)


async def headed(
    db: AsyncConnection, asked: Asked, query: PeoplePeriod, body: dict[str, Any]
) -> dict[str, Any]:
    """Put before a body what it was asked of, and whom it leaves out."""
    hidden = asked.sight.reason if query.group_by == "author" else None
    head = await header(db, asked.scope, asked.window)
    return {**head, "group_by": query.group_by, "hidden": hidden, **body}


async def explained(call: Call, query: ExplainedPeoplePeriod, name: str) -> Any:
    """Take a metric's number apart."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return await as_csv(db, call, asked, name)
        page = Page(query.limit, query.cursor)
        parts = (asked.scope, asked.window, asked.sight)
        return await development.development_explanation(db, asked.metric(name), *parts, page)


async def as_csv(db: AsyncConnection, call: Call, asked: Asked, name: str) -> Response:
    """Stream a metric's rows; where its figure is withheld, say so in their place."""
    metric = asked.metric(name)
    few = await development.why_withheld(db, metric, asked.scope, asked.window, asked.sight)
    if few is None:
        return rows_as_csv(call, metric, asked.scope, asked.window)
    lines = line(("reason",)) + line((f"withheld: {few}",))
    return Response(lines, media_type=CSV)
