"""Deployments as told, and what follows from them: their kinds, and the changes they brought.

The first three tables are facts. `service_deployments`, `deployment_changes`, `deployed_services`
and `remedies` are derived from the facts by the job `collect_changes`, and can be thrown away and
derived again.
"""

from datetime import datetime

from sqlalchemy import Float, Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from models.columns import Fact, Row, maybe_text, maybe_time, text, texts, time


class Deployment(Fact, table=True):
    """An attempt to ship one SHA to one environment.

    `source`: deployment_status, workflow_run, release, merge or api, which also says how its
    result is known: for deployment_status from `deployment_statuses`, else from `result` and
    `result_at` here. `environment_class`: production, staging, transient or other.
    """

    __tablename__ = "deployments"
    __table_args__ = (Index("deployments_repository", "repository_id", "created_at"),)

    repository_id: str = text()
    source: str = text()
    environment: str = text()
    environment_class: str = text()
    sha: str = text()
    ref: str | None = maybe_text()
    description: str | None = maybe_text()
    creator_login: str | None = maybe_text()
    created_at: datetime = time()
    result: str | None = maybe_text()
    result_at: datetime | None = maybe_time()
    url: str | None = maybe_text()


class DeploymentStatus(Fact, table=True):
    """One final state of a deployment: success, failure, error or inactive."""

    __tablename__ = "deployment_statuses"

    repository_id: str = text()
    deployment_id: str = text(index=True)
    state: str = text()
    created_at: datetime = time()
    url: str | None = maybe_text()


class Service(SQLModel, table=True):
    """A service that a person described: the environments it runs in, the paths it is made of.

    Without any, each environment of a repository is a service of its own, made of every path.
    `environment` and `paths` are shell patterns (`prod-*`, `web/**`).
    """

    __tablename__ = "services"

    repository_id: str = text(primary_key=True)
    name: str = text(primary_key=True)
    organization_id: str = text()
    environment: str = text()
    paths: list[str] = texts()


class ServiceDeployment(Row, table=True):
    """A finished attempt to deploy a service, judged by METRICS.md R1 and R2.

    `state`: success or failure. `finished_at`: the first success, else the last failure.
    `kind`: baseline, new, redeploy, rollback or rollforward; None for a failure.
    `counted`: whether it is one of deployment frequency's N; `reason` says why not.
    `cohorts`: whose changes it brought first, of agent, bots and people, in that order.
    """

    __tablename__ = "service_deployments"
    __table_args__ = (
        Index(
            "service_deployments_organization",
            "organization_id",
            "environment_class",
            "finished_at",
            postgresql_include=["id", "repository_id", "state", "kind", "counted", "cohorts"],
        ),
        Index("service_deployments_repository", "repository_id", "finished_at"),
        Index("service_deployments_service", "service_id", "finished_at"),
        Index("service_deployments_attempt", "deployment_id"),
        Index("service_deployments_sha", "sha"),
        Index("service_deployments_environment", "organization_id", "environment"),
        Index("service_deployments_kind", "id", postgresql_include=["kind", "counted"]),
    )

    id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    service_id: str = text()
    service: str = text()
    environment: str = text()
    environment_class: str = text()
    deployment_id: str = text()
    predecessor_id: str | None = maybe_text()
    source: str = text()
    sha: str = text()
    ref: str | None = maybe_text()
    creator_login: str | None = maybe_text()
    state: str = text()
    kind: str | None = maybe_text()
    counted: bool = False
    reason: str | None = maybe_text()
    cohorts: list[str] = texts()
    started_at: datetime = time()
    finished_at: datetime = time()
    url: str | None = maybe_text()


class DeployedService(Row, table=True):
    """A service that was ever deployed, and its repository's name, derived from its deployments."""

    __tablename__ = "deployed_services"
    __table_args__ = (Index("deployed_services_organization", "organization_id"),)

    id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text(index=True)
    full_name: str = text()
    service: str = text()
    environment_class: str = text()


class Remedy(Row, table=True):
    """That one deployment (`remedy_id`) took back or mended another of its service.

    `evidence`: rollback, revert or hotfix (METRICS.md R4, b to d). `failed_at`, `remedied_at`: when
    the two finished. `sha`: what the remedy deployed.
    """

    __tablename__ = "remedies"
    __table_args__ = (
        Index("remedies_failed", "service_deployment_id"),
        Index("remedies_service", "service_id", "remedied_at"),
        Index("remedies_repository", "repository_id", "remedied_at"),
    )

    remedy_id: str = text(primary_key=True)
    service_deployment_id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    service_id: str = text()
    evidence: str = text()
    sha: str = text()
    failed_at: datetime = time()
    remedied_at: datetime = time()


class DeploymentChange(Row, table=True):
    """A change (a merged pull request, or a commit pushed without one) as a deployment brought it.

    One row for each service that it reached; `first` marks the one that reached its environment
    class first, which is the one that roll-ups count. `lead_seconds` is None and `reason` says why
    where it is not measured (baseline). Stages are seconds and sum to `lead_seconds`.
    `evidence`: push, compare or merge order: how we know the commit graph.
    """

    __tablename__ = "deployment_changes"
    __table_args__ = (
        Index(
            "deployment_changes_organization",
            "organization_id",
            "environment_class",
            "deployed_at",
            postgresql_include=[
                *("repository_id", "cohort", "lead_seconds", "coding_seconds"),
                *("pickup_seconds", "review_seconds", "deploy_seconds"),
            ],
            postgresql_where=sql("first"),
        ),
        Index("deployment_changes_repository", "repository_id", "deployed_at"),
        Index("deployment_changes_service", "service_id", "change_id"),
        Index("deployment_changes_deployment", "service_deployment_id"),
        Index("deployment_changes_sha", "sha"),
    )

    id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    service_id: str = text()
    environment_class: str = text()
    service_deployment_id: str = text()
    change_id: str = text()
    pull_request_id: str | None = maybe_text()
    pull_request_number: int | None = None
    sha: str = text()
    title: str = text()
    author_login: str | None = maybe_text()
    cohort: str = text()
    url: str | None = maybe_text()
    evidence: str = text()
    corrective: bool = False
    first: bool = True
    reason: str | None = maybe_text()
    first_commit_at: datetime = time()
    opened_at: datetime | None = maybe_time()
    first_review_at: datetime | None = maybe_time()
    merged_at: datetime = time()
    deployed_at: datetime = time()
    lead_seconds: float | None = Field(default=None, sa_type=Float)
    coding_seconds: float | None = Field(default=None, sa_type=Float)
    pickup_seconds: float | None = Field(default=None, sa_type=Float)
    review_seconds: float | None = Field(default=None, sa_type=Float)
    deploy_seconds: float | None = Field(default=None, sa_type=Float)
