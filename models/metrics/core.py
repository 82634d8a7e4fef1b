"""What every metric is made of: a window of days, a scope, and one SELECT of the rows it counts.

A metric's SELECT has, besides columns of its own, `id`, `at`, `what`, `url`, `value`, `counted` and
`reason`, and for the scope `organization_id`, `repository_id`, `service_id`, `environment` and
`environment_class`. Number, series, histogram, explanation and CSV read that one SELECT.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from sqlalchemy import CursorResult, RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import Refused

COHORTS = ("people", "agent", "bots")
ENVIRONMENT_CLASSES = ("production", "staging", "transient", "other")
EARLIEST, LATEST, LONGEST_DAYS = date(1000, 1, 1), date(3000, 1, 1), 3660

HOUR, DAY = 3600, 86400
HISTOGRAM_EDGES = tuple(
    [hours * HOUR for hours in (1, 2, 4, 8, 12)] + [days * DAY for days in (1, 2, 3, 5, 7, 14, 30)]
)


class Bucket(StrEnum):
    """What a series counts by, in the organisation's zone; weeks are ISO weeks, from Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def start(self, day: date) -> date:
        """The first day of the bucket that a day falls in."""
        if self is Bucket.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Bucket.MONTH else day


@dataclass(frozen=True)
class Window:
    """Days from `start_date` to `end_date`, both included, as a clock on the wall counts them.

    `time_zone` is an IANA name. Refused where the days are out of order, more than ten years,
    or the zone is unknown.
    """

    start_date: date
    end_date: date
    time_zone: str = "UTC"
    zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "zone", ZoneInfo(self.time_zone))
        except (KeyError, ValueError, OSError) as unknown:
            raise Refused(f"unknown time zone {self.time_zone!r}") from unknown
        if self.end_date < self.start_date:
            raise Refused(f"end_date {self.end_date} is before start_date {self.start_date}")
        if self.start_date < EARLIEST or self.end_date > LATEST:
            raise Refused(f"dates must lie between {EARLIEST} and {LATEST}")
        if self.days > LONGEST_DAYS:
            raise Refused("a period is at most ten years")

    @classmethod
    def last(cls, days: int, now: datetime, time_zone: str = "UTC") -> "Window":
        """The last so many days, today included."""
        today = now.astimezone(ZoneInfo(time_zone)).date()
        return cls(today - timedelta(days=days - 1), today, time_zone)

    @property
    def days(self) -> int:
        """How many days it has; one that changes the clocks is one day."""
        return (self.end_date - self.start_date).days + 1

    @property
    def start(self) -> datetime:
        """The first instant of the first day, UTC."""
        return self.midnight(self.start_date)

    @property
    def end(self) -> datetime:
        """The first instant after the last day, UTC."""
        return self.midnight(self.end_date + timedelta(days=1))

    @property
    def previous(self) -> "Window":
        """As many days directly before."""
        length, day = timedelta(days=self.days), timedelta(days=1)
        return Window(self.start_date - length, self.start_date - day, self.time_zone)

    def midnight(self, day: date) -> datetime:
        """The first instant of a day, UTC: where clocks skip or repeat midnight, the earlier."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def elapsed_days(self, now: datetime) -> int:
        """How many of its days have begun; all of them when it lies wholly in the future."""
        today = now.astimezone(self.zone).date()
        if today < self.start_date:
            return self.days
        return (min(self.end_date, today) - self.start_date).days + 1

    def buckets(self, bucket: Bucket) -> list[date]:
        """The first day of each bucket it touches, oldest first, empty ones too."""
        days = (self.start_date + timedelta(days=number) for number in range(self.days))
        return sorted({bucket.start(day) for day in days})


@dataclass(frozen=True)
class Scope:
    """Whose rows are meant. Filters narrow each other; a roll-up is the union of records.

    `environment`: a class (production, staging, transient, other), else an environment's own name.
    `service`: a service's id. `cohorts`: whose changes count: people, agent, bots. `team_id`: the
    repositories that belong to a team, or, of what single people did, that team's members.
    """

    organization_id: str
    repository_id: str | None = None
    environment: str = "production"
    service: str | None = None
    cohorts: tuple[str, ...] = ("people", "agent")
    team_id: str | None = None

    def __post_init__(self) -> None:
        unknown = set(self.cohorts) - set(COHORTS)
        if unknown:
            raise Refused(f"unknown cohort {min(unknown)!r}: choose from {', '.join(COHORTS)}")

    @property
    def by_class(self) -> bool:
        """Whether `environment` names a class of environments."""
        return self.environment in ENVIRONMENT_CLASSES


class ScopeBody(TypedDict):
    """A scope in the words of people: names in place of ids."""

    organization: str | None
    repository: str | None
    team: str | None
    environment: str
    service: str | None
    cohorts: list[str]


@dataclass(frozen=True)
class Rows:
    """A metric's one SELECT, and what is bound to it."""

    sql: str
    parameters: Mapping[str, Any]


OF_TEAM = """repository_id in (
    select repository_id from team_repositories where owned and team_id = :team_id)"""


def scoped(
    select: str,
    scope: Scope,
    since: datetime | None,
    until: datetime | None,
    named: str = "environment = :environment",
) -> Rows:
    """The rows of a metric's SELECT in a scope with `since <= at < until`; None is no bound.

    `named`: how the SELECT is narrowed to an environment's own name. A team's are the rows of its
    repositories.
    """
    clauses = {
        "organization_id = :organization_id": scope.organization_id,
        "repository_id = :repository_id": scope.repository_id,
        "service_id = :service_id": scope.service,
        "at >= :since": since,
        "at < :until": until,
    }
    told = {clause: value for clause, value in clauses.items() if value is not None}
    parameters = {clause.rpartition(":")[2]: value for clause, value in told.items()}
    if scope.team_id is not None:
        told[OF_TEAM] = scope.team_id
        parameters["team_id"] = scope.team_id
    there = "environment_class = :environment" if scope.by_class else named
    where = " and ".join([*told, there])
    return Rows(
        f"select * from ({select}) facts where {where}",  # noqa: S608 - of constants only
        {**parameters, "environment": scope.environment},
    )


def asked(rows: Rows, question: str) -> TextClause:
    """A question over `rows`: the metric's SELECT is the CTE that it reads."""
    return worded(rows.sql, question)


@lru_cache(maxsize=1024)
def worded(sql: str, question: str) -> TextClause:
    """The words of `asked`; there are a few hundred of them, and to read one takes a while."""
    return text(f"with rows as not materialized ({sql})\n{question}")


async def ask(db: AsyncConnection, rows: Rows, question: str, **bound: object) -> CursorResult[Any]:
    """What Postgres answers to a question over `rows`."""
    return await db.execute(asked(rows, question), {**rows.parameters, **bound})


async def by_bucket(
    db: AsyncConnection, rows: Rows, question: str, window: Window, bucket: Bucket
) -> list[tuple[str, RowMapping | None]]:
    """What Postgres answers of each bucket, by its first day; None where it has no rows.

    The question groups by `place`: width_bucket(at, :starts), which costs a tenth of date_trunc.
    """
    days = window.buckets(bucket)
    answer = await ask(db, rows, question, starts=[window.midnight(day) for day in days])
    told = {row["place"]: row for row in answer.mappings()}
    return [(day.isoformat(), told.get(place)) for place, day in enumerate(days, 1)]


HISTOGRAM = """
select width_bucket(value, cast(:edges as float8[])) as bin, count(*) as count
from rows where counted group by bin
"""


class Bin(TypedDict):
    """How many values are at least `from_seconds` and less than `to_seconds` (None: no end)."""

    from_seconds: int
    to_seconds: int | None
    count: int


async def histogram(
    db: AsyncConnection, rows: Rows, edges: tuple[int, ...] = HISTOGRAM_EDGES
) -> list[Bin]:
    """How the counted values spread over the edges, shortest first, empty bins too."""
    answer = await ask(db, rows, HISTOGRAM, edges=list(edges))
    counts = {row["bin"]: row["count"] for row in answer.mappings()}
    between = zip((0, *edges), (*edges, None), strict=True)
    return [
        Bin(from_seconds=low, to_seconds=high, count=counts.get(position, 0))
        for position, (low, high) in enumerate(between)
    ]


NAMES = """
select (select login from organizations where id = :organization_id) as organization,
       (select full_name from repositories where id = :repository_id) as repository,
       (select name from teams where id = :team_id and organization_id = :organization_id) as team
"""


async def scope_body(db: AsyncConnection, scope: Scope) -> ScopeBody:
    """The scope as people read it; a name is None where the id is unknown or not given."""
    ids = {
        "organization_id": scope.organization_id,
        "repository_id": scope.repository_id,
        "team_id": scope.team_id,
    }
    names = (await db.execute(text(NAMES), ids)).mappings().one()
    return ScopeBody(
        organization=names["organization"],
        repository=names["repository"],
        team=names["team"],
        environment=scope.environment,
        service=scope.service,
        cohorts=list(scope.cohorts),
    )


SETTINGS = """
select time_zone, level_edition from organization_settings where organization_id = :organization_id
"""


async def measured_in(db: AsyncConnection, organization_id: str) -> tuple[str, int]:
    """An organisation's time zone and edition of levels; UTC and 2024 where it never chose."""
    answer = await db.execute(text(SETTINGS), {"organization_id": organization_id})
    row = answer.one_or_none()
    return (row.time_zone, row.level_edition) if row else ("UTC", 2024)


def utc(at: datetime) -> str:
    """An instant as JSON has it: ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
