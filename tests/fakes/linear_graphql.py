"""How the fake Linear answers GraphQL: validated by the schema, counted, resolved from lists."""

from datetime import datetime
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    get_named_type,
    graphql_sync,
    parse,
    validate,
)
from graphql.utilities import value_from_ast_untyped

if TYPE_CHECKING:
    from tests.fakes.linear import FakeLinear

LISTS = {
    "users": "users",
    "teams": "teams",
    "projects": "projects",
    "cycles": "cycles",
    "issueLabels": "labels",
    "issues": "issues",
}
NESTED = ("labels", "attachments", "history", "states", "comments")
MOST_FIRST = 250


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An error as Linear answers it."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status

    def told(self) -> dict[str, Any]:
        """Return the body of the answer."""
        words = {"code": self.code, "userPresentableMessage": self.message, "userError": True}
        return {"errors": [{"message": self.message, "extensions": words}]}


@cache
def schema() -> GraphQLSchema:
    """Read the schema, and tie its connections to lists."""
    built = build_schema(Path(__file__).with_name("linear_schema.graphql").read_text())
    assert built.query_type is not None
    for name in LISTS:
        built.query_type.fields[name].resolve = listed
    for kind in ("Issue", "Team"):
        found = built.type_map[kind]
        assert isinstance(found, GraphQLObjectType)
        for name in NESTED:
            if name in found.fields:
                found.fields[name].resolve = nested
    return built


def answered(linear: "FakeLinear", query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Execute a query that the schema allows."""
    faults = validate(schema(), parse(query))
    if faults:
        raise Refusal("GRAPHQL_VALIDATION_FAILED", faults[0].message)
    root = {
        "organization": linear.organization,
        "viewer": linear.viewer,
        "issue": one_issue,
        "commentCreate": comment_create,
        "commentUpdate": comment_update,
        "issueUpdate": issue_update,
    }
    told = graphql_sync(schema(), query, root, context_value=linear, variable_values=variables)
    for error in told.errors or ():
        if isinstance(error.original_error, Refusal):
            raise error.original_error
        raise Refusal("INPUT_ERROR", error.message)
    return {"data": told.data}


def listed(_: Any, info: GraphQLResolveInfo, **asked: Any) -> dict[str, Any]:
    """Answer a list of the workspace, newest first."""
    nodes = list(getattr(info.context, LISTS[info.field_name]))
    if not asked.get("includeArchived") and info.field_name != "users":
        nodes = [each for each in nodes if not each.get("archivedAt")]
    order = asked.get("orderBy") or "createdAt"
    nodes.sort(key=lambda each: (each[order], each["id"]), reverse=True)
    since = ((asked.get("filter") or {}).get("updatedAt") or {}).get("gte")
    if since:
        nodes = [each for each in nodes if moment(each["updatedAt"]) >= moment(since)]
    return paged(nodes, asked)


def moment(text: str) -> datetime:
    """Read a time."""
    return datetime.fromisoformat(text)


def nested(parent: dict[str, Any], info: GraphQLResolveInfo, **asked: Any) -> dict[str, Any]:
    """Answer a list of an issue or team."""
    nodes = parent[info.field_name]
    wanted = ((asked.get("filter") or {}).get("id") or {}).get("eq")
    return paged([each for each in nodes if wanted in (None, each["id"])], asked)


def paged(nodes: list[dict[str, Any]], asked: dict[str, Any]) -> dict[str, Any]:
    """Return a page by cursors, as Relay's connections have them."""
    first = asked.get("first") or 50
    if first > MOST_FIRST:
        raise Refusal("INPUT_ERROR", "Argument Validation Error: first must not exceed 250")
    ids = [each["id"] for each in nodes]
    after = asked.get("after")
    if after is not None and after not in ids:
        raise Refusal("INPUT_ERROR", "Argument Validation Error: after is no valid cursor")
    start = ids.index(after) + 1 if after else 0
    page = nodes[start : start + first]
    more = len(nodes) > start + first
    info = {"hasNextPage": more, "hasPreviousPage": start > 0}
    info |= {"endCursor": page[-1]["id"] if page else None, "startCursor": None}
    return {"nodes": page, "pageInfo": info}


def issue_called(linear: "FakeLinear", issue_id: str) -> dict[str, Any]:
    """Return an issue by its id or identifier."""
    for each in linear.issues:
        if issue_id in (each["id"], each["identifier"]):
            return each
    raise Refusal("INPUT_ERROR", "Entity not found: Issue - Could not find referenced Issue.")


def one_issue(info: GraphQLResolveInfo, id: str) -> dict[str, Any]:
    return issue_called(info.context, id)


def comment_create(info: GraphQLResolveInfo, input: dict[str, Any]) -> dict[str, Any]:
    from tests.fakes.linear import dated

    linear: FakeLinear = info.context
    issue = issue_called(linear, input["issueId"])
    if UUID(input["id"]).version != 4:
        raise Refusal("INPUT_ERROR", "Argument Validation Error: id must be a UUID v4")
    if any(each["id"] == input["id"] for each in issue["comments"]):
        raise Refusal("INPUT_ERROR", "Entity with this id exists already")
    made = dated(body=input["body"], user=linear.viewer) | {"id": input["id"]}
    issue["comments"].append(made)
    linear.said.append(f"comment on {issue['identifier']}: {input['body'].splitlines()[0]}")
    return {"success": True, "lastSyncId": 1.0, "comment": made}


def comment_update(info: GraphQLResolveInfo, id: str, input: dict[str, Any]) -> dict[str, Any]:
    linear: FakeLinear = info.context
    for issue in linear.issues:
        for each in issue["comments"]:
            if each["id"] == id:
                each["body"] = input["body"]
                first = input["body"].splitlines()[0]
                linear.said.append(f"edited comment on {issue['identifier']}: {first}")
                return {"success": True, "lastSyncId": 1.0, "comment": each}
    raise Refusal("INPUT_ERROR", "Entity not found: Comment")


def issue_update(info: GraphQLResolveInfo, id: str, input: dict[str, Any]) -> dict[str, Any]:
    linear: FakeLinear = info.context
    issue = issue_called(linear, id)
    for state in issue["team"]["states"]:
        if state["id"] == input["stateId"]:
            issue["state"] = state
            linear.said.append(f"{issue['identifier']} is {state['type']}")
            return {"success": True, "lastSyncId": 1.0, "issue": issue}
    raise Refusal("INPUT_ERROR", "The state is not one of the issue's team")


def complexity_of(query: str, variables: dict[str, Any]) -> int:
    """Count a query as Linear does: 0.1 a field, 1 an object, as often as a list may be long."""
    try:
        document = parse(query)
    except GraphQLError as error:
        raise Refusal("GRAPHQL_PARSE_FAILED", str(error)) from None
    root = document.definitions[0]
    assert isinstance(root, OperationDefinitionNode)
    kind = schema().query_type if root.operation.value == "query" else schema().mutation_type
    return ceil(cost_of(root, kind, variables))


def cost_of(node: Any, kind: Any, variables: dict[str, Any]) -> float:
    """Count what is selected of one type."""
    total = 0.0
    for each in node.selection_set.selections:
        assert isinstance(each, FieldNode)
        known = getattr(kind, "fields", {}).get(each.name.value)
        if known is None or each.selection_set is None:
            total += 0.1
            continue
        inner = get_named_type(known.type)
        asked = {
            a.name.value: value_from_ast_untyped(a.value, variables) for a in each.arguments or ()
        }
        times = 1
        if str(inner).endswith("Connection"):
            times = int(asked.get("first") or 50)
        total += 1 + times * cost_of(each, inner, variables)
    return total
