"""The part of the fake GitHub's API that tells of its deliveries: `/app/hook/deliveries`."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.github_api import Denied, as_app
from tests.fakes.github_deliveries import FakeAttempt

PATH = "/app/hook/deliveries"


def log_routes() -> list[Route]:
    """Return the log's routes."""
    return [
        Route(PATH, listed),
        Route(PATH + "/{id:int}", recorded),
        Route(PATH + "/{id:int}/attempts", attempts, methods=["POST"]),
    ]


async def listed(request: Request) -> Response:
    """A page, with the `Link` that leads on."""
    log = as_app(request).log
    wanted, cursor = request.query_params.get("status"), request.query_params.get("cursor")
    found = log.newest_first()
    if wanted and log.filters:
        codes = range(400, 600) if wanted == "failure" else range(200, 400)
        found = [each for each in found if each.status_code in codes]
    if cursor:
        last = int(cursor.removeprefix("v1_"))
        at = next(index for index, each in enumerate(found) if each.id == last)
        found = found[at + 1 :]
    size = min(log.most_per_page, int(request.query_params.get("per_page", 30)))
    shown, headers = found[:size], dict(log.headers)
    if len(found) > size:
        following = request.url.include_query_params(cursor=f"v1_{shown[-1].id}")
        headers["link"] = f'<{following}>; rel="next"'
    return JSONResponse([each.listed() for each in shown], headers=headers)


def named(request: Request) -> FakeAttempt:
    """Return the attempt that a path names."""
    wanted = request.path_params["id"]
    for each in as_app(request).log.attempts:
        if each.id == wanted:
            return each
    raise Denied(404, "Not Found")


async def recorded(request: Request) -> Response:
    """One attempt in full."""
    attempt = named(request)
    if attempt.gone:
        raise Denied(404, "Not Found")
    return JSONResponse(attempt.told(), headers=as_app(request).log.headers)


async def attempts(request: Request) -> Response:
    """One more attempt: noted, for the test to make it."""
    attempt = named(request)
    as_app(request).log.again.append(attempt.id)
    return JSONResponse({}, 202)
