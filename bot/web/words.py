"""What pages say beside numbers and times (`bot.words`): what was decided of a delivery."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bot.words import (
    DAY,
    HOUR,
    MINUTE,
    NOTHING,
    ago,
    clock,
    count,
    day,
    duration,
    exact_duration,
    measured,
    rate,
    round_duration,
    share,
    shortest,
    tokens,
    usd,
    whole_day,
)

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "NOTHING",
    "ago",
    "clock",
    "count",
    "day",
    "decided",
    "duration",
    "exact_duration",
    "measured",
    "rate",
    "round_duration",
    "share",
    "shortest",
    "tokens",
    "usd",
    "whole_day",
]


def decided(decisions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say what was decided of a delivery: its notes, then what is remembered, then what is ordered.

    >>> decided([{"remember": "push_commits"}, {"remember": "push_commits"}, {"job": "tidy_up"}])
    ['remembers 2 push commits', 'orders tidy up']
    """
    notes, kept, orders = list[str](), Counter[str](), dict[str, None]()
    for decision in decisions:
        if "note" in decision:
            notes.append(str(decision["note"]).removesuffix("."))
        elif "job" in decision:
            orders[str(decision["job"]).replace("_", " ")] = None
        else:
            kept[str(decision.get("remember", "something")).replace("_", " ")] += 1
    counts = [name if many == 1 else f"{many} {name}" for name, many in kept.items()]
    remembered = [f"remembers {', '.join(counts)}"] if counts else []
    return [*dict.fromkeys(notes), *remembered, *(f"orders {name}" for name in orders)]
