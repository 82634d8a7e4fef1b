"""What watches us asks: does the process answer, can it serve, what does it count."""

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from alembic.script import ScriptDirectory
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

import migrations
from bot.metrics import CONTENT_TYPE, exposition
from bot.web.auth import bearer, current_person
from bot.web.problems import Problem
from bot.web.tokens import scrape_token

PATIENCE_SECONDS = 2
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")

log = structlog.get_logger()


def routes() -> list[BaseRoute]:
    """Return the probes; the first two are for everybody, as orchestrators ask unsigned."""
    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]


async def healthz(request: Request) -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "healthy"})


async def readyz(request: Request) -> Response:
    """Say whether Postgres and Redis answer and the schema is the code's; 503 names what fails."""
    checks: dict[str, Callable[[Any], Awaitable[str]]] = {
        "postgres": postgres,
        "redis": redis,
        "schema": schema,
    }
    told = await asyncio.gather(*(checked(name, ask, request) for name, ask in checks.items()))
    states = dict(zip(checks, told, strict=True))
    ready = all(state == "ok" for state in states.values())
    body = {"status": "ready" if ready else "not ready", "checks": states}
    return JSONResponse(body, status_code=200 if ready else 503)


async def checked(name: str, ask: Callable[[Any], Awaitable[str]], request: Request) -> str:
    """Ask one thing, for two seconds at most; what it answers, or that it is away.

    Why it is away goes to the log: an error may carry addresses that are nobody's business.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await ask(request.app.state)
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is "not ready"
        log.warning("not ready", check=name, error=repr(error))
        return "away"


async def postgres(state: Any) -> str:
    """Ask Postgres for an answer."""
    async with state.engine.connect() as db:
        await db.execute(text("select 1"))
    return "ok"


async def redis(state: Any) -> str:
    """Ask Redis for an answer."""
    await state.redis.ping()
    return "ok"


async def schema(state: Any) -> str:
    """Compare the schema's revision with the one the code was written for."""
    wanted = await asyncio.to_thread(newest_revision)
    async with state.engine.connect() as db:
        known = await db.scalar(text("select to_regclass('alembic_version') is not null"))
        found = await db.scalar(text("select version_num from alembic_version")) if known else None
    return "ok" if found == wanted else f"is at {found}, and should be at {wanted}: run migrate"


@cache
def newest_revision() -> str | None:
    """Return the newest migration's revision; None where there is none."""
    return ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()


async def metrics(request: Request) -> Response:
    """Tell Prometheus what is counted; it names routes and jobs, so not everybody may ask.

    A Prometheus on this machine that comes straight to us may; one elsewhere sends the Bearer
    token of `bot.web.tokens.scrape_token` (it follows from SECRET_KEY; `doctor` prints it). Signed
    in operators may. Others are told 404. A request that passed a proxy is never "this machine".
    """
    if not (direct(request) or scraper(request) or await operator(request)):
        raise Problem(404, "Not Found", "There is nothing at this address.")
    state = request.app.state
    return Response(await exposition(state.engine, state.redis), media_type=CONTENT_TYPE)


def direct(request: Request) -> bool:
    """Say whether a request came from this machine without a proxy between."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def scraper(request: Request) -> bool:
    """Say whether a request carries the token for Prometheus."""
    token = bearer(request) or ""
    wanted = scrape_token(request.app.state.settings)
    return hmac.compare_digest(token.encode(), wanted.encode())


async def operator(request: Request) -> bool:
    """Say whether a signed-in operator asks."""
    person = await current_person(request)
    return person is not None and person.operator
