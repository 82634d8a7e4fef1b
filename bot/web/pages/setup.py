"""`/setup`: GitHub makes the app from our manifest and hands us its keys.

<https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import structlog
import yaml
from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer
from pydantic_core import to_json
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.clients.github import ConvertedManifest, GitHubError, convert_manifest
from bot.live import publish
from bot.settings import Settings
from bot.vault import AppCredentials, Vault, app_credentials, store_app_credentials
from bot.web.accounts import audit
from bot.web.auth import cookie_name, require
from bot.web.pages.sign_in import setup_page
from bot.web.problems import Problem
from bot.web.security import POLICY
from bot.web.sessions import token_hash

MANIFEST = Path(__file__).parents[3] / "app.yml"
NOWHERE = "https://veelocity.invalid"  # https://www.rfc-editor.org/rfc/rfc2606
STATE_SECONDS = 3600
LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}")
STALE = "This set-up was begun more than an hour ago. Begin again at /setup."
FORGED = "This answer does not belong to a set-up you began in this browser. Begin again at /setup."

log = structlog.get_logger()


def routes() -> list[BaseRoute]:
    """Return the routes of the set-up, for operators only."""
    return [
        Route("/setup", setup, methods=["GET"]),
        Route("/setup/callback", callback, methods=["GET"]),
    ]


def signing(settings: Settings) -> URLSafeTimedSerializer:
    """Return what signs states; itsdangerous wants the newest key last."""
    return URLSafeTimedSerializer(list(reversed(settings.secret_keys)), salt="github-setup")


def session_of(request: Request) -> str:
    """Return what a state is bound to: this browser's session, or else the person."""
    cookie = request.cookies.get(cookie_name(request.app.state.settings))
    return token_hash(f"setup:{cookie or request.state.member.user_id}")


def check_state(request: Request) -> None:
    """Raise `Problem` for a state that we did not give this browser within the last hour."""
    state = request.query_params.get("state", "")
    try:
        said = signing(request.app.state.settings).loads(state, max_age=STATE_SECONDS)
    except SignatureExpired:
        raise Problem(400, "The set-up took too long", STALE) from None
    except BadData:
        raise Problem(400, "Not your set-up", FORGED) from None
    if said != session_of(request):
        raise Problem(400, "Not your set-up", FORGED)


def manifest(public_url: str, *, pull: bool = False) -> dict[str, Any]:
    """Return `app.yml` with this installation's addresses in it.

    Without webhooks GitHub writes no log: in pull mode they are sent to where nobody can be.
    """
    said: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    hook = f"{NOWHERE if pull else public_url}/webhooks/github"
    return said | {
        "url": public_url,
        "hook_attributes": {"url": hook, "active": True},
        "redirect_url": f"{public_url}/setup/callback",
    }


def action(settings: Settings, owner: str | None, state: str) -> str:
    """Return where on GitHub the app is made: for an organisation, or for oneself."""
    if owner and not LOGIN.fullmatch(owner):
        raise Problem(400, "Bad Request", "owner must be the login of a GitHub organisation.")
    place = f"organizations/{owner}/settings" if owner else "settings"
    return f"{settings.github_url}/{place}/apps/new?{urlencode({'state': state})}"


def made_here(request: Request) -> Settings:
    """Return the settings; raise `Problem` where they name an app, which would win over ours."""
    settings: Settings = request.app.state.settings
    if settings.app_id:
        why = "APP_ID names the GitHub App. To make one here, remove APP_ID and PRIVATE_KEY."
        raise Problem(409, "The app comes from the settings", why)
    return settings


@require("operator")
async def setup(request: Request) -> Response:
    """Show the button that makes the app, or, once it is made, where to install it.

    `?owner=LOGIN` makes it for an organisation; `?again=1` makes another one.
    """
    settings = made_here(request)
    made = None if request.query_params.get("again") else await known_app(request)
    response = setup_page(
        request,
        action=action(
            settings,
            request.query_params.get("owner"),
            signing(settings).dumps(session_of(request)),
        ),
        manifest=to_json(manifest(settings.public_url, pull=settings.pull)).decode(),
        app_url=f"{made.html_url}/installations/new" if made and made.html_url else None,
    )
    allowed = POLICY.replace("form-action 'self'", f"form-action 'self' {settings.github_url}")
    response.headers["content-security-policy"] = allowed
    return response


async def known_app(request: Request) -> AppCredentials | None:
    """Return the app that there is already."""
    state = request.app.state
    async with state.engine.connect() as db:
        return await app_credentials(db, state.settings, vault_of(request))


def vault_of(request: Request) -> Vault:
    """Return the process's vault."""
    state = request.app.state
    vault: Vault = getattr(state, "vault", None) or Vault(state.settings.secret_keys)
    return vault


@require("operator")
async def callback(request: Request) -> Response:
    """Take the app that GitHub made: GitHub sends the browser here with a code and our state."""
    settings = made_here(request)
    check_state(request)
    code = request.query_params.get("code", "")
    if not code:
        raise Problem(400, "Bad Request", "GitHub sent no code. Begin again at /setup.")
    try:
        made = await convert_manifest(code, settings.github_api_url)
    except GitHubError as error:
        raise not_made(error) from None
    await keep(request, made)
    await tell(request)
    return RedirectResponse("/setup", 303)


def not_made(error: GitHubError) -> Problem:
    """Say why there is no app."""
    if error.status in (404, 422):
        why = "GitHub does not know this code: it works once, for an hour. Begin again at /setup."
        return Problem(400, "The code was used", why)
    return Problem(502, "GitHub did not answer as hoped", f"{error} Begin again at /setup.")


def credentials_of(made: ConvertedManifest) -> AppCredentials:
    """Return the credentials in GitHub's answer."""
    return AppCredentials(
        app_id=made.id,
        private_key=made.pem,
        hook_secrets=(made.webhook_secret,) if made.webhook_secret else (),
        client_id=made.client_id,
        client_secret=made.client_secret,
        slug=made.slug,
        html_url=made.html_url,
    )


async def keep(request: Request, made: ConvertedManifest) -> None:
    """Store the app's secrets, encrypted, and who made it."""
    async with request.app.state.engine.begin() as db:
        await store_app_credentials(db, vault_of(request), credentials_of(made))
        await audit(
            db,
            "github_app_made",
            user_id=request.state.member.user_id,
            detail=f"{made.slug} (app {made.id})",
        )


async def tell(request: Request) -> None:
    """Let every process read the credentials again; without Redis each finds out by itself."""
    state = request.app.state
    if refresh := getattr(state, "refresh", None):
        await refresh()
    try:
        await publish(state.redis, "app", "setup")
    except (RedisError, OSError) as error:
        log.warning("setup_not_told", error=str(error))
