"""`consider_label`, `consider_assignment`, `consider_comment`: what people want developed.

Rights are asked of GitHub before anything is done; whoever has none gets a thumb down, and no model
is ever asked.
"""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent.tickets import (
    Started,
    model_of,
    priority_of,
    queue_run,
    settings_of,
    type_of,
)
from bot.clients.github import Installation
from bot.clients.github_work import CONFUSED, EYES, app_slug
from bot.jobs import Surroundings, job
from bot.jobs.commands import act
from bot.jobs.wishes import (
    ASKED,
    Wish,
    answer,
    changed,
    configured,
    heard,
    may,
    noted,
    react,
    refuse,
    speaking,
)
from models import tickets, wishes
from models.deriving import Home
from models.queue import ClaimedJob

KEPT_SECONDS = 600.0
LABELS: dict[tuple[str, str], tuple[str | None, float, frozenset[str]]] = {}
"""Which further labels each repository configured: as of which push, and until when that holds."""

STARTING = frozenset({"develop", "plan", "retry"})
CLOSED = "this issue is closed: reopen it first."


@job
async def consider_label(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Make a ticket of an issue that somebody labelled, if the label is one of ours."""
    wish = await heard(surroundings, claimed)
    if wish is None or wish.issue["state"] != "open":
        return
    if not await maybe_ours(surroundings, wish.home, str(claimed.arguments["label"])):
        return
    async with speaking(surroundings, wish.home) as github:
        if github and await is_ours(surroundings, github, wish.home, wish.told["label"]):
            await ask(surroundings, github, wish, "label")


@job
async def consider_assignment(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Make a ticket of an issue that somebody assigned to the app."""
    wish = await heard(surroundings, claimed)
    if wish is None or wish.issue["state"] != "open" or wish.issue["pull_request"]:
        return
    async with speaking(surroundings, wish.home) as github:
        if github and is_us(str(wish.told["assignee"]), await app_slug(github)):
            await ask(surroundings, github, wish, "assignment")


@job
async def consider_comment(surroundings: Surroundings, claimed: ClaimedJob) -> None:
    """Do what a comment asks for, if whoever wrote it may ask."""
    wish = await heard(surroundings, claimed)
    if wish is None:
        return
    async with speaking(surroundings, wish.home) as github:
        mention = wish.told["mention"]
        if github is None or (mention and not is_us(str(mention), await app_slug(github))):
            return
        if not await may(github, wish):
            await refuse(surroundings, github, wish)
            return
        await react(github, wish, EYES)
        await noted(surroundings, wish, ASKED)
        command = wish.told["command"]
        if command["verb"] in STARTING and not wish.issue["pull_request"]:
            await start_by_comment(surroundings, github, wish, command)
        else:
            await act(surroundings, github, wish, command)


def is_us(login: str, slug: str) -> bool:
    """Tell whether a login is the app's, with or without `[bot]` behind it."""
    return login.lower().removesuffix("[bot]") == slug.lower()


async def ask(surroundings: Surroundings, github: Installation, wish: Wish, source: str) -> None:
    """Make a ticket for somebody who may, and start it unless the repository wants it to wait."""
    if not await may(github, wish):
        await refuse(surroundings, github, wish)
        return
    await react(github, wish, EYES)
    await noted(surroundings, wish, ASKED)
    commit, configuration = await configured(github, wish.home)
    async with surroundings.engine.begin() as db:
        ticket_id = await keep(db, surroundings, wish, source)
        if configuration.auto:
            await begin(db, wish, ticket_id, commit)
    await changed(surroundings, wish)


async def start_by_comment(
    surroundings: Surroundings, github: Installation, wish: Wish, command: Mapping[str, Any]
) -> None:
    """Make a ticket of an issue, or take up the one it is, and start it at once."""
    if wish.issue["state"] != "open":
        await answer(github, wish, CLOSED)
        return
    commit, _ = await configured(github, wish.home)
    async with surroundings.engine.begin() as db:
        ticket_id = await keep(db, surroundings, wish, "comment", command["words"] or None)
        kind = "plan" if command["verb"] == "plan" else "develop"
        started = await begin(db, wish, ticket_id, commit, kind)
    await changed(surroundings, wish)
    if started.run_id is None:
        await react(github, wish, CONFUSED)
        await answer(github, wish, started.words)


async def keep(
    db: AsyncConnection,
    surroundings: Surroundings,
    wish: Wish,
    source: str,
    context: str | None = None,
) -> str:
    """Keep the ticket with the words that the issue had when it was asked for; return its id.

    Words of a wish that was overtaken by a newer one do not replace the newer ones.
    """
    issue, place = wish.issue, wish.home
    held = await tickets.ticket(db, issue["id"])
    allowed = (await settings_of(db, surroundings.settings, place.organization_id)).models
    told = {
        "id": issue["id"],
        "organization_id": place.organization_id,
        "repository_id": place.place.repository_id,
        "number": issue["number"],
        "title": issue["title"],
        "body": issue["body"],
        "url": issue["url"],
        "type": type_of(issue["labels"]),
        "priority": priority_of(issue["labels"]),
        "author_login": issue["author"],
        "requested_at": wish.at,
        "source": source,
        "model": model_of(issue["labels"], allowed),
        "additional_context": context,
        **wish.by,
    }
    if held is not None and held["requested_at"] > wish.at:
        told |= {name: held[name] for name in ("title", "body", "type", "requested_at")}
    return await tickets.put_ticket(db, told)


async def begin(
    db: AsyncConnection, wish: Wish, ticket_id: str, commit: str, kind: str = "develop"
) -> Started:
    """Queue a run of a ticket for whoever asked."""
    held = await tickets.ticket(db, ticket_id)
    assert held is not None  # noqa: S101 - it was kept in this transaction
    return await queue_run(db, held, kind=kind, instructions_commit=commit, **wish.by)


async def maybe_ours(surroundings: Surroundings, home: Home, label: str) -> bool:
    """Tell whether a label may ask for development, without asking GitHub.

    False only where the repository's configuration is known not to name it. Thousands of labels
    have nothing to do with us.
    """
    if label.lower() == surroundings.settings.agent_label.lower():
        return True
    known = await known_labels(surroundings, home)
    return known is None or label.lower() in known


async def known_labels(surroundings: Surroundings, home: Home) -> frozenset[str] | None:
    """Return the labels a repository configured; None where that is not known any more."""
    held = LABELS.get((surroundings.settings.github_api_url, home.place.repository_id))
    if held is None or held[1] < time.monotonic():
        return None
    async with surroundings.engine.connect() as db:
        pushed = await wishes.newest_push(db, home.place.repository_id, home.place.default_branch)
    return held[2] if held[0] == pushed else None


async def is_ours(surroundings: Surroundings, github: Installation, home: Home, label: str) -> bool:
    """Tell whether a label asks for development, by the repository's configuration of now."""
    if label.lower() == surroundings.settings.agent_label.lower():
        return True
    known = await known_labels(surroundings, home)
    if known is None:
        place = home.place
        async with surroundings.engine.connect() as db:
            pushed = await wishes.newest_push(db, place.repository_id, place.default_branch)
        _, configuration = await configured(github, home)
        known = frozenset(each.lower() for each in configuration.labels)
        until = time.monotonic() + KEPT_SECONDS
        key = (surroundings.settings.github_api_url, place.repository_id)
        LABELS[key] = (pushed, until, known)
    return label.lower() in known
