"""The agent's runs over the API: what they did and cost, and stopping or approving them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.accounts import audit
from bot.web.api.asking import called, conflict, missing, row_id, tell
from bot.web.api.endpoints import Call, Query, Words, endpoint, invalid
from bot.web.api.listing import Limit, Listed, RepositoryListing, repository_named
from bot.web.api.redacting import redacted
from bot.web.api.run_answers import Run, RunSummary, told_of_run, told_of_runs
from models import runs as run_rows
from models.runs import ENDED, RunState

State = Literal[
    "queued", "setup", "planning", "waiting_approval", "developing", "validating", "gating",
    "publishing", "done", "draft", "nothing_to_do", "failed", "cancelled", "over_budget", "blocked",
    "active", "ended",
]  # fmt: skip
GROUPS = {
    "ended": list(ENDED),
    "active": [state.value for state in RunState if state.value not in ENDED],
}
LATEST_MESSAGES = text("""
    select position, conversation, role, content, stop_reason, at from run_messages
     where run_id = :run and position > :after order by position limit :limit
""")


class RunListing(RepositoryListing):
    """Which runs. `state`: one of theirs, or `active` or `ended`; `status` is another name of it.

    `cursor`: the `next_cursor` of the page before.
    """

    state: State | None = None
    status: State | None = None
    ticket_id: Words | None = None


class Runs(Listed):
    """A page of runs, newest first."""

    items: list[RunSummary]


class Message(BaseModel):
    """One message of a run's conversation with the model; live secrets are blacked out.

    `conversation` counts from 0: a fresh one begins when another model takes over. `content` is a
    list of blocks as Anthropic describes them (https://docs.claude.com/en/api/messages).
    """

    position: int
    conversation: int
    role: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    at: datetime


class Messages(BaseModel):
    """A page of messages, oldest first. `next_cursor` is None on the last one."""

    items: list[Message]
    next_cursor: str | None


class MessageListing(Query):
    """A page of messages: those behind `cursor`, the `next_cursor` of the page before."""

    cursor: Annotated[Words, Field(pattern=r"^[0-9]{1,9}$")] | None = None
    limit: Limit = 50


@endpoint("GET", "/runs", query=RunListing, answer=Runs)
async def runs(call: Call, query: RunListing) -> Runs:
    """List runs of the agent, newest first."""
    async with call.engine.connect() as db:
        where, bound = await wanted(db, call, query)
        found = await told_of_runs(db, where, query.limit + 1, **bound)
    items = [RunSummary(**row) for row in found[: query.limit]]
    more = len(found) > query.limit
    return Runs(items=items, next_cursor=str(items[-1].id) if more else None)


async def wanted(
    db: AsyncConnection, call: Call, query: RunListing
) -> tuple[str, Mapping[str, Any]]:
    """Return the condition on the runs that are listed, and what is bound to it."""
    if query.state and query.status and query.state != query.status:
        raise invalid([{"field": "status", "detail": "It is another name of state: say one."}])
    bound: dict[str, Any] = {"organization_id": call.member.organization_id}
    clauses = ["x.organization_id = :organization_id"]
    if state := query.state or query.status:
        clauses.append("x.state = any(:states)")
        bound["states"] = GROUPS.get(state, [state])
    if query.repo_id is not None:
        clauses.append("x.repository_id = :repository_id")
        bound["repository_id"] = await repository_named(db, call.member, query.repo_id)
    if query.ticket_id is not None:
        clauses.append("x.ticket_id = :ticket_id")
        bound["ticket_id"] = query.ticket_id
    if query.cursor is not None:
        clauses.append("x.id < :before")
        bound["before"] = row_id(query.cursor, "page")
    return " and ".join(clauses), bound


@endpoint("GET", "/runs/{id}", query=Query, answer=Run)
async def run(call: Call, query: Query) -> Run:
    """Show a run: its state, steps, tests, changes and what each call of a model cost."""
    async with call.engine.connect() as db:
        return await shown(db, call)


async def shown(db: AsyncConnection, call: Call) -> Run:
    """Return the run that the path names; raise `Problem` 404 where it is not one's own."""
    run_id = row_id(call.path["id"], "run")
    found = await told_of_run(db, run_id, call.member.organization_id)
    if found is None:
        raise missing("run")
    return Run.model_validate(redacted(call.settings, found.model_dump()))


@endpoint("GET", "/runs/{id}/messages", query=MessageListing, answer=Messages)
async def messages(call: Call, query: MessageListing) -> Messages:
    """Show what was said between us and the model in a run, oldest first."""
    async with call.engine.connect() as db:
        found = await shown(db, call)
        bound = {"run": found.id, "after": int(query.cursor or -1), "limit": query.limit + 1}
        rows = (await db.execute(LATEST_MESSAGES, bound)).mappings().all()
    kept = redacted(call.settings, [dict(row) for row in rows[: query.limit]])
    items = [Message(**row) for row in kept]
    more = len(rows) > query.limit
    return Messages(items=items, next_cursor=str(items[-1].position) if more else None)


@endpoint("POST", "/runs/{id}/stop", roles=("manager",), query=Query, answer=Run, problems=("409",))
async def stop_run(call: Call, query: Query) -> Run:
    """Stop a run: at once where it waits, within 5 seconds where it is at work."""
    async with call.engine.begin() as db:
        found = await shown(db, call)
        if await run_rows.stop(db, found.id, called(call.member)) is None:
            raise conflict(f"Run {found.id} has ended: it is {found.state.value}.")
        await noted(db, call, "stop_run", found)
        stopped = await shown(db, call)
    await tell(call, "run", "ticket")
    return stopped


@endpoint(
    "POST", "/runs/{id}/approve", roles=("manager",), query=Query, answer=Run, problems=("409",)
)
async def approve_run(call: Call, query: Query) -> Run:
    """Approve the plan of a run that waits for that; it is then developed."""
    async with call.engine.begin() as db:
        found = await shown(db, call)
        if not await run_rows.approve(db, found.id, None):
            raise conflict(f"Run {found.id} waits for no approval: it is {found.state.value}.")
        await run_rows.note(db, found.id, "note", "approved", detail=f"by {called(call.member)}")
        await noted(db, call, "approve_run", found)
        approved = await shown(db, call)
    await tell(call, "run", "ticket")
    return approved


async def noted(db: AsyncConnection, call: Call, action: str, found: Run) -> None:
    """Write down who did what to a run."""
    await audit(
        db,
        action,
        user_id=call.member.user_id,
        organization_id=call.member.organization_id,
        detail=f"run {found.id} of {found.ticket_id}",
    )
