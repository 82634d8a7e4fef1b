"""What is said by hand on the People screen: whose an account is, and who is in which team."""

import re
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.web import teams as by_hand
from bot.web.auth import Member, require
from bot.web.pages.agent_actions import own_repository, written
from bot.web.pages.delivery import engine
from bot.web.pages.people import screen
from bot.web.pages.people_view import labels
from models.errors import Refused
from models.persons import Person, Persons, persons

LONGEST_FIELD = 500

Act = Callable[[AsyncConnection, Request, FormData], Awaitable[None]]
"""Does what a form asks for; raises `Refused` for what it cannot mean."""


def action(act: Act, role: str, section: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the page that takes a form and shows the screen again, with what is wrong."""

    @require(role)
    async def taken(request: Request) -> Response:
        form = await request.form()
        try:
            async with engine(request).begin() as db:
                await act(db, request, form)
        except Refused as error:
            return await screen(request, refused=str(error))
        kept = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/people{kept}#{section}", 303)

    return taken


async def same(db: AsyncConnection, request: Request, form: FormData) -> None:
    """Make one person of two: all accounts of `person` are those of `other`, who is named."""
    member: Member = request.state.member
    known = await persons(db, member.organization_id)
    person = person_of(known, written(form, "person", LONGEST_FIELD))
    named = written(form, "other", LONGEST_FIELD)
    other = next((one for one in known.people if labels(known)[one.id] == named), None)
    if other is None:
        raise Refused(f"There is nobody called {named[:60]!r}: choose somebody of the list.")
    if other.id == person.id:
        raise Refused(f"{person.name} is the same person already.")
    for account in person.accounts:
        await by_hand.merge(db, member, known, account.id, other.id)


async def apart(db: AsyncConnection, request: Request, form: FormData) -> None:
    """Keep an account apart from the others of its person."""
    member: Member = request.state.member
    known = await persons(db, member.organization_id)
    account = account_of(known, form)
    await by_hand.merge(db, member, known, account, account)


async def by_email(db: AsyncConnection, request: Request, form: FormData) -> None:
    """Forget what was said by hand of an account: its e-mail address decides again."""
    member: Member = request.state.member
    known = await persons(db, member.organization_id)
    await by_hand.unmerge(db, member, account_of(known, form))


def person_of(known: Persons, person_id: str) -> Person:
    """Return somebody of the organisation by id."""
    for person in known.people:
        if person.id == person_id:
            return person
    raise Refused("There is no such person any more.")


def account_of(known: Persons, form: FormData) -> str:
    """Return the account that a form names."""
    account = written(form, "account", LONGEST_FIELD)
    if account not in known.identities:
        raise Refused("There is no such account of a person here.")
    return account


async def make_team(db: AsyncConnection, request: Request, form: FormData) -> None:
    """Make a team by hand."""
    await by_hand.make(db, request.state.member, name_of(form))


async def change_team(db: AsyncConnection, request: Request, form: FormData) -> None:
    """Do what the button of a team's menu says: name it anew, delete it, or take something out."""
    member: Member = request.state.member
    team = request.path_params["team"]
    if login := written(form, "login", LONGEST_FIELD):
        await by_hand.put_member(db, member, team, login_of(login), belongs=False)
    elif repository := written(form, "repository", LONGEST_FIELD):
        named = await own_repository(db, request, repository)
        await by_hand.put_repository(db, member, team, named, owned=False)
    elif form.get("do") == "delete":
        await by_hand.delete(db, member, team)
    else:
        await by_hand.rename(db, member, team, name_of(form))


async def add_member(db: AsyncConnection, request: Request, form: FormData) -> None:
    """Take a login of GitHub into a team."""
    team, login = written(form, "team", LONGEST_FIELD), written(form, "login", LONGEST_FIELD)
    await by_hand.put_member(db, request.state.member, team, login_of(login), belongs=True)


async def add_repository(db: AsyncConnection, request: Request, form: FormData) -> None:
    """Give a repository to a team."""
    team = written(form, "team", LONGEST_FIELD)
    named = await own_repository(db, request, written(form, "repository", LONGEST_FIELD))
    await by_hand.put_repository(db, request.state.member, team, named, owned=True)


def name_of(form: FormData) -> str:
    """Return the name of a team."""
    name = written(form, "name", by_hand.LONGEST_NAME)
    if not name:
        raise Refused("A team needs a name.")
    return name


def login_of(said: str) -> str:
    """Return a login of GitHub; raise `Refused` for what cannot be one."""
    if not re.fullmatch(by_hand.LOGIN, said):
        raise Refused(f"{said[:60]!r} is no login of GitHub.")
    return said


def routes() -> list[Route]:
    """Return the routes of the forms."""
    acts = {
        "/people/same": (same, "admin", "who"),
        "/people/apart": (apart, "admin", "who"),
        "/people/by-email": (by_email, "admin", "who"),
        "/people/teams": (make_team, "manager", "teams"),
        "/people/teams/members": (add_member, "manager", "teams"),
        "/people/teams/repositories": (add_repository, "manager", "teams"),
        "/people/teams/{team}": (change_team, "manager", "teams"),
    }
    return [Route(path, action(*of), methods=["POST"]) for path, of in acts.items()]
