"""Makes messages that the API takes, whatever the model said.

<https://docs.claude.com/en/api/messages>: roles alternate, no content is empty, every `tool_use`
is answered once in the message after it, and answers come before words.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from bot.agent.conversation import Block, Message, Reply, ToolResult

INTERRUPTED = ToolResult("interrupted, run it again if needed", failed=True)
SILENT = "(no words)"
THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def words(*texts: str) -> list[Block]:
    """Return texts as blocks."""
    return [{"type": "text", "text": text} for text in texts]


def said(reply: Reply) -> Message:
    """Return what a model answered as a message."""
    return {"role": "assistant", "content": whole(reply.content), "stop_reason": reply.stop_reason}


def cut_off(reply: Reply) -> Message:
    """Return an answer that ran out of tokens, without the block it was in the middle of."""
    content = reply.content
    if content and content[-1].get("type") in THOUGHTS | {"tool_use"}:
        content = content[:-1]
    return {"role": "assistant", "content": whole(content), "stop_reason": reply.stop_reason}


def whole(content: Iterable[Block]) -> list[Block]:
    """Return content without empty texts; it never is nothing, nor ends with a thought."""
    blocks = sendable(content)
    if not blocks or blocks[-1].get("type") in THOUGHTS:
        blocks += words(SILENT)
    return blocks


def sendable(content: Iterable[Block]) -> list[Block]:
    """Return content without empty texts, which the API does not take back."""
    told: list[Block] = storable(list(content))
    return [each for each in told if each.get("type") != "text" or each["text"].strip()]


def storable(value: Any) -> Any:
    """Return a value of JSON without what no store takes: NUL, and halves of a character."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, list):
        return [storable(each) for each in value]
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    return value


def calls(message: Message) -> list[Block]:
    """Return the tools that a message wants used."""
    return [each for each in message["content"] if each.get("type") == "tool_use"]


def answers(results: Iterable[tuple[Block, ToolResult]], *more: str) -> Message:
    """Return the message that answers tool calls, and the words that follow the results."""
    content = [answer(call, result) for call, result in results]
    return {"role": "user", "content": [*content, *words(*more)]}


def answer(call: Block, result: ToolResult) -> Block:
    """Return the block that answers one tool call."""
    block = {"type": "tool_result", "tool_use_id": call["id"], "content": result.text}
    return {**block, "is_error": True} if result.failed else block


def joined(messages: Sequence[Message]) -> list[Message]:
    """Return messages as they are sent: role and content alone, neighbours of one role as one."""
    together: list[Message] = []
    for message in messages:
        content = list(message["content"])
        if together and together[-1]["role"] == message["role"]:
            together[-1]["content"] += content
        else:
            together.append({"role": message["role"], "content": content})
    return together
