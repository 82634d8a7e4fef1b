"""Makes pages from templates: whole, or only the blocks that a fragment asked for."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2_fragments import render_blocks
from starlette.requests import Request
from starlette.responses import HTMLResponse

from bot.web import words
from bot.web.auth import Member
from bot.web.pages.assets import address

THEMES = ("light", "dark")
TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True)
class Place:
    """A screen in the navigation; `roles` says who sees it (empty: everybody signed in)."""

    name: str
    path: str
    roles: tuple[str, ...] = ()
    key: str = ""


PLACES = (
    Place("Delivery", "/delivery", key="d"),
    Place("Pull requests", "/pull-requests", key="p"),
    Place("Builds", "/builds", key="b"),
    Place("Incidents", "/incidents", key="n"),
    Place("Agent", "/agent", key="g"),
    Place("People", "/people", key="e"),
    Place("Settings", "/settings", ("admin",), key="s"),
    Place("Deliveries", "/deliveries", ("admin", "operator"), key="i"),
    Place("API", "/api/docs", key="a"),
)


def made() -> Environment:
    """Return the templates' environment: everything is escaped, nothing unknown is silent."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"address": address, "now": utc_now}
    environment.filters |= {
        "ago": lambda then: words.ago(then, utc_now()),
        "clock": words.clock,
        "counted": words.count,
        "duration": words.duration,
        "exact": words.exact_duration,
        "rate": words.rate,
        "sentence": sentence,
        "share": words.share,
        "tokens": words.tokens,
        "usd": words.usd,
        "iso": iso,
        "outside": outside,
        "parsed": datetime.fromisoformat,
    }
    # Blocks are rendered alone too, where a template's own imports would be missing.
    environment.globals |= {
        "ui": environment.get_template("macros.html").module,
        "bars": environment.get_template("bar.html").module,
    }
    return environment


def utc_now() -> datetime:
    """Return the time; only `bot` reads the clock."""
    return datetime.now(UTC)


def sentence(said: str) -> str:
    """Begin with a capital letter, and leave names as they are."""
    return said[:1].upper() + said[1:]


def iso(then: datetime) -> str:
    """Return a time as `<time datetime>` has it."""
    return then.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def outside(url: str | None) -> str | None:
    """Return an address on the web; None for anything else a source may have sent as one."""
    return url if url and url.startswith(("https://", "http://")) else None


ENVIRONMENT = made()


def page(
    request: Request,
    template: str,
    *,
    blocks: Sequence[str] = (),
    status_code: int = 200,
    **context: Any,
) -> HTMLResponse:
    """Answer with a page, or with `blocks` of it where htmx asks for a part."""
    partial = bool(blocks) and request.headers.get("hx-request") == "true"
    told = shared(request) | context | {"partial": partial}
    if partial:
        content = render_blocks(ENVIRONMENT, template, list(blocks), told)
    else:
        content = ENVIRONMENT.get_template(template).render(told)
    return HTMLResponse(content, status_code, {"Vary": "HX-Request, Cookie"})


def answered(
    request: Request,
    template: str,
    *,
    blocks: Sequence[str],
    refused: bool,
    **context: Any,
) -> HTMLResponse:
    """Answer with a screen that forms are sent from: 409 where something was refused.

    A part is answered 200 even then: htmx puts nothing else into the page.
    """
    partial = request.headers.get("hx-request") == "true"
    return page(
        request,
        template,
        blocks=(*blocks, *(("answer",) if request.method == "POST" else ())),
        status_code=409 if refused and not partial else 200,
        refused=refused,
        **context,
    )


def shared(request: Request) -> dict[str, Any]:
    """Return what the frame of every page needs."""
    member: Member | None = getattr(request.state, "member", None)
    theme = request.cookies.get("theme")
    return {
        "path": request.url.path,
        "query": request.url.query,
        "member": member,
        "places": [place for place in PLACES if member and member.may(*place.roles)],
        "organization": request.query_params.get("organization"),
        "theme": theme if theme in THEMES else None,
        "sample_data": request.app.state.settings.sample_data,
        "made_at": round(time.time(), 3),
        "request_id": getattr(request.state, "request_id", None),
    }


def error_page(request: Request, status: int, title: str, detail: str) -> HTMLResponse:
    """Answer with what went wrong, the request's id, and a way on; for `app.state.error_page`."""
    retry = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return page(
        request,
        "error.html",
        status_code=status,
        title=title,
        detail=detail,
        retry=retry if request.method == "GET" else None,
    )
