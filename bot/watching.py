"""Shows a run on a terminal while it goes on: state, checklist, time, tokens, money."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.web.api.run_answers import told_of_runs
from bot.words import duration
from models.errors import Refused
from models.runs import ENDED

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
STATES = {
    "queued": "waiting for its turn",
    "setup": "setting up",
    "planning": "planning",
    "waiting_approval": "waiting for approval",
    "developing": "developing",
    "validating": "running the tests",
    "gating": "checking what may leave",
    "publishing": "publishing",
    "done": "done",
    "draft": "a draft",
    "nothing_to_do": "nothing to do",
    "failed": "failed",
    "cancelled": "stopped",
    "over_budget": "over budget",
    "blocked": "blocked",
}
RESTING = (*ENDED, "waiting_approval")
"""The states in which nothing more happens by itself."""

Row = Mapping[str, Any]


Show = Callable[[Row, str | None], None]
"""Shows a run as it is now, with a line below it that says what people should know."""


async def looked_up(store: AsyncEngine, run_id: int) -> Row:
    """Return what is said of a run; raise `Refused` where there is none."""
    async with store.connect() as db:
        found = await told_of_runs(db, "x.id = :id", 1, id=run_id)
    if not found:
        raise Refused(f"There is no run {run_id}.")
    return found[0]


async def watched(store: AsyncEngine, run_id: int, show: Show) -> Row:
    """Show a run until nothing more happens by itself; return it as it is then.

    Says so once where no worker has taken it up after five seconds.
    """
    waited, note = 0.0, None
    while True:
        row = await looked_up(store, run_id)
        if row["state"] != "queued":
            note = None
        elif note is None and waited >= PATIENCE_SECONDS:
            note = await why_waiting(store, row)
        show(row, note)
        if row["state"] in RESTING:
            return row
        await asyncio.sleep(LOOK_SECONDS)
        waited += LOOK_SECONDS


async def why_waiting(store: AsyncEngine, row: Row) -> str:
    """Say why a run is not taken up."""
    where = "x.repository_id = :repository and x.id <> :id and x.leased_until > now()"
    async with store.connect() as db:
        at_work = await told_of_runs(db, where, 1, repository=row["repository_id"], id=row["id"])
        anywhere = await told_of_runs(db, "x.leased_until > now()", 1)
    if at_work:
        return f"Run {at_work[0]['id']} is at work on this repository: one at a time."
    if anywhere:
        return "The worker is busy with other runs (AGENT_CONCURRENCY says how many at once)."
    return (
        "No worker has taken it up. Start one by `python -m bot worker` (or `dev`), or develop it "
        "in this process by --here."
    )


@contextmanager
def screen(*, quiet: bool = False) -> Iterator[Show]:
    """Yield what shows a run: live on a terminal, else a line for each change, or nothing."""
    if quiet:
        yield lambda row, note: None
    elif sys.stderr.isatty():
        with Live(console=Console(stderr=True), auto_refresh=False) as live:

            def show(row: Row, note: str | None) -> None:
                live.update(Text("\n".join(lines(row, note))), refresh=True)

            yield show
    else:
        yield printer()


def printer() -> Show:
    """Return what prints what is new about a run, a line each."""
    said = set[str]()

    def show(row: Row, note: str | None) -> None:
        news = [STATES[row["state"]], *(item for item in checklist(row)), *([note] if note else [])]
        for line in news:
            if line not in said:
                said.add(line)
                sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    return show


def lines(row: Row, note: str | None = None) -> Iterator[str]:
    """Yield a run as lines for a terminal."""
    yield f"Run {row['id']} · {row['repository']}#{row['number']} {row['title']}"
    yield " · ".join([STATES[row["state"]], *figures(row)])
    yield from (f"  {item}" for item in checklist(row))
    if note:
        yield note


def figures(row: Row) -> Iterator[str]:
    """Yield how long a run has taken, its turns, tokens and money, as far as there are any."""
    if row["elapsed_seconds"] is not None:
        yield duration(row["elapsed_seconds"])
    if row["turns"]:
        read = row["input_tokens"] + row["cache_read_tokens"] + row["cache_write_tokens"]
        yield f"{row['turns']} turns"
        yield f"{read:,} tokens in, {row['output_tokens']:,} out"
        yield f"${row['cost_usd']:.2f}"
    if row["model"]:
        yield str(row["model"])


def checklist(row: Row) -> Iterator[str]:
    """Yield what the model reported of its progress; control characters are its own affair."""
    for item in row["checklist"]:
        text = "".join(sign for sign in str(item.get("text", "")) if sign.isprintable())
        yield f"[{'x' if item.get('done') else ' '}] {text[:200]}"
