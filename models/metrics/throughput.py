"""Throughput: pull requests merged and issues completed in a period."""

# ruff: noqa: S608 - SQL is put together of constants only

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import COHORTS, Bucket, Rows, Scope, Window, ask, by_bucket
from models.metrics.cycle_time import ISSUE, NO_TWIN
from models.metrics.explanation import Metric
from models.metrics.groups import (
    ENDED,
    OF_AUTHORS,
    OF_TEAMS,
    for_strangers,
    grouped,
    of_people,
)
from models.metrics.privacy import Sight, enough_people, too_few, withheld
from models.metrics.review_time import PULL_REQUEST

MERGED = f"""
select {PULL_REQUEST}, t.merged_at as at, 'pull_request' as kind, 'github' as source,
       t.cohort = any(:cohorts) as counted, {ENDED.format(cohort="t.cohort")} as reason
from pull_request_times t where t.merged_at is not null
"""

COMPLETED = f"""
select {ISSUE}, x.closed_at as at, 'issue' as kind,
       x.cohort = any(:cohorts) as counted, {ENDED.format(cohort="x.cohort")} as reason
from issue_times x where x.closed_at is not null and {NO_TWIN}
"""
COLUMNS = """
organization_id, repository_id, id, cohort, account, author, repository, title, url, what, at,
kind, source, counted, reason
"""
DONE = f"""
select *, case when counted then 1 else 0 end as value
from (select {COLUMNS} from ({MERGED}) merged
      union all select {COLUMNS} from ({COMPLETED}) completed) told
"""

COUNTS = """
count(*) filter (where counted and kind = 'pull_request') as pull_requests,
count(*) filter (where counted and kind = 'issue') as issues
"""
TOTAL = """
select cohort, at >= :start as recent, counted, kind, count(*) as count
from rows group by 1, 2, 3, 4
"""
SERIES = f"""
select width_bucket(at, cast(:starts as timestamptz[])) as place, {COUNTS}
from rows group by place
"""
# In one pass: each bucket by cohort and kind; what came before is in none.
COURSE = """
select at >= :start as recent, cohort, counted, kind,
       case when at >= :start then width_bucket(at, cast(:starts as timestamptz[])) end as place,
       count(*) as count
from rows group by recent, cohort, counted, kind, place
"""
BY_REPOSITORY = f"""
select repository_id as key, {COUNTS} from rows where counted and repository_id is not null
group by repository_id
"""
BY_TEAM = f"""
select team_id as key, {COUNTS} from {OF_TEAMS} rows where counted group by team_id
"""
BY_AUTHOR = f"""
select author_id as key, {COUNTS} from {OF_AUTHORS} rows where counted group by author_id
"""


def done(scope: Scope, sight: Sight, since: datetime | None, until: datetime | None) -> Rows:
    """The pull requests that were merged, and the issues that were completed."""
    return of_people(DONE, scope, sight, since, until)


THROUGHPUT = Metric(
    name="throughput",
    title="Throughput",
    definition="How many pull requests were merged, and how many issues completed.",
    formula="pull requests merged, issues closed at GitHub or completed at Linear; an issue is "
    "its assignee's, else that of whoever's pull request closed it; bots left out unless asked for",
    source="https://dora.dev/research/",
    rows=for_strangers(done),
    nothing="nothing was merged or completed from {start_date} to {end_date}",
    connect="Install the GitHub App with the events `pull_request` and `issues`, or connect "
    "Linear.",
    columns=(
        *("at", "kind", "source", "repository", "title", "author", "cohort", "value", "counted"),
        *("reason", "url"),
    ),
)


class Counts(TypedDict):
    """Pull requests merged and issues completed; None where they are withheld."""

    pull_requests: int | None
    issues: int | None


class Throughput(Counts):
    """What a group got done in a window, beside as many days before.

    `by_cohort`: people, agent and bots, whichever the scope counts. `bots_left_out`: pull requests
    of bots that do not count. `reason`: why there is no value, None where there is one.
    """

    pull_requests_per_week: float | None
    issues_per_week: float | None
    by_cohort: dict[str, Counts]
    bots_left_out: int | None
    previous: Counts
    reason: str | None


class ThroughputBucket(Counts):
    """What was done in one day, week or month, by its first day."""

    start_date: str


class ThroughputOf(Counts):
    """The part of one repository, team or author. `reason`: why it is withheld, else None.

    `id` of authors: a person's, or `agent` and `bots`.
    """

    id: str
    name: str | None
    reason: str | None


async def throughput(
    db: AsyncConnection, scope: Scope, window: Window, sight: Sight, now: datetime
) -> Throughput:
    """How much a group got done, withheld where too few people stand behind it."""
    rows = done(scope, sight, window.previous.start, window.end)
    active = await enough_people(db, sight, rows, (True, False), "at >= :start", window.start)
    told = (await ask(db, rows, TOTAL, start=window.start)).mappings().all()
    return summary(told, scope, window, now, active)


async def throughput_and_course(
    db: AsyncConnection, scope: Scope, window: Window, sight: Sight, now: datetime, bucket: Bucket
) -> tuple[Throughput, list[ThroughputBucket]]:
    """What a screen shows of a group, as `throughput` and `throughput_series` tell it.

    Asked for together they read the rows once.
    """
    rows, days = done(scope, sight, window.previous.start, window.end), window.buckets(bucket)
    active = await enough_people(db, sight, rows, (True, False), "at >= :start", window.start)
    starts = [window.midnight(day) for day in days]
    told = (await ask(db, rows, COURSE, start=window.start, starts=starts)).mappings().all()
    places: dict[int, list[RowMapping]] = {}
    for row in told:
        if row["recent"] and row["counted"]:
            places.setdefault(row["place"], []).append(row)
    few = too_few(active, True)
    return summary(told, scope, window, now, active), [
        withheld(ThroughputBucket(start_date=day.isoformat(), **summed(places.get(place, ()))), few)
        for place, day in enumerate(days, 1)
    ]


def summary(
    told: Sequence[RowMapping],
    scope: Scope,
    window: Window,
    now: datetime,
    active: Mapping[Any, int],
) -> Throughput:
    """What an answer's counts come to, as far as they may be shown."""
    recent = [row for row in told if row["recent"]]
    counts = summed(row for row in recent if row["counted"])
    weeks = window.elapsed_days(now) / 7
    few, nothing = too_few(active, True), not any(counts.values())
    found = Throughput(
        pull_requests=counts["pull_requests"],
        issues=counts["issues"],
        pull_requests_per_week=None if nothing else (counts["pull_requests"] or 0) / weeks,
        issues_per_week=None if nothing else (counts["issues"] or 0) / weeks,
        by_cohort={},
        bots_left_out=summed(
            row for row in recent if row["cohort"] == "bots" and not row["counted"]
        )["pull_requests"],
        previous=Counts(pull_requests=0, issues=0),
        reason=THROUGHPUT.no_data(scope, window) if nothing else None,
    )
    shown = withheld(found, few)
    before = summed(row for row in told if row["counted"] and not row["recent"])
    shown["previous"] = withheld(before, too_few(active, False))
    for cohort in COHORTS:
        of_cohort = summed(row for row in recent if row["cohort"] == cohort)
        shown["by_cohort"][cohort] = withheld(of_cohort, few if cohort == "people" else None)
    return shown


def summed(rows: Any) -> Counts:
    """What some groups of the answer come to."""
    told = {"pull_request": 0, "issue": 0}
    for row in rows:
        told[row["kind"]] += row["count"]
    return Counts(pull_requests=told["pull_request"], issues=told["issue"])


async def throughput_series(
    db: AsyncConnection,
    scope: Scope,
    window: Window,
    sight: Sight,
    bucket: Bucket = Bucket.WEEK,
) -> list[ThroughputBucket]:
    """What was done by day, week or month, empty ones too; withheld where the window's is."""
    rows = done(scope, sight, window.start, window.end)
    few = too_few(await enough_people(db, sight, rows))
    parts = await by_bucket(db, rows, SERIES, window, bucket)
    return [withheld(bucket_of(day, row), few) for day, row in parts]


def bucket_of(start_date: str, row: RowMapping | None) -> ThroughputBucket:
    """One bucket; None is an empty one."""
    pull_requests, issues = (row["pull_requests"], row["issues"]) if row else (0, 0)
    return ThroughputBucket(start_date=start_date, pull_requests=pull_requests, issues=issues)


async def throughput_by(
    db: AsyncConnection, scope: Scope, window: Window, sight: Sight, group: str
) -> list[ThroughputOf]:
    """What each repository, team or author got done, by name."""
    rows = done(scope, sight, window.start, window.end)
    parts = await grouped(db, rows, sight, group, (BY_REPOSITORY, BY_TEAM, BY_AUTHOR))
    return [
        withheld(
            ThroughputOf(
                id=key,
                name=name,
                pull_requests=row["pull_requests"],
                issues=row["issues"],
                reason=None,
            ),
            reason,
        )
        for key, name, row, reason in parts
    ]
