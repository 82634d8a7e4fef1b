"""GitHub Actions: workflows, their runs and jobs; checks; releases."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from models.columns import Fact, maybe_text, maybe_time, text, time


class Workflow(Fact, table=True):
    """A workflow file of a repository. `state` is GitHub's: active, disabled_manually …"""

    __tablename__ = "workflows"

    repository_id: str = text(index=True)
    name: str = text()
    path: str = text()
    state: str | None = maybe_text()
    url: str | None = maybe_text()


class WorkflowRun(Fact, table=True):
    """One attempt of a workflow run, keyed `github:<run>/<attempt>`.

    `platform`: ios, android, mobile, or None. `completed_at` is None while it runs.
    """

    __tablename__ = "workflow_runs"
    __table_args__ = (
        Index("workflow_runs_started", "repository_id", "started_at"),
        Index("workflow_runs_commit", "repository_id", "head_sha"),
    )

    repository_id: str = text()
    run_id: str = text(index=True)
    attempt: int = 1
    workflow_id: str = text()
    name: str = text()
    path: str | None = maybe_text()
    platform: str | None = maybe_text()
    event: str | None = maybe_text()
    branch: str | None = maybe_text()
    head_sha: str = text()
    status: str = text()
    conclusion: str | None = maybe_text()
    started_at: datetime = time()
    completed_at: datetime | None = maybe_time()
    actor_login: str | None = maybe_text()
    url: str | None = maybe_text()


class WorkflowJob(Fact, table=True):
    """One job of a workflow run. `failed_step` names the first step that failed."""

    __tablename__ = "workflow_jobs"
    __table_args__ = (Index("workflow_jobs_completed", "repository_id", "completed_at"),)

    repository_id: str = text()
    run_id: str = text(index=True)
    attempt: int = 1
    name: str = text()
    status: str = text()
    conclusion: str | None = maybe_text()
    failed_step: str | None = maybe_text()
    started_at: datetime | None = maybe_time()
    completed_at: datetime | None = maybe_time()
    url: str | None = maybe_text()


class CheckRun(Fact, table=True):
    """A check on a commit, from Actions or another app: what the agent reads of its own work."""

    __tablename__ = "check_runs"
    __table_args__ = (Index("check_runs_sha", "repository_id", "head_sha"),)

    repository_id: str = text()
    head_sha: str = text()
    name: str = text()
    app_slug: str | None = maybe_text()
    suite_id: str | None = maybe_text()
    status: str = text()
    conclusion: str | None = maybe_text()
    started_at: datetime | None = maybe_time()
    completed_at: datetime | None = maybe_time()
    url: str | None = maybe_text()


class CheckSuite(Fact, table=True):
    """All checks of one app on one commit."""

    __tablename__ = "check_suites"
    __table_args__ = (Index("check_suites_sha", "repository_id", "head_sha"),)

    repository_id: str = text()
    head_sha: str = text()
    branch: str | None = maybe_text()
    app_slug: str | None = maybe_text()
    status: str | None = maybe_text()
    conclusion: str | None = maybe_text()


class Release(Fact, table=True):
    """A release. `target` is the branch or SHA it was cut from; `published_at` None for drafts."""

    __tablename__ = "releases"

    repository_id: str = text(index=True)
    tag: str = text()
    name: str | None = maybe_text()
    target: str | None = maybe_text()
    draft: bool = False
    prerelease: bool = False
    published_at: datetime | None = maybe_time()
    author_login: str | None = maybe_text()
    url: str | None = maybe_text()
    deleted: bool = False


WHOLE = sql("""
    select r.id from workflow_runs r
     where r.id = any(:ids) and r.status = 'completed'
       and r.attempt = (select count(*) from workflow_runs a
                         where a.run_id = r.run_id and a.attempt <= r.attempt
                           and a.status = 'completed')
       and r.attempt = (select count(distinct j.attempt) from workflow_jobs j
                         where j.run_id = r.run_id and j.attempt <= r.attempt)
       and not exists (select from workflow_jobs j
                        where j.run_id = r.run_id and j.status <> 'completed')
""")


async def whole_runs(db: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Return which attempts of runs are known as a whole: all up to them ended, with their jobs."""
    return {row.id for row in await db.execute(WHOLE, {"ids": list(ids)})}
