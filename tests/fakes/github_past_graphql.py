"""How the fake GitHub answers GraphQL: validated by the schema, weighed, resolved from its past.

<https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    parse,
    validate,
)
from graphql.utilities import value_from_ast_untyped

from tests.fakes.github_past import Json, PastRepository

if TYPE_CHECKING:
    from tests.fakes.github_history import FakePast

MOST_FIRST, MOST_NODES = 100, 500_000
BOT = "[bot]"
TYPES = {
    "ReadyForReviewEvent": "READY_FOR_REVIEW_EVENT",
    "ConvertToDraftEvent": "CONVERT_TO_DRAFT_EVENT",
    "HeadRefForcePushedEvent": "HEAD_REF_FORCE_PUSHED_EVENT",
}


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An error as GitHub answers it, in a body with status 200."""

    def __init__(self, kind: str | None, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message

    def told(self) -> Json:
        """Return the body of the answer."""
        return {"data": None, "errors": [error(self.kind, self.message)]}


def error(kind: str | None, message: str, path: Sequence[Any] | None = None) -> Json:
    """Return one error as GitHub words it."""
    named = {"type": kind} if kind else {}
    return {**named, **({"path": list(path)} if path else {}), "message": message}


@cache
def schema() -> GraphQLSchema:
    """Read the schema."""
    return build_schema(Path(__file__).with_name("github_schema.graphql").read_text())


@cache
def understood(query: str) -> DocumentNode:
    """Parse and validate a query."""
    try:
        document = parse(query)
    except GraphQLError as fault:
        raise Refusal(None, fault.message) from None
    if faults := validate(schema(), document):
        raise Refusal(None, faults[0].message)
    return document


def answered(
    past: "FakePast", query: str, variables: Json, may: Callable[[str], bool]
) -> tuple[Json, int]:
    """Execute a query that the schema allows; return the answer and what it costs."""
    document = understood(query)
    weighed, lists = weigh(document, variables)
    if weighed > MOST_NODES:
        raise Refusal("MAX_NODE_LIMIT_EXCEEDED", f"This query requests up to {weighed} nodes.")
    cost = max(1, round(lists / 100))
    root = {
        "rateLimit": lambda info, **_: past.hour("graphql").told(cost, weighed),
        "repository": one_repository,
        "search": search,
        "node": one_node,
    }
    told = execute_sync(schema(), document, root, Asked(past, may), variables)
    errors = [
        error(getattr(each.original_error, "kind", None), each.message, each.path)
        for each in told.errors or ()
    ]
    return {"data": told.data} | ({"errors": errors} if errors else {}), cost


class Asked:
    """Who asks: the state, and what the asking installation `may` read."""

    def __init__(self, past: "FakePast", may: Callable[[str], bool]) -> None:
        self.past, self.may = past, may

    @cached_property
    def nodes(self) -> dict[str, Callable[[], Json]]:
        """The nodes that can be asked for, by their ids."""
        return {id: made for past in self.past.repositories.values() for id, made in nodes_of(past)}

    def check(self, permission: str) -> None:
        """Refuse what is not granted."""
        if not self.may(permission):
            raise Refusal("FORBIDDEN", "Resource not accessible by integration")


def weigh(document: DocumentNode, variables: Json) -> tuple[int, int]:
    """Count the nodes that a query may return, and the lists that it must ask for."""
    fragments = {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }
    (operation,) = (
        each for each in document.definitions if isinstance(each, OperationDefinitionNode)
    )
    return weight(operation, 1, variables, fragments)


def weight(
    node: Any, times: int, variables: Json, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[int, int]:
    """Count below one selection, which is there so many times."""
    total, lists = 0, 0
    for each in node.selection_set.selections:
        found, inner = each, times
        if isinstance(each, FragmentSpreadNode):
            found = fragments[each.name.value]
        if isinstance(each, FieldNode):
            given = {a.name.value: a.value for a in each.arguments or ()}
            if "first" in given:
                first = int(value_from_ast_untyped(given["first"], variables) or 0)
                if not 1 <= first <= MOST_FIRST:
                    raise Refusal("EXCESSIVE_PAGINATION", f"`first` of {first} exceeds 100.")
                total, lists, inner = total + times * first, lists + times, times * first
        if getattr(found, "selection_set", None):
            more = weight(found, inner, variables, fragments)
            total, lists = total + more[0], lists + more[1]
    return total, lists


def one_repository(info: GraphQLResolveInfo, owner: str, name: str) -> Json:
    past = info.context.past.repositories.get(f"{owner}/{name}")
    if past is None:
        raise Refusal(
            "NOT_FOUND", f"Could not resolve to a Repository with the name '{owner}/{name}'."
        )
    newest = {
        name: sorted(
            getattr(past, name).values(), key=lambda each: each["created_at"], reverse=True
        )
        for name in ("deployments", "releases")
    }
    return described(past) | {
        "pullRequests": lambda info, **asked: pulls(info, past, asked),
        "deployments": lambda info, **asked: guarded(info, "deployments", newest, asked),
        "releases": lambda info, **asked: guarded(info, "releases", newest, asked, "contents"),
    }


def guarded(
    info: GraphQLResolveInfo, name: str, newest: Json, asked: Json, permission: str = ""
) -> Json:
    info.context.check(permission or name)
    return paged([{"createdAt": each["created_at"]} for each in newest[name]], asked)


def described(past: PastRepository) -> Json:
    told = past.repository
    return {"id": f"R_{told['id']}", "databaseId": told["id"], "nameWithOwner": told["full_name"]}


def pulls(info: GraphQLResolveInfo, past: PastRepository, asked: Json) -> Json:
    """List pull requests, those first that changed last; a cursor is a place in that order."""
    info.context.check("pull_requests")
    assert asked["orderBy"] == {"field": "UPDATED_AT", "direction": "DESC"}
    every = sorted(past.pulls.values(), key=place, reverse=True)
    beyond = [each for each in every if "after" not in asked or not asked["after"]]
    if asked.get("after"):
        start = tuple(base64.b64decode(asked["after"]).decode().split("|"))
        beyond = [each for each in every if place(each) < start]
    shown = beyond[: asked["first"]]
    end = base64.b64encode("|".join(place(shown[-1])).encode()).decode() if shown else None
    return {
        "nodes": [pull(past, each) for each in shown],
        "pageInfo": {"hasNextPage": len(beyond) > len(shown), "endCursor": end},
        "totalCount": len(every),
    }


def place(told: Json) -> tuple[str, str]:
    return told["updated_at"], f"{told['number']:09}"


def search(info: GraphQLResolveInfo, query: str, **_: Any) -> Json:
    """Count pull requests or issues of a repository that changed since a time."""
    words = dict(word.partition(":")[::2] for word in query.split())
    past = info.context.past.repositories.get(words["repo"])
    if past is None:
        return {"issueCount": 0}
    kind = past.pulls if words["is"] == "pr" else plain_issues(past)
    since = words.get("updated", "").removeprefix(">=")
    return {"issueCount": sum(each["updated_at"] >= since for each in kind.values())}


def plain_issues(past: PastRepository) -> dict[int, Json]:
    return {number: each for number, each in past.issues.items() if not each.get("pull_request")}


def one_node(info: GraphQLResolveInfo, id: str) -> Json | None:
    """Find a node among those that lists go on in."""
    found: Callable[[], Json] | None = info.context.nodes.get(id)
    return found() if found else None


def nodes_of(past: PastRepository) -> Iterator[tuple[str, Callable[[], Json]]]:
    """Yield the ids of nodes that can be asked for, and what makes each."""
    for number, told in past.pulls.items():
        yield node_id("PR", told), partial(pull, past, told)
        for each in past.reviews.get(number, {}).values():
            yield node_id("PRR", each), partial(review, past, each)
    for number, told in past.issues.items():
        if number not in past.pulls:
            yield node_id("I", told), partial(issue, past, told)


def node_id(kind: str, told: Json) -> str:
    """Return the id of a node."""
    return str(told.get("node_id") or f"{kind}_{told['id']}")


def issue(past: PastRepository, told: Json) -> Json:
    return {
        "__typename": "PullRequest" if told.get("pull_request") else "Issue",
        "id": node_id("I", told),
        "fullDatabaseId": str(told["id"]),
        "number": told["number"],
        "comments": talk(past, told["number"]),
    }


def talk(past: PastRepository, number: int) -> Callable[..., Json]:
    said = past.comments.get(number, {}).values()
    return listed([comment("IC", each) for each in said])


def pull(past: PastRepository, told: Json) -> Json:
    """Return a pull request as GraphQL describes it."""
    number = told["number"]
    merged, fork = told.get("merged_at"), told["head"].get("repo")
    reviews = sorted(past.reviews.get(number, {}).values(), key=lambda each: each["id"])
    commits = [{"commit": commit(each)} for each in past.commits.get(number, [])]
    return {
        "__typename": "PullRequest",
        "id": node_id("PR", told),
        "fullDatabaseId": str(told["id"]),
        "number": number,
        "title": told["title"],
        "body": told.get("body") or "",
        "url": told["html_url"],
        "state": "MERGED" if merged else told["state"].upper(),
        "isDraft": bool(told.get("draft")),
        "createdAt": told["created_at"],
        "updatedAt": told["updated_at"],
        "closedAt": told.get("closed_at"),
        "mergedAt": merged,
        "headRefName": told["head"]["ref"],
        "headRefOid": told["head"]["sha"],
        "headRepository": {"databaseId": fork["id"]} if fork else None,
        "baseRefName": told["base"]["ref"],
        "baseRefOid": told["base"]["sha"],
        "mergeCommit": {"oid": told["merge_commit_sha"]} if merged else None,
        "additions": told.get("additions") or 0,
        "deletions": told.get("deletions") or 0,
        "changedFiles": told.get("changed_files") or 0,
        "author": actor(told.get("user")),
        "mergedBy": actor(told.get("merged_by")),
        "labels": listed([{"name": each["name"]} for each in told.get("labels") or ()]),
        "commits": listed(commits, told.get("commits")),
        "reviews": listed([review(past, each) for each in reviews]),
        "comments": talk(past, number),
        "timelineItems": lambda info, **asked: timeline(past, number, asked),
    }


def timeline(past: PastRepository, number: int, asked: Json) -> Json:
    """List what happened to a pull request, of the kinds that are asked for."""
    events = [
        event(each)
        for each in past.timeline.get(number, [])
        if TYPES[each["type"]] in asked.get("itemTypes", TYPES.values())
    ]
    return paged(events, asked)


def event(told: Json) -> Json:
    shas = {"beforeCommit": told.get("before"), "afterCommit": told.get("after")}
    return {
        "__typename": told["type"],
        "createdAt": told["at"],
        "actor": actor(told.get("actor")),
        **{name: {"oid": sha} if sha else None for name, sha in shas.items()},
    }


def review(past: PastRepository, told: Json) -> Json:
    remarks = [comment("PRRC", each) for each in past.remarks.get(told["id"], {}).values()]
    return {
        "__typename": "PullRequestReview",
        "id": node_id("PRR", told),
        "fullDatabaseId": str(told["id"]),
        "state": told["state"].upper(),
        "submittedAt": told.get("submitted_at"),
        "author": actor(told.get("user")),
        "comments": listed(remarks),
    }


def comment(kind: str, told: Json) -> Json:
    return {
        "id": f"{kind}_{told['id']}",
        "fullDatabaseId": str(told["id"]),
        "createdAt": told["created_at"],
        "updatedAt": told.get("updated_at") or told["created_at"],
        "author": actor(told.get("user")),
    }


def commit(told: Json) -> Json:
    """Return a commit as a push told of it."""
    author = told.get("author") or {}
    login = author.get("username")
    return {
        "oid": told["id"],
        "message": told.get("message") or "",
        "authoredDate": told["timestamp"],
        "committedDate": told["timestamp"],
        "author": {"name": author.get("name"), "user": {"login": login} if login else None},
    }


def actor(told: Json | None) -> Json | None:
    """Return somebody; a bot's login has no ending here, and who is deleted is nobody."""
    if told is None:
        return None
    kind = told.get("type") or "User"
    name = told["login"].removesuffix(BOT) if kind == "Bot" else told["login"]
    return {"__typename": kind, "login": name, "databaseId": told["id"]}


def listed(nodes: list[Json], total: int | None = None) -> Callable[..., Json]:
    """Return a list that is given page by page."""
    return lambda info, **asked: paged(nodes, asked, total)


def paged(nodes: list[Json], asked: Json, total: int | None = None) -> Json:
    """Return a page; its cursor is opaque."""
    start = int(base64.b64decode(asked["after"]).decode()) if asked.get("after") else 0
    end = min(start + asked["first"], len(nodes))
    return {
        "nodes": nodes[start:end],
        "pageInfo": {
            "hasNextPage": end < len(nodes),
            "endCursor": base64.b64encode(str(end).encode()).decode() if end > start else None,
        },
        "totalCount": len(nodes) if total is None else total,
    }
