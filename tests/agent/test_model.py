"""Claude through the real SDK, against a scripted server."""

from datetime import UTC, date, datetime

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from bot.agent.conversation import Reply, Request
from bot.agent.model import (
    ModelError,
    Offered,
    Patience,
    ask_of,
    models_offered,
    provider_of,
    retirement,
)
from bot.agent.prices import price
from bot.settings import Settings
from models.errors import Refused
from tests.fakes.anthropic import Fake, calls, fake_anthropic, says
from tests.fakes.serving import serving

SONNET = "claude-sonnet-5-5"
TOOLS = (
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"name": "submit", "description": "Done.", "input_schema": {"type": "object"}},
)
QUICK = Patience(first_seconds=0.001, longest_seconds=0.002, asked_seconds=0.05, silent_seconds=0.8)


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


async def test_a_refusal_comes_with_its_words():
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    turn = {"content": [], "stop_reason": "refusal", "stop_details": details}
    with fake_anthropic([turn]) as fake:
        reply = await asked(fake)
    assert (reply.stop_reason, reply.refusal, reply.content) == ("refusal", "Not this.", [])


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "end_turn"])
async def test_why_an_answer_ended_is_told(reason: str):
    with fake_anthropic([says("Half", stop_reason=reason)]) as fake:
        reply = await asked(fake)
    assert (reply.stop_reason, reply.text) == (reason, "Half")


async def test_a_call_cut_off_by_the_limit_is_whole_enough_to_be_seen():
    cut = {"type": "tool_use", "name": "bash", "input": {}, "partial_json": '{"command": "rm -'}
    turn = {"content": [cut], "stop_reason": "max_tokens"}
    with fake_anthropic([turn]) as fake:
        reply = await asked(fake)
    assert reply.stop_reason == "max_tokens"
    assert [call["name"] for call in reply.calls] == ["bash"]


async def test_a_paused_turn_is_sent_again_as_it_is():
    paused = says("I wait.", stop_reason="pause_turn")
    with fake_anthropic([paused, says("Done.")]) as fake:
        async with ask_of(settings(fake), SONNET, patience=QUICK) as ask:
            reply = await ask(request())
            said = {"role": "assistant", "content": reply.content}
            done = await ask(request(*request().messages, said))
    assert (reply.stop_reason, done.text) == ("pause_turn", "Done.")
    assert fake.errors == []


async def test_what_there_is_none_of_is_not_sent():
    with fake_anthropic([says("Hello.")]) as fake:
        await asked(fake, request(tools=(), system=""))
    assert not {"tools", "system"} & set(fake.bodies[0])


async def test_an_empty_text_is_not_kept():
    texts = [{"type": "text", "text": " "}, {"type": "text", "text": "Hello."}]
    with fake_anthropic([{"content": texts}]) as fake:
        reply = await asked(fake)
    assert reply.content == [{"type": "text", "text": "Hello."}]


async def test_a_field_that_only_answers_have_is_not_kept():
    new = {"type": "text", "text": "Hello.", "said_at": "12:00"}
    with fake_anthropic([{"content": [new]}]) as fake:
        reply = await asked(fake)
    assert reply.content == [{"type": "text", "text": "Hello."}]


async def test_the_cache_makes_a_second_turn_cheaper():
    long = "word " * 4000
    with fake_anthropic([says("One."), says("Two.")]) as fake:
        async with ask_of(settings(fake), SONNET, patience=QUICK) as ask:
            first = await ask(request(text=long))
            said = {"role": "assistant", "content": first.content}
            more = {"role": "user", "content": [{"type": "text", "text": "Go on."}]}
            second = await ask(request(*request(text=long).messages, said, more))
    assert second.usage.cache_read_tokens > 4000
    assert second.cost_usd < first.cost_usd / 5
    assert first.cost_usd == price(SONNET, first.usage)


async def test_a_run_does_not_change_its_maker():
    with fake_anthropic([]) as fake:
        async with ask_of(settings(fake), SONNET, patience=QUICK) as ask:
            with pytest.raises(ModelError, match="does not change its maker"):
                await ask(request(model="gpt-5.5"))
    assert fake.requests == []


async def test_vertex_is_asked_through_the_sdks_own_settings(monkeypatch):
    """Vertex sets no breakpoint of the cache by itself, and has the model in its path."""
    monkeypatch.setenv("CLOUD_ML_REGION", "global")
    monkeypatch.setenv("ANTHROPIC_VERTEX_PROJECT_ID", "acme")
    heard = []

    async def token(self):
        return "token"

    async def refuse(request):
        heard.append((request.url.path, await request.json()))
        return JSONResponse({"error": {"type": "not_found_error", "message": "no"}}, 404)

    app = Starlette(routes=[Route("/{path:path}", refuse, methods=["POST"])])
    monkeypatch.setattr("anthropic.AsyncAnthropicVertex._ensure_access_token", token)
    with serving(app) as url:
        monkeypatch.setenv("ANTHROPIC_VERTEX_BASE_URL", url)
        async with ask_of(Settings(claude_provider="vertex"), SONNET, patience=QUICK) as ask:
            with pytest.raises(ModelError, match="Google Vertex AI has no model"):
                await ask(request())
    path, body = heard[0]
    assert (
        path
        == f"/projects/acme/locations/global/publishers/anthropic/models/{SONNET}:streamRawPredict"
    )
    assert "cache_control" not in body
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][0]["content"][-1]["cache_control"] == {"type": "ephemeral"}


async def test_a_vertex_that_is_not_set_up_is_said(monkeypatch):
    monkeypatch.delenv("CLOUD_ML_REGION", raising=False)
    with pytest.raises(Refused, match="CLAUDE_PROVIDER=vertex is not set up"):
        async with ask_of(Settings(claude_provider="vertex"), SONNET):
            pass


async def test_the_models_offered_are_listed():
    with fake_anthropic([]) as fake:
        offers = await models_offered(settings(fake))
    assert [each.id for each in offers][:2] == ["claude-opus-5-5", "claude-sonnet-5-5"]
    assert retirement("claude-sonnet-4-5-20250929", offers) == date(2026, 11, 30)
    assert retirement(SONNET, offers) is None
    ending = Offered("claude-sonnet-5-5-20260901", "", retires_at=datetime(2027, 1, 2, tzinfo=UTC))
    assert retirement(SONNET, [ending]) == date(2027, 1, 2)
    assert retirement("claude-sonnet-5", [ending]) is None


async def test_models_that_cannot_be_listed_are_said():
    with fake_anthropic([]) as fake:
        address = fake.url
    with pytest.raises(ModelError, match="cannot be reached"):
        await models_offered(settings(Fake([], url=address)), patience=Patience(tries=1))


def test_the_end_of_a_model_is_known_without_asking():
    assert retirement("claude-sonnet-4-5") == date(2026, 11, 30)
    assert retirement("claude-sonnet-5-5") is None
    assert retirement("gpt-5.5") is None


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("claude-opus-5-5", "anthropic"),
        ("global.anthropic.claude-sonnet-5-5", "anthropic"),
        ("gpt-5.5", "openai"),
        ("o3", "openai"),
        ("gemini-3.5-flash", "google"),
    ],
)
def test_a_models_name_says_who_makes_it(model: str, provider: str):
    assert provider_of(model) == provider


@pytest.mark.parametrize("model", ["", "llama-4", "my gpt-5", "x; rm -rf /"])
def test_other_names_are_refused(model: str):
    with pytest.raises(Refused, match="is no model Veelocity can ask"):
        provider_of(model)
