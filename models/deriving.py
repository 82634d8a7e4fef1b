"""Questions asked while deployments and changes are derived from the facts of a repository."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.graph import DIRECT, SEEN, TURNS, Place

LOCK = text("select pg_advisory_xact_lock(hashtextextended(:repository, 7))")

PLACE = text("""
    select r.organization_id, r.full_name, r.default_branch, r.url,
           (select c.external_id from connection_repositories a
              join connections c on c.id = a.connection_id and c.state = 'active'
             where a.repository_id = r.id and a.selected
             order by c.changed_at desc limit 1) as installation,
           (select c.external_id from connections c
             where c.organization_id = r.organization_id and c.state = 'active'
               and c.source = 'github'
             order by c.changed_at desc limit 1) as any_installation
      from repositories r where r.id = :repository
""")

ATTEMPTS = text("""
    with told as (
        select d.id, d.source, d.environment, d.environment_class, d.sha, d.ref, d.creator_login,
               d.created_at, d.url, d.result, d.result_at,
               s.succeeded_at, s.failed_at
          from deployments d
          left join lateral (
              select min(created_at) filter (where state = 'success') as succeeded_at,
                     max(created_at) filter (where state in ('failure', 'error')) as failed_at
                from deployment_statuses where deployment_id = d.id) s on true
         where d.repository_id = :repository and d.environment_class <> 'transient')
    select id, source, environment, environment_class, sha, ref, creator_login, created_at,
           coalesce(succeeded_at, case when result = 'success' then result_at end) as succeeded_at,
           coalesce(failed_at, case when result = 'failure' then result_at end) as failed_at, url
      from told
     where coalesce(succeeded_at, failed_at,
                    case when result in ('success', 'failure') then result_at end) is not null
""")

MERGES = text("""
    select id, merge_commit_sha as sha, base_ref as ref, author_login, merged_at, url
      from pull_requests
     where repository_id = :repository and base_is_default and merged_at is not null
       and merge_commit_sha is not null
""")

TOUCHED = text("""
    select exists (select from deployments d where d.repository_id = :repository
                      and (d.created_at >= :since or d.result_at >= :since))
        or exists (select from deployment_statuses s join deployments d on d.id = s.deployment_id
                    where d.repository_id = :repository and s.created_at >= :since)
        or exists (select from service_deployments
                    where repository_id = :repository and finished_at >= :since)
        or not exists (select from deployments where repository_id = :repository)
""")

SHAPES = text("""
    select name, environment, paths from services where repository_id = :repository order by name
""")

SOURCES = text("""
    select environment_class, min(source) as source from service_deployments
     where repository_id = :repository and state <> 'superseded' group by environment_class
""")

ATTRIBUTED = text("""
    select change_id from deployment_changes
     where service_id = :service and change_id = any(:changes) and deployed_at < :since
""")

MERGED_BEFORE = text("""
    select id from pull_requests
     where repository_id = :repository and base_is_default and merged_at <= :until
""")

CHANGES_SINCE = text("""
    select distinct change_id from deployment_changes
     where repository_id = :repository and deployed_at >= :since
""")

LISTED = text("""
    select distinct pull_request_id from pull_request_commits where pull_request_id = any(:ids)
""")

MARK_FIRST = text("""
    update deployment_changes c set first = ranked.first
      from (select id, row_number() over (
                       partition by environment_class, change_id order by deployed_at, id) = 1
                   as first
              from deployment_changes
             where repository_id = :repository and change_id = any(:changes)) ranked
     where c.id = ranked.id and c.first <> ranked.first
""")


@dataclass(frozen=True)
class Home:
    """A repository as deriving needs it. `installation` is None where GitHub cannot be asked."""

    place: Place
    organization_id: str
    full_name: str
    url: str | None
    installation: int | None


async def lock(db: AsyncConnection, repository_id: str) -> None:
    """Let one worker at a time derive a repository; freed when the transaction ends."""
    await db.execute(LOCK, {"repository": repository_id})


async def home_of(db: AsyncConnection, repository_id: str) -> Home | None:
    """Return a repository and who can ask GitHub about it; None before it was ever described."""
    row = (await db.execute(PLACE, {"repository": repository_id})).first()
    if row is None:
        return None
    installation = row.installation or row.any_installation
    return Home(
        Place(repository_id, row.default_branch),
        row.organization_id,
        row.full_name,
        row.url,
        int(installation) if installation and installation.isdigit() else None,
    )


async def touched(db: AsyncConnection, repository_id: str, since: datetime) -> bool:
    """Tell whether anything derived can depend on what happened at or after a time."""
    bound = {"repository": repository_id, "since": since}
    return bool((await db.execute(TOUCHED, bound)).scalar())


async def rows(db: AsyncConnection, question: Any, **bound: Any) -> Sequence[Row[Any]]:
    """Ask one of the questions of this module or of `models.graph`."""
    return (await db.execute(question, bound)).all()


async def attributed(
    db: AsyncConnection, service_id: str, changes: Sequence[str], since: datetime
) -> set[str]:
    """Return which of some changes reached a service before a time: they are not measured again."""
    bound = {"service": service_id, "changes": list(changes), "since": since}
    return set((await db.execute(ATTRIBUTED, bound)).scalars())


async def first_commits(
    db: AsyncConnection, place: Place, pull_requests: Sequence[str]
) -> dict[str, Row[Any]]:
    """Return the earliest author time ever seen on each pull request, and how many commits were."""
    bound = {**place.bound, "ids": list(pull_requests)}
    return {row.pull_request_id: row for row in await rows(db, SEEN, **bound)}


async def turns(
    db: AsyncConnection, place: Place, pull_requests: Sequence[str]
) -> dict[str, Row[Any]]:
    """Return what happened to each pull request, and when."""
    bound = {**place.bound, "ids": list(pull_requests)}
    return {row.id: row for row in await rows(db, TURNS, **bound)}


async def direct_commits(
    db: AsyncConnection, place: Place, shas: Sequence[str]
) -> dict[str, Row[Any]]:
    """Return commits with the push that brought each to the default branch, where one is known."""
    bound = {**place.bound, "shas": list(shas)}
    return {row.sha: row for row in await rows(db, DIRECT, **bound)}


async def mark_first(db: AsyncConnection, repository_id: str, changes: Sequence[str]) -> None:
    """Mark, for each change, the service of each environment class that it reached first."""
    bound = {"repository": repository_id, "changes": list(changes)}
    await db.execute(MARK_FIRST, bound)
