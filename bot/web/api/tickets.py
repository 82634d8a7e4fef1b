"""Tickets over the API: issues for the agent, made, listed, shown and changed."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, model_validator
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.accounts import audit
from bot.web.api.asking import (
    called,
    github_asked,
    missing,
    model_allowed,
    surroundings_of,
    tell,
)
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint
from bot.web.api.listing import (
    Listed,
    RepositoryListing,
    page,
    repository_filter,
    repository_named,
)
from bot.web.api.ticket_answers import (
    TICKETS,
    Priority,
    Ticket,
    Type,
    told_of_ticket,
)
from models import runs, tickets
from models.runs import ENDED
from models.tickets import TicketStatus

Long = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=60_000)]
Title = Annotated[str, StringConstraints(pattern=r"^[^\x00]*\S[^\x00]*$", max_length=256)]
Usd = Annotated[Decimal, Field(ge=0, le=10_000, decimal_places=6, max_digits=12)]
Model = Annotated[str, StringConstraints(pattern=r"^[\w.:@/-]+$", max_length=100)]
PLAIN = ("type", "auto_update_status")
CLEARED = ("model", "budget_usd", "additional_context")
WRITTEN = (*PLAIN, *CLEARED)
LONG = {"body", "additional_context"}


class TicketListing(RepositoryListing):
    """Which tickets: by status, type or priority, or of one repository; those made last first."""

    status: TicketStatus | None = None
    type: Type | None = None
    priority: Priority | None = None


class Tickets(Listed):
    """A page of tickets."""

    items: list[Ticket]


class NewTicket(Strict):
    """A ticket to be: the `number` of an issue that is there, or the `title` of one to be made.

    `repo_id`: `github:123` or `owner/name`. What is None has its default; `type` and `priority` of
    an issue that is there follow from its labels.
    """

    repo_id: Words
    number: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    title: Title | None = None
    body: Long = ""
    type: Type | None = None
    priority: Priority | None = None
    additional_context: Long | None = None
    model: Model | None = None
    budget_usd: Usd | None = None

    @model_validator(mode="after")
    def one_issue(self) -> "NewTicket":
        """Either an issue that is there, or a new one."""
        if (self.number is None) == (self.title is None):
            raise ValueError("say one: number (an issue that is there) or title (of a new one)")
        return self


class ChangedTicket(Strict):
    """What to change of a ticket; what is left out stays.

    `model`, `budget_usd` and `additional_context` go back to their default with null. A `status`
    set by hand holds until the ticket's pull request says otherwise; with `auto_update_status`
    false it holds for good. Closing or cancelling stops a run that is under way.
    """

    priority: Priority | None = None
    type: Type | None = None
    model: Model | None = None
    budget_usd: Usd | None = None
    additional_context: Long | None = None
    auto_update_status: bool | None = None
    status: TicketStatus | None = None


@endpoint("GET", "/tickets", query=TicketListing, answer=Tickets)
async def list_tickets(call: Call, query: TicketListing) -> Tickets:
    """List tickets, those made last first."""
    async with call.engine.connect() as db:
        where, bound = await repository_filter(db, call.member, query)
        asked: dict[str, Any] = dict(bound)
        for name in ("status", "type", "priority"):
            if (value := getattr(query, name)) is not None:
                where, asked[name] = f"{where} and x.{name} = :{name}", str(value)
        rows, cursor = await page(db, TICKETS.format(where=where), query, **asked)
    return Tickets(items=[Ticket(**row) for row in rows], next_cursor=cursor)


@endpoint(
    "POST",
    "/tickets",
    roles=("manager",),
    query=Query,
    body=NewTicket,
    answer=Ticket,
    problems=("409", "502"),
)
async def make_ticket(call: Call, query: Query, sent: NewTicket) -> Ticket:
    """Put an issue into the queue of its repository; one that is only titled is made on GitHub."""
    async with call.engine.connect() as db:
        repository_id = await repository_named(db, call.member, sent.repo_id)
        await model_allowed(db, call, sent.model)
    with github_asked():
        ticket_id = await made(call, repository_id, sent)
    return await changed(call, ticket_id, "make_ticket", sent)


async def made(call: Call, repository_id: str, sent: NewTicket) -> str:
    """Make a ticket of the issue that is there, or of one that is made; return its id."""
    from bot.agent.tickets import create, take

    told: dict[str, Any] = {"source": "api", "by_id": call.member.user_id, "by_login": None}
    place = (surroundings_of(call), call.member.organization_id, repository_id)
    if sent.number is not None:
        return await take(*place, sent.number, **told)
    told |= {"type": sent.type or "task", "priority": sent.priority or "medium"}
    return await create(*place, str(sent.title), sent.body, **told)


@endpoint("GET", "/tickets/{ticket_id}", query=Query, answer=Ticket)
async def one_ticket(call: Call, query: Query) -> Ticket:
    """Show a ticket, its place in the queue and what was spent on it."""
    async with call.engine.connect() as db:
        return await shown(db, call, call.path["ticket_id"])


async def shown(db: AsyncConnection, call: Call, ticket_id: str) -> Ticket:
    """Return a ticket; raise `Problem` 404 where it is not one of the organisation's."""
    found = await told_of_ticket(db, call.member.organization_id, ticket_id)
    if found is None:
        raise missing("ticket")
    return Ticket(**found)


@endpoint(
    "PATCH",
    "/tickets/{ticket_id}",
    roles=("manager",),
    query=Query,
    body=ChangedTicket,
    answer=Ticket,
)
async def change_ticket(call: Call, query: Query, sent: ChangedTicket) -> Ticket:
    """Change a ticket's priority, type, model, budget, context or status."""
    async with call.engine.connect() as db:
        await shown(db, call, call.path["ticket_id"])
        await model_allowed(db, call, sent.model)
    return await changed(call, call.path["ticket_id"], "change_ticket", sent)


async def changed(call: Call, ticket_id: str, action: str, sent: BaseModel) -> Ticket:
    """Write what was sent of a ticket, note who did it, tell open pages; return it as it is now."""
    async with call.engine.begin() as db:
        await write(db, ticket_id, sent)
        if isinstance(sent, ChangedTicket) and sent.status is not None:
            await set_by_hand(db, call, ticket_id, sent.status)
        detail = f"{ticket_id} {sent.model_dump_json(exclude_unset=True, exclude=LONG)}"[:2000]
        await noted(db, call, action, detail)
        now = await shown(db, call, ticket_id)
    await tell(call, "ticket")
    return now


async def write(db: AsyncConnection, ticket_id: str, sent: BaseModel) -> None:
    """Write those columns of a ticket that were sent, and the priority with its place."""
    told = sent.model_dump(include=sent.model_fields_set & set(WRITTEN))
    kept = {name: told[name] for name in told if name in CLEARED or told[name] is not None}
    if kept:
        sets = ", ".join(f"{name} = :{name}" for name in kept)
        statement = f"update tickets set {sets}, updated_at = now() where id = :id"  # noqa: S608
        await db.execute(text(statement), {**kept, "id": ticket_id})
    priority = getattr(sent, "priority", None)
    found = await tickets.ticket(db, ticket_id)
    if priority is not None and found is not None and found["priority"] != priority:
        await tickets.set_priority(db, ticket_id, priority)


async def set_by_hand(
    db: AsyncConnection, call: Call, ticket_id: str, status: TicketStatus
) -> None:
    """Give a ticket a status; one that is over needs no run any more."""
    await tickets.set_status(db, ticket_id, status, anyway=True)
    if status in (TicketStatus.CLOSED, TicketStatus.CANCELLED):
        under_way = text("select id from runs where ticket_id = :id and state <> all(:ended)")
        for run_id in (await db.scalars(under_way, {"id": ticket_id, "ended": list(ENDED)})).all():
            await runs.stop(db, run_id, called(call.member))


async def noted(db: AsyncConnection, call: Call, action: str, detail: str) -> None:
    """Write down who did what to a ticket."""
    await audit(
        db,
        action,
        user_id=call.member.user_id,
        organization_id=call.member.organization_id,
        detail=detail,
    )
