"""Who is asking, and what they may see: a session's cookie or the API's Bearer token."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.settings import Settings
from bot.web.accounts import Belongs, create_user, memberships, user_known_by
from bot.web.problems import Problem
from bot.web.sessions import SESSION_DAYS, session_user, sign_in_link
from bot.web.tokens import token_user
from models.users import ROLES, User

__all__ = [
    "Member",
    "Person",
    "create_user",
    "current_member",
    "current_person",
    "require",
    "sign_in_link",
]

Page = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Person:
    """Somebody signed in, and everywhere they belong, by login."""

    id: str
    email: str
    name: str | None
    operator: bool
    memberships: tuple[Belongs, ...]


@dataclass(frozen=True)
class Member:
    """A person in one organisation: the tenant and role every question is asked with.

    `organization_id` and `organization` (its login) are empty, and so nothing is theirs, for an
    operator who asks without belonging there. `memberships` is for switching.
    """

    user_id: str
    email: str
    name: str | None
    operator: bool
    organization_id: str
    organization: str
    role: str
    memberships: tuple[Belongs, ...]

    def may(self, *roles: str) -> bool:
        """Say whether this is one of the roles, or a higher one; `operator` is a role of its own.

        No role at all means that being signed in is enough.
        """
        if not roles or ("operator" in roles and self.operator):
            return True
        least = min((ROLES.index(role) for role in roles if role in ROLES), default=len(ROLES))
        return self.role in ROLES and ROLES.index(self.role) >= least


def cookie_name(settings: Settings) -> str:
    """Return the session cookie's name; `__Host-` binds it to https and to this very host."""
    return "__Host-veelocity" if settings.secure else "veelocity"


def keep_session(response: Response, settings: Settings, token: str) -> None:
    """Give a browser its session for the next 14 days."""
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=SESSION_DAYS * 86400,
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )


def bearer(request: Request) -> str | None:
    """Return the token of an `Authorization: Bearer` header; None without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def current_person(request: Request) -> Person | None:
    """Return who is asking, by Bearer token or by cookie; None when nobody is signed in.

    A request with an Authorization header is judged by that alone, so it needs no CSRF check.
    """
    if not hasattr(request.state, "person"):
        request.state.person = await found_person(request)
    person: Person | None = request.state.person
    return person


async def found_person(request: Request) -> Person | None:
    """Look up who is asking."""
    settings: Settings = request.app.state.settings
    token = bearer(request)
    subject = token_user(settings, token) if token else None
    cookie = request.cookies.get(cookie_name(settings))
    if not subject and ("authorization" in request.headers or not cookie):
        return None
    async with request.app.state.engine.begin() as db:
        user: User | None
        if subject:
            user = await user_known_by(db, "id", subject)
        else:
            user, stale = await session_user(db, cookie or "") or (None, False)
            request.state.renewed_session = cookie if stale else None
        if user is None:
            return None
        belongs = tuple(await memberships(db, user.id))
    return Person(user.id, user.email, user.name, user.operator, belongs)


def wanted_organization(request: Request) -> str | None:
    """Return the id or login of the organisation a request names in its path or query."""
    named = request.path_params.get("organization_id") or request.query_params.get("organization")
    return str(named) if named else None


def membership(person: Person, wanted: str | None) -> Belongs | None:
    """Return a person's place in the organisation named, or, unnamed, in their first by login."""
    if wanted is None:
        return person.memberships[0] if person.memberships else None
    for belongs in person.memberships:
        if wanted in (belongs.organization_id, f"login:{belongs.login}") or (
            wanted.lower() == belongs.login.lower()
        ):
            return belongs
    return None


def member(person: Person, belongs: Belongs | None) -> Member:
    """Return a person as a member of one organisation, or of none."""
    return Member(
        user_id=person.id,
        email=person.email,
        name=person.name,
        operator=person.operator,
        organization_id=belongs.organization_id if belongs else "",
        organization=belongs.login if belongs else "",
        role=belongs.role if belongs else "",
        memberships=person.memberships,
    )


async def current_member(request: Request) -> Member | None:
    """Return who is asking, as a member of the organisation they ask about.

    That is the one of `?organization=` (id or login) or of the path, else their first by login.
    None: not signed in, or not a member there.
    """
    person = await current_person(request)
    belongs = membership(person, wanted_organization(request)) if person else None
    return member(person, belongs) if person and belongs else None


def admitted(person: Person, wanted: str | None, roles: tuple[str, ...]) -> Member:
    """Return the person as a member who may; raise `Problem` 404 or 403 for one who may not.

    Another tenant's organisation is "not found": nobody learns from us that it exists.
    """
    belongs = membership(person, wanted)
    asking = member(person, belongs)
    if asking.may(*roles):
        return asking
    if wanted and not belongs:
        raise Problem(404, "Not Found", f"You belong to no organisation called {wanted!r}.")
    if not belongs:
        raise Problem(403, "Forbidden", "You belong to no organisation yet: ask an admin for that.")
    needed = " or ".join(roles)
    raise Problem(403, "Forbidden", f"This needs the role {needed}; yours is {belongs.role}.")


def require(*roles: str) -> Callable[[Page], Page]:
    """Let only members with one of these roles, or a higher one, see a page.

    `require("viewer")`; `require("admin", "operator")`; `require()` for anybody signed in. The
    page finds its `Member` at `request.state.member`. Everybody else is sent to sign in.
    """

    def decorate(page: Page) -> Page:
        @wraps(page)
        async def guarded(request: Request) -> Response:
            person = await current_person(request)
            if person is None:
                return sign_in_first(request)
            request.state.member = admitted(person, wanted_organization(request), roles)
            return renewed(request, await page(request))

        guarded.__dict__["requires"] = roles
        return guarded

    return decorate


def renewed(request: Request, response: Response) -> Response:
    """Give the browser its session anew where its 14 days began anew."""
    if token := getattr(request.state, "renewed_session", None):
        keep_session(response, request.app.state.settings, token)
    return response


def sign_in_first(request: Request) -> Response:
    """Send a browser to sign in and back; a fragment or stream answers 401 instead."""
    headers: dict[str, str] = {}
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if "hx-request" in request.headers:
        headers["hx-redirect"] = "/sign-in"
    if headers or "text/event-stream" in request.headers.get("accept", ""):
        return Response(status_code=401, headers=headers)
    if request.method not in ("GET", "HEAD"):
        return RedirectResponse("/sign-in", 303)
    return RedirectResponse(f"/sign-in?next={quote(back, safe='')}", 303)


def safe_path(address: Any) -> str:
    """Return a path of this very site to go on to; anything else becomes `/`."""
    path = str(address or "/")
    ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if ours and path.isprintable() and "\\" not in path else "/"
