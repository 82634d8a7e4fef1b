"""The page of a run, live: what it does, what it proves, what it costs, and what was said in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.web.api.redacting import redacted
from bot.web.api.run_answers import told_of_runs
from bot.web.auth import Member, require
from bot.web.pages import agent_view as view
from bot.web.pages import run_view
from bot.web.pages.agent_actions import called, noted, tell
from bot.web.pages.deliveries import asked_id
from bot.web.pages.delivery import engine
from bot.web.pages.render import answered, page
from bot.web.problems import Problem
from models import agent_pages as asked
from models import runs
from models.runs import ENDED
from models.tickets import ticket

ONE = "x.id = :id and x.organization_id = :organization_id"
LATEST_STEPS, STEP_CHARACTERS = 40, 1600
ALL_STEPS, WHOLE_CHARACTERS = 500, 4000
LATEST_CALLS = 100
PAGE_MESSAGES, LONGEST_BLOCK, SHORT_BLOCK = 25, 20_000, 900


@require("viewer")
async def run(request: Request) -> Response:
    """`GET /agent/runs/{id}`: the whole page, or the part of it that changes.

    `?steps=all` shows all steps, and more of what commands said; that page stands still.
    """
    return await screen(request)


async def screen(request: Request, said: str | None = None) -> Response:
    """Answer with a run's page; `said` is why something was refused."""
    return answered(
        request,
        "run.html",
        blocks=("pulse", "run"),
        refused=said is not None,
        path=f"/agent/runs/{request.path_params['id']}",
        said=said,
        **await figures(request),
    )


async def figures(request: Request) -> dict[str, Any]:
    """Ask for everything that the page shows; live secrets are taken out of it."""
    member: Member = request.state.member
    everything = request.query_params.get("steps") == "all"
    async with engine(request).connect() as db:
        found = await own_run(db, request)
        told = {
            "run": found,
            "ticket": dict(await ticket(db, found["ticket_id"]) or {}),
            **await happened(db, found["id"], everything=everything),
        }
    told = await run_in_threadpool(redacted, request.app.state.settings, told)
    return {
        "view": view,
        "shown": run_view,
        "may_manage": member.may("manager"),
        "everything": everything,
        "ended": found["state"] in ENDED,
        "said_state": view.said_state(found["state"]),
        "verdict": view.said_verdict(found["verdict"]),
        "road": run_view.road(found, told["states"]),
        "tests": run_view.tests(told["run"]["evidence"]),
        "diff": run_view.diff(told["run"]["changes"]),
        **told,
        "steps": [run_view.step(row) for row in told["steps"]],
    }


async def own_run(db: AsyncConnection, request: Request) -> dict[str, Any]:
    """Return the run of the path; raise `Problem` 404 where it is not the organisation's."""
    member: Member = request.state.member
    bound = {"id": request.path_params["id"], "organization_id": member.organization_id}
    found = await told_of_runs(db, ONE, 1, **bound) if bound["id"] < 2**63 else []
    if not found:
        raise Problem(404, "Not Found", "There is no such run.")
    return dict(found[0])


async def happened(db: AsyncConnection, run_id: int, *, everything: bool) -> dict[str, Any]:
    """Ask for a run's steps and calls: the latest ones, or all."""
    most = ALL_STEPS if everything else LATEST_STEPS
    characters = WHOLE_CHARACTERS if everything else STEP_CHARACTERS
    steps = await asked.latest_steps(db, run_id, most=most, characters=characters)
    return {
        "steps": [dict(row) for row in steps[-most:]],
        "earlier": len(steps) > most,
        "states": await asked.states_of(db, run_id),
        "calls": [dict(row) for row in await asked.latest_calls(db, run_id, LATEST_CALLS)],
    }


@dataclass(frozen=True)
class Block:
    """A piece of a message: what it is, and its text. `long`: folded; `cut`: not all of it."""

    name: str
    text: str
    long: bool
    cut: bool


@require("viewer")
async def messages(request: Request) -> Response:
    """`GET /agent/runs/{id}/messages?after=`: what we and the model said, without live secrets."""
    after = asked_id(request.query_params.get("after"))
    async with engine(request).connect() as db:
        found = await own_run(db, request)
        position = -1 if after is None else min(after, 2**31 - 1)
        rows = await asked.messages_after(db, found["id"], position, PAGE_MESSAGES + 1)
    kept = (found, [dict(row) for row in rows[:PAGE_MESSAGES]])
    found, shown = await run_in_threadpool(redacted, request.app.state.settings, kept)
    return page(
        request,
        "run_messages.html",
        run=found,
        messages=[message | {"blocks": blocks(message["content"])} for message in shown],
        following=shown[-1]["position"] if len(rows) > PAGE_MESSAGES else None,
        first=after is None,
    )


def blocks(content: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Return a message's blocks as text."""
    return [shown_block(*said_block(block)) for block in content]


def shown_block(name: str, text: str) -> Block:
    """Cut a block that is too long to be read, fold one that is long."""
    return Block(name, text[:LONGEST_BLOCK], len(text) > SHORT_BLOCK, len(text) > LONGEST_BLOCK)


def said_block(block: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a block is, and its text."""
    kind = str(block.get("type"))
    if kind == "text":
        return "", str(block.get("text") or "")
    if kind == "thinking":
        return "thinking", str(block.get("thinking") or "")
    if kind == "tool_use":
        told = json.dumps(block.get("input"), indent=2, ensure_ascii=False)
        return f"uses {block.get('name')}", told
    if kind == "tool_result":
        failed = " (failed)" if block.get("is_error") else ""
        return f"result{failed}", plain(block.get("content"))
    return kind, json.dumps(block, indent=2, ensure_ascii=False, default=str)


def plain(content: Any) -> str:
    """Return the text of a tool's result."""
    if isinstance(content, list):
        return "\n".join(said_block(each)[1] for each in content if isinstance(each, dict))
    return str(content or "")


@require("manager")
async def stop(request: Request) -> Response:
    """`POST /agent/runs/{id}/stop`: at once where it waits, within seconds where it works."""
    async with engine(request).begin() as db:
        found = await own_run(db, request)
        stopped = await runs.stop(db, found["id"], called(request.state.member))
        if stopped is not None:
            await noted(db, request, "stop_run", f"run {found['id']} of {found['ticket_id']}")
    return await done(request, None if stopped else "This run has ended already.")


@require("manager")
async def approve(request: Request) -> Response:
    """`POST /agent/runs/{id}/approve`: have the plan developed that waits for it."""
    who = called(request.state.member)
    async with engine(request).begin() as db:
        found = await own_run(db, request)
        approved = await runs.approve(db, found["id"], None)
        if approved:
            await runs.note(db, found["id"], "note", "approved", detail=f"by {who}")
            await noted(db, request, "approve_run", f"run {found['id']} of {found['ticket_id']}")
    return await done(request, None if approved else "This run waits for no approval.")


async def done(request: Request, refused: str | None) -> Response:
    """Tell open pages, and show the run again."""
    if refused is None:
        await tell(request, "run", "ticket")
    if refused or request.headers.get("hx-request") == "true":
        return await screen(request, refused)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/agent/runs/{request.path_params['id']}{query}", 303)


def routes() -> list[Route]:
    """Return the routes of a run's pages."""
    return [
        Route("/agent/runs/{id:int}", run, name="run"),
        Route("/agent/runs/{id:int}/messages", messages, name="run_messages"),
        Route("/agent/runs/{id:int}/stop", stop, methods=["POST"]),
        Route("/agent/runs/{id:int}/approve", approve, methods=["POST"]),
    ]
