"""A scripted Responses API of OpenAI over loopback HTTP, strict about what it is sent again.

Turns are those of `tests.fakes.anthropic` (content of text, thinking and tool_use; `error`,
`midstream`, `drop`, `cut`, `silent`, `usage`, `stop_reason`). <https://platform.openai.com/docs/api-reference/responses-streaming>
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.anthropic import Block, Fake, Heard, Script, Turn, stream, until_gone
from tests.fakes.anthropic_rules import Wrong
from tests.fakes.serving import serving

TYPES = {401: "invalid_request_error", 429: "requests", 500: "server_error"}
INCOMPLETE = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}


@contextmanager
def fake_openai(script: Script) -> Iterator[Fake]:
    """Serve a script; yield the fake with its address."""
    fake = Fake(script)

    async def respond(request: Request) -> Response:
        body = await request.json()
        fake.requests.append(Heard(dict(request.headers), body))
        try:
            check(body)
        except Wrong as wrong:
            fake.errors.append(f"request {len(fake.requests)}: {wrong}")
            return failure({"error": 400, "message": str(wrong)})
        return await answer(fake, request, body)

    app = Starlette(routes=[Route("/v1/responses", respond, methods=["POST"])])
    with serving(app) as url:
        fake.url = f"{url}/v1"
        yield fake


async def answer(fake: Fake, request: Request, body: dict[str, Any]) -> Response:
    """Answer a request as its turn says."""
    turn = fake.turn(body)
    if "error" in turn:
        return failure(turn)
    if turn.get("silent") == 0:
        await until_gone(request)
    sent = stream(request, turn, events(fake, turn, body))
    return StreamingResponse(sent, media_type="text/event-stream")


def failure(turn: Turn) -> Response:
    """Return an error in the API's form."""
    status = turn["error"]
    error = {
        "message": turn.get("message", "scripted"),
        "type": turn.get("type", TYPES.get(status, "invalid_request_error")),
        "param": None,
        "code": turn.get("code"),
    }
    headers = {"retry-after": str(turn["retry_after"])} if "retry_after" in turn else {}
    return JSONResponse({"error": error}, status, headers)


def check(body: dict[str, Any]) -> None:
    """Raise `Wrong` as the API would for a conversation that does not fit together."""
    if body.get("store") is not False or not body.get("stream"):
        raise Wrong("nothing of a customer's code is to be stored at OpenAI")
    names = [tool["name"] for tool in body.get("tools", [])]
    if len(set(names)) != len(names):
        raise Wrong("Tool names must be unique.")
    items = body["input"]
    calls = [each["call_id"] for each in items if each.get("type") == "function_call"]
    answers = [each["call_id"] for each in items if each.get("type") == "function_call_output"]
    if missing := [call for call in calls if call not in answers]:
        raise Wrong(f"No tool output found for function call {missing[0]}.")
    if extra := [call for call in answers if call not in calls]:
        raise Wrong(f"No tool call found for function call output with call_id {extra[0]}.")
    for item in items:
        if item.get("type") == "reasoning" and item["encrypted_content"] != sealed(item["id"]):
            raise Wrong("The encrypted content could not be verified.")
    if lone := [call for call in calls if call.startswith("call_thought") and not thought(items)]:
        raise Wrong(f"{lone[0]} was provided without its required 'reasoning' item")


def thought(items: list[dict[str, Any]]) -> bool:
    return any(item.get("type") == "reasoning" for item in items)


def sealed(item: str) -> str:
    """Return the encrypted content of a reasoning item."""
    return "enc_" + hashlib.sha256(item.encode()).hexdigest()[:24]


def events(fake: Fake, turn: Turn, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a streamed response."""
    number = len(fake.requests)
    output: list[dict[str, Any]] = []
    begun = response(number, body, output, status="in_progress")
    yield "response.created", {"response": begun, "sequence_number": 0}
    thinks = any(block["type"] == "thinking" for block in turn.get("content", []))
    for n, block in enumerate(turn.get("content", [])):
        item = item_of(fake, block, f"{number}_{n}", thinks=thinks)
        output.append(item)
        yield from item_events(n, item)
    if "midstream" in turn:
        error = {"code": turn["midstream"], "message": turn.get("message", "scripted")}
        failed = response(number, body, output, status="failed", error=error)
        yield "response.failed", {"response": failed, "sequence_number": 0}
        return
    usage = {"input_tokens": 100, "output_tokens": 20, "cached": 0, **turn.get("usage", {})}
    reason = INCOMPLETE.get(turn.get("stop_reason", ""))
    ended = response(
        number,
        body,
        output,
        status="incomplete" if reason else "completed",
        incomplete_details={"reason": reason} if reason else None,
        usage={
            "input_tokens": usage["input_tokens"],
            "input_tokens_details": {"cached_tokens": usage["cached"], "cache_write_tokens": 0},
            "output_tokens": usage["output_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["input_tokens"] + usage["output_tokens"],
        },
    )
    yield f"response.{ended['status']}", {"response": ended, "sequence_number": 0}


def response(
    number: int, body: dict[str, Any], output: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """Return a response object."""
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_790_000_000,
        "model": body["model"],
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "usage": None,
        **more,
    }


def item_of(fake: Fake, block: Block, name: str, *, thinks: bool) -> dict[str, Any]:
    """Return an item of output."""
    if block["type"] == "thinking":
        item = f"rs_{name}"
        summary = [{"type": "summary_text", "text": block["thinking"]}]
        sealing = {"encrypted_content": sealed(item)}
        return {"type": "reasoning", "id": item, "summary": summary, **sealing}
    if block["type"] == "tool_use":
        call = f"call_{'thought_' if thinks else ''}{next(fake.ids)}"
        written = block.get("partial_json") or json.dumps(block["input"])
        named = {"call_id": call, "name": block["name"], "arguments": written}
        return {"type": "function_call", "id": f"fc_{name}", "status": "completed", **named}
    said = {"type": "output_text", "text": block["text"], "annotations": [], "logprobs": []}
    message = {"role": "assistant", "status": "completed", "content": [said]}
    return {"type": "message", "id": f"msg_{name}", **message}


def item_events(n: int, item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of one item."""
    at = {"item_id": item["id"], "output_index": n, "sequence_number": 0}
    empty = {"function_call": {"arguments": ""}, "message": {"content": []}}
    started = {**item, **empty.get(item["type"], {"summary": [], "encrypted_content": ""})}
    yield "response.output_item.added", {"output_index": n, "item": started, "sequence_number": 0}
    if item["type"] == "message":
        said = item["content"][0]["text"]
        part = {"type": "output_text", "text": "", "annotations": []}
        yield "response.content_part.added", {**at, "content_index": 0, "part": part}
        yield (
            "response.output_text.delta",
            {**at, "content_index": 0, "delta": said, "logprobs": []},
        )
        yield "response.output_text.done", {**at, "content_index": 0, "text": said, "logprobs": []}
    elif item["type"] == "function_call":
        written = item["arguments"]
        yield "response.function_call_arguments.delta", {**at, "delta": written}
        done = {**at, "arguments": written, "name": item["name"]}
        yield "response.function_call_arguments.done", done
    else:
        text = item["summary"][0]["text"]
        part = {"type": "summary_text", "text": ""}
        yield "response.reasoning_summary_part.added", {**at, "summary_index": 0, "part": part}
        yield "response.reasoning_summary_text.delta", {**at, "summary_index": 0, "delta": text}
    yield "response.output_item.done", {"output_index": n, "item": item, "sequence_number": 0}
