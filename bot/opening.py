"""Opens the store for one command: the one that is set, else the embedded one, and lets go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from psycopg.errors import UndefinedColumn, UndefinedTable
from pydantic import SecretStr
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import logs
from bot.local import quiet, stores
from bot.sample.staging import Stage, as_sample
from bot.settings import Settings, load, running_here
from bot.surroundings import Surroundings
from bot.vault import Vault, kept_secret
from models.errors import Refused
from models.store import engine

T = TypeVar("T")
Row = dict[str, Any]

NO_STORE = (
    "DATABASE_URL is not set, and there is no {home} of `demo` or `dev` here. Set DATABASE_URL, or"
    " VEELOCITY_HOME for an embedded store."
)
NOT_MIGRATED = "The schema of the store is not this version's: run `python -m bot migrate` first."


def with_store(do: Callable[[AsyncEngine, Settings], Awaitable[T]]) -> T:
    """Run something with the store open: the one that is set, else the embedded one.

    Its settings are those of the `demo` or `dev` that the embedded store belongs to.
    """
    settings = load()
    logs.configure(settings.log_format, quiet(settings))
    check_store(settings)
    with stores(settings) as (url, redis_url):
        told = as_at_home(settings, redis_url)

        async def opened() -> T:
            async with opened_store(url) as store:
                return await do(store, told)

        return asyncio.run(opened())


def check_store(settings: Settings) -> None:
    """Refuse to make an embedded store that nobody asked for."""
    asked = settings.database_url or "veelocity_home" in settings.model_fields_set
    if not asked and not settings.veelocity_home.is_dir():
        raise Refused(NO_STORE.format(home=settings.veelocity_home))


def as_at_home(settings: Settings, redis_url: str | None) -> Settings:
    """Return settings as the processes of VEELOCITY_HOME have them."""
    more: Row = {"redis_url": redis_url and SecretStr(redis_url)}
    kept = settings.veelocity_home / "secret_key"
    if kept.exists() or not settings.database_url:
        more["secret_key"] = kept_secret(kept, settings.secret_key)
    told = running_here(settings).model_copy(update=more)
    stage = Stage(settings.veelocity_home)
    return as_sample(told, stage) if stage.there and not settings.database_url else told


@asynccontextmanager
async def opened_store(url: str) -> AsyncIterator[AsyncEngine]:
    """Open an engine for one command; raise Refused where the schema is another version's."""
    store = engine(url, pool_size=2, name="command")
    try:
        yield store
    except ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable | UndefinedColumn):
            raise Refused(NOT_MIGRATED) from error
        raise
    finally:
        await store.dispose()


def stand_in() -> Any:
    """Return what takes Redis' place where there is none."""
    from fakeredis import FakeAsyncRedis

    return FakeAsyncRedis()


@asynccontextmanager
async def surrounded(store: AsyncEngine, settings: Settings) -> AsyncIterator[Surroundings]:
    """Open what jobs and runs use, over a store that is open."""
    from bot.queue import opened

    redis = opened(settings.redis_address) if settings.redis_address else stand_in()
    try:
        yield Surroundings(settings, store, redis, Vault(settings.secret_keys))
    finally:
        await redis.aclose()
