"""What can go wrong when a model is asked, said so that a person knows what to do."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from bot.agent.conversation import Usage
from models.errors import Refused

Kind = Literal[
    "key",
    "permission",
    "model",
    "spend",
    "billing",
    "request",
    "context",
    "overloaded",
    "unreachable",
]

PASSING_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
KINDS: dict[int, Kind] = {
    401: "key",
    402: "billing",
    403: "permission",
    404: "model",
    413: "context",
}
WORDS: dict[Kind, str] = {
    "key": "{maker} does not accept the key. Check {key}.",
    "permission": "The key may not use {model} at {maker}: {said}",
    "model": "{maker} has no model {model}, or the key may not use it. Check its name.",
    "spend": "The spend limit at {maker} is reached, so nothing more is answered until it is "
    "raised or starts anew: {said}",
    "billing": "{maker} cannot bill for this key (no credit, or no way to pay): {said}",
    "request": "{maker} refused the request: {said}",
    "context": "The conversation is longer than {model} can read: {said}",
    "overloaded": "{maker} could not answer: {said}",
    "unreachable": "{maker} cannot be reached: {said}",
}
LONGEST_SAID = 500


class ModelError(Refused):
    """A call of a model that came to nothing.

    `kind` says what is wrong; overloaded and unreachable also mean that all tries were used up.
    `usage` and `cost_usd` are what its tries used as far as that is known, so that money spent in
    vain is counted too. `passing` and `retry_after` (seconds) are for whoever tries again.
    """

    def __init__(
        self,
        said: str,
        kind: Kind,
        *,
        passing: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(said)
        self.kind = kind
        self.passing = passing
        self.retry_after = retry_after
        self.usage = Usage()
        self.cost_usd = Decimal(0)


class ContextFull(ModelError):  # noqa: N818 - it is a state, not a fault
    """The conversation no longer fits into the model's window; a shorter one may."""


@dataclass(frozen=True)
class Maker:
    """Who is asked, to people: its name, the variable that holds its key, the model."""

    name: str
    key: str
    model: str

    def trouble(
        self,
        kind: Kind,
        said: str = "",
        *,
        passing: bool = False,
        retry_after: float | None = None,
    ) -> ModelError:
        """Return the error of a kind in words for people; `said` is what the other side told."""
        made = ContextFull if kind == "context" else ModelError
        words = WORDS[kind].format(
            maker=self.name, key=self.key, model=self.model, said=shortened(said)
        )
        return made(words, kind, passing=passing, retry_after=retry_after)


def shortened(said: str) -> str:
    """Return a foreign sentence on one line, not longer than a person reads."""
    line = " ".join(said.split())
    return line if len(line) <= LONGEST_SAID else f"{line[:LONGEST_SAID]}…"


def of_status(status: int) -> tuple[Kind, bool]:
    """Return what an HTTP status means, and whether to try again may help."""
    if status in PASSING_STATUSES:
        return "overloaded", True
    if status >= 500:
        return "overloaded", False
    return KINDS.get(status, "request"), False


def seconds_of(header: str | None) -> float | None:
    """Read `retry-after` in seconds; None where it is missing or a date."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
