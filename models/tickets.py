"""Tickets: issues for the agent, in the order in which each repository wants them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Double, Index, Numeric, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel

from models.columns import maybe_text, maybe_time, now, texts, time
from models.columns import number as big_number
from models.columns import text as words

PRIORITIES = ("critical", "high", "medium", "low")
TYPES = ("bug", "feature", "chore", "docs", "refactor", "test", "task")
SOURCES = ("label", "assignment", "comment", "api", "cli", "page", "slack", "linear")


class TicketStatus(StrEnum):
    """What has become of a ticket; it follows the ticket's pull request."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    IN_REVIEW = "in_review"
    CLOSED = "closed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Ticket(SQLModel, table=True):
    """An issue for the agent, with its words as they were when somebody asked for it.

    The id is the issue's (`github:42`). `requested_at` is when it was asked for: later comments
    are not read. `source`: label, assignment, comment, api, cli, page or slack. `position` orders
    the queue of its repository, smallest first. `model`, `budget_usd` and `allowed_paths` are what
    commands set for it; None means the default. `comment_id` is the tracking comment's.
    """

    __tablename__ = "tickets"
    __table_args__ = (
        Index("tickets_queue", "repository_id", "status", "position"),
        Index("tickets_pull_request", "repository_id", "pull_request_number"),
        Index("tickets_listed", "organization_id", "created_at"),
    )

    id: str = words(primary_key=True)
    organization_id: str = words()
    repository_id: str = words()
    number: int
    title: str = words()
    body: str = words()
    url: str | None = maybe_text()
    type: str = words()
    priority: str = words()
    position: float = Field(sa_type=Double)
    status: str = words(default=TicketStatus.OPEN, sa_column_kwargs={"server_default": "open"})
    source: str = words()
    author_login: str | None = maybe_text()
    requested_by_id: str | None = maybe_text()
    requested_by_login: str | None = maybe_text()
    requested_at: datetime = time()
    additional_context: str | None = maybe_text()
    auto_update_status: bool = Field(default=True, sa_column_kwargs={"server_default": "true"})
    model: str | None = maybe_text()
    budget_usd: Decimal | None = Field(default=None, sa_type=Numeric(12, 6))
    allowed_paths: list[str] = texts(sa_column_kwargs={"server_default": "{}"})
    branch: str | None = maybe_text()
    pull_request_number: int | None = None
    comment_id: int | None = big_number(default=None)
    created_at: datetime | None = now()
    updated_at: datetime | None = now()
    closed_at: datetime | None = maybe_time()


WAITING = ("open",)
ORDER = "position, created_at, id"

FIND = text("select * from tickets where id = :id")
QUEUE_OF = text(f"""
    select * from tickets where repository_id = :repository and status = 'open' order by {ORDER}
""")  # noqa: S608 - constants only
POSITIONS = text(f"""
    select id, priority from tickets
     where repository_id = :repository and status in ('open', 'in_progress') and id <> :except
     order by {ORDER}
""")  # noqa: S608 - constants only
LOCK = text("select pg_advisory_xact_lock(hashtextextended('tickets:' || :repository, 0))")
RENUMBER = text("""
    update tickets t set position = o.position, updated_at = now()
      from unnest(cast(:ids as text[])) with ordinality as o(id, position)
     where t.id = o.id and t.position <> o.position
""")
PUT = text("""
    insert into tickets (id, organization_id, repository_id, number, title, body, url, type,
           priority, position, source, author_login, requested_by_id, requested_by_login,
           requested_at, additional_context, auto_update_status, model, budget_usd)
    values (:id, :organization_id, :repository_id, :number, :title, :body, :url, :type,
           :priority, 0, :source, :author_login, :requested_by_id, :requested_by_login,
           :requested_at, :additional_context, :auto_update_status, :model, :budget_usd)
        on conflict (id) do update set
           title = excluded.title, body = excluded.body, url = excluded.url, type = excluded.type,
           source = excluded.source, requested_by_id = excluded.requested_by_id,
           requested_by_login = excluded.requested_by_login,
           requested_at = excluded.requested_at,
           additional_context = coalesce(excluded.additional_context, tickets.additional_context),
           model = coalesce(excluded.model, tickets.model),
           status = case when tickets.status in ('closed', 'failed', 'cancelled')
                         then 'open' else tickets.status end,
           closed_at = case when tickets.status in ('closed', 'failed', 'cancelled')
                            then null else tickets.closed_at end,
           updated_at = now()
    returning id
""")
SET_STATUS = text("""
    update tickets
       set status = :status, updated_at = now(),
           closed_at = case when :status in ('closed', 'failed', 'cancelled') then now() end
     where id = :id and status <> :status and (:anyway or auto_update_status)
    returning id
""")
UNDER_WAY = text("""
    select distinct ticket_id from runs
     where repository_id = :repository
       and state not in ('done', 'draft', 'nothing_to_do', 'failed', 'cancelled', 'over_budget',
                         'blocked')
""")
PLANS = text("""
    select id from runs where ticket_id = :ticket and state = 'waiting_approval' order by id desc
""")
GOING_ON = text("""
    select id from tickets
     where repository_id = :repository and number = :number
       and status in ('open', 'in_progress', 'in_review')
""")
OF_PULL_REQUEST = text("""
    select * from tickets
     where repository_id = :repository
       and (pull_request_number = :number or branch = :branch)
     order by pull_request_number = :number desc nulls last, created_at desc limit 1
""")


async def ticket(db: AsyncConnection, ticket_id: str) -> RowMapping | None:
    """Return a ticket by its id; None where there is none."""
    return (await db.execute(FIND, {"id": ticket_id})).mappings().first()


async def queue_of(db: AsyncConnection, repository_id: str) -> Sequence[RowMapping]:
    """Return the open tickets of a repository in the order in which they will be developed."""
    return (await db.execute(QUEUE_OF, {"repository": repository_id})).mappings().all()


async def put_ticket(db: AsyncConnection, told: Mapping[str, Any]) -> str:
    """Keep a ticket, or ask for one again; a new one goes behind its equals in priority.

    `told` has the columns of `Ticket` without its position and status. A ticket that had ended is
    open again. Returns its id.
    """
    kept = await ticket(db, told["id"])
    columns = {"author_login": None, "additional_context": None, "auto_update_status": True}
    await db.execute(PUT, {**columns, "model": None, "budget_usd": None, "url": None, **told})
    if kept is None or kept["status"] in ("closed", "failed", "cancelled"):
        await place_by_priority(db, told["repository_id"], told["id"], told["priority"])
    return str(told["id"])


async def place_by_priority(
    db: AsyncConnection, repository_id: str, ticket_id: str, priority: str
) -> None:
    """Put a ticket behind the last one that is as urgent, before all that are less."""
    await db.execute(LOCK, {"repository": repository_id})
    bound = {"repository": repository_id, "except": ticket_id}
    others = (await db.execute(POSITIONS, bound)).all()
    urgent = [PRIORITIES.index(other.priority) <= PRIORITIES.index(priority) for other in others]
    place = len(urgent) - urgent[::-1].index(True) if True in urgent else 0
    ids = [other.id for other in others]
    await db.execute(RENUMBER, {"ids": [*ids[:place], ticket_id, *ids[place:]]})


async def set_priority(db: AsyncConnection, ticket_id: str, priority: str) -> None:
    """Give a ticket another priority, and the place in its queue that goes with it."""
    update = text(
        "update tickets set priority = :priority, updated_at = now() where id = :id"
        " returning repository_id"
    )
    repository = (await db.execute(update, {"id": ticket_id, "priority": priority})).scalar_one()
    await place_by_priority(db, repository, ticket_id, priority)


async def reorder(db: AsyncConnection, repository_id: str, ids: Sequence[str]) -> list[str]:
    """Put tickets first, in the order given; the others follow in the order they had.

    Ids that are not waiting in this repository are left out. Returns the whole new order.
    """
    await db.execute(LOCK, {"repository": repository_id})
    bound = {"repository": repository_id, "except": ""}
    known = [other.id for other in (await db.execute(POSITIONS, bound)).all()]
    first = [each for each in dict.fromkeys(ids) if each in known]
    order = [*first, *(each for each in known if each not in first)]
    await db.execute(RENUMBER, {"ids": order})
    return order


async def set_status(
    db: AsyncConnection, ticket_id: str, status: TicketStatus, *, anyway: bool = False
) -> bool:
    """Move a ticket on; tell whether it moved. `anyway`: even one that a person keeps by hand."""
    bound = {"id": ticket_id, "status": status.value, "anyway": anyway}
    return (await db.execute(SET_STATUS, bound)).first() is not None


async def under_way(db: AsyncConnection, repository_id: str) -> set[str]:
    """Return the tickets of a repository that have a run that waits or is at work."""
    return set((await db.scalars(UNDER_WAY, {"repository": repository_id})).all())


async def planned(db: AsyncConnection, ticket_id: str) -> int | None:
    """Return the run of a ticket whose plan waits for approval; None where there is none."""
    run_id: int | None = await db.scalar(PLANS, {"ticket": ticket_id})
    return run_id


async def ticket_of_pull_request(
    db: AsyncConnection, repository_id: str, number: int, branch: str
) -> RowMapping | None:
    """Return the ticket that a pull request was made for: by its number, else by its branch.

    The branch counts as well because GitHub may tell of a pull request before its number is kept.
    """
    bound = {"repository": repository_id, "number": number, "branch": branch}
    return (await db.execute(OF_PULL_REQUEST, bound)).mappings().first()


async def going_on(db: AsyncConnection, repository_id: str, number: int) -> str | None:
    """Return the ticket of an issue that has not ended; None where there is none."""
    found: str | None = await db.scalar(GOING_ON, {"repository": repository_id, "number": number})
    return found
