"""The long-running processes, each made from settings: `web`, `worker`, and both in one."""

import asyncio
import contextlib
import gc
import signal
from typing import Any

import structlog
import uvicorn

from bot import logs
from bot.settings import Settings, load
from bot.web.protocol import BoundedProtocol
from models.errors import Refused

log = structlog.get_logger()

STOP_SECONDS = 10
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def required(settings: Settings) -> Settings:
    """Refuse to start without what production needs."""
    missing = [
        name
        for name, value in (
            ("DATABASE_URL", settings.database_url),
            ("SECRET_KEY", settings.secret_keys),
        )
        if not value
    ]
    if missing:
        raise Refused(
            f"{' and '.join(missing)} must be set (`python -m bot dev` runs without any setting)."
        )
    return settings


def server(app: Any, settings: Settings, **more: Any) -> uvicorn.Config:
    """Return how uvicorn runs the web process."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        backlog=2048,
        timeout_graceful_shutdown=STOP_SECONDS,
        http=BoundedProtocol,
        **more,
    )


def serve_web(host: str | None, port: int | None, workers: int) -> None:
    """Run the web process until it is told to stop; several share one port."""
    overrides = {"host": host, "port": port}
    settings = required(load(**{key: value for key, value in overrides.items() if value}))
    logs.configure(settings.log_format, settings.log_level)
    if not settings.base_url and settings.host not in LOOPBACK:
        log.warning("no_base_url", says=f"BASE_URL is not set: links say {settings.public_url}")
    if settings.redis_address is None:
        if workers > 1:
            raise Refused("Without REDIS_URL the worker runs inside the one web process.")
        log.warning("no_redis", says="the worker runs inside the web process, on a stand-in")
        run_web(beside_worker(settings), settings)
        return
    if workers == 1:
        from bot.web.app import create_app

        run_web(create_app(settings), settings)
        return
    uvicorn.run(
        "bot.web.app:from_environment",
        factory=True,
        workers=workers,
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        http=BoundedProtocol,
    )


def run_web(app: Any, settings: Settings) -> None:
    """Run one web process; the collector need not look at what was imported again and again."""
    gc.collect()
    gc.freeze()
    uvicorn.Server(server(app, settings)).run()


def beside_worker(settings: Settings) -> Any:
    """Return the web process with the worker inside it, for machines without Redis."""
    from fakeredis import FakeAsyncRedis

    from bot.jobs import Surroundings
    from bot.web.app import Parts, assemble
    from bot.worker import Workshop

    parts = Parts(settings, FakeAsyncRedis(), lambda: None)
    workshop = Workshop(Surroundings(settings, parts.engine, parts.redis, parts.vault))
    parts.wake = workshop.wake
    parts.background.append(workshop.run(None))
    return assemble(parts)


def serve_worker() -> None:
    """Run the worker until it is told to stop."""
    settings = required(load())
    logs.configure(settings.log_format, settings.log_level)
    if settings.redis_address is None:
        raise Refused("Without REDIS_URL the worker runs inside the web process; start `web` only.")
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run_worker(settings))


async def run_worker(settings: Settings) -> None:
    """Run all lanes until SIGTERM or SIGINT, then let go."""
    from bot.jobs import Surroundings
    from bot.queue import opened as open_redis
    from bot.vault import Vault
    from bot.worker import Workshop
    from models.store import engine

    opened = engine(settings.postgres_url, pool_size=settings.database_pool_size, name="worker")
    redis = open_redis(str(settings.redis_address))
    workshop = Workshop(Surroundings(settings, opened, redis, Vault(settings.secret_keys)))
    running = asyncio.ensure_future(workshop.run(settings.redis_address))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    finally:
        await redis.aclose()
        await opened.dispose()
