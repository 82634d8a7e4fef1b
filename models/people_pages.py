"""What the screens of people ask: who is in which team, and what one person lately did.

Whoever asks has looked at `models.metrics.privacy` first: only accounts that somebody may see are
asked about.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.people import GITHUB_ACCOUNT

MOST_ACTIVITY = 60

TEAMS = text("""
    select t.id, t.name, m.login from teams t
      join team_members m on m.team_id = t.id and m.member
     where t.organization_id = :organization and not t.deleted order by t.name, t.id, m.login
""")

ACTIVITY = text("""
    with wanted as (
        select id, number, title, url, repository_id, author_login, opened_at, merged_at, closed_at
          from pull_requests
         where organization_id = :organization and lower(author_login) = any(:logins)),
    told as (
        select opened_at as at, 'opened' as did, id from wanted
        union all select merged_at, 'merged', id from wanted where merged_at is not null
        union all select closed_at, 'closed', id from wanted
                   where closed_at is not null and merged_at is null
        union all
        select r.submitted_at, 'reviewed', r.pull_request_id from reviews r
         where r.organization_id = :organization and lower(r.author_login) = any(:logins)
           and r.submitted_at >= :since and r.submitted_at < :until)
    select t.at, t.did, concat_ws(' ', r.full_name || '#' || p.number, p.title) as what, p.url
      from told t join pull_requests p on p.id = t.id
      left join repositories r on r.id = p.repository_id
     where t.at >= :since and t.at < :until
    union all
    select x.closed_at, 'completed', concat_ws(' ', i.identifier, i.title), i.url
      from issue_times x join linear_issues i on i.id = x.issue_id
     where x.organization_id = :organization and x.account = any(:accounts) and not x.canceled
       and x.closed_at >= :since and x.closed_at < :until
     order by at desc, what limit :most
""")

OPENED = text("""
    select count(*) from pull_request_times
     where organization_id = :organization and lower(author_login) = any(:logins)
       and opened_at >= :since and opened_at < :until
""")


@dataclass(frozen=True)
class Did:
    """Something that somebody did: opened, merged, closed, reviewed or completed it."""

    at: datetime
    did: str
    what: str
    url: str | None


async def teams_of(db: AsyncConnection, organization_id: str) -> Mapping[str, list[str]]:
    """Return the names of the teams that each login of GitHub is in; logins in lower case."""
    found: dict[str, list[str]] = {}
    for row in await db.execute(TEAMS, {"organization": organization_id}):
        found.setdefault(row.login.lower(), []).append(row.name)
    return found


async def activity(
    db: AsyncConnection,
    organization_id: str,
    accounts: Collection[str],
    since: datetime,
    until: datetime,
) -> Sequence[Did]:
    """Return what somebody did in a time, newest first, at most sixty things."""
    bound = {"organization": organization_id, "since": since, "until": until}
    wanted = {"accounts": sorted(accounts), "logins": logins(accounts), "most": MOST_ACTIVITY}
    return [Did(*row) for row in await db.execute(ACTIVITY, bound | wanted)]


async def opened(
    db: AsyncConnection,
    organization_id: str,
    accounts: Collection[str],
    since: datetime,
    until: datetime,
) -> int:
    """Return how many pull requests somebody opened in a time."""
    bound = {"organization": organization_id, "since": since, "until": until}
    return int(await db.scalar(OPENED, bound | {"logins": logins(accounts)}) or 0)


def logins(accounts: Collection[str]) -> list[str]:
    """Return the logins of GitHub among some accounts, in lower case."""
    ours = (each for each in accounts if each.startswith(GITHUB_ACCOUNT))
    return sorted(each.removeprefix(GITHUB_ACCOUNT).lower() for each in ours)
