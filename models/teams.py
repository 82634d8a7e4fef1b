"""Questions about teams, and what an organisation's admins and managers write by hand."""

from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

TEAMS = text("""
    select t.id, t.source, t.name, t.slug,
           coalesce((select array_agg(m.login order by m.login) from team_members m
                      where m.team_id = t.id and m.member), '{}') as members,
           coalesce((select array_agg(r.repository_id order by r.repository_id)
                       from team_repositories r
                      where r.team_id = t.id and r.owned), '{}') as repositories
      from teams t
     where t.organization_id = :organization_id and not t.deleted
       and (cast(:team_id as text) is null or t.id = :team_id)
     order by lower(t.name), t.id
""")

MEMBERS = text("select id, login from team_members where team_id = :team_id and member")
OWNED = text("select id, repository_id from team_repositories where team_id = :team_id and owned")
OF_GITHUB = text("""
    select id, name, slug from teams
     where organization_id = :organization_id and source = 'github' and not deleted
""")
INSTALLATIONS = text("""
    select c.id, c.external_id, c.account_login, c.organization_id from connections c
     where c.source = 'github' and c.state = 'active'
       and (c.id = :connection or c.organization_id = :organization_id)
     order by c.id
""")


async def teams(
    db: AsyncConnection, organization_id: str, team_id: str | None = None
) -> list[RowMapping]:
    """Return an organisation's teams with their members and repositories, by name; or one."""
    bound = {"organization_id": organization_id, "team_id": team_id}
    return list((await db.execute(TEAMS, bound)).mappings().all())


async def members(db: AsyncConnection, team_id: str) -> dict[str, str]:
    """Return who belongs to a team: row to login."""
    rows = await db.execute(MEMBERS, {"team_id": team_id})
    return {row.id: row.login for row in rows}


async def owned(db: AsyncConnection, team_id: str) -> dict[str, str]:
    """Return which repositories a team has: row to repository."""
    rows = await db.execute(OWNED, {"team_id": team_id})
    return {row.id: row.repository_id for row in rows}


async def teams_of_github(db: AsyncConnection, organization_id: str) -> list[RowMapping]:
    """Return the teams that GitHub told of and that are not gone."""
    rows = await db.execute(OF_GITHUB, {"organization_id": organization_id})
    return list(rows.mappings().all())


async def installations(
    db: AsyncConnection, *, connection: str | None = None, organization_id: str | None = None
) -> list[Any]:
    """Return active installations: one by its id, or those of an organisation."""
    bound = {"connection": connection, "organization_id": organization_id}
    return list((await db.execute(INSTALLATIONS, bound)).all())
