"""May this diff leave the building? Answers with the files that may not, and why."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.agent.changes import SUBMODULE, Changes, Fault
from bot.agent.gate_lines import lines_of
from bot.agent.gate_links import bare_faults, link_faults, reached_faults
from bot.agent.gate_paths import why_not
from bot.agent.gate_secrets import secret_faults
from bot.agent.gate_tests import weakened
from bot.agent.workspace import Workspace

__all__ = ["Fault", "Verdict", "judge"]

MOST_FILES = 300
MOST_BYTES = 5 * 2**20
MOST_NAMED = 50
IS_SUBMODULE = "is a submodule"
TOO_MANY = "is one of {count} changed files; {most} are allowed"
TOO_LARGE = "is the largest of a change of more than {most} MB"
AND_MORE = "and {count} more"


@dataclass(frozen=True)
class Verdict:
    """What the gate found: faults that hold a diff back, and tests that were weakened by it."""

    faults: tuple[Fault, ...]
    weakened_tests: tuple[str, ...]


async def judge(
    space: Workspace,
    changes: Changes,
    *,
    protected: Sequence[str],
    allowed: Sequence[str],
    most_files: int = MOST_FILES,
    most_bytes: int = MOST_BYTES,
) -> Verdict:
    """Judge what a run changed.

    `protected`: globs that must not change besides the built-in ones; `allowed`: protected paths
    that may change this time. Nobody can allow submodules, links out of the repository, secrets,
    odd names or sizes.
    """
    faults = [*changes.faults, *path_faults(changes, protected, allowed)]
    if len(changes.files) > most_files:
        return Verdict((*brief(faults), too_many(changes, most_files)), ())
    faults += await link_faults(space, changes)
    faults += await reached_faults(space, changes, protected, allowed)
    faults += await bare_faults(space, changes)
    found, size = await lines_of(space, changes, most_bytes)
    if size > most_bytes:
        faults += largest(changes, most_bytes)
    faults += await asyncio.to_thread(secret_faults, found)
    return Verdict(tuple(brief(faults)), weakened(found))


def path_faults(
    changes: Changes, protected: Sequence[str], allowed: Sequence[str]
) -> Iterator[Fault]:
    """Yield what is wrong with the names and kinds of changed files."""
    for each in changes.files:
        if SUBMODULE in (each.mode, each.old_mode):
            yield Fault(each.path, IS_SUBMODULE)
        for why in why_not(each.path, protected, allowed):
            yield Fault(each.path, why)


def too_many(changes: Changes, most: int) -> Fault:
    """Return the fault of a change of too many files."""
    words = TOO_MANY.format(count=len(changes.files), most=most)
    return Fault(visible(changes.files[0].path), words)


def largest(changes: Changes, most_bytes: int) -> Iterator[Fault]:
    """Yield the largest file of a change that is too large."""
    by_size = sorted(changes.files, key=lambda each: each.size, reverse=True)
    words = TOO_LARGE.format(most=f"{most_bytes / 2**20:.0f}")
    yield from (Fault(each.path, words) for each in by_size[:1])


def brief(faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults once each, and no endless list of them."""
    once = list(dict.fromkeys(Fault(visible(each.path), each.why) for each in faults))
    left = len(once) - MOST_NAMED
    return [*once[:MOST_NAMED], Fault("…", AND_MORE.format(count=left))] if left > 0 else once


def visible(path: str) -> str:
    """Return a file's name with what cannot be seen written as its code."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in path)
