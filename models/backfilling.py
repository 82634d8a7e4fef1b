"""Which repositories are open to us, and how far the history of each has been read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BACKFILL = "backfill"

OPEN = text("""
    select distinct on (a.repository_id)
           a.repository_id as id, coalesce(r.full_name, a.full_name) as full_name,
           c.id as connection_id, c.external_id as installation, r.id is not null as known,
           r.owner_login, r.default_branch, r.private, r.archived, r.fork, r.url, r.created_at,
           r.changed_at, log.state as backfill
      from connection_repositories a
      join connections c on c.id = a.connection_id and c.source = 'github' and c.state = 'active'
      left join repositories r on r.id = a.repository_id
      left join lateral (
           select s.state from sync_logs s
            where s.organization_id = a.organization_id and s.source = 'github'
              and s.name = 'backfill' and s.repository_id = a.repository_id
            order by s.id desc limit 1) log on true
     where a.organization_id = :organization and a.selected and r.deleted_at is null
       and (cast(:repository as text) is null or a.repository_id = :repository)
     order by a.repository_id, a.changed_at desc, a.id
""")
STANDING = text("""
    select a.id, a.full_name, s.id as number, s.state, s.items, s.expected, s.calls, s.error,
           s.started_at, s.finished_at, s.cursor, j.status as job, j.error as why,
           case when j.status = 'waiting' and j.next_try_at > now() then j.next_try_at end
               as until
      from (select distinct on (a.repository_id) a.repository_id as id,
                   coalesce(r.full_name, a.full_name) as full_name
              from connection_repositories a
              join connections c on c.id = a.connection_id and c.source = 'github'
               and c.state = 'active'
              left join repositories r on r.id = a.repository_id
             where a.organization_id = :organization and a.selected and r.deleted_at is null
               and (cast(:repository as text) is null or a.repository_id = :repository)
             order by a.repository_id, a.changed_at desc, a.id) a
      left join lateral (
           select * from sync_logs s
            where s.organization_id = :organization and s.source = 'github'
              and s.name = 'backfill' and s.repository_id = a.id
            order by s.id desc limit 1) s on true
      left join lateral (
           select * from jobs j where j.key = 'backfill:' || a.id and j.status <> 'done'
            order by j.id desc limit 1) j on true
     order by lower(a.full_name), a.id
""")
HOME = text("""
    select a.organization_id, a.repository_id
      from connection_repositories a
      join connections c on c.id = a.connection_id and c.source = 'github' and c.state = 'active'
      left join repositories r on r.id = a.repository_id
     where a.selected and (a.repository_id = :named
           or lower(coalesce(r.full_name, a.full_name)) = lower(:named))
     order by a.changed_at desc, a.id limit 1
""")


class OpenRepository(NamedTuple):
    """A repository that an installation reaches. What is not `known` was never described.

    `backfill`: the state of the latest reading of its history; None: it was never read.
    """

    id: str
    full_name: str
    connection_id: str
    installation: str
    known: bool
    owner_login: str | None
    default_branch: str | None
    private: bool | None
    archived: bool | None
    fork: bool | None
    url: str | None
    created_at: datetime | None
    changed_at: datetime | None
    backfill: str | None


class Reach(BaseModel):
    """How far back a reading goes: `since` is None where it reads all that GitHub keeps."""

    since: datetime | None = None


class Standing(NamedTuple):
    """How far the history of a repository was read. `state`: one of STATES.

    `items` of `expected` (None: not known) were read by `calls` requests; `since`: how far back.
    `until`: when it goes on after a limit or a failure; `says`: what that was.
    """

    repository_id: str
    repository: str
    state: str
    items: int = 0
    expected: int | None = None
    calls: int = 0
    since: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    until: datetime | None = None
    says: str | None = None


UNREAD, QUEUED, READING, PAUSED, READ, FAILED = STATES = (
    "unread",
    "queued",
    "reading",
    "paused",
    "read",
    "failed",
)


async def open_repositories(
    db: AsyncConnection, organization_id: str, repository_id: str | None = None
) -> list[OpenRepository]:
    """Return the repositories that are open to an organisation's installations, by id."""
    bound = {"organization": organization_id, "repository": repository_id}
    rows = await db.execute(OPEN, bound)
    return sorted((OpenRepository(*row) for row in rows), key=lambda each: each.id)


async def home_of(db: AsyncConnection, named: str) -> tuple[str, str] | None:
    """Return organisation and id of an open repository, by its id or `owner/name`."""
    row = (await db.execute(HOME, {"named": named})).first()
    return (row.organization_id, row.repository_id) if row else None


async def standings(
    db: AsyncConnection, organization_id: str, repository_id: str | None = None
) -> Sequence[Standing]:
    """Return how far the history of each open repository was read, by name."""
    bound = {"organization": organization_id, "repository": repository_id}
    return [standing(dict(row)) for row in (await db.execute(STANDING, bound)).mappings()]


def standing(row: Mapping[str, Any]) -> Standing:
    """Return how far one repository was read."""
    log = {name: row[name] for name in ("items", "expected", "calls")} if row["number"] else {}
    return Standing(
        row["id"],
        row["full_name"],
        state_of(row),
        since=Reach.model_validate_json(row["cursor"]).since if row["cursor"] else None,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        until=row["until"],
        says=row["error"] or row["why"],
        **log,
    )


def state_of(row: Mapping[str, Any]) -> str:
    """Say in a word where a reading stands, by its log and its job."""
    if row["job"] == "parked":
        return FAILED
    if row["job"] == "waiting":
        return PAUSED if row["until"] else QUEUED
    if row["job"] == "running":
        return READING if row["number"] else QUEUED
    states = {"done": READ, "failed": FAILED, "running": READING}
    return states[row["state"]] if row["number"] else UNREAD
