"""The registry of the API: what an endpoint takes, gives and needs. Routes and OpenAPI follow."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails, to_json
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.settings import Settings
from bot.web.auth import (
    Member,
    Person,
    admitted,
    current_person,
    renewed,
    wanted_organization,
)
from bot.web.problems import Problem

PREFIX = "/api/v1"

Words = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=1000)]
"""Text as Postgres can hold it: a NUL it cannot."""


class Strict(BaseModel):
    """Data from outside; what is not asked for is refused by name, so that no typo is silent."""

    model_config = ConfigDict(extra="forbid")


class Query(Strict):
    """What every question takes. `organization`: id or login, needed by members of several."""

    organization: Words | None = None


@dataclass(frozen=True)
class Call:
    """One request to an endpoint, by whom. Both are None where nobody needs to be signed in."""

    request: Request
    asking: Person | None = None
    organization: Member | None = None

    @property
    def person(self) -> Person:
        """Who is asking."""
        assert self.asking is not None  # noqa: S101 - the registry saw to it
        return self.asking

    @property
    def member(self) -> Member:
        """Who is asking, in the organisation that is asked about."""
        assert self.organization is not None  # noqa: S101 - the registry saw to it
        return self.organization

    @property
    def settings(self) -> Settings:
        """The settings of the application."""
        settings: Settings = self.request.app.state.settings
        return settings

    @property
    def engine(self) -> AsyncEngine:
        """The store."""
        engine: AsyncEngine = self.request.app.state.engine
        return engine

    @cached_property
    def path(self) -> dict[str, Any]:
        """The parameters in the path."""
        return dict(self.request.path_params)


@dataclass(frozen=True)
class Endpoint:
    """One operation of the API.

    `roles`: one of them, or a higher one; empty: anybody signed in; None: public.
    `query`, `body`, `answer`: models of what goes in and out; `csv`: it also answers in CSV.
    `problems`: statuses it may answer besides those that every endpoint may. `media`: its kind.
    `status`: of a good answer.
    """

    method: str
    path: str
    function: Callable[..., Awaitable[Any]]
    roles: tuple[str, ...] | None
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    answer: Any
    csv: bool
    problems: tuple[str, ...] = ()
    media: str = "application/json"
    status: int = 200

    @property
    def name(self) -> str:
        """The module and function, unique in the API: `metrics_dora`."""
        return f"{self.function.__module__.rpartition('.')[2]}_{self.function.__name__}"

    @property
    def tag(self) -> str:
        """The resource: its module's name."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def words(self) -> str:
        """What it means, from its docstring."""
        lines = (self.function.__doc__ or "").strip().splitlines()
        return "\n".join(line.strip() for line in lines)

    async def handle(self, request: Request) -> Response:
        """Answer one request: who asks, what is asked, the answer."""
        call = await self.called(request)
        told: list[Any] = [call]
        if self.query:
            told.append(valid(self.query, dict(request.query_params)))
        if self.body:
            told.append(await read_body(request, self.body))
        answer = await self.function(*told)
        if answer is None:
            answer = Response(status_code=204)
        if not isinstance(answer, Response):
            answer = Response(to_json(answer), self.status, media_type="application/json")
        return renewed(request, answer)

    async def called(self, request: Request) -> Call:
        """Find out who asks; raise `Problem` 401, 403, 404 or 422 where they may not."""
        if self.roles is None:
            return Call(request)
        person = await current_person(request)
        if person is None:
            raise Problem(
                401,
                "Unauthorized",
                "Sign in first: send a Bearer token from POST /api/v1/auth/login.",
                headers={"www-authenticate": "Bearer"},
            )
        if not self.roles:
            return Call(request, person)
        wanted = wanted_organization(request)
        if wanted is None and len(person.memberships) > 1 and "operator" not in self.roles:
            logins = ", ".join(belongs.login for belongs in person.memberships)
            detail = f"Say which organisation you mean: {logins}."
            raise invalid([{"field": "organization", "detail": detail}])
        return Call(request, person, admitted(person, wanted, self.roles))


ENDPOINTS: list[Endpoint] = []
Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])


def endpoint(  # noqa: PLR0913 - the columns of the registry
    method: str,
    path: str,
    *,
    roles: tuple[str, ...] | None = ("viewer",),
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    answer: Any = None,
    csv: bool = False,
    problems: tuple[str, ...] = (),
    media: str = "application/json",
    status: int = 200,
) -> Callable[[Function], Function]:
    """Register `async def function(call, query, body)`; what is not declared is not passed.

    The function returns its `answer` (None: 204), or a response of its own.
    """

    def register(function: Function) -> Function:
        made = Endpoint(
            method, path, function, roles, query, body, answer, csv, problems, media, status
        )
        ENDPOINTS.append(made)
        return function

    return register


def route(made: Endpoint) -> Route:
    """Return the Starlette route of an endpoint."""
    return Route(PREFIX + made.path, made.handle, methods=[made.method], name=made.name)


Model = TypeVar("Model", bound=BaseModel)


def valid(model: type[Model], data: dict[str, Any]) -> Model:
    """Read data from outside; raise `Problem` 422 naming every field that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(faults(error)) from error


async def read_body(request: Request, model: type[Model]) -> Model:
    """Read a JSON body; raise `Problem` 415 for other kinds and 422 for a wrong one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "Unsupported Media Type", "Send the body as application/json.")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise invalid(faults(error)) from error


def faults(error: ValidationError) -> list[dict[str, str]]:
    """Name every field that is wrong, and why."""
    return [fault(detail) for detail in error.errors(include_url=False, include_input=False)]


def fault(detail: ErrorDetails) -> dict[str, str]:
    """Say what is wrong with one field."""
    field = ".".join(str(part) for part in detail["loc"])
    words = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        words = "There is no such parameter."
    return {"field": field, "detail": words}


def invalid(errors: list[dict[str, str]]) -> Problem:
    """Return the problem that names what is wrong with a request."""
    first = "; ".join(f"{error['field']}: {error['detail']}" for error in errors[:3])
    return Problem(422, "Unprocessable Content", first, errors=errors)
