"""Where `/veelocity connect` leads: a person ties an account in Slack to their own account here.

Whoever agrees lends their rights to that account, and sees the figures of whom it belongs to. So
the page says whose it is before it asks, and nothing is tied where Slack does not say so, or says
that it is another member's.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.chat.asking import Account, slack_user, vouched
from bot.chat.connecting import PAGE
from bot.surroundings import Surroundings
from bot.web.auth import Member, require
from bot.web.pages.render import page
from bot.web.problems import Problem
from models import chat_members
from models.chat_members import Begun
from models.users import audit

GONE = "This link was used, or is older than 10 minutes. Ask for a new one: /veelocity connect"
STRANGER = "The workspace belongs to an organisation that you are no member of."
ANOTHERS = "By Slack's word this account is somebody else's here. Only they can tie it."
UNKNOWN = "Slack does not say whose account this is. Try again in a moment."


@dataclass(frozen=True)
class Profile:
    """An account in Slack as its own people know it. `email` is None where it is not told."""

    name: str
    email: str | None
    user_id: str


@require()
async def ask(request: Request) -> Response:
    """Show whose account it is, and ask."""
    token = request.query_params.get("token", "")
    begun = await own(request, token)
    profile = await profile_of(request, begun)
    return page(request, "connect_member.html", token=token, profile=profile, done=False)


@require()
async def agree(request: Request) -> Response:
    """Tie the account; the link works no more."""
    async with request.form(max_files=0, max_fields=5) as form:
        token = str(form.get("token") or "")
    begun = await own(request, token)
    profile = await profile_of(request, begun)
    member: Member = request.state.member
    async with request.app.state.engine.begin() as db:
        if await chat_members.tie(db, token, member.user_id) is None:
            raise Problem(410, "Gone", GONE)
        await audit(
            db,
            "connect_slack_member",
            user_id=member.user_id,
            organization_id=begun.organization_id,
            detail=f"{begun.team_id}:{begun.slack_user_id}",
        )
    return page(request, "connect_member.html", token="", profile=profile, done=True)


async def own(request: Request, token: str) -> Begun:
    """Return what a token was made for; raise `Problem` 410 or 404 where it is not one's own."""
    member: Member = request.state.member
    async with request.app.state.engine.connect() as db:
        begun = await chat_members.begun(db, token)
        if begun is None:
            raise Problem(410, "Gone", GONE)
        if await chat_members.membership(db, member.user_id, begun.organization_id) is None:
            raise Problem(404, "Not Found", STRANGER)
    return begun


async def profile_of(request: Request, begun: Begun) -> Profile:
    """Return whose account it is, by Slack's own word; raise `Problem` 502 where it gives none.

    Raises `Problem` 403 where it is another member's: a link is easily passed on.
    """
    state = request.app.state
    surroundings = Surroundings(state.settings, state.engine, state.redis, state.vault)
    account = Account(begun.team_id, begun.slack_user_id)
    told = await slack_user(surroundings, begun.organization_id, account)
    if told.get("id") != begun.slack_user_id:
        raise Problem(502, "Bad Gateway", UNKNOWN)
    if await anothers(request, begun, vouched(told, account)):
        raise Problem(403, "Forbidden", ANOTHERS)
    profile = told.get("profile") or {}
    name = profile.get("real_name") or profile.get("display_name") or told.get("name")
    return Profile(str(name or begun.slack_user_id), profile.get("email"), begun.slack_user_id)


async def anothers(request: Request, begun: Begun, email: str | None) -> bool:
    """Tell whether an e-mail address is that of another member of the organisation."""
    member: Member = request.state.member
    async with request.app.state.engine.connect() as db:
        user_id = await chat_members.with_email(db, email) if email else None
        if user_id is None or user_id == member.user_id:
            return False
        return await chat_members.membership(db, user_id, begun.organization_id) is not None


def routes() -> list[Route]:
    """Return the routes of the page, for anybody who is signed in."""
    return [Route(PAGE, ask, methods=["GET"]), Route(PAGE, agree, methods=["POST"])]
