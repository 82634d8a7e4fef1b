"""Where Linear's issues are developed: what an admin says of each team and project."""

from collections.abc import Mapping, Sequence

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.incident_changes import ReadAgain
from models.linear_connections import map_to, unmap
from models.queue import queue

PLACES = text("""
    with known as (
        select id, 'team' as kind, name, deleted from linear_teams
         where organization_id = :organization
        union all
        select id, 'project', name, deleted or state in ('completed', 'canceled')
          from linear_projects where organization_id = :organization)
    select k.id, k.kind, k.name, m.repository_id, r.full_name as repository
      from known k
      left join linear_mappings m
        on m.linear_id = k.id and m.organization_id = :organization
      left join repositories r on r.id = m.repository_id
     where m.repository_id is not null or not coalesce(k.deleted, false)
     order by k.kind desc, lower(k.name), k.id
""")


async def places(db: AsyncConnection, organization_id: str) -> Sequence[RowMapping]:
    """Return teams, then projects, by name, and the repository of each; None where it has none.

    Those that are over or gone are among them only where they are mapped.
    """
    return (await db.execute(PLACES, {"organization": organization_id})).mappings().all()


async def keep_mappings(
    db: AsyncConnection, organization_id: str, wanted: Mapping[str, str | None], by: str
) -> None:
    """Keep in which repository the issues of teams and projects are developed; None: in none.

    What is not named stays. It orders that incidents are read anew, since one that Linear told of
    is in the repository of its issue. Who calls it has looked that all of it is the organisation's.
    """
    for linear_id, repository_id in wanted.items():
        if repository_id is None:
            await unmap(db, organization_id, linear_id)
        else:
            await map_to(db, organization_id, linear_id, repository_id, by)
    await queue(db, [ReadAgain(organization_id)], organization_id)
