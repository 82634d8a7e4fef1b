"""Builds: what the runs of GitHub Actions' workflows mean, derived from facts (METRICS.md)."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from models.columns import Fact, maybe_text, maybe_time, now, text, time


class WorkflowFile(Fact, table=True):
    """What one version of a workflow's file says, read from GitHub once; its id tells the SHA.

    `platform`: ios, android or mobile by what it runs; None where it builds no app. `missing`: the
    file is not there at that commit.
    """

    __tablename__ = "workflow_files"

    repository_id: str = text(index=True)
    path: str = text()
    sha: str = text()
    platform: str | None = maybe_text()
    evidence: str | None = maybe_text()
    missing: bool = False


class WorkflowPlatform(SQLModel, table=True):
    """The platform that a person says a workflow builds for: ios, android, mobile or none."""

    __tablename__ = "workflow_platforms"

    workflow_id: str = text(primary_key=True)
    organization_id: str = text(index=True)
    platform: str = text()
    by: str = text()
    at: datetime | None = now()


class JobAnnotation(Fact, table=True):
    """What a failed job says of where it failed. Its id is `<job>:<place>`."""

    __tablename__ = "job_annotations"

    job_id: str = text(index=True)
    path: str | None = maybe_text()
    line: int | None = None
    message: str = text()


class Build(SQLModel, table=True):
    """A workflow run as it is counted: its last attempt counts, and `flaky` tells of the others.

    Derived. `outcome`: success, failure, timed_out, cancelled, skipped or another conclusion of
    GitHub's; None while it runs. `counted`: it is a success or a failure; else `reason` says why
    not. `flaky`: it passed on a commit on which it had failed. `failure`: the reason of a failure,
    as failures are grouped: the name of the step, else of the job, that failed first.
    """

    __tablename__ = "builds"
    __table_args__ = (
        Index(
            "builds_ended",
            "organization_id",
            "completed_at",
            postgresql_include=[
                *("repository_id", "workflow_id", "platform", "outcome", "counted", "flaky"),
                *("duration_seconds", "actor_login"),
            ],
        ),
        Index(
            "builds_failed",
            "organization_id",
            "completed_at",
            postgresql_include=["repository_id", "platform", "failure", "id"],
            postgresql_where=sql("failure is not null"),
        ),
        Index(
            "builds_flaky",
            "organization_id",
            "completed_at",
            postgresql_include=["repository_id", "workflow_id", "platform", "id"],
            postgresql_where=sql("flaky"),
        ),
        Index("builds_of_repository", "repository_id", "completed_at"),
        Index("builds_started", "organization_id", "started_at"),
        Index("builds_of_platform", "organization_id", "platform", "started_at"),
        Index("builds_of_workflow", "workflow_id", "started_at"),
    )

    id: str = text(primary_key=True)
    organization_id: str = text()
    repository_id: str = text()
    workflow_id: str = text()
    workflow: str = text()
    path: str | None = maybe_text()
    platform: str | None = maybe_text()
    platform_by: str | None = maybe_text()
    event: str | None = maybe_text()
    branch: str | None = maybe_text()
    head_sha: str = text()
    attempts: int = 1
    outcome: str | None = maybe_text()
    counted: bool = False
    reason: str | None = maybe_text()
    flaky: bool = False
    failure: str | None = maybe_text()
    failed_job: str | None = maybe_text()
    annotation: str | None = maybe_text()
    started_at: datetime = time()
    completed_at: datetime | None = maybe_time()
    duration_seconds: float | None = Field(default=None)
    actor_login: str | None = maybe_text()
    url: str | None = maybe_text()
