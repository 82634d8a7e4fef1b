"""What the forms of the Settings screen say, and what is wrong with it, field by field."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import RowMapping
from starlette.datastructures import FormData

from models.errors import Refused
from models.incident_reading import SEVERITY_WORDS, ChannelPlace, Reading
from models.incidents import SEVERITIES
from models.patterns import check_together, checked

MOST_LINES, LONGEST_FIELD, LONGEST_HOURS = 200, 20_000, 24 * 90
CHANNEL = re.compile(r"[\w*?\[\]!.-]{1,80}")
EMOJI = re.compile(r"[\w+'-]{1,100}")
CHANNEL_NAMES = "A channel is a name or shell pattern such as incident-*; {said!r} is none."
EMOJI_NAMES = "A reaction is the name of an emoji such as rotating_light; {said!r} is none."

Read = Callable[[str], str]
"""Returns one entry as it is kept; raises `Refused` for what cannot be one."""


def channel(said: str) -> str:
    """Return a pattern of channels' names, without its #."""
    cleaned = said.removeprefix("#").lower()
    if not CHANNEL.fullmatch(cleaned):
        raise Refused(CHANNEL_NAMES.format(said=said[:40]))
    return cleaned


def reaction(said: str) -> str:
    """Return the name of an emoji, without its colons."""
    cleaned = said.strip(":").lower()
    if not EMOJI.fullmatch(cleaned):
        raise Refused(EMOJI_NAMES.format(said=said[:40]))
    return cleaned


def label(said: str) -> str:
    """Return a label of issues, or a shell pattern of some."""
    if len(said) > 100:
        raise Refused(f"A label has at most 100 characters: {said[:40]!r} has more.")
    return said


LISTS: dict[str, tuple[str, str, Read]] = {
    "channels": ("Channels", "names or shell patterns, without #", channel),
    "start_patterns": ("What begins one", "words, or /expressions/", checked),
    "resolve_patterns": ("What ends one", "in its thread: words, or /expressions/", checked),
    "start_reactions": ("Reactions that begin one", "names of emoji", reaction),
    "resolve_reactions": ("Reactions that end one", "names of emoji", reaction),
    "alert_bots": ("Alerting tools", "names of bots: each message begins one", checked),
    "labels": ("Labels of issues", "of GitHub and Linear, or shell patterns", label),
}
"""The lists of the form by column: title, hint, and how an entry is read."""

PATTERNS = ("start_patterns", "resolve_patterns", "alert_bots", *SEVERITIES)
"""The fields whose entries every message is read by."""


@dataclass(frozen=True)
class Draft:
    """A form as it was sent: what it says by field, what can be read of it, and its errors."""

    said: dict[str, str]
    read: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def shown(reading: Reading) -> dict[str, str]:
    """Return what the form shows of what is kept, one entry a line."""
    told = {name: "\n".join(getattr(reading, name)) for name in LISTS}
    told |= {name: ", ".join(reading.severities.get(name, ())) for name in SEVERITIES}
    hours = [f"{name} {value:g}" for name, value in sorted(reading.windows.items())]
    return told | {"window_hours": f"{reading.window_hours:g}", "windows": "\n".join(hours)}


def incidents(form: FormData) -> Draft:
    """Read the form of patterns, reactions, severities and windows."""
    names = (*LISTS, *SEVERITIES, "window_hours", "windows")
    draft = Draft({name: text(form, name) for name in names})
    for name, (_, _, read) in LISTS.items():
        attempt(draft, name, partial(by_line, read))
    for name in SEVERITIES:
        attempt(draft, name, by_comma)
    attempt(draft, "window_hours", hours)
    attempt(draft, "windows", windows)
    try:
        check_together(each for name in PATTERNS for each in draft.read.get(name, ()))
    except Refused as error:
        draft.errors.setdefault("start_patterns", str(error))
    return draft


def text(form: FormData, name: str) -> str:
    """Return a field as text, at most so long."""
    return str(form.get(name) or "").replace("\r\n", "\n").replace("\0", "")[:LONGEST_FIELD]


def attempt(draft: Draft, name: str, read: Callable[[str], Any]) -> None:
    """Read a field of a draft, or note what is wrong with it."""
    try:
        draft.read[name] = read(draft.said[name])
    except Refused as error:
        draft.errors[name] = str(error)


def entries(said: Sequence[str], read: Read) -> list[str]:
    """Return entries as they are kept, each once."""
    told = [each.strip() for each in said if each.strip()]
    if len(told) > MOST_LINES:
        raise Refused(f"There may be {MOST_LINES} entries at most.")
    return list(dict.fromkeys(read(each) for each in told))


def by_line(read: Read, said: str) -> list[str]:
    """Return entries that stand on lines of their own."""
    return entries(said.splitlines(), read)


def by_comma(said: str) -> list[str]:
    """Return patterns between commas."""
    return entries(said.split(","), checked)


def hours(said: str) -> float:
    """Return a number of hours."""
    try:
        told = float(said.strip().replace(",", "."))
    except ValueError as error:
        raise Refused(f"Hours are a number such as 24; {said[:20]!r} is none.") from error
    if not 0 < told <= LONGEST_HOURS:
        raise Refused(f"Hours are more than 0 and at most {LONGEST_HOURS}.")
    return told


def windows(said: str) -> dict[str, float]:
    """Return hours by environment: a name or class and a number on each line."""
    told: dict[str, float] = {}
    for line in filter(str.strip, said.splitlines()[:MOST_LINES]):
        name, _, number = line.strip().rpartition(" ")
        if not name:
            raise Refused(f"Write an environment and its hours, as staging 4: {line[:40]!r}.")
        told[name.strip()] = hours(number)
    return told


def columns(draft: Draft) -> dict[str, Any]:
    """Return what is to be kept of a draft without errors, by column."""
    severities = {name: draft.read[name] for name in SEVERITIES}
    rest = {name: draft.read[name] for name in (*LISTS, "window_hours", "windows")}
    return rest | {"severities": severities}


def reading(draft: Draft, kept: Reading) -> Reading:
    """Return the settings as a draft says them, to try them before they are kept."""
    told = {name: draft.read.get(name) or getattr(kept, name) for name in LISTS}
    words = {name: draft.read.get(name) or SEVERITY_WORDS[name] for name in SEVERITIES}
    return Reading(**told, severities=words, places=kept.places)


def with_places(kept: Reading, draft: Draft) -> Reading:
    """Return the settings with the rows of a draft, the first by name before the others."""
    rows = sorted(draft.read["places"], key=lambda row: row.channel)
    return replace(kept, places=tuple(rows))


def places(form: FormData, known: dict[str, str]) -> Draft:
    """Read the rows of the form of channels; a row without a channel is left out."""
    draft = Draft({})
    rows: list[ChannelPlace] = []
    columns = ("channel", "environment", "repository_id", "service", "severity")
    said = [[str(value).strip() for value in form.getlist(name)] for name in columns]
    for number, row in enumerate(zip(*said, strict=False)):
        try:
            if row[0]:
                rows.append(place(row, known))
        except Refused as error:
            draft.errors[str(number)] = str(error)
    draft.read["places"] = rows
    draft.read["rows"] = [dict(zip(columns, row, strict=True)) for row in zip(*said, strict=False)]
    if len({row.channel for row in rows}) < len(rows):
        draft.errors["places"] = "A channel stands there twice."
    return draft


def mappings(form: FormData, known: Sequence[RowMapping], named: dict[str, str]) -> Draft:
    """Read which repository each of Linear's teams and projects is mapped to.

    `wanted` has only what differs from what is kept; None there means nowhere.
    """
    kept = {place["id"]: place["repository_id"] or "" for place in known}
    sent = {name: str(value) for name, value in form.multi_items() if name.startswith("linear:")}
    draft = Draft({name: sent.get(name, kept[name]) for name in kept})
    draft.read["wanted"] = {
        name: said or None for name, said in sent.items() if said != kept.get(name)
    }
    for name, said in draft.read["wanted"].items():
        if name not in kept:
            draft.errors[name] = f"There is no team or project {name[:60]!r} in Linear."
        elif said and said not in named:
            draft.errors[name] = f"There is no repository {said[:40]!r}."
    return draft


def place(row: Sequence[str], known: dict[str, str]) -> ChannelPlace:
    """Return a row of the form of channels; raise `Refused` for what is wrong with it."""
    name, environment, repository, service, severity = row
    if repository and repository not in known:
        raise Refused(f"There is no repository {repository[:40]!r}.")
    if severity and severity not in SEVERITIES:
        raise Refused(f"A severity is one of {', '.join(SEVERITIES)}; {severity[:20]!r} is none.")
    return ChannelPlace(
        channel=channel(name),
        environment=environment or "production",
        repository_id=repository or None,
        service=service or None,
        severity=severity or None,
        repository=known.get(repository),
    )
