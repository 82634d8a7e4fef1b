"""What commands, digests and alerts of Slack ask: who waits for review, what runs, what failed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

REVIEWS = text("""
    select p.number, p.title, p.url, r.full_name as repository, t.cohort, t.ready_at, t.opened_at,
           t.first_review_at, count(*) over () as waiting
      from pull_request_times t
      join pull_requests p on p.id = t.pull_request_id
      join repositories r on r.id = t.repository_id and r.deleted_at is null and not r.archived
     where t.organization_id = :organization and t.state = 'open' and t.ready_at is not null
       and t.cohort <> 'bots' and (not :unreviewed or t.first_review_at is null)
       and (cast(:repository as text) is null or t.repository_id = :repository)
     order by t.ready_at, p.id limit :most
""")
OF_BOTS = text("""
    select count(*) from pull_request_times
     where organization_id = :organization and state = 'open' and ready_at is not null
       and cohort = 'bots' and first_review_at is null
       and (cast(:repository as text) is null or repository_id = :repository)
""")
DEPLOYED = text("""
    select d.deployment_id, d.id, d.service_id, d.service, d.environment, d.sha, d.kind, d.state,
           d.finished_at, d.url, r.full_name as repository
      from service_deployments d left join repositories r on r.id = d.repository_id
     where d.organization_id = :organization and d.environment_class = 'production'
       and d.state = 'success' and d.finished_at <= :until
       and (cast(:repository as text) is null or d.repository_id = :repository)
       and (cast(:service as text) is null or d.service_id = :service)
     order by d.finished_at desc, d.id desc limit :most
""")
CALLED = text("""
    select distinct on (d.service_id) d.deployment_id from service_deployments d
     where d.organization_id = :organization and d.state = 'success' and d.finished_at <= :until
       and (d.deployment_id in (:named, 'github:' || :named)
            or (length(:named) >= 7 and starts_with(d.sha, lower(:named))))
     order by d.service_id, d.kind = 'redeploy', d.finished_at desc limit 2
""")
SERVICES = text("""
    select distinct d.repository_id, d.service from service_deployments d
     where d.organization_id = :organization and d.environment_class = 'production'
       and lower(d.service) = lower(:named)
     order by d.repository_id limit 2
""")
NAMES = text("select id, full_name from repositories where organization_id = :organization")
FAILURE = text("""
    select d.id, d.service, d.environment, d.sha, d.ref, d.finished_at, d.url,
           r.full_name as repository, d.organization_id,
           (select min(n.finished_at) from service_deployments n
             where n.service_id = d.service_id and n.state = 'success'
               and n.finished_at > d.finished_at) as mended_at
      from service_deployments d left join repositories r on r.id = d.repository_id
     where d.id = :id and d.organization_id = :organization and d.state = 'failure'
""")


async def waiting_for_review(
    db: AsyncConnection, organization_id: str, repository_id: str | None = None, most: int = 10
) -> Sequence[RowMapping]:
    """Return open pull requests that nobody has reviewed, the oldest first; `waiting` counts all.

    Drafts and those of bots are left out.
    """
    return await open_ones(db, organization_id, repository_id, most, unreviewed=True)


async def oldest_open(
    db: AsyncConnection, organization_id: str, most: int = 5
) -> Sequence[RowMapping]:
    """Return the open pull requests that have been ready longest; `waiting` counts all."""
    return await open_ones(db, organization_id, None, most, unreviewed=False)


async def open_ones(
    db: AsyncConnection, organization_id: str, repository_id: str | None, most: int, **how: bool
) -> Sequence[RowMapping]:
    """Return open pull requests, oldest first."""
    bound = {"organization": organization_id, "repository": repository_id, "most": most}
    return (await db.execute(REVIEWS, {**bound, **how})).mappings().all()


async def waiting_of_bots(
    db: AsyncConnection, organization_id: str, repository_id: str | None = None
) -> int:
    """Count open pull requests of bots that nobody has reviewed."""
    bound = {"organization": organization_id, "repository": repository_id}
    return int(await db.scalar(OF_BOTS, bound) or 0)


async def deployed(
    db: AsyncConnection,
    organization_id: str,
    until: datetime,
    *,
    repository_id: str | None = None,
    service_id: str | None = None,
    most: int = 10,
) -> Sequence[RowMapping]:
    """Return what was deployed to production up to a time, the latest first."""
    bound = {"organization": organization_id, "until": until, "most": most}
    bound |= {"repository": repository_id, "service": service_id}
    return (await db.execute(DEPLOYED, bound)).mappings().all()


async def deployments_called(
    db: AsyncConnection, organization_id: str, named: str, until: datetime
) -> Sequence[RowMapping]:
    """Return deployments by id, with or without `github:`, or by commit: two where several fit."""
    bound = {"organization": organization_id, "named": named, "until": until}
    return (await db.execute(CALLED, bound)).mappings().all()


async def services_called(
    db: AsyncConnection, organization_id: str, named: str
) -> Sequence[tuple[str, str]]:
    """Return services of production by name, as (repository, name): two where there are several."""
    found = await db.execute(SERVICES, {"organization": organization_id, "named": named})
    return [(row.repository_id, row.service) for row in found]


async def failure(db: AsyncConnection, organization_id: str, attempt_id: str) -> RowMapping | None:
    """Return an attempt that failed, and when its service was next deployed well; None: none."""
    bound = {"id": attempt_id, "organization": organization_id}
    return (await db.execute(FAILURE, bound)).mappings().first()


async def repository_names(db: AsyncConnection, organization_id: str) -> dict[str, str]:
    """Return what an organisation's repositories are called, `owner/name` by id."""
    found = await db.execute(NAMES, {"organization": organization_id})
    return {row.id: row.full_name for row in found}
