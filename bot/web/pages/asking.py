"""How a page asks several things at the same time, so that Postgres may use several processors."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Answer = TypeVar("Answer")


async def alone(
    pool: AsyncEngine, question: Callable[[AsyncConnection], Awaitable[Answer]]
) -> Answer:
    """Answer a question on a connection of its own; gather a few of them.

    Whoever gathers must hold no connection meanwhile: many who hold one and wait for another would
    wait for each other.
    """
    async with pool.connect() as db:
        return await question(db)
