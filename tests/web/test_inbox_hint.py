"""The inbox says how many rows are new, since nothing else wakes the worker at once."""

import asyncio

import pytest

from bot.web.inbox import Inbox, Receipt

pytestmark = pytest.mark.store


async def keep(inbox: Inbox, delivery_id: bytes) -> Receipt | None:
    return await inbox.keep(b"github", delivery_id, b"push", b"{}", b"body")


async def test_new_deliveries_are_told_and_repeats_are_not(postgres_url: str, clean: None) -> None:
    told: list[int] = []
    inbox = Inbox(postgres_url, told.append)
    inbox.start()
    try:
        both = await asyncio.gather(keep(inbox, b"one"), keep(inbox, b"two"))
        assert all(receipt and receipt.new for receipt in both)
        assert sum(told) == 2
        again = await keep(inbox, b"one")
        assert again is not None
        assert not again.new
        assert sum(told) == 2
    finally:
        await inbox.stop()
