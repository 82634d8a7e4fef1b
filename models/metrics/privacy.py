"""Who may see figures of people: the one place through which each of them passes.

Figures of a single person are shown to nobody (`off`), to that person (`self_only`, the default)
or to those who share a team (`team`); no role sees more. A figure of a group with fewer than five
active people is withheld from everybody. The agent and bots are no people.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Rows, Scope, ask
from models.people import GITHUB_ACCOUNT
from models.persons import Persons, persons

SETTINGS = ("off", "self_only", "team")
FEWEST = 5
TOO_FEW = f"fewer than {FEWEST} active people"
OFF = "figures of single people are switched off"
NOT_YOURS = "figures of single people are shown to themselves alone"

SETTING = text("""
    select per_person from privacy_settings where organization_id = :organization_id
""")
SET = text("""
    insert into privacy_settings (organization_id, per_person) values (:organization_id, :setting)
        on conflict (organization_id) do update set per_person = excluded.per_person
""")
SLACK_ACCOUNTS = text("""
    select 'slack:' || team_id || ':' || slack_user_id from slack_members where user_id = :user_id
""")
TEAMS = text("""
    select m.team_id, m.login from team_members m join teams t on t.id = m.team_id
     where m.organization_id = :organization_id and t.organization_id = :organization_id
       and m.member and not t.deleted
""")

# Somebody with several accounts is one person; `persons` names those accounts alone.
ACTIVE = """
select key, count(distinct coalesce(who.person, told.account)) as active
from (select distinct {key} as key, account from rows
      where cohort = 'people' and account is not null) told
left join unnest(cast(:joined_accounts as text[]), cast(:joined_persons as text[]))
     as who(account, person) on who.account = told.account
group by key
"""

# The first rows of each half of a time mostly name enough people: then the others are not read.
SAMPLE = 2000
SAMPLED = """
select key, count(distinct coalesce(who.person, told.account)) as active,
       cast(sum(told.seen) as bigint) as seen
from (select key, account, count(*) as seen
      from ((select {key} as key, account from rows
              where cohort = 'people' and account is not null
                and at >= coalesce(cast(:start as timestamptz), '-infinity') limit :sample)
            union all
            (select {key} as key, account from rows
              where cohort = 'people' and account is not null
                and at < coalesce(cast(:start as timestamptz), '-infinity') limit :sample)) first
      group by key, account) told
left join unnest(cast(:joined_accounts as text[]), cast(:joined_persons as text[]))
     as who(account, person) on who.account = told.account
group by key
"""

Figures = TypeVar("Figures")


@dataclass(frozen=True)
class Sight:
    """What somebody who asks may see of single people.

    `own`: their own accounts; `accounts`: all whose figures they may see. `teams`: every team's
    members, by accounts. The default is what a stranger sees of an organisation without teams.
    """

    persons: Persons
    setting: str = "self_only"
    own: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    teams: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def sees(self, account: str | None) -> bool:
        """Say whether the figures of an account may be shown to whoever asks."""
        return account is not None and account in self.accounts

    @property
    def reason(self) -> str:
        """Why figures of single people are missing."""
        return OFF if self.setting == "off" else NOT_YOURS

    def members(self, scope: Scope) -> list[str] | None:
        """Return the accounts of a scope's team, None where it names none."""
        if scope.team_id is None:
            return None
        return sorted(self.teams.get(scope.team_id, ()))

    @property
    def joined(self) -> dict[str, list[str]]:
        """Return which accounts are whose, as a question binds it."""
        joined = self.persons.joined
        return {"joined_accounts": list(joined), "joined_persons": list(joined.values())}


async def sight_of(
    db: AsyncConnection, organization_id: str, email: str | None = None, user_id: str | None = None
) -> Sight:
    """Return what a member may see, whatever their role; without one, what is public: nobody."""
    known = await persons(db, organization_id)
    setting = await setting_of(db, organization_id)
    teams = await members_of_teams(db, known)
    own = await own_accounts(db, known, email, user_id)
    return Sight(known, setting, own, visible(setting, own, teams.values()), teams)


async def setting_of(db: AsyncConnection, organization_id: str) -> str:
    """Return who may see figures of single people; `self_only` where nobody ever chose."""
    told = await db.scalar(SETTING, {"organization_id": organization_id})
    return told if told in SETTINGS else SETTINGS[1]


async def choose_setting(db: AsyncConnection, organization_id: str, setting: str) -> None:
    """Keep who may see figures of single people."""
    await db.execute(SET, {"organization_id": organization_id, "setting": setting})


async def own_accounts(
    db: AsyncConnection, known: Persons, email: str | None, user_id: str | None
) -> frozenset[str]:
    """Return a member's accounts: by their e-mail, and those in Slack that they tied themselves."""
    own = known.with_email(email) if email else frozenset()
    if user_id:
        told = (await db.scalars(SLACK_ACCOUNTS, {"user_id": user_id})).all()
        own |= known.accounts_of(account for account in told if account in known.by_account)
    return own


async def members_of_teams(db: AsyncConnection, known: Persons) -> dict[str, frozenset[str]]:
    """Return the accounts of every team's members, by team."""
    rows = await db.execute(TEAMS, {"organization_id": known.organization_id})
    logins: dict[str, set[str]] = {}
    for team_id, login in rows:
        logins.setdefault(team_id, set()).add(f"{GITHUB_ACCOUNT}{login.lower()}")
    return {team_id: known.accounts_of(accounts) for team_id, accounts in logins.items()}


def visible(setting: str, own: frozenset[str], teams: Iterable[frozenset[str]]) -> frozenset[str]:
    """Return the accounts whose figures somebody may see."""
    if setting == "off":
        return frozenset()
    if setting == "self_only":
        return own
    return own.union(*(members for members in teams if members & own))


async def active_people(
    db: AsyncConnection, sight: Sight, rows: Rows, key: str = "true", **bound: object
) -> dict[Any, int]:
    """Return how many people had a part in a metric's rows, by the value of an expression.

    Every row of a person counts, whether the metric counts it or not. A key without people is
    left out: what the agent or bots did alone withholds nothing.
    """
    question = ACTIVE.format(key=key)
    answer = await ask(db, rows, question, **bound, **sight.joined)
    return {row.key: row.active for row in answer}


async def enough_people(
    db: AsyncConnection,
    sight: Sight,
    rows: Rows,
    groups: Collection[Any] = (True,),
    key: str = "true",
    start: datetime | None = None,
) -> Mapping[Any, int]:
    """Return as many active people of each group as `too_few` has to know of, or more.

    `groups`: the values of `key` that are asked about. `start`: where a time is halved.
    """
    bound = {"start": start, "sample": SAMPLE, **sight.joined}
    told = (await ask(db, rows, SAMPLED.format(key=key), **bound)).all()
    active = {row.key: row.active for row in told}
    if sum(row.seen for row in told) < SAMPLE or all(
        active.get(group, 0) >= FEWEST for group in groups
    ):
        return active
    return await active_people(db, sight, rows, key, start=start)


def too_few(active: Mapping[Any, int], key: Any = True) -> str | None:
    """Say why the figure of a group is withheld; None where it may be shown."""
    return TOO_FEW if 0 < active.get(key, 0) < FEWEST else None


def withheld(figures: Figures, reason: str | None) -> Figures:
    """Return figures as they may be shown: without a reason as they are, else each one None.

    What says which group it is (names, dates and ids) stays, and `reason` says why.
    """
    if reason is None or not isinstance(figures, dict):
        return figures
    told = {name: emptied(value) for name, value in figures.items()}
    if "reason" in figures:
        told["reason"] = reason
    return cast("Figures", told)


def emptied(value: Any) -> Any:
    """Return a figure as None, and what holds figures with None in their place."""
    if isinstance(value, dict):
        return {name: emptied(part) for name, part in value.items()}
    if isinstance(value, list):
        return [emptied(part) for part in value]
    return None if isinstance(value, int | float) else value
