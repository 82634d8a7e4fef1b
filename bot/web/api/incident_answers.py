"""How incidents look over the API: with their place, what they blame, and what was said of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from models import incident_screens as asked

Severity = Literal["sev1", "sev2", "sev3", "sev4"]
State = Literal["investigating", "identified", "monitoring", "resolved"]
PLACE = "place_"


class Place(BaseModel):
    """Which repository and service an incident is about, and how we know; None: not known."""

    repository_id: str | None
    repository: str | None
    service_id: str | None
    service: str | None
    reason: str


class Blamed(BaseModel):
    """A deployment that an incident blames. `evidence`: hand, named, remedy or window.

    `by`, `linked_at`: who linked it by hand, and when; None where nobody did.
    """

    deployment_id: str
    service_deployment_id: str
    repository: str | None
    service: str
    environment: str
    sha: str
    kind: str | None
    finished_at: datetime
    url: str | None
    evidence: str
    reason: str
    by: str | None
    linked_at: datetime | None


class Incident(BaseModel):
    """An incident. `repository_id`, `service`: as told; what is concluded is in `place`.

    `resolved_at` is None while it is open. `corrected`: the fields that a person corrected.
    """

    id: str
    key: str
    source: str
    title: str
    url: str | None
    channel: str | None
    severity: str | None
    state: State
    environment: str
    environment_class: str
    repository_id: str | None
    service: str | None
    place: Place | None
    started_at: datetime
    detected_at: datetime
    resolved_at: datetime | None
    opened_why: str
    resolved_why: str | None
    corrected: list[str]
    dismissed: bool
    deployments: list[Blamed]


class Step(BaseModel):
    """One thing in an incident's course.

    `kind`: opened, message (of its thread), update, correction, link, unlink or resolved.
    `state`: what an update says it is in.
    """

    at: datetime
    kind: str
    by: str | None
    body: str
    state: str | None


class Candidate(BaseModel):
    """A deployment that an incident could blame."""

    deployment_id: str
    repository: str | None
    service: str
    environment: str
    sha: str
    kind: str | None
    finished_at: datetime


class PostMortem(BaseModel):
    """What was learnt, in Markdown; by whom and when it was written."""

    body: str
    by: str | None
    at: datetime


class WholeIncident(Incident):
    """An incident with its words, what they refer to, its course and what it could blame."""

    detail: str
    names: list[str]
    timeline: list[Step]
    post_mortem: PostMortem | None
    candidates: list[Candidate]


async def told(db: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> list[Incident]:
    """Return incidents with what they blame."""
    blamed = await asked.blamed(db, [row["id"] for row in rows])
    return [Incident(**described(row, blamed.get(row["id"], []))) for row in rows]


async def whole(db: AsyncConnection, organization_id: str, row: Mapping[str, Any]) -> WholeIncident:
    """Return an incident with everything that is known of it."""
    ids = [row["id"]]
    story = await asked.story(db, organization_id, row["id"])
    hands = (await asked.by_hand(db, ids)).get(row["id"], ())
    blamed = (await asked.blamed(db, ids)).get(row["id"], ())
    could = (await asked.candidates(db, ids)).get(row["id"], ())
    steps = [*course(row), *said(story), *linked(hands)]
    return WholeIncident(
        **described(row, blamed),
        detail=row["detail"],
        names=row["names"],
        timeline=sorted(steps, key=lambda step: step.at),
        post_mortem=PostMortem(**story.post_mortem) if story.post_mortem else None,
        candidates=[Candidate(**each) for each in could],
    )


def described(row: Mapping[str, Any], blamed: Sequence[Any]) -> dict[str, Any]:
    """Return an incident's row as the API tells it."""
    names = (name for name in Place.model_fields if name != "reason")
    reason = row["place_reason"]
    place = Place(reason=reason, **{name: row[PLACE + name] for name in names}) if reason else None
    deployments = [Blamed(**{**each, "linked_at": each["at"]}) for each in blamed]
    return {
        **{name: row[name] for name in Incident.model_fields if name in row},
        "place": place,
        "deployments": deployments,
    }


def course(row: Mapping[str, Any]) -> Iterator[Step]:
    """Yield how an incident began and ended."""
    yield Step(at=row["started_at"], kind="opened", by=None, body=row["opened_why"], state=None)
    if row["resolved_at"]:
        body = row["resolved_why"] or ""
        yield Step(at=row["resolved_at"], kind="resolved", by=None, body=body, state="resolved")


def said(story: asked.Story) -> Iterator[Step]:
    """Yield what was said and corrected."""
    for row in story.messages:
        body, by = row["words"], row["author_name"]
        yield Step(at=row["posted_at"], kind="message", by=by, body=body, state=None)
    for row in story.updates:
        yield Step(kind="update", **{name: row[name] for name in ("at", "by", "body", "state")})
    for row in story.corrections:
        body = f"{row['field']}: {row['value']}" if row["value"] else f"{row['field']} as told"
        yield Step(at=row["at"], kind="correction", by=row["by"], body=body, state=None)


def linked(hands: Sequence[Any]) -> Iterator[Step]:
    """Yield which deployments people linked and unlinked."""
    for row in hands:
        kind = "link" if row["linked"] else "unlink"
        yield Step(at=row["at"], kind=kind, by=row["by"], body=row["deployment_id"], state=None)
