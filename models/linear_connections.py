"""Questions about the workspaces of Linear that are connected, and what is mapped in them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

CONNECTION = text("""
    select id, external_id, account_login, state from connections
     where organization_id = :organization and source = 'linear'
     order by state = 'active' desc, changed_at desc limit 1
""")
SEALED = text("""
    select ciphertext, expires_at from connection_secrets where connection_id = :id
""")
LOCK = text("select pg_advisory_xact_lock(hashtextextended('secret:' || :id, 0))")
MAPPED = text("""
    select repository_id from linear_mappings
     where organization_id = :organization and linear_id = any(:ids)
     order by linear_id = :first desc limit 1
""")
MAPPINGS = text("""
    select m.linear_id, m.repository_id, r.full_name as repository, m.by, m.at,
           coalesce(t.name, p.name) as name,
           case when t.id is not null then 'team' when p.id is not null then 'project' end as kind
      from linear_mappings m
      left join repositories r on r.id = m.repository_id
      left join linear_teams t on t.id = m.linear_id
      left join linear_projects p on p.id = m.linear_id
     where m.organization_id = :organization order by m.linear_id
""")
MAP = text("""
    insert into linear_mappings (organization_id, linear_id, repository_id, by)
    values (:organization, :linear, :repository, :by)
        on conflict (organization_id, linear_id) do update
       set repository_id = excluded.repository_id, by = excluded.by, at = now()
""")
UNMAP = text("""
    delete from linear_mappings where organization_id = :organization and linear_id = :linear
""")
KNOWN = text("""
    select id from linear_teams where organization_id = :organization and id = any(:ids)
    union
    select id from linear_projects where organization_id = :organization and id = any(:ids)
""")
LAST_DELIVERY = text("""
    select max(received_at) from deliveries
     where organization_id = :organization and source = 'linear'
""")


class Sealed(NamedTuple):
    """The sealed secret of a connection; `expires_at` is None where it does not expire."""

    ciphertext: str
    expires_at: datetime | None


async def linear_connection(db: AsyncConnection, organization_id: str) -> RowMapping | None:
    """Return the workspace of an organisation: the active one, else the last that was."""
    bound = {"organization": organization_id}
    return (await db.execute(CONNECTION, bound)).mappings().first()


async def sealed_secret(db: AsyncConnection, connection_id: str) -> Sealed | None:
    """Return what is sealed of a connection, and until when it is good."""
    row = (await db.execute(SEALED, {"id": connection_id})).first()
    return Sealed(*row) if row else None


async def lock_secret(db: AsyncConnection, connection_id: str) -> None:
    """Let one worker at a time renew a secret; freed when the transaction ends."""
    await db.execute(LOCK, {"id": connection_id})


async def mapped_repository(
    db: AsyncConnection, organization_id: str, project_id: str | None, team_id: str | None
) -> str | None:
    """Return the repository that a project, else a team, is mapped to; None where neither is."""
    ids = [each for each in (project_id, team_id) if each]
    bound = {"organization": organization_id, "ids": ids, "first": project_id or ""}
    repository: str | None = await db.scalar(MAPPED, bound)
    return repository


async def mappings(db: AsyncConnection, organization_id: str) -> Sequence[RowMapping]:
    """List which team or project is mapped to which repository."""
    return (await db.execute(MAPPINGS, {"organization": organization_id})).mappings().all()


async def map_to(
    db: AsyncConnection, organization_id: str, linear_id: str, repository_id: str, by: str
) -> None:
    """Map a team or project to a repository."""
    bound = {"organization": organization_id, "linear": linear_id}
    await db.execute(MAP, {**bound, "repository": repository_id, "by": by})


async def unmap(db: AsyncConnection, organization_id: str, linear_id: str) -> None:
    """Take a mapping away; one that is not there is none."""
    await db.execute(UNMAP, {"organization": organization_id, "linear": linear_id})


async def known_places(
    db: AsyncConnection, organization_id: str, linear_ids: Sequence[str]
) -> set[str]:
    """Return which of some ids are teams or projects of the organisation."""
    bound = {"organization": organization_id, "ids": list(linear_ids)}
    return set((await db.scalars(KNOWN, bound)).all())


async def last_delivery(db: AsyncConnection, organization_id: str) -> datetime | None:
    """Return when Linear last delivered something."""
    at: datetime | None = await db.scalar(LAST_DELIVERY, {"organization": organization_id})
    return at
