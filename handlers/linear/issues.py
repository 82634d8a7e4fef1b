"""Remember Linear's issues, and what they ask for: incidents, links, development."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from pydantic import AliasChoices, Field

import models
from handlers.events import Decision, Job, Note
from handlers.linear.payloads import (
    Count,
    Event,
    Id,
    Label,
    Labels,
    Name,
    Named,
    Person,
    State,
    Team,
    Text,
    Time,
    Told,
    key,
    maybe_key,
    people,
)
from handlers.linear.source import linear
from handlers.references import references
from models.columns import Fact

FRESH = timedelta(days=1)
"""How late a wish may reach us: Linear sends again for seven hours. What is older is history."""

KNOWN, RICHER, GONE = 0, 1, 2
BOTS = "The agent listens to people only, neither to programs nor to itself."
HISTORY = "What was asked for a day before it reached us is history, not a wish."


class Issue(Told):
    """An issue, as webhooks and the API describe it. `trashed`: it is deleted, for 30 days."""

    id: Id
    identifier: Name
    number: Count
    title: Text = ""
    description: Text | None = None
    url: Text | None = None
    team_id: Id | None = None
    team: Team | None = None
    project_id: Id | None = None
    project: Named | None = None
    cycle_id: Id | None = None
    cycle: Named | None = None
    state: State | None = None
    labels: Labels = Field(default_factory=list)
    priority: Count | None = None
    estimate: float | None = None
    assignee_id: Id | None = None
    assignee: Person | None = None
    creator_id: Id | None = None
    creator: Person | None = None
    previous_identifiers: list[Name] = Field(default_factory=list)
    created_at: Time
    updated_at: Time
    started_at: Time | None = None
    completed_at: Time | None = None
    canceled_at: Time | None = None
    trashed: bool | None = None

    @property
    def key(self) -> str:
        """The key of the issue."""
        return key(self.id)

    @property
    def team_key(self) -> str:
        """The key of the issue's team."""
        return key(self.team_id or (self.team.id if self.team else ""))


class IssueEvent(Event):
    """`Issue`: created, updated, removed or restored."""

    issue: Issue = Field(validation_alias=AliasChoices("data", "issue"))


@linear.on("Issue")
def issue_changed(event: IssueEvent) -> Iterator[Decision]:
    """An issue may be an incident by its labels, and may belong to pull requests by its name."""
    issue, at = event.issue, event.clock(event.issue.updated_at)
    yield from people(event, at, issue.assignee, issue.creator)
    if issue.team and issue.team.key:
        yield team(issue.team, at)
    yield remembered(issue, at, rank=GONE if event.removed else KNOWN, deleted=event.removed)
    yield link_issues(event.organization_id, at)
    if issue.labels or event.removed or "labelIds" in (event.updated_from or {}):
        yield follow_incident(issue)


@linear.on("Issue.create", "Issue.update")
def issue_labeled(event: IssueEvent) -> Iterator[Decision]:
    """A label may ask for development: which one does is known to the settings."""
    added = labels_added(event)
    actor, at = event.actor, event.created_at or event.issue.updated_at
    if not added:
        return
    if actor is None or not actor.id or actor.type not in (None, "user"):
        yield Note(BOTS)
        return
    if event.received_at - at > FRESH:
        yield Note(HISTORY)
        return
    for label in added:
        wished = f"consider_linear_label:{event.issue.key}:{actor.id}:{label.name}"
        yield Job(
            "consider_linear_label",
            key=f"{wished[:400]}:{at.isoformat()}",
            arguments={
                "issue": words(event.issue),
                "label": label.name,
                "by": {"id": actor.id, "name": actor.name, "email": actor.email},
                "at": at,
            },
            lane="agent",
        )


def labels_added(event: IssueEvent) -> list[Label]:
    """Return the labels that were put on by this very change."""
    if event.action == "create":
        return event.issue.labels
    before = (event.updated_from or {}).get("labelIds")
    if not isinstance(before, list):
        return []
    return [label for label in event.issue.labels if label.id not in before]


def words(issue: Issue) -> dict[str, Any]:
    """Return an issue as it was when somebody asked for it."""
    return {
        "id": issue.key,
        "identifier": issue.identifier,
        "title": issue.title,
        "description": issue.description or "",
        "url": issue.url,
        "team": issue.team_key,
        "project": maybe_key(issue.project_id, issue.project),
        "priority": issue.priority,
        "labels": [label.name for label in issue.labels],
    }


def remembered(
    issue: Issue, at: datetime, *, rank: int = KNOWN, deleted: bool = False
) -> models.LinearIssue:
    """Return the row of an issue: of its description only what it refers to."""
    return models.LinearIssue(
        id=issue.key,
        changed_at=at,
        rank=rank,
        identifier=issue.identifier,
        number=issue.number,
        title=issue.title,
        url=issue.url,
        team_id=issue.team_key,
        project_id=maybe_key(issue.project_id, issue.project),
        cycle_id=maybe_key(issue.cycle_id, issue.cycle),
        state_name=issue.state.name if issue.state else None,
        state_type=issue.state.type if issue.state else None,
        labels=sorted(label.name for label in issue.labels),
        priority=issue.priority,
        estimate=issue.estimate,
        assignee_id=maybe_key(issue.assignee_id, named(issue.assignee)),
        creator_id=maybe_key(issue.creator_id, named(issue.creator)),
        previous_identifiers=list(issue.previous_identifiers),
        mentions=references(f"{issue.title}\n{issue.description or ''}"),
        created_at=issue.created_at,
        started_at=issue.started_at,
        completed_at=issue.completed_at,
        canceled_at=issue.canceled_at,
        deleted=deleted or bool(issue.trashed),
    )


def named(person: Person | None) -> Named | None:
    """Return somebody by their id alone."""
    return Named(id=person.id) if person else None


def team(told: Team, at: datetime, *, deleted: bool = False) -> Fact:
    """Return the row of a team."""
    short = told.key or ""
    return models.LinearTeam(
        id=key(told.id), changed_at=at, key=short, name=told.name or short, deleted=deleted
    )


def link_issues(organization_id: str, since: datetime) -> Job:
    """Order that what changed in Linear since a time be tied to pull requests, or untied."""
    return Job("link_issues", key=f"link_issues:linear:{organization_id}", since=since)


def follow_incident(issue: Issue) -> Job:
    """Order that it be looked at whether an issue is an incident."""
    return Job(
        "follow_incident",
        key=f"follow_incident:{issue.key}",
        arguments={"incident": issue.key},
    )
