"""What goes wrong when Claude is asked, and what is made of it."""

import asyncio
import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agent.conversation import Usage
from bot.agent.model import ContextFull, ModelError, Patience, ask_of
from bot.agent.prices import price
from bot.settings import Settings
from models.errors import Refused
from tests.agent.test_model import QUICK, SONNET, asked, request, settings
from tests.fakes.anthropic import Fake, fake_anthropic, says

HALF = {"content": [{"type": "text", "text": "Half an answer. " * 20}] * 3}
USED = {"input_tokens": 1000, "output_tokens": 7, "cache_creation_input_tokens": 200}

PASSING = [408, 409, 429, 500, 502, 503, 504, 529]


@pytest.mark.parametrize("status", PASSING)
async def test_a_passing_error_is_asked_again(status: int):
    with fake_anthropic([{"error": status}, says("Hello.")]) as fake:
        reply = await asked(fake)
    assert reply.text == "Hello."


async def test_retry_after_is_waited_for():
    waits = []

    async def on_wait(said, seconds):
        waits.append(seconds)

    busy = {"error": 429, "retry_after": 0.03}
    with fake_anthropic([busy, says("Hello.")]) as fake:
        await asked(fake, on_wait=on_wait)
    assert 0.03 <= waits[0] <= 0.031


async def test_an_hour_asked_for_is_not_waited():
    with fake_anthropic([{"error": 429, "retry_after": 3600}, says("Hello.")]) as fake:
        reply = await asked(fake)
    assert reply.text == "Hello."


async def test_tries_end():
    with fake_anthropic(lambda body: {"error": 529}) as fake, pytest.raises(ModelError) as caught:
        await asked(fake)
    assert len(fake.requests) == 8
    assert caught.value.kind == "overloaded"
    assert str(caught.value) == "Anthropic could not answer: scripted (529) (tried 8 times)"


@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "rate_limit_error", "new_error"])
async def test_an_error_in_mid_stream_is_asked_again(kind: str):
    with fake_anthropic([{**HALF, "midstream": kind}, says("Hello.")]) as fake:
        reply = await asked(fake)
    assert reply.text == "Hello."


async def test_a_refusal_in_mid_stream_is_final():
    turn = {**HALF, "midstream": "invalid_request_error", "message": "Odd."}
    with fake_anthropic([turn]) as fake, pytest.raises(ModelError) as caught:
        await asked(fake)
    assert (caught.value.kind, len(fake.requests)) == ("request", 1)


BROKEN = [{"drop": 1}, {"drop": True}, {"cut": 0}, {"cut": True}, {"silent": 0}, {"silent": True}]


@pytest.mark.parametrize("how", BROKEN, ids=str)
async def test_a_broken_stream_is_asked_again(how):
    with fake_anthropic([{**HALF, **how}, says("Hello.")]) as fake:
        reply = await asked(fake)
    assert reply.text == "Hello."
    assert len(fake.requests) == 2


async def test_what_was_lost_is_paid():
    turns = [{**HALF, "drop": True, "usage": USED}, says("Hello.", usage=USED)]
    with fake_anthropic(turns) as fake:
        reply = await asked(fake)
    assert reply.usage.input_tokens == 2000
    assert reply.usage.cache_write_tokens == 400
    assert reply.usage.output_tokens > 7 + 100
    assert reply.cost_usd >= price(SONNET, reply.usage)


async def test_an_error_says_what_it_cost():
    turns = [{**HALF, "drop": True, "usage": USED}] * 2
    with fake_anthropic(turns) as fake, pytest.raises(ModelError) as caught:
        await asked(fake, patience=Patience(tries=2, first_seconds=0.001))
    assert caught.value.usage.input_tokens == 2000
    assert caught.value.cost_usd > price(SONNET, Usage(input_tokens=2000))


async def test_an_api_that_never_answers_is_given_up():
    patience = Patience(tries=2, first_seconds=0.001, silent_seconds=0.1)
    with fake_anthropic(lambda body: {"silent": 0}) as fake, pytest.raises(ModelError) as caught:
        await asked(fake, patience=patience)
    assert caught.value.kind == "unreachable"
    assert caught.value.cost_usd == Decimal(0)


async def test_a_ping_is_a_sign_of_life():
    slow = {**says("Hello."), "pings": 10, "ping_seconds": 0.1}
    patience = Patience(silent_seconds=0.7)
    with fake_anthropic([slow]) as fake:
        reply = await asked(fake, patience=patience)
    assert (reply.text, len(fake.requests)) == ("Hello.", 1)


async def test_pings_alone_are_no_answer():
    stuck = {**says("Hello."), "pings": 100, "ping_seconds": 0.05}
    with fake_anthropic([stuck, says("Hello.")]) as fake:
        reply = await asked(fake, claude_timeout=1.0)
    assert (reply.text, len(fake.requests)) == ("Hello.", 2)


async def test_an_answer_that_takes_too_long_is_not_asked_for_again():
    with fake_anthropic([{**HALF, "silent": True}]) as fake, pytest.raises(ModelError) as caught:
        await asked(fake, patience=Patience(), claude_timeout=1.0)
    assert "CLAUDE_TIMEOUT" in str(caught.value)
    assert len(fake.requests) == 1
    assert caught.value.cost_usd > 0


async def test_arguments_that_are_no_json_are_asked_for_again():
    odd = {"type": "tool_use", "name": "bash", "input": {}, "partial_json": '{"command": ]'}
    with fake_anthropic([{"content": [odd]}, says("Hello.")]) as fake:
        reply = await asked(fake)
    assert reply.text == "Hello."


SPENT = "enforced_spend_limit_reached"
FINAL = [
    ({"error": 400, "message": "Odd."}, "request", "Anthropic refused the request: Odd."),
    ({"error": 401}, "key", "Anthropic does not accept the key. Check ANTHROPIC_API_KEY."),
    ({"error": 402}, "billing", "cannot bill"),
    ({"error": 403, "message": "No."}, "permission", "may not use claude-sonnet-5-5"),
    ({"error": 404}, "model", "has no model claude-sonnet-5-5"),
    ({"error": 429, "details": {"error_code": SPENT}}, "spend", "The spend limit"),
    (
        {"error": 429, "details": {"error_code": SPENT}, "headers": {"x-should-retry": "true"}},
        "spend",
        "The spend limit",
    ),
    ({"error": 400, "message": "Your credit balance is too low."}, "billing", "no credit"),
    ({"error": 413}, "context", "longer than claude-sonnet-5-5 can read"),
    ({"error": 501}, "overloaded", "could not answer"),
    ({"error": 503, "headers": {"x-should-retry": "false"}}, "overloaded", "could not answer"),
]


@pytest.mark.parametrize(("turn", "kind", "words"), FINAL)
async def test_what_waiting_does_not_mend_fails_at_once(turn, kind: str, words: str):
    with fake_anthropic([turn]) as fake, pytest.raises(ModelError) as caught:
        await asked(fake)
    assert caught.value.kind == kind
    assert words in str(caught.value)
    assert len(fake.requests) == 1


TOO_LONG = [
    "prompt is too long: 1000001 tokens > 1000000 maximum",
    "input length and `max_tokens` exceed context limit: 990000 + 16000 > 1000000",
]


@pytest.mark.parametrize("message", TOO_LONG)
async def test_a_full_context_is_said(message: str):
    turn = {"error": 400, "message": message}
    with fake_anthropic([turn]) as fake, pytest.raises(ContextFull) as caught:
        await asked(fake)
    assert caught.value.kind == "context"


async def test_a_ramp_limit_is_waited_for():
    ramp = {"error": 429, "retry_after": 0.01, "details": {"error_code": "ramp_limit_exceeded"}}
    with fake_anthropic([ramp, says("Hello.")]) as fake:
        reply = await asked(fake)
    assert reply.text == "Hello."


async def test_nobody_listening_is_said():
    with fake_anthropic([]) as fake:
        address = fake.url
    with pytest.raises(ModelError, match="Anthropic cannot be reached") as caught:
        await asked(Fake([], url=address), patience=Patience(tries=1))
    assert caught.value.kind == "unreachable"


async def test_a_missing_key_is_said(monkeypatch, tmp_path):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelError, match="Set ANTHROPIC_API_KEY") as caught:
        async with ask_of(Settings(), SONNET):
            pass
    assert caught.value.kind == "key"


@pytest.mark.parametrize(
    ("model", "words"), [("claude-nonsense-9", "no price"), ("llama", "llama")]
)
async def test_a_model_that_cannot_be_budgeted_is_refused(model: str, words: str):
    with fake_anthropic([]) as fake, pytest.raises(Refused, match=words):
        async with ask_of(settings(fake), model):
            pass


async def test_a_missing_extra_is_said(monkeypatch):
    monkeypatch.setattr("bot.agent.claude.installed", lambda name: False)
    with pytest.raises(Refused, match=r"pip install 'veelocity\[bedrock\]'"):
        async with ask_of(Settings(claude_provider="bedrock"), SONNET):
            pass


async def test_a_call_that_is_stopped_leaves_nothing_behind():
    with fake_anthropic([{"silent": 0}]) as fake:
        task = asyncio.create_task(asked(fake, patience=Patience()))
        while not fake.requests:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert task.cancelled()
    assert len(fake.requests) == 1


@given(st.integers(1, 30), st.none() | st.floats(0, 1e6))
def test_no_wait_is_longer_than_patience_allows(tried: int, asked_for: float | None):
    patience = Patience()
    wait = patience.wait(tried, asked_for)
    if asked_for is None:
        assert 0 <= wait <= min(60, 2 ** (tried - 1))
    else:
        assert min(asked_for, 120) <= wait <= 120


async def test_a_passing_error_before_a_final_one_is_paid_too():
    turns = [{**HALF, "drop": True, "usage": USED}, {"error": 401}]
    with fake_anthropic(turns) as fake, pytest.raises(ModelError) as caught:
        await asked(fake, request(), patience=QUICK)
    assert caught.value.kind == "key"
    assert caught.value.usage.input_tokens == 1000
