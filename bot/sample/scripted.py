"""A stand-in for Anthropic's Messages API, for the demo alone: it plays what was written before.

<https://docs.claude.com/en/api/messages-streaming>. Which turn comes next follows from the
conversation, so it keeps no state. The pages say that the demo's model is scripted.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.sample.shipping import ISSUES, SampleIssue, Turn, says

THINKING_SECONDS = 1.5
WRITING_SECONDS = 0.05
UNKNOWN: Turn = (
    says(
        "This is the demo's scripted model. It knows the three issues of acme/shipping only; with "
        "an ANTHROPIC_API_KEY the same run is done by Claude."
    ),
)
CHARACTERS_PER_TOKEN = 4


def routes() -> list[Route]:
    """Return the routes, to be mounted below `/anthropic`."""
    return [
        Route("/v1/messages", messages, methods=["POST"]),
        Route("/v1/models", models),
    ]


async def models(request: Request) -> Response:
    """List the models that the demo's settings name; whoever is asked, the script answers."""
    listed = [
        {
            "type": "model",
            "id": name,
            "display_name": "Scripted, for the demo",
            "created_at": "2026-01-01T00:00:00Z",
        }
        for name in ("claude-sonnet-5-5", "claude-opus-5-5")
    ]
    return JSONResponse({"data": listed, "has_more": False, "first_id": None, "last_id": None})


async def messages(request: Request) -> Response:
    """Answer with the next turn, as a stream of events."""
    body = await request.json()
    turn, number = next_turn(body["messages"])
    stream = written(body, turn, number)
    return StreamingResponse(stream, media_type="text/event-stream")


def next_turn(said: Sequence[Mapping[str, Any]]) -> tuple[Turn, int]:
    """Return what is to be said now, and how often the model has spoken before."""
    spoken = sum(message["role"] == "assistant" for message in said)
    issue = issue_of(said)
    if issue is None or spoken >= len(issue.turns):
        return UNKNOWN, spoken
    return issue.turns[spoken], spoken


def issue_of(said: Sequence[Mapping[str, Any]]) -> SampleIssue | None:
    """Return the issue that a conversation is about."""
    first = json.dumps(said[0]["content"])
    return next((issue for issue in ISSUES if issue.title in first), None)


async def written(body: Mapping[str, Any], turn: Turn, number: int) -> AsyncIterator[str]:
    """Yield a message as the API streams it, at the pace at which people can follow."""
    usage = used(body, turn, first=number == 0)
    begun = {
        "id": f"msg_sample_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield event("message_start", {"message": begun})
    await asyncio.sleep(THINKING_SECONDS)
    for place, block in enumerate(turn):
        for each in block_events(place, named(block, number, place)):
            yield each
            await asyncio.sleep(WRITING_SECONDS)
    calls = any(block["type"] == "tool_use" for block in turn)
    stop = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    yield event("message_delta", {"delta": stop, "usage": usage})
    yield event("message_stop", {})


def named(block: Mapping[str, Any], number: int, place: int) -> dict[str, Any]:
    """Return a block with the id that its result will name."""
    if block["type"] != "tool_use":
        return dict(block)
    return {**block, "id": f"toolu_sample_{number}_{place}"}


def used(body: Mapping[str, Any], turn: Turn, *, first: bool) -> dict[str, int]:
    """Return plausible tokens: the former conversation comes from the cache."""
    whole = len(json.dumps([body.get("system"), body["messages"]])) // CHARACTERS_PER_TOKEN
    latest = len(json.dumps(body["messages"][-1])) // CHARACTERS_PER_TOKEN
    return {
        "input_tokens": 12,
        "output_tokens": len(json.dumps(turn)) // CHARACTERS_PER_TOKEN,
        "cache_read_input_tokens": 0 if first else max(whole - latest, 0),
        "cache_creation_input_tokens": whole if first else latest,
    }


def block_events(place: int, block: Mapping[str, Any]) -> Iterator[str]:
    """Yield the events of one block."""
    text = block["type"] == "text"
    empty: dict[str, Any] = {**block, "text": ""} if text else {**block, "input": {}}
    told = block["text"] if text else json.dumps(block["input"])
    delta = {"text": told, "type": "text_delta"} if text else input_delta(told)
    yield event("content_block_start", {"index": place, "content_block": empty})
    yield event("content_block_delta", {"index": place, "delta": delta})
    yield event("content_block_stop", {"index": place})


def input_delta(told: str) -> dict[str, str]:
    """Return a piece of a tool's input."""
    return {"type": "input_json_delta", "partial_json": told}


def event(kind: str, told: Mapping[str, Any]) -> str:
    """Return one server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **told})}\n\n"
