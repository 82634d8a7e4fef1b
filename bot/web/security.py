"""What every request passes, except webhooks: headers, CSRF, limits, and the last boundary.

CSRF as in <https://words.filippo.io/csrf/>: a browser says where a request comes from.
"""

import secrets
import time
from typing import Any
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.metrics import HTTP_SECONDS
from bot.settings import Settings
from bot.web.limiting import address_of, limit_api
from bot.web.problems import EXCEPTION_HANDLERS, Problem, problem, problem_response, told

__all__ = ["EXCEPTION_HANDLERS", "Problem", "Security", "problem", "problem_response"]

MAX_BODY_BYTES = 1024 * 1024
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
METHODS = (*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

log = structlog.get_logger()


class Security:
    """The middleware around everything but webhooks; the application's state is its only need."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request; other protocols pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        settings: Settings = scope["app"].state.settings
        request_id = secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"], state["client_address"] = request_id, address_of(scope, settings)
        guard = Guard(scope, receive, send, settings)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await guard.run(self.app)


class Guard:
    """One request on its way in and its response on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        self.request = Request(scope, self.receive)
        self.outer_receive, self.outer_send, self.settings = receive, send, settings
        self.taken, self.status = 0, 0

    async def run(self, app: ASGIApp) -> None:
        """Check the request, pass it on, and answer for what goes wrong."""
        started = time.perf_counter()
        try:
            await self.checked()
            await app(self.request.scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - the boundary of the web process
            await self.failed(error)
        finally:
            HTTP_SECONDS.labels(
                self.request.method if self.request.method in METHODS else "other",
                route_of(self.request.scope),
                str(self.status),
            ).observe(time.perf_counter() - started)

    async def checked(self) -> None:
        """Raise `Problem` for a request that must not go on."""
        size = self.request.headers.get("content-length", "0")
        if size.isdigit() and int(size) > MAX_BODY_BYTES:
            raise too_large()
        if "\0" in self.request.url.path or "%00" in self.request.url.query:
            raise Problem(400, "Bad Request", "An address cannot contain a NUL character.")
        if foreign(self.request, self.settings):
            raise Problem(403, "Forbidden", "This request was sent by another website.")
        if self.request.url.path.startswith("/api/"):
            await limit_api(self.request)

    async def receive(self) -> Message:
        """Read on, until the body is larger than anything we take."""
        message = await self.outer_receive()
        self.taken += len(message.get("body", b""))
        if self.taken > MAX_BODY_BYTES:
            raise too_large()
        return message

    async def send(self, message: Message) -> None:
        """Write our headers onto the response; what it says itself stays."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.write_headers(MutableHeaders(scope=message))
        await self.outer_send(message)

    def write_headers(self, headers: MutableHeaders) -> None:
        """Add the headers of UX.md; a page may state a policy of its own (the GitHub set-up)."""
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers["x-request-id"] = self.request.state.request_id
        if self.settings.secure:
            headers.setdefault("strict-transport-security", "max-age=31536000")
        if not self.request.url.path.startswith("/static/"):
            headers.setdefault("cache-control", "no-store")

    async def failed(self, error: Exception) -> None:
        """Log a bug and answer 500, or 503 while Postgres is away; problems say themselves."""
        fault = error if isinstance(error, Problem) else fault_of(error)
        if fault.status >= 500:
            log.error(
                "the request failed",
                method=self.request.method,
                path=loggable(self.request),
                exc_info=error,
            )
        if self.status:
            raise error
        await told(self.request, fault)(self.request.scope, self.receive, self.send)


def loggable(request: Request) -> str:
    """Return the path of a request, or its pattern where a token is a part of it."""
    pattern = route_of(request.scope)
    return pattern if "{token}" in pattern else request.url.path


def too_large() -> Problem:
    """Say that a body is beyond what is taken."""
    return Problem(413, "Content Too Large", "A request body may have 1 MiB at most.")


def fault_of(error: Exception) -> Problem:
    """Say what an unexpected error means to the person asking."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return Problem(
            503,
            "The database is away",
            "Nothing is lost. Try again in a few seconds.",
            headers={"retry-after": "5"},
        )
    return Problem(
        500, "Something went wrong", "It was written down. Try again, or tell us the id."
    )


def foreign(request: Request, settings: Settings) -> bool:
    """Say whether a browser sent this for another website, where that could do something.

    Sec-Fetch-Site decides; older browsers send Origin; neither: it is no browser. Requests with an
    Authorization header are exempt: no browser adds one by itself, and the cookie is not read then.
    """
    if request.method in SAFE_METHODS or "authorization" in request.headers:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return False
    ours = (settings.public_url, f"{request.url.scheme}://{request.headers.get('host', '')}")
    return origin not in [f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in ours]


def route_of(scope: Any) -> str:
    """Return the pattern of the route that answered, never the address itself."""
    route = scope.get("route")
    return str(getattr(route, "path", "") or "none")
