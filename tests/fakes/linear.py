"""A Linear on a loopback port: the real queries against a schema, its limits, OAuth and webhooks.

It refuses what Linear refuses: fields and arguments that there are not, queries that are too
complex, tokens that ended, a refresh token that was used, an id that is taken.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.linear_graphql import Refusal, answered, complexity_of
from tests.fakes.serving import serving

API_KEY = "lin_api_for_tests"
CLIENT_ID, CLIENT_SECRET = "linear-client", "linear-client-secret"
MOST_COMPLEXITY = 10_000
KINDS = ("triage", "backlog", "unstarted", "started", "completed", "canceled")

Node = dict[str, Any]


def stamp(at: datetime | None = None) -> str:
    """A time as Linear writes it."""
    return (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass
class Token:
    """An access token and until when it is good."""

    value: str
    ends: float
    refresh: str


@dataclass
class FakeLinear:
    """One workspace. `asked` are the names of the queries, `said` what was written back."""

    address: str = ""
    organization: Node = field(default_factory=dict)
    users: list[Node] = field(default_factory=list)
    teams: list[Node] = field(default_factory=list)
    projects: list[Node] = field(default_factory=list)
    cycles: list[Node] = field(default_factory=list)
    labels: list[Node] = field(default_factory=list)
    issues: list[Node] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    costs: list[int] = field(default_factory=list)
    tokens: dict[str, Token] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    refreshes: int = 0
    lasts_seconds: int = 86_399
    limited_until: float = 0.0
    broken: list[int] = field(default_factory=list)
    partial: bool = False

    def __post_init__(self) -> None:
        self.organization = {
            "id": str(uuid4()), "name": "Acme", "urlKey": "acme",
            "createdAt": stamp(), "updatedAt": stamp(),
        }  # fmt: skip
        self.viewer = self.user("Ada Lovelace", "ada@acme.example")

    @property
    def id(self) -> str:
        """The workspace's id."""
        return str(self.organization["id"])

    def user(self, name: str, email: str, **more: Any) -> Node:
        """Let somebody be there."""
        made = dated(name=name, displayName=name, email=email, active=True, admin=False, app=False)
        made |= {"url": f"https://linear.app/acme/profiles/{name}", **more}
        self.users.append(made)
        return made

    def team(self, key: str, name: str = "") -> Node:
        """Let a team be there, with a state of each type."""
        states = [
            {"id": str(uuid4()), "name": kind.title(), "type": kind, "position": float(turn),
             "color": "#fff"}
            for turn, kind in enumerate(KINDS)
        ]  # fmt: skip
        made = dated(key=key, name=name or key.title(), states=states)
        self.teams.append(made)
        return made

    def label(self, name: str) -> Node:
        """Let a label be there, the same one for the same name."""
        for each in self.labels:
            if each["name"] == name:
                return each
        made = dated(name=name, color="#eb5757", isGroup=False, team=None)
        self.labels.append(made)
        return made

    def project(self, name: str, status: str = "started", **more: Any) -> Node:
        """Let a project be there."""
        made = dated(
            name=name, url=f"https://linear.app/acme/project/{name.lower()}", state=status,
            status={"id": str(uuid4()), "name": status.title(), "type": status, "color": "#fff"},
            **more,
        )  # fmt: skip
        self.projects.append(made)
        return made

    def cycle(self, team: Node, number: int, starts: str, ends: str, **more: Any) -> Node:
        """Let a cycle of a team be there."""
        made = dated(team=team, number=number, startsAt=starts, endsAt=ends, **more)
        self.cycles.append(made)
        return made

    def issue(
        self, team: Node, title: str, *labels: str, state: str = "backlog", **more: Any
    ) -> Node:
        """Let an issue be there."""
        number = 1 + sum(each["team"] is team for each in self.issues)
        identifier = f"{team['key']}-{number}"
        made = dated(
            team=team, title=title, number=number, identifier=identifier, description=None,
            url=f"https://linear.app/acme/issue/{identifier}", priority=0.0,
            priorityLabel="No priority", branchName=identifier.lower(), previousIdentifiers=[],
            labels=[self.label(name) for name in labels], state=state_of(team, state),
            attachments=[], history=[], comments=[], creator=self.viewer,
        )  # fmt: skip
        made |= more
        self.issues.append(made)
        return made

    def change(self, issue: Node, kind: str, at: str) -> None:
        """Move an issue to another state, as its history then tells."""
        before, after = issue["state"], state_of(issue["team"], kind)
        issue["history"].insert(0, dated(at, fromState=before, toState=after))
        issue["state"], issue["updatedAt"] = after, at
        if kind in ("started", "completed", "canceled"):
            issue[f"{kind}At"] = at

    def attach(self, issue: Node, url: str, at: str = "") -> Node:
        """Attach an address to an issue."""
        made = dated(at, url=url, title=url, metadata={})
        issue["attachments"].append(made)
        return made

    def limit(self, seconds: float) -> None:
        """Take no requests for a while."""
        self.limited_until = time.time() + seconds

    def grant(self) -> dict[str, Any]:
        """Give tokens."""
        made = Token(f"lin_oauth_{uuid4().hex}", time.time() + self.lasts_seconds, uuid4().hex)
        self.tokens[made.value] = made
        return {
            "access_token": made.value, "token_type": "Bearer", "expires_in": self.lasts_seconds,
            "refresh_token": made.refresh, "scope": "read write",
        }  # fmt: skip

    def comment_bodies(self, issue: Node) -> list[str]:
        """Return what the comments on an issue say."""
        return [each["body"] for each in issue["comments"]]

    def webhook(self, kind: str, action: str, data: Node, actor: Node | None = None,
                **more: Any) -> Node:  # fmt: skip
        """Return the body of a webhook about something, as it is now."""
        who = actor or self.viewer
        return {
            "action": action, "type": kind, "organizationId": self.id, "webhookId": str(uuid4()),
            "createdAt": data["updatedAt"], "data": told(kind, data), "url": data.get("url"),
            "actor": {"id": who["id"], "name": who["name"], "email": who["email"], "type": "user"},
            "webhookTimestamp": int(time.time() * 1000), **more,
        }  # fmt: skip


def dated(at: str = "", **more: Any) -> Node:
    """Return something with an id and the times that everything in Linear has."""
    now = at or stamp()
    return {"id": str(uuid4()), "createdAt": now, "updatedAt": now, "archivedAt": None, **more}


def state_of(team: Node, kind: str) -> Node:
    """Return a team's state of a type."""
    found: Node = next(each for each in team["states"] if each["type"] == kind)
    return found


def told(kind: str, data: Node) -> Node:
    """Return something as webhooks write it: plain lists, and ids beside what they name."""
    flat = {name: value for name, value in data.items() if not isinstance(value, dict | list)}
    for name in ("team", "project", "cycle", "state", "assignee", "creator", "status"):
        if isinstance(data.get(name), dict):
            inner = data[name].items()
            flat[f"{name}Id"] = data[name]["id"]
            flat[name] = {k: v for k, v in inner if not isinstance(v, dict | list)}
    if kind == "Issue":
        flat["labels"] = [{"id": each["id"], "name": each["name"]} for each in data["labels"]]
        flat["labelIds"] = [each["id"] for each in data["labels"]]
        flat["previousIdentifiers"] = list(data["previousIdentifiers"])
    return flat


@contextmanager
def fake_linear() -> Iterator[FakeLinear]:
    """Serve a workspace on a loopback port."""
    linear = FakeLinear()
    app = Starlette(
        routes=[
            Route("/graphql", graphql, methods=["POST"]),
            Route("/oauth/token", token, methods=["POST"]),
        ]
    )
    app.state.linear = linear
    with serving(app) as address:
        linear.address = address
        yield linear


async def graphql(request: Request) -> Response:
    """Answer a query as Linear would."""
    linear: FakeLinear = request.app.state.linear
    asked = json.loads(await request.body())
    query, variables = asked["query"], asked.get("variables") or {}
    linear.asked.append(query.split("(")[0].split("{")[0].split()[1])
    if linear.broken:
        return Response("upstream connect error", linear.broken.pop(0))
    try:
        return answer(linear, request.headers.get("authorization", ""), query, variables)
    except Refusal as refusal:
        return JSONResponse(refusal.told(), refusal.status, headers=limits(linear))


def answer(linear: FakeLinear, authorization: str, query: str, variables: Node) -> Response:
    """Answer a query of somebody who may ask, within the limits."""
    if not admitted(linear, authorization):
        raise Refusal("AUTHENTICATION_ERROR", "Authentication required, not authenticated", 401)
    if linear.limited_until > time.time():
        raise Refusal("RATELIMITED", "Rate limit exceeded. Only 5000 requests are allowed per hour")
    cost = complexity_of(query, variables)
    linear.costs.append(cost)
    if cost > MOST_COMPLEXITY:
        raise Refusal("INPUT_ERROR", f"Query too complex: {cost} of {MOST_COMPLEXITY}")
    told = answered(linear, query, variables)
    if linear.partial:
        error = {"message": "Entity not found", "path": ["issues", "nodes", 0, "creator"]}
        told["errors"] = [{**error, "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]
    return JSONResponse(told, headers={**limits(linear), "x-complexity": str(cost)})


def limits(linear: FakeLinear) -> dict[str, str]:
    """Return the headers that tell how much is left."""
    left = "0" if linear.limited_until > time.time() else "4999"
    reset = str(int(max(linear.limited_until, time.time() + 3600 * (left != "0")) * 1000))
    return {
        "x-ratelimit-requests-limit": "5000",
        "x-ratelimit-requests-remaining": left,
        "x-ratelimit-requests-reset": reset,
        "x-ratelimit-complexity-remaining": "2999000",
        "x-ratelimit-complexity-reset": str(int((time.time() + 3600) * 1000)),
    }


def admitted(linear: FakeLinear, authorization: str) -> bool:
    """Tell whether a key or token may ask: a key without Bearer, a token only with it."""
    if authorization == API_KEY:
        return True
    known = linear.tokens.get(authorization.removeprefix("Bearer "))
    return authorization.startswith("Bearer ") and known is not None and known.ends > time.time()


async def token(request: Request) -> Response:
    """Answer at the OAuth endpoint, which takes forms only."""
    linear: FakeLinear = request.app.state.linear
    if request.headers["content-type"] != "application/x-www-form-urlencoded":
        return denied("invalid_request", "Content-Type must be a form")
    form = await request.form()
    if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
        return denied("invalid_client", "Client authentication failed", 401)
    if form.get("grant_type") == "authorization_code":
        wanted = linear.codes.pop(str(form.get("code")), None)
        if wanted is None or wanted != form.get("redirect_uri"):
            return denied("invalid_grant", "The authorization code is not valid")
        return JSONResponse(linear.grant())
    linear.refreshes += 1
    for each in list(linear.tokens.values()):
        if each.refresh == form.get("refresh_token"):
            del linear.tokens[each.value]
            return JSONResponse(linear.grant())
    return denied("invalid_grant", "The refresh token was used or revoked")


def denied(code: str, words: str, status: int = 400) -> Response:
    """Return an error of OAuth's."""
    return JSONResponse({"error": code, "error_description": words}, status)


def is_uuid4(value: str) -> bool:
    """Tell whether an id is one that Linear takes."""
    try:
        return UUID(value).version == 4
    except ValueError:
        return False
