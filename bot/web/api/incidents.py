"""Incidents over the API: reported, listed, shown, corrected, updated and linked."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.incidents import follow
from bot.web.accounts import audit
from bot.web.api.asking import missing, tell
from bot.web.api.endpoints import Call, Query, endpoint, invalid
from bot.web.api.incident_answers import Incident, WholeIncident, told, whole
from bot.web.api.incident_bodies import (
    ChangedIncident,
    IncidentListing,
    NewIncident,
    NewPostMortem,
    SlackListing,
    Update,
)
from bot.web.api.listing import Listed, page, repository_named
from models import incident_changes as changes
from models.incident_pages import incident_called, selected
from models.incidents import IncidentReport

FILTERS = ("severity", "source", "service", "environment", "since", "until")

REPORTED = text("select started_at from incident_reports where id = :id")

Change = Callable[[AsyncConnection, str], Awaitable[None]]


class Incidents(Listed):
    """A page of incidents."""

    items: list[Incident]


@endpoint("GET", "/incidents", query=IncidentListing, answer=Incidents)
async def list_incidents(call: Call, query: IncidentListing) -> Incidents:
    """List incidents with the deployments they blame and why, those begun last first."""
    async with call.engine.connect() as db:
        bound: dict[str, Any] = {"organization_id": call.member.organization_id}
        if query.repo_id is not None:
            bound["repository_id"] = await repository_named(db, call.member, query.repo_id)
        bound |= {name: each for name in FILTERS if (each := getattr(query, name)) is not None}
        filters = [name for name in bound if name != "organization_id"]
        select = selected(query.state, *filters, dismissed=query.dismissed)
        rows, cursor = await page(db, select, query, **bound)
        return Incidents(items=await told(db, rows), next_cursor=cursor)


@endpoint("GET", "/connectors/slack/incidents", query=SlackListing, answer=Incidents)
async def slack_incidents(call: Call, query: SlackListing) -> Incidents:
    """List the incidents that Slack told of, those begun last first."""
    return await list_incidents(call, query)


@endpoint("POST", "/incidents", roles=("manager",), query=Query, body=NewIncident, answer=Incident)
async def report_incident(call: Call, query: Query, sent: NewIncident) -> Incident:
    """Report an incident, or update the one that was reported by the same id."""
    member = call.member
    incident_id = changes.report_id(member.organization_id, sent.id)
    async with call.engine.begin() as db:
        repository_id = sent.repo_id and await repository_named(db, member, sent.repo_id)
        known = await db.scalar(REPORTED, {"id": incident_id})
        started_at = sent.started_at or known or datetime.now(UTC)
        if sent.resolved_at and sent.resolved_at < started_at:
            raise invalid([{"field": "resolved_at", "detail": "it cannot end before it began"}])
        kept = sent.model_dump(include={"title", "description", "severity", "environment", "url"})
        report = IncidentReport(
            id=incident_id,
            organization_id=member.organization_id,
            repository_id=repository_id,
            service=sent.service,
            started_at=started_at,
            resolved_at=sent.resolved_at,
            reported_by=member.user_id,
            **kept,
        )
        await changes.report(db, report)
        await noted(db, call, "report_incident", f"{incident_id} {sent.title}")
        await follow(db, member.organization_id, incident_id)
        (now,) = await told(db, [await row_of(db, call, incident_id)])
    await tell(call, "incident", "deployment")
    return now


@endpoint("GET", "/incidents/{incident_id:path}", query=Query, answer=WholeIncident)
async def one_incident(call: Call, query: Query) -> WholeIncident:
    """Show an incident by its id or key: its course, what it blames and what it could blame."""
    async with call.engine.connect() as db:
        found = await named(db, call)
        return await whole(db, call.member.organization_id, await row_of(db, call, found))


@endpoint(
    "PATCH",
    "/incidents/{incident_id:path}",
    roles=("manager",),
    query=Query,
    body=ChangedIncident,
    answer=WholeIncident,
)
async def correct_incident(call: Call, query: Query, sent: ChangedIncident) -> WholeIncident:
    """Correct an incident; the correction wins over its source, and is kept with who and when."""

    async def correct(db: AsyncConnection, incident_id: str) -> None:
        values = {name: getattr(sent, name) for name in sorted(sent.model_fields_set)}
        if "repo_id" in values:
            wanted = values.pop("repo_id")
            repository = await repository_named(db, call.member, wanted) if wanted else None
            values["repository_id"] = repository
        await check_order(db, call, incident_id, values)
        for field, value in values.items():
            await changes.correct(db, incident_id, field, value, call.member.user_id)

    said = sent.model_dump_json(exclude_unset=True)
    return await changed(call, correct, "correct_incident", said)


@endpoint(
    "POST",
    "/incidents/{incident_id:path}/updates",
    roles=("manager",),
    query=Query,
    body=Update,
    answer=WholeIncident,
)
async def update_incident(call: Call, query: Query, sent: Update) -> WholeIncident:
    """Say how far an incident is, or note something about it."""

    async def say(db: AsyncConnection, incident_id: str) -> None:
        await changes.say(db, incident_id, sent.state, sent.body, call.member.user_id)

    return await changed(call, say, "update_incident", sent.state or "note")


@endpoint(
    "PUT",
    "/incidents/{incident_id:path}/post-mortem",
    roles=("manager",),
    query=Query,
    body=NewPostMortem,
    answer=WholeIncident,
)
async def write_post_mortem(call: Call, query: Query, sent: NewPostMortem) -> WholeIncident:
    """Write what was learnt from an incident, in the place of what was written before."""

    async def learn(db: AsyncConnection, incident_id: str) -> None:
        await changes.learn(db, incident_id, sent.body, call.member.user_id)

    return await changed(call, learn, "write_post_mortem", f"{len(sent.body)} characters")


@endpoint(
    "PUT",
    "/incidents/{incident_id:path}/deployments/{deployment_id:path}",
    roles=("manager",),
    query=Query,
    answer=WholeIncident,
)
async def link_deployment(call: Call, query: Query) -> WholeIncident:
    """Say that a deployment caused an incident. It stays so, whatever is told later."""

    async def link(db: AsyncConnection, incident_id: str) -> None:
        await changes.link(db, incident_id, call.path["deployment_id"], call.member.user_id)

    return await changed(call, link, "link_deployment", call.path["deployment_id"])


@endpoint(
    "DELETE",
    "/incidents/{incident_id:path}/deployments/{deployment_id:path}",
    roles=("manager",),
    query=Query,
    answer=WholeIncident,
)
async def unlink_deployment(call: Call, query: Query) -> WholeIncident:
    """Say that a deployment did not cause an incident. It stays so, whatever is told later."""

    async def unlink(db: AsyncConnection, incident_id: str) -> None:
        await changes.unlink(db, incident_id, call.path["deployment_id"], call.member.user_id)

    return await changed(call, unlink, "unlink_deployment", call.path["deployment_id"])


async def changed(call: Call, change: Change, action: str, detail: str) -> WholeIncident:
    """Change the incident in the path, note who did it, derive it anew; return it as it is now."""
    organization_id = call.member.organization_id
    async with call.engine.begin() as db:
        incident_id = await named(db, call)
        await change(db, incident_id)
        await noted(db, call, action, f"{incident_id} {detail}")
        await follow(db, organization_id, incident_id)
        now = await whole(db, organization_id, await row_of(db, call, incident_id))
    await tell(call, "incident", "deployment")
    return now


async def check_order(
    db: AsyncConnection, call: Call, incident_id: str, values: dict[str, Any]
) -> None:
    """Raise `Problem` 422 where an incident would end before it began."""
    row = await row_of(db, call, incident_id)
    began, ended = (values.get(name) or row[name] for name in ("started_at", "resolved_at"))
    touched = values.get("started_at") or values.get("resolved_at")
    if touched and ended and ended < began:
        field = "resolved_at" if values.get("resolved_at") else "started_at"
        raise invalid([{"field": field, "detail": "it cannot end before it began"}])


async def named(db: AsyncConnection, call: Call) -> str:
    """Return the id of the incident in the path; raise `Problem` 404 for those of others too."""
    asked = call.path["incident_id"]
    found = None
    if "\0" not in asked:
        found = await incident_called(db, call.member.organization_id, asked)
    if found is None:
        raise missing("incident")
    return found


async def row_of(db: AsyncConnection, call: Call, incident_id: str) -> Any:
    """Return the row of an incident, dismissed or not."""
    for dismissed in (False, True):
        select = text(selected("all", "id", dismissed=dismissed))
        bound = {"organization_id": call.member.organization_id, "id": incident_id}
        found = (await db.execute(select, bound)).mappings().one_or_none()
        if found is not None:
            return found
    raise missing("incident")


async def noted(db: AsyncConnection, call: Call, action: str, detail: str) -> None:
    """Write down who did what to an incident."""
    await audit(
        db,
        action,
        user_id=call.member.user_id,
        organization_id=call.member.organization_id,
        detail=detail[:2000],
    )
