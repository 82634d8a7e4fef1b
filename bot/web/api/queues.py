"""The queue of each repository over the API: its order, what is next, and having it developed."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from bot.web.api.asking import conflict, github_asked, surroundings_of, tell
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint
from bot.web.api.listing import repository_named
from bot.web.api.ticket_answers import NextTicket, Ticket, told_of_next, told_of_queue
from bot.web.api.tickets import Long, changed, noted, shown
from models import runs, tickets


class Order(Strict):
    """The ids of tickets in the order in which they are wanted; the others follow."""

    ticket_ids: Annotated[list[Words], Field(max_length=1000)]


class Queue(BaseModel):
    """The open tickets of a repository, in the order in which they will be developed."""

    repository_id: str
    items: list[Ticket]


class Asked(Strict):
    """How a ticket is developed. What is left out stays as the ticket has it.

    `additional_context`: what the agent is told beyond the issue. `auto_update_status`: whether
    the ticket's status follows the run and its pull request.
    """

    additional_context: Long | None = None
    auto_update_status: bool | None = None


class Started(BaseModel):
    """A run that was queued. `words` say it."""

    run_id: int
    words: str
    ticket: Ticket


@endpoint(
    "PUT",
    "/tickets/repository/{repo_id:path}/order",
    roles=("manager",),
    query=Query,
    body=Order,
    answer=Queue,
)
async def order_tickets(call: Call, query: Query, sent: Order) -> Queue:
    """Put tickets of a repository first, in the order given; the others follow as they were."""
    async with call.engine.begin() as db:
        repository_id = await repository_named(db, call.member, call.path["repo_id"])
        await tickets.reorder(db, repository_id, sent.ticket_ids)
        await noted(db, call, "order_tickets", repository_id)
        queue = Queue(repository_id=repository_id, items=await told_of_queue(db, repository_id))
    await tell(call, "ticket")
    return queue


@endpoint("GET", "/tickets/repository/{repo_id:path}/next", query=Query, answer=NextTicket)
async def next_ticket(call: Call, query: Query) -> NextTicket:
    """Say which ticket a repository develops next."""
    async with call.engine.connect() as db:
        repository_id = await repository_named(db, call.member, call.path["repo_id"])
        return await told_of_next(db, repository_id)


@endpoint(
    "POST",
    "/tickets/{ticket_id}/develop-with-claude",
    roles=("manager",),
    query=Query,
    body=Asked,
    answer=Started,
    problems=("409", "502"),
)
async def develop(call: Call, query: Query, sent: Asked) -> Started:
    """Have a ticket developed: queue a run, which a worker takes up."""
    from bot.agent.tickets import start

    ticket_id = call.path["ticket_id"]
    async with call.engine.connect() as db:
        await shown(db, call, ticket_id)
    await changed(call, ticket_id, "develop_ticket", sent)
    with github_asked():
        started = await start(surroundings_of(call), ticket_id, by_id=call.member.user_id)
    return await queued(call, started, ticket_id)


@endpoint(
    "POST",
    "/tickets/repository/{repo_id:path}/develop-next",
    roles=("manager",),
    query=Query,
    answer=Started,
    problems=("409", "502"),
)
async def develop_next(call: Call, query: Query) -> Started:
    """Have the ticket developed that is next in a repository's queue; 409 where none is open."""
    from bot.agent.tickets import develop_next as start_next

    async with call.engine.connect() as db:
        repository_id = await repository_named(db, call.member, call.path["repo_id"])
    with github_asked():
        started = await start_next(
            surroundings_of(call), repository_id, by_id=call.member.user_id, by_login=None
        )
    async with call.engine.begin() as db:
        await noted(db, call, "develop_next", repository_id)
    return await queued(call, started, None)


async def queued(call: Call, started: Any, ticket_id: str | None) -> Started:
    """Return the run that was queued; raise `Problem` 409 with the words that say why none was."""
    if started.run_id is None:
        raise conflict(started.words)
    async with call.engine.connect() as db:
        if ticket_id is None:
            found = await runs.run(db, started.run_id)
            ticket_id = str(found["ticket_id"]) if found else ""
        return Started(
            run_id=started.run_id, words=started.words, ticket=await shown(db, call, ticket_id)
        )
