"""The sources on the Settings screen: how each stands, and what an admin has it do.

They ask the same functions as the API, so that both say the same.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import SecretStr
from starlette.datastructures import FormData
from starlette.requests import Request

from bot.web.api.connectors import github_status
from bot.web.api.endpoints import Call, Query
from bot.web.api.linear import (
    LinearConnect,
    LinearSync,
    connect_linear,
    linear_status,
    sync_linear,
)
from bot.web.api.slack import SlackConnect, connect_slack, slack_status
from bot.web.api.slack import sync as sync_slack
from bot.web.pages import settings_view as view
from bot.web.problems import Problem

LONGEST_TOKEN = 500
UNKNOWN = "There is no such source."
NO_TOKEN = "Paste the token."  # noqa: S105 - a sentence

Act = Callable[[Request, FormData], Awaitable[Any]]
"""Does what an admin asks of the source of the path; raises `Problem` in words."""


async def connectors(request: Request) -> list[view.Connector]:
    """Ask how each source stands."""
    call = Call(request, organization=request.state.member)
    return [
        view.github(await github_status(call, Query())),
        view.slack(await slack_status(call, Query())),
        view.linear(await linear_status(call, Query())),
    ]


async def connect(request: Request, form: FormData) -> None:
    """Connect a source by the token of the form."""
    call = Call(request, organization=request.state.member)
    token = str(form.get("token") or "").strip()
    if not token or len(token) > LONGEST_TOKEN:
        raise Problem(422, "Unprocessable Content", NO_TOKEN)
    match request.path_params["source"]:
        case "slack":
            await connect_slack(call, Query(), SlackConnect(bot_token=SecretStr(token)))
        case "linear":
            await connect_linear(call, Query(), LinearConnect(api_key=SecretStr(token)))
        case _:
            raise Problem(404, "Not Found", UNKNOWN)


async def check(request: Request, _: FormData) -> None:
    """Have a source read again."""
    call = Call(request, organization=request.state.member)
    match request.path_params["source"]:
        case "slack":
            await sync_slack(call, Query())
        case "linear":
            await sync_linear(call, Query(), LinearSync())
        case _:
            raise Problem(404, "Not Found", UNKNOWN)
