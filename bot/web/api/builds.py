"""Builds over the API: how many pass, how long they take, how many there are, why they fail."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.api.endpoints import Call, Words, endpoint
from bot.web.api.listing import Limit, repository_named, team_named
from bot.web.api.metrics import EXPLANATION, HEADER, Days, header, rows_as_csv, window_of
from bot.web.api.typed import combined
from models.metrics import builds
from models.metrics.core import Bin, Bucket, Scope, Window, measured_in
from models.metrics.durations import DurationBucket
from models.metrics.explanation import Page, explanation


class BuildDays(Days):
    """Which builds, and when they completed. Without dates: the last 30 days, today included.

    `repo_id`: `github:123` or `owner/name`. `team_id`: the repositories of a team, `github:team:7`
    or `hand:…`. `platform`: ios or android, each with the workflows that build both; mobile: all of
    these; none: whatever builds no app.
    """

    repo_id: Words | None = None
    team_id: Words | None = None
    platform: Literal["ios", "android", "mobile", "none"] | None = None


class BuildPeriod(BuildDays):
    """Which builds, when they completed, and what their series counts by."""

    group_by: Literal["day", "week", "month", "repo", "team", "platform", "workflow"] = "day"
    format: Literal["json", "csv"] = "json"


class ExplainedBuildPeriod(BuildPeriod):
    """What is explained, a page of rows at a time."""

    cursor: Words | None = None
    limit: Limit = 50


class ListedBuildPeriod(BuildDays):
    """Which builds, when they completed, and how long the list may be."""

    limit: Limit = 20


@dataclass(frozen=True)
class Asked:
    """Whose builds are asked about, when, and of which platform."""

    scope: Scope
    window: Window
    platform: str | None


SHARED: dict[str, Any] = {**HEADER, "platform": str | None}
SERIES: dict[str, Any] = {**SHARED, "group_by": str}
SuccessRate = combined(
    "BuildSuccessRate",
    "Which part of the builds of a period passed, with its series.",
    builds.SuccessRate,
    **SERIES,
    series=list[builds.OutcomesBucket | builds.BuildsOf],
)
Duration = combined(
    "BuildDurationSeries",
    "How long the builds of a period took, with their series and how they spread.",
    builds.BuildDuration,
    **SERIES,
    series=list[DurationBucket | builds.BuildsOf],
    histogram=list[Bin],
)
Frequency = combined(
    "BuildFrequencySeries",
    "How many builds of a period ran to their end, with their series.",
    builds.BuildFrequency,
    **SERIES,
    series=list[builds.CountBucket | builds.BuildsOf],
)
Failures = combined(
    "BuildFailures",
    "What the builds of a period failed of, the most frequent first.",
    **SHARED,
    items=list[builds.FailureReason],
)
Flaky = combined(
    "FlakyWorkflows",
    "The workflows that passed on a commit on which they had failed, with all flaky builds.",
    builds.Flakiness,
    **SHARED,
    items=list[builds.FlakyWorkflow],
)


@endpoint("GET", "/metrics/builds/success-rate", query=BuildPeriod, answer=SuccessRate, csv=True)
async def success_rate(call: Call, query: BuildPeriod) -> Any:
    """Which part of the builds passed; as CSV, the builds themselves."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return as_csv(call, asked, "build_success_rate")
        part = (await figures(db, asked))["success_rate"]
        return await with_series(db, asked, query, builds.success_series, dict(part))


@endpoint(
    "GET",
    "/metrics/builds/success-rate/explain",
    query=ExplainedBuildPeriod,
    answer=EXPLANATION,
    csv=True,
)
async def success_rate_explained(call: Call, query: ExplainedBuildPeriod) -> Any:
    """Which builds passed, which failed, which are left out, and why."""
    return await explained(call, query, "build_success_rate")


@endpoint("GET", "/metrics/builds/duration", query=BuildPeriod, answer=Duration, csv=True)
async def duration(call: Call, query: BuildPeriod) -> Any:
    """How long builds took, of their last attempt; as CSV, the builds themselves."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return as_csv(call, asked, "build_duration")
        body = dict((await figures(db, asked))["duration"])
        body["histogram"] = await builds.duration_histogram(
            db, asked.scope, asked.window, asked.platform
        )
        return await with_series(db, asked, query, builds.duration_series, body)


@endpoint(
    "GET",
    "/metrics/builds/duration/explain",
    query=ExplainedBuildPeriod,
    answer=EXPLANATION,
    csv=True,
)
async def duration_explained(call: Call, query: ExplainedBuildPeriod) -> Any:
    """Which builds have a duration that counts, which have not, and why."""
    return await explained(call, query, "build_duration")


@endpoint("GET", "/metrics/builds/frequency", query=BuildPeriod, answer=Frequency, csv=True)
async def frequency(call: Call, query: BuildPeriod) -> Any:
    """How many builds ran to their end; as CSV, the builds themselves."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return as_csv(call, asked, "build_frequency")
        part = (await figures(db, asked))["frequency"]
        return await with_series(db, asked, query, builds.frequency_series, dict(part))


@endpoint(
    "GET",
    "/metrics/builds/frequency/explain",
    query=ExplainedBuildPeriod,
    answer=EXPLANATION,
    csv=True,
)
async def frequency_explained(call: Call, query: ExplainedBuildPeriod) -> Any:
    """Which builds count, which do not, and why."""
    return await explained(call, query, "build_frequency")


@endpoint("GET", "/metrics/builds/failures", query=ListedBuildPeriod, answer=Failures)
async def failures(call: Call, query: ListedBuildPeriod) -> Any:
    """What builds failed of: the step, else the job, that failed first, without its numbers."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        parts = (asked.scope, asked.window, asked.platform)
        found = await builds.failures_by_reason(db, *parts, query.limit)
        return {**await headed(db, asked), "items": found}


@endpoint("GET", "/metrics/builds/flaky", query=ListedBuildPeriod, answer=Flaky)
async def flaky(call: Call, query: ListedBuildPeriod) -> Any:
    """Which workflows passed on a commit on which they had failed, and how often."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        parts = (asked.scope, asked.window, asked.platform)
        found = await builds.flaky_workflows(db, *parts, query.limit)
        counts = (await figures(db, asked))["flaky"]
        return {**await headed(db, asked), **counts, "items": found}


async def asked_of(db: AsyncConnection, call: Call, query: BuildDays) -> Asked:
    """Return what a question is about."""
    member = call.member
    time_zone, _ = await measured_in(db, member.organization_id)
    scope = Scope(
        organization_id=member.organization_id,
        repository_id=await repository_named(db, member, query.repo_id) if query.repo_id else None,
        team_id=await team_named(db, member, query.team_id) if query.team_id else None,
    )
    return Asked(scope, window_of(query, datetime.now(UTC), time_zone), query.platform)


async def figures(db: AsyncConnection, asked: Asked) -> builds.BuildFigures:
    """Return everything that the builds asked about come to."""
    now = datetime.now(UTC)
    return await builds.summary(db, asked.scope, asked.window, asked.platform, now)


async def with_series(
    db: AsyncConnection, asked: Asked, query: BuildPeriod, series: Any, body: dict[str, Any]
) -> dict[str, Any]:
    """Add a metric's series, by time or by group, and what it was asked of."""
    if query.group_by in builds.GROUPS:
        parts = (asked.scope, asked.window, asked.platform, query.group_by)
        body["series"] = await builds.builds_by(db, *parts)
    else:
        bucket = Bucket(query.group_by)
        body["series"] = await series(db, asked.scope, asked.window, asked.platform, bucket)
    return {**await headed(db, asked), "group_by": query.group_by, **body}


async def headed(db: AsyncConnection, asked: Asked) -> dict[str, Any]:
    """Return what was asked, as every answer says it."""
    return {**await header(db, asked.scope, asked.window), "platform": asked.platform}


async def explained(call: Call, query: ExplainedBuildPeriod, name: str) -> Any:
    """Take a metric's number apart."""
    async with call.engine.connect() as db:
        asked = await asked_of(db, call, query)
        if query.format == "csv":
            return as_csv(call, asked, name)
        metric, page = builds.metric_of(name, asked.platform), Page(query.limit, query.cursor)
        return await explanation(db, metric, asked.scope, asked.window, page)


def as_csv(call: Call, asked: Asked, name: str) -> Any:
    """Stream a metric's builds, counted or not."""
    return rows_as_csv(call, builds.metric_of(name, asked.platform), asked.scope, asked.window)
