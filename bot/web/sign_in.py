"""The pages that sign people in and out: by one-time link, or by e-mail address and password.

A link asks for one press of a button, because mail programs and chats open links to preview them
and must not use them up. A link to this very machine (the one `demo` and `dev` print) signs in at
once: nobody elsewhere can open it. HEAD and a browser's prefetch never use a link up.
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.settings import Settings
from bot.web.accounts import audit, checked_password
from bot.web.auth import cookie_name, current_person, keep_session, safe_path
from bot.web.limiting import client_address, limit_sign_in
from bot.web.pages.render import page
from bot.web.pages.sign_in import sign_in_page
from bot.web.sessions import end_session, start_session, used_link

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WRONG = "This e-mail address and password do not belong together."
USED = "This link has been used, or is too old. Ask for a new one."


def routes() -> list[BaseRoute]:
    """Return the routes of signing in and out, which need nobody to be signed in."""
    return [
        Route("/sign-in", form, methods=["GET"]),
        Route("/sign-in", password, methods=["POST"]),
        Route("/sign-in/{token}", link, methods=["GET"]),
        Route("/sign-in/{token}", use_link, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ]


async def form(request: Request) -> Response:
    """Show the form; people who are signed in go on at once."""
    onward = safe_path(request.query_params.get("next"))
    if await current_person(request):
        return RedirectResponse(onward, 303)
    return sign_in_page(request, after=onward)


async def password(request: Request) -> Response:
    """Sign in by e-mail address and password."""
    async with request.form(max_files=0, max_fields=10) as sent:
        email, secret = str(sent.get("email") or ""), str(sent.get("password") or "")
        onward = safe_path(sent.get("next"))
    await limit_sign_in(request, email)
    async with request.app.state.engine.connect() as db:
        user = await checked_password(db, email, secret)
    if user is None:
        await write_down(request, "sign_in_refused", None)
        return sign_in_page(request, after=onward, email=email, problem=WRONG)
    return await signed_in(request, user.id, onward)


async def link(request: Request) -> Response:
    """Open a one-time link: show its button, or sign in at once on this very machine."""
    prefetch = "prefetch" in request.headers.get("sec-purpose", "")
    if local(request.app.state.settings) and request.method == "GET" and not prefetch:
        return await use_link(request)
    return page(request, "sign_in_link.html")


async def use_link(request: Request) -> Response:
    """Sign in by a one-time link, which that uses up."""
    async with request.app.state.engine.begin() as db:
        user_id = await used_link(db, request.path_params["token"])
    if user_id is None:
        if await current_person(request):
            return RedirectResponse("/", 303)
        return sign_in_page(request, problem=USED)
    return await signed_in(request, user_id, "/")


def local(settings: Settings) -> bool:
    """Say whether people reach us on this machine only."""
    return urlsplit(settings.public_url).hostname in LOOPBACK


async def signed_in(request: Request, user_id: str, onward: str) -> Response:
    """Start a session in the place of the browser's old one, and go on."""
    settings = request.app.state.settings
    async with request.app.state.engine.begin() as db:
        old = request.cookies.get(cookie_name(settings))
        token = await start_session(db, user_id, instead_of=old)
    await write_down(request, "sign_in", user_id)
    response = RedirectResponse(onward, 303)
    keep_session(response, settings, token)
    return response


async def sign_out(request: Request) -> Response:
    """End the browser's session."""
    settings = request.app.state.settings
    if token := request.cookies.get(cookie_name(settings)):
        async with request.app.state.engine.begin() as db:
            await end_session(db, token)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(
        cookie_name(settings), path="/", secure=settings.secure, httponly=True, samesite="lax"
    )
    return response


async def write_down(request: Request, action: str, user_id: str | None) -> None:
    """Keep in the audit log who came in, or that somebody was turned away, and from where."""
    async with request.app.state.engine.begin() as db:
        await audit(db, action, user_id=user_id, detail=f"from {client_address(request)}")
