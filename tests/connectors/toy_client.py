"""The toy's client: a connector in one module, and the one place that speaks to the toy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.connectors import status
from bot.connectors.protocol import EVERYTHING, Condition, Page, SyncStatus, Trouble, Wish
from bot.surroundings import Surroundings
from models.chat import connection_secret
from tests.connectors.toy_handlers import Card, card_row

name: str = "toy"
title: str = "Toy board"
parts: tuple[str, ...] = (EVERYTHING,)
supported_metrics: frozenset[str] = frozenset({"throughput"})

CONNECTION = "toy:board"


@asynccontextmanager
async def authenticate(
    surroundings: Surroundings, organization_id: str
) -> AsyncIterator[httpx.AsyncClient | None]:
    """Open a line to the board whose address is kept sealed."""
    async with surroundings.engine.connect() as db:
        sealed = await connection_secret(db, f"{CONNECTION}:{organization_id}")
    if sealed is None:
        yield None
        return
    async with httpx.AsyncClient(base_url=surroundings.vault.open(sealed)) as client:
        yield client


async def test_connection(surroundings: Surroundings, organization_id: str) -> Condition:
    """Ask for the board's name."""
    async with authenticate(surroundings, organization_id) as client:
        if client is None:
            return Condition(connected=False, says="No board is connected.")
        told = (await client.get("/board")).json()
    return Condition(connected=True, says=f"The toy answers for {told['name']}.")


async def fetch(line: httpx.AsyncClient, wish: Wish, cursor: str | None) -> AsyncIterator[Page]:
    """Read card after card, two a page."""
    start = int(cursor or 0)
    while True:
        asked: dict[str, Any] = {"start": start}
        if wish.since:
            asked["since"] = wish.since.isoformat()
        answer = await line.get("/cards", params=asked)
        if answer.status_code != 200:
            raise Trouble(f"The toy answered {answer.status_code}.")
        told = answer.json()
        start = told["next"]
        rows = [card_row(Card.model_validate(each)) for each in told["cards"]]
        yield Page(
            cursor=None if start is None else str(start),
            rows=rows, items=len(rows), calls=1, expected=told["all"],
        )  # fmt: skip
        if start is None:
            return


async def sync_status(db: AsyncConnection, organization_id: str) -> SyncStatus:
    """Say how reading the board stands."""
    return await status.sync_status(db, organization_id, name)
