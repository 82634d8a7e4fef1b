"""Notices a model that goes in circles."""

import json
from collections import deque
from dataclasses import dataclass, field

from bot.agent.conversation import Block, ToolResult

SAME_CALLS = 4
SAME_ERRORS = 3
ALTERNATING_CALLS = 6
UNCOUNTED = frozenset({"report_progress"})
HINT = (
    "You are going in circles: {how}. Step back: say what you know and what you only assume, read "
    "what the last results say, and try something else. If you cannot go on, submit what you have "
    "and say what is missing."
)
STUCK = "The model went in circles and did not find out: {how}."


@dataclass
class Circles:
    """The latest calls and errors of a conversation, as far back as a circle is looked for.

    A circle: the same call four times in a row, the same error three times in a row, or two calls
    in turn, six calls long (A-B-A-B-A-B).
    """

    calls: deque[str] = field(default_factory=lambda: deque(maxlen=ALTERNATING_CALLS))
    errors: deque[str | None] = field(default_factory=lambda: deque(maxlen=SAME_ERRORS))
    hinted: bool = False

    def saw(self, call: Block, result: ToolResult) -> None:
        """Take note of a call and what it came to."""
        if call.get("name") in UNCOUNTED:
            return
        self.calls.append(json.dumps([call.get("name"), call.get("input")], sort_keys=True))
        self.errors.append(f"{call.get('name')}: {result.text}" if result.failed else None)

    def found(self) -> str | None:
        """Say which circle the latest calls are, and forget them; None where they are none."""
        how = circle(list(self.calls), list(self.errors))
        if how:
            self.calls.clear()
            self.errors.clear()
        return how


def circle(calls: list[str], errors: list[str | None]) -> str | None:
    """Say which circle calls and their errors end in."""
    if repeated(calls, SAME_CALLS):
        return f"the same call {SAME_CALLS} times in a row"
    if repeated(errors, SAME_ERRORS) and errors[-1] is not None:
        return f"the same error {SAME_ERRORS} times in a row"
    if alternating(calls):
        return f"the same two calls in turn, {ALTERNATING_CALLS} times"
    return None


def repeated(seen: list[str] | list[str | None], times: int) -> bool:
    """Tell whether the last of a list was there a number of times in a row."""
    return len(seen) >= times and len(set(seen[-times:])) == 1


def alternating(calls: list[str]) -> bool:
    """Tell whether the latest calls are two in turn."""
    last = calls[-ALTERNATING_CALLS:]
    whole = len(last) == ALTERNATING_CALLS
    return (
        whole and len(set(last)) == 2 and all(a == b for a, b in zip(last, last[2:], strict=False))
    )
