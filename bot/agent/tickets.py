"""Tickets come to be and are started here: by label, comment, API, command line or page."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.clients import github_work
from bot.clients.github import Installation, installation_for
from bot.live import publish
from bot.settings import Settings
from bot.surroundings import Surroundings
from models import runs, tickets
from models.deriving import Home, home_of
from models.errors import Refused
from models.prompts import AgentSettings, agent_settings
from models.tickets import PRIORITIES

NO_APP = "There is no GitHub App to work as: set one up at /setup."
NOT_INSTALLED = "The GitHub App is not installed on {name}, or was suspended."
NO_REPOSITORY = "There is no repository {id}."
NO_TICKET = "There is no ticket {id}."
NO_ISSUE = "{name} has no issue #{number}."
NOT_AN_ISSUE = "{name}#{number} is a pull request: only issues become tickets."
CLOSED_ISSUE = "The issue {name}#{number} is closed: reopen it first."
EMPTY = "{name} has no branch {branch}: is it empty?"
BUSY = "A run of #{number} is waiting or at work already."
CLOSED = "The ticket #{number} is closed: open it again first."
QUEUED = "#{number} is queued as run {run}."
NOTHING = "No ticket is open in this repository, or each has a run already."

TYPES: Mapping[str, str] = {
    "bug": "bug",
    "feature": "feature",
    "enhancement": "feature",
    "chore": "chore",
    "maintenance": "chore",
    "docs": "docs",
    "documentation": "docs",
    "refactor": "refactor",
    "refactoring": "refactor",
    "test": "test",
    "tests": "test",
}
"""Which type of ticket a label says; `type:bug` and `kind/bug` count as well."""


@dataclass(frozen=True)
class Started:
    """Whether a run was queued; where not, `words` say why."""

    run_id: int | None
    words: str


def type_of(labels: Iterable[str]) -> str:
    """Return the type that an issue's labels say, `task` where none does."""
    for label in labels:
        name = label.lower().replace("/", ":").rpartition(":")
        if name[0].strip() in ("", "type", "kind") and name[2].strip() in TYPES:
            return TYPES[name[2].strip()]
    return "task"


def priority_of(labels: Iterable[str]) -> str:
    """Return the most urgent priority that labels say (`priority:high`, `P1`), else `medium`."""
    said = [each for each in (priority_named(label) for label in labels) if each]
    return min(said, key=PRIORITIES.index, default="medium")


def priority_named(label: str) -> str | None:
    """Return the priority that one label says; None where it is about something else."""
    name = label.lower().replace("/", ":").removeprefix("priority:").strip()
    if name in ("p0", "p1", "p2", "p3"):
        return PRIORITIES[int(name[1])]
    return name if label.lower().startswith("priority") and name in PRIORITIES else None


def model_of(labels: Iterable[str], allowed: Iterable[str]) -> str | None:
    """Return the model that a label `model:NAME` asks for, if it is in the allow-list."""
    known = {each.lower(): each for each in allowed}
    asked = (label.lower().partition(":") for label in labels)
    named = (known.get(name.strip()) for start, _, name in asked if start.strip() == "model")
    return next((each for each in named if each), None)


async def settings_of(
    db: AsyncConnection, settings: Settings, organization_id: str
) -> AgentSettings:
    """Return how an organisation wants its tickets developed, with this Veelocity's defaults."""
    wishes = await agent_settings(db, organization_id)
    return AgentSettings(
        organization_id=organization_id,
        ticket_budget_usd=either(wishes.ticket_budget_usd, settings.ticket_budget_usd),
        repository_day_budget_usd=either(
            wishes.repository_day_budget_usd, settings.repository_day_budget_usd
        ),
        organization_day_budget_usd=either(
            wishes.organization_day_budget_usd, settings.organisation_day_budget_usd
        ),
        models=list(wishes.models) or list(settings.allowed_models),
        setup_hosts=list(wishes.setup_hosts),
        similar_tickets=wishes.similar_tickets,
        completion_url=wishes.completion_url,
        completion_secret=wishes.completion_secret,
    )


def either(wished: Decimal | None, default: Decimal) -> Decimal:
    """Return what was wished for, 0 included, else the default."""
    return default if wished is None else wished


@asynccontextmanager
async def installed(surroundings: Surroundings, home: Home) -> AsyncIterator[Installation]:
    """Open the installation that a repository belongs to; raise `Refused` where there is none."""
    if home.installation is None:
        raise Refused(NOT_INSTALLED.format(name=home.full_name))
    async with installation_for(
        surroundings.engine, surroundings.settings, surroundings.vault, home.installation
    ) as github:
        if github is None:
            raise Refused(NO_APP)
        yield github


async def start(
    surroundings: Surroundings,
    ticket_id: str,
    *,
    kind: str = "develop",
    by_id: str | None = None,
    by_login: str | None = None,
    request: str | None = None,
) -> Started:
    """Queue a run of a ticket, with the default branch's commit of now as its instructions.

    `kind`: develop, plan, review or checks. Whoever calls has checked that `by` may do so. Raises
    `Refused` where GitHub cannot be asked at all, `GitHubError` where it does not answer.
    """
    async with surroundings.engine.connect() as db:
        asked = await tickets.ticket(db, ticket_id)
        home = await home_of(db, asked["repository_id"]) if asked else None
    if asked is None or home is None:
        raise Refused(NO_TICKET.format(id=ticket_id))
    if asked["status"] == "closed":
        return Started(None, CLOSED.format(number=asked["number"]))
    async with installed(surroundings, home) as github:
        commit = await pinned(github, home)
    told = {"kind": kind, "requested_by_id": by_id, "requested_by_login": by_login}
    async with surroundings.engine.begin() as db:
        started = await queue_run(db, asked, instructions_commit=commit, request=request, **told)
    if started.run_id is not None:
        await tell(surroundings, home.organization_id)
    return started


async def pinned(github: Installation, home: Home) -> str:
    """Return the commit that a run's instructions are read from: the default branch's, now."""
    branch = home.place.default_branch
    commit = await github_work.branch_head(github, home.full_name, branch)
    if commit is None:
        raise Refused(EMPTY.format(name=home.full_name, branch=branch))
    return commit


async def queue_run(db: AsyncConnection, asked: RowMapping, **told: Any) -> Started:
    """Queue a run in the caller's transaction; a plan that waits for approval makes way for it."""
    plan = await tickets.planned(db, asked["id"])
    if plan is not None and told["kind"] in ("develop", "plan"):
        await runs.stop(db, plan, told.get("requested_by_login"))
    run_id = await runs.put_run(db, asked["id"], **told)
    if run_id is None:
        return Started(None, BUSY.format(number=asked["number"]))
    return Started(run_id, QUEUED.format(number=asked["number"], run=run_id))


async def tell(surroundings: Surroundings, organization_id: str) -> None:
    """Tell open pages that tickets and runs changed; they live without it."""
    with contextlib.suppress(RedisError, OSError):
        await publish(surroundings.redis, organization_id, "ticket", "run")


async def develop_next(
    surroundings: Surroundings,
    repository_id: str,
    *,
    by_id: str | None = None,
    by_login: str | None = None,
) -> Started:
    """Queue a run of the first open ticket of a repository that has none."""
    async with surroundings.engine.connect() as db:
        waiting = await tickets.queue_of(db, repository_id)
        busy = await tickets.under_way(db, repository_id)
    for each in waiting:
        if each["id"] not in busy:
            started = await start(surroundings, each["id"], by_id=by_id, by_login=by_login)
            if started.run_id is not None:
                return started
    return Started(None, NOTHING)


async def home(db: AsyncConnection, organization_id: str, repository_id: str) -> Home:
    """Return a repository of an organisation; raise `Refused` where there is none."""
    found = await home_of(db, repository_id)
    if found is None or found.organization_id != organization_id:
        raise Refused(NO_REPOSITORY.format(id=repository_id))
    return found


async def ticket_of_issue(
    surroundings: Surroundings,
    organization_id: str,
    repository_id: str,
    number: int,
    *,
    source: str,
    by_id: str | None,
) -> str:
    """Return the id of the ticket that an issue is, which it becomes where it is none that goes on.

    Raises `Refused` for what is no open issue, `GitHubError`.
    """
    async with surroundings.engine.connect() as db:
        await home(db, organization_id, repository_id)
        found = await tickets.going_on(db, repository_id, number)
    if found is not None:
        return found
    place = (surroundings, organization_id, repository_id)
    return await take(*place, number, source=source, by_id=by_id, by_login=None)


async def take(  # noqa: PLR0913 - who wants what
    surroundings: Surroundings,
    organization_id: str,
    repository_id: str,
    number: int,
    *,
    source: str,
    by_id: str | None,
    by_login: str | None,
    **more: Any,
) -> str:
    """Make a ticket of an issue that is there, with its words of now; return the ticket's id.

    `more`: type, priority, additional_context, auto_update_status, model, budget_usd; what is None
    follows from the labels. Raises `Refused` for what is no open issue, `GitHubError`.
    """
    async with surroundings.engine.connect() as db:
        place = await home(db, organization_id, repository_id)
        wishes = await settings_of(db, surroundings.settings, organization_id)
    async with installed(surroundings, place) as github:
        found = await github_work.issue(github, place.full_name, number)
    names = {"name": place.full_name, "number": number}
    if found is None:
        raise Refused(NO_ISSUE.format(**names))
    if found.pull_request is not None:
        raise Refused(NOT_AN_ISSUE.format(**names))
    if found.state != "open":
        raise Refused(CLOSED_ISSUE.format(**names))
    asked = {"source": source, "requested_by_id": by_id, "requested_by_login": by_login}
    told = told_of(place, found, wishes) | asked
    told |= {name: value for name, value in more.items() if value is not None}
    return await kept(surroundings, told)


def told_of(place: Home, found: github_work.Issue, wishes: AgentSettings) -> dict[str, Any]:
    """Return what an issue says of the ticket that it becomes."""
    return {
        "id": f"github:{found.id}",
        "organization_id": place.organization_id,
        "repository_id": place.place.repository_id,
        "number": found.number,
        "title": found.title,
        "body": found.body or "",
        "url": found.html_url,
        "type": type_of(found.label_names),
        "priority": priority_of(found.label_names),
        "author_login": found.user.login if found.user else None,
        "requested_at": datetime.now(UTC),
        "model": model_of(found.label_names, wishes.models),
    }


async def kept(surroundings: Surroundings, told: Mapping[str, Any]) -> str:
    """Keep a ticket and tell open pages; return its id."""
    async with surroundings.engine.begin() as db:
        ticket_id = await tickets.put_ticket(db, told)
    await tell(surroundings, told["organization_id"])
    return ticket_id


async def create(  # noqa: PLR0913 - what a ticket is made of
    surroundings: Surroundings,
    organization_id: str,
    repository_id: str,
    title: str,
    body: str,
    *,
    type: str = "task",
    priority: str = "medium",
    source: str,
    by_id: str | None,
    by_login: str | None,
    additional_context: str | None = None,
) -> str:
    """Make an issue on GitHub, labelled, and a ticket of it; return the ticket's id.

    The label is put on by ourselves, so that it is not taken for somebody's wish to start it.
    """
    async with surroundings.engine.connect() as db:
        place = await home(db, organization_id, repository_id)
        wishes = await settings_of(db, surroundings.settings, organization_id)
    labels = {surroundings.settings.agent_label, f"priority:{priority}", type} - {"task"}
    async with installed(surroundings, place) as github:
        made = await github_work.create_issue(github, place.full_name, title, body, labels)
    asked = {"source": source, "requested_by_id": by_id, "requested_by_login": by_login}
    more = {"type": type, "priority": priority, "additional_context": additional_context}
    return await kept(surroundings, told_of(place, made, wishes) | asked | more)
