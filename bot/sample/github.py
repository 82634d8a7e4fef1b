"""A loopback stand-in for GitHub's API (docs.github.com/rest), answering from a story.

Only what Veelocity asks of it, under `/` as on github.com and under `/api/v3` as on an
Enterprise Server. Any token will do: nothing here is secret, and nothing can be changed.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from bot.sample import hook_log
from bot.sample.graph import Commit, Graph, between, merge_base
from bot.sample.payloads import OWNER, iso
from bot.sample.people import GITHUB, Person, user
from bot.sample.repositories import APP_ID, PLANS
from bot.sample.story import SampleRepository, Story
from bot.sample.workflow_files import FILES, SAID

T = TypeVar("T")
COMPARE_PAGE = 250
PAGE, MOST = 30, 100
TOKEN_LASTS = timedelta(hours=1)
RATES = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999", "x-ratelimit-used": "1"}


@dataclass(frozen=True)
class Known:
    """What the stand-in answers from; `by_name` has former names too."""

    story: Story
    by_name: Mapping[str, SampleRepository]
    by_id: Mapping[int, SampleRepository]


def github(story: Story) -> Starlette:
    """The app to serve on a loopback port."""
    by_name = {r.full_name: r for r in story.repositories}
    former = {name: r for r in story.repositories for name in r.former_names}
    routes = [*hook_log.routes(story.missed), *_routes()]
    app = Starlette(routes=[Mount("/api/v3", routes=routes), *routes])
    app.state.known = Known(story, by_name | former, {r.id: r for r in story.repositories})
    return app


def _routes() -> list[Route]:
    repository_routes = (
        ("", _repository),
        ("/compare/{basehead:path}", _compare),
        ("/git/ref/heads/main", _main),
        ("/pulls/{number:int}/commits", _pull_commits),
        ("/commits/{sha}/pulls", _commit_pulls),
        ("/contents/.github/workflows/{file}", _workflow_file),
        ("/check-runs/{job:int}/annotations", _annotations),
    )
    return [
        Route("/app", _app),
        Route("/app/installations", _installations),
        Route("/app/installations/{id:int}", _installation),
        Route("/app/installations/{id:int}/access_tokens", _token, methods=["POST"]),
        Route("/installation/repositories", _repositories),
        *(Route(f"/repos/{{owner}}/{{name}}{end}", answer) for end, answer in repository_routes),
        *(Route(f"/repositories/{{id:int}}{end}", answer) for end, answer in repository_routes),
        Route("/{path:path}", _missing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


def _known(request: Request) -> Known:
    known: Known = request.app.state.known
    return known


def _json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(body, status, {**RATES, **(headers or {})})


async def _missing(request: Request) -> Response:
    body = {
        "message": "Not Found",
        "documentation_url": "https://docs.github.com/rest",
        "status": "404",
    }
    return _json(body, 404)


async def _app(request: Request) -> Response:
    whole = _known(request).story.installation
    about = {"id": APP_ID, "slug": whole["app_slug"], "name": "Veelocity", "owner": OWNER}
    page = {"html_url": "https://github.com/apps/veelocity", "installations_count": 1}
    return _json(about | page | {"permissions": whole["permissions"], "events": whole["events"]})


async def _installations(request: Request) -> Response:
    return _json([_known(request).story.installation])


async def _installation(request: Request) -> Response:
    whole = _known(request).story.installation
    if request.path_params["id"] != whole["id"]:
        return await _missing(request)
    return _json(whole)


async def _token(request: Request) -> Response:
    whole = _known(request).story.installation
    if request.path_params["id"] != whole["id"]:
        return await _missing(request)
    token = {
        "token": "ghs_sample",
        "expires_at": iso(datetime.now(UTC) + TOKEN_LASTS),
        "permissions": whole["permissions"],
        "repository_selection": whole["repository_selection"],
    }
    return _json(token, 201)


async def _repositories(request: Request) -> Response:
    every = [r.payload for r in _known(request).story.repositories]
    shown, headers = _page(request, every)
    return _json({"total_count": len(every), "repositories": shown}, 200, headers)


def _found(request: Request) -> SampleRepository | Response | None:
    """The repository asked for; a redirection when it has another name today."""
    known, path = _known(request), request.path_params
    if "id" in path:
        return known.by_id.get(path["id"])
    name = f"{path['owner']}/{path['name']}"
    repo = known.by_name.get(name)
    if repo is None or repo.full_name == name:
        return repo
    here, there = f"/repos/{name}", f"/repositories/{repo.id}"
    target = str(request.url).replace(here, there, 1)
    body = {"message": "Moved Permanently", "url": target}
    return _json(body, 301, {"Location": target})


async def _repository(request: Request) -> Response:
    repo = _found(request)
    if isinstance(repo, SampleRepository):
        return _json(repo.payload)
    return repo or await _missing(request)


async def _main(request: Request) -> Response:
    """Where main is when the story is over."""
    repo = _found(request)
    if not isinstance(repo, SampleRepository):
        return repo or await _missing(request)
    return _json({"ref": "refs/heads/main", "object": {"type": "commit", "sha": repo.head}})


async def _compare(request: Request) -> Response:
    """`base...head`: what head has and base has not, oldest first (three dots: R3's question)."""
    repo = _found(request)
    if not isinstance(repo, SampleRepository):
        return repo or await _missing(request)
    graph = _known(request).story.graph[repo.full_name]
    base, dots, head = request.path_params["basehead"].partition("...")
    ends = [repo.head if ref == "main" else ref for ref in (base, head)]
    if not dots or not all(sha in graph for sha in ends):
        return await _missing(request)
    meeting = merge_base(graph, *ends)
    if meeting is None:
        return await _missing(request)
    return _comparison(request, repo, graph, (ends[0], ends[1]), meeting)


def _comparison(
    request: Request, repo: SampleRepository, graph: Graph, ends: tuple[str, str], meeting: Commit
) -> Response:
    base, head = ends
    ahead, behind = between(graph, [base], head), between(graph, [head], base)
    shown, headers = _page(request, ahead, COMPARE_PAGE, COMPARE_PAGE)
    page = f"https://github.com/{repo.full_name}/compare/{base}...{head}"
    body = {
        "url": str(request.url),
        "html_url": page,
        "base_commit": _commit(repo, graph[base]),
        "merge_base_commit": _commit(repo, meeting),
        "status": _status(bool(ahead), bool(behind)),
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [_commit(repo, commit) for commit in shown],
        "files": [],
    }
    return _json(body, 200, headers)


def _status(ahead: bool, behind: bool) -> str:
    if ahead and behind:
        return "diverged"
    if ahead:
        return "ahead"
    return "behind" if behind else "identical"


async def _pull_commits(request: Request) -> Response:
    repo = _found(request)
    if not isinstance(repo, SampleRepository):
        return repo or await _missing(request)
    graph = _known(request).story.graph[repo.full_name]
    shas = repo.pulls.get(request.path_params["number"])
    if shas is None:
        return await _missing(request)
    shown, headers = _page(request, shas)
    return _json([_commit(repo, graph[sha]) for sha in shown], 200, headers)


async def _commit_pulls(request: Request) -> Response:
    """The pull request that brought a commit to main, or has it as its own."""
    repo = _found(request)
    if not isinstance(repo, SampleRepository):
        return repo or await _missing(request)
    sha = request.path_params["sha"]
    if sha not in _known(request).story.graph[repo.full_name]:
        return await _missing(request)
    return _json([_pull(repo, number) for number in repo.pulls_of(sha)])


async def _workflow_file(request: Request) -> Response:
    """A workflow's file, which no commit of the story changes."""
    repo = _found(request)
    if not isinstance(repo, SampleRepository):
        return repo or await _missing(request)
    plan = next(plan for plan in PLANS if plan.id == repo.id)
    file = request.path_params["file"]
    content = FILES[plan.name].get(file, "").encode()
    if not content:
        return await _missing(request)
    sha = hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
    body = {
        "type": "file",
        "name": file,
        "path": f".github/workflows/{file}",
        "sha": sha,
        "size": len(content),
        "encoding": "base64",
        "content": b64encode(content).decode(),
    }
    return _json(body, 200, {"etag": f'W/"{sha}"'})


async def _annotations(request: Request) -> Response:
    """What a failed job says of where it failed."""
    repo = _found(request)
    if not isinstance(repo, SampleRepository):
        return repo or await _missing(request)
    path, line, said = SAID[request.path_params["job"] % len(SAID)]
    place = {"path": path, "start_line": line, "end_line": line}
    return _json([{**place, "annotation_level": "failure", "message": said}])


def _pull(repo: SampleRepository, number: int) -> dict[str, Any]:
    page = f"https://github.com/{repo.full_name}/pull/{number}"
    merged = [sha for sha, pr in repo.merges.items() if pr == number]
    return {
        "number": number,
        "html_url": page,
        "merge_commit_sha": merged[0] if merged else None,
        "state": "closed" if merged else "open",
    }


def _commit(repo: SampleRepository, commit: Commit) -> dict[str, Any]:
    """A commit as the API writes it."""
    url = f"https://api.github.com/repos/{repo.full_name}/commits/{commit.sha}"
    page = f"https://github.com/{repo.full_name}/commit/{commit.sha}"
    return {
        "sha": commit.sha,
        "url": url,
        "html_url": page,
        "commit": {
            "author": _signature(commit.author, commit.authored_at),
            "committer": _signature(commit.committer, commit.committed_at),
            "message": commit.message,
            "tree": {"sha": commit.tree},
            "comment_count": 0,
        },
        "author": user(commit.author),
        "committer": user(commit.committer),
        "parents": [{"sha": sha} for sha in commit.parents],
    }


def _signature(person: Person, at: datetime) -> dict[str, Any]:
    email = "noreply@github.com" if person == GITHUB else person.email
    return {"name": person.name, "email": email, "date": iso(at)}


def _page(
    request: Request, items: Sequence[T], size: int = PAGE, most: int = MOST
) -> tuple[Sequence[T], dict[str, str]]:
    """The page asked for, and the `Link` header that leads on."""
    query = dict(request.query_params)
    size = min(most, _number(query.get("per_page"), size))
    page = _number(query.get("page"), 1)
    last = max(1, -(-len(items) // size))
    links = {"prev": page - 1, "first": 1} if page > 1 else {}
    if page < last:
        links |= {"next": page + 1, "last": last}
    url = request.url.replace(query="")
    text = ", ".join(
        f'<{url}?{urlencode(query | {"page": number})}>; rel="{name}"'
        for name, number in links.items()
    )
    return items[(page - 1) * size : page * size], {"link": text} if text else {}


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and int(text) else default
