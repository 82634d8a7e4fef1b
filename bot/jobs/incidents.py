"""`follow_incident`: what an incident is by everything that was told of it, and what it blames."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs import Surroundings, job
from bot.jobs.failures import relink
from bot.live import publish
from handlers.events import Job
from handlers.incident_threads import incident_of_thread
from handlers.incidents import (
    Told,
    incident_label,
    incident_of,
    incident_of_issue,
    incident_of_linear,
    incident_of_report,
)
from handlers.references import references
from models import incident_facts as facts
from models.incident_reading import Reading, incident_settings_of
from models.incidents import Incident
from models.queue import ClaimedJob, queue
from models.store import columns

AGAIN_DAYS = 400
TOGETHER = 50
RECENT = timedelta(hours=1)
PARTS_OF_CHANNEL = 3


@job
async def follow_incident(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Derive one incident anew: from its messages, issue or report, and what people said of it."""
    organization_id = str(claimed.organization_id)
    async with surroundings.engine.begin() as db:
        changed = await follow(db, organization_id, str(claimed.arguments["incident"]))
    if changed:
        await tell(surroundings, organization_id)


@job
async def read_incidents_again(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Derive an organisation's incidents of the last 400 days anew, after its settings changed."""
    organization_id = str(claimed.organization_id)
    since = datetime.now(UTC) - timedelta(days=AGAIN_DAYS)
    async with surroundings.engine.connect() as db:
        reading = await incident_settings_of(db, organization_id)
        kept = await facts.kept_since(db, organization_id, since)
    wanted = sorted({
        thing for thing, labels in kept if labels is None or incident_label(labels, reading)
    })  # fmt: skip
    changed = False
    for first in range(0, len(wanted), TOGETHER):
        async with surroundings.engine.begin() as db:
            await facts.lock(db, organization_id)
            for thing in wanted[first : first + TOGETHER]:
                changed |= await followed(db, organization_id, thing, reading, anyway=False)
    if changed:
        await tell(surroundings, organization_id)


async def follow(db: AsyncConnection, organization_id: str, thing: str) -> bool:
    """Derive what a thing is about anew, in the caller's transaction; tell whether that changed it.

    `thing`: a message of Slack (its thread counts), a channel (`slack:<team>:<channel>`: all of
    its threads), an issue of GitHub or Linear, or a report.
    """
    await facts.lock(db, organization_id)
    reading = await incident_settings_of(db, organization_id)
    changed = False
    for incident_id in await incidents_of(db, organization_id, thing):
        changed |= await followed(db, organization_id, incident_id, reading)
    return changed


async def incidents_of(db: AsyncConnection, organization_id: str, thing: str) -> list[str]:
    """Return the ids of the incidents that a thing may be or belong to."""
    if not thing.startswith("slack:"):
        return [thing]
    if len(thing.split(":")) <= PARTS_OF_CHANNEL:
        return await facts.threads_of(db, organization_id, thing)
    return [await facts.thread_of(db, organization_id, thing)]


async def followed(
    db: AsyncConnection,
    organization_id: str,
    incident_id: str,
    reading: Reading,
    *,
    anyway: bool = True,
) -> bool:
    """Derive one incident, and what it blames; tell whether anything of it is different now.

    `anyway`: what it blames is judged even where the incident is as it was.
    """
    before = await facts.held(db, organization_id, incident_id)
    told = await told_of(db, organization_id, incident_id, reading)
    if told is None and before is None:
        return False
    made = None
    if told is not None:
        said = await facts.said_of(db, organization_id, incident_id)
        made = incident_of(told, organization_id, *said)
    different = content(made) != content(before)
    if not (different or anyway):
        return False
    blamed = await facts.blamed(db, incident_id)
    if different:
        await facts.put(db, organization_id, incident_id, made)
    await relink(db, incident_id)
    changed = different or blamed != await facts.blamed(db, incident_id)
    if changed and (made is None or recent(made)):
        await queue(db, [announcement(incident_id)], organization_id)
    return changed


async def told_of(
    db: AsyncConnection, organization_id: str, incident_id: str, reading: Reading
) -> Told | None:
    """Ask what a thread, an issue or a report tells; None where it is no incident."""
    source = incident_id.partition(":")[0]
    if source == "slack":
        thread = await facts.thread(db, organization_id, incident_id)
        # Patterns of one organisation must not keep the others waiting.
        return await asyncio.to_thread(
            incident_of_thread, thread.messages, thread.reactions, thread.channel, reading
        )
    if source == "github":
        issue = await facts.issue(db, organization_id, incident_id)
        return incident_of_issue(issue, reading) if issue else None
    if source == "linear":
        linear, repository_id = await facts.linear_issue(db, organization_id, incident_id)
        return incident_of_linear(linear, reading, repository_id) if linear else None
    report, full_name = await facts.reported(db, organization_id, incident_id)
    if report is None:
        return None
    words = f"{report.title}\n{report.description}\n{report.url or ''}"
    return incident_of_report(report, references(words, repository=full_name))


def content(incident: Incident | None) -> tuple[object, ...] | None:
    """Return what an incident says, to be compared."""
    if incident is None:
        return None
    return tuple(getattr(incident, name) for name in columns(Incident))


def recent(incident: Incident) -> bool:
    """Tell whether an incident began or ended so lately that people want to hear of it."""
    since = datetime.now(UTC) - RECENT
    ended = incident.resolved_at is not None and incident.resolved_at >= since
    return incident.started_at >= since or ended


def announcement(incident_id: str) -> Job:
    """Order that channels hear of an incident as it is now."""
    return Job(
        "announce_incident",
        key=f"announce_incident:{incident_id}",
        arguments={"incident": incident_id},
    )


async def tell(surroundings: Surroundings, organization_id: str) -> None:
    """Tell open pages; they live without it."""
    with suppress(RedisError, OSError):
        await publish(surroundings.redis, organization_id, "incident", "deployment")
