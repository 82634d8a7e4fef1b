"""The queue that Postgres is: jobs that become one, leases, tries, and claims that never cross."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.jobs import JOBS, PutOff, Surroundings, work
from bot.settings import Settings
from bot.vault import Vault
from handlers.events import Job
from models.errors import Refused
from models.queue import (
    DELIVERY_TRIES,
    JOB_TRIES,
    ClaimedJob,
    Waiting,
    backoff,
    claim_deliveries,
    claim_jobs,
    find_homes,
    finish_job,
    give_back_deliveries,
    heartbeat,
    put_back,
    queue,
    retry,
)
from tests.story import at

pytestmark = pytest.mark.store

EARLY, LATE = at("09-01 09:00"), at("09-02 09:00")


def job(key: str = "k", since: datetime | None = None, **arguments: Any) -> Job:
    return Job("toy", key, arguments, since)


async def queued(engine: AsyncEngine, *jobs: Job, organization: str | None = "github:1") -> None:
    """Queue jobs in one transaction."""
    async with engine.begin() as db:
        await queue(db, jobs, organization)


async def claimed(engine: AsyncEngine, most: int = 4) -> list[ClaimedJob]:
    """Claim jobs in one transaction."""
    async with engine.begin() as db:
        return await claim_jobs(db, "ingest", most)


async def back(engine: AsyncEngine, held: ClaimedJob, *, forgive: bool = False) -> str:
    """Put a job back without a pause."""
    async with engine.begin() as db:
        return await put_back(db, held, "no luck", 0, forgive=forgive)


async def ask(engine: AsyncEngine, question: str, **bound: Any) -> list[Any]:
    """Ask, or change, the store."""
    async with engine.begin() as db:
        rows = await db.execute(text(question), bound)
        return list(rows.all()) if rows.returns_rows else []


async def run_out(engine: AsyncEngine, table: str = "jobs") -> None:
    """Let every lease run out."""
    await ask(engine, f"update {table} set leased_until = now() - interval '1 s'")  # noqa: S608


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("sinces", "kept"),
    [
        ([LATE, EARLY], EARLY),
        ([EARLY, LATE], EARLY),
        ([None, LATE], LATE),
        ([EARLY, None], EARLY),
        ([None, None], None),
    ],
)
async def test_jobs_of_one_key_become_one_with_the_earliest_since(
    engine: AsyncEngine, sinces: Sequence[datetime], kept: datetime | None, together: bool
) -> None:
    jobs = [job(since=since, **{f"from{index}": 1}) for index, since in enumerate(sinces)]
    for batch in [jobs] if together else [[each] for each in jobs]:
        await queued(engine, *batch)
    (held,) = await claimed(engine)
    assert held.since == kept
    assert held.arguments == {"from0": 1, "from1": 1}
    assert (held.organization_id, held.attempts) == ("github:1", 1)


@pytest.mark.parametrize("together", [True, False])
async def test_an_order_for_everything_is_not_lost_in_one_for_a_part(
    engine: AsyncEngine, together: bool
) -> None:
    jobs = [job(all=True), job(since=LATE)]
    for batch in [jobs] if together else [[each] for each in jobs]:
        await queued(engine, *batch)
    (held,) = await claimed(engine)
    assert held.arguments == {"all": True}


async def test_other_keys_stay_apart_and_lanes_too(engine: AsyncEngine) -> None:
    await queued(engine, job("a"), job("b"), Job("toy", "c", lane="agent"))
    assert {held.key for held in await claimed(engine)} == {"a", "b"}
    async with engine.begin() as db:
        assert [held.key for held in await claim_jobs(db, "agent")] == ["c"]


async def test_news_for_a_running_job_waits_as_a_job_of_its_own(engine: AsyncEngine) -> None:
    await queued(engine, job(since=LATE))
    (first,) = await claimed(engine)
    await queued(engine, job(since=EARLY))
    (second,) = await claimed(engine)
    assert (first.since, second.since) == (LATE, EARLY)


async def test_a_claimed_job_is_not_claimed_again_before_its_lease_runs_out(
    engine: AsyncEngine,
) -> None:
    await queued(engine, job())
    (held,) = await claimed(engine)
    assert await claimed(engine) == []
    await run_out(engine)
    (again,) = await claimed(engine)
    assert (again.id, again.attempts) == (held.id, 2)


async def test_a_heartbeat_renews_the_lease(engine: AsyncEngine) -> None:
    await queued(engine, job())
    (held,) = await claimed(engine)
    await run_out(engine)
    async with engine.begin() as db:
        await heartbeat(db, held.id)
    assert await claimed(engine) == []
    async with engine.begin() as db:
        await finish_job(db, held.id)
        await heartbeat(db, held.id)
    assert await ask(engine, "select status, leased_until from jobs") == [("done", None)]


async def test_a_job_put_back_hands_its_time_to_a_younger_one(engine: AsyncEngine) -> None:
    await queued(engine, job(since=EARLY, old=1, both="old"))
    (old,) = await claimed(engine)
    await queued(engine, job(since=LATE, new=1, both="new"))
    await back(engine, old)
    (young,) = await claimed(engine)
    assert (young.since, young.arguments) == (EARLY, {"old": 1, "new": 1, "both": "new"})
    rows = await ask(engine, "select status, finished_at is null from jobs order by id")
    assert rows == [("done", False), ("running", True)]


async def test_a_job_is_parked_when_its_tries_are_used_up(engine: AsyncEngine) -> None:
    await queued(engine, job())
    told = []
    for _ in range(JOB_TRIES):
        (held,) = await claimed(engine)
        told.append(await back(engine, held))
    assert told == ["waiting"] * (JOB_TRIES - 1) + ["parked"]
    assert await claimed(engine) == []
    assert await ask(engine, "select error from jobs where finished_at is not null") == [
        ("no luck",)
    ]
    await queued(engine, job())
    assert len(await claimed(engine)) == 1


async def test_a_rate_limit_is_nobodys_fault(engine: AsyncEngine) -> None:
    await queued(engine, job())
    for _ in range(2 * JOB_TRIES):
        (held,) = await claimed(engine)
        assert await back(engine, held, forgive=True) == "waiting"
    assert held.attempts == 1


async def test_a_job_that_kills_every_worker_is_parked(engine: AsyncEngine) -> None:
    await queued(engine, job("killer"), job("other"))
    for _ in range(JOB_TRIES):
        held = {each.key for each in await claimed(engine)}
        assert "killer" in held
        await ask(engine, "update jobs set status = 'done' where key = 'other'")
        await run_out(engine)
    assert await claimed(engine) == []
    rows = await ask(engine, "select status, error from jobs where key = 'killer'")
    assert rows == [("parked", f"its worker ended {JOB_TRIES} times while it ran")]


async def test_who_waits_longest_is_first(engine: AsyncEngine) -> None:
    for key in "abcdef":
        await queued(engine, job(key))
    assert [held.key for held in await claimed(engine, 4)] == ["a", "b", "c", "d"]


async def test_two_workers_never_claim_the_same_job(engine: AsyncEngine) -> None:
    await queued(engine, *(job(f"{number:03}") for number in range(200)))
    held: list[str] = []

    async def worker() -> None:
        while some := await claimed(engine, 3):
            held.extend(each.key for each in some)
            await asyncio.sleep(0)

    await asyncio.gather(*(worker() for _ in range(4)))
    assert sorted(held) == [f"{number:03}" for number in range(200)]


async def received(engine: AsyncEngine, number: int, size: int = 10) -> None:
    """Let deliveries wait, with bodies of a size."""
    await ask(
        engine,
        "insert into deliveries (source, delivery_id, event, headers, body, sha256)"
        " select 'github', n, 'ping', '{}', convert_to(repeat('x', :size), 'UTF8'), ''"
        " from generate_series(1, :number) n",
        size=size,
        number=number,
    )


async def letters(engine: AsyncEngine, most: int = 100) -> list[Waiting]:
    """Claim deliveries in one transaction."""
    async with engine.begin() as db:
        return await claim_deliveries(db, most)


async def test_two_workers_never_claim_the_same_delivery(engine: AsyncEngine) -> None:
    await received(engine, 300)
    held: list[int] = []

    async def worker() -> None:
        while some := await letters(engine, 7):
            held.extend(each.id for each in some)

    await asyncio.gather(*(worker() for _ in range(4)))
    assert sorted(held) == list(range(1, 301))


async def test_of_long_bodies_fewer_are_claimed(engine: AsyncEngine) -> None:
    await received(engine, 10, 12 * 1024 * 1024)
    assert [len(await letters(engine)) for _ in range(5)] == [3, 3, 3, 1, 0]


async def test_a_delivery_is_taken_over_when_its_lease_runs_out(engine: AsyncEngine) -> None:
    await received(engine, 1)
    assert [(held.attempts) for held in await letters(engine)] == [1]
    assert await letters(engine) == []
    await run_out(engine, "deliveries")
    assert [(held.attempts) for held in await letters(engine)] == [2]


async def test_what_was_given_back_may_be_claimed_at_once_and_counts_no_try(
    engine: AsyncEngine,
) -> None:
    await received(engine, 3)
    ids = [held.id for held in await letters(engine)]
    await ask(engine, "update deliveries set leased_until = null, status = 'settled' where id = 1")
    async with engine.begin() as db:
        await give_back_deliveries(db, ids)
    assert [(held.id, held.attempts) for held in await letters(engine)] == [(2, 1), (3, 1)]


async def test_retry_forgets_what_became_of_a_delivery(engine: AsyncEngine) -> None:
    await received(engine, 2)
    await letters(engine)
    await ask(engine, "update deliveries set status = 'parked', attempts = 5, error = 'no'")
    async with engine.begin() as db:
        assert await retry(db, [2, 7]) == [2]
        assert await find_homes(db) == 0
    assert [(held.id, held.attempts) for held in await letters(engine)] == [(2, 1)]


def test_tries_are_ever_farther_apart_up_to_an_hour() -> None:
    assert [backoff(attempts) for attempts in range(1, 8)] == [5, 20, 80, 320, 1280, 3600, 3600]
    assert DELIVERY_TRIES < JOB_TRIES


@dataclass
class Toy:
    """A job that does what it is told, and counts how often it was done."""

    fails: list[Exception] = field(default_factory=list)
    done: int = 0

    async def __call__(self, surroundings: Surroundings, claimed: ClaimedJob) -> None:
        self.done += 1
        if self.fails:
            raise self.fails.pop(0)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy()
    monkeypatch.setitem(JOBS, "toy", made)
    return made


@pytest.fixture
def surroundings(settings: Settings, engine: AsyncEngine) -> Surroundings:
    return Surroundings(settings, engine, None, Vault(settings.secret_keys))


@pytest.mark.parametrize(
    ("fault", "attempts", "error"),
    [
        (RuntimeError("a bug"), 1, "RuntimeError: a bug"),
        (Refused("GitHub will not tell"), 1, "GitHub will not tell"),
        (PutOff(LATE, "a limit"), 0, "a limit"),
    ],
)
async def test_what_fails_is_put_back_with_the_reason(
    engine: AsyncEngine,
    surroundings: Surroundings,
    toy: Toy,
    fault: Exception,
    attempts: int,
    error: str,
) -> None:
    toy.fails = [fault]
    await queued(engine, job())
    assert await work(surroundings, "ingest", 4)
    rows = await ask(
        engine, "select status, attempts, error, leased_until, next_try_at > now() from jobs"
    )
    assert rows == [("waiting", attempts, error, None, True)]
    assert not await work(surroundings, "ingest", 4)
    await ask(engine, "update jobs set next_try_at = now()")
    assert await work(surroundings, "ingest", 4)
    assert toy.done == 2
    assert await ask(engine, "select status, error from jobs") == [("done", None)]


async def test_an_order_nobody_knows_is_parked_at_last(
    engine: AsyncEngine, surroundings: Surroundings
) -> None:
    await queued(engine, Job("unheard_of", "k"))
    for _ in range(JOB_TRIES):
        assert await work(surroundings, "ingest", 4)
        await ask(engine, "update jobs set next_try_at = now()")
    assert await ask(engine, "select status, error from jobs") == [
        ("parked", "KeyError: 'unheard_of'")
    ]


async def test_a_worker_told_to_stop_lets_go_of_its_job(
    engine: AsyncEngine, surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def endless(surroundings: Surroundings, claimed: ClaimedJob) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setitem(JOBS, "toy", endless)
    await queued(engine, job())
    working = asyncio.ensure_future(work(surroundings, "ingest", 4))
    await begun.wait()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    (held,) = await claimed(engine)
    assert held.attempts == 1


async def test_two_of_one_key_put_back_at_once_become_one(
    engine: AsyncEngine, surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Barrier(2)

    async def failing(surroundings: Surroundings, claimed: ClaimedJob) -> None:
        await gate.wait()
        raise Refused("no")

    monkeypatch.setitem(JOBS, "toy", failing)
    await queued(engine, job(since=LATE))
    first = asyncio.ensure_future(work(surroundings, "ingest", 4))
    while gate.n_waiting == 0:  # noqa: ASYNC110 - a barrier has no event for the first
        await asyncio.sleep(0.01)
    await queued(engine, job(since=EARLY))
    assert await asyncio.gather(first, work(surroundings, "ingest", 4)) == [True, True]
    rows = await ask(engine, "select status, since from jobs where status <> 'done'")
    assert rows == [("waiting", EARLY)]
