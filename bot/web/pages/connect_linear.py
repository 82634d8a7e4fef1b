"""`/connect/linear`: an admin lets us in by Linear's consent.

<https://linear.app/developers/oauth-2-0-authentication>
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.clients.linear import LinearError
from bot.clients.linear_tokens import consent_url, exchanged
from bot.settings import Settings
from bot.web.auth import require
from bot.web.consent import begun, consenting
from bot.web.linear_connecting import connect, installed
from bot.web.problems import Problem

KIND = "linear"
NO_APP = "Set LINEAR_CLIENT_ID and LINEAR_CLIENT_SECRET, or connect by an API key."


def routes() -> list[BaseRoute]:
    """Return the routes of connecting Linear."""
    return [
        Route("/connect/linear", begin, methods=["GET"]),
        Route("/connect/linear/callback", callback, methods=["GET"]),
    ]


def app_of(request: Request) -> Settings:
    """Return the settings; raise `Problem` 409 where they name no OAuth application."""
    settings: Settings = request.app.state.settings
    if not settings.linear_client_id or not settings.linear_client_secret:
        raise Problem(409, "There is no OAuth application of Linear", NO_APP)
    return settings


def callback_url(settings: Settings) -> str:
    """Return where Linear sends the browser back to."""
    return f"{settings.public_url}/connect/linear/callback"


@require("admin")
async def begin(request: Request) -> Response:
    """Send an admin to Linear, with a state that only they can come back with, once."""
    settings = app_of(request)
    state = await begun(request, KIND)
    return RedirectResponse(consent_url(settings, state, callback_url(settings)), 303)


@require()
async def callback(request: Request) -> Response:
    """Take the workspace that Linear gave: it sends the browser here with a code and our state."""
    settings = app_of(request)
    member = await consenting(request, KIND)
    if request.query_params.get("error"):
        raise Problem(400, "Linear was not connected", "The consent was refused in Linear.")
    code = request.query_params.get("code", "")
    if not code:
        raise Problem(400, "Bad Request", "Linear sent no code. Begin again.")
    try:
        granted = await exchanged(settings, code, callback_url(settings))
    except LinearError as error:
        raise Problem(502, "Linear was not connected", f"{error} Begin again.") from None
    told = await installed(settings, granted.secret, expires_at=granted.expires_at)
    await connect(request, member, told)
    return RedirectResponse(f"/settings?organization={member.organization_id}", 303)
