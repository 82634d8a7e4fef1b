"""How a run ends: its ticket, its comment, those who want to know; then its last state."""

import contextlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import text

from bot.agent.board import Board
from bot.agent.place import redactor_of, rows_of
from bot.agent.redact import Redactor
from bot.agent.tickets import installed
from bot.clients.github import GitHubError, RateLimited
from bot.live import publish
from bot.surroundings import Surroundings
from handlers.events import Job
from models import runs
from models.errors import Refused
from models.queue import queue
from models.runs import RunState
from models.tickets import TicketStatus, set_status

log = structlog.get_logger()

LATER_SECONDS = 60.0
BUG = "Something in Veelocity went wrong; its log says more (run {run})."
PUT_OFF = text("""
    update runs set leased_until = null, next_try_at = :at, attempts = attempts - :forgiven
     where id = :id
""")

PUBLISHED = (RunState.DONE, RunState.DRAFT, RunState.OVER_BUDGET)
USED_UP = text("update tickets set allowed_paths = '{}' where id = :ticket")
"""A path is allowed for one run that is published, not for all that may follow."""

TICKETS: dict[str, TicketStatus] = {
    RunState.FAILED: TicketStatus.FAILED,
    RunState.BLOCKED: TicketStatus.FAILED,
    RunState.OVER_BUDGET: TicketStatus.FAILED,
    RunState.CANCELLED: TicketStatus.CANCELLED,
    RunState.NOTHING_TO_DO: TicketStatus.CANCELLED,
}
"""What becomes of a ticket whose run ended so, without a pull request."""


async def stopped(surroundings: Surroundings, run_id: int) -> None:
    """End a run that somebody asked to stop."""
    async with surroundings.engine.connect() as db:
        row = await runs.run(db, run_id)
    by = row and row["stop_requested_by"]
    await end(surroundings, run_id, RunState.CANCELLED, f"Stopped by {by}." if by else "Stopped.")


async def failed(surroundings: Surroundings, run_id: int, error: BaseException) -> None:
    """End a run that cannot go on, or put it off where waiting may help."""
    if isinstance(error, RateLimited):
        await put_off(surroundings, run_id, error.until, forgiven=True)
        return
    if isinstance(error, GitHubError) and error.passing:
        at = datetime.now(UTC) + timedelta(seconds=LATER_SECONDS)
        await put_off(surroundings, run_id, at, forgiven=False)
        return
    if isinstance(error, Refused | GitHubError):
        said = str(error)
    else:
        log.error("run_failed", run=run_id, exc_info=error)
        said = BUG.format(run=run_id)
    await end(surroundings, run_id, RunState.FAILED, said)


async def put_off(surroundings: Surroundings, run_id: int, at: datetime, *, forgiven: bool) -> None:
    """Have a run taken up again later, in the state it is in."""
    async with surroundings.engine.begin() as db:
        await db.execute(PUT_OFF, {"id": run_id, "at": at, "forgiven": int(forgiven)})


async def end(
    surroundings: Surroundings, run_id: int, state: RunState, error: str | None = None
) -> None:
    """Give a run its last state, and say so wherever it is shown; GitHub may be away.

    A run that has ended already stays as it is.
    """
    async with surroundings.engine.connect() as db:
        row = dict(await runs.run(db, run_id) or {})
    redactor = await redactor_of(surroundings, str(row.get("organization_id")))
    error = redactor.redact(error) if error else None
    async with surroundings.engine.begin() as db:
        if not await runs.move(db, run_id, state, error):
            return
        row = dict(await runs.run(db, run_id) or {})
        await follow(db, row)
        await queue(db, [completion(row)], row["organization_id"])
    with contextlib.suppress(OSError):
        await publish(surroundings.redis, row["organization_id"], "run", "ticket")
    await shown(surroundings, row, redactor)


async def follow(db: Any, row: dict[str, Any]) -> None:
    """Let a ticket follow its run: in review where there is a pull request, else as it ended."""
    if row["state"] in PUBLISHED:
        await db.execute(USED_UP, {"ticket": row["ticket_id"]})
    if row["kind"] in ("review", "checks"):
        return
    status = TICKETS.get(row["state"])
    if row["pull_request_number"] and row["state"] not in (RunState.CANCELLED, RunState.FAILED):
        status = TicketStatus.IN_REVIEW
    if status is not None:
        await set_status(db, row["ticket_id"], status)


def completion(row: dict[str, Any]) -> Job:
    """Order that whoever wants to know is told of a run's end."""
    return Job(
        "tell_completion",
        key=f"tell_completion:{row['id']}",
        arguments={"run": row["id"]},
        lane="agent",
    )


async def show(surroundings: Surroundings, run_id: int) -> None:
    """Bring the tracking comment of a run up to date, where nobody works on it."""
    async with surroundings.engine.connect() as db:
        row = await runs.run(db, run_id)
    if row is not None:
        redactor = await redactor_of(surroundings, row["organization_id"])
        await shown(surroundings, dict(row), redactor)


async def shown(surroundings: Surroundings, row: dict[str, Any], redactor: Redactor) -> None:
    """Say on the tracking comment how a run ended."""
    async with AsyncExitStack() as held:
        with contextlib.suppress(GitHubError, Refused):
            async with surroundings.engine.connect() as db:
                ticket, home, _ = await rows_of(db, row)
            github = await held.enter_async_context(installed(surroundings, home))
            board = Board(surroundings, github, home, ticket, redactor, int(row["id"]))
            await board.show()
