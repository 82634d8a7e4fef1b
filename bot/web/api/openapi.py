"""Describes the API to programs and people: OpenAPI 3.1, <https://spec.openapis.org/oas/v3.1.1>."""

import re
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from bot.web.api.endpoints import ENDPOINTS, PREFIX, Call, Endpoint, endpoint
from bot.web.auth import require
from bot.web.pages.render import page
from bot.web.problems import PROBLEM_TYPE

Schema = dict[str, Any]
REF = "#/components/schemas/{model}"
CONVERTOR = re.compile(r":\w+(?=})")
PARAMETER = re.compile(r"{(\w+)}")
PATH_WORDS = {
    "id": "Its number",
    "repo_id": "`github:123`, or `owner/name` URL-encoded",
    "organization_id": "Its id, or its login",
    "ticket_id": "Its id, `github:42`",
    "incident_id": "Its id, `api:github:1:42`, or its key, `INC-7F3K2QX`",
    "deployment_id": "The id of the attempt to deploy, `github:501`",
    "badge_id": "Its id, as the list of badges tells it",
    "version": "Its version",
    "source": "`github`, `linear` or `slack`",
    "team_id": "Its id, `github:team:7` or `hand:…`",
    "login": "A login of GitHub",
    "identity": "Its id, `github:9001/github:login:ada`, URL-encoded",
    "workflow_id": "Its id, `github:30001`",
}
REASONS = {
    "400": "The address is not one",
    "401": "Nobody is signed in, or the credentials are wrong",
    "403": "This needs another role",
    "404": "There is no such thing, or it is not yours",
    "409": "It does not go together with how things are now",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "What was sent is wrong; `errors` names each field",
    "429": "Too many requests; `Retry-After` says when to try again",
    "502": "GitHub did not do it",
    "503": "The database is away; `Retry-After` says when to try again",
}


class FieldFault(BaseModel):
    """One field that is wrong, and why."""

    field: str
    detail: str


class ProblemDetails(BaseModel):
    """What went wrong (RFC 9457). `request_id` finds it in the logs."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None
    errors: list[FieldFault] = []


@endpoint("GET", "/openapi.json", roles=(), answer=dict[str, Any])
async def document(call: Call) -> Schema:
    """Return this description."""
    return described()


@require()
async def docs(request: Request) -> Response:
    """Show the description to people."""
    shown = described()
    operations = [
        (path, method.upper(), operation)
        for path, item in shown["paths"].items()
        for method, operation in item.items()
    ]
    tags = list(dict.fromkeys(operation["tags"][0] for _, _, operation in operations))
    return page(request, "api_docs.html", api=shown, operations=operations, tags=tags)


@cache
def described() -> Schema:
    """Return the OpenAPI document of every registered endpoint."""
    schemas, components = known_schemas()
    paths: dict[str, Schema] = {}
    for made in sorted(ENDPOINTS, key=lambda one: (one.tag, one.path, one.method)):
        path = PREFIX + CONVERTOR.sub("", made.path)
        paths.setdefault(path, {})[made.method.lower()] = operation(made, schemas, components)
    for made in ENDPOINTS:
        if made.query:
            components.pop(made.query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Veelocity",
            "version": version("veelocity"),
            "description": "Delivery, measured as it happens. Times are ISO 8601 in UTC.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
        "security": [{"token": []}],
    }


def known_schemas() -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """Return the schema of each endpoint's parts, and those they refer to, by name."""
    parts: list[Any] = [("problem", "serialization", TypeAdapter(ProblemDetails))]
    for made in ENDPOINTS:
        for model, mode in (
            (made.query, "validation"),
            (made.body, "validation"),
            (made.answer, "serialization"),
        ):
            if model is not None:
                parts.append(((made.name, mode, model is made.query), mode, TypeAdapter(model)))
    found, definitions = TypeAdapter.json_schemas(parts, ref_template=REF)
    return {key: schema for (key, _), schema in found.items()}, definitions.get("$defs", {})


def operation(made: Endpoint, schemas: dict[Any, Schema], components: dict[str, Schema]) -> Schema:
    """Describe one endpoint."""
    summary, _, rest = made.words.partition("\n")
    told: Schema = {
        "operationId": made.name,
        "tags": [made.tag],
        "summary": summary,
        "parameters": [*path_parameters(made), *query_parameters(made, schemas, components)],
        "responses": responses(made, schemas),
    }
    if rest.strip():
        told["description"] = rest.strip()
    if made.roles is None:
        told["security"] = []
    elif made.roles:
        told["x-roles"] = list(made.roles)
    if made.body:
        schema = schemas[made.name, "validation", False]
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return told


def path_parameters(made: Endpoint) -> list[Schema]:
    """Describe what stands in an endpoint's path."""
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_WORDS[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in PARAMETER.findall(CONVERTOR.sub("", made.path))
    ]


def query_parameters(
    made: Endpoint, schemas: dict[Any, Schema], components: dict[str, Schema]
) -> list[Schema]:
    """Describe what may stand in an endpoint's query."""
    if not made.query:
        return []
    schema = schemas[made.name, "validation", True]
    model = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    required = model.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": given(field)}
        for name, field in model["properties"].items()
    ]


def given(field: Schema) -> Schema:
    """Return the schema of a parameter that is given: null cannot stand in a query."""
    kept = {name: value for name, value in field.items() if name not in ("anyOf", "title")}
    if kept.get("default", "") is None:
        del kept["default"]
    choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
    return kept | (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})


def responses(made: Endpoint, schemas: dict[Any, Schema]) -> Schema:
    """Describe an endpoint's answers: the good one, and the problems it may name."""
    problem = {"content": {PROBLEM_TYPE: {"schema": schemas["problem"]}}}
    statuses = ["400", "422", "429", "503", *made.problems]
    if made.roles is not None or made.tag == "auth":
        statuses.append("401")
    if made.roles:
        statuses += ["403", "404"]
    if made.body:
        statuses += ["413", "415"]
    return {success(made): good(made, schemas)} | {
        status: {"description": REASONS[status], **problem} for status in sorted(statuses)
    }


def success(made: Endpoint) -> str:
    """Return the status of a good answer."""
    return "204" if made.answer is None else str(made.status)


def good(made: Endpoint, schemas: dict[Any, Schema]) -> Schema:
    """Describe a good answer."""
    if made.answer is None:
        return {"description": "Done"}
    schema = schemas[made.name, "serialization", False]
    content: Schema = {made.media: {"schema": schema}}
    if made.csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"description": "The answer", "content": content}
