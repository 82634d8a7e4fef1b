"""Questions asked while incidents are blamed on deployments, and deployments found to have failed.

What depends on time asks only for what had finished by the end of an incident, so that what is
deployed later cannot change what an earlier incident is judged by (METRICS.md R9).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

LOCK = text("select pg_advisory_xact_lock(hashtextextended('incidents:' || :organization, 0))")

LOCK_OF = text("""
    select organization_id,
           pg_advisory_xact_lock(hashtextextended('incidents:' || organization_id, 0))
      from (select organization_id from incidents where id = :incident
            union select organization_id from incident_places where incident_id = :incident
            union select organization_id from incident_deployments where incident_id = :incident)
        as known
""")

CASES = text("""
    select i.id, i.environment, i.environment_class, i.repository_id, i.service, i.names, i.title,
           i.detail, i.channel, i.started_at, i.resolved_at,
           coalesce((select jsonb_agg(jsonb_build_object(
                                'deployment_id', l.deployment_id, 'linked', l.linked,
                                'by', l.by, 'at', l.at) order by l.deployment_id)
                       from incident_links l where l.incident_id = i.id), '[]') as links
      from incidents i
     where i.organization_id = :organization and i.id = any(:incidents) and not i.dismissed
     order by i.id
""")

SERVICES = text("""
    select s.id, s.repository_id, s.full_name, s.service, s.environment_class, w.window_hours,
           w.windows, array(select n.full_name from repository_names n
                             where n.repository_id = s.repository_id order by 1) as former
      from deployed_services s left join incident_settings w using (organization_id)
     where s.organization_id = :organization order by s.id
""")

SUSPECT = """
    d.id, d.deployment_id, d.repository_id, d.service_id, d.service, d.environment,
    d.environment_class, d.kind, d.started_at, d.finished_at
"""

# The latest deployment to each environment before an incident, and what was taken back while it
# ran; `asked` holds one row for each incident and service of its place.
NEAR = text(f"""
    with asked as (
        select * from jsonb_to_recordset(cast(:asked as jsonb)) as a(
            incident_id text, service_id text, earliest timestamptz, started_at timestamptz,
            ended_at timestamptz))
    select a.incident_id, {SUSPECT}, null as evidence, null as remedy_id, null as sha,
           null::timestamptz as remedied_at
      from asked a cross join lateral (
           select distinct on (environment) * from service_deployments
            where service_id = a.service_id and kind in ('new', 'rollforward')
              and finished_at between a.earliest and a.started_at
            order by environment, finished_at desc, deployment_id collate "C" desc) d
    union all
    select a.incident_id, {SUSPECT}, m.evidence, m.remedy_id, m.sha, m.remedied_at
      from asked a
      join remedies m on m.service_id = a.service_id
                     and m.remedied_at between a.started_at and a.ended_at
                     and m.failed_at between a.earliest and a.started_at
      join service_deployments d on d.id = m.service_deployment_id
""")  # noqa: S608 - made of our own words

ATTEMPTS = text(f"""
    select {SUSPECT} from service_deployments d
     where d.deployment_id = any(:attempts) and d.organization_id = :organization
       and d.state <> 'superseded'
""")  # noqa: S608

NUMBERED = text(f"""
    with asked as (
        select * from jsonb_to_recordset(cast(:asked as jsonb)) as a(
            incident_id text, reference text, repository_id text, number int,
            ended_at timestamptz))
    select a.incident_id, a.reference, '#' || a.number as said, false as itself, {SUSPECT}
      from asked a
      join pull_requests pr on pr.repository_id = a.repository_id and pr.number = a.number
      join deployed_services s on s.repository_id = a.repository_id
      join deployment_changes c on c.service_id = s.id and c.change_id = pr.id
      join service_deployments d on d.id = c.service_deployment_id
     where d.finished_at <= a.ended_at
     order by a.number, d.id collate "C"
""")  # noqa: S608

# A commit is known by what was deployed, by what a deployment brought, by the heads and commits of
# a pull request and by what was pushed; ranges, because all these are indexed by whole SHAs.
COMMITTED = text(f"""
    with asked as (
        select *, sha || 'g' as beyond from jsonb_to_recordset(cast(:asked as jsonb)) as a(
            incident_id text, reference text, sha text, ended_at timestamptz)),
    here as (select * from deployed_services where organization_id = :organization),
    told as (
        select a.incident_id, a.reference, a.ended_at, d.id as service_deployment_id, true as itself
          from asked a join service_deployments d on d.sha >= a.sha and d.sha < a.beyond
         where d.organization_id = :organization and d.state = 'success'
        union
        select a.incident_id, a.reference, a.ended_at, c.service_deployment_id, false
          from asked a join deployment_changes c on c.sha >= a.sha and c.sha < a.beyond
         where c.organization_id = :organization
        union
        select a.incident_id, a.reference, a.ended_at, c.service_deployment_id, false
          from asked a
          join lateral (
              select h.pull_request_id from pull_request_heads h
               where h.sha >= a.sha and h.sha < a.beyond
              union select k.pull_request_id from pull_request_commits k
               where k.sha >= a.sha and k.sha < a.beyond) seen on true
          join pull_requests pr on pr.id = seen.pull_request_id
          join here on here.repository_id = pr.repository_id
          join deployment_changes c on c.service_id = here.id and c.change_id = pr.id
        union
        select a.incident_id, a.reference, a.ended_at, c.service_deployment_id, false
          from asked a cross join here
          join push_commits k on k.repository_id = here.repository_id
                             and k.sha >= a.sha and k.sha < a.beyond
          join deployment_changes c on c.service_id = here.id and c.change_id = k.push_id)
    select told.incident_id, told.reference, substr(told.reference, 5, 7) as said, told.itself,
           {SUSPECT}
      from told join service_deployments d on d.id = told.service_deployment_id
     where d.finished_at <= told.ended_at
     order by substr(told.reference, 5, 7) collate "C", told.itself desc, d.id collate "C"
""")  # noqa: S608

# What deployments of a repository finished since a time may change: incidents that ran since then
# and are, or may be, about it, and those that blame or were linked to one of these deployments.
AFFECTED = text("""
    select i.id from incidents i left join incident_places p on p.incident_id = i.id
     where i.organization_id = :organization
       and (i.started_at >= :since or i.resolved_at is null or i.resolved_at >= :since)
       and (p.repository_id is null or p.repository_id = :repository or exists (
            select from unnest(i.names) name
             where starts_with(name, 'sha:') or starts_with(name, 'deployment:')
                or exists (select from unnest(cast(:full_names as text[])) as called
                            where starts_with(name, 'number:' || called || '#'))))
    union
    select l.incident_id from incident_links l
      join service_deployments d on d.deployment_id = l.deployment_id
     where l.organization_id = :organization and d.repository_id = :repository
       and d.finished_at >= :since
    union
    select b.incident_id from incident_deployments b
      left join service_deployments d on d.id = b.service_deployment_id
     where b.repository_id = :repository and (d.id is null or d.finished_at >= :since)
""")

ALL = text("select id from incidents where organization_id = :organization order by id")

PLACED = text("""
    select incident_id, repository_id, service_id, reason from incident_places
     where incident_id = any(:incidents)
""")

FORMER_NAMES = text("select full_name from repository_names where repository_id = :repository")

FULL_NAME = text("select full_name from repositories where id = :repository")

DEPLOYED = text("""
    select service_id as id, organization_id, repository_id, service, environment_class
      from service_deployments
     where repository_id = :repository and state = 'success' and finished_at >= :since
    union
    select s.id, s.organization_id, s.repository_id, s.service, s.environment_class
      from deployed_services s
     where s.repository_id = :repository and exists (
           select from service_deployments d where d.service_id = s.id and d.state = 'success')
""")

DESCRIBED = text("""
    select id, organization_id, repository_id, full_name, service, environment_class
      from deployed_services where repository_id = :repository
""")

CORRECTIVE = text("""
    select c.service_id, c.service_deployment_id, c.pull_request_number, c.title,
           coalesce(pr.head_ref, '') as head_ref
      from deployment_changes c left join pull_requests pr on pr.id = c.pull_request_id
     where c.repository_id = :repository and c.deployed_at >= :since and c.corrective
     order by c.id collate "C"
""")

REVERTED = text("""
    select c.service_deployment_id, c.pull_request_number, c.title, c.deployed_at, c.service_id
      from deployment_changes c
     where c.service_id = any(:services)
       and (c.pull_request_number = any(:numbers) or c.title = any(:titles))
     order by c.id collate "C"
""")

# From when on each service's deployments must be read to judge those since a time: from before the
# targets of its rollbacks, and from the deployment that its first hotfix could be of.
NEEDED = text("""
    select service_id, min(least(finished_at, case kind
               when 'rollback' then (
                    select max(t.finished_at) from service_deployments t
                     where t.service_id = d.service_id and t.sha = d.sha
                       and t.state = 'success' and t.finished_at <= d.finished_at
                       and (t.finished_at, t.deployment_id collate "C")
                         < (d.finished_at, d.deployment_id collate "C"))
               else (select max(t.finished_at) from service_deployments t
                      where t.service_id = d.service_id and t.kind in ('new', 'rollforward')
                        and t.finished_at <= d.finished_at
                        and (t.finished_at, t.deployment_id collate "C")
                          < (d.finished_at, d.deployment_id collate "C"))
               end)) as start
      from service_deployments d
     where repository_id = :repository and finished_at >= :since
       and kind in ('rollback', 'rollforward')
     group by service_id
""")

REMEDYING = text("""
    select distinct service_id from service_deployments
     where repository_id = :repository and kind in ('rollback', 'rollforward')
""")

SEQUENCE = text("""
    select d.id, d.service_id, d.kind, d.sha, d.finished_at
      from jsonb_to_recordset(cast(:asked as jsonb)) as a(service_id text, start timestamptz)
      join service_deployments d on d.service_id = a.service_id and d.finished_at >= a.start
     where d.state = 'success'
     order by d.service_id, d.finished_at, d.deployment_id collate "C"
""")

FAILED = text("""
    select service_deployment_id from failed_deployments
     where repository_id = :repository and failed_at >= :since
""")

# What speaks against each of some deployments.
AGAINST = text("""
    select d.id, d.organization_id, d.repository_id, d.service_id, d.environment_class,
           d.finished_at,
           (select jsonb_agg(jsonb_build_object(
                       'id', i.id, 'key', i.key, 'reason', b.reason, 'started_at', i.started_at,
                       'resolved_at', i.resolved_at))
              from incident_deployments b join incidents i on i.id = b.incident_id
             where b.service_deployment_id = d.id) as blames,
           (select jsonb_agg(jsonb_build_object(
                       'id', m.service_deployment_id, 'failed_at', m.failed_at,
                       'remedy_id', m.remedy_id, 'at', m.remedied_at, 'sha', m.sha,
                       'evidence', m.evidence))
              from remedies m where m.service_deployment_id = d.id) as remedies
      from service_deployments d
     where d.id = any(:ids) and d.kind in ('new', 'rollforward')
     order by d.id
""")


async def rows(db: AsyncConnection, question: Any, **bound: Any) -> Sequence[Row[Any]]:
    """Ask one of the questions of this module."""
    return (await db.execute(question, bound)).all()


async def rows_for(
    db: AsyncConnection, question: Any, asked: Sequence[Mapping[str, Any]], **bound: Any
) -> Sequence[Row[Any]]:
    """Ask one of the questions that take a table of what is asked; nothing asked needs none."""
    if not asked:
        return []
    return await rows(db, question, asked=to_json(asked).decode(), **bound)


async def lock(db: AsyncConnection, organization_id: str) -> None:
    """Let one at a time judge an organisation's incidents; freed when the transaction ends."""
    await db.execute(LOCK, {"organization": organization_id})


async def locked_organization(db: AsyncConnection, incident_id: str) -> str | None:
    """Lock the organisation of an incident and return it; None where nothing is known of it."""
    row = (await db.execute(LOCK_OF, {"incident": incident_id})).first()
    return row.organization_id if row else None
