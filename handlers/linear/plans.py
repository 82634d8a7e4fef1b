"""Remember what Linear plans with: projects, cycles and labels."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import AliasChoices, Field

import models
from handlers.events import Decision
from handlers.linear.payloads import (
    Count,
    Event,
    Id,
    Name,
    Named,
    State,
    Text,
    Time,
    Told,
    key,
    people,
)
from handlers.linear.source import linear

KNOWN, GONE = 0, 1
DATA = AliasChoices("data", "thing")


class Project(Told):
    """A project; older payloads tell its state beside its status."""

    id: Id
    name: Name
    state: Text | None = None
    status: State | None = None
    url: Text | None = None
    started_at: Time | None = None
    completed_at: Time | None = None
    updated_at: Time
    trashed: bool | None = None


class Cycle(Told):
    """A cycle of a team."""

    id: Id
    team_id: Id | None = None
    team: Named | None = None
    number: Count
    name: Text | None = None
    starts_at: Time
    ends_at: Time
    completed_at: Time | None = None
    updated_at: Time


class Labelled(Told):
    """A label that issues can have."""

    id: Id
    name: Name
    updated_at: Time


class ProjectEvent(Event):
    """`Project`: created, updated, removed or restored."""

    project: Project = Field(validation_alias=DATA)


class CycleEvent(Event):
    """`Cycle`: created, updated or removed."""

    cycle: Cycle = Field(validation_alias=DATA)


class LabelEvent(Event):
    """`IssueLabel`: created, updated or removed."""

    label: Labelled = Field(validation_alias=DATA)


@linear.on("Project")
def project_changed(event: ProjectEvent) -> Iterator[Decision]:
    """A project groups issues and may be mapped to a repository."""
    at = event.clock(event.project.updated_at)
    yield from people(event, at)
    yield project(event.project, at, deleted=event.removed)


@linear.on("Cycle")
def cycle_changed(event: CycleEvent) -> Iterator[Decision]:
    """A cycle is a team's period of work."""
    at = event.clock(event.cycle.updated_at)
    yield from people(event, at)
    yield cycle(event.cycle, at, deleted=event.removed)


@linear.on("IssueLabel")
def label_changed(event: LabelEvent) -> Iterator[Decision]:
    """A label may say that an issue is an incident, or wanted of the agent."""
    at = event.clock(event.label.updated_at)
    yield from people(event, at)
    yield label(event.label, at, deleted=event.removed)


def project(told: Project, at: datetime, *, deleted: bool = False) -> models.LinearProject:
    """Return the row of a project."""
    return models.LinearProject(
        id=key(told.id),
        changed_at=at,
        rank=GONE if deleted else KNOWN,
        name=told.name,
        state=(told.status.type if told.status else None) or told.state,
        url=told.url,
        started_at=told.started_at,
        completed_at=told.completed_at,
        deleted=deleted or bool(told.trashed),
    )


def cycle(told: Cycle, at: datetime, *, deleted: bool = False) -> models.LinearCycle:
    """Return the row of a cycle."""
    return models.LinearCycle(
        id=key(told.id),
        changed_at=at,
        rank=GONE if deleted else KNOWN,
        team_id=key(told.team_id or (told.team.id if told.team else "")),
        number=told.number,
        name=told.name,
        starts_at=told.starts_at,
        ends_at=told.ends_at,
        completed_at=told.completed_at,
        deleted=deleted,
    )


def label(told: Labelled, at: datetime, *, deleted: bool = False) -> models.LinearLabel:
    """Return the row of a label."""
    return models.LinearLabel(
        id=key(told.id),
        changed_at=at,
        rank=GONE if deleted else KNOWN,
        name=told.name,
        deleted=deleted,
    )
