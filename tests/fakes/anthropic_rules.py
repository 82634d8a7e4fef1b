"""What the Messages API refuses, as far as a conversation of ours can go wrong."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

BODY = {
    "model",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "stream",
    "cache_control",
    "thinking",
    "metadata",
    "output_config",
    "stop_sequences",
}
BLOCKS = {
    "text": ({"text"}, {"cache_control", "citations"}),
    "tool_use": ({"id", "name", "input"}, {"cache_control", "caller"}),
    "tool_result": ({"tool_use_id"}, {"content", "is_error", "cache_control"}),
    "thinking": ({"thinking", "signature"}, set()),
    "redacted_thinking": ({"data"}, set()),
    "image": ({"source"}, {"cache_control"}),
}
"""Of each block: the fields it must have, and those it may have."""

SAYS = {
    "user": {"text", "tool_result", "image"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking"},
}
BUILT_IN = {
    "bash_20250124": ("bash", {"cache_control"}),
    "text_editor_20250728": ("str_replace_based_edit_tool", {"cache_control", "max_characters"}),
}
CUSTOM = {"name", "description", "input_schema", "cache_control", "type", "strict"}
NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")


class Wrong(Exception):  # noqa: N818 - it is the API's answer
    """A sentence of the API about what is wrong with a request."""


def signed(thinking: str) -> str:
    """Return the signature of a thought; the API refuses one that was changed."""
    return "sig_" + hashlib.sha256(thinking.encode()).hexdigest()[:32]


def check(body: Mapping[str, Any], *, paused: bool) -> None:
    """Raise `Wrong` as the API would; `paused`: the last answer may be sent again as the last."""
    fields("", body, {"model", "max_tokens", "messages"}, BODY)
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        raise Wrong("max_tokens: Input should be greater than or equal to 1")
    if not body.get("stream"):
        raise Wrong("Streaming is required for operations that may take longer than 10 minutes.")
    check_tools(body.get("tools", []))
    check_system(body.get("system"))
    check_messages(body["messages"], paused=paused)
    marks = sum(1 for each in walked(body) if "cache_control" in each)
    if marks > 4:
        raise Wrong(f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


def fields(where: str, given: Mapping[str, Any], needed: set[str], allowed: set[str]) -> None:
    for name in sorted(needed - set(given)):
        raise Wrong(f"{where}{name}: Field required")
    for name in sorted(set(given) - needed - allowed):
        raise Wrong(f"{where}{name}: Extra inputs are not permitted")


def walked(value: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for name, each in value.items():
            if name not in ("input", "input_schema"):
                yield from walked(each)
    elif isinstance(value, list):
        for each in value:
            yield from walked(each)


def check_tools(tools: list[Mapping[str, Any]]) -> None:
    names = [tool.get("name") for tool in tools]
    if len(set(names)) != len(names):
        raise Wrong("tools: Tool names must be unique.")
    for at, tool in enumerate(tools):
        where, kind = f"tools.{at}.", tool.get("type", "custom")
        if kind in BUILT_IN:
            name, more = BUILT_IN[kind]
            fields(where, tool, {"type", "name"}, more)
            if tool["name"] != name:
                raise Wrong(f"{where}name: Input should be '{name}'")
        elif kind == "custom":
            fields(where, tool, {"name", "input_schema"}, CUSTOM)
            if tool["input_schema"].get("type") != "object" or not NAME.match(tool["name"]):
                raise Wrong(f"{where}input_schema.type: Input should be 'object'")
        else:
            raise Wrong(f"{where}type: Input tag '{kind}' does not match any of the expected tags")


def check_system(system: Any) -> None:
    if isinstance(system, list):
        for at, block in enumerate(system):
            check_block(f"system.{at}.", block, {"text"})
    elif system is not None and not isinstance(system, str):
        raise Wrong("system: Input should be a valid string")


def check_messages(messages: list[Mapping[str, Any]], *, paused: bool) -> None:
    if not messages:
        raise Wrong("messages: at least one message is required")
    for at, message in enumerate(messages):
        fields(f"messages.{at}.", message, {"role", "content"}, set())
        expected = "assistant" if at % 2 else "user"
        if message["role"] != expected:
            raise Wrong(f"messages.{at}: roles must alternate, and {expected} was expected")
        check_content(at, message["role"], message["content"])
    check_pairs(messages)
    if messages[-1]["role"] == "assistant" and not paused:
        raise Wrong(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )


def check_content(at: int, role: str, content: Any) -> None:
    if not content:
        raise Wrong(f"messages.{at}: all messages must have non-empty content")
    if isinstance(content, str):
        return
    for n, block in enumerate(content):
        check_block(f"messages.{at}.content.{n}.", block, SAYS[role])


def check_block(where: str, block: Mapping[str, Any], allowed: set[str]) -> None:
    kind = block.get("type")
    if kind not in allowed:
        raise Wrong(f"{where}type: Input tag '{kind}' does not match any of the expected tags")
    needed, more = BLOCKS[kind]
    fields(where, block, needed | {"type"}, more)
    if kind == "text" and not block["text"].strip():
        raise Wrong("messages: text content blocks must be non-empty")
    if kind == "tool_use" and not isinstance(block["input"], dict):
        raise Wrong(f"{where}input: Input should be a valid dictionary")
    if kind == "tool_use" and not NAME.match(block["id"]):
        raise Wrong(f"{where}id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if kind == "thinking" and block["signature"] != signed(block["thinking"]):
        raise Wrong(f"{where}signature: Invalid `signature` in `thinking` block")
    if kind == "tool_result":
        for n, each in enumerate(inside(block)):
            check_block(f"{where}content.{n}.", each, {"text", "image"})


def inside(block: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = block.get("content") or []
    return [] if isinstance(content, str) else content


def check_pairs(messages: list[Mapping[str, Any]]) -> None:
    asked: list[str] = []
    for at, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        kinds = [block["type"] for block in blocks]
        if message["role"] == "assistant":
            asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
            if len(set(asked)) != len(asked):
                raise Wrong(f"messages.{at}: `tool_use` ids must be unique")
            continue
        check_answers(at, asked, [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"])
        if kinds != sorted(kinds, key=lambda kind: kind != "tool_result"):
            raise Wrong(f"messages.{at}: `tool_result` blocks must come first")
        asked = []
    if asked:
        raise Wrong(f"messages: `tool_use` ids without `tool_result` blocks: {', '.join(asked)}")


def check_answers(at: int, asked: list[str], answered: list[str]) -> None:
    missing = [each for each in asked if each not in answered]
    if missing:
        raise Wrong(
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(missing)}"
        )
    unexpected = [each for each in answered if each not in asked]
    if unexpected:
        raise Wrong(
            f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: "
            f"{', '.join(unexpected)}"
        )
    if len(set(answered)) != len(answered):
        raise Wrong(f"messages.{at}: each tool_use must have a single result")
