"""What an organisation says of how a repository's deployments are to be counted (METRICS.md R1)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models.columns import maybe_time, now, text, texts


class DeploymentRule(SQLModel, table=True):
    """How one repository's deployments count; a repository without a rule is counted by `auto`.

    `source`: auto, deployments, workflow, release, merge or api. Patterns are globs, read without
    regard to case: `production` and `ignored` of environments, `workflows` of a workflow's name or
    file; an empty list leaves it as it is by default. `applied_at`: when everything measured by the
    rule as it is now was measured again, None while that is under way.
    """

    __tablename__ = "deployment_rules"

    repository_id: str = text(primary_key=True)
    organization_id: str = text(index=True)
    source: str = text(default="auto")
    production: list[str] = texts()
    ignored: list[str] = texts()
    workflows: list[str] = texts()
    by: str = text()
    changed_at: datetime | None = now()
    applied_at: datetime | None = maybe_time()


RULE = sql("""
    select u.source, u.production, u.ignored, u.workflows, u.changed_at
      from deployment_rules u join repositories r on r.id = u.repository_id
     where u.repository_id = :repository and u.organization_id = r.organization_id
""")

# Two changes of one moment are told apart, so that the first cannot pass for the second applied.
KEEP = sql("""
    insert into deployment_rules
           (repository_id, organization_id, source, production, ignored, workflows, by, changed_at)
    values (:repository, :organization, :source, :production, :ignored, :workflows, :by,
            clock_timestamp())
        on conflict (repository_id) do update
       set organization_id = excluded.organization_id, source = excluded.source,
           production = excluded.production, ignored = excluded.ignored,
           workflows = excluded.workflows, by = excluded.by, applied_at = null,
           changed_at = greatest(excluded.changed_at,
                                 deployment_rules.changed_at + interval '1 microsecond')
""")

APPLIED = sql("""
    update deployment_rules set applied_at = clock_timestamp()
     where repository_id = :repository and applied_at is null and changed_at = :changed_at
""")

# The repositories of an organisation with their rules, and what counts in production since a time.
LISTED = """
    select r.id, r.full_name, coalesce(u.source, 'auto') as source,
           coalesce(u.production, '{}') as production, coalesce(u.ignored, '{}') as ignored,
           coalesce(u.workflows, '{}') as workflows, u.by, u.changed_at, u.applied_at,
           j.status as job, j.attempts, j.error
      from repositories r
      left join deployment_rules u
        on u.repository_id = r.id and u.organization_id = r.organization_id
      left join lateral (
           select status, attempts, error from jobs
            where key = 'collect_changes:' || r.id and status <> 'done'
            order by id desc limit 1) j on u.changed_at is not null and u.applied_at is null
     where r.organization_id = :organization
"""
ALL = sql(f"{LISTED} and r.deleted_at is null order by lower(r.full_name)")
ONE = sql(f"{LISTED} and r.id = :repository")

COUNTED = sql("""
    select repository_id, source, count(*) filter (where counted) as counted,
           count(*) filter (where state <> 'superseded') as told,
           array_agg(distinct service) filter (where counted) as services
      from service_deployments
     where organization_id = :organization and environment_class = 'production'
       and finished_at >= :since
     group by repository_id, source
     order by repository_id, counted desc, source
""")


async def rule_of(db: AsyncConnection, repository_id: str) -> Mapping[str, Any]:
    """Return the columns of a repository's rule that decide; empty where it has none."""
    found = (await db.execute(RULE, {"repository": repository_id})).mappings().first()
    return dict(found) if found else {}


async def keep_rule(
    db: AsyncConnection, organization_id: str, repository_id: str, told: Mapping[str, Any], by: str
) -> None:
    """Keep how a repository's deployments count; what was measured by another is not applied yet.

    Who calls it has checked the patterns, orders that everything is measured again and writes the
    audit log.
    """
    bound = {"organization": organization_id, "repository": repository_id, "by": by}
    names = ("source", "production", "ignored", "workflows")
    await db.execute(KEEP, {**bound, **{name: told[name] for name in names}})


async def applied(db: AsyncConnection, repository_id: str, changed_at: datetime) -> None:
    """Note that everything was measured by the rule as it was changed at a time, if it still is."""
    await db.execute(APPLIED, {"repository": repository_id, "changed_at": changed_at})


async def ruled(
    db: AsyncConnection, organization_id: str, repository_id: str | None = None
) -> Sequence[RowMapping]:
    """Return repositories with their rules, by name; or the one."""
    bound = {"organization": organization_id}
    if repository_id is None:
        return (await db.execute(ALL, bound)).mappings().all()
    return (await db.execute(ONE, {**bound, "repository": repository_id})).mappings().all()


async def counted(
    db: AsyncConnection, organization_id: str, since: datetime
) -> Mapping[str, Sequence[RowMapping]]:
    """Return, by repository, what was told of production since a time, and how much counts."""
    bound = {"organization": organization_id, "since": since}
    found: dict[str, list[RowMapping]] = {}
    for row in (await db.execute(COUNTED, bound)).mappings():
        found.setdefault(row["repository_id"], []).append(row)
    return found
