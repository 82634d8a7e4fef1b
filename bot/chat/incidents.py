"""`incidents`, `incident …`: incidents shown, opened, resolved, graded and linked from Slack."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.chat.asking import Call, Said, commands, repository_of, sentence
from bot.chat.blocks import bold, header, link, listed, said, section
from bot.chat.showing import line, page_of, suspects
from bot.queue import JOBS, nudge
from handlers import slash
from handlers.incidents import CLASSES, incident_key
from models import chat_incidents, chat_pages
from models.errors import Refused
from models.incident_changes import correct, report, report_id, say
from models.incident_changes import link as link_to
from models.incident_reading import ENVIRONMENT
from models.incidents import IncidentReport
from models.users import audit

LOOK_BACK = timedelta(days=7)
MOST_SHOWN = 10
OPENING = "incident open TITLE… [sev1] [in SERVICE/REPO]"
RESOLVING, GRADING = "incident resolve KEY", "incident severity KEY SEV"
LINKING = "incident link KEY DEPLOYMENT"
BY_COMMAND = "Resolved from Slack."

NONE = "No incident is open, and none began in the last week."
NO_INCIDENT = "There is no incident {key} in this organisation."
NO_DEPLOYMENT = "No deployment of this organisation is called `{named}`: its id or its commit does."
SEVERAL = "Several deployments are called `{named}`: name one by its id."
NEEDS = "`/veelocity {usage}`: it needs both."
NEEDS_KEY = "`/veelocity {usage}`: which incident?"
OPENED = "{link} is open: {title}"
RESOLVED = "{key} is resolved."
RESOLVED_BEFORE = "{key} was resolved before."
GRADED = "{key} is {severity} now."
LINKED = "{key} is linked to {what}."


@commands.on("incidents")
async def incidents(call: Call) -> Said:
    """List the incidents that go on, and those that began in the last week."""
    slash.none(call.words, "incidents")
    async with call.surroundings.engine.connect() as db:
        since = call.now - LOOK_BACK
        found = await chat_incidents.shown(db, call.organization_id, since, MOST_SHOWN)
        blamed = await chat_incidents.blamed(db, [row["id"] for row in found])
    if not found:
        return sentence(NONE)
    lines = [told(row, blamed, call) for row in found]
    return Said([header("Incidents"), *listed(lines, MOST_SHOWN)], "Incidents")


def told(row: RowMapping, blamed: Sequence[RowMapping], call: Call) -> str:
    """Say an incident and what it blames."""
    reasons = suspects([each for each in blamed if each["incident_id"] == row["id"]])
    return "\n".join([line(row, call.url, call.now), *reasons])


@commands.on(OPENING, role="manager")
async def open_incident(call: Call) -> Said:
    """Open an incident, of production unless another place is named, that begins now."""
    asked = slash.opening(call.words)
    async with call.surroundings.engine.begin() as db:
        where = await placed(db, call.organization_id, asked.place)
        title = asked.title if where else asked.whole
        told = IncidentReport(
            id=report_id(call.organization_id),
            organization_id=call.organization_id,
            title=title,
            severity=asked.severity,
            started_at=call.now,
            reported_by=call.by.user_id,
            environment=where.get("environment", ENVIRONMENT),
            repository_id=where.get("repository_id"),
            service=where.get("service"),
        )
        await report(db, told)
        await noted(db, call, "report_incident", told.id)
    await wake(call)
    key = incident_key(told.id)
    there = link(page_of(call.url, {"key": key}), key)
    place = ", ".join(said(value) for value in where.values() if value)
    words = OPENED.format(link=there, title=bold(title)) + (f" ({place})" if place else "")
    return Said([section(words)], f"{key}: {said(title)}")


async def placed(db: AsyncConnection, organization_id: str, named: str | None) -> dict[str, str]:
    """Return where an incident is, as a report has it; empty for words that name no place.

    Raises `Refused` for an `owner/name` that the organisation does not have.
    """
    if named is None:
        return {}
    if named.lower() in CLASSES:
        return {"environment": named.lower()}
    services = await chat_pages.services_called(db, organization_id, named)
    try:
        repository_id, _ = await repository_of(db, organization_id, named)
    except Refused:
        if "/" in named or len(services) > 1:
            raise
    else:
        return {"repository_id": repository_id}
    if not services:
        return {}
    return {"repository_id": services[0][0], "service": services[0][1]}


@commands.on(RESOLVING, role="manager")
async def resolve_incident(call: Call) -> Said:
    """Say that an incident is over, now."""
    word = slash.one(call.words, RESOLVING)
    if word is None:
        raise Refused(NEEDS_KEY.format(usage=RESOLVING))
    return sentence(await resolved(call, slash.key(word)))


async def resolved(call: Call, key: str) -> str:
    """Resolve an incident, for whoever asks; return what to say."""
    async with call.surroundings.engine.begin() as db:
        row = await incident_of(db, call, key)
        if row["resolved_at"] is not None:
            return RESOLVED_BEFORE.format(key=key)
        await say(db, row["id"], "resolved", BY_COMMAND, call.by.user_id)
        await noted(db, call, "update_incident", f"{row['id']} resolved")
    await wake(call)
    return RESOLVED.format(key=key)


@commands.on(GRADING, role="manager")
async def grade_incident(call: Call) -> Said:
    """Correct how severe an incident is: sev1 to sev4."""
    key, severity = pair(call, GRADING)
    level = slash.severity(severity)
    async with call.surroundings.engine.begin() as db:
        row = await incident_of(db, call, key)
        await correct(db, row["id"], "severity", level, call.by.user_id)
        await noted(db, call, "correct_incident", f"{row['id']} severity {level}")
    await wake(call)
    return sentence(GRADED.format(key=key, severity=level))


@commands.on(LINKING, role="manager")
async def link_incident(call: Call) -> Said:
    """Say which deployment caused an incident, by its id or its commit; that wins for ever."""
    key, named = pair(call, LINKING)
    async with call.surroundings.engine.connect() as db:
        row = await incident_of(db, call, key)
        until = row["resolved_at"] or call.now
        found = await chat_pages.deployments_called(db, call.organization_id, named, until)
    if not found:
        raise Refused(NO_DEPLOYMENT.format(named=named))
    if len({each["deployment_id"] for each in found}) > 1:
        raise Refused(SEVERAL.format(named=named))
    return sentence(await linked(call, key, found[0]["deployment_id"]))


async def linked(call: Call, key: str, deployment_id: str) -> str:
    """Link a deployment to an incident, for whoever asks; return what to say."""
    async with call.surroundings.engine.begin() as db:
        row = await incident_of(db, call, key)
        await link_to(db, row["id"], deployment_id, call.by.user_id)
        await noted(db, call, "link_incident", f"{row['id']} {deployment_id}")
    await wake(call)
    return LINKED.format(key=key, what=deployment_id)


def pair(call: Call, usage: str) -> tuple[str, str]:
    """Return an incident's key and the word after it; raise `Refused` for fewer or more words."""
    if len(call.words) != 2:
        raise Refused(NEEDS.format(usage=usage))
    return slash.key(call.words[0]), call.words[1]


async def incident_of(db: AsyncConnection, call: Call, key: str) -> RowMapping:
    """Return an incident of the organisation by its key; raise `Refused` where there is none."""
    row = await chat_incidents.keyed(db, call.organization_id, key)
    if row is None:
        raise Refused(NO_INCIDENT.format(key=key))
    return row


async def noted(db: AsyncConnection, call: Call, action: str, detail: str) -> None:
    """Write down who did what to an incident."""
    who = {"user_id": call.by.user_id, "organization_id": call.organization_id}
    await audit(db, action, detail=f"{detail} from Slack"[:2000], **who)


async def wake(call: Call) -> None:
    """Have the worker look at once at what was said."""
    await nudge(call.surroundings.redis, JOBS)
