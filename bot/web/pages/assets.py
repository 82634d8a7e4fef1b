"""Static files: read once, compressed once, and addressed by the hash of what is in them."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC = Path(__file__).parents[1] / "static"
SCRIPTS = ("vendor/htmx.min.js", "vendor/hx-sse.min.js", "app.js")
QUEUE_SCRIPTS = ("vendor/Sortable.min.js", "queue.js")
PARTS = {
    "app.js": SCRIPTS,
    "queue.js": QUEUE_SCRIPTS,
    "app.css": ("app.css",),
    "favicon.svg": ("favicon.svg",),
}
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A file as it is sent. `digest` changes whenever its content does."""

    content: bytes
    compressed: bytes
    digest: str
    media_type: str


@cache
def asset(name: str) -> Asset:
    """Read a file, or the files it is put together from; raise `KeyError` for an unknown one."""
    content = b"\n".join((STATIC / part).read_bytes() for part in PARTS[name])
    return Asset(
        content=content,
        compressed=gzip.compress(content, 9, mtime=0),
        digest=hashlib.sha256(content).hexdigest()[:16],
        media_type=TYPES[Path(name).suffix],
    )


def address(name: str) -> str:
    """Return the address of a file, which changes with its content."""
    return f"/static/{asset(name).digest}/{name}"


async def send(request: Request) -> Response:
    """`GET /static/{digest}/{name}`: cached for ever, or not at all under an outdated digest."""
    name, digest = request.path_params["name"], request.path_params["digest"]
    if name not in PARTS:
        return Response(status_code=404)
    found = asset(name)
    headers = {
        "Cache-Control": FOR_EVER if digest == found.digest else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(found.content, headers=headers, media_type=found.media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(found.compressed, headers=headers, media_type=found.media_type)


async def favicon(request: Request) -> Response:
    """`GET /favicon.ico`: for readers that look nowhere else."""
    return Response(asset("favicon.svg").content, media_type="image/svg+xml")


def routes() -> list[Route]:
    """Return the routes of the static files; they need no sign-in."""
    return [
        Route("/static/{digest}/{name}", send, name="static"),
        Route("/favicon.ico", favicon),
    ]
