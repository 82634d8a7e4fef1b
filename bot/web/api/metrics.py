"""DORA's metrics over the API: numbers, series, and why they are what they are."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response, StreamingResponse

from bot.web.api.endpoints import Call, Query, Words, endpoint, invalid
from bot.web.api.listing import Limit, repository_named, team_named
from bot.web.api.typed import combined, described
from models.metrics import deployments, dora, lead_time
from models.metrics.core import COHORTS, Bin, Bucket, Scope, Window, measured_in, scope_body
from models.metrics.csv import csv_lines, line
from models.metrics.explanation import Explanation, Metric, Page, explanation

DAYS = 30
LONGEST_DAYS = 5 * 366
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
CSV = "text/csv; charset=utf-8"


def cohort_names(value: str) -> str:
    """Refuse a list of cohorts that names another."""
    if unknown := [name for name in value.split(",") if name not in COHORTS]:
        raise ValueError(f"{unknown[0]!r} is no cohort; there are {', '.join(COHORTS)}")
    return value


def whole_number(value: object) -> object:
    """Read a number that came as text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def iso_day(value: object) -> object:
    """Refuse a day in another form, such as seconds since 1970."""
    if isinstance(value, str) and not ISO_DAY.fullmatch(value):
        raise ValueError("a day is written as 2026-09-30")
    return value


Day = Annotated[date, BeforeValidator(iso_day)]
Cohorts = Annotated[Words, AfterValidator(cohort_names)]
Edition = Annotated[Literal[2023, 2024, 2025], BeforeValidator(whole_number)]


class Days(Query):
    """Which days. They are of the organisation's time zone and both included.

    Without dates: the last 30 days, today included.
    """

    start_date: Day | None = None
    end_date: Day | None = None


class Period(Days):
    """What is measured. Days are of the organisation's time zone and both included.

    Without dates: the last 30 days, today included. `repo_id`: `github:123` or `owner/name`.
    `team_id`: only the repositories of a team, `github:team:7` or `hand:…`.
    `environment`: a class (production, staging, transient, other) or an environment's own name.
    `cohorts`: of people, agent, bots, with commas. `edition` of DORA's levels: the organisation's.
    """

    repo_id: Words | None = None
    team_id: Words | None = None
    environment: Words = "production"
    service: Words | None = None
    cohorts: Cohorts = "people,agent"
    edition: Edition | None = None
    format: Literal["json", "csv"] = "json"


class SeriesPeriod(Period):
    """What is measured, and what its series counts by."""

    group_by: Literal["day", "week", "month", "repo"] = "day"


class ExplainedPeriod(Period):
    """What is explained, a page of rows at a time."""

    cursor: Words | None = None
    limit: Limit = 50


HEADER = dora.Header.__annotations__
Frequency = combined(
    "DeploymentFrequencySeries",
    "Deployment frequency of a period, with its series: by day, week or month, or by repository.",
    deployments.DeploymentFrequency,
    **HEADER,
    group_by=str,
    series=list[deployments.FrequencyBucket | deployments.RepositoryFrequency],
)
LeadTime = combined(
    "ChangeLeadTimeSeries",
    "Change lead time of a period, with its series and how the lead times spread.",
    lead_time.ChangeLeadTime,
    **HEADER,
    group_by=str,
    series=list[lead_time.LeadTimeBucket | lead_time.RepositoryLeadTime],
    histogram=list[Bin],
)
EXPLANATION: Any = described(Explanation)


@endpoint("GET", "/metrics/dora", query=Period, answer=described(dora.Dora), csv=True)
async def dora_metrics(call: Call, query: Period) -> Any:
    """All of DORA's metrics of an organisation or repository in a period."""
    now = datetime.now(UTC)
    async with call.engine.connect() as db:
        scope, window, edition = await measured(db, call, query, now)
    body = await dora.dora_at_once(call.engine, dora.Asked(scope, window, now, edition))
    if query.format == "json":
        return body
    lines = [line(("metric", "figure", "value"))]
    for metric, part in body.items():
        if isinstance(part, Mapping) and metric != "scope":
            lines += [line((metric, *figure)) for figure in figures(part)]
    return Response("".join(lines), media_type=CSV)


@endpoint(
    "GET", "/metrics/dora/deployment-frequency", query=SeriesPeriod, answer=Frequency, csv=True
)
async def deployment_frequency(call: Call, query: SeriesPeriod) -> Any:
    """How often deployments reached an environment; as CSV, the attempts themselves."""
    if query.format == "csv":
        return await as_csv(call, query, deployments.METRIC)
    now = datetime.now(UTC)
    async with call.engine.connect() as db:
        scope, window, edition = await measured(db, call, query, now)
        part = await deployments.deployment_frequency(db, scope, window, now, edition)
        series: Any
        if query.group_by == "repo":
            series = await deployments.deployment_frequency_by_repository(db, scope, window, now)
        else:
            bucket = Bucket(query.group_by)
            series = await deployments.deployment_frequency_series(db, scope, window, bucket)
        head = await header(db, scope, window)
    return head | part | {"group_by": query.group_by, "series": series}


@endpoint("GET", "/metrics/dora/lead-time", query=SeriesPeriod, answer=LeadTime, csv=True)
async def change_lead_time(call: Call, query: SeriesPeriod) -> Any:
    """How long changes took from first commit to production; as CSV, the changes themselves."""
    if query.format == "csv":
        return await as_csv(call, query, lead_time.METRIC)
    async with call.engine.connect() as db:
        scope, window, edition = await measured(db, call, query, datetime.now(UTC))
        part = await lead_time.change_lead_time(db, scope, window, edition)
        series: Any
        if query.group_by == "repo":
            series = await lead_time.change_lead_time_by_repository(db, scope, window)
        else:
            bucket = Bucket(query.group_by)
            series = await lead_time.change_lead_time_series(db, scope, window, bucket)
        bins = await dora.change_lead_time_histogram(db, scope, window)
        head = await header(db, scope, window)
    return head | part | {"group_by": query.group_by, "series": series, "histogram": bins}


@endpoint("GET", "/metrics/dora/explain", query=ExplainedPeriod, answer=list[EXPLANATION])
async def dora_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Why the metrics are what they are: each one's definition, what counted, what did not."""
    if query.cursor is not None or query.format == "csv":
        detail = "Page through one metric, or take its CSV, at its own address."
        field = "cursor" if query.cursor is not None else "format"
        raise invalid([{"field": field, "detail": detail}])
    return [await explained(call, query, metric) for metric in dora.METRICS]


@endpoint(
    "GET",
    "/metrics/dora/deployment-frequency/explain",
    query=ExplainedPeriod,
    answer=EXPLANATION,
    csv=True,
)
async def deployment_frequency_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Which attempts count as deployments, which do not, and why."""
    if query.format == "csv":
        return await as_csv(call, query, deployments.METRIC)
    return await explained(call, query, deployments.METRIC)


@endpoint(
    "GET", "/metrics/dora/lead-time/explain", query=ExplainedPeriod, answer=EXPLANATION, csv=True
)
async def change_lead_time_explained(call: Call, query: ExplainedPeriod) -> Any:
    """Which changes have a lead time, which do not, and why."""
    if query.format == "csv":
        return await as_csv(call, query, lead_time.METRIC)
    return await explained(call, query, lead_time.METRIC)


async def explained(call: Call, query: ExplainedPeriod, metric: Metric) -> Explanation:
    """Take a metric's number apart."""
    async with call.engine.connect() as db:
        scope, window, _ = await measured(db, call, query, datetime.now(UTC))
        return await explanation(db, metric, scope, window, Page(query.limit, query.cursor))


async def as_csv(call: Call, query: Period, metric: Metric) -> Response:
    """Stream a metric's rows, counted or not."""
    async with call.engine.connect() as db:
        scope, window, _ = await measured(db, call, query, datetime.now(UTC))
    return rows_as_csv(call, metric, scope, window)


def rows_as_csv(call: Call, metric: Metric, scope: Scope, window: Window) -> Response:
    """Stream the rows of a metric in a scope and window."""

    async def lines() -> Any:
        async with call.engine.connect() as db:
            async for told in csv_lines(db, metric, scope, window):
                yield told

    name = f"{metric.name}-{window.start_date}-{window.end_date}.csv"
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines(), media_type=CSV, headers=disposition)


async def measured(
    db: AsyncConnection, call: Call, query: Period, now: datetime
) -> tuple[Scope, Window, int]:
    """Return what a question is about: whose rows, which days, and which edition of levels."""
    member = call.member
    time_zone, edition = await measured_in(db, member.organization_id)
    repository = await repository_named(db, member, query.repo_id) if query.repo_id else None
    team = await team_named(db, member, query.team_id) if query.team_id else None
    scope = Scope(
        organization_id=member.organization_id,
        repository_id=repository,
        team_id=team,
        environment=query.environment,
        service=query.service,
        cohorts=tuple(dict.fromkeys(query.cohorts.split(","))),
    )
    return scope, window_of(query, now, time_zone), query.edition or edition


def window_of(query: Days, now: datetime, time_zone: str) -> Window:
    """Return the days asked for; raise `Problem` 422 for more than five years, or none."""
    end = query.end_date or Window.last(1, now, time_zone).end_date
    try:
        start = query.start_date or end - timedelta(days=DAYS - 1)
    except OverflowError:
        start = date.min
    if start > end:
        raise invalid([{"field": "start_date", "detail": f"{start} is after the end, {end}."}])
    if (end - start).days >= LONGEST_DAYS:
        raise invalid([{"field": "start_date", "detail": "A period has five years at most."}])
    return Window(start, end, time_zone)


async def header(db: AsyncConnection, scope: Scope, window: Window) -> dict[str, Any]:
    """Return what a number was asked of, as every answer says it."""
    return {
        "start_date": window.start_date.isoformat(),
        "end_date": window.end_date.isoformat(),
        "time_zone": window.time_zone,
        "scope": await scope_body(db, scope),
    }


def figures(part: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Return the figures of a part of the body, those inside others by dotted names."""
    for name, value in part.items():
        if isinstance(value, Mapping):
            yield from figures(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
