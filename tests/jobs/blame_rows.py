"""Small histories of two repositories as rows, whole or as far as they are known by now."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models import (
    DeploymentChange,
    Incident,
    IncidentLink,
    IncidentSettings,
    PullRequest,
    Repository,
    ServiceDeployment,
)
from models.store import add, remember, replace

ORGANIZATION = "acme"
START = datetime(2026, 9, 1, tzinfo=UTC)
STEP = timedelta(minutes=30)
DERIVED = (
    *("deployed_services", "remedies", "incident_places", "incident_deployments"),
    "failed_deployments",
)
TABLES = (
    *("service_deployments", "deployment_changes", "incidents", "incident_links"),
    *("incident_settings", "pull_requests", "repositories", *DERIVED),
)


def sha(name: str) -> str:
    """Return a commit's SHA for a short name."""
    return hashlib.sha1(name.encode()).hexdigest()


def moment(step: int) -> datetime:
    """Return the time of a step."""
    return START + step * STEP


@dataclass(frozen=True)
class Change:
    """A pull request whose merge commit is `sha(name)`; its number and what it is called."""

    repository: str
    name: str
    number: int
    title: str
    branch: str = "feature"
    corrective: bool = False


@dataclass(frozen=True)
class Attempt:
    """An attempt to deploy the commit `name` to some services of a repository."""

    number: int
    repository: str
    name: str
    step: int
    services: tuple[str, ...] = ("production",)
    environment_class: str = "production"
    succeeded: bool = True
    steps: int = 0


@dataclass(frozen=True)
class Event:
    """An incident as it is told."""

    number: int
    step: int
    end: int | None = None
    title: str = "Everything is slow"
    names: tuple[str, ...] = ()
    repository: str | None = None
    service: str | None = None
    environment_class: str = "production"

    @property
    def id(self) -> str:
        """Its id."""
        return f"api:{self.number}"


@dataclass(frozen=True)
class Said:
    """That a person linked or unlinked an attempt."""

    incident: int
    attempt: int
    linked: bool
    minute: int


@dataclass
class History:
    """All that happened."""

    changes: dict[tuple[str, str], Change] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    incidents: list[Event] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    window_hours: float = 3.0


def key(repository: str) -> str:
    """Return the id of a repository."""
    return f"github:{repository}"


def derived(
    history: History, attempts: Iterable[Attempt]
) -> tuple[list[ServiceDeployment], list[DeploymentChange]]:
    """Return what is derived of some attempts: each commit brings one change of its own."""
    ordered = sorted(attempts, key=lambda each: (each.step, f"github:{each.number}"))
    running: dict[str, str] = {}
    seen: dict[str, set[str]] = {}
    deployments, changes = [], []
    for attempt in ordered:
        for name in attempt.services:
            service = f"{key(attempt.repository)}/{attempt.environment_class}/{name}"
            kind = kind_of(history, attempt, running.get(service), seen.setdefault(service, set()))
            row = deployment_row(attempt, name, service, kind)
            deployments.append(row)
            if kind in ("baseline", "new", "rollforward"):
                changes.append(change_row(history, attempt, row))
            if attempt.succeeded:
                running[service] = attempt.name
                seen[service].add(attempt.name)
    return deployments, changes


def kind_of(
    history: History, attempt: Attempt, running: str | None, seen: Iterable[str]
) -> str | None:
    """Return the kind of an attempt."""
    if not attempt.succeeded:
        return None
    if running is None:
        return "baseline"
    if attempt.name in seen:
        return "redeploy" if attempt.name == running else "rollback"
    corrective = history.changes[attempt.repository, attempt.name].corrective
    return "rollforward" if corrective else "new"


def deployment_row(
    attempt: Attempt, name: str, service: str, kind: str | None
) -> ServiceDeployment:
    """Return a deployment of a service."""
    return ServiceDeployment(
        id=f"{service}/github:{attempt.number}",
        organization_id=ORGANIZATION,
        repository_id=key(attempt.repository),
        service_id=service,
        service=name,
        environment=attempt.environment_class,
        environment_class=attempt.environment_class,
        deployment_id=f"github:{attempt.number}",
        source="deployment_status",
        sha=sha(attempt.name),
        state="success" if attempt.succeeded else "failure",
        kind=kind,
        started_at=moment(attempt.step - attempt.steps),
        finished_at=moment(attempt.step),
    )


def change_row(history: History, attempt: Attempt, row: ServiceDeployment) -> DeploymentChange:
    """Return the change that a deployment brought."""
    change = history.changes[attempt.repository, attempt.name]
    return DeploymentChange(
        id=f"{row.id}/github:pr-{change.number}",
        organization_id=ORGANIZATION,
        repository_id=row.repository_id,
        service_id=row.service_id,
        environment_class=row.environment_class,
        service_deployment_id=row.id,
        change_id=f"github:pr-{change.number}",
        pull_request_id=f"github:pr-{change.number}",
        pull_request_number=change.number,
        sha=sha(change.name),
        title=change.title,
        cohort="people",
        evidence="push",
        corrective=change.corrective and row.kind != "baseline",
        first_commit_at=START,
        merged_at=START,
        deployed_at=row.finished_at,
    )


def incident_row(event: Event, *, open_still: bool = False) -> Incident:
    """Return an incident."""
    end = None if open_still or event.end is None else moment(event.end)
    return Incident(
        id=event.id,
        key=f"INC-{event.number}",
        organization_id=ORGANIZATION,
        source="api",
        title=event.title,
        detail="",
        state="resolved" if end else "investigating",
        environment=event.environment_class,
        environment_class=event.environment_class,
        repository_id=key(event.repository) if event.repository else None,
        service=event.service,
        started_at=moment(event.step),
        detected_at=moment(event.step),
        resolved_at=end,
        opened_why="it was reported",
        names=list(event.names),
    )


def link_row(said: Said) -> IncidentLink:
    """Return what a person said."""
    return IncidentLink(
        incident_id=f"api:{said.incident}",
        deployment_id=f"github:{said.attempt}",
        organization_id=ORGANIZATION,
        linked=said.linked,
        by="ada@example.com",
        at=START + timedelta(minutes=said.minute),
    )


async def begin(db: AsyncConnection, history: History) -> None:
    """Write what is known before anything happens: repositories, pull requests, the window."""
    for table in TABLES:
        await db.execute(text(f"delete from {table}"))  # noqa: S608
    settings = IncidentSettings(
        organization_id=ORGANIZATION, window_hours=history.window_hours, windows={}
    )
    await add(db, IncidentSettings, [settings])
    repositories = [
        Repository(
            id=key(name), organization_id=ORGANIZATION, full_name=f"acme/{name}", owner_login="acme"
        )
        for name in ("api", "shop")
    ]
    await remember(db, [*repositories, *(pull_request(c) for c in history.changes.values())])


def pull_request(change: Change) -> PullRequest:
    """Return the pull request of a change."""
    return PullRequest(
        id=f"github:pr-{change.number}",
        organization_id=ORGANIZATION,
        repository_id=key(change.repository),
        number=change.number,
        title=change.title,
        state="merged",
        cohort="people",
        base_ref="main",
        head_ref=change.branch,
        head_sha=sha(f"head of {change.name}"),
        opened_at=START,
        merged_at=START,
        merge_commit_sha=sha(change.name),
    )


async def ship(
    db: AsyncConnection,
    history: History,
    repository: str,
    attempts: Sequence[Attempt],
    since: datetime,
) -> None:
    """Put what is derived of a repository's attempts in place, from a time on."""
    here = [attempt for attempt in attempts if attempt.repository == repository]
    deployments, changes = derived(history, here)
    bound: dict[str, Any] = {"repository": key(repository), "since": since}
    fresh = [row for row in deployments if row.finished_at >= since]
    where = "repository_id = :repository and finished_at >= :since"
    await replace(db, ServiceDeployment, fresh, where, **bound)
    brought = [row for row in changes if row.deployed_at >= since]
    where = "repository_id = :repository and deployed_at >= :since"
    await replace(db, DeploymentChange, brought, where, **bound)


async def open_incident(db: AsyncConnection, row: Incident) -> None:
    """Write an incident as it is now."""
    await replace(db, Incident, [row], "id = :id", id=row.id)


async def say(db: AsyncConnection, said: Said) -> None:
    """Write what a person said."""
    row = link_row(said)
    where = "incident_id = :incident and deployment_id = :deployment"
    bound = {"incident": row.incident_id, "deployment": row.deployment_id}
    await replace(db, IncidentLink, [row], where, **bound)


async def judgements(db: AsyncConnection) -> dict[str, list[Any]]:
    """Return every derived row."""
    return {
        table: sorted(await db.execute(text(f"select * from {table}")), key=repr)  # noqa: S608
        for table in DERIVED
    }
