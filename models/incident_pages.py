"""What the API asks of incidents: which one is meant, and the list by its filters."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CALLED = text("""
    select id from incidents
     where organization_id = :organization and (id = :named or key = upper(:named))
     order by id = :named desc, started_at desc limit 1
""")

# `at` is what pages are cut by, the newest first.
INCIDENTS = """
    select i.*, i.started_at as at, p.repository_id as place_repository_id,
           p.service_id as place_service_id, p.reason as place_reason,
           r.full_name as place_repository, s.service as place_service
      from incidents i
      left join incident_places p on p.incident_id = i.id
      left join repositories r on r.id = p.repository_id
      left join deployed_services s on s.id = p.service_id
     where i.organization_id = :organization_id
"""

FILTERS = {
    "id": "i.id = :id",
    "severity": "coalesce(i.severity, 'none') = :severity",
    "source": "i.source = :source",
    "service": "(:service in (s.service, p.service_id) or p.service_id is null "
    "and i.service = :service)",
    "repository_id": "coalesce(p.repository_id, i.repository_id) = :repository_id",
    "environment": ":environment in (i.environment, i.environment_class)",
    "since": "i.started_at >= :since",
    "until": "i.started_at < :until",
}
STATES = {
    "open": "i.resolved_at is null",
    "resolved": "i.resolved_at is not null",
    "all": "true",
}


def selected(state: str, *filters: str, dismissed: bool = False) -> str:
    """Return the SELECT of incidents in a state by some of `FILTERS`, whose values are bound.

    `dismissed`: those that a person said are none, instead of the others.
    """
    kept = "i.dismissed" if dismissed else "not i.dismissed"
    return " and ".join([INCIDENTS, kept, STATES[state], *(FILTERS[name] for name in filters)])


async def incident_called(db: AsyncConnection, organization_id: str, named: str) -> str | None:
    """Return the id of an organisation's incident by its id or key (`INC-7F3K2QX`); else None."""
    found = await db.scalar(CALLED, {"organization": organization_id, "named": named})
    return None if found is None else str(found)
