"""Asks a model only for money that is there: reserved before the call, settled after it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.agent.conversation import Ask, Reply, Request, Usage
from models import budgets
from models.budgets import Limit, Reserved, Spender, Spent

FEWEST_TOKENS = 4096
"""An answer shorter than this is not worth asking for."""

TRIES = 3
OVER = "The budget of {name} (${usd:.2f}) does not allow another call: ${left:.2f} of it is left."
CANCELLED = "it was stopped before it was answered"


class OverBudget(Exception):  # noqa: N818 - it is an answer, not a fault
    """A call that does not fit into a budget; it was not made. `limit` is the one that is short."""

    def __init__(self, limit: Limit, left_usd: Decimal) -> None:
        super().__init__(OVER.format(name=limit.name, usd=limit.usd, left=left_usd))
        self.limit = limit
        self.left_usd = left_usd


def budgeted(
    ask: Ask,
    engine: AsyncEngine,
    spender: Spender,
    limits: Callable[[], tuple[Limit, ...]],
    provider: str,
) -> Ask:
    """Return an ask that spends within budgets; it raises `OverBudget` instead of asking.

    `limits` is called anew before each call. No transaction is open while the model is asked. What
    a call that failed has used is told by its error (`usage`, `cost_usd`); one that was cancelled
    counts as what was reserved for it, since nobody knows better.
    """

    async def asked(request: Request) -> Reply:
        request, usage_id = await reserved(engine, spender, limits(), provider, request)
        try:
            reply = await ask(request)
        except asyncio.CancelledError:
            with contextlib.suppress(SQLAlchemyError, OSError):
                await surely(given_up(engine, spender.run_id))
            raise
        except BaseException as error:
            await surely(settled(engine, usage_id, lost(error)))
            raise
        await surely(settled(engine, usage_id, paid(reply)))
        return reply

    return asked


async def reserved(
    engine: AsyncEngine,
    spender: Spender,
    limits: tuple[Limit, ...],
    provider: str,
    request: Request,
) -> tuple[Request, int]:
    """Reserve what a call can cost at most; allow it a shorter answer where only that fits."""
    from bot.agent.prices import most

    tried = 0
    while True:
        tried, usd = tried + 1, most(request.model, request)
        async with engine.begin() as db:
            got = await budgets.reserve(db, spender, limits, usd, provider, request.model)
        if got.usage_id is not None:
            return request, got.usage_id
        request = affordable(request, usd, got, tried)


def affordable(request: Request, usd: Decimal, got: Reserved, tried: int) -> Request:
    """Return a request whose answer is short enough for what is left, or raise `OverBudget`."""
    from bot.agent.prices import most

    assert got.short is not None  # noqa: S101 - a reservation that failed says why
    over = OverBudget(got.short, got.left_usd)
    unanswered = most(request.model, replace(request, max_tokens=0))
    a_token = (usd - unanswered) / request.max_tokens
    if tried >= TRIES or a_token <= 0:
        raise over
    tokens = min(int((got.left_usd - unanswered) / a_token), request.max_tokens - 1)
    if tokens < FEWEST_TOKENS:
        raise over
    return replace(request, max_tokens=tokens)


def paid(reply: Reply) -> Spent:
    """Return what an answer used."""
    return spent(reply.usage, reply.cost_usd, reply.seconds)


def lost(error: BaseException) -> Spent:
    """Return what a call used that came to nothing, as far as its error knows."""
    usage = getattr(error, "usage", Usage())
    cost = getattr(error, "cost_usd", Decimal(0))
    return replace(spent(usage, cost, None), error=str(error)[:500] or type(error).__name__)


def spent(usage: Usage, cost: Decimal, seconds: float | None) -> Spent:
    """Return tokens and money in the form of the store."""
    return Spent(
        cost_usd=cost,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        seconds=seconds,
    )


async def settled(engine: AsyncEngine, usage_id: int, told: Spent) -> None:
    """Settle a call in a transaction of its own."""
    async with engine.begin() as db:
        await budgets.settle(db, usage_id, told)


async def given_up(engine: AsyncEngine, run_id: int) -> None:
    """Count the open call of a run as what was reserved for it.

    Where the store is away, whoever takes the run up does it.
    """
    async with engine.begin() as db:
        await budgets.assume(db, run_id, CANCELLED)


async def surely(work: Awaitable[None]) -> None:
    """Finish a piece of work although whoever waits for it is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
