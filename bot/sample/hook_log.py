"""GitHub's own log of the deliveries that the sample's app did not take (docs.github.com/rest).

They happened while the demo was not running, so each of them failed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.sample.payloads import iso
from bot.sample.repositories import INSTALLATION_ID
from bot.sample.signing import by_github
from bot.sample.world import Delivery

FIRST_ID = 30_000_000_000
KEPT = timedelta(days=3)
PAGE, MOST = 30, 100


def routes(missed: Sequence[Delivery]) -> list[Route]:
    """Return the routes of the log; the newest entries come first, three days are kept."""
    entries = [(FIRST_ID + place, told) for place, told in enumerate(missed)]

    async def listed(request: Request) -> Response:
        query = dict(request.query_params)
        size = min(MOST, int(query.get("per_page", PAGE)))
        before = int(query.get("cursor") or FIRST_ID + len(missed))
        since = datetime.now(UTC) - KEPT
        older = [entry for entry in reversed(entries) if entry[0] < before and entry[1].at > since]
        shown, headers = older[:size], {}
        if len(older) > size:
            following = request.url.replace(query=urlencode(query | {"cursor": shown[-1][0]}))
            headers["link"] = f'<{following}>; rel="next"'
        return JSONResponse([entry(*each) for each in shown], headers=headers)

    async def one(request: Request) -> Response:
        place = int(request.path_params["id"]) - FIRST_ID
        if not 0 <= place < len(missed):
            return JSONResponse({"message": "Not Found"}, 404)
        told = missed[place]
        headers, _ = by_github(told, "")
        sent = {name: value for name, value in headers.items() if "signature" not in name}
        request_sent = {"headers": sent, "payload": told.payload}
        return JSONResponse(entry(FIRST_ID + place, told) | {"request": request_sent})

    return [
        Route("/app/hook/deliveries", listed),
        Route("/app/hook/deliveries/{id:int}", one),
    ]


def entry(number: int, told: Delivery) -> dict[str, Any]:
    """Return a line of the log."""
    repository = told.payload.get("repository") or {}
    return {
        "id": number,
        "guid": told.delivery_id,
        "delivered_at": iso(told.at),
        "redelivery": False,
        "duration": 0.01,
        "status": "failed to connect to host",
        "status_code": 502,
        "event": told.event,
        "action": told.payload.get("action"),
        "installation_id": INSTALLATION_ID,
        "repository_id": repository.get("id"),
    }
