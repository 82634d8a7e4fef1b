"""A GitHub on the loopback interface that shows a log of failed deliveries, as fast as it can."""

import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qs
from uuid import UUID

import uvicorn
from pydantic_core import from_json, to_json
from starlette.types import Receive, Scope, Send

from bench.bodies import in_turn
from bot.sample.story import story

PATH, PAGE = "/app/hook/deliveries", 100
COUNT = int(os.environ.get("COUNT", "0"))
NEWEST = datetime.now(UTC) - timedelta(minutes=5)
SENT = {"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/bench"}
JSON = (b"content-type", b"application/json")


@lru_cache(maxsize=1)
def payloads() -> list[tuple[str, bytes]]:
    """Return what was sent, in turn: events and the answers that show them."""
    shown = [(event, {"request": {"headers": SENT, "payload": from_json(body)}})
             for event, body in in_turn(story().deliveries)]  # fmt: skip
    return [(event, to_json(told)) for event, told in shown]


def entry(number: int) -> dict[str, object]:
    """Return a line of the log; a greater number is newer."""
    event, _ = payloads()[number % len(payloads())]
    at = NEWEST - timedelta(seconds=COUNT - number)
    return {
        "id": number,
        "guid": str(UUID(int=number)),
        "delivered_at": at.isoformat(),
        "redelivery": False,
        "status": "failed to connect to host",
        "status_code": 502,
        "event": event,
        "action": "opened" if event == "pull_request" else None,
    }


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the two questions that are asked of a log."""
    headers, path = [JSON], scope["path"]
    if path == PATH:
        query = parse_qs(scope["query_string"].decode())
        newest = int(query.get("cursor", [str(COUNT)])[0])
        oldest = max(newest - PAGE, 0)
        body = to_json([entry(number) for number in range(newest, oldest, -1)])
        if oldest:
            headers.append((b"link", f'<http://x{PATH}?cursor={oldest}>; rel="next"'.encode()))
    else:
        body = payloads()[int(path.rpartition("/")[2]) % len(payloads())][1]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    payloads()
    port = int(os.environ["PORT"])
    uvicorn.run(app, port=port, access_log=False, log_level="warning", lifespan="off")
