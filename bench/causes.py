"""Histories of which the causes are known: deployments, what they broke, and how it was mended."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from random import Random
from typing import Any, TypeVar

from handlers.changes import kind_of
from models import DeploymentChange, Incident, PullRequest, Repository, ServiceDeployment

ORGANIZATION = "github:1000"
START = datetime(2024, 1, 1, tzinfo=UTC)
Row = TypeVar("Row")
REMEDIES = ("rollback", "revert", "hotfix", None)
OFTEN = (0.35, 0.2, 0.25, 0.2)


@dataclass(frozen=True)
class Size:
    """How much happens, over how many days."""

    services: int = 50
    deployments: int = 100_000
    incidents: int = 10_000
    days: int = 730


@dataclass(frozen=True)
class Shares:
    """How incidents are: of all, those without a cause; of all, how their place is known."""

    noise: float = 0.15
    names_change: float = 0.15
    told: float = 0.7
    worded: float = 0.25


@dataclass
class Causes:
    """Rows, and which deployment (None: none) truly caused each incident."""

    repositories: list[Repository] = field(default_factory=list)
    deployments: list[ServiceDeployment] = field(default_factory=list)
    changes: list[DeploymentChange] = field(default_factory=list)
    pull_requests: list[PullRequest] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    truth: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Due:
    """A deployment that is to come: what it deploys (a SHA, or something new), and why."""

    at: datetime
    number: int
    sha: str | None = None
    title: str = ""
    branch: str = "change"


@dataclass
class Service:
    """One service while its history is made."""

    number: int
    luck: Random
    hours: float
    failing: float
    due: list[Due] = field(default_factory=list)
    shas: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    coming: int = 0

    @property
    def repository(self) -> str:
        """Its repository's id."""
        return f"github:{self.number}"

    @property
    def id(self) -> str:
        """Its id."""
        return f"{self.repository}/production/production"

    def plan(self, at: datetime, sha: str | None = None, title: str = "", branch: str = "") -> None:
        """Let a deployment come."""
        self.coming += 1
        branch = branch or f"change-{self.coming}"
        heapq.heappush(self.due, Due(at, self.coming, sha, title, branch))


def causes(size: Size, seed: int = 42) -> Causes:
    """Make a history of every service; the same at every call."""
    made, luck = Causes(), Random(seed)
    until = START + timedelta(days=size.days)
    hours = size.days * 24 * size.services / size.deployments
    caused = size.incidents * (1 - Shares().noise)
    for number in range(1, size.services + 1):
        made.repositories.append(
            Repository(
                id=f"github:{number}",
                organization_id=ORGANIZATION,
                full_name=f"bench/service-{number}",
                owner_login="bench",
            )
        )
        service = Service(number, luck, hours * 1.1, caused / size.deployments)
        service.plan(START + timedelta(hours=luck.expovariate(1 / service.hours)))
        while service.due and service.due[0].at < until:
            happen(made, service, heapq.heappop(service.due))
    for _ in range(round(size.incidents * Shares().noise)):
        service = Service(luck.randint(1, size.services), luck, hours, 0)
        at = START + timedelta(hours=luck.uniform(0, size.days * 24))
        incident(made, service, at, at + timedelta(hours=luck.expovariate(1 / 2)), None)
    return made


def happen(made: Causes, service: Service, due: Due) -> None:
    """Deploy, let the next deployment come, and perhaps let this one break something."""
    luck = service.luck
    if due.sha is None and due.branch.startswith("change"):
        service.plan(due.at + timedelta(hours=luck.expovariate(1 / service.hours)))
    deployment = deploy(made, service, due)
    if deployment.kind not in ("new", "rollforward") or luck.random() > service.failing:
        return
    opened = due.at + timedelta(hours=luck.expovariate(1 / 5))
    mended = opened + timedelta(hours=luck.expovariate(1 / 1.5))
    [remedy] = luck.choices(REMEDIES, OFTEN)
    if remedy == "rollback":
        service.plan(mended, sha=service.shas[-2], branch="rollback")
    elif remedy == "revert":
        title = f'Revert "{made.changes[-1].title}"'
        service.plan(mended, title=title, branch=f"revert-{len(made.changes)}-it")
    elif remedy == "hotfix":
        service.plan(mended, title="hotfix: mend it", branch="hotfix/it")
    incident(made, service, opened, mended + timedelta(minutes=10), deployment)


def deploy(made: Causes, service: Service, due: Due) -> ServiceDeployment:
    """Deploy what is due."""
    sha = due.sha or blake2b(f"{service.number}/{due.number}".encode(), digest_size=20).hexdigest()
    kind = kind_of(sha, service.shas[-1] if service.shas else None, service.seen)
    if kind == "new" and due.title:
        kind = "rollforward"
    number = len(made.deployments) + 1
    deployment = ServiceDeployment(
        id=f"{service.id}/github:{number}",
        organization_id=ORGANIZATION,
        repository_id=service.repository,
        service_id=service.id,
        service="production",
        environment="production",
        environment_class="production",
        deployment_id=f"github:{number}",
        source="deployment_status",
        sha=sha,
        state="success",
        kind=kind,
        counted=kind != "redeploy",
        started_at=due.at - timedelta(minutes=5),
        finished_at=due.at,
    )
    made.deployments.append(deployment)
    service.shas.append(sha)
    service.seen.add(sha)
    if kind in ("new", "rollforward"):
        bring(made, deployment, due)
    return deployment


def bring(made: Causes, deployment: ServiceDeployment, due: Due) -> None:
    """Let a deployment bring one pull request."""
    number, merged_at = len(made.changes) + 1, due.at - timedelta(minutes=20)
    told: dict[str, Any] = {
        "organization_id": ORGANIZATION,
        "repository_id": deployment.repository_id,
        "title": due.title or f"Change number {number}",
        "cohort": "people",
    }
    made.pull_requests.append(
        PullRequest(
            id=f"github:pr-{number}",
            number=number,
            state="merged",
            base_ref="main",
            head_ref=due.branch,
            head_sha=deployment.sha,
            merge_commit_sha=deployment.sha,
            opened_at=merged_at - timedelta(hours=2),
            merged_at=merged_at,
            **told,
        )
    )
    made.changes.append(
        DeploymentChange(
            id=f"{deployment.id}/github:pr-{number}",
            service_id=deployment.service_id,
            environment_class="production",
            service_deployment_id=deployment.id,
            change_id=f"github:pr-{number}",
            pull_request_id=f"github:pr-{number}",
            pull_request_number=number,
            sha=deployment.sha,
            evidence="push",
            corrective=bool(due.title),
            first_commit_at=merged_at - timedelta(hours=3),
            merged_at=merged_at,
            deployed_at=deployment.finished_at,
            **told,
        )
    )


def incident(
    made: Causes,
    service: Service,
    opened: datetime,
    resolved: datetime,
    cause: ServiceDeployment | None,
) -> None:
    """Let an incident begin and end; some name the pull request that caused them."""
    luck, shares = service.luck, Shares()
    number, known = len(made.incidents) + 1, luck.random()
    worded = shares.told <= known < shares.told + shares.worded
    names = []
    if cause and luck.random() < shares.names_change:
        names = [f"number:bench/service-{service.number}#{len(made.changes)}"]
    made.incidents.append(
        Incident(
            id=f"api:{number}",
            key=f"INC-{number}",
            organization_id=ORGANIZATION,
            source="api",
            title=f"service-{service.number} fails" if worded else "Users see errors",
            detail="It was reported by several of them.",
            state="resolved",
            environment="production",
            environment_class="production",
            repository_id=service.repository if known < shares.told else None,
            started_at=opened,
            detected_at=opened,
            resolved_at=resolved,
            opened_why="it was reported",
            names=names,
        )
    )
    made.truth[f"api:{number}"] = cause.id if cause else None


def in_batches(rows: Sequence[Row], most: int = 5000) -> Iterator[Sequence[Row]]:
    """Cut a long list."""
    return (rows[start : start + most] for start in range(0, len(rows), most))
