"""What can go wrong between us and a service; each is an ASGI app that answers one request."""

import json
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


def answering(status: int, body: object, headers: Mapping[str, str] | None = None) -> ASGIApp:
    """Answer with this, whatever was asked."""

    async def fault(scope: Scope, receive: Receive, send: Send) -> None:
        written = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        await send({"type": "http.response.start", "status": status, "headers": written})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    return fault


def bad_gateway() -> ASGIApp:
    """GitHub's unicorn."""
    return answering(502, {"message": "Server Error"})


def too_many_requests(retry_after: float | str) -> ASGIApp:
    """429 with `Retry-After`."""
    return answering(429, {"message": "Too many requests"}, {"retry-after": str(retry_after)})


def secondary_limit(retry_after: int | None = None) -> ASGIApp:
    """403 with the words GitHub uses, with or without `Retry-After`."""
    said = "You have exceeded a secondary rate limit. Please wait a few minutes."
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return answering(403, {"message": said}, headers)


def limit_used_up(resets_in: float) -> ASGIApp:
    """403: the hourly limit is used up, and begins anew so many seconds after the answer."""

    async def fault(scope: Scope, receive: Receive, send: Send) -> None:
        headers = used_up(resets_in)
        await answering(403, {"message": "API rate limit exceeded"}, headers)(scope, receive, send)

    return fault


def used_up(resets_in: float) -> dict[str, str]:
    """Return the headers of an hourly limit of which nothing is left."""
    reset = str(int(time.time() + resets_in))
    return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}


def truncated() -> ASGIApp:
    """An answer that breaks off in mid-body."""

    async def fault(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"5000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"status": "ah', "more_body": True})

    return fault


def half_json() -> ASGIApp:
    """A whole answer with half a document in it."""

    async def fault(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"status": "ah'})

    return fault


def dropped() -> ASGIApp:
    """A connection that closes without a word (uvicorn's own `send` knows its transport)."""

    async def fault(scope: Scope, receive: Receive, send: Send) -> None:
        send.__self__.transport.abort()  # type: ignore[attr-defined]

    return fault
