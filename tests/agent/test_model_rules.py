"""The scripted API refuses what the real one refuses: else it would hide our faults."""

import pytest

from tests.fakes.anthropic_rules import Wrong, check, signed

TEXT = {"type": "text", "text": "Hello."}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.py"}
BASH = {"type": "bash_20250124", "name": "bash"}
OURS = {"name": "submit", "input_schema": {"type": "object"}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": signed("Hm.")}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def model(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def body(*messages, **more):
    asked = {"model": "m", "max_tokens": 10, "stream": True, "tools": [BASH, OURS]}
    return {**asked, "messages": list(messages) or [user(TEXT)], **more}


def test_a_right_conversation_is_taken():
    check(body(), paused=False)
    check(body({"role": "user", "content": "Hello."}), paused=False)
    check(body(user(TEXT), model(THOUGHT, TEXT, CALL), user(RESULT, TEXT)), paused=False)
    check(body(user(TEXT), model(TEXT)), paused=True)


WRONG = {
    "no tokens": body(max_tokens=0),
    "no streaming": body(stream=False),
    "a field that is gone": body(temperature=0),
    "the same tool twice": body(tools=[BASH, BASH]),
    "a tool of another name": body(tools=[{**BASH, "name": "shell"}]),
    "a tool nobody knows": body(tools=[{**BASH, "type": "bash_1999"}]),
    "a tool without a schema": body(tools=[{"name": "submit"}]),
    "an empty system": body(system=[{"type": "text", "text": ""}]),
    "nothing": body(messages=[]),
    "our stop reason": body({**user(TEXT), "stop_reason": "end_turn"}),
    "a model that begins": body(model(TEXT), user(TEXT)),
    "one who speaks twice": body(user(TEXT), user(TEXT)),
    "a prefill": body(user(TEXT), model(TEXT)),
    "an empty message": body(user()),
    "an empty text": body(user({"type": "text", "text": " "})),
    "a block of unknown fields": body(user({**TEXT, "part": {}})),
    "a user who calls": body(user(CALL)),
    "a model that answers": body(user(TEXT), model(RESULT), user(TEXT)),
    "a call without an answer": body(user(TEXT), model(CALL), user(TEXT)),
    "an answer without a call": body(user(RESULT)),
    "an answer twice": body(user(TEXT), model(CALL), user(RESULT, RESULT)),
    "words before the answer": body(user(TEXT), model(CALL), user(TEXT, RESULT)),
    "calls of one id": body(user(TEXT), model(CALL, CALL), user(RESULT)),
    "a call left open": body(user(TEXT), model(CALL)),
    "arguments that are a text": body(user(TEXT), model({**CALL, "input": "ls"}), user(RESULT)),
    "an odd id": body(user(TEXT), model({**CALL, "id": "a b"}), user(RESULT)),
    "a changed thought": body(user(TEXT), model({**THOUGHT, "thinking": "No."}), user(TEXT)),
    "five breakpoints": body(user(*[{**TEXT, "cache_control": {"type": "ephemeral"}}] * 5)),
}


@pytest.mark.parametrize("asked", WRONG.values(), ids=WRONG)
def test_a_wrong_one_is_refused(asked):
    with pytest.raises(Wrong):
        check(asked, paused=False)
