"""`next`, `queue`, `develop`: the agent's queue, and having an issue developed."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.chat.asking import Call, Said, commands, repository_of, sentence
from bot.chat.blocks import header, link, listed, said, section
from handlers import slash
from models import agent_pages, chat_pages
from models.errors import Refused
from models.users import audit

MOST_SHOWN = 10
NONE_OPEN = "No ticket of {name} is open."
ALL_BUSY = "Every open ticket of {name} is being developed already."
NAME_ONE = "Name an issue: `/veelocity develop acme/api#42`."
ALL = "all repositories"


@commands.on("next [repo]")
async def next_ticket(call: Call) -> Said:
    """Say which ticket the agent develops next, in each repository or in one."""
    waiting, name = await queues(call, slash.one(call.words, "next [repo]"))
    first = [next((row for row in rows if not row["run_id"]), None) for rows in waiting.values()]
    lines = [ticket(row) for row in first if row]
    if not lines:
        return sentence((ALL_BUSY if waiting else NONE_OPEN).format(name=name))
    title = f"Next in {name}"
    return Said([header(title), *listed(lines, MOST_SHOWN)], said(title))


@commands.on("queue [repo]")
async def queue(call: Call) -> Said:
    """List the open tickets in the order in which the agent will develop them."""
    waiting, name = await queues(call, slash.one(call.words, "queue [repo]"))
    lines = [
        f"{place}. {ticket(row)}"
        for rows in waiting.values()
        for place, row in enumerate(rows, start=1)
    ]
    if not lines:
        return sentence(NONE_OPEN.format(name=name))
    title = f"Queue of {name}"
    return Said([header(title), *listed(lines, MOST_SHOWN)], said(title))


async def queues(
    call: Call, named: str | None
) -> tuple[dict[str, Sequence[Mapping[str, Any]]], str]:
    """Return the open tickets by repository, with its name on each, and what to call them all."""
    async with call.surroundings.engine.connect() as db:
        repository_id, name = None, ALL
        if named is not None:
            repository_id, name = await repository_of(db, call.organization_id, named)
        found = await agent_pages.queues(db, call.organization_id, repository_id)
        names = await chat_pages.repository_names(db, call.organization_id)
    told: dict[str, Sequence[Mapping[str, Any]]] = {
        key: [{**row, "repository": names.get(key, key)} for row in rows]
        for key, rows in found.items()
    }
    return told, name


def ticket(row: Mapping[str, Any]) -> str:
    """Say a ticket in a line."""
    what = link(row["url"], f"{row['repository']}#{row['number']}")
    run = f" · run {row['run_id']}" if row["run_id"] else ""
    return f"{what} {said(row['title'], 120)} · {said(row['priority'])} {said(row['type'])}{run}"


@commands.on("develop REPO#N", role="manager")
async def develop(call: Call) -> Said:
    """Have the agent develop an issue: it becomes a ticket, and a run is queued."""
    from bot.agent.tickets import start, ticket_of_issue

    asked = slash.one(call.words, "develop REPO#N")
    if asked is None:
        raise Refused(NAME_ONE)
    named, number = slash.issue(asked)
    async with call.surroundings.engine.connect() as db:
        repository_id, _ = await repository_of(db, call.organization_id, named)
    place = (call.surroundings, call.organization_id, repository_id)
    by_id = call.by.user_id
    ticket_id = await ticket_of_issue(*place, number, source="slack", by_id=by_id)
    async with call.surroundings.engine.begin() as db:
        who = {"user_id": by_id, "organization_id": call.organization_id}
        await audit(db, "develop_ticket", detail=f"{ticket_id} from Slack", **who)
    started = await start(call.surroundings, ticket_id, by_id=by_id)
    if started.run_id is None:
        raise Refused(started.words)
    words = link(f"{call.url}/agent/runs/{started.run_id}", started.words)
    return Said([section(words)], said(started.words))
