"""Decide what is developed: who asked for it, by label, assignment, comment, review or check.

Whoever asks is looked up by a job, since rights are GitHub's to tell; here only what cannot be a
person's wish is left out. The issue's words go along as they were in the very webhook that asked,
so that nobody can change them afterwards.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from handlers.agent_payloads import (
    Check,
    CheckRunEvent,
    CheckSuiteEvent,
    Commented,
    CommentedEvent,
    LabeledEvent,
    PullRequestEvent,
    ReviewedEvent,
    Wanted,
)
from handlers.commands import Mention, asked
from handlers.events import Decision, Job, Note
from handlers.github.cohorts import AGENT_BRANCH
from handlers.github.payloads import Event, User, latest, login
from handlers.github.source import github

FRESH = timedelta(days=4)
"""How late a wish may reach us: GitHub sends again for three days. What is older is history."""

FAILED = frozenset({"failure", "timed_out", "startup_failure"})
ASKING_REVIEWS = frozenset({"changes_requested", "commented"})

BOTS = "The agent listens to people only, neither to programs nor to itself."
HISTORY = "What was asked for days before it reached us is history, not a wish."
NOT_ITSELF = "Only an issue that is assigned to the app is a wish to have it developed."
NOTHING_ASKED = "The comment asks nothing of the agent."
UNNUMBERED = "Without a number there is nothing to develop."
NOTHING_SAID = "A review without words asks for nothing."
NOT_FAILED = "Only a check that failed asks for another run."


@github.on("issues.labeled")
def ticket_labeled(event: LabeledEvent) -> Iterator[Decision]:
    """A label may ask for development: which one does is known to the settings."""
    if event.label is None or event.issue.pull_request is not None:
        return
    if why := unheard(event, event.issue.clock):
        yield Note(why)
        return
    yield wish(event, "consider_label", event.issue, event.issue.clock, label=event.label.name)


@github.on("issues.assigned")
def ticket_assigned(event: LabeledEvent) -> Iterator[Decision]:
    """An issue that is assigned to the app is to be developed; which app we are a job knows."""
    assignee = event.assignee
    if assignee is None or not is_program(assignee):
        yield Note(NOT_ITSELF)
        return
    if why := unheard(event, event.issue.clock):
        yield Note(why)
        return
    at = event.issue.clock
    yield wish(event, "consider_assignment", event.issue, at, assignee=assignee.login)


@github.on("issues.unlabeled", "issues.closed", "issues.reopened")
def ticket_moved(event: LabeledEvent) -> Iterator[Decision]:
    """A ticket follows its issue, whoever moved that."""
    if event.received_at - event.issue.clock > FRESH:
        yield Note(HISTORY)
        return
    label = event.label.name if event.label else None
    yield Job(
        "follow_issue",
        key=f"follow_issue:github:{event.issue.id}:{event.action}:{label or ''}"[:500],
        arguments={
            "issue": f"github:{event.issue.id}",
            "action": event.action,
            "label": label,
            "at": event.issue.clock,
        },
        lane="agent",
    )


@github.on("issue_comment.created")
def ticket_commented(event: CommentedEvent) -> Iterator[Decision]:
    """A comment asks by a command or a mention; one that is edited later never does."""
    found = asked(event.comment.body or "")
    if found is None:
        yield Note(NOTHING_ASKED)
        return
    if why := unheard(event, event.comment.created_at):
        yield Note(why)
        return
    if event.issue.number is None:
        yield Note(UNNUMBERED)
        return
    mention = found if isinstance(found, Mention) else None
    command = found.command if isinstance(found, Mention) else found
    yield wish(
        event,
        "consider_comment",
        event.issue,
        event.comment.created_at,
        comment=event.comment.id,
        mention=mention.login if mention else None,
        command=dict(vars(command)),
    )


@github.on("pull_request.closed", "pull_request.reopened")
def agent_pull_request_moved(event: PullRequestEvent) -> Iterator[Decision]:
    """A ticket follows its pull request: merged, closed, or open again."""
    pr = event.pull_request
    branch = pr.branch(event.repository)
    if branch is None or pr.number is None:
        return
    if event.received_at - (latest(pr.updated_at, pr.closed_at) or event.received_at) > FRESH:
        yield Note(HISTORY)
        return
    yield Job(
        "follow_pull_request",
        key=f"follow_pull_request:github:{pr.id}",
        arguments={
            "repository": event.repository.key,
            "pull_request": f"github:{pr.id}",
            "number": pr.number,
            "branch": branch,
        },
        lane="agent",
    )


@github.on("pull_request_review.submitted")
def agent_reviewed(event: ReviewedEvent) -> Iterator[Decision]:
    """A review that asks for something is worked on, on the same branch."""
    pr, review = event.pull_request, event.review
    branch = pr.branch(event.repository)
    if branch is None or pr.number is None:
        return
    state = review.state.lower()
    said = state == "changes_requested" or bool((review.body or "").strip())
    if state not in ASKING_REVIEWS or not said:
        yield Note(NOTHING_SAID)
        return
    at = review.submitted_at or event.received_at
    if why := unheard(event, at):
        yield Note(why)
        return
    yield Job(
        "consider_review",
        key=f"consider_review:github:{review.id}",
        arguments={
            **told(event, at),
            "number": pr.number,
            "branch": branch,
            "review": review.id,
        },
        lane="agent",
    )


@github.on("check_run.completed")
def agent_check_completed(event: CheckRunEvent) -> Iterator[Decision]:
    """A check that fails on the agent's branch is its own to mend."""
    yield from failed(event, event.check_run)


@github.on("check_suite.completed")
def agent_checks_completed(event: CheckSuiteEvent) -> Iterator[Decision]:
    """Checks that fail on the agent's branch are its own to mend."""
    yield from failed(event, event.check_suite)


def failed(event: Event, check: Check) -> Iterator[Decision]:
    """Yield the order to look at a commit's checks; one order however many of them fail."""
    if not check.branch.startswith(AGENT_BRANCH):
        return
    if check.conclusion not in FAILED:
        yield Note(NOT_FAILED)
        return
    at = latest(check.completed_at, check.updated_at) or event.received_at
    if event.received_at - at > FRESH:
        yield Note(HISTORY)
        return
    yield Job(
        "consider_checks",
        key=f"consider_checks:{event.repository.key}:{check.head_sha}",
        arguments={
            "repository": event.repository.key,
            "branch": check.branch[:500],
            "sha": check.head_sha,
            "at": at,
        },
        lane="agent",
    )


def unheard(event: Event, at: datetime) -> str | None:
    """Say why nobody listens to this; None where a person has just asked."""
    if event.sender is None or is_program(event.sender):
        return BOTS
    return HISTORY if event.received_at - at > FRESH else None


def is_program(user: User) -> bool:
    """Tell whether a user is no person. One without a type is not taken for one either."""
    return user.type != "User" or user.login.lower().endswith("[bot]")


def told(event: Event, at: datetime) -> dict[str, Any]:
    """Return who asked where and when, as jobs need it."""
    assert event.sender is not None  # noqa: S101 - nobody is not heard
    return {
        "repository": event.repository.key,
        "by": {"id": event.sender.id, "login": event.sender.login},
        "at": at,
    }


def wish(event: Event, name: str, issue: Wanted | Commented, at: datetime, **more: Any) -> Job:
    """Return the order to consider a wish, with the issue's words as they are now.

    The same wish has the same key, however often it is delivered; another one has another.
    """
    arguments = {**told(event, at), "issue": words(issue), **more}
    which = more.get("comment") or f"{more.get('label') or more.get('assignee')}:{at.isoformat()}"
    key = f"{name}:github:{issue.id}:{arguments['by']['id']}:{which}"
    return Job(name, key=key[:500], arguments=arguments, lane="agent")


def words(issue: Wanted | Commented) -> Mapping[str, Any]:
    """Return an issue as it was in this webhook."""
    return {
        "id": f"github:{issue.id}",
        "number": issue.number,
        "title": issue.title or "",
        "body": issue.body or "",
        "url": issue.html_url,
        "state": issue.state or "open",
        "author": login(issue.user),
        "labels": [label.name for label in issue.labels or ()],
        "pull_request": issue.pull_request is not None,
    }
