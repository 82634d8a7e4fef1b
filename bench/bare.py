"""The least that any receiver does: a Starlette route that checks the signature and forgets."""

import hmac
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = os.environ.get("WEBHOOK_SECRET", "").encode()


async def webhook(request: Request) -> Response:
    """Answer 202 where the signature holds."""
    body = await request.body()
    expected = "sha256=" + hmac.digest(SECRET, body, "sha256").hex()
    holds = hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", ""))
    return JSONResponse({"ok": holds}, 202 if holds else 401)


app = Starlette(routes=[Route("/webhooks/github", webhook, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PORT"]),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        backlog=2048,
    )
