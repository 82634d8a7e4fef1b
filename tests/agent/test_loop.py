"""The loop with a scripted model: every reason to stop, and what is stored meanwhile."""

import asyncio
from decimal import Decimal

import pytest

from bot.agent.budget import OverBudget
from bot.agent.conversation import ToolResult, Usage
from bot.agent.loop import CUT, NUDGE, TAKEN_OVER
from bot.agent.trouble import ContextFull, ModelError
from models.budgets import Limit
from tests.agent.talks import DONE, Stage, reply, results, said, submit, text, use
from tests.fakes.anthropic_rules import signed

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": signed("Hm.")}


async def test_calls_are_executed_in_their_order_and_answered_in_one_message():
    first = reply(
        text("Let me see."), use("bash", "a", command="ls"), use("bash", "b", command="w")
    )
    stage = Stage([first, reply(submit())])
    outcome = await stage.play()
    assert (outcome.kind, outcome.submission) == ("submitted", DONE)
    assert outcome.words == "It was mended."
    assert [call["id"] for call in stage.executed] == ["a", "b", "toolu_9"]
    assert stage.stored[2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "did bash"},
            {"type": "tool_result", "tool_use_id": "b", "content": "did bash"},
        ],
    }


async def test_every_message_is_stored_before_the_next_thing_is_done():
    stage = Stage([reply(use("bash")), reply(submit())])
    seen = []

    def execution(call):
        seen.append((call["name"], [message["role"] for message in stage.stored]))
        return ToolResult("done")

    stage.execution = execution
    await stage.play()
    assert seen == [
        ("bash", ["user", "assistant"]),
        ("submit", ["user", "assistant", "user", "assistant"]),
    ]


async def test_what_is_sent_is_role_and_content_alone():
    stage = Stage([reply(use("bash")), reply(submit())])
    await stage.play()
    assert stage.stored[1]["stop_reason"] == "tool_use"
    assert {key for message in stage.requests[-1].messages for key in message} == {
        "role",
        "content",
    }


async def test_submit_alone_stays_unanswered_for_what_validation_says():
    stage = Stage([reply(submit())])
    await stage.play()
    assert stage.stored[-1]["role"] == "assistant"


async def test_submit_with_other_calls_comes_after_them_and_all_are_answered():
    stage = Stage([reply(submit("s"), use("bash", "a"), use("bash", "b"))])
    outcome = await stage.play()
    assert outcome.kind == "submitted"
    assert stage.names() == ["bash", "bash", "submit"]
    assert [each["tool_use_id"] for each in results(stage.stored[-1])] == ["s", "a", "b"]


async def test_an_incomplete_submission_is_given_back():
    def execution(call):
        wrong = call["name"] == "submit" and not call["input"]
        return ToolResult("`title` is missing.", failed=True) if wrong else ToolResult("ok")

    stage = Stage([reply(use("submit", "s")), reply(submit())], execution)
    outcome = await stage.play()
    assert outcome.submission == DONE
    assert results(stage.stored[2]) == [
        {
            "type": "tool_result",
            "tool_use_id": "s",
            "content": "`title` is missing.",
            "is_error": True,
        }
    ]


async def test_a_question_for_people_ends_the_loop():
    stage = Stage([reply(use("ask_people", question="Which of the two?"))])
    outcome = await stage.play()
    assert (outcome.kind, outcome.words) == ("asked", "Which of the two?")


async def test_who_stops_without_submitting_is_told_once_and_then_has_ended():
    stage = Stage([reply(text("All done.")), reply(text("I said so."))])
    outcome = await stage.play()
    assert (outcome.kind, outcome.words) == ("ended", "I said so.")
    assert [said(message) for message in stage.stored[1:3]] == ["All done.", NUDGE]


async def test_an_answer_without_a_word_can_still_be_stored_and_sent():
    stage = Stage([reply(), reply(text(" ")), reply(submit())])
    assert (await stage.play()).kind == "ended"
    stage = Stage([reply(THOUGHT), reply(submit())])
    assert (await stage.play()).kind == "submitted"
    assert stage.stored[1]["content"][0] == THOUGHT
    assert stage.stored[1]["content"][-1]["type"] == "text"


async def test_what_no_store_takes_is_replaced_before_it_is_executed():
    stage = Stage([reply(use("bash", command="echo \0 \ud800")), reply(submit())])
    await stage.play()
    assert stage.executed[0]["input"] == {"command": "echo \ufffd ?"}
    assert stage.stored[1]["content"][0]["input"] == {"command": "echo \ufffd ?"}


async def test_a_call_that_was_cut_off_is_never_executed_and_the_next_answer_may_be_longer():
    whole, half = use("bash", "whole", command="ls"), use("bash", "half", command="rm -r")
    stage = Stage([reply(whole, half, stop="max_tokens"), reply(submit())])
    assert (await stage.play()).kind == "submitted"
    assert [call["id"] for call in stage.executed] == ["whole", "toolu_9"]
    assert [each["id"] for each in stage.stored[1]["content"]] == ["whole"]
    assert stage.last[0]["id"] == "toolu_9"
    assert said(stage.stored[2]) == CUT
    assert [request.max_tokens for request in stage.requests] == [1000, 2000]


async def test_an_answer_that_is_cut_off_in_its_only_call_or_thought_goes_on():
    for block in (use("submit", "half", title="T"), THOUGHT, text("And so")):
        stage = Stage([reply(block, stop="max_tokens"), reply(submit())])
        assert (await stage.play()).kind == "submitted"
        assert stage.names() == ["submit"]
        assert said(stage.stored[2]) == CUT


async def test_max_tokens_are_doubled_once_only_and_endless_answers_end():
    stage = Stage([reply(text("And so on"), stop="max_tokens")])
    outcome = await stage.play()
    assert outcome.kind == "stuck"
    assert {request.max_tokens for request in stage.requests[1:]} == {2000}


async def test_a_paused_answer_is_sent_back_unchanged():
    stage = Stage([reply(text("Well, "), stop="pause_turn"), reply(submit())])
    assert (await stage.play()).kind == "submitted"
    assert stage.requests[1].messages[-1] == {"role": "assistant", "content": [text("Well, ")]}
    assert [message["role"] for message in stage.stored] == ["user", "assistant", "assistant"]


async def test_a_paused_answer_without_content_is_just_asked_again():
    stage = Stage([reply(stop="pause_turn"), reply(submit())])
    assert (await stage.play()).kind == "submitted"
    assert stage.requests[1].messages == stage.requests[0].messages


async def test_a_refusal_moves_to_the_fallback_in_a_fresh_conversation():
    declined = reply(text("I can"), stop="refusal", refusal="It looks dangerous.")
    stage = Stage([reply(use("bash")), declined, reply(submit())], fallback="claude-opus-5-5")
    assert (await stage.play()).kind == "submitted"
    assert [request.model for request in stage.requests] == [
        "claude-sonnet-5-5",
        "claude-sonnet-5-5",
        "claude-opus-5-5",
    ]
    assert stage.requests[-1].messages == [
        {"role": "user", "content": [text("Mend #7."), text(TAKEN_OVER)]}
    ]
    assert len(stage.conversations) == 2


async def test_a_refusal_at_once_leaves_the_request_as_it_is():
    stage = Stage([reply(stop="refusal"), reply(submit())], fallback="claude-opus-5-5")
    await stage.play()
    assert stage.requests[-1].messages == [{"role": "user", "content": [text("Mend #7.")]}]


@pytest.mark.parametrize("fallback", [None, "claude-sonnet-5-5", "claude-opus-5-5"])
async def test_a_refusal_without_another_model_is_said_to_people(fallback):
    stage = Stage([reply(stop="refusal", refusal="It looks dangerous.")], fallback=fallback)
    outcome = await stage.play()
    assert outcome.kind == "refused"
    assert outcome.words.endswith("declined to go on: It looks dangerous.")
    assert len(stage.requests) == (2 if fallback == "claude-opus-5-5" else 1)


@pytest.mark.parametrize(
    "full", [ContextFull("full", "context"), reply(stop="model_context_window_exceeded")]
)
async def test_a_full_window_is_compacted_once(full):
    long = [reply(use("bash", f"c{n}", command=f"cat {n}")) for n in range(20)]
    stage = Stage([*long, full, reply(submit())], lambda _: ToolResult("x" * 2000))
    assert (await stage.play()).kind == "submitted"
    before, after = stage.requests[-2], stage.requests[-1]
    assert len(str(after.messages)) < len(str(before.messages)) / 2
    assert after.messages[0]["content"][0] == text("Mend #7.")
    assert '- bash {"command": "cat 0"}' in said(after.messages[0])
    assert after.messages[-2]["content"][0]["id"] == "c19"
    assert len(stage.conversations) == 2


async def test_a_window_that_stays_full_ends_the_loop():
    stage = Stage([reply(use("bash")), ContextFull("full", "context")])
    outcome = await stage.play()
    assert outcome.kind == "context"
    assert len(stage.requests) == 3


async def test_an_unknown_reason_keeps_what_was_said_and_stops():
    stage = Stage([reply(text("Hm."), use("bash"), stop="tired")])
    outcome = await stage.play()
    assert outcome.kind == "failed"
    assert "tired" in outcome.words
    assert stage.executed == []
    assert said(stage.stored[-1]) == "Hm."


async def test_a_budget_that_is_used_up_is_named():
    limit = Limit("repository:github:1:2026-09-01", "the repository's day", Decimal(20))
    stage = Stage([OverBudget(limit, Decimal("0.1"))])
    outcome = await stage.play()
    assert (outcome.kind, outcome.limit) == ("limit", "the repository's day")
    assert "$20.00" in outcome.words


async def test_trouble_with_the_model_is_for_the_caller():
    with pytest.raises(ModelError):
        await Stage([ModelError("no key", "key")]).play()


async def test_a_cancellation_passes_through():
    started = asyncio.Event()

    async def forever(call):
        started.set()
        await asyncio.Event().wait()

    stage = Stage([reply(use("bash"))])
    stage.execute = forever
    going = asyncio.create_task(stage.play())
    await started.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert [message["role"] for message in stage.stored] == ["user", "assistant"]


async def test_what_answers_used_is_counted():
    stage = Stage([reply(use("bash")), reply(submit(), usage=Usage(1, 2, 3, 4))])
    await stage.play()
    assert stage.used.usd == Decimal("0.02")
    assert (stage.used.turns, stage.used.tokens) == (2, 120)
