"""Deployments, incidents and pull requests written straight into the store, in few words."""

from datetime import datetime, timedelta
from typing import Any

from handlers.incidents import incident_key
from models import Deployment as Attempt
from models import (
    Incident,
    IncidentDeployment,
    IncidentPlace,
    PullRequest,
    PullRequestTime,
    ServiceDeployment,
)
from tests.chat.conftest import ACME, AT, Chat

SERVICE = "github:10/production"


async def deployed(chat: Chat, number: int, at: datetime, **told: Any) -> str:
    """Let acme/api have been deployed to production; return the row's id."""
    row = {
        "organization_id": ACME, "repository_id": "github:10", "service_id": SERVICE,
        "service": "production", "environment": "production", "environment_class": "production",
        "deployment_id": f"github:{number}", "source": "deployment_status",
        "sha": f"{number:040x}", "state": "success", "kind": "new", "counted": True,
        "started_at": at, "finished_at": at, "url": f"https://github.com/acme/api/deployments/{number}",
    }  # fmt: skip
    key = f"{SERVICE}/github:{number}"
    await chat.keep(
        ServiceDeployment(id=key, **(row | told)),
        Attempt(
            id=f"github:{number}", organization_id=ACME, repository_id="github:10",
            source="deployment_status", environment="production",
            environment_class="production", sha=f"{number:040x}", created_at=at, changed_at=at,
            rank=0, digest=0,
        ),
    )  # fmt: skip
    return key


async def began(chat: Chat, incident_id: str = "api:1", at: datetime = AT, **told: Any) -> str:
    """Let an incident of acme/api have begun; return its key."""
    key = incident_key(incident_id)
    row = {
        "organization_id": ACME, "source": incident_id.partition(":")[0],
        "title": "Checkout is down", "detail": "", "severity": "sev1",
        "state": "investigating", "environment": "production",
        "environment_class": "production", "started_at": at, "detected_at": at,
        "opened_why": "reported",
    }  # fmt: skip
    place = {"repository_id": "github:10", "service_id": SERVICE, "reason": "told"}
    await chat.keep(
        Incident(id=incident_id, key=key, **(row | told)),
        IncidentPlace(incident_id=incident_id, organization_id=ACME, **place),
    )
    return key


async def blames(
    chat: Chat, deployment: str, reason: str, incident_id: str = "api:1", **told: Any
) -> None:
    """Let an incident blame a deployment."""
    row = {
        "organization_id": ACME, "repository_id": "github:10", "service_id": SERVICE,
        "deployment_id": deployment.partition("/github")[2].partition("/")[2] or deployment,
        "evidence": "window", "reason": reason,
    }  # fmt: skip
    await chat.keep(
        IncidentDeployment(
            incident_id=incident_id, service_deployment_id=deployment, **(row | told)
        )
    )


async def proposed(chat: Chat, number: int, ready_at: datetime, **told: Any) -> None:
    """Let a pull request of acme/api be open."""
    key, title = f"github:pr{number}", told.pop("title", f"Change {number}")
    repository = told.pop("repository_id", "github:10")
    row = {
        "organization_id": ACME, "repository_id": repository, "author_login": "ada",
        "cohort": "people", "state": "open", "first_commit_at": ready_at, "opened_at": ready_at,
        "ready_at": ready_at, "answered_at": ready_at,
    }  # fmt: skip
    await chat.keep(
        PullRequest(
            id=key, organization_id=ACME, repository_id=repository, number=number, title=title,
            url=f"https://github.com/acme/api/pull/{number}", state="open", cohort="people",
            base_ref="main", head_ref=f"change-{number}", head_sha="a" * 40, opened_at=ready_at,
            changed_at=ready_at, rank=0, digest=0, author_login="ada", labels=[], mentions=[],
            closes=[],
        ),
        PullRequestTime(pull_request_id=key, **(row | told)),
    )  # fmt: skip


def ago(**amount: float) -> datetime:
    """Return a time before the one at which everything is asked."""
    return AT - timedelta(**amount)
