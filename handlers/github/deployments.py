"""Remember attempts to ship: deployments, deploying workflow runs and releases (METRICS.md R1)."""

import re
from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

import models
from handlers.events import Decision, Note
from handlers.github import releases, workflows
from handlers.github.environments import environment_class, shipped_to
from handlers.github.payloads import (
    Event,
    Id,
    Name,
    Sha,
    Text,
    Time,
    User,
    collect_changes,
    count_workflow_runs,
    login,
)
from handlers.github.repositories import seen
from handlers.github.source import github

FINAL = frozenset({"success", "failure", "error", "inactive"})
TELLING = FINAL - {"inactive"}
DEPLOYING = re.compile(r"(?<![a-z])(deploy|release|publish)", re.IGNORECASE)
TRIALS = frozenset({"pull_request", "pull_request_target"})
DYNAMIC = "dynamic/"
RESULTS = {"success": "success", "failure": "failure", "timed_out": "failure"}
COMMIT = re.compile(r"[0-9a-f]{40}")


class Target(BaseModel):
    """A deployment: one SHA to one environment."""

    id: Id
    sha: Sha
    ref: Text | None = None
    environment: Name
    description: Text | None = None
    creator: User | None = None
    created_at: Time
    updated_at: Time | None = None
    transient_environment: bool | None = None
    production_environment: bool | None = None

    @property
    def key(self) -> str:
        """The key of the deployment."""
        return f"github:{self.id}"

    @property
    def clock(self) -> datetime:
        """When this was what GitHub knew of it."""
        return self.updated_at or self.created_at


class Status(BaseModel):
    """One state of a deployment; it never changes."""

    id: Id
    state: Name
    creator: User | None = None
    created_at: Time
    target_url: Text | None = None
    log_url: Text | None = None


class DeploymentEvent(Event):
    """`deployment`."""

    deployment: Target


class DeploymentStatusEvent(DeploymentEvent):
    """`deployment_status`."""

    deployment_status: Status


@github.on("deployment")
def deployment_created(event: DeploymentEvent) -> Iterator[Decision]:
    """A deployment that was asked for; its statuses tell whether it shipped."""
    yield from seen(event, event.deployment.clock, event.deployment.creator)
    yield attempted(event)


@github.on("deployment_status")
def deployment_finished(event: DeploymentStatusEvent) -> Iterator[Decision]:
    """A queued or running deployment has shipped nothing; only final states are kept."""
    status, deployment = event.deployment_status, event.deployment
    state = status.state.lower()
    yield from seen(event, status.created_at, status.creator)
    yield attempted(event)
    if state not in FINAL:
        yield Note(f"A deployment that is {state} has shipped nothing yet.")
        return
    yield models.DeploymentStatus(
        id=f"github:{status.id}",
        repository_id=event.repository.key,
        deployment_id=deployment.key,
        state=state,
        created_at=status.created_at,
        url=status.log_url or status.target_url or None,
    )
    if state in TELLING:
        yield collect_changes(event.repository, deployment.created_at)


@github.on("workflow_run")
def workflow_run_shipped(event: workflows.WorkflowRunEvent) -> Iterator[Decision]:
    """A run of a workflow that deploys, releases or publishes is an attempt to ship.

    Each attempt of a run is one, so that a re-run cannot undo that an earlier one shipped. Runs of
    other workflows count where a rule of their repository names these, which is looked up later.
    """
    run, name, stem = event.workflow_run, event.name, event.stem
    if not (DEPLOYING.search(name) or DEPLOYING.search(stem)):
        yield Note(f"Neither {name!r} nor its file is named for deploying.")
        if finished(run) and ships(event.path) and run.event not in TRIALS:
            yield count_workflow_runs(event.repository, run.started_at)
        return
    if not ships(event.path):
        yield Note("GitHub's own workflows, such as those of Pages, ship no service.")
        return
    if run.event in TRIALS:
        yield Note("A workflow run of a pull request ships nothing.")
        return
    yield ran(event, *shipped_to(f"{name} {stem}"))
    if run.completed_at:
        yield collect_changes(event.repository, run.started_at)


@github.on("release")
def release_shipped(event: releases.ReleaseEvent) -> Iterator[Decision]:
    """A published release ships at once; drafts and prereleases do not."""
    release = event.release
    if release.draft or release.prerelease or not release.published_at:
        yield Note("Drafts and prereleases ship nothing.")
        return
    if event.action in releases.WITHDRAWN:
        yield Note("What a withdrawn release shipped has been shipped all the same.")
        return
    yield released(event, release.published_at)
    yield collect_changes(event.repository, release.published_at)


def attempted(event: DeploymentEvent) -> models.Deployment:
    """Return the row of a deployment of GitHub's own; its result is in its statuses."""
    deployment = event.deployment
    return models.Deployment(
        id=deployment.key,
        changed_at=deployment.clock,
        repository_id=event.repository.key,
        source="deployment_status",
        environment=deployment.environment,
        environment_class=environment_class(
            deployment.environment,
            transient=deployment.transient_environment,
            production=deployment.production_environment,
        ),
        sha=deployment.sha,
        ref=deployment.ref,
        description=deployment.description,
        creator_login=login(deployment.creator),
        created_at=deployment.created_at,
        url=page(event.repository.html_url, "deployments"),
    )


def ran(event: workflows.WorkflowRunEvent, environment: str, to: str) -> models.Deployment:
    """Return the row of a deploying workflow run."""
    run = event.workflow_run
    result = RESULTS.get(run.conclusion or "") if run.completed_at else None
    return models.Deployment(
        id=run_id(run.id, run.attempt),
        changed_at=run.clock,
        rank=run.rank,
        repository_id=event.repository.key,
        source="workflow_run",
        environment=environment,
        environment_class=to,
        sha=run.head_sha,
        ref=run.head_branch,
        description=event.name,
        creator_login=login(run.actor),
        created_at=run.started_at,
        result=result,
        result_at=run.completed_at if result else None,
        url=run.html_url,
    )


def finished(run: workflows.Run) -> bool:
    """Tell whether a run has ended in success or failure."""
    return run.completed_at is not None and run.conclusion in RESULTS


def run_id(run: int | str, attempt: int) -> str:
    """Return the key of the deployment that an attempt of a workflow run is."""
    return f"github:workflow_run:{run}" + (f"/{attempt}" if attempt > 1 else "")


def ships(path: str | None) -> bool:
    """Tell whether a workflow by its file is one that people wrote, which alone can ship."""
    return not (path or "").startswith(DYNAMIC)


def released(event: releases.ReleaseEvent, at: datetime) -> models.Deployment:
    """Return the row of a release. Its SHA is `tag:<tag>` until somebody looks the tag up."""
    release = event.release
    target = release.target_commitish or ""
    return models.Deployment(
        id=f"github:release:{release.id}",
        changed_at=event.clock,
        rank=event.rank,
        repository_id=event.repository.key,
        source="release",
        environment="production",
        environment_class="production",
        sha=target if COMMIT.fullmatch(target) else f"tag:{release.tag_name}",
        ref=release.tag_name,
        creator_login=login(release.author),
        created_at=at,
        result="success",
        result_at=at,
        url=release.html_url,
    )


def page(repository: str | None, name: str) -> str | None:
    """Return the address of a page of a repository."""
    return f"{repository}/{name}" if repository else None
