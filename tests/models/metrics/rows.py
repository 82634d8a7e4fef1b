"""Rows as `collect_changes` derives them, said in few words; times of 2026 are `09-03 12:00`."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from models import (
    DeploymentChange,
    FailedDeployment,
    Incident,
    IncidentPlace,
    Organization,
    OrganizationSettings,
    Repository,
    ServiceDeployment,
)

NUMBERS = count(1)
Row = dict[str, Any]


def at(words: str) -> datetime:
    """A UTC time of 2026: `09-03 12:00`."""
    return datetime.strptime(f"2026-{words}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def deployment(finished: str | datetime, kind: str | None = "new", **told: Any) -> Row:
    """A finished attempt; kind None is one that failed."""
    finished_at = at(finished) if isinstance(finished, str) else finished
    number = next(NUMBERS)
    service = told.get("service", "production")
    return {
        "id": f"d{number:06}",
        "organization_id": "acme",
        "repository_id": "acme/api",
        "service_id": f"{told.get('repository_id', 'acme/api')}/{service}",
        "service": service,
        "environment": "production",
        "environment_class": "production",
        "deployment_id": f"github:{number}",
        "source": "deployment_status",
        "sha": f"{number:040x}",
        "ref": "main",
        "state": "success" if kind else "failure",
        "kind": kind,
        "counted": kind not in {None, "redeploy"},
        "reason": {None: "it never succeeded", "redeploy": "same commit as running"}.get(kind),
        "cohorts": ["people"],
        "started_at": finished_at,
        "finished_at": finished_at,
        "url": f"https://github.com/acme/api/deployments/{number}",
        **told,
    }


def change(deployed: Row, first_commit: str | datetime, **told: Any) -> Row:
    """A change that a deployment brought; without stages told, all of it is coding."""
    first_commit_at = at(first_commit) if isinstance(first_commit, str) else first_commit
    seconds = (deployed["finished_at"] - first_commit_at).total_seconds()
    number = next(NUMBERS)
    return {
        "id": f"c{number:06}",
        "organization_id": deployed["organization_id"],
        "repository_id": deployed["repository_id"],
        "service_id": deployed["service_id"],
        "environment_class": deployed["environment_class"],
        "service_deployment_id": deployed["id"],
        "change_id": f"github:pr-{number}",
        "pull_request_id": f"github:pr-{number}",
        "pull_request_number": number,
        "sha": f"{number:040x}",
        "title": "A change",
        "author_login": "ada",
        "cohort": "people",
        "url": f"https://github.com/acme/api/pull/{number}",
        "evidence": "compare",
        "corrective": False,
        "first": True,
        "reason": None,
        "first_commit_at": first_commit_at,
        "merged_at": deployed["finished_at"],
        "deployed_at": deployed["finished_at"],
        "lead_seconds": seconds,
        "coding_seconds": seconds,
        "pickup_seconds": None,
        "review_seconds": None,
        "deploy_seconds": 0.0,
        **told,
    }


def failure(failed: Row, recovered: str | datetime | None, **told: Any) -> Row:
    """That a deployment failed; recovered None is one that still hurts."""
    recovered_at = at(recovered) if isinstance(recovered, str) else recovered
    names = ("organization_id", "repository_id", "service_id", "environment_class")
    return {
        "service_deployment_id": failed["id"],
        **{name: failed[name] for name in names},
        "failed_at": failed["finished_at"],
        "evidence": "rollback",
        "reason": "rolled back later",
        "incidents": [],
        "remedy_id": None,
        "recovered_at": recovered_at,
        **told,
    }


def incident(
    started: str | datetime, resolved: str | datetime | None, place: str | None = None, **told: Any
) -> Row:
    """An incident, and the service that it is about; `keep_incidents` parts the two."""
    number = next(NUMBERS)
    began = at(started) if isinstance(started, str) else started
    ended = at(resolved) if isinstance(resolved, str) else resolved
    return {
        "id": f"api:{number:06}",
        "key": f"INC-{number}",
        "organization_id": "acme",
        "source": "api",
        "title": "It is down",
        "detail": "",
        "url": f"https://example.com/{number}",
        "severity": "sev2",
        "state": "resolved" if ended else "investigating",
        "environment": "production",
        "environment_class": "production",
        "started_at": began,
        "detected_at": began,
        "resolved_at": ended,
        "opened_why": "reported",
        "names": [],
        "corrected": [],
        "dismissed": False,
        "service_id": place,
        **told,
    }


def unmeasured(row: Row, reason: str) -> Row:
    """The same change without a lead time."""
    stages = ("lead_seconds", "coding_seconds", "deploy_seconds")
    return {**row, **dict.fromkeys(stages), "reason": reason}


async def found(db: AsyncConnection, time_zone: str = "UTC") -> None:
    """The organisation acme with its repository acme/api."""
    fact = {"organization_id": "acme"}
    await db.execute(insert(Organization), [{"id": "acme", "login": "acme", **fact}])
    await db.execute(
        insert(OrganizationSettings),
        [{"organization_id": "acme", "time_zone": time_zone, "level_edition": 2024}],
    )
    repository = {"id": "acme/api", "full_name": "acme/api", "owner_login": "acme", **fact}
    await db.execute(insert(Repository), [repository])


async def keep(db: AsyncConnection, deployments: list[Row], changes: list[Row]) -> None:
    """Write derived rows."""
    if deployments:
        await db.execute(insert(ServiceDeployment), deployments)
    if changes:
        await db.execute(insert(DeploymentChange), changes)


async def keep_failures(db: AsyncConnection, failures: list[Row]) -> None:
    """Write which deployments failed."""
    if failures:
        await db.execute(insert(FailedDeployment), failures)


async def keep_incidents(db: AsyncConnection, incidents: list[Row]) -> None:
    """Write incidents, and for those with a service that they are about it."""
    if not incidents:
        return
    own = [{name: row[name] for name in row if name != "service_id"} for row in incidents]
    await db.execute(insert(Incident), own)
    places = [
        {
            "incident_id": row["id"],
            "organization_id": row["organization_id"],
            "repository_id": row["service_id"].rpartition("/")[0],
            "service_id": row["service_id"],
            "reason": "its words name it",
        }
        for row in incidents
        if row["service_id"]
    ]
    if places:
        await db.execute(insert(IncidentPlace), places)
