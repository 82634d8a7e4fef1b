"""The web process in memory, on a real Postgres and Redis, with two organisations in it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import redis.asyncio
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import models
from bot.settings import Settings
from bot.vault import Vault
from bot.web import api, sign_in
from bot.web.auth import create_user, require
from bot.web.problems import EXCEPTION_HANDLERS
from bot.web.security import Security
from models.store import remember

PASSWORD = "correct horse battery"
AT = datetime(2026, 9, 1, 12, tzinfo=UTC)


@dataclass
class World:
    """The application, its store, and a way to be somebody."""

    app: Starlette
    engine: AsyncEngine
    people: dict[str, str] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def browser(self, **options: Any) -> httpx.AsyncClient:
        """Open a browser that is nobody yet."""
        transport = httpx.ASGITransport(
            self.app, client=options.pop("peer", ("127.0.0.1", 5)), raise_app_exceptions=True
        )
        base = options.pop("base_url", self.app.state.settings.public_url)
        return await self.stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=base, **options)
        )

    async def signed_in(self, who: str, **options: Any) -> httpx.AsyncClient:
        """Open a browser in which somebody has signed in by link."""
        async with self.engine.begin() as db:
            token = await sign_in_token(db, self.people[who])
        browser = await self.browser(**options)
        answer = await browser.post(f"/sign-in/{token}")
        assert answer.status_code == 303
        return browser

    async def program(self, who: str, **options: Any) -> httpx.AsyncClient:
        """Open a client that sends somebody's Bearer token."""
        from bot.web.tokens import access_token

        async with self.engine.begin() as db:
            user_id = await db.scalar(
                text("select id from users where email = :email"), {"email": self.people[who]}
            )
        token = access_token(self.app.state.settings, str(user_id))
        return await self.browser(headers={"authorization": f"Bearer {token}"}, **options)

    async def rows(self, statement: str, **bound: Any) -> list[dict[str, Any]]:
        """Ask the store."""
        async with self.engine.begin() as db:
            answer = await db.execute(text(statement), bound)
            return [dict(row) for row in answer.mappings()] if answer.returns_rows else []


async def sign_in_token(db: AsyncConnection, email: str) -> str:
    from bot.web.auth import sign_in_link

    return await sign_in_link(db, email)


@pytest.fixture
def settings(postgres_url: str, redis_url: str) -> Settings:
    return Settings(
        database_url=SecretStr(postgres_url),
        redis_url=SecretStr(redis_url),
        secret_key=SecretStr("newest-key-of-all,older-key"),
        base_url="https://veelocity.example",
        webhook_secret=SecretStr("hush"),
    )


def application(settings: Settings, engine: AsyncEngine, server: Any) -> Starlette:
    """Put the application together as the web process does."""

    @require("viewer")
    async def start(request: Request) -> Response:
        return PlainTextResponse(request.state.member.organization)

    @require("admin")
    async def admins(request: Request) -> Response:
        return PlainTextResponse("for admins")

    async def broken(request: Request) -> Response:
        raise RuntimeError("a bug with a secret in it")

    app = Starlette(
        routes=[
            Route("/", start),
            Route("/admins", admins, methods=["GET", "POST"]),
            Route("/broken", broken),
            Route("/api/v1/broken", broken),
            *sign_in.routes(),
            *api.routes(),
        ],
        middleware=[Middleware(Security)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    app.state.settings, app.state.engine, app.state.redis = settings, engine, server
    app.state.vault = Vault(settings.secret_keys)
    return app


@asynccontextmanager
async def world_of(settings: Settings, engine: AsyncEngine) -> AsyncIterator[World]:
    """Open the application over clean stores, with people in them."""
    async with redis.asyncio.from_url(settings.redis_address or "") as server:
        made = World(application(settings, engine, server), engine)
        await populate(made)
        async with made.stack:
            yield made


@pytest.fixture
async def world(settings: Settings, engine: AsyncEngine, clean_redis: str) -> AsyncIterator[World]:
    async with world_of(settings, engine) as made:
        yield made


@pytest.fixture
def app(world: World) -> Starlette:
    return world.app


async def populate(world: World) -> None:
    """Let there be acme and globex, with people in each, one in both, and an operator."""
    async with world.engine.begin() as db:
        await remember(
            db,
            [
                models.Organization(id="github:1", login="acme", account_id=1, changed_at=AT),
                models.Organization(id="github:2", login="globex", account_id=2, changed_at=AT),
                *facts("github:1", "acme", 10),
                *facts("github:2", "globex", 20),
            ],
        )
        for who, organization, role in (
            ("admin", "acme", "admin"),
            ("manager", "acme", "manager"),
            ("viewer", "acme", "viewer"),
            ("stranger", "globex", "admin"),
            ("both", "acme", "viewer"),
            ("both", "globex", "viewer"),
        ):
            email = f"{who}@example.org"
            await create_user(db, email, organization=organization, role=role)
            world.people[who] = email
        await create_user(db, "operator@example.org", admin=True)
        await create_user(db, "nobody@example.org")
        world.people |= {who: f"{who}@example.org" for who in ("operator", "nobody")}
        await derived(db)


def facts(organization_id: str, login: str, number: int) -> list[Any]:
    """Return a little of everything for one organisation."""
    repository = f"github:{number}"
    shared = {"organization_id": organization_id, "changed_at": AT}
    return [
        models.Connection(
            id=f"github:installation:{number}",
            source="github",
            external_id=str(number),
            account_login=login,
            state="active",
            **shared,
        ),
        models.Repository(id=repository, full_name=f"{login}/api", owner_login=login, **shared),
        models.Repository(
            id=f"github:{number + 1}", full_name=f"{login}/web", owner_login=login, **shared
        ),
        models.Workflow(
            id=f"github:w{number}", repository_id=repository, name="CI", path="ci.yml", **shared
        ),
        *(
            models.WorkflowRun(
                id=f"github:r{number}{turn}/1",
                repository_id=repository,
                run_id=f"r{number}{turn}",
                workflow_id=f"github:w{number}",
                name="CI",
                head_sha="a" * 40,
                status="completed",
                conclusion="success",
                platform="ios" if turn else None,
                started_at=AT.replace(minute=turn),
                **shared,
            )
            for turn in range(3)
        ),
        models.Deployment(
            id=f"github:d{number}",
            repository_id=repository,
            source="deployment_status",
            environment="production",
            environment_class="production",
            sha="a" * 40,
            created_at=AT,
            **shared,
        ),
        models.DeploymentStatus(
            id=f"github:s{number}",
            repository_id=repository,
            deployment_id=f"github:d{number}",
            state="success",
            created_at=AT,
            **shared,
        ),
    ]


async def derived(db: AsyncConnection) -> None:
    """Judge a deployment and a change of each organisation; keep some deliveries."""
    for organization, number in (("github:1", 10), ("github:2", 20)):
        bound = {"o": organization, "r": f"github:{number}", "d": f"github:d{number}", "at": AT}
        await db.execute(
            text(
                "insert into service_deployments (id, organization_id, repository_id, service_id, "
                "service, environment, environment_class, deployment_id, source, sha, state, kind, "
                "counted, started_at, finished_at) values (:d, :o, :r, :r || '/production', "
                "'production', 'production', 'production', :d, 'deployment_status', "
                "repeat('a', 40), 'success', 'new', true, :at, :at)"
            ),
            bound,
        )
        await db.execute(
            text(
                "insert into deployment_changes (id, organization_id, repository_id, service_id, "
                "environment_class, service_deployment_id, change_id, sha, title, cohort, "
                "evidence, corrective, first, first_commit_at, merged_at, deployed_at, "
                "lead_seconds) values (:d || '/c', :o, :r, :r || '/production', 'production', :d, "
                "'c', "
                "repeat('a', 40), '=cmd()', 'people', 'push', false, true, "
                "cast(:at as timestamptz) - interval '51 hours', :at, :at, 183600)"
            ),
            bound,
        )
    for organization, status in (
        ("github:1", "settled"),
        ("github:1", "parked"),
        ("github:2", "settled"),
        (None, "parked"),
    ):
        await db.execute(
            text(
                "insert into deliveries (source, delivery_id, event, headers, body, sha256, "
                "status, organization_id) values ('github', gen_random_uuid(), 'push', '{}', "
                "'', '', :status, :organization)"
            ),
            {"status": status, "organization": organization},
        )
