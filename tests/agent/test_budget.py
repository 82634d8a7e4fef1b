"""Money: reserved before a call, settled after it, by many workers at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.agent.budget import FEWEST_TOKENS, OverBudget, budgeted
from bot.agent.conversation import Reply, Request, Usage
from bot.agent.prices import most
from bot.agent.trouble import ModelError
from models.budgets import (
    Limit,
    Spender,
    Spent,
    assume,
    left,
    limits_of,
    reserve,
    settle,
    spent,
)
from models.store import engine as open_engine
from tests.agent_rows import add_run, add_ticket

MODEL = "claude-sonnet-5-5"
DAY = date(2026, 9, 1)
CENT = Decimal("0.01")


def limits(ticket: Any = 3, repository: Any = 20, organization: Any = 50, ticket_id: str = "42"):
    spender = Spender(1, f"github:{ticket_id}", "github:10", "github:1")
    return limits_of(spender, DAY, *map(Decimal, (ticket, repository, organization)))


@pytest.fixture
async def spender(engine: AsyncEngine) -> Spender:
    await add_ticket(engine)
    run_id = await add_run(engine)
    return Spender(run_id, "github:42", "github:10", "github:1")


@pytest.fixture
async def many(postgres_url: str, engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Twenty connections at once."""
    opened = open_engine(postgres_url, pool_size=20, name="many")
    yield opened
    await opened.dispose()


async def reserved(engine: AsyncEngine, spender: Spender, within: Any, usd: Any) -> Any:
    async with engine.begin() as db:
        return await reserve(db, spender, within, Decimal(usd), "anthropic", MODEL)


async def settled(engine: AsyncEngine, usage_id: int, cost: Any, **more: Any) -> None:
    async with engine.begin() as db:
        await settle(db, usage_id, Spent(Decimal(cost), **more))


async def rows(engine: AsyncEngine, question: str) -> list[Any]:
    async with engine.connect() as db:
        return list((await db.execute(text(question))).all())


async def money(engine: AsyncEngine) -> dict[str, tuple[Decimal, Decimal]]:
    """What was spent and what is reserved, by the kind of budget."""
    found = await rows(engine, "select id, spent_usd, reserved_usd from budgets")
    return {row.id.split(":")[0]: (row.spent_usd, row.reserved_usd) for row in found}


def same(usd: Any, reserved_usd: Any = 0) -> dict[str, tuple[Decimal, Decimal]]:
    return dict.fromkeys(
        ("ticket", "repository", "organization"), (Decimal(usd), Decimal(reserved_usd))
    )


async def test_a_call_is_reserved_in_all_its_budgets_and_written_down(engine, spender):
    got = await reserved(engine, spender, limits(), "0.5")
    assert await money(engine) == same(0, "0.5")
    [row] = await rows(engine, "select * from usage")
    assert (row.id, row.run_id, row.reserved_usd) == (got.usage_id, spender.run_id, Decimal("0.5"))
    assert (row.cost_usd, row.model, row.provider) == (None, MODEL, "anthropic")
    assert row.scopes.split(" ") == [each.id for each in limits()]


@pytest.mark.parametrize(
    ("within", "name"),
    [
        (limits(ticket=1), "the ticket"),
        (limits(repository=1), "the repository's day"),
        (limits(organization=1), "the organisation's day"),
        (limits(ticket=2, repository=1, organization=1.5), "the repository's day"),
    ],
)
async def test_what_does_not_fit_into_one_budget_is_reserved_in_none(engine, spender, within, name):
    await reserved(engine, spender, limits(), "0.75")
    got = await reserved(engine, spender, within, "2.5")
    assert (got.usage_id, got.short.name, got.left_usd) == (None, name, Decimal("0.25"))
    assert await money(engine) == same(0, "0.75")
    assert len(await rows(engine, "select from usage")) == 1


async def test_a_budget_can_be_used_to_its_last_part_of_a_cent(engine, spender):
    assert (await reserved(engine, spender, limits(ticket=1), "0.999999")).usage_id
    assert (await reserved(engine, spender, limits(ticket=1), "0.000001")).usage_id
    got = await reserved(engine, spender, limits(ticket=1), "0.000001")
    assert (got.usage_id, got.left_usd) == (None, 0)


async def test_a_limit_that_was_lowered_leaves_nothing(engine, spender):
    await reserved(engine, spender, limits(), 2)
    got = await reserved(engine, spender, limits(ticket=1), "0.01")
    assert (got.usage_id, got.left_usd) == (None, 0)


async def test_a_settled_call_counts_what_it_cost(engine, spender):
    got = await reserved(engine, spender, limits(), "0.5")
    await settled(engine, got.usage_id, "0.2", input_tokens=5, output_tokens=6)
    await settled(engine, got.usage_id, "0.4")
    assert await money(engine) == same("0.2")
    [run] = await rows(engine, "select * from runs")
    assert (run.cost_usd, run.turns, run.input_tokens, run.output_tokens) == (
        Decimal("0.2"),
        1,
        5,
        6,
    )
    [call] = await rows(engine, "select * from usage")
    assert (call.cost_usd, call.input_tokens, call.assumed) == (Decimal("0.2"), 5, False)
    assert call.answered_at is not None


async def test_a_call_that_failed_is_no_turn_and_costs_what_is_known(engine, spender):
    got = await reserved(engine, spender, limits(), "0.5")
    await settled(engine, got.usage_id, "0.1", input_tokens=5, error="overloaded")
    assert await money(engine) == same("0.1")
    [run] = await rows(engine, "select * from runs")
    assert (run.cost_usd, run.turns, run.input_tokens) == (Decimal("0.1"), 0, 5)


async def test_the_calls_of_a_dead_worker_count_as_what_was_reserved_once(engine, spender):
    for usd in ("0.5", "0.25"):
        await reserved(engine, spender, limits(), usd)
    done = await reserved(engine, spender, limits(), "0.5")
    await settled(engine, done.usage_id, "0.1")
    other = await reserved(engine, replace(spender, run_id=99), limits(), "0.125")
    async with engine.begin() as db:
        assert await assume(db, spender.run_id) == 2
        assert await assume(db, spender.run_id) == 0
    assert other.usage_id
    assert await money(engine) == same("0.85", "0.125")
    [run] = await rows(engine, "select cost_usd, turns from runs")
    assert run == (Decimal("0.85"), 1)
    assert await rows(engine, "select count(*) from usage where assumed") == [(2,)]


async def test_an_assumed_call_is_corrected_by_who_knows_better(engine, spender):
    got = await reserved(engine, spender, limits(), "0.5")
    async with engine.begin() as db:
        await assume(db, spender.run_id)
    await settled(engine, got.usage_id, "0.2", output_tokens=7)
    await settled(engine, got.usage_id, "0.3")
    assert await money(engine) == same("0.2")
    [run] = await rows(engine, "select cost_usd, turns, output_tokens from runs")
    assert run == (Decimal("0.2"), 1, 7)


async def test_what_is_left_is_the_least_of_all_budgets(engine, spender, db: AsyncConnection):
    assert await left(db, limits()) == 3
    got = await reserved(engine, spender, limits(), 1)
    await settled(engine, got.usage_id, "0.5")
    await reserved(engine, spender, limits(), 1)
    assert await left(db, limits()) == Decimal("1.5")
    assert await left(db, limits(repository=1)) == 0
    assert await spent(db, "ticket:github:42") == Decimal("0.5")
    assert await spent(db, "ticket:github:none") == 0


@pytest.mark.parametrize("fresh", [True, False], ids=["new budgets", "old budgets"])
async def test_of_many_workers_only_as_many_get_money_as_there_is(many, spender, fresh):
    """Sixty calls of ten cents, for tickets of their own, want two dollars of one repository."""
    if not fresh:
        await reserved(many, spender, limits(repository=2), 0)

    async def call(n: int) -> Any:
        own = replace(spender, ticket_id=f"github:{n}", run_id=n)
        within = limits(repository=2, ticket_id=str(n))
        shuffled = within if n % 2 else tuple(reversed(within))
        return (await reserved(many, own, shuffled, "0.1")).usage_id

    got = await asyncio.gather(*map(call, range(60)))
    assert sum(each is not None for each in got) == 20
    found = await rows(many, "select sum(reserved_usd) from budgets where id like 'repository:%'")
    assert found == [(Decimal(2),)]
    tickets = await rows(many, "select sum(reserved_usd) from budgets where id like 'ticket:%'")
    assert tickets == [(Decimal(2),)]


async def test_two_workers_cannot_both_take_the_last_dollar(many, spender):
    """One has reserved it and not yet committed: the other waits, and then looks again."""
    await reserved(many, spender, limits(), 2)
    async with many.connect() as first, many.begin() as second:
        await reserve(first, spender, limits(), Decimal(1), "anthropic", MODEL)
        waiting = asyncio.create_task(
            reserve(second, spender, limits(), Decimal(1), "anthropic", MODEL)
        )
        await blocked(many)
        await first.commit()
        assert (await waiting).usage_id is None
    assert await money(many) == same(0, 3)


async def test_a_dollar_that_was_given_back_is_there_for_who_waits(many, spender):
    await reserved(many, spender, limits(), 2)
    async with many.connect() as first, many.begin() as second:
        await reserve(first, spender, limits(), Decimal(1), "anthropic", MODEL)
        waiting = asyncio.create_task(
            reserve(second, spender, limits(), Decimal(1), "anthropic", MODEL)
        )
        await blocked(many)
        await first.rollback()
        assert (await waiting).usage_id is not None
    assert await money(many) == same(0, 3)


async def blocked(engine: AsyncEngine) -> None:
    """Wait until a connection waits for a lock."""
    question = (
        "select from pg_stat_activity"
        " where wait_event_type = 'Lock' and datname = current_database()"
    )
    for _ in range(2000):
        if await rows(engine, question):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing waits for a lock")


async def test_reserving_settling_and_assuming_at_once_lose_no_cent(many, spender):
    """Calls end in every way, in any order; then nothing is reserved, and all sums agree."""

    async def call(n: int) -> None:
        own = replace(spender, run_id=spender.run_id if n % 3 else 1000 + n)
        got = await reserved(many, own, limits(9, 9, 9), "0.2")
        if got.usage_id is None:
            return
        if n % 3:
            await settled(many, got.usage_id, Decimal(n) / 1000, error=None if n % 2 else "no")
        else:
            async with many.begin() as db:
                await assume(db, own.run_id)

    await asyncio.gather(*map(call, range(80)))
    [(total,)] = await rows(many, "select sum(cost_usd) from usage")
    assert await money(many) == same(total)
    of_run = f"select sum(cost_usd) from usage where run_id = {spender.run_id}"  # noqa: S608
    assert await rows(many, of_run) == await rows(many, "select cost_usd from runs")


def request(words: str = "Mend it.", max_tokens: int = 16_000) -> Request:
    message = {"role": "user", "content": [{"type": "text", "text": words}]}
    return Request(MODEL, "You develop.", [message], [], max_tokens)


ANSWER = Reply(
    [], "end_turn", Usage(10, 20, 30, 40), Decimal("0.05"), MODEL, seconds=1.5, refusal=None
)


async def test_an_ask_reserves_the_most_and_settles_what_it_was(engine, spender):
    seen = {}

    async def ask(asked: Request) -> Reply:
        seen.update(await money(engine))
        assert asked == request()
        return ANSWER

    assert await budgeted(ask, engine, spender, limits, "anthropic")(request()) == ANSWER
    assert seen == same(0, most(MODEL, request()))
    assert await money(engine) == same("0.05")
    [call] = await rows(engine, "select * from usage")
    tokens = (
        call.input_tokens,
        call.output_tokens,
        call.cache_read_tokens,
        call.cache_write_tokens,
    )
    assert (tokens, call.seconds) == ((10, 20, 30, 40), 1.5)


async def never(asked: Request) -> Reply:
    raise AssertionError("asked without money")


async def test_nothing_is_asked_for_which_there_is_no_money(engine, spender):
    def nothing() -> tuple[Limit, ...]:
        return limits(organization="0.001")

    with pytest.raises(OverBudget) as over:
        await budgeted(never, engine, spender, nothing, "anthropic")(request())
    assert over.value.limit.name == "the organisation's day"
    assert "the organisation's day ($0.00)" in str(over.value)
    assert await rows(engine, "select from usage") == []


async def test_a_shorter_answer_is_asked_for_where_only_that_fits(engine, spender):
    enough = most(MODEL, request(max_tokens=9000))

    async def ask(asked: Request) -> Reply:
        assert 8990 <= asked.max_tokens <= 9000
        return ANSWER

    within = limits(ticket=enough)
    await budgeted(ask, engine, spender, lambda: within, "anthropic")(request())
    assert await money(engine) == same("0.05")


@pytest.mark.parametrize(("tokens", "asked"), [(FEWEST_TOKENS - 1, 0), (FEWEST_TOKENS, 1)])
async def test_an_answer_is_not_made_uselessly_short(engine, spender, tokens, asked):
    within = limits(ticket=most(MODEL, request(max_tokens=tokens)))
    calls = []

    async def ask(asked: Request) -> Reply:
        calls.append(asked.max_tokens)
        return ANSWER

    going = budgeted(ask, engine, spender, lambda: within, "anthropic")(request())
    if asked:
        await going
    else:
        with pytest.raises(OverBudget):
            await going
    assert len(calls) == asked


async def test_limits_are_looked_at_before_each_call(engine, spender):
    wanted = [limits(), limits(ticket=0)]

    async def ask(asked: Request) -> Reply:
        return ANSWER

    asking = budgeted(ask, engine, spender, lambda: wanted.pop(0), "anthropic")
    await asking(request())
    with pytest.raises(OverBudget):
        await asking(request())


async def test_a_call_in_trouble_costs_what_its_error_knows(engine, spender):
    error = ModelError("It broke off.", "overloaded")
    error.usage, error.cost_usd = Usage(100, 5), Decimal("0.002")

    async def ask(asked: Request) -> Reply:
        raise error

    with pytest.raises(ModelError):
        await budgeted(ask, engine, spender, limits, "anthropic")(request())
    assert await money(engine) == same("0.002")
    [call] = await rows(engine, "select error, output_tokens from usage")
    assert call == ("It broke off.", 5)


async def test_a_call_that_fails_otherwise_gives_its_money_back(engine, spender):
    async def ask(asked: Request) -> Reply:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await budgeted(ask, engine, spender, limits, "anthropic")(request())
    assert await money(engine) == same(0)
    assert await rows(engine, "select error from usage") == [("RuntimeError",)]


async def test_a_cancelled_call_counts_as_what_was_reserved(engine, spender):
    asked = asyncio.Event()

    async def ask(_: Request) -> Reply:
        asked.set()
        await asyncio.Event().wait()
        return ANSWER

    going = asyncio.create_task(budgeted(ask, engine, spender, limits, "anthropic")(request()))
    await asked.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert await money(engine) == same(most(MODEL, request()))
    assert await rows(engine, "select assumed from usage") == [(True,)]


@dataclass
class Leaving:
    """A store that goes away."""

    engine: AsyncEngine
    gone: bool = False

    def begin(self) -> Any:
        if self.gone:
            raise ConnectionRefusedError
        return self.engine.begin()


async def test_a_cancellation_stays_one_when_the_store_is_away(engine, spender):
    store, asked = Leaving(engine), asyncio.Event()

    async def ask(_: Request) -> Reply:
        store.gone = True
        asked.set()
        await asyncio.Event().wait()
        return ANSWER

    going = asyncio.create_task(budgeted(ask, store, spender, limits, "anthropic")(request()))
    await asked.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    async with engine.begin() as db:
        assert await assume(db, spender.run_id) == 1


async def test_a_cancellation_while_it_is_settled_loses_nothing(engine, spender):
    """The settling waits for a lock when the cancellation comes; it is done all the same."""
    holding = asyncio.Event()

    async def ask(_: Request) -> Reply:
        await lock.execute(text("select from budgets for update"))
        holding.set()
        return ANSWER

    async with engine.connect() as lock:
        going = asyncio.create_task(budgeted(ask, engine, spender, limits, "anthropic")(request()))
        await holding.wait()
        await blocked(engine)
        going.cancel()
        await asyncio.sleep(0)
        await lock.rollback()
        with pytest.raises(asyncio.CancelledError):
            await going
    assert await money(engine) == same("0.05")


async def test_no_transaction_is_open_while_the_model_is_asked(engine, spender):
    async def ask(_: Request) -> Reply:
        question = (
            "select from pg_stat_activity where state = 'idle in transaction'"
            " and datname = current_database()"
        )
        assert await rows(engine, question) == []
        return ANSWER

    await budgeted(ask, engine, spender, limits, "anthropic")(request())
