"""A scripted Gemini API (streamGenerateContent) over loopback HTTP, strict about signatures.

Turns are those of `tests.fakes.anthropic` (content of text, thinking and tool_use; `error`, `drop`,
`cut`, `silent`, `usage`, `stop_reason`). <https://ai.google.dev/api/generate-content>
"""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.anthropic import Block, Fake, Heard, Script, Turn, at, until_gone
from tests.fakes.anthropic_rules import Wrong
from tests.fakes.serving import serving

STATUSES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
REASONS = {"max_tokens": "MAX_TOKENS", "refusal": "SAFETY"}


@contextmanager
def fake_gemini(script: Script) -> Iterator[Fake]:
    """Serve a script; yield the fake with its address."""
    fake = Fake(script)

    async def generate(request: Request) -> Response:
        body = await request.json()
        fake.requests.append(Heard(dict(request.headers), body))
        try:
            check(request, body)
        except Wrong as wrong:
            fake.errors.append(f"request {len(fake.requests)}: {wrong}")
            return failure({"error": 400, "message": str(wrong)})
        turn = fake.turn(body)
        if "error" in turn:
            return failure(turn)
        if turn.get("silent") == 0:
            await until_gone(request)
        model = request.path_params["model"]
        sent = stream(request, turn, list(chunks(turn, model)))
        return StreamingResponse(sent, media_type="text/event-stream")

    path = "/v1beta/models/{model}:streamGenerateContent"
    with serving(Starlette(routes=[Route(path, generate, methods=["POST"])])) as fake.url:
        yield fake


def failure(turn: Turn) -> Response:
    """Return an error in the API's form."""
    status = turn["error"]
    error = {
        "code": status,
        "message": turn.get("message", "scripted"),
        "status": turn.get("type", STATUSES.get(status, "UNKNOWN")),
        "details": turn.get("details", []),
    }
    headers = {"retry-after": str(turn["retry_after"])} if "retry_after" in turn else {}
    return JSONResponse({"error": error}, status, headers)


def check(request: Request, body: dict[str, Any]) -> None:
    """Raise `Wrong` as the API would for a conversation that does not fit together."""
    if not request.headers.get("x-goog-api-key") or "key" in request.query_params:
        raise Wrong("the key has to come in a header")
    contents = body["contents"]
    for n, content in enumerate(contents):
        calls = [part for part in content["parts"] if "functionCall" in part]
        if not calls:
            continue
        if calls[0].get("thoughtSignature") != signature(calls[0]["functionCall"]["name"]):
            raise Wrong("Function call is missing a thought_signature in functionCall parts.")
        after = contents[n + 1]["parts"] if n + 1 < len(contents) else []
        answers = [part for part in after if "functionResponse" in part]
        if len(answers) != len(calls):
            raise Wrong("the number of function response parts is not that of the calls")


def signature(name: str) -> str:
    """Return the signature of a thought that led to a call."""
    return base64.b64encode(f"signed {name}".encode()).decode()


def chunks(turn: Turn, model: str) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed answer."""
    usage = {"input_tokens": 100, "output_tokens": 20, "cached": 0, **turn.get("usage", {})}
    counted = {
        "promptTokenCount": usage["input_tokens"],
        "cachedContentTokenCount": usage["cached"],
        "candidatesTokenCount": usage["output_tokens"] - 5,
        "thoughtsTokenCount": 5,
        "totalTokenCount": usage["input_tokens"] + usage["output_tokens"],
    }
    more = {"modelVersion": model, "responseId": "resp_1", "usageMetadata": counted}
    for block in turn.get("content", []):
        content = {"role": "model", "parts": [part_of(block)]}
        yield {"candidates": [{"content": content, "index": 0}], **more}
    reason = REASONS.get(turn.get("stop_reason", ""), "STOP")
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": reason}
    yield {"candidates": [{**last, "index": 0}], **more}


def part_of(block: Block) -> dict[str, Any]:
    """Return a part of an answer."""
    if block["type"] == "thinking":
        return {"text": block["thinking"], "thought": True}
    if block["type"] == "tool_use":
        call = {"name": block["name"], "args": block["input"]}
        return {"functionCall": call, "thoughtSignature": signature(block["name"])}
    return {"text": block["text"]}


async def stream(request: Request, turn: Turn, told: list[dict[str, Any]]) -> AsyncIterator[str]:
    """Send chunks, as long as the turn lets them be sent."""
    middle = len(told) // 2
    for n, chunk in enumerate(told):
        if n == at(turn, "drop", middle):
            raise ConnectionResetError("the script drops the connection")
        if n == at(turn, "cut", middle):
            return
        if n == at(turn, "silent", middle):
            await until_gone(request)
            return
        yield f"data: {json.dumps(chunk)}\r\n\r\n"
