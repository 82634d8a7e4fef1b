"""The replay signs, keeps the order, waits when told to and counts."""

import hashlib
import hmac
import json

import httpx
import pytest

from bot.sample.replay import replay
from bot.sample.story import Story

SECRET = "it is a secret"
SECRETS = {"github": SECRET}


async def test_each_request_is_signed_and_in_order(told: Story) -> None:
    got: list[httpx.Request] = []
    progress: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(202)

    few = told.deliveries[:40]
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        counts = await replay(
            few, "http://here/", SECRETS, concurrency=1, on_progress=progress.append, client=client
        )
    assert counts == {202: 40}
    assert progress == list(range(1, 41))
    assert [r.headers["x-github-delivery"] for r in got] == [d.delivery_id for d in few]
    for request, delivery in zip(got, few, strict=True):
        digest = hmac.new(SECRET.encode(), request.content, hashlib.sha256).hexdigest()
        assert request.headers["x-hub-signature-256"] == f"sha256={digest}"
        assert request.url == "http://here/webhooks/github"
        assert request.headers["x-github-event"] == delivery.event
        assert request.headers["content-type"] == "application/json"
        assert json.loads(request.content) == delivery.payload


async def test_busy_is_tried_again_and_other_answers_are_final(told: Story) -> None:
    answers = iter([503, 202, 401, 202])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(next(answers), headers={"retry-after": "0"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        counts = await replay(
            told.deliveries[:3], "http://here/", SECRETS, concurrency=1, client=client
        )
    assert counts == {202: 2, 401: 1}


async def test_a_route_that_stays_away_is_given_up(told: Story) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, headers={"retry-after": "0"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert await replay(told.deliveries[:1], "http://here/", SECRETS, client=client) == {503: 1}


async def test_nobody_listening_is_an_error(told: Story) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await replay(told.deliveries[:2], "http://127.0.0.1:1/", SECRETS, concurrency=1)
    assert caught.group_contains(httpx.ConnectError)
