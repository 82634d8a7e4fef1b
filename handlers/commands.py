"""Read what a comment asks of the agent: `/claude …`, or a mention of the app. Pure.

Only the first line that asks counts. What is quoted, in code, or hidden in an HTML comment was not
said by whoever wrote the comment, or not to us.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

VERBS = ("develop", "plan", "approve", "retry", "stop", "cost", "model", "budget", "allow",
         "priority", "help")  # fmt: skip
WITH_WORDS = frozenset({"develop", "plan", "retry"})
"""Commands after which the rest of the comment is what else the agent is told."""

WITH_VALUE = frozenset({"model", "budget", "allow", "priority"})
PRIORITIES = {
    "critical": "critical",
    "high": "high",
    "medium": "medium",
    "low": "low",
    "p0": "critical",
    "p1": "high",
    "p2": "medium",
    "p3": "low",
}
MOST_USD = Decimal(10_000)
MOST_PATH, MOST_WORDS = 300, 20_000

UNKNOWN = "`/claude {verb}` is no command."
NO_VALUE = "`/claude {verb}` needs a value."
NO_PRIORITY = "The priority must be critical, high, medium or low (or P0 to P3)."
NO_BUDGET = "The budget must be a number of US dollars above 0, such as `/claude budget 2.50`."
NO_PATH = "The path must be one of this repository, such as `/claude allow .github/labeler.yml`."
NO_MODEL = "The model must be a name of the allow-list."

COMMAND = re.compile(r" {0,3}/claude(?:\s+(.*))?$", re.IGNORECASE)
MENTION = re.compile(
    r" {0,3}@([a-z0-9][a-z0-9-]{0,99})(?:\[bot\])?(?![\w/-])[:,]?\s*(.*)$", re.IGNORECASE
)
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
QUOTED = re.compile(r" {0,3}>| {4}| {0,3}\t")
HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
BREAKS = re.compile(r"\r\n|\r|\n")
OUTSIDE = re.compile(r"^[/~]|^[a-z]:|://|\\|(^|/)\.\.?(/|$)|//|[*?]", re.IGNORECASE)


@dataclass(frozen=True)
class Command:
    """What is asked for. `value`: what a verb needs (a model, a budget …), in plain form.

    `words` are what else the agent is told. `problem` says why it is only `help` after all.
    """

    verb: str
    value: str = ""
    words: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Mention:
    """Somebody was spoken to at the beginning of a line: the app, if `login` is its name."""

    login: str
    command: Command


def asked(body: str) -> Command | Mention | None:
    """Return the first command or mention of a comment; None where it holds neither."""
    lines = BREAKS.split(body)
    for place, line in enumerate(spoken(lines)):
        rest = "\n".join(lines[place + 1 :])
        if found := COMMAND.match(line):
            return command(found[1] or "", rest)
        if found := MENTION.match(line):
            return Mention(found[1].lower(), addressed(found[2], rest))
    return None


def spoken(lines: Iterable[str]) -> list[str]:
    """Return the lines of a comment as said to us: what is quoted, code or hidden is empty."""
    plain = "\n".join(without_code(lines))
    return HIDDEN.sub(lambda found: "\n" * found[0].count("\n"), plain).split("\n")


def without_code(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, those of code and quotations as empty ones."""
    fence = ""
    for line in lines:
        found = FENCE.match(line)
        if fence:
            closes = found and found[1].startswith(fence) and not found[2].strip()
            fence = "" if closes else fence
            yield ""
        elif found:
            fence = found[1]
            yield ""
        else:
            yield "" if QUOTED.match(line) else line


def command(said: str, rest: str = "") -> Command:
    """Return the command that follows `/claude`; an unknown or faulty one is `help`."""
    verb, _, value = said.strip().partition(" ")
    verb, value = verb.lower(), value.strip()
    if verb in WITH_WORDS:
        return Command(verb, words=words(value, rest))
    if verb in WITH_VALUE:
        return valued(verb, value)
    if verb in VERBS:
        return Command(verb)
    return Command("help", problem=UNKNOWN.format(verb=harmless(verb)) if verb else "")


def addressed(said: str, rest: str) -> Command:
    """Return what is asked of somebody by name: a command, else to develop what the words say."""
    first, _, value = said.strip().partition(" ")
    verb = first.lower().rstrip(".!?:,")
    alone, parts = not value.strip(), len(value.split())
    if verb in ("develop", "plan") or (verb in VERBS and alone and verb not in WITH_VALUE):
        return command(f"{verb} {value}", rest)
    if verb in WITH_VALUE and parts == 1:
        return command(f"{verb} {value}")
    return Command("develop", words=words(said, rest))


def words(value: str, rest: str) -> str:
    """Return what follows a command, on its line and below, shortened."""
    return f"{value}\n{rest}".strip()[:MOST_WORDS]


def valued(verb: str, value: str) -> Command:
    """Return a command with its value in plain form, or `help` that says what is wrong with it."""
    value = value.strip("`\"'“”").strip()
    if not value:
        return Command("help", problem=NO_VALUE.format(verb=verb))
    read, problem = {
        "priority": (priority, NO_PRIORITY),
        "budget": (budget, NO_BUDGET),
        "allow": (path, NO_PATH),
        "model": (model, NO_MODEL),
    }[verb]
    plain = read(value)
    return Command("help", problem=problem) if plain is None else Command(verb, value=plain)


def priority(value: str) -> str | None:
    """Read a priority; None for what is none."""
    return PRIORITIES.get(value.lower())


def budget(value: str) -> str | None:
    """Read an amount of US dollars, to the cent; None for what is none."""
    try:
        usd = Decimal(value.lower().removesuffix("usd").strip().lstrip("$"))
    except InvalidOperation:
        return None
    if not usd.is_finite() or not Decimal("0.01") <= usd <= MOST_USD:
        return None
    return str(usd.quantize(Decimal("0.01")))


def path(value: str) -> str | None:
    """Read a path inside the repository; None for one that leads out, a pattern or an address."""
    plain = value.removeprefix("./")
    parts = plain.lower().rstrip("/").split("/")
    if len(plain) > MOST_PATH or not plain.isprintable() or OUTSIDE.search(plain):
        return None
    if ".git" in parts or not parts[0]:
        return None
    return plain


def model(value: str) -> str | None:
    """Read the name of a model; whether it may be used is asked of the allow-list."""
    return value if re.fullmatch(r"[\w.-]+(?:[/:@][\w.-]+)*", value) and len(value) <= 100 else None


def harmless(verb: str) -> str:
    """Return a word that may be repeated in an answer."""
    return re.sub(r"[^\w-]", "", verb)[:30] or "…"
