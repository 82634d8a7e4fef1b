"""`dora`, `deploys`, `prs`: what there is to know of delivery."""

from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import words
from bot.chat.asking import Call, Said, commands, repository_of, sentence
from bot.chat.blocks import bold, context, header, link, listed, said, section
from bot.chat.figures import five
from handlers import slash
from models import chat_pages
from models.metrics.core import Scope, Window, measured_in

EVERYWHERE = "all repositories"
NONE_WAITING = "No pull request of {name} waits for a review."
NONE_DEPLOYED = "Nothing of {name} was deployed to production yet."
OF_BOTS = "{count} of bots left out."
STATES = {"people": "", "agent": " · the agent's"}


@commands.on("dora [repo] [7d|30d|90d]")
async def dora(call: Call) -> Said:
    """Show the five metrics of DORA, of all repositories or of one, over 7, 30 or 90 days."""
    named, days = slash.period(call.words)
    async with call.surroundings.engine.connect() as db:
        repository_id, name = await place_of(db, call, slash.one(named, "dora [repo] [7d|30d|90d]"))
        time_zone, _ = await measured_in(db, call.organization_id)
        window = Window.last(days, call.now, time_zone)
        scope = Scope(call.organization_id, repository_id)
        chosen = {"repository": name} if repository_id else {}
        query = urlencode({"period": days, "organization": call.organization_id, **chosen})
        lines = await five(db, scope, window, call.now, f"{call.url}/delivery?{query}")
    title = f"Delivery of {name}, {days} days"
    return Said([header(title), section(*lines)], said(title))


@commands.on("deploys [repo]")
async def deploys(call: Call) -> Said:
    """List what was deployed to production last."""
    async with call.surroundings.engine.connect() as db:
        repository_id, name = await place_of(db, call, slash.one(call.words, "deploys [repo]"))
        found = await chat_pages.deployed(
            db, call.organization_id, call.now, repository_id=repository_id
        )
    if not found:
        return sentence(NONE_DEPLOYED.format(name=name))
    title = f"Last deployments of {name}"
    return Said([header(title), *listed([deployment(row, call.now) for row in found])], said(title))


def deployment(row: RowMapping, now: datetime) -> str:
    """Say a deployment in a line."""
    what = link(row["url"], f"{row['repository']} {row['sha'][:7]}")
    there = said(" ".join(dict.fromkeys((row["service"], row["environment"]))))
    kind = f" · {row['kind']}" if row["kind"] else ""
    return f"{what} · {there}{kind} · {words.ago(row['finished_at'], now)}"


@commands.on("prs [repo]")
async def prs(call: Call) -> Said:
    """List open pull requests that wait for a review, the oldest first."""
    async with call.surroundings.engine.connect() as db:
        repository_id, name = await place_of(db, call, slash.one(call.words, "prs [repo]"))
        place = (call.organization_id, repository_id)
        found = await chat_pages.waiting_for_review(db, *place)
        bots = await chat_pages.waiting_of_bots(db, *place)
    small = [context(OF_BOTS.format(count=bots))] if bots else []
    if not found:
        told = sentence(NONE_WAITING.format(name=name))
        return Said([*told.blocks, *small], told.text)
    title = f"Waiting for a review in {name}"
    lines = [pull_request(row, call.now) for row in found]
    blocks = [header(title), *listed(lines, all_of=found[0]["waiting"]), *small]
    return Said(blocks, said(title))


def pull_request(row: RowMapping, now: datetime) -> str:
    """Say an open pull request in a line; whose it is, is nobody's figure here."""
    what = link(row["url"], f"{row['repository']}#{row['number']}")
    age = words.duration(max((now - row["ready_at"]).total_seconds(), 0))
    reviewed = " · reviewed" if row["first_review_at"] else ""
    return (
        f"{what} {said(row['title'], 120)} · {bold(age)}{reviewed}{STATES.get(row['cohort'], '')}"
    )


async def place_of(db: AsyncConnection, call: Call, named: str | None) -> tuple[str | None, str]:
    """Return the repository that was named, and what to call it; (None, …) for all of them."""
    if named is None:
        return None, EVERYWHERE
    return await repository_of(db, call.organization_id, named)
