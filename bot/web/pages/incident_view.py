"""What the Incidents screens say: states as shapes and words, and what happened in its order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.web import words
from models.incident_screens import Row, Story
from models.incidents import IncidentState

SOURCES = {"slack": "Slack", "github": "GitHub", "linear": "Linear", "api": "the API"}
FIELDS = {
    "repository_id": "repository",
    "started_at": "beginning",
    "resolved_at": "end",
    "dismissed": "being an incident",
}
PILLS = {"sev1": "low", "sev2": "medium", "sev3": "high", "sev4": "high"}


@dataclass(frozen=True)
class Said:
    """A state as a shape, its words and its colour."""

    words: str
    icon: str
    kind: str


SHAPES = {
    IncidentState.INVESTIGATING: Said("investigating", "failed", "failed"),
    IncidentState.IDENTIFIED: Said("identified", "working", "asking"),
    IncidentState.MONITORING: Said("monitoring", "waiting", "working"),
    IncidentState.RESOLVED: Said("resolved", "settled", "settled"),
}


@dataclass(frozen=True)
class Moment:
    """Something that happened to an incident. `state` is one that it came into, as a shape.

    `by` is None where nobody in particular did it, `body` where there is nothing more to say.
    """

    at: datetime
    says: str
    by: str | None = None
    body: str | None = None
    state: Said | None = None


@dataclass(frozen=True)
class Blame:
    """A deployment that an incident blames, and how we know; `pending`: a person just said so."""

    deployment: Row
    reason: str
    evidence: str
    pending: bool = False


def shape(state: str) -> Said:
    """Return a state as shape and words; one that nobody knows is said as it is."""
    known = SHAPES.get(IncidentState(state)) if state in set(IncidentState) else None
    return known or Said(state, "waiting", "")


def lasted(incident: Row, now: datetime) -> float:
    """Return how many seconds an incident lasted, or has lasted."""
    end = incident["resolved_at"] or now
    return max(0.0, float((end - incident["started_at"]).total_seconds()))


def place(incident: Row) -> str:
    """Say where an incident is: its repository and service, as far as they are known."""
    service = incident["place_service"] or incident["service"] or incident["environment"]
    return " ".join(filter(None, (incident["repository"], service)))


def blames(derived: Sequence[Row], by_hand: Sequence[Row]) -> list[Blame]:
    """Return what an incident blames: as derived, corrected at once by what people just said."""
    said = {row["deployment_id"]: row for row in by_hand}
    known = {row["deployment_id"] for row in derived}
    told = [
        Blame(row, by_whom(row) if row["evidence"] == "hand" else row["reason"], row["evidence"])
        for row in derived
        if row["deployment_id"] not in said or said[row["deployment_id"]]["linked"]
    ]
    return told + [
        Blame(row, by_whom(row), "hand", pending=True)
        for row in by_hand
        if row["linked"] and row["deployment_id"] not in known
    ]


def by_whom(row: Row) -> str:
    """Say who linked a deployment, by the name they have now."""
    return f"linked by hand by {row['by'] or 'somebody'}"


def timeline(incident: Row, story: Story, by_hand: Sequence[Row]) -> list[Moment]:
    """Return what happened to an incident, oldest first."""
    moments = [
        *ends(incident),
        *(said_message(row) for row in story.messages),
        *(said_update(row) for row in story.updates),
        *(said_correction(row) for row in story.corrections),
        *(said_link(row) for row in by_hand),
    ]
    return sorted(moments, key=lambda moment: moment.at)


def ends(incident: Row) -> Iterator[Moment]:
    """Yield its beginning, why it counts as an incident, and its end."""
    yield Moment(incident["started_at"], "It began", state=SHAPES[IncidentState.INVESTIGATING])
    why = f"Opened: {incident['opened_why']}"
    yield Moment(incident["detected_at"], why, incident["opened_by"])
    if incident["resolved_at"]:
        because = incident["resolved_why"] or "it ended"
        state = SHAPES[IncidentState.RESOLVED]
        by = incident["resolved_by"]
        yield Moment(incident["resolved_at"], f"Ended: {because}", by, state=state)


def said_message(row: Row) -> Moment:
    """Say a message of its thread."""
    author = row["author_name"] or "somebody"
    said = "A tool wrote" if row["bot"] else "Wrote"
    return Moment(row["posted_at"], said, author, row["words"])


def said_update(row: Row) -> Moment:
    """Say what a person said of its course."""
    state = shape(row["state"]) if row["state"] else None
    return Moment(row["at"], "Said" if state else "Noted", row["by"], row["body"], state)


def said_correction(row: Row) -> Moment:
    """Say what a person corrected."""
    name = FIELDS.get(row["field"], row["field"])
    if row["field"] == "dismissed":
        said = "Dismissed: it was no incident" if row["value"] == "true" else "It was one after all"
    elif row["value"] is None:
        said = f"Took back the correction of its {name}"
    else:
        said = f"Corrected its {name} to {readable(row)}"
    return Moment(row["at"], said, row["by"])


def readable(row: Row) -> str:
    """Say a corrected value: times as times."""
    if row["field"] in ("started_at", "resolved_at"):
        return words.clock(datetime.fromisoformat(row["value"]))
    return str(row["value"])


def said_link(row: Row) -> Moment:
    """Say what a person linked or unlinked."""
    named = " ".join(filter(None, (row["repository"], (row["sha"] or "")[:7])))
    said = "Linked" if row["linked"] else "Unlinked"
    return Moment(row["at"], f"{said} {named or row['deployment_id']}", row["by"])
