"""What the Incidents screens ask: the list, what each blames or could, and one from end to end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Scope

MOST_CANDIDATES = 6
MOST_CHANGES = 30
MOST_MESSAGES = 200

# A user is named by name, else by what stands before the @, never by the whole address.
NAMED = "coalesce(u.name, split_part(u.email, '@', 1), {0})"

SELECTED = """
    select i.*, p.repository_id as place_repository_id, p.service_id, p.reason as place_because,
           r.full_name as repository, s.service as place_service
      from incidents i
      left join incident_places p on p.incident_id = i.id
      left join repositories r on r.id = coalesce(p.repository_id, i.repository_id)
      left join deployed_services s on s.id = p.service_id
"""
LIST = text(f"""
    {SELECTED}
     where i.organization_id = :organization_id and not i.dismissed
       and (i.resolved_at is null or i.started_at >= :since) and i.started_at < :until
       and (cast(:state as text) = 'all' or (i.resolved_at is null) = (:state = 'open'))
       and (cast(:severity as text) is null
            or coalesce(i.severity, 'none') = :severity)
       and (cast(:source as text) is null or i.source = :source)
       and (:environment in (i.environment_class, i.environment))
       and (cast(:repository_id as text) is null
            or coalesce(p.repository_id, i.repository_id) = :repository_id)
       and (cast(:team_id as text) is null or coalesce(p.repository_id, i.repository_id) in (
            select repository_id from team_repositories where owned and team_id = :team_id))
       and (cast(:before as text) is null or (i.started_at, i.id) < (
            select b.started_at, b.id from incidents b
             where b.key = :before and b.organization_id = :organization_id))
     order by i.started_at desc, i.id desc limit :most
""")  # noqa: S608 - constants only
ONE = text(f"""
    {SELECTED} where i.organization_id = :organization_id and i.key = :key
     order by i.id limit 1
""")
OPEN = text("""
    select count(*) from incidents
     where organization_id = :organization_id and resolved_at is null and not dismissed
""")
EVER = text("select exists (select from incidents where organization_id = :organization_id)")
BLAMED = text(f"""
    select l.incident_id, l.deployment_id, l.service_deployment_id, l.evidence, l.reason,
           d.sha, d.service, d.environment, d.kind, d.url, d.creator_login, d.finished_at,
           r.full_name as repository, {NAMED.format("h.by")} as by, h.at
      from incident_deployments l
      join service_deployments d on d.id = l.service_deployment_id
      left join repositories r on r.id = l.repository_id
      left join incident_links h on h.incident_id = l.incident_id
       and h.deployment_id = l.deployment_id and h.linked
      left join users u on u.id = h.by
     where l.incident_id = any(:incidents) order by d.finished_at desc, l.deployment_id
""")  # noqa: S608
BY_HAND = text(f"""
    select h.incident_id, h.deployment_id, h.linked, h.at, {NAMED.format("h.by")} as by,
           d.sha, d.service, d.environment, d.url, d.finished_at, r.full_name as repository
      from incident_links h
      left join users u on u.id = h.by
      left join lateral (select * from service_deployments
                          where deployment_id = h.deployment_id limit 1) d on true
      left join repositories r on r.id = d.repository_id
     where h.incident_id = any(:incidents) order by h.at desc, h.deployment_id
""")  # noqa: S608
# An incident whose service is not known could be of any in its environment.
CANDIDATES = text("""
    select i.id as incident_id, d.deployment_id, d.sha, d.service, d.environment, d.kind,
           d.creator_login, d.finished_at, r.full_name as repository
      from incidents i
      left join incident_places p on p.incident_id = i.id
      cross join lateral (
           (select * from service_deployments
             where service_id = p.service_id and state = 'success'
               and finished_at <= i.started_at + interval '1 hour'
             order by finished_at desc limit :most)
           union all
           (select * from service_deployments
             where p.service_id is null and organization_id = i.organization_id
               and environment_class = i.environment_class and state = 'success'
               and (p.repository_id is null or repository_id = p.repository_id)
               and finished_at <= i.started_at + interval '1 hour'
             order by finished_at desc limit :most)) d
      left join repositories r on r.id = d.repository_id
     where i.id = any(:incidents) order by d.finished_at desc, d.deployment_id
""")
CHANGES = text("""
    select pull_request_number, sha, title, author_login, cohort, url
      from deployment_changes where service_deployment_id = any(:deployments)
     order by deployed_at desc, merged_at desc nulls last, id limit :most
""")
MESSAGES = text("""
    select author_name, bot, words, posted_at, edited_at from slack_messages
     where thread_id = :incident and organization_id = :organization_id and not deleted
     order by posted_at, id limit :most
""")
UPDATES = text(f"""
    select x.state, x.body, x.at, {NAMED.format("x.by")} as by
      from incident_updates x left join users u on u.id = x.by
     where x.incident_id = :incident order by x.at, x.id
""")  # noqa: S608
CORRECTIONS = text(f"""
    select x.field, x.value, x.at, {NAMED.format("x.by")} as by
      from incident_corrections x left join users u on u.id = x.by
     where x.incident_id = :incident order by x.at, x.field
""")  # noqa: S608
POST_MORTEM = text(f"""
    select x.body, x.at, {NAMED.format("x.by")} as by
      from post_mortems x left join users u on u.id = x.by where x.incident_id = :incident
""")  # noqa: S608

Row = RowMapping


@dataclass(frozen=True)
class Wanted:
    """Which incidents are listed: those that began in the period, or are still open.

    `state`: open, resolved or all. `severity`: sev1 to sev4 or none. `before`: a key, of the last
    one of the page before.
    """

    scope: Scope
    since: datetime
    until: datetime
    state: str = "all"
    severity: str | None = None
    source: str | None = None
    before: str | None = None


@dataclass(frozen=True)
class Story:
    """What was said of one incident, oldest first; `post_mortem` is None where none is written."""

    messages: Sequence[Row]
    updates: Sequence[Row]
    corrections: Sequence[Row]
    post_mortem: Row | None


async def listed(db: AsyncConnection, wanted: Wanted, most: int) -> Sequence[Row]:
    """Return incidents, the latest first, with where each happened."""
    bound = {
        "organization_id": wanted.scope.organization_id,
        "repository_id": wanted.scope.repository_id,
        "team_id": wanted.scope.team_id,
        "environment": wanted.scope.environment,
        "since": wanted.since,
        "until": wanted.until,
        "state": wanted.state,
        "severity": wanted.severity,
        "source": wanted.source,
        "before": wanted.before,
        "most": most,
    }
    return (await db.execute(LIST, bound)).mappings().all()


async def one(db: AsyncConnection, organization_id: str, key: str) -> Row | None:
    """Return an incident by its key, dismissed ones too; None where there is none."""
    found = await db.execute(ONE, {"organization_id": organization_id, "key": key})
    return found.mappings().one_or_none()


async def still_open(db: AsyncConnection, organization_id: str) -> int:
    """Return how many incidents of an organisation are open."""
    return int(await db.scalar(OPEN, {"organization_id": organization_id}) or 0)


async def ever_told(db: AsyncConnection, organization_id: str) -> bool:
    """Return whether there ever was an incident."""
    return bool(await db.scalar(EVER, {"organization_id": organization_id}))


async def blamed(db: AsyncConnection, incidents: Sequence[str]) -> dict[str, list[Row]]:
    """Return the deployments that incidents blame; `by` and `at` where a person linked them."""
    found = await db.execute(BLAMED, {"incidents": list(incidents)})
    return by_incident(found.mappings())


async def by_hand(db: AsyncConnection, incidents: Sequence[str]) -> dict[str, list[Row]]:
    """Return what people linked and unlinked, the latest first."""
    found = await db.execute(BY_HAND, {"incidents": list(incidents)})
    return by_incident(found.mappings())


async def candidates(db: AsyncConnection, incidents: Sequence[str]) -> dict[str, list[Row]]:
    """Return the deployments that incidents could blame: the latest of the service, if known."""
    found = await db.execute(CANDIDATES, {"incidents": list(incidents), "most": MOST_CANDIDATES})
    return by_incident(found.mappings())


def by_incident(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return rows by the incident they are of, in their order."""
    told: dict[str, list[Row]] = {}
    for row in rows:
        told.setdefault(row["incident_id"], []).append(row)
    return told


async def brought(db: AsyncConnection, deployments: Sequence[str]) -> Sequence[Row]:
    """Return the changes that service deployments brought."""
    bound = {"deployments": list(deployments), "most": MOST_CHANGES + 1}
    return (await db.execute(CHANGES, bound)).mappings().all()


async def story(db: AsyncConnection, organization_id: str, incident_id: str) -> Story:
    """Return what was said of an incident in its thread and here."""
    of_one = {"incident": incident_id}
    thread = of_one | {"organization_id": organization_id, "most": MOST_MESSAGES}
    return Story(
        messages=(await db.execute(MESSAGES, thread)).mappings().all(),
        updates=(await db.execute(UPDATES, of_one)).mappings().all(),
        corrections=(await db.execute(CORRECTIONS, of_one)).mappings().all(),
        post_mortem=(await db.execute(POST_MORTEM, of_one)).mappings().one_or_none(),
    )
