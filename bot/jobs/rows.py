"""The rows that are derived: deployments as they are counted, changes with their stages."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from bot.jobs.history import History, Step
from handlers.changes import Attempt, Moments, Shape, cohort_of, is_corrective, stages_of
from handlers.rules import superseded_because
from models import DeploymentChange, ServiceDeployment

BASELINE = "contained in the first deployment ever seen, so its way there is unknown"


def service_id(history: History, attempt: Attempt, shape: Shape) -> str:
    """Return the key of a service."""
    return f"{history.place.repository_id}/{attempt.environment_class}/{shape.name}"


def pull_request_change(
    history: History, step: Step, told: Row[Any], seen: Row[Any] | None
) -> DeploymentChange:
    """Return one pull request's way to production."""
    opened = told.ready_at if told.ready_at and told.ready_at <= told.merged_at else told.opened_at
    moments = Moments(
        first_commit_at=seen.first_commit_at if seen else told.opened_at,
        ready_at=opened,
        first_review_at=told.first_review_at,
        merged_at=told.merged_at,
        deployed_at=step.attempt.finished_at,
    )
    return change(
        history,
        step,
        moments,
        change_id=told.id,
        pull_request_id=told.id,
        pull_request_number=told.number,
        sha=told.merge_commit_sha or told.head_sha,
        title=told.title,
        author_login=told.author_login,
        cohort=told.cohort,
        url=told.url,
        corrective=is_corrective(told.title, told.head_ref, told.labels),
    )


def pushed_change(history: History, step: Step, commits: Sequence[Row[Any]]) -> DeploymentChange:
    """Return the way to production of commits that were pushed together without a pull request."""
    last = commits[-1]
    moments = Moments(
        first_commit_at=min(commit.authored_at for commit in commits),
        ready_at=last.pushed_at or last.authored_at,
        first_review_at=None,
        merged_at=last.pushed_at or last.authored_at,
        deployed_at=step.attempt.finished_at,
    )
    return change(
        history,
        step,
        moments,
        change_id=last.push_id or f"{history.place.repository_id}:{last.sha}",
        sha=last.sha,
        title=last.headline,
        author_login=last.author_login or last.author_name,
        cohort=cohort_of(last.author_login, last.author_name),
        url=f"{history.home.url}/commit/{last.sha}" if history.home.url else None,
        corrective=any(is_corrective(commit.headline) for commit in commits),
    )


def change(
    history: History, step: Step, moments: Moments, *, change_id: str, **told: Any
) -> DeploymentChange:
    """Return a change with its stages."""
    stages, service = stages_of(moments), service_id(history, step.attempt, step.shape)
    return DeploymentChange(
        id=f"{service}/{step.attempt.id}/{change_id}",
        organization_id=history.home.organization_id,
        repository_id=history.place.repository_id,
        service_id=service,
        environment_class=step.attempt.environment_class,
        service_deployment_id=f"{service}/{step.attempt.id}",
        change_id=change_id,
        evidence="",
        first_commit_at=moments.first_commit_at,
        opened_at=moments.ready_at,
        first_review_at=moments.first_review_at,
        merged_at=moments.merged_at,
        deployed_at=moments.deployed_at,
        lead_seconds=stages.lead,
        coding_seconds=stages.coding,
        pickup_seconds=stages.pickup,
        review_seconds=stages.review,
        deploy_seconds=stages.deploy,
        **told,
    )


def unmeasured(change: DeploymentChange) -> None:
    """Take the times off a change that the first deployment ever seen contains."""
    change.evidence, change.reason, change.corrective = "merge order", BASELINE, False
    change.lead_seconds = change.coding_seconds = change.pickup_seconds = None
    change.review_seconds = change.deploy_seconds = None


def service_deployment(history: History, step: Step, kind: str | None) -> ServiceDeployment:
    """Return one deployment of one service as it is counted."""
    attempt = step.attempt
    before = step.predecessor
    service = service_id(history, attempt, step.shape)
    reason = None if attempt.succeeded else "the attempt did not succeed"
    if kind == "redeploy":
        reason = "the same commit was running already"
    return ServiceDeployment(
        id=f"{service}/{attempt.id}",
        service_id=service,
        service=step.shape.name,
        predecessor_id=f"{service}/{before.id}" if before else None,
        state="success" if attempt.succeeded else "failure",
        kind=kind,
        counted=reason is None,
        reason=reason,
        **told_of(history, attempt),
    )


def superseded(history: History, attempt: Attempt) -> ServiceDeployment:
    """Return what was told of and does not count, so that Explain can say why."""
    counted = history.sources[attempt.environment_class]
    service = f"{history.place.repository_id}/{attempt.environment_class}/{attempt.environment}"
    return ServiceDeployment(
        id=f"{service}/{attempt.id}",
        service_id=service,
        service=attempt.environment,
        state="superseded",
        reason=superseded_because(history.rule, counted, attempt),
        **told_of(history, attempt),
    )


def told_of(history: History, attempt: Attempt) -> dict[str, Any]:
    """Return what was told of an attempt."""
    return {
        "organization_id": history.home.organization_id,
        "repository_id": history.place.repository_id,
        "environment": attempt.environment,
        "environment_class": attempt.environment_class,
        "deployment_id": attempt.id,
        "source": attempt.source,
        "sha": attempt.sha,
        "ref": attempt.ref,
        "creator_login": attempt.creator_login,
        "started_at": attempt.created_at,
        "finished_at": attempt.finished_at,
        "url": attempt.url,
    }
