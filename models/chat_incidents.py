"""What Slack is told of incidents: those that go on, one by its key, and what each blames."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

COLUMNS = """
    i.id, i.key, i.organization_id, i.source, i.title, i.severity, i.state, i.environment, i.url,
    i.channel, i.started_at, i.resolved_at, i.dismissed, i.resolved_why,
    p.repository_id, p.service_id, r.full_name as repository
    from incidents i
    left join incident_places p on p.incident_id = i.id
    left join repositories r on r.id = p.repository_id
"""
SHOWN = text(f"""
    select {COLUMNS}
     where i.organization_id = :organization and not i.dismissed
       and (i.resolved_at is null or i.started_at >= :since)
     order by i.resolved_at is not null, i.started_at desc, i.id limit :most
""")
STARTED = text(f"""
    select {COLUMNS}
     where i.organization_id = :organization and not i.dismissed
       and i.started_at >= :since and i.started_at < :until
     order by i.severity nulls last, i.started_at, i.id
""")
KEYED = text(f"""
    select {COLUMNS} where i.organization_id = :organization and i.key = :key
""")
ONE = text(f"""
    select {COLUMNS} where i.organization_id = :organization and i.id = :id
""")
BLAMED = text("""
    select b.incident_id, b.deployment_id, b.evidence, b.reason, d.sha, d.service, d.environment,
           d.finished_at, d.url, r.full_name as repository
      from incident_deployments b
      join service_deployments d on d.id = b.service_deployment_id
      left join repositories r on r.id = b.repository_id
     where b.incident_id = any(:ids)
     order by b.incident_id, d.finished_at desc, d.id
""")


async def shown(
    db: AsyncConnection, organization_id: str, since: datetime, most: int = 10
) -> Sequence[RowMapping]:
    """Return the incidents that go on, then those that began since then, the latest first."""
    bound = {"organization": organization_id, "since": since, "most": most}
    return (await db.execute(SHOWN, bound)).mappings().all()


async def started_within(
    db: AsyncConnection, organization_id: str, since: datetime, until: datetime
) -> Sequence[RowMapping]:
    """Return the incidents that began in a period, the most severe first."""
    bound = {"organization": organization_id, "since": since, "until": until}
    return (await db.execute(STARTED, bound)).mappings().all()


async def keyed(db: AsyncConnection, organization_id: str, key: str) -> RowMapping | None:
    """Return an incident of an organisation by its key; None where there is none."""
    bound = {"organization": organization_id, "key": key}
    return (await db.execute(KEYED, bound)).mappings().first()


async def incident(
    db: AsyncConnection, organization_id: str, incident_id: str
) -> RowMapping | None:
    """Return an incident of an organisation by its id; None where there is none."""
    bound = {"organization": organization_id, "id": incident_id}
    return (await db.execute(ONE, bound)).mappings().first()


async def blamed(db: AsyncConnection, incident_ids: Sequence[str]) -> Sequence[RowMapping]:
    """Return the deployments that incidents blame, with the reasons."""
    return (await db.execute(BLAMED, {"ids": list(incident_ids)})).mappings().all()
