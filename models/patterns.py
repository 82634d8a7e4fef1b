r"""Patterns of texts: words, or simple regular expressions between slashes, that cannot run away.

A pattern without slashes is words, matched whole and in either case (`sev 1` is not in `sev 12`).
Between slashes stands a regular expression of a small language: letters, `.`, sets, the classes
`\b \d \s \w`, groups, `|`, and repeats of one character or set. `re` has no time limit, so what
could take long is refused: texts are read line by line, and an expression may not have more ways
to match than `MOST_WAYS` for each place it could begin at, nor take more steps than `MOST_STEPS`
to try them all; all of an organisation's together not more than `MOST_STEPS_TOGETHER`.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from models.errors import Refused

LONGEST = 200
LONGEST_LINE = 500
MOST_LINES = 40
MOST_WAYS = 2_500
MOST_REPEATS = 100
MOST_STEPS, MOST_STEPS_TOGETHER = 15_000, 30_000
GROUP_STEPS = 3
"""What a bracket or | costs beside one character."""

TOKEN = re.compile(
    r"(?P<escape>\\[bBdDsSwW]|\\[^a-zA-Z0-9])"
    r"|(?P<set>\[\^?(?:\\[dDsSwW]|\\[^a-zA-Z0-9]|(?!--)[^\[\]\\&~|])+\])"
    r"|(?P<open>\((?:\?:)?(?!\?))"
    r"|(?P<close>\))"
    r"|(?P<repeat>(?:[*+?]|\{[0-9]{1,4}(?:,[0-9]{0,4})?\})\??)"
    r"|(?P<choice>\|)"
    r"|(?P<plain>[^\\()\[\]{}*+?])"
)
TOO_LONG = (
    "use at most one *, + or {n,}, little after it, and few ? and |, or write it as two patterns."
)
SIMPLE = "it may have letters, sets, groups, | and repeats of one character, no look-around"


def checked(pattern: str) -> str:
    """Return a pattern as it is kept; raise `Refused` for one that cannot be or could run away."""
    cleaned = pattern.strip()
    if not cleaned:
        raise Refused("A pattern has no words.")
    if len(cleaned) > LONGEST:
        raise Refused(f"A pattern has at most {LONGEST} characters: {cleaned[:40]!r} has more.")
    if expression := between_slashes(cleaned):
        check_expression(expression)
    elif cleaned.startswith("/") or not re.search(r"\w", cleaned):
        raise Refused(f"{cleaned!r} is neither words nor a regular expression between slashes.")
    return cleaned


def check_expression(expression: str) -> None:
    """Raise `Refused` for an expression outside the small language, or with too many ways."""
    shown = f"/{expression}/"
    try:
        ways, steps = counted(expression)
        re.compile(expression, re.IGNORECASE)
    except (re.error, OverflowError, ValueError) as error:
        raise Refused(f"{shown} is no regular expression that we take: {error}.") from error
    if ways > MOST_WAYS or steps > MOST_STEPS:
        raise Refused(f"{shown} could take too long: {TOO_LONG}")


def check_together(patterns: Iterable[str]) -> None:
    """Raise `Refused` for patterns that could take too long together, each checked before."""
    expressions = [between_slashes(pattern.strip()) for pattern in patterns]
    if sum(counted(each)[1] for each in expressions if each) > MOST_STEPS_TOGETHER:
        raise Refused(f"These expressions could take too long together: {TOO_LONG}")


def counted(expression: str) -> tuple[int, int]:
    """Return how many ways to match there can be from one place, and the steps to try them all.

    The ways are the product of what each repeat and each choice can do, which nothing that is
    nested exceeds; what stands behind them is tried once for each. Raises `ValueError` in words.
    """
    ways, steps, choices, before = 1, 0, [1], ""
    for kind, token in tokens(expression):
        steps += ways * (GROUP_STEPS if kind in ("open", "choice", "close") else 1)
        if kind == "open":
            choices.append(1)
        elif kind == "choice":
            choices[-1] += 1
        elif kind == "close":
            if len(choices) == 1:
                raise ValueError("it closes a group that it did not open")
            ways *= choices.pop()
        elif kind == "repeat":
            more, longest = repeated(token, before)
            ways, steps = ways * more, steps + ways * longest
        before = kind
    return ways * choices[0], steps


def repeated(repeat: str, before: str) -> tuple[int, int]:
    """Return a repeat's ways, and its most turns; raise `ValueError` where it must not stand."""
    if before not in ("escape", "set", "plain") and not (before == "close" and repeat == "?"):
        raise ValueError("a group may only be followed by ?, and a repeat by nothing that repeats")
    bare = repeat.rstrip("?") or "?"
    if bare in "*+":
        return LONGEST_LINE, LONGEST_LINE
    if bare == "?":
        return 2, 1
    least, comma, most = bare.strip("{}").partition(",")
    if int(most or least) > MOST_REPEATS or int(least) > MOST_REPEATS:
        raise ValueError(f"it repeats more than {MOST_REPEATS} times")
    if comma and not most:
        return LONGEST_LINE, LONGEST_LINE
    return max(int(most or least) - int(least), 0) + 1, int(most or least)


def tokens(expression: str) -> Iterator[tuple[str, str]]:
    """Yield what an expression is made of; raise `ValueError` for what is not taken."""
    at = 0
    while at < len(expression):
        found = TOKEN.match(expression, at)
        if found is None:
            raise ValueError(f"{SIMPLE}, which {expression[at : at + 10]!r} is not")
        yield str(found.lastgroup), found[0]
        at = found.end()


def between_slashes(pattern: str) -> str | None:
    """Return what stands between slashes; None for words."""
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        return pattern[1:-1]
    return None


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern; one that was never checked and is refused matches nothing."""
    try:
        checked(pattern)
    except Refused:
        return re.compile(r"(?!)")
    expression = between_slashes(pattern.strip())
    if expression:
        return re.compile(expression, re.IGNORECASE)
    words = r"\s+".join(re.escape(word) for word in pattern.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def lines(text: str) -> list[str]:
    """Return the lines of a text as patterns read them: bounded in length and number."""
    return [line[:LONGEST_LINE] for line in text.splitlines()[:MOST_LINES]]


def found(patterns: Iterable[str], line: str) -> Iterator[re.Match[str]]:
    """Yield where patterns match in one line, pattern by pattern."""
    for pattern in patterns:
        yield from compiled(pattern).finditer(line)
