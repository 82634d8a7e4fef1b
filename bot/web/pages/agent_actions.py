"""What managers do on the Agent screens: forms that are sent, so that they work without script."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.clients.asking import GitHubError
from bot.live import publish
from bot.surroundings import Surroundings
from bot.web.accounts import audit
from bot.web.api.listing import repository_named
from bot.web.auth import Member, require
from bot.web.pages.agent import screen
from bot.web.pages.delivery import engine
from bot.web.problems import Problem
from models import agent_pages as asked
from models import runs, tickets
from models.errors import Refused
from models.tickets import PRIORITIES, TYPES

LONGEST_TITLE, LONGEST_BODY = 256, 60_000
LARGEST_NUMBER = 2**31 - 1
NOT_RUNNING = "No run of #{number} is waiting or at work any more."
ONE_OF_TWO = "Say one: the number of an issue that is there, or the title of a new one."

Act = Callable[[Request, FormData], Awaitable[str | None]]
"""Does what a form asks for; returns a sentence about it, or raises `Refused`."""


def action(act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Return the page that takes a form, for managers only, and shows the screen again."""

    @require("manager")
    async def taken(request: Request) -> Response:
        try:
            said = await act(request, await request.form())
        except (Refused, GitHubError) as error:
            return await screen(request, str(error), refused=True)
        if request.headers.get("hx-request") == "true":
            return await screen(request, said)
        return RedirectResponse(f"/agent?{request.url.query}".rstrip("?"), 303)

    return taken


def surroundings_of(request: Request) -> Surroundings:
    """Return what the agent's functions may use."""
    state = request.app.state
    return Surroundings(state.settings, state.engine, state.redis, state.vault)


def called(member: Member) -> str:
    """Name a member where others may read it: never by the whole e-mail address."""
    return member.name or member.email.partition("@")[0]


async def tell(request: Request, *events: str) -> None:
    """Tell open pages that something changed; they live without it."""
    member: Member = request.state.member
    with contextlib.suppress(RedisError, OSError):
        await publish(request.app.state.redis, member.organization_id, *events)


async def noted(db: AsyncConnection, request: Request, what: str, detail: str) -> None:
    """Write down who did what."""
    member: Member = request.state.member
    told = {"user_id": member.user_id, "organization_id": member.organization_id}
    await audit(db, what, detail=detail[:2000], **told)


async def own_ticket(db: AsyncConnection, request: Request) -> Any:
    """Return the ticket of the path; raise `Problem` 404 where it is not the organisation's."""
    found = await tickets.ticket(db, request.path_params["ticket"])
    if found is None or found["organization_id"] != request.state.member.organization_id:
        raise Problem(404, "Not Found", "There is no such ticket.")
    return found


async def own_repository(db: AsyncConnection, request: Request, named: str) -> str:
    """Return the id of a repository of the organisation; raise `Problem` 404 for any other."""
    return await repository_named(db, request.state.member, named)


async def develop(request: Request, form: FormData) -> str | None:
    """Queue a run of a ticket."""
    from bot.agent.tickets import start

    async with engine(request).begin() as db:
        ticket = await own_ticket(db, request)
        await noted(db, request, "develop_ticket", ticket["id"])
    by_id = request.state.member.user_id
    return told_of(await start(surroundings_of(request), ticket["id"], by_id=by_id))


async def develop_next(request: Request, form: FormData) -> str | None:
    """Queue a run of the ticket that is next in a repository."""
    from bot.agent.tickets import develop_next as start_next

    async with engine(request).begin() as db:
        repository = await own_repository(db, request, request.path_params["repository"])
        await noted(db, request, "develop_next", repository)
    by_id = request.state.member.user_id
    return told_of(await start_next(surroundings_of(request), repository, by_id=by_id))


def told_of(started: Any) -> str:
    """Return what came of starting a run; raise `Refused` with the words that say why none was."""
    if started.run_id is None:
        raise Refused(started.words)
    return str(started.words)


async def stop(request: Request, form: FormData) -> str | None:
    """Stop the run of a ticket that waits or is at work."""
    async with engine(request).begin() as db:
        ticket = await own_ticket(db, request)
        unfinished = await asked.unfinished(db, ticket["id"])
        if not unfinished:
            raise Refused(NOT_RUNNING.format(number=ticket["number"]))
        for run_id in unfinished:
            await runs.stop(db, run_id, called(request.state.member))
        await noted(db, request, "stop_run", f"of {ticket['id']}")
    await tell(request, "run", "ticket")
    return f"The run of #{ticket['number']} is being stopped."


async def set_priority(request: Request, form: FormData) -> str | None:
    """Give a ticket another priority, and its place."""
    priority = chosen(form, "priority", PRIORITIES)
    async with engine(request).begin() as db:
        ticket = await own_ticket(db, request)
        if ticket["priority"] != priority:
            await tickets.set_priority(db, ticket["id"], priority)
            await noted(db, request, "change_ticket", f"{ticket['id']} priority {priority}")
    await tell(request, "ticket")
    return None


async def move(request: Request, form: FormData) -> str | None:
    """Move a ticket one place up or down in its queue; at its end it stays."""
    step = {"up": -1, "down": 1}[chosen(form, "to", ("up", "down"))]
    async with engine(request).begin() as db:
        ticket = await own_ticket(db, request)
        await db.execute(tickets.LOCK, {"repository": ticket["repository_id"]})
        order = [each["id"] for each in await tickets.queue_of(db, ticket["repository_id"])]
        if ticket["id"] not in order:
            raise Refused(f"#{ticket['number']} waits no more.")
        place = order.index(ticket["id"])
        order.insert(min(max(place + step, 0), len(order) - 1), order.pop(place))
        await tickets.reorder(db, ticket["repository_id"], order)
        await noted(db, request, "order_tickets", ticket["repository_id"])
    await tell(request, "ticket")
    return None


async def order(request: Request, form: FormData) -> str | None:
    """Put the tickets of a repository in the order of the form's fields."""
    wanted = [str(each) for each in form.getlist("ticket")]
    async with engine(request).begin() as db:
        repository = await own_repository(db, request, request.path_params["repository"])
        await tickets.reorder(db, repository, wanted)
        await noted(db, request, "order_tickets", repository)
    await tell(request, "ticket")
    return None


async def add(request: Request, form: FormData) -> str | None:
    """Make a ticket: of an issue that is there, by its number, or of a new issue."""
    from bot.agent.tickets import create, take

    member: Member = request.state.member
    repository = written(form, "repository", 200)
    if not repository:
        raise Refused("Choose a repository.")
    async with engine(request).connect() as db:
        place = await own_repository(db, request, repository)
    told: dict[str, Any] = {"source": "page", "by_id": member.user_id, "by_login": None}
    there = (surroundings_of(request), member.organization_id, place)
    title = written(form, "title", LONGEST_TITLE)
    if bool(form.get("number")) == bool(title):
        raise Refused(ONE_OF_TWO)
    if not title:
        ticket_id = await take(*there, issue_number(form), **told)
    else:
        told |= {"type": chosen(form, "type", TYPES)}
        told |= {"priority": chosen(form, "priority", PRIORITIES)}
        ticket_id = await create(*there, title, written(form, "body", LONGEST_BODY), **told)
    async with engine(request).begin() as db:
        await noted(db, request, "make_ticket", ticket_id)
        made = await tickets.ticket(db, ticket_id)
    return f"#{made['number']} is in the queue." if made else None


def issue_number(form: FormData) -> int:
    """Return the number of an issue, with or without its #."""
    said = written(form, "number", 20).removeprefix("#")
    if not (said.isascii() and said.isdigit() and 0 < int(said) <= LARGEST_NUMBER):
        raise Refused(f"An issue's number is a number such as 42; {said!r} is none.")
    return int(said)


def chosen(form: FormData, name: str, known: tuple[str, ...]) -> str:
    """Return a choice; raise `Refused` for what is none."""
    said = str(form.get(name) or "")
    if said not in known:
        raise Refused(f"{name.capitalize()} is one of {', '.join(known)}; {said[:40]!r} is none.")
    return said


def written(form: FormData, name: str, most: int) -> str:
    """Return a text without blanks around it; raise `Refused` for one that is too long."""
    said = str(form.get(name) or "").replace("\r\n", "\n").strip()
    if len(said) > most or "\0" in said:
        raise Refused(f"The {name} may have {most:,} characters at most.".replace(",", "\u202f"))
    return said


def routes() -> list[Route]:
    """Return the routes of the forms."""
    acts = {
        "/agent/tickets": add,
        "/agent/tickets/{ticket}/develop": develop,
        "/agent/tickets/{ticket}/stop": stop,
        "/agent/tickets/{ticket}/priority": set_priority,
        "/agent/tickets/{ticket}/move": move,
        "/agent/repositories/{repository}/develop-next": develop_next,
        "/agent/repositories/{repository}/order": order,
    }
    return [Route(path, action(act), methods=["POST"]) for path, act in acts.items()]
