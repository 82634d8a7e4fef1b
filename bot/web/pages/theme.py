"""Remembers in a cookie whether a viewer wants light or dark; without it the system decides."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.web.auth import safe_path
from bot.web.pages.render import THEMES

YEAR_SECONDS = 365 * 24 * 3600


async def choose(request: Request) -> Response:
    """`POST /theme` with `theme=light|dark|auto`: keep it, and go back to where it was asked."""
    form = await request.form()
    came_from = urlsplit(request.headers.get("referer", "/"))
    query = f"?{came_from.query}" if came_from.query else ""
    response = RedirectResponse(safe_path(came_from.path + query), 303)
    if (theme := str(form.get("theme", ""))) in THEMES:
        secure = request.app.state.settings.secure
        response.set_cookie(
            "theme", theme, max_age=YEAR_SECONDS, secure=secure, httponly=True, samesite="lax"
        )
    else:
        response.delete_cookie("theme")
    return response


def routes() -> list[Route]:
    """Return the route of the switch; it needs no sign-in."""
    return [Route("/theme", choose, methods=["POST"], name="theme")]
