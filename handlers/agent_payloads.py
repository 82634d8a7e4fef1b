"""GitHub's payloads as the agent reads them, each with only the fields that are read.

Where the rows of other handlers can do without a field, so can these: a payload that nobody can ask
anything with must not keep those rows from being remembered.
"""

from typing import Any

from pydantic import BaseModel

from handlers.github.cohorts import AGENT_BRANCH
from handlers.github.issues import Described
from handlers.github.payloads import (
    Count,
    Event,
    Id,
    Label,
    Name,
    Repository,
    Sha,
    Text,
    Time,
    User,
)


class Wanted(Described):
    """An issue with its words. `pull_request` is not None where it is one of those instead."""

    body: Text | None = None
    pull_request: Any = None


class LabeledEvent(Event):
    """`issues.labeled`, `issues.assigned` and what follows on them."""

    issue: Wanted
    label: Label | None = None
    assignee: User | None = None


class Commented(BaseModel):
    """The issue, or pull request, of a comment."""

    id: Id
    number: Count | None = None
    title: Text | None = None
    body: Text | None = None
    html_url: Text | None = None
    state: Text | None = None
    user: User | None = None
    labels: list[Label] | None = None
    pull_request: Any = None


class Said(BaseModel):
    """A comment with its words."""

    id: Id
    body: Text | None = None
    created_at: Time


class CommentedEvent(Event):
    """`issue_comment.created`, of issues and of pull requests."""

    issue: Commented
    comment: Said


class HeadRepository(BaseModel):
    """The repository that a pull request comes from."""

    id: Id


class Head(BaseModel):
    """The branch that a pull request comes from; without a repository its fork was deleted."""

    ref: Name | None = None
    repo: HeadRepository | None = None


class Pull(BaseModel):
    """A pull request, as little of it as is needed to know ours."""

    id: Id
    number: Count | None = None
    head: Head | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    closed_at: Time | None = None

    def branch(self, repository: Repository) -> str | None:
        """Return its branch where that is one of the agent's; None where it is anybody else's."""
        head = self.head
        if head is None or head.repo is None or head.repo.id != repository.id:
            return None
        return head.ref if head.ref and head.ref.startswith(AGENT_BRANCH) else None


class PullRequestEvent(Event):
    """`pull_request.closed` and `pull_request.reopened`."""

    pull_request: Pull


class Reviewed(BaseModel):
    """A review: whether it asks for something."""

    id: Id
    state: Name
    body: Text | None = None
    submitted_at: Time | None = None


class ReviewedEvent(Event):
    """`pull_request_review.submitted`."""

    pull_request: Pull
    review: Reviewed


class Suite(BaseModel):
    """The suite of a check: it knows the branch."""

    head_branch: Text | None = None


class Check(BaseModel):
    """A check that has ended, or a suite of them."""

    head_sha: Sha
    conclusion: Text | None = None
    head_branch: Text | None = None
    check_suite: Suite | None = None
    completed_at: Time | None = None
    updated_at: Time | None = None

    @property
    def branch(self) -> str:
        """The branch that was checked; empty where none is named."""
        return self.head_branch or (self.check_suite and self.check_suite.head_branch) or ""


class CheckRunEvent(Event):
    """`check_run.completed`."""

    check_run: Check


class CheckSuiteEvent(Event):
    """`check_suite.completed`."""

    check_suite: Check
