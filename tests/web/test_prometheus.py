"""The numbers for Prometheus: labels stay few, processes are told apart, depths are asked."""

import asyncio
import contextlib

from bot import metrics
from tests.web.conftest import World


async def test_numbers_of_other_processes_are_told_beside_ours(world: World) -> None:
    other = b'veelocity_deliveries_total{source="github",event="push",outcome="settled"} 7.0\n'
    kept = b"# HELP veelocity_deliveries_total D\n# TYPE veelocity_deliveries_total counter\n"
    await world.app.state.redis.set(metrics.KEY + "worker-far-1", kept + other, ex=30)
    metrics.delivered("github", "push", "settled", 0.05)
    told = (await metrics.exposition(world.engine, world.app.state.redis)).decode()
    series = [line for line in told.splitlines() if line.startswith("veelocity_deliveries_total{")]
    assert any('process="worker-far-1"' in line and line.endswith(" 7.0") for line in series)
    assert any(f'process="{metrics.process_name("web")}"' in line for line in series)
    assert told.count("# TYPE veelocity_deliveries_total counter") == 1
    assert "veelocity_delivery_settle_seconds_bucket" in told


async def test_depths_of_the_queues_are_asked_of_postgres(world: World) -> None:
    told = (await metrics.exposition(world.engine, world.app.state.redis)).decode()
    assert 'veelocity_queue_depth{queue="deliveries",status="parked"} 2.0' in told


async def test_invented_events_are_one_label(world: World) -> None:
    for number in range(50):
        metrics.delivered("github", f"invented{number}", "ignored")
    told = (await metrics.exposition(world.engine, world.app.state.redis)).decode()
    assert "invented" not in told
    assert 'event="other"' in told


async def test_a_process_leaves_its_numbers_until_it_ends(world: World) -> None:
    watching = asyncio.create_task(metrics.watch(world.engine, world.app.state.redis))
    key = metrics.KEY + metrics.process_name("worker")
    for _ in range(100):
        await asyncio.sleep(0.01)
        if await world.app.state.redis.exists(key):
            break
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert 0 < await world.app.state.redis.ttl(key) <= metrics.KEPT_SECONDS
    metrics.worked("collect_changes", "done", 0.2)
    metrics.answered("github", 202)
