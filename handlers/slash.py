"""Read what `/veelocity …` asks for (https://docs.slack.dev/interactivity/implementing-slash-commands/).

Pure. A command is a function registered by its usage, and its docstring is what help says of it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Generic, TypeVar

from models.errors import Refused
from models.incidents import SEVERITIES

NAME = "/veelocity"
SHARE = frozenset({"--share", "\N{EM DASH}share", "\N{EN DASH}share"})
"""Slack's editors turn two hyphens into a dash."""

PERIODS = {"7d": 7, "30d": 30, "90d": 90}
URGENCIES = {f"p{number}": severity for number, severity in enumerate(SEVERITIES)}
LONGEST_TITLE = 256
MOST_TEXT = 4000

UNKNOWN = "`{name} {said}` is no command."
TOO_MANY = "`{name} {usage}`: {word} is more than it takes."
NO_ISSUE = "An issue is named like acme/api#42; {said} is none."
NO_SEVERITY = "A severity is one of sev1, sev2, sev3, sev4 (or p0 to p3); {said} is none."
NO_TITLE = "Say in a few words what is wrong: `{name} incident open Checkout is down sev1`."
LONG_TITLE = "A title may have {most} characters at most."
NO_KEY = "An incident is named by its key, such as INC-7F3K2QX; {said} is none."

REFERENCE = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
ISSUE = re.compile(
    r"(?:https?://[^/\s]+/)?([\w.-]{1,100}(?:/[\w.-]{1,100})?)(?:#|/issues/)([1-9][0-9]{0,8})",
    re.ASCII,
)
KEY = re.compile(r"(?:INC-)?([0-9A-Z]{7})", re.IGNORECASE | re.ASCII)
PLACED = 2

Does = TypeVar("Does", bound=Callable[..., object])


@dataclass(frozen=True)
class Command(Generic[Does]):
    """One command. `role`: who may, viewer, manager or admin; None: everybody in the workspace."""

    usage: str
    role: str | None
    does: Does

    @property
    def name(self) -> tuple[str, ...]:
        """The words it is called by: those of its usage that stand for themselves."""
        words = self.usage.split()
        fixed = [word.isalpha() and word.islower() for word in words]
        return tuple(words[: fixed.index(False)] if False in fixed else words)

    @property
    def help(self) -> str:
        """What it does, from its docstring, in one line."""
        return " ".join(cleandoc(self.does.__doc__ or "").partition("\n\n")[0].split())


@dataclass(frozen=True)
class Asked(Generic[Does]):
    """What was asked for. `command` is None, and `problem` says why, where it is unknown.

    `words` follow the command's name. `share`: everybody in the channel may see the answer.
    """

    command: Command[Does] | None
    words: tuple[str, ...] = ()
    share: bool = False
    problem: str = ""


class Commands(Generic[Does]):
    """The commands there are, in the order in which they were registered."""

    def __init__(self) -> None:
        self.all: list[Command[Does]] = []

    def on(self, usage: str, *, role: str | None = "viewer") -> Callable[[Does], Does]:
        """Register a function as what a command does."""

        def register(does: Does) -> Does:
            self.all.append(Command(usage, role, does))
            return does

        return register

    def read(self, text: str) -> Asked[Does]:
        """Return what a text behind `/veelocity` asks for; nothing at all asks for help."""
        words = plain(text[:MOST_TEXT]).split()
        share = any(word.lower() in SHARE for word in words)
        words = [word for word in words if word.lower() not in SHARE] or ["help"]
        lowered = [word.lower() for word in words]
        fits = [each for each in self.all if tuple(lowered[: len(each.name)]) == each.name]
        if not fits:
            return Asked(None, tuple(words), share, unknown(words, self.all))
        command = max(fits, key=lambda each: len(each.name))
        return Asked(command, tuple(words[len(command.name) :]), share)


def unknown(words: Sequence[str], known: Sequence[Command[Does]]) -> str:
    """Say which word is not known, with the one before it where that is."""
    families = {each.name[0] for each in known}
    count = 2 if words[0].lower() in families else 1
    return UNKNOWN.format(name=NAME, said=" ".join(harmless(word) for word in words[:count]))


def plain(text: str) -> str:
    """Return a text as it was typed: Slack escapes three signs and marks people and channels."""
    told = REFERENCE.sub(lambda found: f"{found[1]}{found[3] or found[2]}", text)
    return told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\0", "")


def harmless(word: str) -> str:
    """Return a word that may be repeated in an answer."""
    return re.sub(r"[^\w./#-]", "", word)[:40] or "…"


def one(words: Sequence[str], usage: str) -> str | None:
    """Return the only word there may be; None without one. Raises `Refused` for more."""
    if len(words) > 1:
        said = TOO_MANY.format(name=NAME, usage=usage, word=harmless(words[1]))
        raise Refused(said)
    return words[0] if words else None


def none(words: Sequence[str], usage: str) -> None:
    """Raise `Refused` where a command that takes no words was given one."""
    if words:
        raise Refused(TOO_MANY.format(name=NAME, usage=usage, word=harmless(words[0])))


def period(words: Sequence[str]) -> tuple[list[str], int]:
    """Return the words without a period, and its days, 30 where none is named."""
    days = [PERIODS[word.lower()] for word in words if word.lower() in PERIODS]
    return [word for word in words if word.lower() not in PERIODS], (days or [30])[-1]


def issue(said: str) -> tuple[str, int]:
    """Read `owner/name#42`, `name#42` or an issue's address."""
    found = ISSUE.fullmatch(said)
    if found is None:
        raise Refused(NO_ISSUE.format(said=harmless(said)))
    return found[1], int(found[2])


def severity(said: str) -> str:
    """Read a severity: sev1 to sev4, or p0 to p3."""
    found = severity_named(said)
    if found is None:
        raise Refused(NO_SEVERITY.format(said=harmless(said)))
    return found


def severity_named(said: str) -> str | None:
    """Return the severity that a word is; None for any other word."""
    word = said.lower().replace("-", "")
    return word if word in SEVERITIES else URGENCIES.get(word)


def key(said: str) -> str:
    """Read the key of an incident, with or without `INC-`."""
    found = KEY.fullmatch(said)
    if found is None:
        raise Refused(NO_KEY.format(said=harmless(said)))
    return f"INC-{found[1].upper()}"


@dataclass(frozen=True)
class Opening:
    """An incident to open. `place`: what stood behind the last "in"; None without one."""

    title: str
    severity: str | None = None
    place: str | None = None

    @property
    def whole(self) -> str:
        """The title with what stood behind "in", where that names no place after all."""
        return f"{self.title} in {self.place}" if self.place else self.title


def opening(words: Sequence[str]) -> Opening:
    """Read `TITLE… [sev1] [in PLACE]`, the last two in either order.

    Raises `Refused` where no title is left, or too long a one.
    """
    left, level, place = list(words), None, None
    while left:
        if level is None and (found := severity_named(left[-1])):
            level, left = found, left[:-1]
        elif place is None and len(left) > PLACED and left[-2].lower() == "in":
            place, left = left[-1], left[:-2]
        else:
            break
    title = " ".join(left)
    if not title:
        raise Refused(NO_TITLE.format(name=NAME))
    if len(title) + len(place or "") > LONGEST_TITLE:
        raise Refused(LONG_TITLE.format(most=LONGEST_TITLE))
    return Opening(title, level, place)
