"""`consider_linear_label`: what people want developed in Linear becomes an issue and a ticket.

Who asks is known by the e-mail that Linear tells: a manager or admin of the organisation. Nobody
else is heard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent.tickets import queue_run, settings_of, tell, told_of
from bot.clients import github_work
from bot.clients.github import Installation
from bot.clients.github_issues import find_issue
from bot.jobs import Surroundings, job
from bot.jobs.wishes import ASKED, MOST_AGE, REFUSED, configured, speaking
from models import linear_tickets, tickets, wishes
from models.chat_members import membership, with_email
from models.deriving import Home, home_of
from models.errors import Refused
from models.linear_connections import mapped_repository
from models.queue import ClaimedJob

MARKER = "<!-- veelocity:linear:{id} -->"
ASKING = ("manager", "admin")
OVER = ("completed", "canceled")
PRIORITIES = {1: "critical", 2: "high", 3: "medium", 4: "low"}
"""Linear's priorities (urgent, high, normal, low) as ours; 0 is none."""

NOBODY = "whose e-mail is of no manager or admin here"
NOWHERE = "but neither its project nor its team is mapped to a repository"
CLOSED = "but its issue {name}#{number} is closed: reopen it first"
MOST_TITLE = 250


@dataclass(frozen=True)
class Wish:
    """Somebody wants an issue of Linear developed, in its words of when they asked."""

    organization_id: str
    issue: Mapping[str, Any]
    by: Mapping[str, Any]
    label: str
    at: datetime

    @property
    def id(self) -> str:
        """The key of the issue."""
        return str(self.issue["id"])

    @property
    def marker(self) -> str:
        """What the issue on GitHub begins with, so that it is found again."""
        return MARKER.format(id=self.id.removeprefix("linear:"))

    @property
    def title(self) -> str:
        """The title on GitHub."""
        return f"{self.issue['identifier']}: {self.issue['title']}"[:MOST_TITLE]

    @property
    def body(self) -> str:
        """The description on GitHub, with a link back."""
        identifier, url = self.issue["identifier"], self.issue["url"]
        source = f"[{identifier}]({url})" if url else identifier
        words = str(self.issue["description"] or "").strip()
        return f"{self.marker}\n{words}\n\n---\nFrom Linear: {source}".replace("\n\n\n", "\n\n")


@job
async def consider_linear_label(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Make an issue and a ticket of what somebody labelled in Linear, if the label is ours."""
    wish = await heard(surroundings, claimed)
    if wish is None:
        return
    async with surroundings.engine.begin() as db:
        asking = await asked_by(db, wish)
        place = await place_of(db, wish) if asking else None
        if asking is None or place is None:
            await noted(db, wish, REFUSED, NOWHERE if asking else NOBODY)
            return
    async with speaking(surroundings, place) as github:
        if github is None:
            raise Refused(f"There is no GitHub App to make an issue in {place.full_name} as.")
        issue = await stands_for(surroundings, github, place, wish)
        commit, configuration = await configured(github, place)
    await take(surroundings, wish, place, issue, asking, commit if configuration.auto else None)


async def heard(surroundings: Surroundings, claimed: ClaimedJob) -> Wish | None:
    """Read a wish; None for another label, one that is too old, or was considered before."""
    told = claimed.arguments
    label, at = str(told["label"]), datetime.fromisoformat(str(told["at"]))
    ours = label.lower() == surroundings.settings.agent_label.lower()
    if not ours or claimed.organization_id is None or datetime.now(UTC) - at > MOST_AGE:
        return None
    wish = Wish(claimed.organization_id, told["issue"], told["by"], label, at)
    async with surroundings.engine.connect() as db:
        if await wishes.considered(db, claimed.key, claimed.id):
            return None
        stands = await linear_tickets.linear_issue(db, wish.organization_id, wish.id)
    gone = stands is None or stands["deleted"] or stands["state_type"] in OVER
    return None if gone else wish


async def asked_by(db: AsyncConnection, wish: Wish) -> str | None:
    """Return the user who asks; None where they may not, or are nobody we know."""
    told = str(wish.by.get("email") or "").strip().lower()
    account = f"linear:{wish.by['id']}"
    email = told or await linear_tickets.email_of(db, wish.organization_id, account)
    user_id = await with_email(db, email) if email else None
    belongs = await membership(db, user_id, wish.organization_id) if user_id else None
    return user_id if belongs and belongs.role in ASKING else None


async def place_of(db: AsyncConnection, wish: Wish) -> Home | None:
    """Return the repository in which an issue is developed; None where none is mapped."""
    known = await linear_tickets.linear_ticket(db, wish.id)
    repository = known["repository_id"] if known else None
    if repository is None:
        project, team = wish.issue.get("project"), wish.issue.get("team")
        repository = await mapped_repository(db, wish.organization_id, project, team)
    home = await home_of(db, repository) if repository else None
    ours = home is not None and home.organization_id == wish.organization_id
    return home if ours else None


async def noted(db: AsyncConnection, wish: Wish, action: str, why: str = "") -> None:
    """Write down who asked for what."""
    who = f"{wish.by.get('name') or 'somebody'} (linear:{wish.by['id']})"
    detail = f"{who} on {wish.issue['identifier']}: label {wish.label} {why}".strip()
    await wishes.audit(db, wish.organization_id, action, detail)


async def stands_for(
    surroundings: Surroundings, github: Installation, place: Home, wish: Wish
) -> github_work.Issue:
    """Return the issue on GitHub that stands for one of Linear, made where there is none yet.

    One worker at a time looks and makes; one that was made and not written down is found again.
    """
    async with surroundings.engine.begin() as db:
        await linear_tickets.lock(db, wish.id)
        known = await linear_tickets.linear_ticket(db, wish.id)
        found = None
        if known and known["issue_number"] is not None:
            found = await github_work.issue(github, place.full_name, int(known["issue_number"]))
        found = found or await find_issue(github, place.full_name, wish.marker)
        if found is None:
            labels = {surroundings.settings.agent_label}
            found = await github_work.create_issue(
                github, place.full_name, wish.title, wish.body, labels
            )
        repository = place.place.repository_id
        key = (wish.id, wish.organization_id, repository, f"github:{found.id}", found.number)
        await linear_tickets.keep_linear_ticket(db, *key)
    return found


async def take(
    surroundings: Surroundings,
    wish: Wish,
    place: Home,
    issue: github_work.Issue,
    user_id: str,
    commit: str | None,
) -> None:
    """Keep the ticket and queue its run; without `commit` it waits until somebody starts it."""
    async with surroundings.engine.begin() as db:
        if issue.state != "open":
            closed = CLOSED.format(name=place.full_name, number=issue.number)
            await noted(db, wish, REFUSED, closed)
            return
        agent = await settings_of(db, surroundings.settings, place.organization_id)
        told = told_of(place, issue, agent) | {
            "title": wish.title,
            "body": wish.body,
            "requested_at": wish.at,
            "priority": PRIORITIES.get(int(wish.issue.get("priority") or 0), "medium"),
            "source": "linear",
            "requested_by_id": user_id,
            "requested_by_login": None,
        }
        await noted(db, wish, ASKED)
        ticket_id = await tickets.put_ticket(db, told)
        kept = await tickets.ticket(db, ticket_id)
        if commit is not None and kept is not None:
            by = {"requested_by_id": user_id, "requested_by_login": None}
            await queue_run(db, kept, kind="develop", instructions_commit=commit, **by)
    await tell(surroundings, wish.organization_id)
