"""The schedule: what is due is ordered once, whoever looks, and not while it still goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.connectors import CONNECTORS
from bot.jobs.schedule import orders, queue_syncs
from bot.queue import SYNC
from bot.worker import Workshop
from handlers.schedules import EVERY, last_due
from models.organizations import Connection, Organization, OrganizationSettings
from models.schedules import take_slot
from models.store import remember
from tests.rig import Rig

pytestmark = pytest.mark.store

HOME = "github:9"
NOW = datetime(2026, 9, 15, 12, 0, tzinfo=UTC)
PATIENCE_SECONDS = 60
BOTH = ["sync_linear", "sync_slack"]


@pytest.fixture
async def home(rig: Rig) -> str:
    """An organisation with a Slack and a Linear, without tokens: there is nothing to ask."""
    async with rig.surroundings.engine.begin() as db:
        await remember(db, [Organization(id=HOME, login="acme", account_id=9)])
        await remember(db, [connection("slack"), connection("linear")])
    return HOME


def connection(source: str, home: str = HOME, state: str = "active") -> Connection:
    return Connection(
        id=f"{source}:{home}",
        organization_id=home,
        changed_at=NOW,
        source=source,
        external_id=f"{source}:{home}",
        account_login="acme",
        state=state,
    )


async def zone(rig: Rig, name: str) -> None:
    async with rig.surroundings.engine.begin() as db:
        table = OrganizationSettings.__table__  # type: ignore[attr-defined]
        await db.execute(table.insert().values(organization_id=HOME, time_zone=name))


async def look(rig: Rig, now: datetime) -> list[tuple[str, bool]]:
    """Let a worker look; return what it ordered, and let that be done."""
    async with rig.surroundings.engine.begin() as db:
        await queue_syncs(db, now)
    found = await rig.ask("select name, arguments, lane from jobs where status = 'waiting'")
    assert {row["lane"] for row in found} <= {SYNC}
    await done(rig)
    return sorted((row["name"], bool(row["arguments"].get("full"))) for row in found)


async def done(rig: Rig) -> None:
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("update jobs set status = 'done', finished_at = now()"))


async def test_what_changed_is_read_every_quarter_of_an_hour(rig: Rig, home: str) -> None:
    due = last_due("changes", NOW, "UTC", home)
    assert await look(rig, due) == [(name, False) for name in BOTH]
    assert await look(rig, due + EVERY - timedelta(microseconds=1)) == []
    assert await look(rig, due + EVERY) == [(name, False) for name in BOTH]
    hours = due + timedelta(hours=5)
    assert await look(rig, hours) == [(name, False) for name in BOTH]
    assert await look(rig, hours) == []


async def test_everything_is_read_at_night_even_where_nobody_was_there(rig: Rig, home: str) -> None:
    await zone(rig, "Europe/Athens")
    assert await look(rig, NOW) == [(name, False) for name in BOTH]
    night = last_due("full", NOW + timedelta(days=1), "Europe/Athens", home)
    assert night.hour == 0
    assert await look(rig, night - timedelta(seconds=1)) == [(name, False) for name in BOTH]
    assert await look(rig, night) == [(name, True) for name in BOTH]
    assert (await look(rig, night + EVERY))[0] == ("sync_linear", False)
    two_days_later = night + timedelta(days=2, hours=5)
    assert await look(rig, two_days_later) == [(name, True) for name in BOTH]


async def test_what_still_goes_on_is_not_ordered_again(rig: Rig, home: str) -> None:
    async with rig.surroundings.engine.begin() as db:
        await queue_syncs(db, NOW)
        put_off = (
            "update jobs set next_try_at = now() + interval '1 hour' where name = 'sync_slack'"
        )
        await db.execute(text(put_off))
        await db.execute(text("update jobs set status = 'done' where name = 'sync_linear'"))
        await queue_syncs(db, NOW + EVERY)
    rows = await rig.ask(
        "select name, next_try_at > now() as later from jobs where status <> 'done'"
    )
    assert sorted(tuple(row.values()) for row in rows) == [
        ("sync_linear", False), ("sync_slack", True),
    ]  # fmt: skip


async def test_one_that_was_given_up_is_ordered_anew(rig: Rig, home: str) -> None:
    async with rig.surroundings.engine.begin() as db:
        await queue_syncs(db, NOW)
        await db.execute(text("update jobs set status = 'parked'"))
        await queue_syncs(db, NOW + EVERY)
    rows = await rig.ask("select name, status from jobs order by name")
    assert [tuple(row.values()) for row in rows] == [(name, "waiting") for name in BOTH]


async def test_only_what_is_connected_is_read(rig: Rig) -> None:
    other = "github:10"
    async with rig.surroundings.engine.begin() as db:
        await remember(db, [Organization(id=each, login=each) for each in (HOME, other)])
        await remember(db, [connection("slack"), connection("linear", state="deleted")])
        await remember(db, [connection("linear", other), connection("nothing", other)])
        await queue_syncs(db, NOW)
    rows = await rig.ask("select organization_id, name from jobs order by name")
    assert [tuple(row.values()) for row in rows] == [
        (other, "sync_linear"), (HOME, "sync_slack"),
    ]  # fmt: skip


async def test_of_two_that_take_a_slot_together_one_gets_it(rig: Rig, home: str) -> None:
    engine = rig.surroundings.engine
    async with engine.connect() as one, engine.connect() as two:
        assert await take_slot(one, home, "changes", NOW)
        second = asyncio.create_task(take_slot(two, home, "changes", NOW))
        await asyncio.sleep(0)
        assert not second.done()
        await one.commit()
        assert not await second
        await two.commit()
        assert await take_slot(two, home, "changes", NOW + EVERY)


async def test_one_who_fails_to_order_leaves_it_to_the_next(rig: Rig, home: str) -> None:
    engine = rig.surroundings.engine
    async with engine.connect() as db:
        assert await queue_syncs(db, NOW) == 2
        await db.rollback()
    assert await look(rig, NOW) == [(name, False) for name in BOTH]


@asynccontextmanager
async def working(rig: Rig, redis_url: str | None) -> AsyncIterator[None]:
    running = asyncio.ensure_future(Workshop(rig.surroundings).run(redis_url))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def ended(rig: Rig) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            jobs = await rig.ask("select name, status from jobs where name like 'sync%'")
            if jobs and all(job["status"] == "done" for job in jobs):
                return jobs
            await asyncio.sleep(0.05)


async def test_two_workers_order_and_read_it_once(
    rig: Rig, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.worker.SWEEP_SECONDS", 0.05)
    async with working(rig, None), working(rig, None):
        jobs = await ended(rig)
    assert sorted(job["name"] for job in jobs) == BOTH


async def test_arqs_clock_looks_too(rig: Rig, home: str) -> None:
    from bot.worker import scheduled

    workshop = Workshop(rig.surroundings)
    await scheduled({"workshop": workshop})
    rows = await rig.ask("select name from jobs order by name")
    assert [row["name"] for row in rows] == BOTH
    assert workshop.lanes[SYNC].due.is_set()


async def test_parts_with_jobs_of_their_own_are_read_by_these() -> None:
    found = orders(CONNECTORS["linear"], HOME, full=True)
    assert [(each.part, each.job.name, each.job.key) for each in found] == [
        ("all", "sync_linear", f"sync_linear:{HOME}")
    ]
    assert found[0].job.arguments == {"full": True}
    (one,) = orders(CONNECTORS["linear"], HOME, repository_id="github:1")
    assert one.job.arguments == {"source": "linear", "part": "all", "repository": "github:1"}
