"""A scripted Messages API over loopback HTTP, as strict as the real one about what it is sent.

    with fake_anthropic([says("Hello."), calls("bash", command="ls")]) as fake:
        settings(anthropic_base_url=fake.url, anthropic_api_key="key")

A script is a list of turns, or a function of the request's body that returns one. A turn is a dict:
`content` (blocks; ids and signatures are filled in), `stop_reason` (else guessed), `stop_details`,
`usage` (else plausible, with a cache), `model`, `expect` (a function of the body that asserts) ·
`error` (a status) with `type`, `message`, `details`, `retry_after`, `headers` ·
`midstream` (the type of an error event after the content) · `drop` (the socket is closed after so
many events; True: in the middle) · `cut` (the stream ends properly, but too early, after so many
events) · `silent` (nothing more comes after so many events; 0: not even the headers) · `pings`
(how many pings come, `ping_seconds` apart, before the answer) · `seconds` (waited before all).
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.anthropic_rules import Wrong, check, signed
from tests.fakes.serving import serving

Turn = Mapping[str, Any]
Script = Sequence[Turn] | Callable[[dict[str, Any]], Turn]
Block = dict[str, Any]

MODELS = [
    {"id": "claude-opus-5-5", "display_name": "Claude Opus 5.5"},
    {"id": "claude-sonnet-5-5", "display_name": "Claude Sonnet 5.5"},
    {
        "id": "claude-sonnet-4-5-20250929",
        "display_name": "Claude Sonnet 4.5",
        "lifecycle": "deprecated",
        "deprecated_at": "2026-05-28T00:00:00Z",
        "retires_at": "2026-11-30T00:00:00Z",
    },
]
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True)
class Heard:
    """One request as it came."""

    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Fake:
    """The server: what it was asked (`requests`), and what was wrong with that (`errors`)."""

    script: Script
    models: list[dict[str, Any]] = field(default_factory=lambda: [dict(each) for each in MODELS])
    requests: list[Heard] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    url: str = ""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    cached: list[str] = field(default_factory=list)
    paused: bool = False

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the requests, in order."""
        return [each.body for each in self.requests]

    def turn(self, body: dict[str, Any]) -> Turn:
        """Return what the script says to a request."""
        if callable(self.script):
            return self.script(body)
        if len(self.requests) > len(self.script):
            self.errors.append(f"request {len(self.requests)}: the script has no more turns")
            return {
                "error": 500,
                "message": "no more turns",
                "headers": {"x-should-retry": "false"},
            }
        return self.script[len(self.requests) - 1]


@contextmanager
def fake_anthropic(script: Script) -> Iterator[Fake]:
    """Serve a script; yield the fake with its address."""
    fake = Fake(script)
    with serving(app_of(fake)) as fake.url:
        yield fake


def says(text: str, **more: Any) -> dict[str, Any]:
    """Return a turn that says something and ends."""
    return {"content": [{"type": "text", "text": text}], **more}


def calls(name: str, /, say: str = "", **arguments: Any) -> dict[str, Any]:
    """Return a turn that uses one tool."""
    said = [{"type": "text", "text": say}] if say else []
    return {"content": [*said, {"type": "tool_use", "name": name, "input": arguments}]}


def app_of(fake: Fake) -> Starlette:
    """Return the API as an app."""

    async def messages(request: Request) -> Response:
        body = await request.json()
        fake.requests.append(Heard(dict(request.headers), body))
        if not (request.headers.get("x-api-key") or request.headers.get("authorization")):
            return failure(401, {"message": "x-api-key header is required"})
        try:
            check(body, paused=fake.paused)
        except Wrong as wrong:
            fake.errors.append(f"request {len(fake.requests)}: {wrong}")
            return failure(400, {"message": str(wrong)})
        return await answer(fake, request, body)

    async def count(request: Request) -> Response:
        return JSONResponse({"input_tokens": tokens(await request.body())})

    async def models(request: Request) -> Response:
        listed = [described(each) for each in fake.models]
        ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]} if listed else {}
        return JSONResponse({"data": listed, "has_more": False, **ends})

    return Starlette(
        routes=[
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", count, methods=["POST"]),
            Route("/v1/models", models),
        ]
    )


def described(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return one entry of the list of models."""
    return {
        "type": "model",
        "created_at": "2026-09-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 1_000_000,
        "max_tokens": 128_000,
        **model,
    }


async def answer(fake: Fake, request: Request, body: dict[str, Any]) -> Response:
    """Answer a request as its turn says."""
    turn = fake.turn(body)
    if "expect" in turn:
        try:
            turn["expect"](body)
        except AssertionError as error:
            fake.errors.append(f"request {len(fake.requests)}: {error}")
    await asyncio.sleep(turn.get("seconds", 0))
    if "error" in turn:
        return failure(turn["error"], turn)
    if turn.get("silent") == 0:
        await until_gone(request)
    message = message_of(fake, turn, body)
    fake.paused = message["stop_reason"] == "pause_turn"
    sent = stream(request, turn, events(turn, message))
    headers = {"request-id": f"req_{len(fake.requests)}"}
    return StreamingResponse(sent, media_type="text/event-stream", headers=headers)


def failure(status: int, turn: Turn) -> Response:
    """Return an error in the API's form."""
    error = {
        "type": turn.get("type", TYPES.get(status, "api_error")),
        "message": turn.get("message", "scripted"),
    }
    if "details" in turn:
        error["details"] = turn["details"]
    headers = {"request-id": "req_failed", **turn.get("headers", {})}
    if "retry_after" in turn:
        headers["retry-after"] = str(turn["retry_after"])
    return JSONResponse({"type": "error", "error": error}, status, headers)


async def until_gone(request: Request) -> None:
    """Say nothing until the other side has had enough."""
    while not await request.is_disconnected():  # noqa: ASYNC110 - the protocol has no event
        await asyncio.sleep(0.01)


def message_of(fake: Fake, turn: Turn, body: dict[str, Any]) -> dict[str, Any]:
    """Return the whole message that a turn answers with."""
    content = [completed(fake, block) for block in turn.get("content", [])]
    uses = any(block["type"] == "tool_use" for block in content)
    return {
        "id": f"msg_{len(fake.requests)}",
        "type": "message",
        "role": "assistant",
        "model": turn.get("model", body["model"]),
        "content": content,
        "stop_reason": turn.get("stop_reason") or ("tool_use" if uses else "end_turn"),
        "stop_sequence": None,
        "stop_details": turn.get("stop_details"),
        "usage": {**used(fake, body, content), **turn.get("usage", {})},
    }


def completed(fake: Fake, block: Block) -> Block:
    """Return a block with what the API adds: an id, a signature."""
    if block["type"] == "tool_use":
        return {"id": f"toolu_{next(fake.ids):06d}", **block}
    if block["type"] == "thinking":
        return {"signature": signed(block["thinking"]), **block}
    return block


def used(fake: Fake, body: dict[str, Any], content: Sequence[Block]) -> dict[str, int]:
    """Return plausible usage: what was sent before is read from the cache, the rest is written."""
    parts = [body.get("tools", []), body.get("system", ""), *body["messages"]]
    prefix = body["model"] + "".join(json.dumps(part) for part in parts)
    total = tokens(prefix)
    if "cache_control" not in json.dumps(body):
        fresh, read, written = total, 0, 0
    else:
        seen = max((len(each) for each in fake.cached if prefix.startswith(each)), default=0)
        read, fresh = seen // 4, 4
        written = max(0, total - read)
        fake.cached.append(prefix)
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": tokens(json.dumps(list(content))),
    }


def tokens(said: str | bytes) -> int:
    """Return about how many tokens a text has."""
    return len(said) // 4 + 1


def events(turn: Turn, message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a streamed message."""
    begun = {**message["usage"], "output_tokens": 1}
    empty = {"content": [], "stop_reason": None, "stop_details": None, "usage": begun}
    yield "message_start", {"message": {**message, **empty}}
    for n, block in enumerate(message["content"]):
        start, deltas = pieces(block)
        yield "content_block_start", {"index": n, "content_block": start}
        for delta in deltas:
            yield "content_block_delta", {"index": n, "delta": delta}
        yield "content_block_stop", {"index": n}
    if "midstream" in turn:
        error = {"type": turn["midstream"], "message": turn.get("message", "scripted")}
        yield "error", {"error": error}
        return
    end = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield "message_delta", {"delta": end, "usage": message["usage"]}
    yield "message_stop", {}


def pieces(block: Block) -> tuple[Block, list[Block]]:
    """Return how a block begins, and the pieces that follow."""
    if block["type"] == "text":
        said = chunks(block["text"], 40)
        return {"citations": None, **block, "text": ""}, [
            {"type": "text_delta", "text": each} for each in said
        ]
    if block["type"] == "tool_use":
        written = block.get("partial_json") or json.dumps(block["input"])
        named = {name: block[name] for name in ("type", "id", "name")}
        start = {**named, "input": {}, "caller": {"type": "direct"}}
        deltas = chunks(written, 40)
        return start, [{"type": "input_json_delta", "partial_json": each} for each in deltas]
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}, [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    return block, []


def chunks(said: str, size: int) -> list[str]:
    """Cut a text into pieces."""
    return [said[at : at + size] for at in range(0, len(said), size)]


async def stream(
    request: Request, turn: Turn, told: Iterator[tuple[str, dict[str, Any]]]
) -> AsyncIterator[str]:
    """Send events, as long as the turn lets them be sent."""
    for _ in range(turn.get("pings", 0)):
        yield written("ping", {})
        await asyncio.sleep(turn.get("ping_seconds", 0.01))
    all_of_them = list(told)
    middle = len(all_of_them) // 2
    for n, (name, data) in enumerate(all_of_them):
        if n == at(turn, "drop", middle):
            raise ConnectionResetError("the script drops the connection")
        if n == at(turn, "cut", middle):
            return
        if n == at(turn, "silent", middle):
            await until_gone(request)
            return
        yield written(name, data)


def at(turn: Turn, name: str, middle: int) -> int | None:
    """Return before which event something happens; True means in the middle."""
    return middle if turn.get(name) is True else turn.get(name)


def written(name: str, data: dict[str, Any]) -> str:
    """Return one server-sent event."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n"
