"""Kill -9 of the worker in mid-settle, and of the web process under load: nothing is lost."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.faults.processes import House, house, settings_of, story, undisturbed, until
from tests.story import Delivery
from tests.tables import differences, tables

pytestmark = [pytest.mark.store, pytest.mark.faults]


async def test_a_worker_killed_in_mid_settle_costs_nothing(
    postgres_url: str, clean: None, clean_redis: str, tmp_path: Path
) -> None:
    deliveries = story()
    settings = settings_of(postgres_url, clean_redis)
    expected = await undisturbed(settings, deliveries)
    async with house(settings, tmp_path) as there:
        there.web.start()
        await there.ready()
        for turn in range(2):
            await killed_in_mid_settle(there, deliveries[turn::3])
        there.worker.start()
        await there.load(deliveries)
        await there.ask("update deliveries set leased_until = now()")
        await there.ask("update jobs set leased_until = now() where status = 'running'")
        await there.settled(len(there.told))
        assert differences(expected, await tables(there.engine)) == []
        assert there.worker.stop() == 0
        assert there.web.stop() in (0, -signal.SIGTERM)


async def killed_in_mid_settle(there: House, deliveries: list[Delivery]) -> None:
    """Kill a worker that has claimed deliveries and is writing what follows from them."""
    before = len(there.told)
    for number, delivery in enumerate(deliveries):
        await there.send(10_000 + before + number, delivery)
    async with there.engine.connect() as db:
        await db.exec_driver_sql("lock table repositories in share mode")
        there.worker.start()
        await until(lambda: claimed(there))
        there.worker.kill()
    assert await claimed(there)
    await there.ask("update deliveries set leased_until = now() where leased_until is not null")


async def claimed(there: House) -> bool:
    """Tell whether a worker holds deliveries and waits for our lock."""
    leased = await there.ask("select 1 from deliveries where leased_until > now() limit 1")
    blocked = await there.ask(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database()"
    )
    return bool(leased) and (bool(blocked) or bool(there.worker.running[-1].poll()))


async def test_a_web_process_killed_under_load_loses_nothing_it_answered_for(
    postgres_url: str, clean: None, clean_redis: str, tmp_path: Path
) -> None:
    deliveries = story()
    settings = settings_of(postgres_url, clean_redis)
    expected = await undisturbed(settings, deliveries)
    async with house(settings, tmp_path) as there:
        there.worker.start()
        there.web.start()
        await there.ready()
        loading = asyncio.ensure_future(there.load(deliveries))
        for part in (0.25, 0.5, 0.75):
            await until(lambda part=part: enough(there, part * len(deliveries)))
            there.web.kill()
            kept = there.kept
            rows = await there.ask("select delivery_id from deliveries")
            assert kept - {row.delivery_id for row in rows} == set()
            there.web.start()
        await loading
        assert len(there.kept) == len(deliveries)
        assert any("Error" in str(each) for told in there.told.values() for each in told)
        await there.settled(len(deliveries))
        assert differences(expected, await tables(there.engine)) == []


async def enough(there: House, count: float) -> bool:
    """Tell whether so many deliveries were kept."""
    return len(there.kept) >= count
