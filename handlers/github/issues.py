"""Remember issues, and that somebody commented on them; the words of comments are not kept."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

import models
from handlers.events import Decision, Job
from handlers.github.cohorts import commenter_cohort
from handlers.github.payloads import (
    Count,
    Event,
    Id,
    Label,
    Name,
    Text,
    Time,
    User,
    key,
    link_issues,
    login,
)
from handlers.github.repositories import seen
from handlers.github.source import github
from handlers.references import references

OPENED, OPEN, CLOSED, GONE = 0, 1, 2, 3
LEAVING = frozenset({"deleted", "transferred"})
UNMAKING = LEAVING | {"unlabeled"}
"""What may end that an issue is an incident; else only one with labels can be one."""


class Described(BaseModel):
    """An issue as its own events describe it. `issues.unpinned` has been seen without a state."""

    id: Id
    number: Count
    title: Text | None = None
    body: Text | None = None
    html_url: Text | None = None
    state: Name | None = None
    user: User | None = None
    labels: list[Label] | None = None
    created_at: Time
    updated_at: Time | None = None
    closed_at: Time | None = None

    @property
    def clock(self) -> datetime:
        """When this was its state."""
        return self.updated_at or self.closed_at or self.created_at

    @property
    def standing(self) -> str:
        """Open or closed."""
        return self.state or ("closed" if self.closed_at else "open")


class IssueEvent(Event):
    """`issues.*`."""

    issue: Described


class Mentioned(BaseModel):
    """The issue, or pull request, of a comment."""

    id: Id


class Comment(BaseModel):
    """A comment without its words."""

    id: Id
    user: User | None = None
    created_at: Time
    updated_at: Time | None = None


class IssueCommentEvent(Event):
    """`issue_comment.*`, of issues and of pull requests."""

    issue: Mentioned
    comment: Comment


@github.on("issues")
def issue_changed(event: IssueEvent) -> Iterator[Decision]:
    """A transferred issue lives on under another id, so it is gone here like a deleted one."""
    issue = event.issue
    yield from seen(event, issue.clock, issue.user)
    yield models.Issue(
        id=f"github:{issue.id}",
        changed_at=issue.clock,
        rank=rank(event),
        repository_id=event.repository.key,
        number=issue.number,
        title=issue.title or "",
        url=issue.html_url,
        state=issue.standing,
        author_login=login(issue.user),
        labels=[label.name for label in issue.labels or ()],
        created_at=issue.created_at,
        closed_at=issue.closed_at,
        mentions=references(
            f"{issue.title or ''}\n{issue.body or ''}", repository=event.repository.full_name
        ),
        deleted=event.action in LEAVING,
    )
    yield link_issues(event.repository, issue.clock)
    if issue.labels or event.action in UNMAKING:
        thing = f"github:{issue.id}"
        yield Job("follow_incident", key=f"follow_incident:{thing}", arguments={"incident": thing})


@github.on("issue_comment")
def issue_comment_changed(event: IssueCommentEvent) -> Iterator[Decision]:
    """That somebody commented is kept, what they wrote is not."""
    comment = event.comment
    at = comment.updated_at or comment.created_at
    deleted = event.action == "deleted"
    yield from seen(event, at, comment.user)
    yield models.IssueComment(
        id=f"github:{comment.id}",
        changed_at=at,
        rank=int(deleted),
        repository_id=event.repository.key,
        issue_id=f"github:{event.issue.id}",
        author_id=key(comment.user),
        author_login=login(comment.user),
        cohort=commenter_cohort(comment.user),
        created_at=comment.created_at,
        deleted=deleted,
    )


def rank(event: IssueEvent) -> int:
    """Order what happened within one second: gone, closed, open, just opened."""
    if event.action in LEAVING:
        return GONE
    if event.issue.standing == "closed":
        return CLOSED
    return OPENED if event.action == "opened" else OPEN
