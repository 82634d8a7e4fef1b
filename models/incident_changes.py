"""What people say of incidents: corrections, updates, links by hand, post-mortems and reports.

Each function writes in the caller's transaction and queues the order that derives the incident
anew. Who calls them has found the incident in the person's own organisation first, with
`incident_called` of `models.incident_pages`, and writes the audit log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import Refused
from models.incidents import SEVERITIES, IncidentReport, IncidentState
from models.queue import queue
from models.store import columns

CORRECTABLE = (
    *("title", "severity", "environment", "repository_id", "service"),
    *("started_at", "resolved_at", "dismissed"),
)
TIMES = ("started_at", "resolved_at")

ORGANIZATION = text("select organization_id from incidents where id = :incident")
CORRECT = text("""
    insert into incident_corrections (incident_id, field, value, by)
    values (:incident, :field, :value, :by)
        on conflict (incident_id, field)
        do update set value = excluded.value, by = excluded.by, at = now()
""")
SAY = text("""
    insert into incident_updates (incident_id, organization_id, state, body, by, at)
    values (:incident, :organization, :state, :body, :by, clock_timestamp())
""")
LINK = text("""
    insert into incident_links (incident_id, deployment_id, organization_id, linked, by)
    values (:incident, :deployment, :organization, :linked, :by)
        on conflict (incident_id, deployment_id)
        do update set linked = excluded.linked, by = excluded.by, at = now()
""")
ATTEMPT = text("""
    select exists (select from deployments
                    where id = :deployment and organization_id = :organization)
        or exists (select from service_deployments
                    where deployment_id = :deployment and organization_id = :organization)
""")
LEARN = text("""
    insert into post_mortems (incident_id, organization_id, body, by)
    values (:incident, :organization, :body, :by)
        on conflict (incident_id)
        do update set body = excluded.body, by = excluded.by, at = now()
""")


@dataclass(frozen=True)
class Follow:
    """The order to derive one incident anew, as `models.queue` takes it."""

    incident: str
    name: str = "follow_incident"
    since: datetime | None = None
    lane: str = "ingest"

    @property
    def key(self) -> str:
        """One order an incident."""
        return f"follow_incident:{self.incident}"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the job is told."""
        return {"incident": self.incident}


@dataclass(frozen=True)
class ReadAgain:
    """The order to derive all of an organisation's incidents anew, after its settings changed."""

    organization: str
    name: str = "read_incidents_again"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    lane: str = "ingest"

    @property
    def key(self) -> str:
        """One order an organisation."""
        return f"read_incidents_again:{self.organization}"


async def follow(db: AsyncConnection, incident_id: str, organization_id: str) -> None:
    """Queue the order to derive an incident anew."""
    await queue(db, [Follow(incident_id)], organization_id)


async def organization_of(db: AsyncConnection, incident_id: str) -> str:
    """Return whose an incident is; raise `Refused` where there is none."""
    found = await db.scalar(ORGANIZATION, {"incident": incident_id})
    if found is None:
        raise Refused("There is no such incident.")
    return str(found)


async def correct(
    db: AsyncConnection,
    incident_id: str,
    field: str,
    value: str | bool | datetime | None,
    by: str,
) -> None:
    """Correct a field of an incident; None clears the correction. `by`: a user's id.

    Raises `Refused` for a field that cannot be corrected or a value that it cannot have.
    """
    organization_id = await organization_of(db, incident_id)
    told = written(field, value)
    bound = {"incident": incident_id, "field": field, "value": told, "by": by}
    await db.execute(CORRECT, bound)
    await follow(db, incident_id, organization_id)


def written(field: str, value: str | bool | datetime | None) -> str | None:
    """Return a corrected value as it is kept; raise `Refused` for one that cannot be."""
    if field not in CORRECTABLE:
        raise Refused(f"{field!r} cannot be corrected; these can: {', '.join(CORRECTABLE)}.")
    if value is None:
        return None
    if field in TIMES:
        return written_time(field, value)
    if field == "dismissed":
        if not isinstance(value, bool):
            raise Refused("dismissed is true or false.")
        return "true" if value else "false"
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{field} needs words.")
    if field == "severity" and value not in SEVERITIES:
        raise Refused(f"{value!r} is no severity; there are {', '.join(SEVERITIES)}.")
    return value.strip()


def written_time(field: str, value: str | bool | datetime) -> str:
    """Return a time as ISO 8601 in UTC; raise `Refused` for what is none or has no offset."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise Refused(f"{field} is a time such as 2026-09-01T10:00:00Z.") from error
    if moment.tzinfo is None:
        raise Refused(f"{field} needs an offset, such as Z for UTC.")
    return moment.astimezone(UTC).isoformat()


async def say(db: AsyncConnection, incident_id: str, state: str | None, body: str, by: str) -> None:
    """Say how far an incident is (None: a note only); `resolved` ends it now, others open it again.

    Raises `Refused` for an unknown state.
    """
    if state is not None and state not in set(IncidentState):
        raise Refused(f"{state!r} is no state; there are {', '.join(IncidentState)}.")
    organization_id = await organization_of(db, incident_id)
    bound = {"incident": incident_id, "organization": organization_id, "state": state}
    await db.execute(SAY, {**bound, "body": body, "by": by})
    await follow(db, incident_id, organization_id)


async def link(db: AsyncConnection, incident_id: str, deployment_id: str, by: str) -> None:
    """Link a deployment (an attempt's id, `github:501`) to an incident by hand, for ever.

    Raises `Refused` for a deployment that is not one of the organisation's.
    """
    await linked(db, incident_id, deployment_id, by, yes=True)


async def unlink(db: AsyncConnection, incident_id: str, deployment_id: str, by: str) -> None:
    """Say that a deployment had nothing to do with an incident; it is not linked again.

    Raises `Refused` for a deployment that is not one of the organisation's.
    """
    await linked(db, incident_id, deployment_id, by, yes=False)


async def linked(
    db: AsyncConnection, incident_id: str, deployment_id: str, by: str, *, yes: bool
) -> None:
    """Write down what a person said of an incident and a deployment."""
    organization_id = await organization_of(db, incident_id)
    bound = {"deployment": deployment_id, "organization": organization_id}
    if not await db.scalar(ATTEMPT, bound):
        raise Refused(f"There is no deployment {deployment_id!r} in this organisation.")
    await db.execute(LINK, {**bound, "incident": incident_id, "linked": yes, "by": by})
    await follow(db, incident_id, organization_id)


async def learn(db: AsyncConnection, incident_id: str, body: str, by: str) -> None:
    """Write an incident's post-mortem, Markdown, in the place of the one before."""
    organization_id = await organization_of(db, incident_id)
    bound = {"incident": incident_id, "organization": organization_id, "body": body, "by": by}
    await db.execute(LEARN, bound)


def report_id(organization_id: str, own: str | None = None) -> str:
    """Return the id of a reported incident: an organisation's own id for it, else a random one.

    It names the organisation, so that two may number their incidents alike.
    """
    return f"api:{organization_id}:{own or uuid4().hex}"


async def report(db: AsyncConnection, told: IncidentReport) -> str:
    """Write a report of an incident (see `report_id`), the same id updates; return the id."""
    names = [name for name in columns(IncidentReport) if name != "reported_at"]
    kept = [name for name in names if name not in ("id", "organization_id", "reported_by")]
    statement = text(
        f"insert into incident_reports ({', '.join(names)}) "  # noqa: S608 - our own columns
        f"values ({', '.join(f':{name}' for name in names)}) on conflict (id) do update set "
        f"{', '.join(f'{name} = excluded.{name}' for name in kept)} "
        "where incident_reports.organization_id = excluded.organization_id"
    )
    await db.execute(statement, {name: getattr(told, name) for name in names})
    await follow(db, told.id, told.organization_id)
    return told.id
