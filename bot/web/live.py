"""One stream of server-sent events a page (https://html.spec.whatwg.org/multipage/server-sent-events.html).

The stream carries names of events only; the page's fragments then fetch themselves anew.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.live import CHANNELS, EVENTS, organization_of
from bot.web.auth import current_member

HEARTBEAT_SECONDS = 15
SIGNED_IN_SECONDS = 30
QUIET_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
MISSED = "missed"

log = structlog.get_logger()


@dataclass(eq=False)
class Listener:
    """One open page. Events of one name that wait are one, which bounds what can wait."""

    organization_id: str
    waiting: dict[str, None] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, event: str) -> None:
        """Note an event and wake the stream."""
        self.waiting[event] = None
        self.woken.set()

    def take(self) -> list[str]:
        """Return what waits, oldest first, and forget it."""
        taken = list(self.waiting)
        self.waiting.clear()
        self.woken.clear()
        return taken


class Live:
    """The process's one subscription to Redis, fanned out to its open pages.

    Start `run()` as a task of the process, and cancel it to stop. While Redis is away pages stay
    connected; when it is back they are told that they may have missed something.
    """

    def __init__(self, redis: "Redis") -> None:
        self.redis = redis
        self.listeners: set[Listener] = set()
        self.changed_at: dict[str, float] = {}

    async def run(self) -> None:
        """Hand on every message until cancelled; come back with growing pauses."""
        pause = 0.1
        while True:
            try:
                async with aclosing(self.messages()) as messages:
                    async for name, event in messages:
                        pause = 0.1
                        self.tell(name, event)
            except (RedisError, OSError) as away:
                log.warning("live: Redis is away", error=str(away), retry_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_BACKOFF_SECONDS)

    async def messages(self) -> AsyncGenerator[tuple[str, str]]:
        """Yield (channel, event) as they come; the first of a connection says `missed` to all."""
        async with self.redis.pubsub() as pubsub:
            await pubsub.psubscribe(CHANNELS)
            async for message in pubsub.listen():
                if message["type"] == "psubscribe":
                    yield CHANNELS, MISSED
                elif message["type"] == "pmessage":
                    yield written(message["channel"]), written(message["data"])

    def tell(self, name: str, event: str) -> None:
        """Hand an event to the pages it is for; unknown names are dropped."""
        if event not in (*EVENTS, MISSED):
            return
        organization_id = None if name == CHANNELS else organization_of(name)
        if organization_id is not None:
            self.changed_at[organization_id] = time.time()
        for listener in self.listeners:
            if organization_id in (None, listener.organization_id):
                listener.hear(event)

    @contextmanager
    def listen(self, organization_id: str) -> Iterator[Listener]:
        """Listen for an organisation's events for as long as the context lasts."""
        listener = Listener(organization_id)
        self.listeners.add(listener)
        try:
            yield listener
        finally:
            self.listeners.discard(listener)

    def changed_since(self, organization_id: str, then: float) -> bool:
        """Whether something happened since a page was made (clocks may differ by a second)."""
        return self.changed_at.get(organization_id, 0) > then - 1


def written(value: bytes | str) -> str:
    """Return what Redis said as text, whichever way the client decodes."""
    return value.decode() if isinstance(value, bytes) else value


async def stream(request: Request) -> Response:
    """`GET /live?since=SECONDS`: named events of the member's organisation, until signed out.

    The first message has only an id, so that a page that comes back sends `Last-Event-ID`; it is
    then told `missed`, as is one that was made before the latest event.
    """
    member = await current_member(request)
    if member is None:
        return Response(status_code=401)
    return EventSourceResponse(
        told(request, member.organization_id), ping=HEARTBEAT_SECONDS, sep="\n", send_timeout=20
    )


async def told(request: Request, organization_id: str) -> AsyncGenerator[ServerSentEvent]:
    """Yield events while the viewer stays a member."""
    live: Live = request.app.state.live
    with live.listen(organization_id) as listener:
        yield ServerSentEvent(id="0")
        if came_back(request, live, organization_id):
            listener.hear(MISSED)
        number, checked = 0, time.monotonic()
        while True:
            await woken(listener)
            if time.monotonic() - checked > SIGNED_IN_SECONDS:
                if not await still_member(request, organization_id):
                    return
                checked = time.monotonic()
            for event in listener.take():
                number += 1
                yield ServerSentEvent(event=event, id=str(number), data="")
            await asyncio.sleep(QUIET_SECONDS)


def came_back(request: Request, live: Live, organization_id: str) -> bool:
    """Whether the page may have missed an event before it was connected."""
    if request.headers.get("last-event-id"):
        return True
    try:
        since = float(request.query_params.get("since", ""))
    except ValueError:
        return False
    return live.changed_since(organization_id, since)


async def woken(listener: Listener) -> None:
    """Wait for an event, but never longer than a sign-in goes unchecked."""
    try:
        async with asyncio.timeout(SIGNED_IN_SECONDS):
            await listener.woken.wait()
    except TimeoutError:
        return


async def still_member(request: Request, organization_id: str) -> bool:
    """Ask again whether the viewer is signed in to the organisation."""
    del request.state.person
    member = await current_member(request)
    return member is not None and member.organization_id == organization_id


def routes() -> list[Route]:
    """Return the stream's route."""
    return [Route("/live", stream, name="live")]
