"""The part of GitHub's API that the agent writes through, for the demo's `acme/shipping`.

Only what Veelocity asks (docs.github.com/rest). Where GitHub would send a webhook of what the agent
did, this sends it too, signed.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.sample import desk as desks
from bot.sample import shipping
from bot.sample.desk import BOT, Desk
from bot.sample.payloads import iso
from bot.sample.people import ADMIN, user
from bot.sample.repositories import APP_ID, INSTALLATION_ID
from bot.sample.signing import signed
from bot.sample.world import Delivery

PREFIX = f"/repos/{shipping.FULL_NAME}"
LABEL = "claude"
MISSING = {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}

Answer = Callable[["Counter", Request], Awaitable[Response]]
ROUTES: list[tuple[str, str, Answer]] = []


@dataclass
class Counter:
    """Who answers: the desk, the git repository, and where webhooks go and how they are signed."""

    home: Path
    desk: Desk
    origin: Path
    webhook: str
    secret: str

    async def deliver(self, event: str, payload: dict[str, Any]) -> None:
        """Send one signed webhook; one that is not taken is missed, as GitHub's would be."""
        told = {
            **payload,
            "repository": shipping.payload(),
            "sender": payload.get("sender", BOT),
            "installation": {"id": INSTALLATION_ID},
        }
        headers, body = signed(Delivery(event, str(uuid4()), told, datetime.now(UTC)), self.secret)
        async with httpx.AsyncClient() as client:
            await client.post(self.webhook, headers=headers, content=body)

    def commit_of(self, branch: str) -> str | None:
        """Return the commit that a branch is at."""
        try:
            return shipping.git(self.origin, "rev-parse", "--verify", f"refs/heads/{branch}")
        except CalledProcessError:
            return None


async def ask_for_work(counter: Counter, *, develop: bool) -> None:
    """Label the issues as their author would, and ask that the first be developed; once."""
    desk, admin = counter.desk, user(ADMIN)
    if desk.told:
        return
    for number in (each.number for each in shipping.ISSUES):
        issue = desk.issues[number]
        issue["labels"].append({"name": LABEL})
        told = {"action": "labeled", "issue": issue, "label": {"name": LABEL}, "sender": admin}
        await counter.deliver("issues", told)
    if develop:
        first = desk.issues[shipping.ISSUES[0].number]
        comment = desk.comment(first["number"], "/claude develop", admin)
        asked_for = {"action": "created", "issue": first, "comment": comment, "sender": admin}
        await counter.deliver("issue_comment", asked_for)
    desk.told = True
    desks.keep(counter.home, desk)


def answers(method: str, path: str) -> Callable[[Answer], Answer]:
    """Register what answers a request."""

    def register(answer: Answer) -> Answer:
        ROUTES.append((method, path, answer))
        return answer

    return register


def routes(counter: Counter) -> list[Route]:
    """Return the routes of one counter; what was changed is written down after each answer."""

    def made(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            said = await answer(counter, request)
            if request.method != "GET":
                desks.keep(counter.home, counter.desk)
            return said

        return answered

    return [Route(PREFIX + path, made(answer), methods=[method]) for method, path, answer in ROUTES]


def found(body: Any, status: int = 200) -> Response:
    """Return an answer, or that there is nothing."""
    return JSONResponse(MISSING, 404) if body is None else JSONResponse(body, status)


def asked(request: Request, name: str) -> int:
    """Return a number in the path."""
    return int(request.path_params[name])


@answers("GET", "")
async def repository(counter: Counter, request: Request) -> Response:
    """The repository."""
    return found(shipping.payload())


@answers("GET", "/collaborators/{login}/permission")
async def permission(counter: Counter, request: Request) -> Response:
    """What somebody may do: the admin everything, others read."""
    admin = user(ADMIN)
    if request.path_params["login"] != admin["login"]:
        return found({"permission": "read", "user": None})
    return found({"permission": "admin", "user": admin})


@answers("GET", "/git/ref/heads/{branch:path}")
async def reference(counter: Counter, request: Request) -> Response:
    """A branch."""
    sha = counter.commit_of(request.path_params["branch"])
    return found(sha and {"object": {"sha": sha, "type": "commit"}})


@answers("GET", "/contents/{path:path}")
async def contents(counter: Counter, request: Request) -> Response:
    """A file at a commit."""
    ref, path = request.query_params.get("ref", "main"), request.path_params["path"]
    try:
        text = shipping.git(counter.origin, "cat-file", "blob", f"{ref}:{path}")
    except CalledProcessError:
        return found(None)
    encoded = b64encode(text.encode()).decode()
    return found({"type": "file", "encoding": "base64", "content": encoded})


@answers("POST", "/issues")
async def create_issue(counter: Counter, request: Request) -> Response:
    """Make an issue."""
    told = await request.json()
    counter.desk.number += 1
    labels = tuple(told.get("labels") or ())
    made = counter.desk.issue(counter.desk.number, told["title"], told.get("body") or "", labels)
    return found(made, 201)


@answers("GET", "/issues/{number:int}")
async def issue(counter: Counter, request: Request) -> Response:
    """An issue."""
    return found(counter.desk.issues.get(asked(request, "number")))


@answers("POST", "/issues/{number:int}/labels")
async def add_labels(counter: Counter, request: Request) -> Response:
    """Label an issue."""
    labels = [{"name": name} for name in (await request.json())["labels"]]
    if held := counter.desk.issues.get(asked(request, "number")):
        held["labels"] += labels
    return found(labels)


@answers("GET", "/issues/{number:int}/comments")
async def comments(counter: Counter, request: Request) -> Response:
    """The comments of an issue."""
    if request.query_params.get("page", "1") != "1":
        return found([])
    number = asked(request, "number")
    return found([each for each in counter.desk.comments.values() if each["issue"] == number])


@answers("POST", "/issues/{number:int}/comments")
async def create_comment(counter: Counter, request: Request) -> Response:
    """Comment on an issue, as the app."""
    told = await request.json()
    return found(counter.desk.comment(asked(request, "number"), told["body"], BOT), 201)


@answers("PATCH", "/issues/comments/{id:int}")
async def edit_comment(counter: Counter, request: Request) -> Response:
    """Change a comment."""
    held = counter.desk.comments.get(asked(request, "id"))
    if held:
        held |= {"body": (await request.json())["body"], "updated_at": iso(datetime.now(UTC))}
    return found(held)


@answers("POST", "/issues/{number:int}/reactions")
@answers("POST", "/issues/comments/{id:int}/reactions")
async def react(counter: Counter, request: Request) -> Response:
    """React to something."""
    told = await request.json()
    return found({"id": counter.desk.identity(), "content": told["content"], "user": BOT}, 201)


@answers("GET", "/pulls")
async def pulls(counter: Counter, request: Request) -> Response:
    """The open pull requests, of one head where asked."""
    head = request.query_params.get("head", "").partition(":")[2]
    held = counter.desk.pulls.values()
    return found(
        [each for each in held if each["state"] == "open" and head in ("", each["head"]["ref"])]
    )


@answers("POST", "/pulls")
async def create_pull(counter: Counter, request: Request) -> Response:
    """Open a pull request, and tell of it."""
    told = await request.json()
    head, base = counter.commit_of(told["head"]), counter.commit_of(told["base"])
    if head is None or base is None:
        return JSONResponse({"message": "Validation Failed"}, 422)
    made = counter.desk.pull(told, head, base)
    await counter.deliver("pull_request", {"action": "opened", "pull_request": made})
    return found(made, 201)


@answers("GET", "/pulls/{number:int}")
async def pull(counter: Counter, request: Request) -> Response:
    """A pull request."""
    return found(counter.desk.pulls.get(asked(request, "number")))


@answers("PATCH", "/pulls/{number:int}")
async def edit_pull(counter: Counter, request: Request) -> Response:
    """Change a pull request."""
    held = counter.desk.pulls.get(asked(request, "number"))
    if held:
        held |= await request.json()
    return found(held)


@answers("GET", "/commits/{sha}/check-runs")
async def checks(counter: Counter, request: Request) -> Response:
    """The checks of a commit."""
    sha = request.path_params["sha"]
    held = [each for each in counter.desk.checks.values() if each["head_sha"] == sha]
    return found({"total_count": len(held), "check_runs": held})


@answers("POST", "/check-runs")
async def create_check(counter: Counter, request: Request) -> Response:
    """Make a check."""
    made = {**await request.json(), "id": counter.desk.identity(), "app": {"id": APP_ID}}
    counter.desk.checks[int(made["id"])] = made
    return found(made, 201)


@answers("PATCH", "/check-runs/{id:int}")
async def edit_check(counter: Counter, request: Request) -> Response:
    """Change a check."""
    held = counter.desk.checks.get(asked(request, "id"))
    if held:
        held |= await request.json()
    return found(held)
