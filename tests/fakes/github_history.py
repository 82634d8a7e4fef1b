"""A fake GitHub with a past: REST and GraphQL from one state, with pages, ETags and limits.

`with fake_past() as past:` has the fake of `tests.fakes.github` beneath it (`past.github`), which
knows the app, its tokens and the faults to come, and answers whatever has no past.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.fakes.github import FakeGitHub
from tests.fakes.github_api import (
    Denied,
    Written,
    as_app,
    as_installation,
    denied,
    github_api,
    line_of,
    paged,
)
from tests.fakes.github_past import Json, PastRepository
from tests.fakes.github_past_graphql import Refusal, answered, node_id
from tests.fakes.github_work import WRITING
from tests.fakes.serving import serving

HOUR = 3600
MOST_FOUND = 1000
LIMITED = "API rate limit exceeded for installation ID 42."


@dataclass
class Hour:
    """One of GitHub's hourly limits."""

    limit: int = 5000
    used: int = 0
    resets_at: int = field(default_factory=lambda: int(time.time()) + HOUR)

    @property
    def left(self) -> int:
        """How much may still be spent."""
        return max(self.limit - self.used, 0)

    def headers(self, resource: str) -> dict[str, str]:
        """Return what every answer says of it."""
        told = {"limit": self.limit, "remaining": self.left, "used": self.used}
        told["reset"] = self.resets_at
        return {
            **{f"x-ratelimit-{name}": str(value) for name, value in told.items()},
            "x-ratelimit-resource": resource,
        }

    def told(self, cost: int, nodes: int) -> Json:
        """Return what GraphQL says of it."""
        return {
            "cost": cost,
            "limit": self.limit,
            "nodeCount": nodes,
            "remaining": max(self.left - cost, 0),
            "resetAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.resets_at)),
            "used": self.used + cost,
        }


@dataclass
class FakePast:
    """Repositories with their past, by name, and the limits of who asks. `home`: whose they are."""

    github: FakeGitHub
    home: Json = field(default_factory=lambda: {"login": "acme", "id": 77, "type": "Organization"})
    repositories: dict[str, PastRepository] = field(default_factory=dict)
    hours: dict[str, Hour] = field(default_factory=dict)
    unchanged: int = 0

    def hour(self, resource: str) -> Hour:
        """Return one of the hourly limits."""
        return self.hours.setdefault(resource, Hour())

    def repository(self, full_name: str = "acme/api", **told: Any) -> PastRepository:
        """Return a repository, made when it is new."""
        if full_name not in self.repositories:
            described = {
                "id": 11 + len(self.repositories),
                "name": full_name.partition("/")[2],
                "full_name": full_name,
                "owner": self.home,
                "private": True,
                "fork": False,
                "archived": False,
                "html_url": f"https://github.com/{full_name}",
                "default_branch": "main",
                "created_at": "2026-01-01T00:00:00Z",
                "updated_at": "2026-01-01T00:00:00Z",
                "pushed_at": "2026-01-01T00:00:00Z",
            }
            self.repositories[full_name] = PastRepository(described | told)
        return self.repositories[full_name]

    def absorb(self, event: str, payload: Mapping[str, Any]) -> None:
        """Take in what a webhook tells, so that the API says the same from now on."""
        told = payload.get("repository")
        if not isinstance(told, dict) or "full_name" not in told:
            return
        known = next(
            (each for each in self.repositories.values() if each.repository["id"] == told["id"]),
            None,
        )
        past = known or self.repositories.setdefault(told["full_name"], PastRepository(dict(told)))
        past.absorb(event, payload)
        name = past.repository["full_name"]
        self.repositories = {
            n: each for n, each in self.repositories.items() if each is not past or n == name
        } | {name: past}

    @property
    def calls(self) -> list[str]:
        """What was asked, but for tokens."""
        return [line for line in self.github.requests if "access_tokens" not in line]


@contextmanager
def fake_past(**permissions: str) -> Iterator[FakePast]:
    """Serve a GitHub with a past; its one installation (42) grants what the app asks for."""
    github = FakeGitHub(permissions={42: {**WRITING, **permissions}})
    past = FakePast(github)
    with serving(past_api(past)) as url:
        github.url = url
        yield past


def past_api(past: FakePast) -> ASGIApp:
    """The API: what has a past is answered here, all else by the fake beneath."""
    at = "/repos/{owner}/{name}"
    routes = [
        Route("/graphql", graphql, methods=["POST"]),
        Route("/installation/repositories", reached),
        Route("/app/installations/{id:int}", installation),
        Route(at, about),
        Route(f"{at}/pulls", pulls),
        Route(f"{at}/deployments", deployments),
        Route(f"{at}/deployments/{{id:int}}/statuses", statuses),
        Route(f"{at}/actions/workflows", workflows),
        Route(f"{at}/actions/runs", runs),
        Route(f"{at}/actions/runs/{{id:int}}/attempts/{{attempt:int}}", one_attempt),
        Route(f"{at}/actions/runs/{{id:int}}/jobs", jobs),
        Route(f"{at}/releases", releases),
        Route(f"{at}/issues", issues),
    ]
    ours = Starlette(routes=routes, exception_handlers={Denied: denied})
    ours.state.github, ours.state.past = past.github, past
    beneath = github_api(past.github)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if not concerns(past, routes, scope):
            await beneath(scope, receive, send)
            return
        line = line_of(Request(scope))
        past.github.requests.append(line)
        await (past.github.fault_for(line) or ours)(scope, receive, send)

    return answer


def concerns(past: FakePast, routes: list[Route], scope: Scope) -> bool:
    """Tell whether a request is about something with a past."""
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            names = child.get("path_params", {})
            full_name = f"{names.get('owner')}/{names.get('name')}"
            return "owner" not in names or full_name in past.repositories
    return False


def past_of(request: Request) -> FakePast:
    past: FakePast = request.app.state.past
    return past


def repository_of(request: Request, permission: str) -> PastRepository:
    """Return the repository a path names, to who may read it."""
    as_installation(request, permission)
    names = request.path_params
    return past_of(request).repositories[f"{names['owner']}/{names['name']}"]


def told(request: Request, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON and its ETag; 304, which costs nothing, where it is what is known."""
    past = past_of(request)
    hour = past.hour("core")
    etag = 'W/"' + hashlib.sha256(json.dumps(body).encode()).hexdigest() + '"'
    if request.headers.get("if-none-match") == etag:
        past.unchanged += 1
        return Response(status_code=304, headers={"etag": etag, **hour.headers("core")})
    if not hour.left:
        raise Denied(403, LIMITED, hour.headers("core"))
    hour.used += 1
    known = {**hour.headers("core"), **past.github.last_answer}
    return Written(body, headers={"etag": etag, **known, **(headers or {})})


def list_of(
    request: Request, items: list[Json], name: str = "", total: int | None = None
) -> Response:
    """Answer with a page of a list, in an object where it has a name."""
    shown, headers = paged(request, items, 100)
    if not name:
        return told(request, list(shown), headers)
    count = len(items) if total is None else total
    return told(request, {"total_count": count, name: list(shown)}, headers)


def newest(items: Any, key: str = "created_at") -> list[Json]:
    """Return things, the newest first."""
    return sorted(items, key=lambda each: (each[key], each["id"]), reverse=True)


async def graphql(request: Request) -> Response:
    past = past_of(request)
    hour = past.hour("graphql")
    github = as_installation(request, "metadata")
    asked = json.loads(await request.body())
    if not hour.left:
        body = Refusal("RATE_LIMITED", LIMITED).told()
        return JSONResponse(body, headers=hour.headers("graphql"))

    def may(permission: str) -> bool:
        return permission in github.permissions[42]

    try:
        body, cost = answered(past, asked["query"], asked.get("variables") or {}, may)
    except Refusal as refused:
        body, cost = refused.told(), 1
    hour.used += cost
    return Written(body, headers=hour.headers("graphql"))


async def reached(request: Request) -> Response:
    as_installation(request, "metadata")
    listed = [each.repository for each in past_of(request).repositories.values()]
    return list_of(request, listed, "repositories")


async def installation(request: Request) -> Response:
    github = as_app(request)
    number = request.path_params["id"]
    if number not in github.permissions:
        raise Denied(404, "Not Found")
    return JSONResponse(
        {
            "id": number,
            "account": past_of(request).home,
            "repository_selection": "selected",
            "permissions": github.permissions[number],
            "events": github.events,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-02T00:00:00Z",
            "suspended_at": None,
        }
    )


async def about(request: Request) -> Response:
    return told(request, repository_of(request, "metadata").repository)


async def pulls(request: Request) -> Response:
    found = repository_of(request, "pull_requests").pulls.values()
    return list_of(request, newest(found, "updated_at"))


async def deployments(request: Request) -> Response:
    return list_of(request, newest(repository_of(request, "deployments").deployments.values()))


async def statuses(request: Request) -> Response:
    past = repository_of(request, "deployments")
    if request.path_params["id"] not in past.deployments:
        raise Denied(404, "Not Found")
    return list_of(request, newest(past.statuses.get(request.path_params["id"], {}).values()))


async def workflows(request: Request) -> Response:
    found = repository_of(request, "actions").workflows.values()
    return list_of(request, list(found), "workflows")


async def runs(request: Request) -> Response:
    """List runs by their latest attempts; a search finds a thousand at most."""
    past = repository_of(request, "actions")
    found = newest(attempts[max(attempts)] for attempts in past.runs.values())
    created = request.query_params.get("created")
    if created is None:
        return list_of(request, found, "workflow_runs")
    inside = [each for each in found if within(each["created_at"], created)]
    return list_of(request, inside[:MOST_FOUND], "workflow_runs", len(inside))


def within(at: str, created: str) -> bool:
    """Tell whether a time is in a range of GitHub's search."""
    if created.startswith(">="):
        return at >= created.removeprefix(">=")
    first, _, last = created.partition("..")
    return (first == "*" or at >= first) and (last == "*" or at <= last)


async def one_attempt(request: Request) -> Response:
    past = repository_of(request, "actions")
    attempts = past.runs.get(request.path_params["id"], {})
    if request.path_params["attempt"] not in attempts:
        raise Denied(404, "Not Found")
    return told(request, attempts[request.path_params["attempt"]])


async def jobs(request: Request) -> Response:
    past, run_id = repository_of(request, "actions"), request.path_params["id"]
    if run_id not in past.runs:
        raise Denied(404, "Not Found")
    found = [each for each in past.jobs.values() if each["run_id"] == run_id]
    if request.query_params.get("filter") != "all":
        last = max((each.get("run_attempt") or 1 for each in found), default=1)
        found = [each for each in found if (each.get("run_attempt") or 1) == last]
    return list_of(request, found, "jobs")


async def releases(request: Request) -> Response:
    found = repository_of(request, "contents").releases.values()
    known = [each | {"created_at": each.get("created_at") or ""} for each in found]
    return list_of(request, newest(known))


async def issues(request: Request) -> Response:
    """List issues and pull requests, those first that changed last."""
    past = repository_of(request, "issues")
    found = [
        as_issue(past, past.pulls[number]) | {"id": each["id"]}
        if number in past.pulls
        else each | {"node_id": node_id("I", each), "comments": len(past.comments.get(number, {}))}
        for number, each in past.issues.items()
    ]
    found += [as_issue(past, each) for n, each in past.pulls.items() if n not in past.issues]
    return list_of(request, newest(found, "updated_at"))


def as_issue(past: PastRepository, pull: Json) -> Json:
    """Return a pull request as an issue, under an id of its own unless comments told of it."""
    known = {
        name: pull.get(name)
        for name in ("number", "title", "body", "user", "html_url", "labels", "state", "created_at")
    }
    return known | {
        "id": 10**12 + pull["id"],
        "node_id": node_id("PR", pull),
        "updated_at": pull["updated_at"],
        "closed_at": pull.get("closed_at"),
        "comments": len(past.comments.get(pull["number"], {})),
        "pull_request": {"url": pull.get("url")},
    }
