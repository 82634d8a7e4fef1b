"""Remember checks: what the agent reads of its own work."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

import models
from handlers.events import Decision
from handlers.github.payloads import App, Event, Id, Name, Sha, Text, Time, latest
from handlers.github.repositories import seen
from handlers.github.source import github
from models.columns import EPOCH

STATUS_RANKS = {"in_progress": 1, "completed": 2}


class Mentioned(BaseModel):
    """The suite of a check."""

    id: Id


class Check(BaseModel):
    """One check of one commit. It has no clock but when it started and completed."""

    id: Id
    head_sha: Sha
    name: Text
    app: App | None = None
    check_suite: Mentioned | None = None
    status: Name
    conclusion: Text | None = None
    started_at: Time | None = None
    completed_at: Time | None = None
    html_url: Text | None = None

    @property
    def clock(self) -> datetime:
        """When this was its state."""
        return latest(self.started_at, self.completed_at) or EPOCH


class Suite(BaseModel):
    """All checks of one app on one commit."""

    id: Id
    head_sha: Sha
    head_branch: Text | None = None
    app: App | None = None
    status: Text | None = None
    conclusion: Text | None = None
    created_at: Time | None = None
    updated_at: Time | None = None


class CheckRunEvent(Event):
    """`check_run.*`."""

    check_run: Check


class CheckSuiteEvent(Event):
    """`check_suite.*`."""

    check_suite: Suite


@github.on("check_run")
def check_run_changed(event: CheckRunEvent) -> Iterator[Decision]:
    """A check, from Actions or another app, as it stands."""
    check = event.check_run
    yield from seen(event, check.clock)
    yield models.CheckRun(
        id=f"github:{check.id}",
        changed_at=check.clock,
        rank=STATUS_RANKS.get(check.status, 0),
        repository_id=event.repository.key,
        head_sha=check.head_sha,
        name=check.name,
        app_slug=check.app.slug if check.app else None,
        suite_id=f"github:{check.check_suite.id}" if check.check_suite else None,
        status=check.status,
        conclusion=check.conclusion,
        started_at=check.started_at,
        completed_at=check.completed_at,
        url=check.html_url,
    )


@github.on("check_suite")
def check_suite_changed(event: CheckSuiteEvent) -> Iterator[Decision]:
    """All checks of one app on one commit, as they stand."""
    suite = event.check_suite
    at = suite.updated_at or suite.created_at or EPOCH
    yield from seen(event, at)
    yield models.CheckSuite(
        id=f"github:{suite.id}",
        changed_at=at,
        rank=STATUS_RANKS.get(suite.status or "", 0),
        repository_id=event.repository.key,
        head_sha=suite.head_sha,
        branch=suite.head_branch,
        app_slug=suite.app.slug if suite.app else None,
        status=suite.status,
        conclusion=suite.conclusion,
    )
