"""What the Synchronisation screen says: how each source stands, and what was missed when."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bot.connectors import CONNECTORS
from bot.connectors.protocol import ABSENT, CONNECTED, FAILED, LACKING, RUNNING
from bot.web.pages.incident_view import Said
from bot.web.words import count
from models.recovering import RecoveredDay

STATES = {
    ABSENT: Said("not connected", "waiting", ""),
    CONNECTED: Said("connected", "settled", "settled"),
    LACKING: Said("connected, something is missing", "parked", "asking"),
    RUNNING: Said("being read", "working", "asking"),
    FAILED: Said("the last reading failed", "failed", "failed"),
}
LOGGED = {
    "running": Said("running", "working", "asking"),
    "done": Said("done", "settled", "settled"),
    "failed": Said("failed", "failed", "failed"),
}
FROM_LOG = "brought back from GitHub’s delivery log"
SHOWN_KINDS = 5
ENDINGS = (
    ("ies", "y"),
    ("sses", "ss"),
    ("tuses", "tus"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("s", ""),
)


@dataclass(frozen=True)
class Missed:
    """What was missed on a day, in one sentence, and from where it came in the end."""

    day: date
    many: int
    says: str


def missed_days(
    found: Iterable[tuple[str, str, str, int]], recovered: Iterable[RecoveredDay]
) -> list[Missed]:
    """Say what was missed day by day, the latest first; `found`: by syncs."""
    told: dict[tuple[date, str], dict[str, int]] = {}
    for day, event, many in recovered:
        told.setdefault((day, FROM_LOG), {})[event] = many
    for written, what, source, many in found:
        by = f"found by a sync of {title(source)}"
        told.setdefault((date.fromisoformat(written), by), {})[what] = many
    return [sentence(*key, kinds) for key, kinds in sorted(told.items(), key=latest_first)]


def latest_first(told: tuple[tuple[date, str], Mapping[str, int]]) -> tuple[int, str]:
    """Return what days are sorted by."""
    (day, how), _ = told
    return -day.toordinal(), how


def sentence(day: date, how: str, kinds: Mapping[str, int]) -> Missed:
    """Say what was missed on a day, and how it came in the end."""
    many = sum(kinds.values())
    was = "was" if many == 1 else "were"
    noun = "delivery" if how == FROM_LOG else "thing"
    plural = "deliveries" if how == FROM_LOG else ""
    on = f"{day:%A} {day.day} {day:%B}"
    parts = list(counted(kinds))
    rest = [f"{len(parts) - SHOWN_KINDS} more kinds"] if len(parts) > SHOWN_KINDS else []
    what = ", ".join([*parts[:SHOWN_KINDS], *rest])
    return Missed(day, many, f"{count(many, noun, plural)} {was} missed on {on}: {what} – {how}.")


def counted(kinds: Mapping[str, int]) -> Iterator[str]:
    """Yield how many of what, the most first: 2 workflow runs, 1 pull request."""
    for name, many in sorted(kinds.items(), key=lambda each: (-each[1], each[0])):
        yield count(many, one_of(name), many_of(name))


def one_of(name: str) -> str:
    """Return one of an event or a table in words: workflow run, delivery, deployment status."""
    words = name.replace("_", " ")
    for ending, instead in ENDINGS:
        if words.endswith(ending) and not words.endswith(("ss", "tus")):
            return words.removesuffix(ending) + instead
    return words


def many_of(name: str) -> str:
    """Return several of an event or a table in words: workflow runs, deployment statuses."""
    one = one_of(name)
    if one.endswith("y") and one[-2] not in "aeiou":
        return f"{one[:-1]}ies"
    return f"{one}es" if one.endswith(("s", "ch", "sh")) else f"{one}s"


def title(source: str) -> str:
    """Return a source's name as people write it."""
    found = CONNECTORS.get(source)
    return found.title if found else source.capitalize()


def recent(days: Sequence[Missed], since: date) -> int:
    """Count what was missed since a day, that day included."""
    return sum(each.many for each in days if each.day >= since)
