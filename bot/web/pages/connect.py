"""`/connect/slack`: an admin installs the app by Slack's consent.

<https://docs.slack.dev/authentication/installing-with-oauth>
"""

from urllib.parse import urlencode

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.clients.slack import SlackError, SlackSecret, access
from bot.clients.slack_scopes import SCOPES
from bot.settings import Settings
from bot.web.auth import require
from bot.web.consent import begun, consenting
from bot.web.problems import Problem
from bot.web.slack_connecting import Installed, connect

KIND = "slack"
NO_APP = "Set SLACK_CLIENT_ID and SLACK_CLIENT_SECRET, or connect by a bot token."
WHOLE = "Veelocity is installed in one workspace at a time, not in a whole enterprise."


def routes() -> list[BaseRoute]:
    """Return the routes of connecting Slack."""
    return [
        Route("/connect/slack", begin, methods=["GET"]),
        Route("/connect/slack/callback", callback, methods=["GET"]),
    ]


def app_of(request: Request) -> Settings:
    """Return the settings; raise `Problem` 409 where they name no Slack app."""
    settings: Settings = request.app.state.settings
    if not settings.slack_client_id or not settings.slack_client_secret:
        raise Problem(409, "There is no Slack app", NO_APP)
    return settings


def callback_url(settings: Settings) -> str:
    """Return where Slack sends the browser back to."""
    return f"{settings.public_url}/connect/slack/callback"


@require("admin")
async def begin(request: Request) -> Response:
    """Send an admin to Slack, with a state that only they can come back with, once."""
    settings = app_of(request)
    asked = {
        "client_id": settings.slack_client_id,
        "scope": ",".join(SCOPES),
        "redirect_uri": callback_url(settings),
        "state": await begun(request, KIND),
    }
    return RedirectResponse(f"{settings.slack_api_url}/oauth/v2/authorize?{urlencode(asked)}", 303)


@require()
async def callback(request: Request) -> Response:
    """Take the workspace that Slack gave: it sends the browser here with a code and our state."""
    settings = app_of(request)
    member = await consenting(request, KIND)
    if request.query_params.get("error"):
        raise Problem(400, "Slack was not connected", "The consent was refused in Slack.")
    code = request.query_params.get("code", "")
    if not code:
        raise Problem(400, "Bad Request", "Slack sent no code. Begin again.")
    try:
        told = await access(settings, code, callback_url(settings))
    except SlackError as error:
        raise Problem(502, "Slack was not connected", f"{error} Begin again.") from None
    await connect(request, member, installed(told))
    return RedirectResponse(f"/settings?organization={member.organization_id}", 303)


def installed(told: dict[str, object]) -> Installed:
    """Return the workspace in Slack's answer; raise `Problem` for an answer without one."""
    team, token = told.get("team"), told.get("access_token")
    if told.get("is_enterprise_install") or not isinstance(team, dict):
        raise Problem(400, "Slack was not connected", WHOLE)
    team_id = str(team.get("id") or "")
    if not team_id or not isinstance(token, str) or not token:
        raise Problem(502, "Slack was not connected", "Slack named no workspace or no token.")
    secret = SlackSecret(
        access_token=SecretStr(token),
        bot_user_id=str(told.get("bot_user_id") or ""),
        app_id=str(told.get("app_id") or ""),
        scopes=[scope for scope in str(told.get("scope") or "").split(",") if scope],
    )
    return Installed(team_id, str(team.get("name") or team_id), secret)
