"""Claude through the real SDK, against a scripted server."""

import pytest

from bot.agent.conversation import Reply, Request
from bot.agent.model import ContextFull, ModelError, Patience, ask_of
from bot.settings import Settings
from tests.fakes.anthropic import Fake, calls, fake_anthropic, says

SONNET = "claude-sonnet-5-5"
TOOLS = (
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"name": "submit", "description": "Done.", "input_schema": {"type": "object"}},
)
QUICK = Patience(first_seconds=0.001, longest_seconds=0.002, asked_seconds=0.05, silent_seconds=0.3)


def settings(fake: Fake, **more) -> Settings:
    return Settings(anthropic_base_url=fake.url, anthropic_api_key="key", **more)


def request(*messages, text="Fix issue 7", **more) -> Request:
    said = messages or ({"role": "user", "content": [{"type": "text", "text": text}]},)
    asked = {"model": SONNET, "system": "You develop.", "tools": TOOLS, "max_tokens": 1000}
    return Request(messages=list(said), **(asked | more))


async def asked(fake: Fake, *requests, patience=QUICK, on_wait=None, **more) -> Reply:
    async with ask_of(settings(fake, **more), SONNET, patience=patience, on_wait=on_wait) as ask:
        for each in requests or (request(),):
            reply = await ask(each)
    return reply


async def test_an_answer_comes_with_its_usage_and_price():
    with fake_anthropic([says("Hello.", usage={"input_tokens": 10, "output_tokens": 5})]) as fake:
        reply = await asked(fake)
    assert (reply.text, reply.stop_reason, reply.model) == ("Hello.", "end_turn", SONNET)
    assert reply.request_id == "req_1"
    assert fake.errors == []
    assert fake.bodies[0]["cache_control"] == {"type": "ephemeral"}
    assert "temperature" not in fake.bodies[0]


async def test_a_conversation_is_sent_again_as_it_was():
    thought = {"type": "thinking", "thinking": "I look first."}
    hidden = {"type": "redacted_thinking", "data": "c2VjcmV0"}
    first = calls("bash", say="I look.", command="ls")
    first["content"] = [thought, hidden, *first["content"]]
    with fake_anthropic([first, says("Done.")]) as fake:
        async with ask_of(settings(fake), SONNET, patience=QUICK) as ask:
            begun = request()
            reply = await ask(begun)
            said = {"role": "assistant", "content": reply.content, "stop_reason": "tool_use"}
            result = {"type": "tool_result", "tool_use_id": reply.calls[0]["id"], "content": "a"}
            done = await ask(request(*begun.messages, said, {"role": "user", "content": [result]}))
    assert fake.errors == []
    assert done.text == "Done."
    assert done.usage.cache_read_tokens > 0
    assert [block["type"] for block in reply.content] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
    ]


async def test_an_overloaded_api_is_asked_again():
    waits = []

    async def on_wait(said, seconds):
        waits.append(said)

    with fake_anthropic([{"error": 529}, {"error": 529}, says("Hello.")]) as fake:
        reply = await asked(fake, on_wait=on_wait)
    assert reply.text == "Hello."
    assert waits == ["Anthropic could not answer: scripted (529)"] * 2


async def test_a_full_context_is_said():
    long = {"error": 400, "message": "prompt is too long: 1000001 tokens > 1000000 maximum"}
    with fake_anthropic([long]) as fake, pytest.raises(ContextFull) as caught:
        await asked(fake)
    assert isinstance(caught.value, ModelError)
    assert caught.value.kind == "context"
