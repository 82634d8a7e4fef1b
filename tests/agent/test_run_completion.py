"""How an organisation's own service is told of a run's end: signed, until it hears."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bot.jobs import completion, work
from bot.queue import AGENT
from models.queue import JOB_TRIES
from tests.agent.runs import GOOD, ORGANIZATION, Desk, Opened
from tests.agent.runs import desk as desk
from tests.fakes.serving import serving

SECRET = "a secret that both sides know"
NOW = text("update jobs set next_try_at = now() - interval '1 second' where status = 'waiting'")
WISH = text("""
    insert into agent_settings (organization_id, completion_url, completion_secret)
    values (:organization, :url, :secret)
""")


@dataclass
class Receiver:
    """A service of the organisation's own: what it heard, and what it answers (200 at the end)."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A service that listens on the loopback interface."""
    made = Receiver()

    async def hear(request: Request) -> Response:
        made.heard.append((dict(request.headers), await request.body()))
        status = made.answers.pop(0) if made.answers else 200
        return Response(status_code=status, headers={"location": f"{made.url}/elsewhere"})

    app = Starlette(routes=[Route("/{path:path}", hear, methods=["POST", "GET"])])
    with serving(app) as made.url:
        yield made


async def told(here: Desk, receiver: Receiver) -> None:
    """Have a run end whose organisation wants to know."""
    async with here.engine.begin() as db:
        sealed = here.surroundings.vault.seal(SECRET)
        wish = {"organization": ORGANIZATION, "url": f"{receiver.url}/ended", "secret": sealed}
        await db.execute(WISH, wish)
    await here.ticket()
    await here.develop()


async def once(here: Desk) -> dict[str, object]:
    """Work on the job once; return it."""
    async with here.engine.begin() as db:
        await db.execute(NOW)
    await work(here.surroundings, AGENT, 4)
    (row,) = await here.ask("select * from jobs where name = 'tell_completion'")
    return row


async def test_the_end_of_a_run_is_told_and_signed(desk: Opened, receiver: Receiver):
    here, _ = await desk(GOOD)
    await told(here, receiver)
    assert (await once(here))["status"] == "done"
    ((headers, body),) = receiver.heard
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-veelocity-signature-256"] == f"sha256={expected}"
    said = json.loads(body)
    assert said["event"] == "run.ended"
    assert said["run"]["state"] == "done"
    assert said["run"]["pull_request_number"] == here.pulls()[0].number
    assert said["ticket"]["title"] == "Add subtracts"
    assert SECRET not in body.decode()


async def test_it_is_told_again_until_it_is_heard(desk: Opened, receiver: Receiver):
    here, _ = await desk(GOOD)
    receiver.answers = [500, 302]
    await told(here, receiver)
    for answer in (500, 302):
        row = await once(here)
        assert row["status"] == "waiting"
        assert f"answered {answer}" in str(row["error"])
    assert (await once(here))["status"] == "done"
    bodies = {body for _, body in receiver.heard}
    assert (len(receiver.heard), len(bodies)) == (3, 1)


async def test_a_service_that_never_hears_is_given_up(desk: Opened, receiver: Receiver):
    here, _ = await desk(GOOD)
    receiver.answers = [500] * 100
    await told(here, receiver)
    states = [(await once(here))["status"] for _ in range(JOB_TRIES)]
    assert states == ["waiting"] * (JOB_TRIES - 1) + ["parked"]
    await once(here)
    assert len(receiver.heard) == JOB_TRIES


async def test_an_answer_without_end_is_not_read():
    async def pour() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 16)

    async def hear(request: Request) -> Response:
        return StreamingResponse(pour())

    with serving(Starlette(routes=[Route("/", hear, methods=["POST"])])) as url:
        async with asyncio.timeout(5):
            await completion.send(url, b"{}", SECRET, loopback=True)


async def test_the_secret_is_sealed_in_the_store(desk: Opened, receiver: Receiver):
    here, _ = await desk(GOOD)
    await told(here, receiver)
    await once(here)
    (row,) = await here.ask("select completion_secret as sealed from agent_settings")
    assert SECRET not in row["sealed"]
    (job,) = await here.ask("select to_jsonb(j)::text as job from jobs j")
    assert SECRET not in job["job"]
    assert row["sealed"] not in job["job"]
