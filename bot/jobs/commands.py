"""What commands in comments do to a ticket that is there; each is done once it was asked for."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping

from bot.agent.tickets import settings_of, start
from bot.clients.github import Installation
from bot.clients.github_work import CONFUSED
from bot.jobs import Surroundings
from bot.jobs.wishes import Wish, answer, changed, react
from models import runs, tickets, wishes
from models.prompts import AgentSettings
from models.tickets import TicketStatus

HELP = """here is what can be asked of me:

| comment | |
|---|---|
| `/claude develop` | develop this issue; what follows in the comment is taken along |
| `/claude plan` | propose a plan first |
| `/claude approve` | develop the plan |
| `/claude retry` | try again |
| `/claude stop` | stop what is under way |
| `/claude cost` | say what it has cost |
| `/claude model NAME` | use another model of the allow-list |
| `/claude budget N` | change the budget, in US dollars |
| `/claude allow PATH` | let one protected path change |
| `/claude priority P` | critical, high, medium or low |

Only people with write access are heard."""
NO_TICKET = "this is no ticket yet: put the label `{label}` on the issue, or say `/claude develop`."
NOT_OURS = "this is not a pull request of mine, so there is nothing I may do with it."
COST = "{runs} cost ${usd:.2f} of ${budget:.2f}."
NO_PLAN = "no plan waits for approval. `/claude plan` asks for one."
NOTHING_TO_STOP = "nothing is under way here."
NOT_A_MODEL = "`{model}` is not in the allow-list: {allowed}."
TOO_MUCH = "the budget can be ${most:.2f} at most: that is what a whole day may cost."


@dataclass(frozen=True)
class Desk:
    """What a command is done with. `ticket` is the row as it was when the comment was read."""

    surroundings: Surroundings
    github: Installation
    wish: Wish
    ticket: RowMapping
    settings: AgentSettings

    async def say(self, words: str) -> None:
        """Say that a command was not done, or what it asked to know."""
        await answer(self.github, self.wish, words)

    async def refuse(self, words: str) -> None:
        """Say that a command was not done, and why."""
        await react(self.github, self.wish, CONFUSED)
        await self.say(words)


async def act(
    surroundings: Surroundings, github: Installation, wish: Wish, command: Mapping[str, Any]
) -> None:
    """Do a command; whoever calls has checked that it may be asked for."""
    if command["verb"] == "help":
        problem = f"{command['problem']} " if command["problem"] else ""
        await answer(github, wish, problem + HELP)
        return
    async with surroundings.engine.connect() as db:
        found = await ticket_of(db, wish)
        settings = await settings_of(db, surroundings.settings, wish.home.organization_id)
    if found is None:
        await react(github, wish, CONFUSED)
        label = surroundings.settings.agent_label
        no_ticket = NOT_OURS if wish.issue["pull_request"] else NO_TICKET.format(label=label)
        await answer(github, wish, no_ticket)
        return
    desk = Desk(surroundings, github, wish, found, settings)
    await DOES[command["verb"]](desk, command)
    await changed(surroundings, wish)


async def ticket_of(db: Any, wish: Wish) -> RowMapping | None:
    """Return the ticket that a comment is about: the issue's, or the pull request's."""
    issue = wish.issue
    if not issue["pull_request"]:
        return await tickets.ticket(db, issue["id"])
    place = wish.home.place
    return await tickets.ticket_of_pull_request(db, place.repository_id, issue["number"], "")


async def follow_up(desk: Desk, command: Mapping[str, Any]) -> None:
    """Go on with the branch of a pull request, with what the comment says."""
    started = await start(
        desk.surroundings,
        desk.ticket["id"],
        kind="review" if command["words"] else "develop",
        by_id=f"github:{desk.wish.by_id}",
        by_login=desk.wish.by_login,
        request=command["words"] or None,
    )
    if started.run_id is None:
        await desk.refuse(started.words)


async def plan(desk: Desk, command: Mapping[str, Any]) -> None:
    """Propose a plan for a ticket that has a pull request already."""
    started = await start(
        desk.surroundings,
        desk.ticket["id"],
        kind="plan",
        by_id=f"github:{desk.wish.by_id}",
        by_login=desk.wish.by_login,
        request=command["words"] or None,
    )
    if started.run_id is None:
        await desk.refuse(started.words)


async def approve(desk: Desk, command: Mapping[str, Any]) -> None:
    """Have a plan developed that waits for somebody to approve it."""
    async with desk.surroundings.engine.begin() as db:
        run_id = await tickets.planned(db, desk.ticket["id"])
        done = run_id is not None and await runs.approve(db, run_id, desk.wish.by_login)
    if not done:
        await desk.refuse(NO_PLAN)


async def stop(desk: Desk, command: Mapping[str, Any]) -> None:
    """Stop what waits and what is at work; the ticket is cancelled unless it has something."""
    async with desk.surroundings.engine.begin() as db:
        states = [
            await runs.stop(db, run_id, desk.wish.by_login)
            for run_id in await wishes.active_runs(db, desk.ticket["id"])
        ]
        if states and desk.ticket["status"] in ("open", "in_progress"):
            await tickets.set_status(db, desk.ticket["id"], TicketStatus.CANCELLED)
    if not any(states):
        await desk.refuse(NOTHING_TO_STOP)


async def cost(desk: Desk, command: Mapping[str, Any]) -> None:
    """Say what the ticket has cost."""
    async with desk.surroundings.engine.connect() as db:
        count, usd = await wishes.cost_of(db, desk.ticket["id"])
    told = desk.ticket["budget_usd"]
    budget = desk.settings.ticket_budget_usd if told is None else told
    times = f"{count} run{'' if count == 1 else 's'}"
    await desk.say(COST.format(runs=times, usd=usd, budget=budget))


async def model(desk: Desk, command: Mapping[str, Any]) -> None:
    """Give the ticket another model of the allow-list."""
    known = {each.lower(): each for each in desk.settings.models}
    chosen = known.get(command["value"].lower())
    if chosen is None:
        allowed = ", ".join(f"`{each}`" for each in known.values())
        await desk.refuse(NOT_A_MODEL.format(model=command["value"], allowed=allowed))
        return
    async with desk.surroundings.engine.begin() as db:
        await wishes.set_model(db, desk.ticket["id"], chosen)


async def budget(desk: Desk, command: Mapping[str, Any]) -> None:
    """Give the ticket another budget: no more than the organisation spends in a whole day."""
    usd = Decimal(command["value"])
    days = (desk.settings.repository_day_budget_usd, desk.settings.organization_day_budget_usd)
    most = min(each for each in days if each is not None)
    if usd > most:
        await desk.refuse(TOO_MUCH.format(most=most))
        return
    async with desk.surroundings.engine.begin() as db:
        await wishes.set_budget(db, desk.ticket["id"], usd)


async def allow(desk: Desk, command: Mapping[str, Any]) -> None:
    """Let one protected path change in this ticket."""
    async with desk.surroundings.engine.begin() as db:
        await wishes.allow_path(db, desk.ticket["id"], command["value"])


async def priority(desk: Desk, command: Mapping[str, Any]) -> None:
    """Give the ticket another priority, and its place in the queue."""
    async with desk.surroundings.engine.begin() as db:
        await tickets.set_priority(db, desk.ticket["id"], command["value"])


DOES: Mapping[str, Callable[[Desk, Mapping[str, Any]], Awaitable[None]]] = {
    "develop": follow_up,
    "retry": follow_up,
    "plan": plan,
    "approve": approve,
    "stop": stop,
    "cost": cost,
    "model": model,
    "budget": budget,
    "allow": allow,
    "priority": priority,
}
