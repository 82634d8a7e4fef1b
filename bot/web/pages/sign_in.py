"""Pages for people who are not signed in yet: sign-in, and the set-up of the GitHub App."""

from starlette.requests import Request
from starlette.responses import HTMLResponse

from bot.web.pages.render import page


def sign_in_page(
    request: Request, *, after: str = "/", email: str = "", problem: str | None = None
) -> HTMLResponse:
    """Ask for e-mail and password; posted to `/sign-in` as `email`, `password` and `next`.

    `problem` is why the last attempt was refused, in a sentence (the answer is then 401).
    """
    return page(
        request,
        "sign_in.html",
        status_code=401 if problem else 200,
        after=after,
        email=email,
        problem=problem,
    )


def setup_page(
    request: Request, *, action: str, manifest: str, app_url: str | None = None
) -> HTMLResponse:
    """Offer to make the GitHub App: one button that posts `manifest` (JSON) to GitHub.

    `action` is GitHub's address for it, with the `state` in its query. `form-action` of this
    page's policy must allow GitHub. `app_url` is where the app can be installed, once it is made.
    """
    return page(request, "setup.html", action=action, manifest=manifest, app_url=app_url)
