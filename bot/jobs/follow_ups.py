"""Tickets follow their issue and pull request; reviews and failing checks lead to another run."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent.tickets import Started, settings_of, start, tell
from bot.clients import github_work
from bot.clients.github import Installation
from bot.jobs import PutOff, Surroundings, job
from bot.jobs.tickets import is_ours
from bot.jobs.wishes import REFUSED, Wish, heard, may, noted, speaking
from models import budgets, runs, tickets, wishes
from models.budgets import Limit, Spender, limits_of
from models.deriving import home_of
from models.prompts import AgentSettings
from models.queue import ClaimedJob
from models.tickets import TicketStatus

MOST_AUTOMATIC = 2
"""How often failing checks of one pull request lead to a run without anybody asking."""

WAIT_SECONDS, CHECKS_SECONDS = 30.0, 60.0
MOST_WAIT = timedelta(hours=2)
MOST_REQUEST = 20_000
OPEN = (TicketStatus.OPEN, TicketStatus.IN_PROGRESS)
OVER = ("closed", "failed", "cancelled")

CHECKS = "These checks fail on {sha} of this branch, and not on the branch that it goes to:"


@job
async def follow_issue(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Let a ticket follow its issue as that stands now, whatever order we were told in."""
    told = claimed.arguments
    async with surroundings.engine.connect() as db:
        ticket = await tickets.ticket(db, str(told["issue"]))
        issue = await wishes.issue_of(db, str(told["issue"])) if ticket else None
    if ticket is None or issue is None or ticket["organization_id"] != claimed.organization_id:
        return
    if issue["state"] == "closed" or issue["deleted"]:
        await issue_closed(surroundings, ticket)
    elif told["action"] == "reopened" and ticket["status"] == "closed":
        await move(surroundings, ticket, TicketStatus.OPEN)
    elif told["action"] == "unlabeled" and is_off(told, issue):
        await issue_unlabeled(surroundings, ticket, str(told["label"]))


def is_off(told: Mapping[str, Any], issue: RowMapping) -> bool:
    """Tell whether a label that was taken off is off still: nobody put it on again since."""
    newer = issue["changed_at"] > datetime.fromisoformat(str(told["at"]))
    return not (newer and told["label"] in issue["labels"])


async def issue_closed(surroundings: Surroundings, ticket: RowMapping) -> None:
    """Close a ticket whose issue is closed, unless its pull request is still looked at."""
    async with surroundings.engine.connect() as db:
        pull = await pull_of(db, ticket)
    if ticket["status"] in OVER or (pull is not None and pull["state"] == "open"):
        return
    await move(surroundings, ticket, TicketStatus.CLOSED, stop=True)


async def pull_of(db: AsyncConnection, ticket: RowMapping) -> RowMapping | None:
    """Return the pull request of a ticket; None where it has none."""
    number = ticket["pull_request_number"]
    if number is None:
        return None
    return await wishes.numbered_pull_request(db, ticket["repository_id"], number)


async def issue_unlabeled(surroundings: Surroundings, ticket: RowMapping, label: str) -> None:
    """Cancel a ticket whose label was taken off before anything came of it."""
    if ticket["source"] != "label" or ticket["status"] not in OPEN:
        return
    async with surroundings.engine.connect() as db:
        home = await home_of(db, ticket["repository_id"])
    if home is None or home.installation is None:
        return
    async with speaking(surroundings, home) as github:
        if github is not None and await is_ours(surroundings, github, home, label):
            await move(surroundings, ticket, TicketStatus.CANCELLED, stop=True)


async def move(
    surroundings: Surroundings, ticket: RowMapping, status: TicketStatus, *, stop: bool = False
) -> None:
    """Give a ticket a status, unless people keep it by hand; `stop`: its runs end too."""
    async with surroundings.engine.begin() as db:
        if stop:
            for run_id in await wishes.active_runs(db, ticket["id"]):
                await runs.stop(db, run_id, None)
        await tickets.set_status(db, ticket["id"], status)
    await tell(surroundings, ticket["organization_id"])


@job
async def follow_pull_request(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Let a ticket follow its pull request as that stands now: merged, closed, open again."""
    told = claimed.arguments
    place = (str(told["repository"]), int(told["number"]), str(told["branch"]))
    async with surroundings.engine.begin() as db:
        ticket = await tickets.ticket_of_pull_request(db, *place)
        pull = await wishes.pull_request_of(db, str(told["pull_request"]))
        if ticket is None or pull is None or ticket["organization_id"] != claimed.organization_id:
            return
        await wishes.give_pull_request(db, ticket["id"], place[1])
        newest = ticket["pull_request_number"] in (None, place[1])
    if newest:
        await move(surroundings, ticket, status_by(pull), stop=pull["state"] == "closed")


def status_by(pull: RowMapping) -> TicketStatus:
    """Return what becomes of a ticket by its pull request."""
    if pull["merged_at"] is not None:
        return TicketStatus.CLOSED
    return TicketStatus.FAILED if pull["state"] == "closed" else TicketStatus.IN_REVIEW


@job
async def consider_review(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Go on with a branch that somebody who may write has reviewed."""
    wish = await heard(surroundings, claimed)
    ticket = await reviewed_ticket(surroundings, wish) if wish else None
    if wish is None or ticket is None:
        return
    async with speaking(surroundings, wish.home) as github:
        if github is None:
            return
        if not await may(github, wish):
            await noted(surroundings, wish, REFUSED)
            return
        request = await words_of(github, wish)
        if not request:
            return
        by = {"by_id": f"github:{wish.by_id}", "by_login": wish.by_login}
        started = await start(surroundings, ticket["id"], kind="review", request=request, **by)
    again_if_busy(wish, started)


async def reviewed_ticket(surroundings: Surroundings, wish: Wish) -> RowMapping | None:
    """Return the ticket of the pull request that a review or check is about, if it is open."""
    place = wish.home.place.repository_id
    number, branch = int(wish.told.get("number") or 0), str(wish.told["branch"])
    async with surroundings.engine.connect() as db:
        ticket = await tickets.ticket_of_pull_request(db, place, number, branch)
        pull = await pull_of(db, ticket) if ticket else None
    closed = pull is not None and pull["state"] != "open"
    return None if ticket is None or closed or ticket["status"] == "closed" else ticket


async def words_of(github: Installation, wish: Wish) -> str:
    """Return a review's words and its remarks about lines; empty where it was taken back."""
    number, review_id = int(wish.told["number"]), int(wish.told["review"])
    review = await github_work.review(github, wish.name, number, review_id)
    if review is None or review.state.lower() in ("dismissed", "pending"):
        return ""
    remarks = await github_work.review_comments(github, wish.name, number, review_id)
    lines = [f"{each.path}:{each.line or 'outdated'}: {each.body or ''}" for each in remarks]
    return "\n\n".join(part for part in (review.body or "", *lines) if part)[:MOST_REQUEST]


def again_if_busy(wish: Wish, started: Started) -> None:
    """Raise `PutOff` where a run of the ticket is still at work, for two hours at most."""
    if started.run_id is None and datetime.now(UTC) - wish.at < MOST_WAIT:
        raise PutOff(datetime.now(UTC) + timedelta(seconds=WAIT_SECONDS), started.words)


@job
async def consider_checks(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Go on with a branch whose checks fail, if that may be done without anybody asking."""
    wish = await heard(surroundings, claimed)
    ticket = await reviewed_ticket(surroundings, wish) if wish else None
    if wish is None or ticket is None or ticket["pull_request_number"] is None:
        return
    if not await may_mend(surroundings, ticket, str(wish.told["sha"])):
        return
    async with speaking(surroundings, wish.home) as github:
        request = await failing(github, wish, ticket) if github else ""
        if not request:
            return
        started = await start(surroundings, ticket["id"], kind="checks", request=request)
    again_if_busy(wish, started)


async def may_mend(surroundings: Surroundings, ticket: RowMapping, sha: str) -> bool:
    """Tell whether failing checks may lead to a run: not too often, and with money left."""
    async with surroundings.engine.connect() as db:
        if await wishes.was_mended(db, ticket["id"], sha):
            return False
        if await wishes.mended(db, ticket["id"], ticket["pull_request_number"]) >= MOST_AUTOMATIC:
            return False
        wanted = await settings_of(db, surroundings.settings, ticket["organization_id"])
        return await budgets.left(db, money_of(ticket, wanted)) > 0


def money_of(ticket: RowMapping, wanted: AgentSettings) -> tuple[Limit, ...]:
    """Return the budgets that another run of a ticket has to fit into."""
    own = ticket["budget_usd"]
    return limits_of(
        Spender(0, ticket["id"], ticket["repository_id"], ticket["organization_id"]),
        datetime.now(UTC).date(),
        Decimal(wanted.ticket_budget_usd or 0) if own is None else own,
        Decimal(wanted.repository_day_budget_usd or 0),
        Decimal(wanted.organization_day_budget_usd or 0),
    )


async def failing(github: Installation, wish: Wish, ticket: RowMapping) -> str:
    """Return which checks fail on the head commit and not on its base; empty where none does.

    Raises `PutOff` while others are still at work, so that one run sees all of them.
    """
    sha = str(wish.told["sha"])
    pull = await github_work.pull_request(github, wish.name, ticket["pull_request_number"])
    if pull is None or pull.state != "open" or pull.head.sha != sha:
        return ""
    listed = await github_work.checks_of(github, wish.name, sha)
    if any(each.status != "completed" for each in listed):
        until = datetime.now(UTC) + timedelta(seconds=CHECKS_SECONDS)
        if datetime.now(UTC) - wish.at < MOST_WAIT:
            raise PutOff(until, "other checks are at work still")
    red = github_work.failing(github, listed)
    known = {
        each.name for each in await github_work.failing_checks(github, wish.name, pull.base.sha)
    }
    return told_of([each for each in red if each.name not in known], sha)


def told_of(checks: list[Any], sha: str) -> str:
    """Return failing checks in words, with what they say; empty where there are none."""
    if not checks:
        return ""
    lines = [CHECKS.format(sha=sha[:7])]
    for each in checks:
        output = each.output
        said = (output and "\n".join(part for part in (output.title, output.summary) if part)) or ""
        lines.append(f"- {each.name} ({each.conclusion}) {said}".strip())
    return "\n".join(lines)[:MOST_REQUEST]
