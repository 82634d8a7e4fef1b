"""What is an incident, by what its source says and what people corrected (METRICS.md). Pure.

A source's own thing (a Slack thread, a labelled issue, a report) becomes `Told`, or nothing.
`incident_of` puts corrections and updates on top. The same facts, settings, corrections and
updates give the same incident, whatever their order.
"""

import re
from base64 import b32encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import models
from handlers.github.environments import class_of_name
from models.incident_reading import ENVIRONMENT, Reading, fits
from models.incidents import SEVERITIES, IncidentState
from models.patterns import found, lines

CLASSES = ("production", "staging", "transient", "other")
LONGEST_TITLE = 200
LONGEST_DETAIL = 4_000
CLAUSE = re.compile(r"[.,;!?:()\u2013\u2014]+(?=\s|$)|\b(?:but|and)\b", re.IGNORECASE)
DENIED = re.compile(
    r"\b(?:no|not|never|without|isnt|wasnt|cannot|nothing)\b|n['\u2019]t\b", re.IGNORECASE
)
DENIED_WORDS = 3
ENDS_IN = {
    "completed_at": "completed in Linear",
    "canceled_at": "cancelled in Linear",
}


@dataclass(frozen=True)
class End:
    """Something that ends an incident: when, why in words, by whom."""

    at: datetime
    why: str
    by: str | None = None


@dataclass(frozen=True)
class Told:
    """An incident as its source tells it. `ends`: everything that ends it and is not undone."""

    id: str
    source: str
    title: str
    detail: str
    started_at: datetime
    detected_at: datetime
    opened_why: str
    opened_by: str | None = None
    url: str | None = None
    channel: str | None = None
    severity: str | None = None
    environment: str = ENVIRONMENT
    repository_id: str | None = None
    service: str | None = None
    ends: tuple[End, ...] = ()
    names: tuple[str, ...] = ()


def incident_key(incident_id: str) -> str:
    """Return an incident's name for people: `INC-` and seven letters and digits of a hash."""
    digest = blake2b(incident_id.encode(), digest_size=5).digest()
    return f"INC-{b32encode(digest).decode()[:7]}"


def environment_class(environment: str) -> str:
    """Return the class of what was configured or said: a class itself, or an environment's name."""
    return environment if environment in CLASSES else class_of_name(environment)


def severity_of(said: str | Iterable[str], reading: Reading) -> str | None:
    """Return the severity that a text names, the last word winning, or the worst of labels.

    None where none is named, or only in a denial ("not a sev1").
    """
    if isinstance(said, str):
        named = [
            (number, match.start(), severity)
            for number, line in enumerate(lines(said))
            for severity in SEVERITIES
            for match in found(reading.severities.get(severity, ()), line)
            if not denied(line[: match.start()])
        ]
        return max(named)[2] if named else None
    return min((each for label in said if (each := severity_of(label, reading))), default=None)


def denied(before: str) -> bool:
    """Tell whether what stands before a word, in its clause and close by, denies it."""
    clause = CLAUSE.split(before)[-1]
    return bool(DENIED.search(" ".join(clause.split()[-DENIED_WORDS:])))


def incident_of_issue(issue: models.Issue, reading: Reading) -> Told | None:
    """Return the incident that a GitHub issue is by its labels, from its opening to its closing."""
    label = incident_label(issue.labels, reading)
    if issue.deleted or label is None:
        return None
    closed = issue.closed_at if issue.state == "closed" else None
    return Told(
        id=issue.id,
        source="github",
        title=issue.title[:LONGEST_TITLE],
        detail=issue.title[:LONGEST_DETAIL],
        started_at=issue.created_at,
        detected_at=issue.created_at,
        opened_why=f"labelled \u201c{label}\u201d",
        opened_by=f"github:login:{issue.author_login.lower()}" if issue.author_login else None,
        url=issue.url,
        severity=severity_of(issue.labels, reading) or severity_of(issue.title, reading),
        repository_id=issue.repository_id,
        ends=(End(closed, "the issue was closed"),) if closed else (),
        names=tuple(issue.mentions),
    )


def incident_of_linear(
    issue: models.LinearIssue, reading: Reading, repository_id: str | None = None
) -> Told | None:
    """Return the incident that a Linear issue is by its labels, until it is done or cancelled.

    `repository_id`: the repository that its project or team is mapped to.
    """
    label = incident_label(issue.labels, reading)
    if issue.deleted or label is None:
        return None
    times = {name: getattr(issue, name) for name in ENDS_IN}
    return Told(
        id=issue.id,
        source="linear",
        title=issue.title[:LONGEST_TITLE],
        detail=issue.title[:LONGEST_DETAIL],
        started_at=issue.created_at,
        detected_at=issue.created_at,
        opened_why=f"labelled \u201c{label}\u201d",
        opened_by=issue.creator_id,
        url=issue.url,
        severity=severity_of(issue.labels, reading) or severity_of(issue.title, reading),
        repository_id=repository_id,
        ends=tuple(End(at, ENDS_IN[name]) for name, at in times.items() if at),
        names=tuple(issue.mentions),
    )


def incident_label(labels: Sequence[str], reading: Reading) -> str | None:
    """Return the first label, by name, that makes an issue an incident."""
    named = (label for label in sorted(labels) if any(fits(each, label) for each in reading.labels))
    return next(named, None)


def incident_of_report(report: models.IncidentReport, names: Sequence[str] = ()) -> Told:
    """Return the incident that was reported. `names`: what its words refer to."""
    end = End(report.resolved_at, "reported as resolved") if report.resolved_at else None
    return Told(
        id=report.id,
        source="api",
        title=report.title[:LONGEST_TITLE],
        detail=f"{report.title}\n{report.description}".strip()[:LONGEST_DETAIL],
        started_at=report.started_at,
        detected_at=report.started_at,
        opened_why="reported",
        opened_by=report.reported_by,
        url=report.url,
        severity=report.severity,
        environment=report.environment,
        repository_id=report.repository_id,
        service=report.service,
        ends=(end,) if end else (),
        names=tuple(names),
    )


def incident_of(
    told: Told,
    organization_id: str,
    corrections: Sequence[models.IncidentCorrection],
    updates: Sequence[models.IncidentUpdate],
) -> models.Incident:
    """Put what people corrected and said on top of what a source told; they win.

    An incident cannot end before it began: an earlier end counts as none having lasted.
    """
    said = {each.field: each for each in corrections if each.value is not None}
    values = {name: str(each.value) for name, each in said.items()}
    started_at = moment(values.get("started_at")) or told.started_at
    end = end_of(told, said.get("resolved_at"), updates)
    environment = values.get("environment", told.environment)
    return models.Incident(
        id=told.id,
        key=incident_key(told.id),
        organization_id=organization_id,
        source=told.source,
        title=values.get("title", told.title),
        detail=told.detail,
        url=told.url,
        channel=told.channel,
        severity=values.get("severity", told.severity),
        state=state_of(end, updates),
        environment=environment,
        environment_class=environment_class(environment),
        repository_id=values.get("repository_id", told.repository_id),
        service=values.get("service", told.service),
        started_at=started_at,
        detected_at=max(told.detected_at, started_at),
        resolved_at=max(end.at, started_at) if end else None,
        opened_by=told.opened_by,
        resolved_by=end.by if end else None,
        opened_why=told.opened_why,
        resolved_why=end.why if end else None,
        names=list(told.names),
        corrected=sorted(values),
        dismissed=values.get("dismissed") == "true",
    )


def end_of(
    told: Told,
    corrected: models.IncidentCorrection | None,
    updates: Sequence[models.IncidentUpdate],
) -> End | None:
    """Return what ended an incident: the correction, else the earliest end that nothing undid.

    An update of another state than resolved opens it again: ends before it, or with it, are undone.
    """
    if corrected is not None and (at := moment(corrected.value)):
        return End(at, "corrected by hand", corrected.by)
    said = [
        End(each.at, "said to be resolved", each.by)
        for each in updates
        if each.at and each.state == IncidentState.RESOLVED
    ]
    opened = max((each.at for each in going_on(updates) if each.at), default=None)
    ends = [end for end in (*told.ends, *said) if opened is None or end.at > opened]
    return min(ends, key=lambda end: (end.at, end.why, end.by or ""), default=None)


def state_of(end: End | None, updates: Sequence[models.IncidentUpdate]) -> str:
    """Return how far an incident is: over, or where its latest update says it is."""
    if end:
        return IncidentState.RESOLVED.value
    told = sorted(going_on(updates), key=lambda each: (each.at, each.id))
    return str(told[-1].state) if told else IncidentState.INVESTIGATING.value


def going_on(updates: Sequence[models.IncidentUpdate]) -> list[models.IncidentUpdate]:
    """Return the updates that say that an incident goes on."""
    return [each for each in updates if each.state and each.state != IncidentState.RESOLVED]


def moment(value: str | None) -> datetime | None:
    """Read a corrected time."""
    return datetime.fromisoformat(value) if value else None
