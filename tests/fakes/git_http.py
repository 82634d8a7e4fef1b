"""Repositories over loopback HTTP by git's own `http-backend`, for those who know the token.

`with git_http(folder, token) as git:` gives its address and what it was asked; `git.answer` makes
it refuse. See https://git-scm.com/docs/git-http-backend.
"""

import asyncio
import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.fakes.serving import serving


@dataclass
class GitHttp:
    """The server as a test sees it.

    `requests`: method and path with query; `authorizations`: the headers that came with them.
    `answer`: a status (and for 3xx a location) that everything is answered with.
    """

    folder: Path
    token: str | None
    url: str = ""
    requests: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    answer: tuple[int, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        body = await request.body()
        query = f"?{request.url.query}" if request.url.query else ""
        self.requests.append(f"{request.method} {request.url.path}{query}")
        self.authorizations.append(request.headers.get("authorization", ""))
        response = self.refusal(request) or await asyncio.to_thread(self.served, request, body)
        await response(scope, receive, send)

    def refusal(self, request: Request) -> Response | None:
        """Return how a request is refused; None where it is not."""
        if self.answer:
            status, location = self.answer
            return Response(status_code=status, headers={"location": location} if location else {})
        if self.token is None:
            return None
        wanted = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        if request.headers.get("authorization") == f"Basic {wanted}":
            return None
        return Response(status_code=401, headers={"www-authenticate": 'Basic realm="GitHub"'})

    def served(self, request: Request, body: bytes) -> Response:
        """Return what git's own program says."""
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=self.environment(request, body),
            capture_output=True,
            check=True,
        )
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split(" ")[0])
        return Response(rest, status_code=status, headers=headers)

    def environment(self, request: Request, body: bytes) -> dict[str, str]:
        """Return a request as CGI has it."""
        return {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "x-access-token",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.url.path,
            "QUERY_STRING": request.url.query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "HTTP_GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        }


@contextmanager
def git_http(folder: Path, token: str | None = None) -> Iterator[GitHttp]:
    """Serve the bare repositories below a folder; `token` None: to everybody."""
    fake = GitHttp(folder, token)
    with serving(fake) as url:
        fake.url = url
        yield fake
