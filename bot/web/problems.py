"""What the web process says when it cannot do what was asked: RFC 9457, or a calm page.

<https://www.rfc-editor.org/rfc/rfc9457>
"""

import html
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from models.errors import Refused

PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the name RFC 9457 gives it
    """An answer that says what is wrong: a status, a title, a sentence, and more members."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.headers, self.more = headers, more


def problem(
    status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Return problem details; `more` are members of its own, such as `errors`."""
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail, **more},
        status_code=status,
        headers=dict(headers or {}),
        media_type=PROBLEM_TYPE,
    )


def told(request: Request, fault: Problem) -> Response:
    """Answer a request with a problem: JSON below /api, elsewhere a page.

    The page is made by `app.state.error_page(request, status, title, detail) -> Response` where
    the application has one.
    """
    request_id = getattr(request.state, "request_id", None)
    if request.url.path.startswith("/api/"):
        more = fault.more | ({"request_id": request_id} if request_id else {})
        return problem(fault.status, fault.title, fault.detail, headers=fault.headers, **more)
    page = getattr(request.app.state, "error_page", None) or plain_page
    response: Response = page(request, fault.status, fault.title, fault.detail)
    response.headers.update(fault.headers or {})
    return response


def plain_page(request: Request, status: int, title: str, detail: str) -> Response:
    """Return the error page of an application that has none of its own."""
    title, detail = html.escape(title), html.escape(detail)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<main><h1>{title}</h1><p>{detail}</p>"
        f'<p><a href="/">Back to the start</a></p></main></html>',
        status_code=status,
    )


async def problem_response(request: Request, error: Exception) -> Response:
    """The exception handler of the application for `Problem`, `HTTPException` and `Refused`."""
    if isinstance(error, Problem):
        return told(request, error)
    if isinstance(error, HTTPException):
        return told(request, of_status(error))
    return told(request, Problem(422, "Refused", str(error)))


def of_status(error: HTTPException) -> Problem:
    """Say what Starlette's own refusals (404, 405, 413, a broken form) mean."""
    title = HTTPStatus(error.status_code).phrase
    words = {
        404: "There is nothing at this address, or it is not yours to see.",
        405: "This address does not answer that method.",
    }
    detail = words.get(error.status_code) or str(error.detail or title)
    return Problem(error.status_code, title, detail, headers=error.headers)


EXCEPTION_HANDLERS: dict[Any, Any] = dict.fromkeys(
    (Problem, HTTPException, Refused), problem_response
)
"""What the application hands to Starlette as `exception_handlers`."""
