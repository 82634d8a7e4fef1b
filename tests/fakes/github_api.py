"""The fake GitHub's API: what it answers, and whom it believes (docs.github.com/rest)."""

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.fakes.github import FakeCommit, FakeGitHub, FakeRepository, app_key, pem

LONGEST_JWT_SECONDS = 600
Item = TypeVar("Item")
LEVELS = ("", "read", "write")
Answer = Callable[[Request], Awaitable[Response]]


class Written(JSONResponse):
    """JSON in ASCII, which can say even what is no Unicode."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


class Denied(Exception):  # noqa: N818 - it is an answer
    """An answer other than the one that was hoped for."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.response: Response = JSONResponse({"message": message}, status, headers)


def github_api(state: FakeGitHub) -> ASGIApp:
    """The API of a GitHub in this state: notes each request, errs where told to, answers."""
    from tests.fakes.github_log import log_routes
    from tests.fakes.github_working import working_routes

    app = Starlette(
        routes=[
            Route("/app", about_app),
            Route("/app/hook/config", about_hook),
            Route("/app/installations/{id:int}", installation),
            Route("/app/installations/{id:int}/access_tokens", access_token, methods=["POST"]),
            Route("/app-manifests/{code}/conversions", conversion, methods=["POST"]),
            Route("/orgs/{organization}/teams", teams),
            Route("/orgs/{organization}/teams/{slug}/{what}", of_team),
            Route("/repos/{owner}/{name}", about_repository),
            Route("/repos/{owner}/{name}/compare/{basehead:path}", compare),
            Route("/repos/{owner}/{name}/pulls/{number:int}/commits", pull_request_commits),
            *working_routes(),
            *log_routes(),
        ],
        exception_handlers={Denied: denied, 404: not_found},
    )
    app.state.github = state

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        line = line_of(Request(scope))
        state.requests.append(line)
        await (state.fault_for(line) or app)(scope, receive, send)

    return noted


def line_of(request: Request) -> str:
    """Return a request as one line; `per_page` and the like are left out."""
    page = request.query_params.get("page")
    return f"{request.method} {request.url.path}" + (f" page={page}" if page else "")


async def denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, Denied)
    return error.response


async def not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"message": "Not Found"}, 404)


def state_of(request: Request) -> FakeGitHub:
    state: FakeGitHub = request.app.state.github
    return state


def as_app(request: Request) -> FakeGitHub:
    """Believe the app when its JWT is signed, RS256, and lasts ten minutes at most."""
    state = state_of(request)
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(
            token,
            state.key.public_key(),
            algorithms=["RS256"],
            issuer=str(state.app_id),
            options={"require": ["iat", "exp", "iss"]},
        )
    except jwt.PyJWTError as error:
        raise Denied(401, "A JSON web token could not be decoded") from error
    if claims["exp"] - claims["iat"] > LONGEST_JWT_SECONDS or claims["iat"] > time.time():
        raise Denied(401, "'Expiration time' claim ('exp') is too far in the future")
    return state


def as_installation(request: Request, permission: str, level: str = "read") -> FakeGitHub:
    """Believe an installation whose token lasts and grants the permission."""
    state = state_of(request)
    token = request.headers.get("authorization", "").removeprefix("token ")
    installation_id, expires_at = state.tokens.get(token, (0, datetime.min.replace(tzinfo=UTC)))
    if datetime.now(UTC) >= expires_at:
        raise Denied(401, "Bad credentials")
    granted, repositories = state.narrowed.get(token, (state.permissions[installation_id], ()))
    if repositories and request.path_params.get("name") not in repositories:
        raise Denied(404, "Not Found")
    if LEVELS.index(granted.get(permission, "")) < LEVELS.index(level):
        needed = {"x-accepted-github-permissions": f"{permission}={level}"}
        raise Denied(403, "Resource not accessible by integration", needed)
    return state


def granted(request: Request, state: FakeGitHub) -> dict[str, str]:
    """Return the permissions of the installation that the path names."""
    permissions = state.permissions.get(request.path_params["id"])
    if permissions is None:
        raise Denied(404, "Not Found")
    return permissions


async def about_app(request: Request) -> Response:
    state = as_app(request)
    address = f"{state.url}/apps/veelocity"
    body = {"id": state.app_id, "slug": state.slug, "name": "Veelocity", "html_url": address}
    return JSONResponse(
        body | {"permissions": state.permissions.get(42, {}), "events": state.events}
    )


async def about_hook(request: Request) -> Response:
    return JSONResponse({"url": as_app(request).hook_url, "content_type": "json"})


async def installation(request: Request) -> Response:
    permissions = granted(request, as_app(request))
    return JSONResponse({"id": request.path_params["id"], "permissions": permissions})


async def access_token(request: Request) -> Response:
    state = as_app(request)
    permissions = granted(request, state)
    expires_at = datetime.now(UTC) + state.token_lasts
    token = f"ghs_{secrets.token_hex(20)}"
    if asked := await request.body():
        permissions = narrow(state, token, json.loads(asked), permissions)
    state.tokens[token] = (request.path_params["id"], expires_at)
    said = expires_at.strftime(state.expires_at)
    body = {"token": token, "expires_at": said, "permissions": permissions}
    return JSONResponse(body, 201, state.last_answer)


def narrow(
    state: FakeGitHub, token: str, asked: dict[str, Any], granted: dict[str, str]
) -> dict[str, str]:
    """Return a new token's permissions: what was asked for, if the installation grants it."""
    wanted: dict[str, str] = asked.get("permissions", granted)
    if any(LEVELS.index(granted.get(k, "")) < LEVELS.index(v) for k, v in wanted.items()):
        raise Denied(422, "The permissions requested are not granted to this installation.")
    known = {full_name.partition("/")[2] for full_name in state.repositories}
    if not set(asked.get("repositories", ())) <= known:
        raise Denied(422, "There is at least one repository that does not exist.")
    state.narrowed[token] = (wanted, tuple(asked.get("repositories", ())))
    return wanted


async def conversion(request: Request) -> Response:
    """A code works once."""
    state, code = state_of(request), request.path_params["code"]
    if code not in state.manifests:
        raise Denied(404, "Not Found")
    state.manifests.remove(code)
    return JSONResponse(
        {
            "id": 99,
            "slug": "veelocity-acme",
            "name": "Veelocity",
            "html_url": "https://github.com/apps/veelocity-acme",
            "pem": pem(app_key(1)),
            "webhook_secret": "hook-secret-of-99",
            "client_id": "Iv1.99",
            "client_secret": "client-secret-of-99",
            "owner": {"login": "acme"},
        },
        201,
    )


def repository_of(request: Request, permission: str, level: str = "read") -> FakeRepository:
    """Return the repository a path names, redirecting from its former name."""
    state = as_installation(request, permission, level)
    full_name = f"{request.path_params['owner']}/{request.path_params['name']}"
    if now := state.renamed.get(full_name):
        moved = Denied(301, "Moved Permanently")
        target = str(request.url).replace(f"/repos/{full_name}", f"/repos/{now}", 1)
        moved.response = RedirectResponse(target, 301)
        raise moved
    if full_name not in state.repositories:
        raise Denied(404, "Not Found")
    return state.repositories[full_name]


async def teams(request: Request) -> Response:
    state = as_installation(request, "members")
    listed = [
        {"id": number, "name": slug.title(), "slug": slug}
        for number, slug in enumerate(state.teams, 1)
    ]
    shown, headers = paged(request, listed, 100)
    return JSONResponse(shown, headers=headers)


async def of_team(request: Request) -> Response:
    state = as_installation(request, "members")
    if request.path_params["slug"] not in state.teams:
        raise Denied(404, "Not Found")
    logins, repositories = state.teams[request.path_params["slug"]]
    items: list[dict[str, Any]] = [{"login": login} for login in logins]
    if request.path_params["what"] == "repos":
        items = [{"id": state.repositories[name].id, "full_name": name} for name in repositories]
    shown, headers = paged(request, items, 100)
    return JSONResponse(shown, headers=headers)


async def about_repository(request: Request) -> Response:
    repository = repository_of(request, "metadata")
    return JSONResponse({"id": repository.id, "full_name": repository.full_name})


async def compare(request: Request) -> Response:
    repository = repository_of(request, "contents")
    base, dots, head = request.path_params["basehead"].partition("...")
    if not dots or base not in repository.commits or head not in repository.commits:
        raise Denied(404, "Not Found")
    ahead, behind = repository.between(base, head), repository.between(head, base)
    if not repository.ancestors(base) & repository.ancestors(head):
        raise Denied(404, f"No common ancestor between {base} and {head}.")
    shown, headers = paged(request, ahead, state_of(request).most_per_page)
    return Written(
        {
            "status": status(bool(ahead), bool(behind)),
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [written(commit) for commit in shown],
            "files": [],
        },
        headers=headers | state_of(request).last_answer,
    )


def status(ahead: bool, behind: bool) -> str:
    if ahead and behind:
        return "diverged"
    if ahead:
        return "ahead"
    return "behind" if behind else "identical"


async def pull_request_commits(request: Request) -> Response:
    repository = repository_of(request, "pull_requests")
    shas = repository.pull_requests.get(request.path_params["number"])
    if shas is None:
        raise Denied(404, "Not Found")
    shown, headers = paged(request, [repository.commits[sha] for sha in shas[:250]], 100)
    return JSONResponse([written(commit) for commit in shown], headers=headers)


def written(commit: FakeCommit) -> dict[str, Any]:
    """Return a commit as the API writes it."""
    at = commit.authored_at
    date = at if isinstance(at, str) else at.strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = {"name": commit.author_name, "email": "a@example.org", "date": date}
    return {
        "sha": commit.sha,
        "commit": {"author": signature, "committer": signature, "message": commit.message},
        "author": {"login": commit.author_login} if commit.author_login else None,
        "parents": [{"sha": sha} for sha in commit.parents],
    }


def paged(
    request: Request, items: Sequence[Item], most: int
) -> tuple[Sequence[Item], dict[str, str]]:
    """Return the page asked for, and the `Link` that leads on."""
    page = int(request.query_params.get("page", 1))
    size = min(most, int(request.query_params.get("per_page", 30)))
    last = max(1, -(-len(items) // size))
    shown = items[(page - 1) * size : page * size]
    if page >= last:
        return shown, {}
    links = {"next": page + 1, "last": last}
    return shown, {
        "link": ", ".join(
            f'<{request.url.include_query_params(page=number)}>; rel="{name}"'
            for name, number in links.items()
        )
    }
