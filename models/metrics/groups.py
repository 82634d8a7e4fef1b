"""Figures of groups of people: what PR review time, cycle time and their breakdowns share.

Their SELECTs have, besides what every metric's has, `account` (whose row it is, as
`models.people.Identity` names accounts), `author` (its name, where whoever asks may see it) and
`cohort`. Every figure passes `models.metrics.privacy`.
"""

# ruff: noqa: S608 - SQL is put together of constants only

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import COHORTS, Bin, Bucket, Rows, Scope, Window, ask, by_bucket, histogram
from models.metrics.durations import Seconds, percentiles
from models.metrics.explanation import Metric
from models.metrics.privacy import Sight, enough_people, too_few, withheld
from models.persons import Persons

GROUPS = ("repo", "team", "author")

ENDED = """
case when {cohort} = any(:cohorts) then null
     when {cohort} = 'bots' then 'made by a bot: bots are left out'
     when {cohort} = 'agent' then 'made by the agent: the filter leaves it out'
     else 'made by people: the filter leaves them out' end
"""

# `offset 0` makes Postgres judge each row once, not once for each number; what came before is read
# apart, so that no row is asked which side it is on.
DURATIONS = """
select count(here) as count, avg(here) as mean,
       percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by here) as percentiles,
       count(people) as people_count, count(agent) as agent_count, count(bots) as bots_count,
       percentile_cont(0.5) within group (order by people) as people_median,
       percentile_cont(0.5) within group (order by agent) as agent_median,
       percentile_cont(0.5) within group (order by bots) as bots_median,
       count(*) filter (where cohort = 'bots') as bots_all,
       (select array[count(value), percentile_cont(0.5) within group (order by value)]
        from rows where counted and at < :start) as previous
from (select cohort, case when counted then value end as here,
             case when cohort = 'people' then value end as people,
             case when cohort = 'agent' then value end as agent,
             case when cohort = 'bots' then value end as bots
      from rows where at >= :start offset 0) judged
"""

SERIES = """
select width_bucket(at, cast(:starts as timestamptz[])) as place, count(*) as count,
       percentile_cont(array[0.5, 0.75, 0.9]) within group (order by value) as percentiles
from rows where counted group by place
"""

# In one pass: the whole (`place` is null), counted as `DURATIONS` does, and its course as `SERIES`.
COURSE = """
select place, case when grouping(place) = 1 then count(value) else count(*) end as count,
       avg(value) as mean,
       percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by value) as percentiles
from (select value, width_bucket(at, cast(:starts as timestamptz[])) as place
      from rows where counted offset 0) told
group by rollup (place)
"""
BEFORE = """
select count(value) as count, percentile_cont(0.5) within group (order by value) as median_seconds
from rows where counted
"""

SPREAD = """
count(*) as count, avg(value) as mean,
percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by value) as percentiles
"""
BY_REPOSITORY = f"""
select repository_id as key, {SPREAD} from rows
where counted and repository_id is not null group by repository_id
"""

# A row belongs to every team that its author is in.
OF_TEAMS = """
(select rows.*, team.id as team_id from rows
 join unnest(cast(:team_accounts as text[]), cast(:team_ids as text[])) as team(account, id)
   on team.account = rows.account)
"""
BY_TEAM = f"select team_id as key, {SPREAD} from {OF_TEAMS} rows where counted group by team_id"

# Of single people only those whom whoever asks may see; the agent and bots are no people.
OF_AUTHORS = """
(select rows.*, case when rows.cohort = 'people' then coalesce(who.person, rows.account)
                     else rows.cohort end as author_id
 from rows
 left join unnest(cast(:joined_accounts as text[]), cast(:joined_persons as text[]))
      as who(account, person) on who.account = rows.account
 where rows.cohort <> 'people' or rows.account = any(:visible))
"""
BY_AUTHOR = f"""
select author_id as key, {SPREAD} from {OF_AUTHORS} rows where counted group by author_id
"""

NAMES_OF_REPOSITORIES = "select id, full_name as name from repositories where id = any(:ids)"
NAMES_OF_TEAMS = "select id, name from teams where id = any(:ids)"


class MaybeMedian(TypedDict):
    """A median and of how many; both None where they are withheld."""

    median_seconds: float | None
    count: int | None


class Spread(Seconds):
    """How durations spread, in seconds; None without data, and where they are withheld."""

    count: int | None


class Headline(Spread):
    """Durations of a group in a window, beside as many days before.

    `reason`: why there is no value, None where there is one.
    """

    previous: MaybeMedian
    reason: str | None


class Durations(Headline):
    """Durations of a group with those of its cohorts.

    `by_cohort`: people, agent and bots, whichever the scope counts. `bots_left_out`: how many rows
    of bots do not count.
    """

    by_cohort: dict[str, MaybeMedian]
    bots_left_out: int | None


class SpreadBucket(TypedDict):
    """The durations of one day, week or month, by its first day."""

    start_date: str
    p50_seconds: float | None
    p75_seconds: float | None
    p90_seconds: float | None
    count: int | None


class SpreadOf(Spread):
    """The part of one repository, team or author. `reason`: why it is withheld, else None.

    `id` of authors: a person's, or `agent` and `bots`.
    """

    id: str
    name: str | None
    reason: str | None


def of_people(
    select: str, scope: Scope, sight: Sight, since: datetime | None, until: datetime | None
) -> Rows:
    """The rows of a SELECT in a scope with `since <= at < until`, whatever the environment.

    A team's are those of its members.
    """
    clauses: dict[str, Any] = {
        "organization_id = :organization_id": scope.organization_id,
        "repository_id = :repository_id": scope.repository_id,
        "account = any(:members)": sight.members(scope),
        "at >= :since": since,
        "at < :until": until,
    }
    told = {clause: value for clause, value in clauses.items() if value is not None}
    names = {clause.rpartition(":")[2].rstrip(")"): value for clause, value in told.items()}
    return Rows(
        f"select * from ({select}) facts where {' and '.join(told)}",
        {**names, "cohorts": list(scope.cohorts), "visible": sorted(sight.accounts)},
    )


def seen_by(metric: Metric, sight: Sight, rows: Callable[..., Rows]) -> Metric:
    """Return a metric whose rows name only whom somebody may see."""
    return replace(metric, rows=lambda scope, since, until: rows(scope, sight, since, until))


def for_strangers(rows: Callable[..., Rows]) -> Callable[..., Rows]:
    """Return a metric's rows as those see them who may see nobody's figures."""
    return lambda scope, since, until: rows(
        scope, Sight(Persons(scope.organization_id)), since, until
    )


async def durations(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window, sight: Sight
) -> Durations:
    """The durations of a group, withheld where too few people stand behind them."""
    rows = metric.rows(scope, window.previous.start, window.end)
    active = await enough_people(db, sight, rows, (True, False), "at >= :start", window.start)
    told = (await ask(db, rows, DURATIONS, start=window.start)).mappings().one()
    few = too_few(active, True)
    before_count, before_median = told["previous"]
    previous = MaybeMedian(median_seconds=before_median, count=int(before_count))
    found = Durations(
        **percentiles(told),
        by_cohort={},
        bots_left_out=0 if "bots" in scope.cohorts else told["bots_all"],
        previous=previous,
        reason=None if told["count"] else metric.no_data(scope, window),
    )
    shown = withheld(found, few)
    shown["previous"] = withheld(previous, too_few(active, False))
    shown["by_cohort"] = {cohort: median_of(told, cohort, few) for cohort in COHORTS}
    return shown


async def headline_and_course(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window, sight: Sight, bucket: Bucket
) -> tuple[Headline, list[SpreadBucket]]:
    """What a screen shows of a group: its durations as `durations` and `duration_series` tell them.

    Asked for together, and without cohorts, they read the rows of the window once.
    """
    days, earlier = window.buckets(bucket), window.previous
    now = metric.rows(scope, window.start, window.end)
    past = metric.rows(scope, earlier.start, window.start)
    both = metric.rows(scope, earlier.start, window.end)
    active = await enough_people(db, sight, both, (True, False), "at >= :start", window.start)
    answer = await ask(db, now, COURSE, starts=[window.midnight(day) for day in days])
    told = {row["place"]: row for row in answer.mappings()}
    before = (await ask(db, past, BEFORE)).mappings().one()
    few, whole = too_few(active, True), told[None]
    previous = MaybeMedian(median_seconds=before["median_seconds"], count=before["count"])
    shown = withheld(
        Headline(
            **percentiles(whole),
            previous=previous,
            reason=None if whole["count"] else metric.no_data(scope, window),
        ),
        few,
    )
    shown["previous"] = withheld(previous, too_few(active, False))
    return shown, [
        withheld(bucket_of(day.isoformat(), told.get(place)), few)
        for place, day in enumerate(days, 1)
    ]


def median_of(told: RowMapping, cohort: str, few: str | None) -> MaybeMedian:
    """The median of one cohort; what withholds a group's withholds that of its people alone."""
    found = MaybeMedian(median_seconds=told[f"{cohort}_median"], count=told[f"{cohort}_count"])
    return withheld(found, few if cohort == "people" else None)


async def duration_series(
    db: AsyncConnection,
    metric: Metric,
    scope: Scope,
    window: Window,
    sight: Sight,
    bucket: Bucket = Bucket.WEEK,
) -> list[SpreadBucket]:
    """Durations by day, week or month; each withheld where the window's are."""
    rows = metric.rows(scope, window.start, window.end)
    few = too_few(await enough_people(db, sight, rows))
    parts = await by_bucket(db, rows, SERIES, window, bucket)
    return [withheld(bucket_of(day, row), few) for day, row in parts]


def bucket_of(start_date: str, row: RowMapping | None) -> SpreadBucket:
    """One bucket; None is an empty one."""
    p50, p75, p90, *_ = row["percentiles"] if row else (None, None, None)
    return SpreadBucket(
        start_date=start_date,
        p50_seconds=p50,
        p75_seconds=p75,
        p90_seconds=p90,
        count=row["count"] if row else 0,
    )


async def duration_bins(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window, sight: Sight
) -> list[Bin]:
    """How the durations of a group spread; no bins where they are withheld."""
    rows = metric.rows(scope, window.start, window.end)
    if too_few(await enough_people(db, sight, rows)):
        return []
    return await histogram(db, rows)


async def durations_by(
    db: AsyncConnection, metric: Metric, scope: Scope, window: Window, sight: Sight, group: str
) -> list[SpreadOf]:
    """The durations of each repository, team or author, by name."""
    rows = metric.rows(scope, window.start, window.end)
    parts = await grouped(db, rows, sight, group, (BY_REPOSITORY, BY_TEAM, BY_AUTHOR))
    return [
        withheld(SpreadOf(id=key, name=name, **percentiles(row), reason=None), reason)
        for key, name, row, reason in parts
    ]


Part = tuple[str, str | None, RowMapping, str | None]


async def grouped(
    db: AsyncConnection, rows: Rows, sight: Sight, group: str, questions: Sequence[str]
) -> list[Part]:
    """Return key, name, answer and why it is withheld of each group, by name, never by output.

    `questions`: what is asked by repository, by team and by author.
    """
    question = questions[GROUPS.index(group)]
    if group == "author":
        return await authors(db, rows, sight, question)
    bound = teams_bound(sight) if group == "team" else {}
    told = {row["key"]: row for row in (await ask(db, rows, question, **bound)).mappings()}
    active = await active_in(db, rows, sight, group, told)
    names = await names_of(db, group, list(told))
    parts = [(key, names.get(key), row, too_few(active, key)) for key, row in told.items()]
    return sorted(parts, key=lambda part: ((part[1] or part[0]).lower(), part[0]))


def teams_bound(sight: Sight) -> dict[str, list[str]]:
    """Return who is in which team, as a question binds it."""
    pairs = [(account, team) for team, held in sight.teams.items() for account in sorted(held)]
    return {"team_accounts": [one for one, _ in pairs], "team_ids": [team for _, team in pairs]}


async def active_in(
    db: AsyncConnection, rows: Rows, sight: Sight, group: str, keys: Collection[str]
) -> Mapping[str, int]:
    """Return how many people had a part in repositories or teams, as `too_few` reads it."""
    if group == "repo":
        return await enough_people(db, sight, rows, keys, "repository_id")
    of_teams = Rows(
        f"select * from (with rows as ({rows.sql}) select * from {OF_TEAMS} told) teams",
        {**rows.parameters, **teams_bound(sight)},
    )
    return await enough_people(db, sight, of_teams, keys, "team_id")


async def names_of(db: AsyncConnection, group: str, ids: list[str]) -> dict[str, str]:
    """Return the names of repositories or teams."""
    question = NAMES_OF_TEAMS if group == "team" else NAMES_OF_REPOSITORIES
    answer = await ask(db, Rows("select 1", {}), question, ids=ids)
    return {row.id: row.name for row in answer}


async def authors(db: AsyncConnection, rows: Rows, sight: Sight, question: str) -> list[Part]:
    """Return the part of each person whom whoever asks may see, then the agent's and bots'."""
    answer = await ask(db, rows, question, **sight.joined)
    names = {person.id: person.name for person in sight.persons.people}
    names |= {account: person.name for account, person in sight.persons.by_account.items()}
    parts: list[Part] = [
        (row["key"], names.get(row["key"], row["key"]), row, None) for row in answer.mappings()
    ]
    return sorted(parts, key=lambda part: (part[0] in COHORTS, str(part[1]).lower(), part[0]))
