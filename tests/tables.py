"""What all deliveries together have left in the store, to be compared."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

UNTOLD = {"deliveries", "jobs", "delivery_cursors", "sync_slots"}
"""What came and is left to do, and when a worker looked for more by itself."""

TABLES = sorted(set(SQLModel.metadata.tables) - UNTOLD)

Tables = dict[str, list[Any]]


async def emptied(engine: AsyncEngine) -> None:
    """Forget everything."""
    async with engine.begin() as db:
        for table in sorted(SQLModel.metadata.tables):
            await db.execute(text(f"delete from {table}"))  # noqa: S608


async def tables(engine: AsyncEngine) -> Tables:
    """Return every row of every table of which deliveries tell."""
    async with engine.connect() as db:
        asked = {table: text(f"select * from {table}") for table in TABLES}  # noqa: S608
        return {table: sorted(await db.execute(ask), key=repr) for table, ask in asked.items()}


def differences(expected: Tables, found: Tables) -> list[str]:
    """Say which rows differ, so that a failure can be read."""
    said = []
    for table in TABLES:
        before, after = set(map(repr, expected[table])), set(map(repr, found[table]))
        said += [f"{table} lacks {row}" for row in sorted(before - after)]
        said += [f"{table} has {row}" for row in sorted(after - before)]
    return said
