"""The numbers for Prometheus: labels stay few, processes are told apart, depths are asked."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from bot import metrics
from bot.agent.conversation import Usage
from tests.agent_rows import add_run, add_ticket
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


async def test_runs_and_calls_of_the_agent_are_counted(world: World) -> None:
    metrics.ran("done", 125.0, Decimal("0.42"))
    metrics.called("anthropic", "claude-of-this-test", Usage(10, 20, 300, 4), Decimal("0.125"))
    told = (await metrics.exposition(world.engine, world.app.state.redis)).decode()
    assert 'veelocity_agent_runs_total{outcome="done",' in told
    assert 'veelocity_agent_run_seconds_bucket{le="300.0",outcome="done",' in told
    assert 'veelocity_agent_run_cost_usd_sum{outcome="done",' in told
    call = 'model="claude-of-this-test",process="{}",provider="anthropic"'
    call = call.format(metrics.process_name("web"))
    assert f"veelocity_agent_cost_usd_total{{{call}}} 0.125" in told
    kinds = {"input": 10, "output": 20, "cache_read": 300, "cache_write": 4}
    for kind, tokens in kinds.items():
        sample = f'veelocity_agent_tokens_total{{kind="{kind}",{call}}}'
        assert f"{sample} {tokens}.0" in told


async def test_invented_outcomes_and_models_are_one_label(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MODELS", set())
    metrics.ran("mystery", 1, 0)
    for number in range(metrics.MOST_MODELS + 5):
        metrics.called(f"provider-{number}", f"invented-{number}", Usage(1), 0)
    told = (await metrics.exposition(world.engine, world.app.state.redis)).decode()
    assert 'outcome="other"' in told
    assert "mystery" not in told
    assert "provider-" not in told
    assert len(metrics.MODELS) == metrics.MOST_MODELS
    assert f"invented-{metrics.MOST_MODELS + 4}" not in told
    assert 'model="other"' in told


async def test_tickets_and_runs_at_work_are_asked_of_postgres(world: World) -> None:
    for number, (status, state) in enumerate(
        (("open", "queued"), ("in_progress", "developing"), ("closed", "done"))
    ):
        await add_ticket(world.engine, f"github:{number}", status=status)
        await add_run(world.engine, f"github:{number}", state=state, repository_id=f"r{number}")
    told = (await metrics.exposition(world.engine, world.app.state.redis)).decode()
    assert 'veelocity_agent_tickets{status="open"} 1.0' in told
    assert 'veelocity_agent_tickets{status="in_progress"} 1.0' in told
    assert 'veelocity_agent_running{state="developing"} 1.0' in told
    assert 'status="closed"' not in told
    assert 'state="done"' not in told


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was asked of services before."""
    monkeypatch.setattr(metrics, "KEPT", {})


async def shipped(world: World, ago_days: int) -> None:
    """Let acme's and globex' deployments be of some days ago, each with a change of 51 hours."""
    at = datetime.now(UTC) - timedelta(days=ago_days)
    await world.rows("update service_deployments set finished_at = :at", at=at)
    await world.rows("update deployment_changes set deployed_at = :at", at=at)
    await world.rows(
        "insert into deployed_services (id, organization_id, repository_id, full_name, service,"
        " environment_class) select distinct d.service_id, d.organization_id, d.repository_id,"
        " r.full_name, d.service, 'production' from service_deployments d"
        " join repositories r on r.id = d.repository_id on conflict do nothing"
    )


def dora(told: bytes) -> dict[str, float]:
    """Return the gauges of services by name and labels."""
    lines = [line for line in told.decode().splitlines() if line.startswith("veelocity_dora")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_the_metrics_of_each_service_are_gauges(world: World, fresh: None) -> None:
    await shipped(world, 3)
    labels = 'environment="production",organization="{0}",repository="{0}/api",service="production"'
    found = dora(await metrics.exposition(world.engine, world.app.state.redis))
    for login in ("acme", "globex"):
        own = labels.format(login)
        assert found[f"veelocity_dora_deployments_per_day{{{own}}}"] == pytest.approx(1 / 30)
        assert found[f"veelocity_dora_change_lead_time_seconds{{{own}}}"] == 183600
        assert found[f"veelocity_dora_change_failure_rate{{{own}}}"] == 0
        assert found[f"veelocity_dora_rework_rate{{{own}}}"] == 0
    kinds = ("deployments_per_day", "change_lead_time_seconds", "change_failure_rate")
    for kind in (*kinds, "rework_rate"):
        counted = labels.format("acme").replace(",organization", f',metric="{kind}",organization')
        assert found[f"veelocity_dora_samples{{{counted}}}"] == 1
    assert len(found) == 16
    assert "recovery_seconds{" not in str(found)


async def test_without_data_there_is_no_gauge_never_a_nought(world: World, fresh: None) -> None:
    await shipped(world, 31)
    assert dora(await metrics.exposition(world.engine, world.app.state.redis)) == {}


async def test_services_are_asked_for_once_a_minute(
    world: World, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shipped(world, 3)
    asked = []
    ask = metrics.service_figures

    async def counted(*told: Any) -> Any:
        asked.append(told)
        return await ask(*told)

    monkeypatch.setattr(metrics, "service_figures", counted)
    redis = world.app.state.redis
    first, *rest = await asyncio.gather(
        *(metrics.exposition(world.engine, redis) for _ in range(3))
    )
    assert len(asked) == 1
    assert all(dora(each) == dora(first) for each in rest)
    [kept] = metrics.KEPT.values()
    kept.until = 0
    await metrics.exposition(world.engine, redis)
    assert len(asked) == 2


async def test_what_was_known_is_not_told_while_postgres_is_away(
    world: World, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shipped(world, 3)
    assert dora(await metrics.exposition(world.engine, world.app.state.redis))

    async def away(*_: object) -> None:
        raise OperationalError("select", {}, Exception("away"))

    monkeypatch.setattr(metrics, "service_figures", away)
    [kept] = metrics.KEPT.values()
    kept.until = 0
    assert dora(await metrics.exposition(world.engine, world.app.state.redis)) == {}


async def test_synchronisations_are_counted(world: World) -> None:
    metrics.synced_page("toy-of-this-test", 50, 3)
    metrics.synced("toy-of-this-test", "done", 4.0)
    metrics.synced("toy-of-this-test", "failed", 1.0)
    told = (await metrics.exposition(world.engine, world.app.state.redis)).decode()
    lines = [line for line in told.splitlines() if "toy-of-this-test" in line]
    values = {line.partition("{")[0]: line.rpartition(" ")[2] for line in lines}
    assert values["veelocity_sync_items_total"] == "50.0"
    assert values["veelocity_sync_missed_total"] == "3.0"
    assert values["veelocity_sync_errors_total"] == "1.0"
    assert sum(line.startswith("veelocity_sync_seconds_count") for line in lines) == 2
