"""What the bar above the numbers chooses: period, repository, team, environment; all in the URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from urllib.parse import urlencode

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from models.errors import Refused
from models.metrics.core import Bucket, Scope, Window, measured_in

PERIODS = (7, 30, 90)
DEFAULT_PERIOD = 30
MOST_DAILY_BARS, MOST_DAILY_MEDIANS, MOST_WEEKLY_BARS = 92, 31, 750

REPOSITORIES = text("""
    select id, full_name from repositories
     where organization_id = :organization_id and deleted_at is null order by full_name
""")

# From one name to the next in their index: there are few among very many deployments.
ENVIRONMENTS = text("""
    with recursive known as (
        (select environment from service_deployments
          where organization_id = :organization_id order by environment limit 1)
        union all
        select (select d.environment from service_deployments d
                 where d.organization_id = :organization_id and d.environment > known.environment
                 order by d.environment limit 1)
          from known where known.environment is not null)
    select environment from known where environment is not null order by environment
""")

TEAMS = text("""
    select id, name from teams
     where organization_id = :organization_id and not deleted order by name, id
""")


@dataclass(frozen=True)
class Repositories:
    """What can be chosen: repositories, `owner/name` by id, environments, and teams by id."""

    names: Mapping[str, str]
    environments: tuple[str, ...]
    teams: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, name: str) -> str:
        """Return a repository's id by its id or name; raise `Refused` where there is none."""
        for key, full_name in self.names.items():
            if name in (key, full_name):
                return key
        raise Refused(f"There is no repository {name!r} in this organisation.")

    def team_id_of(self, said: str) -> str:
        """Return a team's id by its id or name; raise `Refused` where there is none."""
        for key, name in self.teams.items():
            if said in (key, name):
                return key
        raise Refused(f"There is no team {said!r} in this organisation.")


@dataclass(frozen=True)
class Filters:
    """What was chosen. `period` is None for a custom one, `repository` None for all of them.

    `by_chosen`: whether the bucket was chosen rather than the usual one.
    """

    period: int | None
    window: Window
    scope: Scope
    repository: str | None
    bucket: Bucket
    by_chosen: bool
    edition: int

    def query(self, **changes: str | int | None) -> str:
        """Return the query string of this choice with changes; None takes a part out."""
        chosen: dict[str, str | int | None] = {
            "period": self.period,
            "start": None if self.period else self.window.start_date.isoformat(),
            "end": None if self.period else self.window.end_date.isoformat(),
            "repository": self.repository,
            "team": self.scope.team_id,
            "environment": None if self.scope.environment == "production" else self.environment,
            "by": self.bucket.value if self.by_chosen else None,
        }
        chosen |= changes
        if "period" in changes:
            chosen |= {"start": None, "end": None}
        elif changes.get("start"):
            chosen["period"] = None
        return urlencode({key: value for key, value in chosen.items() if value is not None})

    @property
    def of_medians(self) -> "Filters":
        """The same choice with buckets that hold enough for a median, unless one was chosen."""
        if self.by_chosen or not MOST_DAILY_MEDIANS < self.window.days <= MOST_DAILY_BARS:
            return self
        return replace(self, bucket=Bucket.WEEK)

    @property
    def environment(self) -> str:
        """The environment, or the class of environments, that is looked at."""
        return self.scope.environment

    @property
    def said(self) -> str:
        """The period in words, as in "against the previous …"."""
        return f"{self.window.days} days" if self.window.days > 1 else "day"


def usual_bucket(days: int) -> Bucket:
    """Return the bucket that makes a readable number of bars of so many days."""
    if days <= MOST_DAILY_BARS:
        return Bucket.DAY
    return Bucket.WEEK if days <= MOST_WEEKLY_BARS else Bucket.MONTH


async def repositories(db: AsyncConnection, organization_id: str) -> Repositories:
    """Return what an organisation can filter by."""
    bound = {"organization_id": organization_id}
    named = {row.id: row.full_name for row in await db.execute(REPOSITORIES, bound)}
    environments = (await db.execute(ENVIRONMENTS, bound)).scalars().all()
    teams = {row.id: row.name for row in await db.execute(TEAMS, bound)}
    return Repositories(named, tuple(environments), teams)


async def known_and_chosen(
    db: AsyncConnection, request: Request, now: datetime
) -> tuple[Repositories, Filters]:
    """Return what a member can filter a screen by, and what its address chose."""
    home = request.state.member.organization_id
    known = await repositories(db, home)
    return known, await chosen(db, request.query_params, home, known, now)


async def chosen(
    db: AsyncConnection,
    query: Mapping[str, str],
    organization_id: str,
    known: Repositories,
    now: datetime,
) -> Filters:
    """Read the filters from a query string; raise `Refused` naming what is wrong with it."""
    time_zone, edition = await measured_in(db, organization_id)
    period, window = read_window(query, now, time_zone)
    bucket, repository = read_bucket(query.get("by")), query.get("repository") or None
    repository_id = known.id_of(repository) if repository else None
    team = query.get("team") or None
    return Filters(
        period=period,
        window=window,
        scope=Scope(
            organization_id=organization_id,
            repository_id=repository_id,
            environment=query.get("environment") or "production",
            team_id=known.team_id_of(team) if team else None,
        ),
        repository=known.names[repository_id] if repository_id else None,
        bucket=bucket or usual_bucket(window.days),
        by_chosen=bucket is not None,
        edition=edition,
    )


def read_window(
    query: Mapping[str, str], now: datetime, time_zone: str
) -> tuple[int | None, Window]:
    """Return the days that are meant; two dates win over a period."""
    if query.get("start") or query.get("end"):
        today = Window.last(1, now, time_zone).end_date
        end = read_date(query.get("end"), "end") or today
        return None, Window(read_date(query.get("start"), "start") or end, end, time_zone)
    said = query.get("period") or str(DEFAULT_PERIOD)
    if said not in map(str, PERIODS):
        raise Refused(f"A period is 7, 30 or 90 days, or two dates; {said!r} is none of them.")
    return int(said), Window.last(int(said), now, time_zone)


def read_date(said: str | None, name: str) -> date | None:
    """Read a day; None where none was given."""
    if not said:
        return None
    try:
        return date.fromisoformat(said)
    except ValueError as wrong:
        raise Refused(f"{name} must be a day such as 2026-09-30; {said!r} is none.") from wrong


def read_bucket(said: str | None) -> Bucket | None:
    """Read what bars stand for; None where it was not said."""
    if not said:
        return None
    try:
        return Bucket(said)
    except ValueError as wrong:
        raise Refused(f"Bars stand for a day, week or month; {said!r} is none.") from wrong
