"""Pages hear of what happened to their organisation, through Redis, whatever Redis does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis
from starlette.requests import Request

from bot.live import channel, publish
from bot.web.live import MISSED, Listener, Live, told

PATIENCE_SECONDS = 10


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    """A connection of our own."""
    async with Redis.from_url(redis_url) as opened:
        yield opened


@pytest.fixture
async def live(redis: "Redis") -> AsyncIterator[Live]:
    """A running fan-out."""
    made = Live(redis)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def heard(listener: Listener, event: str) -> None:
    """Wait until a page hears of an event."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while event not in listener.take():
            await listener.woken.wait()


async def test_a_page_hears_of_its_organisation_only(live: Live, redis: "Redis") -> None:
    with live.listen("github:1") as ours, live.listen("github:2") as theirs:
        await heard(ours, MISSED)
        theirs.take()
        await publish(redis, "github:1", "deployment", "delivery")
        await heard(ours, "delivery")
        assert theirs.take() == []
    assert live.listeners == set()


async def test_unknown_events_are_dropped(live: Live, redis: "Redis") -> None:
    with live.listen("github:1") as page:
        await heard(page, MISSED)
        await redis.publish(channel("github:1"), "nonsense\nevent: x")
        await publish(redis, "github:1", "delivery")
        await heard(page, "delivery")


def test_what_waits_is_bounded() -> None:
    page = Listener("github:1")
    for _ in range(1000):
        page.hear("deployment")
    page.hear("delivery")
    assert page.take() == ["deployment", "delivery"]


def test_a_page_made_before_the_latest_event_missed_it() -> None:
    live = Live(Redis())
    live.tell(channel("github:1"), "deployment")
    then = live.changed_at["github:1"]
    assert live.changed_since("github:1", then - 60)
    assert not live.changed_since("github:1", then + 60)
    assert not live.changed_since("github:2", then - 60)


async def test_pages_are_told_when_redis_is_back(live: Live, redis: "Redis") -> None:
    with live.listen("github:1") as page:
        await heard(page, MISSED)
        await redis.client_kill_filter(_type="pubsub")
        await heard(page, MISSED)
        await publish(redis, "github:1", "deployment")
        await heard(page, "deployment")


def asking(live: Live, **headers: str) -> Request:
    """A page's request for its stream."""
    app = SimpleNamespace(state=SimpleNamespace(live=live))
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "app": app, "headers": sent, "query_string": b"", "state": {}}
    request = Request(scope)
    request.state.person = None
    return request


async def test_a_stream_ends_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(_: Request) -> None:
        return None

    monkeypatch.setattr("bot.web.live.current_member", nobody)
    monkeypatch.setattr("bot.web.live.SIGNED_IN_SECONDS", 0)
    live = Live(Redis())
    async with asyncio.timeout(PATIENCE_SECONDS):
        said = [event.encode() async for event in told(asking(live), "github:1")]
    assert said == [b"id: 0\r\n\r\n"]
    assert live.listeners == set()


async def test_a_page_that_comes_back_is_told_that_it_missed_something() -> None:
    stream = told(asking(Live(Redis()), last_event_id="0"), "github:1")
    first, second = await anext(stream), await anext(stream)
    await stream.aclose()
    assert (first.id, first.event) == ("0", None)
    assert second.event == MISSED
