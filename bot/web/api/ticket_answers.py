"""What is said of tickets, over the API and by the command line, and the questions behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.runs import RunState
from models.tickets import TicketStatus, under_way

Priority = Literal["critical", "high", "medium", "low"]
Type = Literal["bug", "feature", "chore", "docs", "refactor", "test", "task"]


class Ticket(BaseModel):
    """An issue for the agent. Money is in US dollars.

    `queue_position` counts the open tickets of its repository from 1; None where it is not open.
    `model` and `budget_usd` are None where the defaults hold. `requested_by` is a login at GitHub,
    or the name of who asked here. `run_id` and `run_state` are of its latest run.
    """

    id: str
    repository_id: str
    repository: str | None
    number: int
    title: str
    body: str
    url: str | None
    type: str
    priority: str
    queue_position: int | None
    status: TicketStatus
    source: str
    author_login: str | None
    requested_by: str | None
    requested_at: datetime
    additional_context: str | None
    auto_update_status: bool
    model: str | None
    budget_usd: float | None
    spent_usd: float
    allowed_paths: list[str]
    branch: str | None
    pull_request_number: int | None
    pull_request_url: str | None
    runs: int
    run_id: int | None
    run_state: RunState | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class NextTicket(BaseModel):
    """Which ticket of a repository is developed next; None where none is open.

    `queue_position` counts from 1; `total_open_tickets` are all that are open.
    """

    ticket: Ticket | None
    queue_position: int | None
    total_open_tickets: int


TICKETS = """
    select x.*, x.created_at as at, r.full_name as repository,
           coalesce(b.spent_usd, 0) as spent_usd, p.url as pull_request_url,
           coalesce(x.requested_by_login, u.name, u.email) as requested_by,
           case when x.status = 'open' then (
               select count(*) from tickets q
                where q.repository_id = x.repository_id and q.status = 'open'
                  and (q.position, q.created_at, q.id) <= (x.position, x.created_at, x.id))
           end as queue_position,
           (select count(*) from runs n where n.ticket_id = x.id) as runs,
           l.id as run_id, l.state as run_state
      from tickets x
      left join repositories r on r.id = x.repository_id
      left join users u on u.id = x.requested_by_id
      left join budgets b on b.id = 'ticket:' || x.id
      left join lateral (select url from pull_requests
                          where repository_id = x.repository_id
                            and number = x.pull_request_number
                          order by changed_at desc limit 1) p on true
      left join lateral (select id, state from runs
                          where ticket_id = x.id order by id desc limit 1) l on true
     where {where}
"""
FOUND = text(TICKETS.format(where="x.organization_id = :organization_id and x.id = :id"))
QUEUE = text(
    TICKETS.format(where="x.repository_id = :repository_id and x.status = 'open'")
    + " order by x.position, x.created_at, x.id"
)


async def told_of_ticket(
    db: AsyncConnection, organization_id: str, ticket_id: str
) -> Mapping[str, Any] | None:
    """Return what is said of a ticket; None where the organisation has no such one."""
    bound = {"organization_id": organization_id, "id": ticket_id}
    found = (await db.execute(FOUND, bound)).mappings().first()
    return dict(found) if found else None


async def told_of_queue(db: AsyncConnection, repository_id: str) -> list[Ticket]:
    """Return the open tickets of a repository in the order in which they will be developed."""
    found = await db.execute(QUEUE, {"repository_id": repository_id})
    return [Ticket(**row) for row in found.mappings()]


async def told_of_next(db: AsyncConnection, repository_id: str) -> NextTicket:
    """Return the ticket that a repository develops next: the first one without a run under way."""
    queue, busy = await told_of_queue(db, repository_id), await under_way(db, repository_id)
    found = next((ticket for ticket in queue if ticket.id not in busy), None)
    return NextTicket(
        ticket=found,
        queue_position=found.queue_position if found else None,
        total_open_tickets=len(queue),
    )
