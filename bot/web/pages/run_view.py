"""What a run's page shows: its road, its steps, its tests and its diff."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.web import words
from bot.web.pages.agent_view import Said, said_state
from models.runs import ENDED

EXIT = re.compile(r"\[exit status (-?\d+)\]")
ROAD = ("queued", "setup", "developing", "validating", "gating", "publishing")
PLANNED = ("planning", "waiting_approval")
TOOLS = {
    "report_progress": "reports its progress",
    "submit": "hands the work in",
    "ask_people": "asks people",
}
FILES = {"A": "new ", "D": "deleted ", "T": "another type "}
LIMITS = {
    "usd": "the budget of this run",
    "turns": "the number of turns",
    "tokens": "the number of tokens",
    "seconds": "the time",
}


def took(seconds: float | None) -> str:
    """Say how long a step took, to a tenth of a second where it was quick."""
    if seconds is None or seconds >= words.MINUTE:
        return words.duration(seconds)
    return f"{seconds:.1f} s" if seconds >= 0.05 else "<0.1 s"


@dataclass(frozen=True)
class Stop:
    """One state on the road of a run. `place`: past, now or ahead."""

    state: str
    said: Said
    place: str


def road(run: Mapping[str, Any], visited: Iterable[str]) -> list[Stop]:
    """Return the states that a run has come through, is in and has ahead, in their order.

    What a run that has ended never came to is left out.
    """
    state, ended = run["state"], run["state"] in ENDED
    seen = {*visited, "queued", state}
    planned = run["kind"] == "plan" or bool(seen.intersection(PLANNED))
    if run["started_at"]:
        seen.add("setup")
    names = [*ROAD[:2], *(PLANNED if planned else ()), *ROAD[2:], state if ended else "done"]
    if not ended:
        return [Stop(name, said_state(name), place_of(name, names, state)) for name in names]
    return [
        Stop(name, said_state(name), "now" if name == state else "past")
        for name in names
        if name in seen or name == state
    ]


def place_of(name: str, names: Sequence[str], state: str) -> str:
    """Tell where a state lies, seen from the one that a run is in."""
    here = names.index(state)
    there = names.index(name)
    return "now" if there == here else "past" if there < here else "ahead"


@dataclass(frozen=True)
class Step:
    """Something that happened in a run, as it is shown. `told` is None where all is said."""

    id: int
    kind: str
    title: str
    told: str | None
    icon: str
    tone: str
    seconds: float | None
    code: str | None
    at: Any


def step(row: Mapping[str, Any]) -> Step:
    """Return a step as it is shown: a state by its words, a command with its exit status."""
    kind, ok = row["kind"], row["ok"]
    tone = "" if ok is None else "settled" if ok else "failed"
    said = said_state(row["name"]) if kind == "state" else None
    return Step(
        id=row["id"],
        kind=kind,
        title=said.words if said else TOOLS.get(row["name"], row["name"]),
        told=row["detail"] or None,
        icon=said.icon if said else tone or "same",
        tone=said.kind if said else tone,
        seconds=row["seconds"],
        code=exit_status(row["detail"]) if kind == "tool" and ok is False else None,
        at=row["at"],
    )


def exit_status(told: str | None) -> str | None:
    """Return the exit status that is noted last in what a command said."""
    found = EXIT.findall(told or "")
    return found[-1] if found else None


@dataclass(frozen=True)
class Tests:
    """One run of the tests in a few words; `passed` is None where they did not run."""

    name: str
    words: str
    passed: bool | None
    failing: Sequence[str]
    seconds: float | None


def tests(evidence: Mapping[str, Any]) -> list[Tests]:
    """Return the test evidence: base against result."""
    return [tested(name, evidence.get(name)) for name in ("base", "result")]


def tested(name: str, told: Mapping[str, Any] | None) -> Tests:
    """Say one run of the tests."""
    if not told:
        return Tests(name, "not run", None, (), None)
    ran = told.get("ran")
    failing = list(told.get("failures") or ())
    if told.get("timed_out"):
        said = "timed out"
    else:
        said = "passed" if told.get("code") == 0 else f"failed, exit {told.get('code')}"
    counts = [words.count(ran, "test")] if isinstance(ran, int) else []
    counts += [f"{len(failing)} failing"] if failing else []
    passed = told.get("code") == 0 and not told.get("timed_out")
    return Tests(name, ", ".join([said, *counts]), passed, failing, told.get("seconds"))


@dataclass(frozen=True)
class Diff:
    """The files of a diff, and how many lines came and went."""

    files: Sequence[Mapping[str, Any]]
    added: int
    deleted: int
    weakened: Sequence[str]


def diff(changes: Mapping[str, Any]) -> Diff:
    """Return a run's changes as they are shown."""
    files = list(changes.get("files") or ())
    return Diff(
        files=files,
        added=sum(each.get("added") or 0 for each in files),
        deleted=sum(each.get("deleted") or 0 for each in files),
        weakened=list(changes.get("weakened") or ()),
    )
