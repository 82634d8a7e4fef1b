"""May this diff leave the building? Answers with the files that may not, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.agent.changes import Changes, Fault
from bot.agent.workspace import Workspace

__all__ = ["Fault", "Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """What the gate found: faults that hold a diff back, and tests that were weakened by it."""

    faults: tuple[Fault, ...]
    weakened_tests: tuple[str, ...]


async def judge(
    space: Workspace, changes: Changes, *, protected: Sequence[str], allowed: Sequence[str]
) -> Verdict:
    """Judge what a run changed.

    `protected`: more globs that must not change; `allowed`: paths that may, for this run.
    """
    return Verdict(changes.faults, ())
