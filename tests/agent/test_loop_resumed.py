"""A loop that goes on where the store says that it was."""

import pytest

from bot.agent.compaction import compacted
from bot.agent.loop import CUT, NUDGE
from tests.agent.talks import Stage, reply, results, said, submit, text, use
from tests.fakes.anthropic_rules import check_messages

FIRST = {"role": "user", "content": [text("Mend #7.")]}
ANSWER = {"type": "tool_result", "tool_use_id": "a", "content": "done"}


def stored(*messages):
    return {"messages": [dict(FIRST), *messages], "resumed": True}


def assistant(*content, stop="tool_use"):
    return {"role": "assistant", "content": list(content), "stop_reason": stop}


async def test_calls_without_an_answer_were_interrupted_and_are_not_executed():
    before = stored(assistant(use("bash", "a"), use("submit", "b")))
    stage = Stage([reply(submit())], **before)
    assert (await stage.play()).kind == "submitted"
    assert stage.names() == ["submit"]
    words = "interrupted, run it again if needed"
    assert results(stage.stored[2]) == [
        {"type": "tool_result", "tool_use_id": each, "content": words, "is_error": True}
        for each in ("a", "b")
    ]


async def test_a_conversation_that_ends_with_us_is_just_asked():
    stage = Stage([reply(submit())], **stored(assistant(use("bash", "a")), user(ANSWER)))
    assert (await stage.play()).kind == "submitted"
    assert len(stage.requests[0].messages) == 3


async def test_a_submission_that_was_stored_holds_without_another_call():
    stage = Stage([], **stored(assistant(submit())))
    assert (await stage.play()).kind == "submitted"
    assert stage.requests == []


async def test_a_question_that_was_stored_holds_too():
    stage = Stage([], **stored(assistant(use("ask_people", question="Which?"))))
    assert (await stage.play()).words == "Which?"


async def test_who_had_stopped_is_told_once():
    stage = Stage([reply(text("Yes."))], **stored(assistant(text("Done."), stop="end_turn")))
    assert (await stage.play()).kind == "ended"
    assert said(stage.stored[2]) == NUDGE
    assert len(stage.requests) == 1


async def test_an_answer_that_was_cut_off_goes_on():
    stage = Stage([reply(submit())], **stored(assistant(text("And so"), stop="max_tokens")))
    await stage.play()
    assert said(stage.stored[2]) == CUT


async def test_a_paused_answer_is_sent_back():
    before = stored(assistant(text("Well,"), stop="pause_turn"))
    stage = Stage([reply(submit())], **before, paused=True)
    await stage.play()
    assert stage.requests[0].messages[-1]["role"] == "assistant"


async def test_failing_tests_said_after_an_answered_submission_join_it():
    answered = user({**ANSWER, "tool_use_id": "toolu_9"}, {**ANSWER, "tool_use_id": "a"})
    before = stored(assistant(submit(), use("bash", "a")), answered, user(text("Tests fail.")))
    stage = Stage([reply(submit())], **before)
    await stage.play()
    assert [each["type"] for each in stage.requests[0].messages[-1]["content"]] == [
        "tool_result",
        "tool_result",
        "text",
    ]


def user(*content):
    return {"role": "user", "content": list(content)}


def turns(count, size):
    for n in range(count):
        yield assistant(use("bash", f"c{n}", command=f"cat {n}"))
        yield user({**ANSWER, "tool_use_id": f"c{n}", "content": "x" * size})


@pytest.mark.parametrize("size", [10, 3000, 300_000])
def test_a_compacted_conversation_is_valid_and_shorter(size):
    long = [FIRST, *turns(30, size)]
    short = compacted(long)
    check_messages(short, paused=False)
    assert short[0]["content"][0] == FIRST["content"][0]
    assert len(str(short)) < max(len(str(long)), 12_000)


def test_the_latest_turns_and_the_last_checklist_stay():
    items = [{"text": "Read", "done": True}, {"text": "Mend", "done": False}]
    reported = [
        assistant(use("report_progress", "p", items=items)),
        user({**ANSWER, "tool_use_id": "p"}),
    ]
    short = compacted([FIRST, *reported, *turns(30, 3000)])
    assert "- [x] Read\n- [ ] Mend" in said(short[0])
    assert short[-1]["content"][0]["tool_use_id"] == "c29"
    assert len(short) > 3
    assert "taken out" in short[-1]["content"][0]["content"]


def test_a_paused_answer_is_left_out_of_what_is_compacted():
    short = compacted([FIRST, *turns(3, 10), assistant(text("Well,"), stop="pause_turn")])
    check_messages(short, paused=False)
    assert short[-1]["role"] == "user"


def test_a_short_conversation_loses_nothing_of_its_request():
    assert compacted([FIRST]) == [FIRST]
