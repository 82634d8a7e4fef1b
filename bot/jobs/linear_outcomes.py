"""`tell_linear`: what became of an issue is written back to Linear, as one comment and a state."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients.linear import Linear
from bot.clients.linear_queries import Standing, comment, edit_comment, move, standing
from bot.jobs import Surroundings, job
from bot.jobs.linear import speaking
from handlers.events import Job
from models import linear_tickets
from models.queue import ClaimedJob, queue

BEFORE_WORK = ("triage", "backlog", "unstarted")
OVER = ("completed", "canceled")
WORDS = {
    "open": "Taken up as {issue}: Claude begins when it is its turn.",
    "in_progress": "Claude is working on it, as {issue}.",
    "in_review": "Claude opened a pull request: {pull_request}.",
    "merged": "Done: {pull_request} is merged.",
    "closed": "{issue} was closed without a merged pull request.",
    "failed": "Claude did not get it done. What happened is said in {issue}.",
    "cancelled": "The work on {issue} was cancelled.",
}


async def queue_outcomes(db: AsyncConnection) -> int:
    """Queue what Linear has not been told yet; return how much that is. Needs Postgres alone."""
    due = await linear_tickets.due_outcomes(db)
    for each in due:
        await queue(db, [tell_job(each["linear_issue_id"])], each["organization_id"])
    return len(due)


def tell_job(linear_issue_id: str) -> Job:
    """Have Linear told what became of an issue."""
    return Job(
        "tell_linear",
        key=f"tell_linear:{linear_issue_id}",
        arguments={"issue": linear_issue_id},
        lane="agent",
    )


@job
async def tell_linear(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Write the outcome as it is now, unless Linear was told exactly that."""
    key = str(claimed.arguments["issue"])
    async with surroundings.engine.connect() as db:
        row = await linear_tickets.outcome_of(db, key)
    if row is None or row["organization_id"] != claimed.organization_id:
        return
    outcome = row["outcome"]
    if outcome is None or outcome == row["told"]:
        return
    async with speaking(surroundings, str(claimed.organization_id)) as linear:
        if linear is None:
            return
        await write(linear, key, dict(row))
    async with surroundings.engine.begin() as db:
        await linear_tickets.was_told(db, key, outcome)


async def write(linear: Linear, key: str, row: Mapping[str, Any]) -> None:
    """Bring our comment and the state up to date; both look before they do anything."""
    issue_id, comment_id = key.removeprefix("linear:"), comment_of(key)
    stands = await standing(linear, issue_id, comment_id)
    body = words(row)
    if stands.comment is None:
        await comment(linear, issue_id, comment_id, body)
    elif stands.comment != body:
        await edit_comment(linear, comment_id, body)
    if state_id := next_state(stands, str(row["outcome"]).partition(":")[0]):
        await move(linear, issue_id, state_id)


def comment_of(key: str) -> str:
    """Return the id of our comment on an issue: the same for ever, so that there is only one."""
    made = blake2b(f"veelocity:comment:{key}".encode(), digest_size=16).digest()
    return str(UUID(bytes=made, version=4))


def words(row: Mapping[str, Any]) -> str:
    """Say an outcome, with links to GitHub."""
    name = row["repository"]
    issue = linked(f"{name}#{row['number']}", row["issue_url"])
    number = row["pull_request"]
    pull = linked(f"{name}#{number}", row["pull_request_url"]) if number else f"a branch of {name}"
    said = WORDS[str(row["outcome"]).partition(":")[0]]
    return said.format(issue=issue, pull_request=pull)


def linked(label: str, url: str | None) -> str:
    """Return a link in Markdown, or its label alone."""
    return f"[{label}]({url})" if url else label


def next_state(stands: Standing, outcome: str) -> str | None:
    """Return the state that an outcome leads to in the team's workflow; None: it stays as it is.

    Only forward: what people have moved further is theirs.
    """
    found = None
    if outcome in ("in_progress", "in_review") and stands.state.type in BEFORE_WORK:
        found = stands.first("started")
    elif outcome == "merged" and stands.state.type not in OVER:
        found = stands.first("completed")
    return found.id if found else None
