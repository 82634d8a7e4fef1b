"""The web process put together: webhooks by a plain ASGI handler, all else by Starlette."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot import logs, metrics
from bot.chat import buttons, commands
from bot.clients.github import AppCredentials
from bot.queue import Hints, opened
from bot.settings import Settings, load
from bot.surroundings import Surroundings
from bot.vault import Vault, app_credentials
from bot.web import api, live, pages
from bot.web.inbox import Inbox
from bot.web.linear_webhook import LinearWebhook
from bot.web.pages.render import error_page
from bot.web.security import EXCEPTION_HANDLERS, Security
from bot.web.slack_answers import Answers, Commands, Interactions
from bot.web.slack_webhooks import Desk, Events, SlackWebhook
from bot.web.webhooks import GitHubWebhook
from models.deliveries import was_delivered
from models.errors import Refused
from models.store import engine

log = structlog.get_logger()

CREDENTIALS_SECONDS = 10.0


@dataclass
class Parts:
    """What one web process holds open. `wake` says that new deliveries are in the table."""

    settings: Settings
    redis: Any
    wake: Callable[[], None]
    background: list[Coroutine[Any, Any, None]] = field(default_factory=list)
    credentials: AppCredentials | None = None

    def __post_init__(self) -> None:
        self.engine = engine(
            self.settings.postgres_url, pool_size=self.settings.database_pool_size, name="web"
        )
        self.vault = Vault(self.settings.secret_keys)
        self.live = live.Live(self.redis)
        self.inbox = Inbox(self.settings.postgres_url, lambda new: self.wake() if new else None)
        self.answers = Answers(Surroundings(self.settings, self.engine, self.redis, self.vault))

    def webhook_secrets(self) -> tuple[str, ...]:
        """Return the secrets that sign deliveries now, from settings or from the set-up."""
        if self.credentials is None:
            return self.settings.webhook_secrets
        return self.credentials.webhook_secrets

    async def refresh(self) -> None:
        """Read the app's credentials again; what is known stays while Postgres is away."""
        try:
            async with self.engine.connect() as db:
                self.credentials = await app_credentials(db, self.settings, self.vault)
        except Refused as refusal:
            log.error("credentials_sealed", says=str(refusal))
        except (SQLAlchemyError, OSError) as error:
            log.warning("credentials_unread", error=str(error)[:300])

    async def refresh_for_ever(self) -> None:
        """Notice within seconds that another process set the app up."""
        while True:
            await asyncio.sleep(CREDENTIALS_SECONDS)
            await self.refresh()

    @contextlib.asynccontextmanager
    async def open(self, app: Starlette) -> AsyncIterator[None]:
        """Run everything that runs beside requests, and close it in order."""
        for name in ("settings", "engine", "redis", "live", "inbox", "vault", "refresh"):
            setattr(app.state, name, getattr(self, name))
        app.state.error_page = error_page
        await self.refresh()
        if self.settings.pull:
            log.info("pull_mode", says="deliveries are taken from GitHub's own log by the worker")
        elif not self.webhook_secrets():
            log.warning("no_webhook_secret", says="webhooks are answered 503 until one is set")
        if not self.settings.slack_signing_secret.get_secret_value():
            says = "Slack's webhooks are answered 503 until SLACK_SIGNING_SECRET is set"
            log.warning("no_slack_signing_secret", says=says)
        self.inbox.start()
        running = [
            asyncio.create_task(work)
            for work in (
                self.live.run(),
                self.refresh_for_ever(),
                metrics.watch(self.engine, self.redis, kind="web"),
                *self.background,
            )
        ]
        try:
            yield
        finally:
            await self.answers.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.inbox.stop(), 10)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self.redis.aclose()
            await self.engine.dispose()


@dataclass
class Application:
    """Sends webhooks past every middleware, since they have rules of their own."""

    webhooks: dict[str, ASGIApp]
    rest: Starlette

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the lifespan."""
        handler = self.webhooks.get(scope["path"]) if scope["type"] == "http" else None
        await (handler or self.rest)(scope, receive, send)


async def home(request: Request) -> Response:
    """`GET /`: the page that leads look at on Mondays."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/delivery{query}", 307)


def assemble(parts: Parts) -> Application:
    """Put the routes of one web process together."""
    rest = Starlette(
        routes=[Route("/", home), *pages.routes(), *api.routes(), *live.routes()],
        middleware=[Middleware(Security), Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=parts.open,
    )
    rest.state.settings = parts.settings
    github = GitHubWebhook(parts.inbox, parts.webhook_secrets, parts.settings.public_url)
    others = {"/webhooks/linear": linear(parts), **slack(parts)}
    return Application({"/webhooks/github": github, **others}, rest)


def linear(parts: Parts) -> ASGIApp:
    """Return Linear's address."""

    async def known(delivery_id: str, event: str) -> bool:
        """Tell whether a delivery was kept before."""
        async with parts.engine.connect() as db:
            return await was_delivered(db, "linear", delivery_id, event)

    settings = parts.settings
    secret = settings.linear_webhook_secret.get_secret_value()
    return LinearWebhook(parts.inbox, secret, known, settings.public_url)


def slack(parts: Parts) -> dict[str, ASGIApp]:
    """Return Slack's three addresses, which read and keep as one."""
    desk = Desk(parts.inbox, parts.settings.slack_signing_secret.get_secret_value())
    asked = {
        "events": Events(desk, parts.settings.public_url).answer,
        "commands": Commands(desk, parts.answers, commands.answer).answer,
        "interactions": Interactions(desk, parts.answers, buttons.answer).answer,
    }
    return {f"/webhooks/slack/{name}": SlackWebhook(desk, said) for name, said in asked.items()}


def create_app(settings: Settings) -> Application:
    """Return the web process for a Redis that other processes share."""
    address = settings.redis_address
    assert address is not None  # noqa: S101 - without Redis the CLI runs `beside_worker`
    hints = Hints(address)
    parts = Parts(settings, opened(address), hints.hint)
    parts.background.append(hints.run())
    return assemble(parts)


def from_environment() -> Application:
    """Return the web process as each of several uvicorn workers makes it."""
    settings = load()
    logs.configure(settings.log_format, settings.log_level)
    return create_app(settings)
