"""Questions asked while deployments and changes are derived from the facts of a repository."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.graph import DIRECT, SEEN, TURNS, Place, answers

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
         where d.repository_id = :repository
           and (:transient or d.environment_class <> 'transient'))
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

# The workflows of a repository that ever ran, and the finished attempts of the runs of some.
WORKFLOWS = text("""
    select distinct name, path from workflow_runs where repository_id = :repository
""")

RUNS = text("""
    select w.run_id, w.attempt, w.name, w.path, w.head_sha, w.branch, w.actor_login, w.started_at,
           w.conclusion, w.completed_at, w.url
      from workflow_runs w
      join unnest(cast(:names as text[]), cast(:paths as text[])) as named(name, path)
        on named.name = w.name and named.path is not distinct from w.path
     where w.repository_id = :repository and w.completed_at is not null
       and w.conclusion = any(:results) and not coalesce(w.event, '') = any(:trials)
       and (cast(:since as timestamptz) is null or w.started_at >= :since)
""")

# Merges count where nothing else does in production, and a rule may name runs of any workflow.
TOUCHED = text("""
    select exists (select from deployments d where d.repository_id = :repository
                      and (d.created_at >= :since or d.result_at >= :since))
        or exists (select from deployment_statuses s join deployments d on d.id = s.deployment_id
                    where d.repository_id = :repository and s.created_at >= :since)
        or exists (select from service_deployments
                    where repository_id = :repository and finished_at >= :since)
        or not exists (select from deployments where repository_id = :repository)
        or (exists (select from pull_requests where repository_id = :repository
                       and base_is_default and merged_at >= :since)
            and not exists (select from service_deployments
                             where repository_id = :repository and source <> 'merge'
                               and environment_class = 'production' and state <> 'superseded'))
        or exists (select from deployment_rules u
                     join workflow_runs w on w.repository_id = u.repository_id
                    where u.repository_id = :repository and cardinality(u.workflows) > 0
                      and w.started_at >= :since)
""")

SHAPES = text("""
    select name, environment, paths from services where repository_id = :repository order by name
""")

SOURCES = text("""
    select environment_class, min(source) as source from service_deployments
     where repository_id = :repository and state <> 'superseded' group by environment_class
""")

ATTRIBUTED = text("""
    select c.service_id, c.change_id
      from unnest(cast(:services as text[]), cast(:changes as text[])) as asked(service, change)
      join deployment_changes c on c.service_id = asked.service and c.change_id = asked.change
     where c.deployed_at < :since
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


@dataclass(frozen=True)
class Asked:
    """Pull requests (ids) or commits (SHAs) asked about, as of a time."""

    names: Sequence[str]
    until: datetime

    @property
    def pull_requests(self) -> dict[str, Any]:
        """The names as ids of pull requests."""
        return {"ids": list(self.names), "until": self.until}

    @property
    def commits(self) -> dict[str, Any]:
        """The names as SHAs."""
        return {"shas": list(self.names), "until": self.until}


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
    db: AsyncConnection, changes: Sequence[tuple[str, str]], since: datetime
) -> set[tuple[str, str]]:
    """Return which changes (service, change) arrived before a time: they are not measured again."""
    if not changes:
        return set()
    services, ids = ([pair[part] for pair in changes] for part in (0, 1))
    bound = {"services": services, "changes": ids, "since": since}
    return {(row.service_id, row.change_id) for row in await rows(db, ATTRIBUTED, **bound)}


async def first_commits(
    db: AsyncConnection, place: Place, asked: Sequence[Asked]
) -> list[dict[str, Row[Any]]]:
    """Return the earliest author time ever seen on each pull request, and how many commits were."""
    found: list[dict[str, Row[Any]]] = [{} for _ in asked]
    for row in await answers(db, place, SEEN, [each.pull_requests for each in asked]):
        found[row.n][row.pull_request_id] = row
    return found


async def turns(
    db: AsyncConnection, place: Place, asked: Sequence[Asked]
) -> list[dict[str, Row[Any]]]:
    """Return what happened to each pull request, and when."""
    found: list[dict[str, Row[Any]]] = [{} for _ in asked]
    for row in await answers(db, place, TURNS, [each.pull_requests for each in asked]):
        found[row.n][row.id] = row
    return found


async def direct_commits(
    db: AsyncConnection, place: Place, asked: Sequence[Asked]
) -> list[dict[str, Row[Any]]]:
    """Return commits with the push that brought each to the default branch, where one is known."""
    found: list[dict[str, Row[Any]]] = [{} for _ in asked]
    for row in await answers(db, place, DIRECT, [each.commits for each in asked]):
        found[row.n][row.sha] = row
    return found


async def mark_first(db: AsyncConnection, repository_id: str, changes: Sequence[str]) -> None:
    """Mark, for each change, the service of each environment class that it reached first."""
    bound = {"repository": repository_id, "changes": list(changes)}
    await db.execute(MARK_FIRST, bound)
