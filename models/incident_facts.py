"""Questions asked while an incident is derived from what sources and people said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models.blame import LOCK
from models.incidents import Incident, IncidentCorrection, IncidentReport, IncidentUpdate
from models.linear import LinearIssue
from models.linear_connections import mapped_repository
from models.pull_requests import Issue
from models.slack import SlackChannel, SlackMessage, SlackReaction
from models.store import replace

Table = TypeVar("Table", bound=SQLModel)

INCIDENT = text("select * from incidents where id = :id and organization_id = :organization")
THREAD = text("""
    select thread_id from slack_messages where id = :id and organization_id = :organization
""")
THREADS = text("""
    select distinct thread_id from slack_messages
     where channel_key = :id and organization_id = :organization order by thread_id
""")
MESSAGES = text("""
    select * from slack_messages where thread_id = :id and organization_id = :organization
""")
REACTIONS = text("""
    select r.* from slack_reactions r
     where r.message_id in (
           select id from slack_messages
            where thread_id = :id and organization_id = :organization)
""")
CHANNEL = text("select * from slack_channels where id = :id and organization_id = :organization")
ISSUE = text("select * from issues where id = :id and organization_id = :organization")
LINEAR = text("select * from linear_issues where id = :id and organization_id = :organization")
REPORT = text("""
    select * from incident_reports where id = :id and organization_id = :organization
""")
FULL_NAME = text("select full_name from repositories where id = :id")
CORRECTIONS = text("select * from incident_corrections where incident_id = :id")
UPDATES = text("""
    select * from incident_updates
     where incident_id = :id and organization_id = :organization order by at, id
""")
BLAMED = text("""
    select service_deployment_id, evidence, by from incident_deployments
     where incident_id = :id order by service_deployment_id
""")
KEPT = text("""
    select id, null::text[] as labels from incidents
     where organization_id = :organization and started_at >= :since
    union all
    select id, labels from issues
     where organization_id = :organization and created_at >= :since and labels <> '{}'
    union all
    select id, labels from linear_issues
     where organization_id = :organization and created_at >= :since and labels <> '{}'
    union all
    select distinct thread_id, null::text[] from slack_messages
     where organization_id = :organization and posted_at >= :since
    union all
    select id, null::text[] from incident_reports
     where organization_id = :organization and started_at >= :since
""")


@dataclass(frozen=True)
class Thread:
    """What is known of a Slack thread; `channel` is None until Slack told its name."""

    messages: Sequence[SlackMessage]
    reactions: Sequence[SlackReaction]
    channel: SlackChannel | None


async def lock(db: AsyncConnection, organization_id: str) -> None:
    """Let one at a time derive incidents of an organisation; freed when the transaction ends."""
    await db.execute(LOCK, {"organization": organization_id})


async def rows_of(
    db: AsyncConnection, table: type[Table], question: Any, **bound: Any
) -> list[Table]:
    """Return the rows of a table that a question selects."""
    found = (await db.execute(question, bound)).mappings()
    return [table(**row) for row in found]


async def row_of(
    db: AsyncConnection, table: type[Table], question: Any, **bound: Any
) -> Table | None:
    """Return the only row of a table that a question selects, None where there is none."""
    return next(iter(await rows_of(db, table, question, **bound)), None)


async def thread_of(db: AsyncConnection, organization_id: str, message_id: str) -> str:
    """Return the thread of a message; the message itself while nobody told of it."""
    bound = {"id": message_id, "organization": organization_id}
    return str(await db.scalar(THREAD, bound) or message_id)


async def threads_of(db: AsyncConnection, organization_id: str, channel_key: str) -> list[str]:
    """Return the threads of a channel of which messages are kept."""
    bound = {"id": channel_key, "organization": organization_id}
    return [str(each) for each in (await db.scalars(THREADS, bound)).all()]


async def thread(db: AsyncConnection, organization_id: str, thread_id: str) -> Thread:
    """Return what is known of a thread."""
    bound = {"id": thread_id, "organization": organization_id}
    there = bound | {"id": thread_id.rpartition(":")[0]}
    return Thread(
        await rows_of(db, SlackMessage, MESSAGES, **bound),
        await rows_of(db, SlackReaction, REACTIONS, **bound),
        await row_of(db, SlackChannel, CHANNEL, **there),
    )


async def issue(db: AsyncConnection, organization_id: str, issue_id: str) -> Issue | None:
    """Return a GitHub issue."""
    return await row_of(db, Issue, ISSUE, id=issue_id, organization=organization_id)


async def linear_issue(
    db: AsyncConnection, organization_id: str, issue_id: str
) -> tuple[LinearIssue | None, str | None]:
    """Return a Linear issue, and the repository that its project, else its team, is mapped to."""
    found = await row_of(db, LinearIssue, LINEAR, id=issue_id, organization=organization_id)
    if found is None:
        return None, None
    return found, await mapped_repository(db, organization_id, found.project_id, found.team_id)


async def reported(
    db: AsyncConnection, organization_id: str, report_id: str
) -> tuple[IncidentReport | None, str | None]:
    """Return a report, and the full name of the repository that it is about."""
    bound = {"id": report_id, "organization": organization_id}
    found = await row_of(db, IncidentReport, REPORT, **bound)
    about = found and found.repository_id
    return found, await db.scalar(FULL_NAME, {"id": about}) if about else None


async def said_of(
    db: AsyncConnection, organization_id: str, incident_id: str
) -> tuple[list[IncidentCorrection], list[IncidentUpdate]]:
    """Return what people corrected and said of an incident."""
    bound = {"id": incident_id, "organization": organization_id}
    corrections = await rows_of(db, IncidentCorrection, CORRECTIONS, id=incident_id)
    return corrections, await rows_of(db, IncidentUpdate, UPDATES, **bound)


async def blamed(db: AsyncConnection, incident_id: str) -> list[tuple[Any, ...]]:
    """Return which deployments an incident blames, by what evidence and whom."""
    return [tuple(row) for row in await db.execute(BLAMED, {"id": incident_id})]


async def held(db: AsyncConnection, organization_id: str, incident_id: str) -> Incident | None:
    """Return an incident as it was derived last."""
    return await row_of(db, Incident, INCIDENT, id=incident_id, organization=organization_id)


async def put(
    db: AsyncConnection, organization_id: str, incident_id: str, made: Incident | None
) -> None:
    """Write an incident in the place of what was there; None: it is none any more."""
    where = "id = :id and (organization_id = :organization or :made)"
    bound = {"id": incident_id, "organization": organization_id, "made": made is not None}
    await replace(db, Incident, [made] if made else [], where, **bound)


async def kept_since(
    db: AsyncConnection, organization_id: str, since: datetime
) -> list[tuple[str, list[str] | None]]:
    """Return everything that is an incident or may be one, with the labels of issues."""
    bound = {"organization": organization_id, "since": since}
    return [(row.id, row.labels) for row in await db.execute(KEPT, bound)]
