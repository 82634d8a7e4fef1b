"""GPT and Gemini through pydantic-ai, against servers of their APIs' shapes."""

import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from bot.agent.conversation import Reply, Request
from bot.agent.model import ContextFull, ModelError, Patience, ask_of
from bot.agent.prices import price
from bot.settings import Settings
from models.errors import Refused
from tests.fakes.anthropic import Fake, calls, says
from tests.fakes.gemini import fake_gemini
from tests.fakes.openai import fake_openai

GPT, GEMINI = "gpt-5.5", "gemini-3.5-flash"
TOOLS = (
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {
        "name": "submit",
        "description": "Done.",
        "input_schema": {"type": "object", "properties": {"title": {"type": "string"}}},
    },
)
QUICK = Patience(first_seconds=0.001, longest_seconds=0.002, asked_seconds=0.05, silent_seconds=0.8)
MAKERS = [
    pytest.param(fake_openai, GPT, id="openai"),
    pytest.param(fake_gemini, GEMINI, id="gemini"),
]
Open = Callable[..., object]


def settings(fake: Fake, **more) -> Settings:
    urls = {"openai_base_url": fake.url, "gemini_base_url": fake.url}
    return Settings(openai_api_key="sk-key", gemini_api_key="g-key", **urls, **more)


def request(model: str, *messages) -> Request:
    said = messages or ({"role": "user", "content": [{"type": "text", "text": "Fix issue 7"}]},)
    return Request(
        model=model, system="You develop.", messages=list(said), tools=TOOLS, max_tokens=1000
    )


async def asked(fake: Fake, model: str, *, patience=QUICK, **more) -> Reply:
    async with ask_of(settings(fake, **more), model, patience=patience) as ask:
        return await ask(request(model))


@pytest.mark.parametrize(("serve", "model"), MAKERS)
async def test_a_tool_is_called_and_its_result_sent_back(serve: Open, model: str):
    first = calls("bash", command="ls")
    first["content"].insert(0, {"type": "thinking", "thinking": "I look first."})
    second = calls("submit", title="Fix")
    with serve([first, second, says("Done.")]) as fake:
        async with ask_of(settings(fake), model, patience=QUICK) as ask:
            messages = list(request(model).messages)
            for _ in range(2):
                reply = await ask(request(model, *messages))
                assert reply.stop_reason == "tool_use"
                said = {"role": "assistant", "content": reply.content}
                result = {
                    "type": "tool_result",
                    "tool_use_id": reply.calls[0]["id"],
                    "content": [{"type": "text", "text": "a.py"}],
                    "is_error": False,
                }
                answer = {"role": "user", "content": [result, {"type": "text", "text": "Go on."}]}
                messages += json.loads(json.dumps([said, answer]))
            done = await ask(request(model, *messages))
    assert fake.errors == []
    assert reply.calls[0]["name"] == "submit"
    assert reply.calls[0]["input"] == {"title": "Fix"}
    assert (done.text, done.stop_reason) == ("Done.", "end_turn")
    assert "a.py" in json.dumps(fake.bodies[2])
    assert "You develop." in json.dumps(fake.bodies[0])


@pytest.mark.parametrize(("serve", "model"), MAKERS)
async def test_cached_tokens_are_priced_as_such(serve: Open, model: str):
    used = {"input_tokens": 1000, "cached": 800, "output_tokens": 50}
    with serve([says("Hello.", usage=used)]) as fake:
        reply = await asked(fake, model)
    assert reply.usage.input_tokens == 200
    assert reply.usage.cache_read_tokens == 800
    assert reply.usage.output_tokens == 50
    assert reply.cost_usd == price(model, reply.usage) > Decimal(0)


@pytest.mark.parametrize(("serve", "model"), MAKERS)
async def test_a_busy_api_is_asked_again(serve: Open, model: str):
    busy = {"error": 429, "message": "Slow down."}
    with serve([busy, {"error": 500}, {"error": 503}, says("Hello.")]) as fake:
        reply = await asked(fake, model)
    assert reply.text == "Hello."
    assert len(fake.requests) == 4


@pytest.mark.parametrize(("serve", "model"), MAKERS)
@pytest.mark.parametrize("broken", ["drop", "cut", "silent"])
async def test_a_broken_stream_is_asked_again_and_paid(serve: Open, model: str, broken: str):
    words = {"content": [{"type": "text", "text": "Half an answer. " * 20}] * 4}
    with serve([{**words, broken: True}, says("Hello.")]) as fake:
        reply = await asked(fake, model)
    assert reply.text == "Hello."
    assert reply.usage.input_tokens > 100
    assert reply.usage.output_tokens > 20


@pytest.mark.parametrize(("serve", "model"), MAKERS)
async def test_a_silent_api_is_given_up(serve: Open, model: str):
    patience = Patience(tries=2, first_seconds=0.001, silent_seconds=0.2)
    with serve([{"silent": 0}, {"silent": 0}]) as fake, pytest.raises(ModelError) as caught:
        await asked(fake, model, patience=patience)
    assert caught.value.kind == "unreachable"
    assert "(tried 2 times)" in str(caught.value)


@pytest.mark.parametrize(("serve", "model"), MAKERS)
async def test_nobody_listening_is_said(serve: Open, model: str):
    with serve([]) as fake:
        address = fake.url
    gone = Fake([], url=address)
    with pytest.raises(ModelError) as caught:
        await asked(gone, model, patience=Patience(tries=1))
    assert caught.value.kind == "unreachable"


FINAL = [
    (fake_openai, GPT, {"error": 401, "message": "Incorrect API key"}, "key"),
    (fake_openai, GPT, {"error": 403, "message": "Not for you"}, "permission"),
    (fake_openai, GPT, {"error": 404, "code": "model_not_found", "message": "None"}, "model"),
    (fake_openai, GPT, {"error": 400, "message": "Odd"}, "request"),
    (
        fake_openai,
        GPT,
        {"error": 429, "type": "insufficient_quota", "code": "insufficient_quota"},
        "billing",
    ),
    (fake_gemini, GEMINI, {"error": 400, "message": "API key not valid. Pass one."}, "key"),
    (fake_gemini, GEMINI, {"error": 403, "message": "Not for you"}, "permission"),
    (fake_gemini, GEMINI, {"error": 404, "message": "models/x is not found"}, "model"),
    (fake_gemini, GEMINI, {"error": 400, "message": "Odd"}, "request"),
    (
        fake_gemini,
        GEMINI,
        {
            "error": 429,
            "message": "You exceeded your current quota",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
                }
            ],
        },
        "spend",
    ),
]


@pytest.mark.parametrize(("serve", "model", "turn", "kind"), FINAL)
async def test_what_waiting_does_not_mend_fails_at_once(serve: Open, model, turn, kind):
    with serve([turn]) as fake, pytest.raises(ModelError) as caught:
        await asked(fake, model)
    assert caught.value.kind == kind
    assert len(fake.requests) == 1


LONG = [
    (fake_openai, GPT, {"error": 400, "code": "context_length_exceeded", "message": "Too long"}),
    (
        fake_gemini,
        GEMINI,
        {"error": 400, "message": "The input token count exceeds the maximum number of tokens"},
    ),
]


@pytest.mark.parametrize(("serve", "model", "turn"), LONG)
async def test_a_full_context_is_said(serve: Open, model, turn):
    with serve([turn]) as fake, pytest.raises(ContextFull):
        await asked(fake, model)


@pytest.mark.parametrize(("serve", "model"), MAKERS)
async def test_an_answer_stopped_by_its_limit_says_so(serve: Open, model: str):
    with serve([says("Half", stop_reason="max_tokens")]) as fake:
        reply = await asked(fake, model)
    assert (reply.stop_reason, reply.text) == ("max_tokens", "Half")


@pytest.mark.parametrize(("serve", "model"), MAKERS)
async def test_a_filtered_answer_is_a_refusal(serve: Open, model: str):
    with serve([says("No.", stop_reason="refusal")]) as fake:
        reply = await asked(fake, model)
    assert reply.stop_reason == "refusal"
    assert reply.content == []
    assert reply.refusal


async def test_an_error_in_mid_stream_is_asked_again():
    turns = [says("Half", midstream="server_error"), says("Hello.")]
    with fake_openai(turns) as fake:
        reply = await asked(fake, GPT)
    assert reply.text == "Hello."


async def test_a_call_cut_off_by_the_limit_is_left_out():
    cut = {"type": "tool_use", "name": "bash", "input": {}, "partial_json": '{"command": "rm -'}
    turn = {"content": [{"type": "text", "text": "I"}, cut], "stop_reason": "max_tokens"}
    with fake_openai([turn]) as fake:
        reply = await asked(fake, GPT)
    assert reply.stop_reason == "max_tokens"
    assert reply.calls == []


async def test_a_missing_key_is_said():
    with pytest.raises(ModelError, match="Set OPENAI_API_KEY"):
        async with ask_of(Settings(), GPT):
            pass


async def test_a_missing_extra_is_said(monkeypatch):
    monkeypatch.setattr("bot.agent.others.installed", lambda name: False)
    with pytest.raises(Refused, match=r"pip install 'veelocity\[models\]'"):
        async with ask_of(Settings(openai_api_key="k"), GPT):
            pass


async def test_a_conversation_does_not_change_its_maker():
    with fake_openai([]) as fake:
        async with ask_of(settings(fake), GPT, patience=QUICK) as ask:
            with pytest.raises(ModelError, match="does not change its maker"):
                await ask(request("claude-sonnet-5-5"))
    assert fake.requests == []
