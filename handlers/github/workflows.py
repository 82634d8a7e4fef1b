"""Remember Actions: workflows, each attempt of their runs, and the jobs in them."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath

from pydantic import BaseModel

import models
from handlers.events import Decision
from handlers.github.payloads import (
    Count,
    Event,
    Id,
    Name,
    Sha,
    Text,
    Time,
    User,
    latest,
    login,
    measure_builds,
)
from handlers.github.repositories import seen
from handlers.github.source import github

QUEUED, RUNNING, COMPLETED = 0, 1, 2
STATUS_RANKS = {"in_progress": RUNNING, "completed": COMPLETED}
PLATFORMS = ("ios", "android", "mobile")
LETTERS = re.compile(r"[a-z]+")
FAILED = frozenset({"failure", "timed_out"})


class Workflow(BaseModel):
    """A workflow file."""

    id: Id
    name: Text | None = None
    path: Text | None = None
    state: Text | None = None
    html_url: Text | None = None
    created_at: Time | None = None
    updated_at: Time | None = None


class Run(BaseModel):
    """One attempt of a workflow run."""

    id: Id
    run_attempt: Count | None = None
    workflow_id: Id
    name: Text | None = None
    path: Text | None = None
    event: Text | None = None
    head_branch: Text | None = None
    head_sha: Sha
    status: Name
    conclusion: Text | None = None
    created_at: Time
    run_started_at: Time | None = None
    updated_at: Time | None = None
    actor: User | None = None
    html_url: Text | None = None

    @property
    def attempt(self) -> int:
        """Which attempt it is; the first is 1."""
        return self.run_attempt or 1

    @property
    def clock(self) -> datetime:
        """When this was its state."""
        return self.updated_at or self.started_at

    @property
    def rank(self) -> int:
        """Its place among the states of one second."""
        return STATUS_RANKS.get(self.status, QUEUED)

    @property
    def started_at(self) -> datetime:
        """When the attempt started."""
        return self.run_started_at or self.created_at

    @property
    def completed_at(self) -> datetime | None:
        """When it ended; None while it runs."""
        return self.clock if self.status == "completed" else None


class WorkflowRunEvent(Event):
    """`workflow_run.*`. Old recordings have no `workflow`, or a null one."""

    workflow_run: Run
    workflow: Workflow | None = None

    @property
    def name(self) -> str:
        """The workflow's name, which a run's own name need not be."""
        return (self.workflow and self.workflow.name) or self.workflow_run.name or ""

    @property
    def path(self) -> str | None:
        """The workflow's file, without the ref that it was read at."""
        path = self.workflow_run.path or (self.workflow and self.workflow.path)
        return path.partition("@")[0] if path else None

    @property
    def stem(self) -> str:
        """The name of the workflow's file, without its ending."""
        return PurePosixPath(self.path or "").stem


class Step(BaseModel):
    """One step of a job."""

    name: Text | None = None
    conclusion: Text | None = None


class Job(BaseModel):
    """One job of a workflow run."""

    id: Id
    run_id: Id
    run_attempt: Count | None = None
    name: Text
    status: Name
    conclusion: Text | None = None
    started_at: Time | None = None
    completed_at: Time | None = None
    html_url: Text | None = None
    steps: list[Step] | None = None


class WorkflowJobEvent(Event):
    """`workflow_job.*`."""

    workflow_job: Job


@github.on("workflow_run")
def workflow_run_changed(event: WorkflowRunEvent) -> Iterator[Decision]:
    """Each attempt of a run is a row of its own: a re-run does not hide that the first failed."""
    run = event.workflow_run
    yield from seen(event, run.clock, run.actor)
    if event.workflow and event.workflow.path:
        yield described(event, event.workflow)
    yield models.WorkflowRun(
        id=f"github:{run.id}/{run.attempt}",
        changed_at=run.clock,
        rank=run.rank,
        repository_id=event.repository.key,
        run_id=f"github:{run.id}",
        attempt=run.attempt,
        workflow_id=f"github:{run.workflow_id}",
        name=event.name,
        path=event.path,
        platform=platform(event.name, event.stem),
        event=run.event,
        branch=run.head_branch,
        head_sha=run.head_sha,
        status=run.status,
        conclusion=run.conclusion,
        started_at=run.started_at,
        completed_at=run.completed_at,
        actor_login=login(run.actor),
        url=run.html_url,
    )
    yield measure_builds(event.repository, run.started_at)


@github.on("workflow_job")
def workflow_job_changed(event: WorkflowJobEvent) -> Iterator[Decision]:
    """A job only moves from queued to completed, so its status alone says which news is newest."""
    job = event.workflow_job
    yield from seen(event, latest(job.started_at, job.completed_at) or event.received_at)
    yield models.WorkflowJob(
        id=f"github:{job.id}",
        rank=STATUS_RANKS.get(job.status, QUEUED),
        repository_id=event.repository.key,
        run_id=f"github:{job.run_id}",
        attempt=job.run_attempt or 1,
        name=job.name,
        status=job.status,
        conclusion=job.conclusion,
        failed_step=failed_step(job),
        started_at=job.started_at,
        completed_at=job.completed_at,
        url=job.html_url,
    )
    times = [time for time in (job.started_at, job.completed_at) if time]
    yield measure_builds(event.repository, min(times, default=event.received_at))


def described(event: WorkflowRunEvent, workflow: Workflow) -> models.Workflow:
    """Return the row of a workflow."""
    return models.Workflow(
        id=f"github:{workflow.id}",
        changed_at=workflow.updated_at or workflow.created_at or event.workflow_run.created_at,
        repository_id=event.repository.key,
        name=workflow.name or "",
        path=workflow.path or "",
        state=workflow.state,
        url=workflow.html_url,
    )


def platform(name: str, stem: str) -> str | None:
    """Return ios, android or mobile where a workflow's name, or else its file's, has the word."""
    for spoken in (name, stem):
        words = LETTERS.findall(spoken.lower())
        for found in PLATFORMS:
            if found in words:
                return found
    return None


def failed_step(job: Job) -> str | None:
    """Return the name of the first step that failed; None when none did."""
    return next((step.name for step in job.steps or () if step.conclusion in FAILED), None)
