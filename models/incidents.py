"""Incidents: what was told of them, what people corrected, and which deployment each blames.

`incidents`, `incident_places`, `incident_deployments` and `failed_deployments` are derived from
facts, from reports and from what people said of them, and can be thrown away and derived again.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Float, Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from models.columns import document, maybe_text, maybe_time, now, number, text, texts, time

SEVERITIES = ("sev1", "sev2", "sev3", "sev4")
SOURCES = ("slack", "github", "linear", "api")


class IncidentState(StrEnum):
    """How far an incident is, in the words of its updates."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class IncidentSettings(SQLModel, table=True):
    """How an organisation's incidents are read; written by its admins, defaults where no row is.

    Patterns of channels are shell patterns of names without `#`. Patterns of texts are words, or
    regular expressions between slashes. `windows` overrides `window_hours` (W of METRICS.md R4) by
    class or name of an environment.
    """

    __tablename__ = "incident_settings"

    organization_id: str = text(primary_key=True)
    window_hours: float = Field(default=24.0, sa_type=Float)
    windows: dict[str, float] = document()
    channels: list[str] = texts()
    start_patterns: list[str] = texts()
    resolve_patterns: list[str] = texts()
    start_reactions: list[str] = texts()
    resolve_reactions: list[str] = texts()
    alert_bots: list[str] = texts()
    labels: list[str] = texts()
    severities: dict[str, list[str]] = document()


class IncidentChannel(SQLModel, table=True):
    """What a channel is about, as an admin said: the first pattern, by name, that fits counts.

    `severity` is that of messages which name none.
    """

    __tablename__ = "incident_channels"

    organization_id: str = text(primary_key=True)
    channel: str = text(primary_key=True)
    environment: str = text(default="production")
    repository_id: str | None = maybe_text()
    service: str | None = maybe_text()
    severity: str | None = maybe_text()


class IncidentReport(SQLModel, table=True):
    """An incident that was reported by API, CLI or slash command, as its reporter says it is.

    The id is `api:<organization>:` and the reporter's own id, else a random one, so that two
    organisations may number theirs alike. `environment`: a class or a name.
    """

    __tablename__ = "incident_reports"

    id: str = text(primary_key=True)
    organization_id: str = text(index=True)
    title: str = text()
    description: str = text(default="")
    severity: str | None = maybe_text()
    environment: str = text(default="production")
    repository_id: str | None = maybe_text()
    service: str | None = maybe_text()
    url: str | None = maybe_text()
    started_at: datetime = time()
    resolved_at: datetime | None = maybe_time()
    reported_by: str = text()
    reported_at: datetime | None = now()


class Incident(SQLModel, table=True):
    """Something that went wrong for users, derived from its source and people's corrections.

    The id names the source's own thing (`slack:T1:C1:1700000000.000100`, `github:42`,
    `linear:<uuid>`, `api:<organization>:<id>`); `key` (`INC-7F3K2QX`) is its name for people, a
    hash of the id.
    `repository_id`, `service`: only where told; what is concluded is in `incident_places`.
    `names`: references in its words (see `handlers.references`). `detail`: its words.
    `corrected`: the columns that a person corrected. `dismissed`: a person said it is none.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        Index("incidents_organization", "organization_id", "environment_class", "started_at"),
        Index("incidents_listed", "organization_id", "started_at"),
        Index("incidents_key", "organization_id", "key"),
        Index("incidents_open", "organization_id", postgresql_where=sql("resolved_at is null")),
    )

    id: str = text(primary_key=True)
    key: str = text()
    organization_id: str = text()
    source: str = text()
    title: str = text()
    detail: str = text()
    url: str | None = maybe_text()
    channel: str | None = maybe_text()
    severity: str | None = maybe_text()
    state: str = text()
    environment: str = text()
    environment_class: str = text()
    repository_id: str | None = maybe_text()
    service: str | None = maybe_text()
    started_at: datetime = time()
    detected_at: datetime = time()
    resolved_at: datetime | None = maybe_time()
    opened_by: str | None = maybe_text()
    resolved_by: str | None = maybe_text()
    opened_why: str = text()
    resolved_why: str | None = maybe_text()
    names: list[str] = texts()
    corrected: list[str] = texts()
    dismissed: bool = False


class IncidentCorrection(SQLModel, table=True):
    """What a person corrected of an incident, by column; it wins over what the source says.

    `field`: title, severity, environment, repository_id, service, started_at, resolved_at or
    dismissed. `value` is text (times ISO 8601 in UTC, booleans `true` or `false`); None clears it.
    """

    __tablename__ = "incident_corrections"

    incident_id: str = text(primary_key=True)
    field: str = text(primary_key=True)
    value: str | None = maybe_text()
    by: str = text()
    at: datetime | None = now()


class IncidentUpdate(SQLModel, table=True):
    """What a person said of an incident's course; `state` None: a note that changes no state."""

    __tablename__ = "incident_updates"

    id: int | None = number(default=None, primary_key=True)
    incident_id: str = text(index=True)
    organization_id: str = text()
    state: str | None = maybe_text()
    body: str = text()
    by: str = text()
    at: datetime | None = now()


class PostMortem(SQLModel, table=True):
    """What was learnt from an incident, in Markdown."""

    __tablename__ = "post_mortems"

    incident_id: str = text(primary_key=True)
    organization_id: str = text()
    body: str = text()
    by: str = text()
    at: datetime | None = now()


class IncidentLink(SQLModel, table=True):
    """That a person linked a deployment to an incident, or unlinked it; it wins for ever.

    `deployment_id` is the attempt's (`github:501`), which outlives derived rows.
    """

    __tablename__ = "incident_links"

    incident_id: str = text(primary_key=True)
    deployment_id: str = text(primary_key=True)
    organization_id: str = text()
    linked: bool
    by: str = text()
    at: datetime | None = now()


class IncidentPlace(SQLModel, table=True):
    """Which repository and service an incident is about, and how we know; both None: not known."""

    __tablename__ = "incident_places"
    __table_args__ = (Index("incident_places_repository", "repository_id"),)

    incident_id: str = text(primary_key=True)
    organization_id: str = text(index=True)
    repository_id: str | None = maybe_text()
    service_id: str | None = maybe_text()
    reason: str = text()


class IncidentDeployment(SQLModel, table=True):
    """The deployment of a service that an incident blames (METRICS.md R4), one of each service.

    `evidence`: hand, named, remedy (what ended it took this deployment back) or window.
    `reason` says it in words. `by`: who linked it by hand.
    """

    __tablename__ = "incident_deployments"
    __table_args__ = (
        Index("incident_deployments_deployment", "service_deployment_id"),
        Index("incident_deployments_repository", "repository_id"),
    )

    incident_id: str = text(primary_key=True)
    service_deployment_id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    service_id: str = text()
    deployment_id: str = text()
    evidence: str = text()
    reason: str = text()
    by: str | None = maybe_text()


class FailedDeployment(SQLModel, table=True):
    """A deployment that failed in production, by the best evidence there is (METRICS.md R4, R5).

    `evidence`: incident, rollback, revert or hotfix. `incidents`: those that blame it. `remedy_id`:
    the service deployment that took it back or mended it. `recovered_at`: the resolution of its
    last incident, or without one when the remedy finished; None while an incident is open.
    """

    __tablename__ = "failed_deployments"
    __table_args__ = (Index("failed_deployments_repository", "repository_id", "failed_at"),)

    service_deployment_id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    service_id: str = text()
    environment_class: str = text()
    failed_at: datetime = time()
    evidence: str = text()
    reason: str = text()
    incidents: list[str] = texts()
    remedy_id: str | None = maybe_text()
    recovered_at: datetime | None = maybe_time()
