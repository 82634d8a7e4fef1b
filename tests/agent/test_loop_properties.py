"""Whatever a model says: what is sent and what is stored is valid by the API's rules."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.agent.budget import OverBudget
from bot.agent.conversation import ToolResult
from bot.agent.loop import ENDINGS
from bot.agent.trouble import ContextFull
from bot.agent.turns import INTERRUPTED, answers, calls, joined
from models.budgets import Limit
from tests.agent.talks import DONE, PLENTY, Stage, reply, use
from tests.fakes.anthropic_rules import check_messages, signed

REASONS = (
    "tool_use",
    "end_turn",
    "max_tokens",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "something new",
)
WORDS = st.sampled_from(["", " \n", "So.", "\0", "\ud800", "long " * 2000])
TEXTS = WORDS.map(lambda words: {"type": "text", "text": words})
THOUGHTS = st.just({"type": "thinking", "thinking": "Hm.", "signature": signed("Hm.")})
TOOLS = st.sampled_from(
    [
        ("bash", {"command": "ls"}),
        ("bash", {"command": "pwd"}),
        ("bash", {}),
        ("submit", DONE),
        ("submit", {}),
        ("ask_people", {"question": "Which?"}),
        ("report_progress", {"items": [{"text": "Read", "done": True}]}),
        ("no_such_tool", {"x": [1, None, {"y": "\0"}]}),
    ]
)
USES = TOOLS.map(lambda tool: use(tool[0], **tool[1]))


@st.composite
def contents(draw):
    """Blocks in the order of the API: thoughts come first; ids are unique."""
    blocks = draw(st.lists(st.one_of(TEXTS, USES), max_size=4))
    head = [draw(THOUGHTS)] if draw(st.booleans()) else []
    named = [
        {**each, "id": f"toolu_{n}"} if "id" in each else each for n, each in enumerate(blocks)
    ]
    return [*head, *named]


ANSWERS = st.builds(lambda said, why: reply(*said, stop=why), contents(), st.sampled_from(REASONS))
TROUBLES = st.sampled_from(
    [ContextFull("full", "context"), OverBudget(Limit("ticket:1", "the ticket", 3), 0)]
)
SCRIPTS = st.lists(st.one_of(ANSWERS, ANSWERS, ANSWERS, TROUBLES), min_size=1, max_size=12)
KINDS = {"submitted", "ended", "asked", "limit", "stuck", "refused", "context", "failed"}


def execution(call):
    if call["name"] in ENDINGS and not call["input"]:
        return ToolResult("`title` is missing.", failed=True)
    return ToolResult("done", failed=call["name"] == "no_such_tool")


def staged(script, **more):
    return Stage(script, execution, fallback="claude-opus-5-5", **more)


@settings(max_examples=400, deadline=None)
@given(SCRIPTS)
def test_every_request_and_every_stored_conversation_is_valid(script):
    stage = staged(script)
    outcome = asyncio.run(stage.play(replace(PLENTY, turns=40)))
    assert outcome.kind in KINDS
    assert outcome.words
    for conversation in stage.conversations:
        check_messages(completed(conversation), paused=True)


def completed(conversation):
    """A stored conversation as it would be sent: what it ends with may be unanswered."""
    pending = calls(conversation[-1]) if conversation[-1]["role"] == "assistant" else []
    closing = [answers((call, INTERRUPTED) for call in pending)] if pending else []
    return joined([*conversation, *closing])


@settings(max_examples=200, deadline=None)
@given(SCRIPTS, st.data())
def test_a_worker_that_dies_after_any_message_leaves_what_can_be_gone_on_with(script, data):
    before = staged(script)
    asyncio.run(before.play(replace(PLENTY, turns=40)))
    conversation = data.draw(st.sampled_from(before.conversations))
    cut = data.draw(st.integers(1, len(conversation)))
    kept = conversation[:cut]
    paused = kept[-1].get("stop_reason") == "pause_turn"
    after = staged([reply(use("submit", **DONE))], messages=kept, resumed=True, paused=paused)
    outcome = asyncio.run(after.play())
    assert outcome.kind in {"submitted", "asked"}


@settings(max_examples=200, deadline=None)
@given(SCRIPTS)
def test_what_was_cut_off_is_never_executed(script):
    stage = staged(script)
    asyncio.run(stage.play(replace(PLENTY, turns=40)))
    stored = [each for conversation in stage.conversations for each in conversation]
    for call in stage.executed:
        assert any(call in message["content"] for message in stored)
    for answer in script[: len(stage.requests)]:
        if isinstance(answer, BaseException) or answer.stop_reason != "max_tokens":
            continue
        last = answer.content[-1:] and answer.content[-1]
        assert not any(call is last for call in stage.executed)
