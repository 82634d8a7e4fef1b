"""Our conversation in pydantic-ai's parts, and back.

<https://ai.pydantic.dev/api/messages/>. A block of a model's answer keeps the part it was made of
as `part`: reasoning, signatures and ids that the maker wants back exactly as they were.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from bot.agent.conversation import Block, Message, Request

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_ai.messages import ModelMessage, ModelRequestPart, ModelResponsePart
    from pydantic_ai.tools import ToolDefinition

BASH = {
    "type": "object",
    "properties": {
        "command": {"type": "string", "description": "The command to run."},
        "restart": {"type": "boolean", "description": "True starts the shell anew."},
    },
    "additionalProperties": False,
}
EDITOR = {
    "type": "object",
    "properties": {
        "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
        "path": {"type": "string", "description": "The file, or for view also a folder."},
        "view_range": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "view: first and last line, from 1; -1 is the end.",
        },
        "file_text": {"type": "string", "description": "create: the whole text."},
        "old_str": {"type": "string", "description": "str_replace: what is there exactly once."},
        "new_str": {"type": "string", "description": "str_replace: what it becomes."},
        "insert_line": {"type": "integer", "description": "insert: after this line; 0 is the top."},
        "insert_text": {"type": "string", "description": "insert: the new lines."},
    },
    "required": ["command", "path"],
    "additionalProperties": False,
}
BUILT_IN = {
    "bash_20250124": ("Runs a command in a shell and returns what it prints.", BASH),
    "text_editor_20250728": ("Views, creates and edits files.", EDITOR),
}
"""Anthropic's own tools, which other makers have to be told of."""


def tools_of(tools: Sequence[Mapping[str, Any]]) -> "list[ToolDefinition]":
    """Return the tools as functions with explicit schemas, in their order."""
    from pydantic_ai.tools import ToolDefinition

    described = []
    for tool in tools:
        words, schema = BUILT_IN.get(
            str(tool.get("type")), (tool.get("description"), tool.get("input_schema"))
        )
        described.append(
            ToolDefinition(
                name=tool["name"], description=words, parameters_json_schema=dict(schema or {})
            )
        )
    return described


def messages_of(request: Request, system: str) -> "list[ModelMessage]":
    """Return a conversation as pydantic-ai has it; `system` is its name of the maker."""
    from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart

    names = tool_names(request.messages)
    told: list[ModelMessage] = []
    for message in request.messages:
        content = blocks_of(message)
        if message["role"] == "assistant":
            parts = [part_of(block) for block in content]
            told.append(ModelResponse(parts, provider_name=system, model_name=request.model))
        else:
            told.append(ModelRequest([asked_part(block, names) for block in content]))
    first = told[0]
    if request.system and isinstance(first, ModelRequest):
        told[0] = ModelRequest([SystemPromptPart(request.system), *first.parts])
    return told


def blocks_of(message: Message) -> list[Block]:
    """Return what a message consists of."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def tool_names(messages: Sequence[Message]) -> dict[str, str]:
    """Return which tool each call used, by the call's id: a result only names the call."""
    return {
        block["id"]: block["name"]
        for message in messages
        for block in blocks_of(message)
        if block["type"] == "tool_use"
    }


def asked_part(block: Block, names: Mapping[str, str]) -> "ModelRequestPart":
    """Return one block of ours: a result of a tool, or words."""
    from pydantic_ai.messages import ToolReturnPart, UserPromptPart

    if block["type"] != "tool_result":
        return UserPromptPart(block["text"])
    call = block["tool_use_id"]
    return ToolReturnPart(
        tool_name=names.get(call, "unknown"),
        content=plain(block.get("content") or ""),
        tool_call_id=call,
        outcome="failed" if block.get("is_error") else "success",
    )


def plain(content: Any) -> str:
    """Return a tool's result as text."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def part_of(block: Block) -> "ModelResponsePart":
    """Return a block of a model as it came; one that was written by hand, as if it had come."""
    from pydantic_ai.messages import TextPart, ToolCallPart

    if "part" in block:
        return part_form().validate_python(block["part"])
    if block["type"] == "tool_use":
        return ToolCallPart(block["name"], block["input"], block["id"])
    return TextPart(block.get("text") or "")


def block_of(part: "ModelResponsePart") -> Block:
    """Return a part of an answer as a block that can be kept as JSON and sent again.

    Raise `ValueError` for a call whose arguments are no JSON object.
    """
    from pydantic_ai.messages import TextPart, ThinkingPart, ToolCallPart

    kept = part_form().dump_python(part, mode="json", exclude_none=True)
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content, "part": kept}
    if isinstance(part, ThinkingPart):
        return {"type": "thinking", "thinking": part.content, "part": kept}
    if isinstance(part, ToolCallPart):
        called = {"id": part.tool_call_id, "name": part.tool_name, "input": arguments_of(part.args)}
        return {"type": "tool_use", **called, "part": kept}
    return {"type": str(kept["part_kind"]), "part": kept}


def arguments_of(given: Any) -> dict[str, Any]:
    """Return the arguments of a call, which come as JSON or as they are."""
    read = json.loads(given) if isinstance(given, str) and given else given or {}
    if not isinstance(read, dict):
        raise ValueError("the arguments of a tool call are no object")
    return read


@cache
def part_form() -> "TypeAdapter[ModelResponsePart]":
    """Return what writes and reads the parts of an answer."""
    from pydantic import TypeAdapter
    from pydantic_ai.messages import ModelResponsePart

    return TypeAdapter(ModelResponsePart)
