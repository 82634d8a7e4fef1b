"""The part of the fake GitHub's API that the agent works with; it notes what people get to see."""

import hashlib
import json
from base64 import b64encode
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.github_api import Denied, paged, repository_of, state_of
from tests.fakes.github_work import FACES, FakeCheck, FakeComment, FakeIssue, first_line, stamp

REPOSITORY = "/repos/{owner}/{name}"


def working_routes() -> list[Route]:
    """What is answered, by path."""
    at = REPOSITORY
    return [
        Route(f"{at}/collaborators/{{login}}/permission", permission),
        Route(f"{at}/issues", listed_issues),
        Route(f"{at}/issues", open_issue, methods=["POST"]),
        Route(f"{at}/issues/{{number:int}}", one_issue),
        Route(f"{at}/issues/{{number:int}}/comments", comments),
        Route(f"{at}/issues/{{number:int}}/comments", comment, methods=["POST"]),
        Route(f"{at}/issues/{{number:int}}/labels", label, methods=["POST"]),
        Route(f"{at}/issues/{{number:int}}/reactions", react, methods=["POST"]),
        Route(f"{at}/issues/comments/{{id:int}}", edit_comment, methods=["PATCH"]),
        Route(f"{at}/issues/comments/{{id:int}}/reactions", react, methods=["POST"]),
        Route(f"{at}/git/ref/heads/{{branch:path}}", branch),
        Route(f"{at}/contents/{{path:path}}", contents),
        Route(f"{at}/pulls", pulls),
        Route(f"{at}/pulls", open_pull, methods=["POST"]),
        Route(f"{at}/pulls/{{number:int}}", one_pull),
        Route(f"{at}/pulls/{{number:int}}", edit_pull, methods=["PATCH"]),
        Route(f"{at}/pulls/{{number:int}}/requested_reviewers", ask_reviewers, methods=["POST"]),
        Route(f"{at}/pulls/{{number:int}}/reviews/{{id:int}}", one_review),
        Route(f"{at}/pulls/{{number:int}}/reviews/{{id:int}}/comments", remarks),
        Route(f"{at}/commits/{{sha}}/check-runs", checks),
        Route(f"{at}/check-runs", make_check, methods=["POST"]),
        Route(f"{at}/check-runs/{{id:int}}", change_check, methods=["PATCH"]),
        Route(f"{at}/check-runs/{{id:int}}/annotations", annotations),
    ]


async def sent(request: Request) -> dict[str, Any]:
    """Return the body of a request."""
    body: dict[str, Any] = json.loads(await request.body())
    return body


def numbered(request: Request, repository: FakeRepository, *, pull: bool = False) -> FakeIssue:
    """Return the issue, or pull request, that a path names."""
    found = repository.issues.get(request.path_params["number"])
    if found is None or (pull and not found.is_pull_request):
        raise Denied(404, "Not Found")
    return found


def commented(request: Request, repository: FakeRepository) -> FakeComment:
    """Return the comment that a path names."""
    for issue in repository.issues.values():
        for each in issue.comments:
            if each.id == request.path_params["id"]:
                return each
    raise Denied(404, "Not Found")


async def permission(request: Request) -> Response:
    repository, login = repository_of(request, "metadata"), request.path_params["login"]
    if login not in state_of(request).people:
        raise Denied(404, f"{login} is not a user")
    may = repository.permissions.get(login, "read")
    person = state_of(request).person(login).told()
    shown = {"maintain": "write", "triage": "read"}.get(may, may)
    return JSONResponse({"permission": shown, "role_name": may, "user": person})


async def one_issue(request: Request) -> Response:
    return JSONResponse(numbered(request, repository_of(request, "issues")).told())


async def listed_issues(request: Request) -> Response:
    """Issues and pull requests alike, newest first, by who made them."""
    repository, creator = repository_of(request, "issues"), request.query_params.get("creator")
    wanted = request.query_params.get("state", "open")
    found = [
        each
        for each in reversed(repository.issues.values())
        if creator in (None, each.by.login) and wanted in ("all", each.state)
    ]
    shown, headers = paged(request, found, 100)
    return JSONResponse([each.told() for each in shown], headers=headers)


async def open_issue(request: Request) -> Response:
    repository, told = repository_of(request, "issues", "write"), await sent(request)
    state = state_of(request)
    made = repository.issue(told["title"], told["body"], *told["labels"], by=state.bot)
    state.said.append(f"opened issue #{made.number}: {made.title}")
    return JSONResponse(made.told(), 201)


async def comments(request: Request) -> Response:
    issue = numbered(request, repository_of(request, "issues"))
    shown, headers = paged(request, issue.comments, 100)
    return JSONResponse([each.told() for each in shown], headers=headers)


async def comment(request: Request) -> Response:
    repository = repository_of(request, "issues", "write")
    issue, told = numbered(request, repository), await sent(request)
    made = repository.comment(issue, told["body"], by=state_of(request).bot)
    state_of(request).said.append(f"comment on #{issue.number}: {first_line(made.body)}")
    return JSONResponse(made.told(), 201)


async def edit_comment(request: Request) -> Response:
    found, told = commented(request, repository_of(request, "issues", "write")), await sent(request)
    if found.by.login != state_of(request).bot:
        raise Denied(403, "Resource not accessible by integration")
    found.body, found.updated_at = told["body"], stamp()
    state_of(request).said.append(f"edited comment {found.id}: {first_line(found.body)}")
    return JSONResponse(found.told())


async def label(request: Request) -> Response:
    issue = numbered(request, repository_of(request, "issues", "write"))
    named = (await sent(request))["labels"]
    issue.labels = list(dict.fromkeys([*issue.labels, *named]))
    state_of(request).said.append(f"labelled #{issue.number}: {', '.join(named)}")
    return JSONResponse([{"name": name} for name in issue.labels])


async def react(request: Request) -> Response:
    """The same reaction twice stays one."""
    repository, told = repository_of(request, "issues", "write"), await sent(request)
    face = FACES[told["content"]]
    on: FakeComment | FakeIssue
    if "number" in request.path_params:
        on = numbered(request, repository)
        where = f"#{on.number}"
    else:
        on = commented(request, repository)
        where = f"comment {on.id}"
    if face in on.reactions:
        return JSONResponse({"content": told["content"]})
    on.reactions.append(face)
    state_of(request).said.append(f"{face} on {where}")
    return JSONResponse({"content": told["content"]}, 201)


async def branch(request: Request) -> Response:
    repository, name = repository_of(request, "contents"), request.path_params["branch"]
    sha = repository.head(name)
    if sha is None:
        raise Denied(404, "Not Found")
    return JSONResponse(
        {"ref": f"refs/heads/{name}", "object": {"type": "commit", "sha": sha}},
    )


async def contents(request: Request) -> Response:
    repository, path = repository_of(request, "contents"), request.path_params["path"]
    found = repository.file(path, request.query_params.get("ref", repository.default_branch))
    if found is None:
        raise Denied(404, "Not Found")
    told = {"type": "file", "encoding": "base64", "content": b64encode(found).decode()}
    sha = hashlib.sha1(b"blob %d\0%b" % (len(found), found)).hexdigest()
    called = {"etag": f'W/"{sha}"'}
    if request.headers.get("if-none-match") == called["etag"]:
        return Response(None, 304, called)
    return JSONResponse(told | {"path": path, "size": len(found), "sha": sha}, 200, called)


async def pulls(request: Request) -> Response:
    repository = repository_of(request, "pull_requests")
    head = request.query_params.get("head", "").partition(":")[2]
    state = request.query_params.get("state", "open")
    found = [
        each.told_as_pull(repository.id)
        for each in repository.issues.values()
        if each.is_pull_request and each.state == state and head in ("", each.head)
    ]
    return JSONResponse(found)


async def open_pull(request: Request) -> Response:
    repository, told = repository_of(request, "pull_requests", "write"), await sent(request)
    state = state_of(request)
    if told.get("draft") and not repository.drafts:
        raise Denied(422, "Draft pull requests are not supported in this repository.")
    if repository.head(told["head"]) is None:
        raise Denied(422, "Validation Failed: head is invalid")
    if any(each.head == told["head"] and each.state == "open" for each in pulls_of(repository)):
        raise Denied(422, f"A pull request already exists for {told['head']}.")
    made = repository.pull(told["head"], title=told["title"], body=told["body"], by=state.bot)
    made.base, made.draft = told["base"], bool(told.get("draft"))
    draft = " (draft)" if made.draft else ""
    state.said.append(f"opened PR #{made.number} from {made.head}{draft}: {made.title}")
    return JSONResponse(made.told_as_pull(repository.id), 201)


def pulls_of(repository: FakeRepository) -> list[FakeIssue]:
    """Return the pull requests of a repository."""
    return [each for each in repository.issues.values() if each.is_pull_request]


async def one_pull(request: Request) -> Response:
    repository = repository_of(request, "pull_requests")
    return JSONResponse(numbered(request, repository, pull=True).told_as_pull(repository.id))


async def edit_pull(request: Request) -> Response:
    repository, told = repository_of(request, "pull_requests", "write"), await sent(request)
    found = numbered(request, repository, pull=True)
    for name, value in told.items():
        setattr(found, name, value)
    state_of(request).said.append(f"edited PR #{found.number}: {', '.join(sorted(told))}")
    return JSONResponse(found.told_as_pull(repository.id))


async def ask_reviewers(request: Request) -> Response:
    repository, told = repository_of(request, "pull_requests", "write"), await sent(request)
    found = numbered(request, repository, pull=True)
    asked = [*told["reviewers"], *told["team_reviewers"]]
    if any(login not in state_of(request).people for login in told["reviewers"]):
        raise Denied(422, "Reviews may only be requested from collaborators.")
    found.reviewers += asked
    state_of(request).said.append(f"asked {', '.join(asked)} to review #{found.number}")
    return JSONResponse(found.told_as_pull(repository.id), 201)


async def one_review(request: Request) -> Response:
    pull = numbered(request, repository_of(request, "pull_requests"), pull=True)
    for each in pull.reviews:
        if each.id == request.path_params["id"]:
            return JSONResponse(each.told())
    raise Denied(404, "Not Found")


async def remarks(request: Request) -> Response:
    pull = numbered(request, repository_of(request, "pull_requests"), pull=True)
    found = [each for each in pull.reviews if each.id == request.path_params["id"]]
    told = [
        {"path": path, "line": line, "body": body}
        for each in found
        for path, line, body in each.remarks
    ]
    return JSONResponse(told)


async def checks(request: Request) -> Response:
    repository = repository_of(request, "checks")
    name = request.query_params.get("check_name")
    found = [
        each.told()
        for each in repository.checks
        if each.head_sha == request.path_params["sha"] and name in (None, each.name)
    ]
    return JSONResponse({"total_count": len(found), "check_runs": found})


async def make_check(request: Request) -> Response:
    repository, told = repository_of(request, "checks", "write"), await sent(request)
    state = state_of(request)
    made = FakeCheck(state.new_id(), told["name"], told["head_sha"], state.app_id)
    repository.checks.append(made)
    change(made, told, state)
    return JSONResponse(made.told(), 201)


async def change_check(request: Request) -> Response:
    repository, told = repository_of(request, "checks", "write"), await sent(request)
    for each in repository.checks:
        if each.id == request.path_params["id"]:
            change(each, told, state_of(request))
            return JSONResponse(each.told())
    raise Denied(404, "Not Found")


async def annotations(request: Request) -> Response:
    for each in repository_of(request, "checks").checks:
        if each.id == request.path_params["id"]:
            return JSONResponse(each.annotations)
    raise Denied(404, "Not Found")


def change(check: FakeCheck, told: dict[str, Any], state: FakeGitHub) -> None:
    """Bring a check up to date."""
    output = told.pop("output", {})
    for name, value in (told | output).items():
        setattr(check, name, value)
    said = check.conclusion or check.status
    state.said.append(f"check {check.name} on {check.head_sha[:7]}: {said}")
