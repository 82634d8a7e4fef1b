"""GitHub's answers turned into the payloads that its webhooks would have sent of the same things.

Their `action` is `read`, for which nobody registers: what is read of the past is remembered, and
no command or label of the past is obeyed. <https://docs.github.com/en/webhooks>
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handlers.github.history import PULL_REQUEST

Json = Mapping[str, Any]
Told = tuple[str, Json]

READ = "read"
BOT = "[bot]"
BRIEF = ("id", "html_url", "default_branch")
TURNED = {"ReadyForReviewEvent": "ready_for_review", "ConvertToDraftEvent": "converted_to_draft"}


def readable(value: Any) -> Any:
    """Return JSON whose texts Postgres can keep, as webhooks' are: NUL becomes U+FFFD."""
    if isinstance(value, str):
        if value.isascii():
            return value.replace("\0", "\ufffd") if "\0" in value else value
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [readable(each) for each in value]
    if isinstance(value, dict):
        return {name: readable(each) for name, each in value.items()}
    return value


def about(repository: Json, sender: Json | None = None, **told: Any) -> dict[str, Any]:
    """Return a payload about a repository."""
    return {"action": READ, "repository": repository, "sender": sender, **told}


def beside(repository: Json, sender: Json | None = None, **told: Any) -> dict[str, Any]:
    """Return a payload beside one that tells of the same repository, so that it need not again."""
    return about({name: repository.get(name) for name in BRIEF}, sender, **told)


def nodes(connection: Any) -> list[Json]:
    """Return the nodes of a list; none of one that may not be seen."""
    listed = connection.get("nodes") if isinstance(connection, Mapping) else None
    return [each for each in listed or () if isinstance(each, Mapping)]


def number(told: Any) -> int | None:
    """Read an id, which GraphQL writes as text when it may be long."""
    if isinstance(told, str) and told.isdecimal():
        return int(told)
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def user(actor: Json | None) -> dict[str, Any] | None:
    """Return who did something as REST describes them; None for the ghost of a deleted account."""
    found = number(actor.get("databaseId")) if actor else None
    if actor is None or found is None:
        return None
    kind, login = str(actor.get("__typename") or "User"), str(actor.get("login") or "")
    if kind == "Bot" and not login.endswith(BOT):
        login += BOT
    return {"id": found, "login": login, "type": kind}


def oid(commit: Any) -> str | None:
    """Return the SHA of a commit; None where it is gone."""
    return commit.get("oid") if isinstance(commit, Mapping) else None


def pull_request(repository: Json, node: Json) -> dict[str, Any]:
    """Return a pull request as its own webhooks describe it."""
    fork, commits = node.get("headRepository"), node.get("commits") or {}
    base = {"id": repository["id"], "default_branch": repository.get("default_branch")}
    return {
        "id": number(node.get("fullDatabaseId")),
        "number": node["number"],
        "title": node.get("title"),
        "body": node.get("body"),
        "html_url": node.get("url"),
        "state": "open" if node.get("state") == "OPEN" else "closed",
        "draft": node.get("isDraft"),
        "user": user(node.get("author")),
        "head": {
            "ref": node.get("headRefName"),
            "sha": node.get("headRefOid"),
            "repo": {"id": fork["databaseId"]} if fork else None,
        },
        "base": {"ref": node.get("baseRefName"), "sha": node.get("baseRefOid"), "repo": base},
        "labels": [{"name": label.get("name")} for label in nodes(node.get("labels"))],
        "created_at": node.get("createdAt"),
        "updated_at": node.get("updatedAt"),
        "closed_at": node.get("closedAt"),
        "merged_at": node.get("mergedAt"),
        "merge_commit_sha": oid(node.get("mergeCommit")),
        "commits": commits.get("totalCount"),
        "additions": node.get("additions"),
        "deletions": node.get("deletions"),
        "changed_files": node.get("changedFiles"),
    }


def of_pull_request(repository: Json, node: Json) -> Iterator[Told]:
    """Yield all that is told of a pull request: itself, what no webhook carries, its reviews."""
    described = pull_request(repository, node)
    yield "pull_request", about(repository, user(node.get("mergedBy")), pull_request=described)
    events = nodes(node.get("timelineItems"))
    yield (
        PULL_REQUEST,
        about(
            repository,
            pull_request=described,
            commits=[
                commit(each["commit"]) for each in nodes(node.get("commits")) if each["commit"]
            ],
            heads=list(heads(events)),
            turns=list(turns(events)),
            actors=[who for each in events if (who := user(each.get("actor")))],
        ),
    )
    for each in nodes(node.get("reviews")):
        yield from of_review(repository, described, each)


def commit(told: Json) -> dict[str, Any]:
    """Return one of a pull request's commits."""
    author = told.get("author") or {}
    return {
        "sha": told["oid"],
        "message": told.get("message"),
        "authored_at": told.get("authoredDate") or told.get("committedDate"),
    } | {"author": {"name": author.get("name"), "login": (author.get("user") or {}).get("login")}}


def heads(events: Sequence[Json]) -> Iterator[str]:
    """Yield the commits that a branch was at before and after each force-push."""
    for each in events:
        for name in ("beforeCommit", "afterCommit"):
            if sha := oid(each.get(name)):
                yield sha


def turns(events: Sequence[Json]) -> Iterator[dict[str, Any]]:
    """Yield when a pull request became ready for review, or a draft again."""
    for each in events:
        if action := TURNED.get(str(each.get("__typename"))):
            yield {"action": action, "at": each.get("createdAt")}


def of_review(repository: Json, described: Json, node: Json) -> Iterator[Told]:
    """Yield a review, and its remarks on lines."""
    mentioned, who = {"id": described["id"]}, user(node.get("author"))
    review = {
        "id": number(node.get("fullDatabaseId")),
        "user": who,
        "state": str(node.get("state") or "").lower(),
        "submitted_at": node.get("submittedAt"),
    }
    told = beside(repository, who, pull_request=mentioned)
    yield "pull_request_review", told | {"review": review}
    for each in nodes(node.get("comments")):
        remark = comment(each)
        yield "pull_request_review_comment", told | {"sender": remark["user"], "comment": remark}


def comment(node: Json) -> dict[str, Any]:
    """Return a comment or remark, without its words."""
    return {
        "id": number(node.get("fullDatabaseId")),
        "user": user(node.get("author")),
        "created_at": node.get("createdAt"),
        "updated_at": node.get("updatedAt"),
    }


def of_deployment(repository: Json, deployment: Json, statuses: Sequence[Json]) -> Iterator[Told]:
    """Yield a deployment and each of its statuses, the oldest first."""
    told = about(repository, deployment.get("creator"), deployment=deployment)
    yield "deployment", told
    for status in reversed(statuses):
        told = beside(repository, status.get("creator"), deployment=deployment)
        yield "deployment_status", told | {"deployment_status": status}


def of_run(repository: Json, attempts: Sequence[Json], workflow: Json | None) -> Iterator[Told]:
    """Yield each attempt of a workflow run, as told when it was completed."""
    for run in attempts:
        told = about(repository, run.get("triggering_actor"), workflow_run=run)
        yield "workflow_run", told | {"workflow": workflow}


def of_jobs(repository: Json, jobs: Sequence[Json]) -> Iterator[Told]:
    """Yield the jobs of a workflow run."""
    for job in jobs:
        yield "workflow_job", beside(repository, workflow_job=job)


def of_release(repository: Json, release: Json) -> Told:
    """Return a release."""
    return "release", about(repository, release.get("author"), release=release)


def of_issue(repository: Json, issue: Json, comments: Sequence[Json]) -> Iterator[Told]:
    """Yield an issue, unless it is a pull request, and who commented on either."""
    if not issue.get("pull_request"):
        yield "issues", about(repository, issue.get("user"), issue=issue)
    for node in comments:
        told = comment(node)
        sender, mentioned = told["user"], {"id": issue.get("id")}
        yield "issue_comment", beside(repository, sender, issue=mentioned, comment=told)
