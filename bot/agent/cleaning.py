"""Text of strangers, reduced to what a person reading it on GitHub would have seen.

Hidden text is how issues carry orders that nobody saw (attack 1 of AGENT.md).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from bot.agent.markdown import Part, Voice, coded, fenced, rewritten

CUT = "[cut here: the text is longer than what is read]"
MOST_SOURCE = 70_000
"""GitHub keeps no text longer than 65,536 characters."""

BLANKS = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800)
ALSO_BLANK = (0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000))
HIDING_MATHS = re.compile(
    r"\$[^$\n]{0,4000}\\(?:color|textcolor|colorbox|[hv]?phantom|smash|tiny|scriptscriptstyle)\b"
    r"[^$]{0,4000}\$\$?"
)
MAY_LEAD = re.compile(
    r"(?![/\\])(?:https://github\.com/[\w.-]+/[\w.-]+/(?:blob|tree|commit|issues|pull)/)?"
    r"[\w./#-]{1,200}"
)
GAPS = re.compile(r"\n{3,}")
WIDE = re.compile(r"[ \t\u00a0\u2000-\u200a\u3000]{9,}")


@cache
def invisible() -> dict[int, None]:
    """Return the characters that nobody sees, as a table for `str.translate`.

    Formats (zero-width, bidirectional, soft hyphens, tags), controls, fillers and selectors.
    """
    unseen = (
        point
        for point in range(0x110000)
        if unicodedata.category(chr(point)) in ("Cf", "Cc", "Cs", "Co")
        or (0xE0000 <= point < 0xE1000)
    )
    told = dict.fromkeys((*unseen, *BLANKS, *ALSO_BLANK))
    return {point: None for point in told if chr(point) not in "\n\t\r"}


def visible(text: str) -> str:
    """Return a text without the characters that nobody sees."""
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\u2028", "\n").replace("\u2029", "\n").translate(invisible())


def cleaned(text: str, most: int) -> str:
    """Return what people see of a text of GitHub's, as plain Markdown of at most `most` characters.

    Gone are comments, attributes, titles, alternative texts, hidden elements, definitions of links
    that nothing shows, invisible characters, and maths that hides what it says.
    """
    source = min(MOST_SOURCE, 4 * most)
    seen = rewritten(visible(text[:source]), VOICE)
    tidy = GAPS.sub("\n\n", WIDE.sub(" ", HIDING_MATHS.sub("[hidden]", visible(seen)))).strip()
    cut = len(tidy) > most or len(text) > source
    return f"{tidy[:most].rstrip()}\n{CUT}" if cut else tidy


def one_line(text: str, most: int) -> str:
    """Return a short text, such as a title, on one line."""
    return " ".join(visible(text[:MOST_SOURCE]).split())[:most]


def inline(parts: Sequence[Part]) -> str:
    """Write words as they are, and code in its backticks."""
    return "".join(coded(part.value) if part.kind == "code" else part.value for part in parts)


def link(href: str) -> Sequence[Part]:
    """Say where a link leads if that is a place in a repository; other addresses can hide text."""
    return [Part("text", f" ({href})")] if MAY_LEAD.fullmatch(href) else []


def image(_alt: str) -> Sequence[Part]:
    """Say that there is an image; its alternative text is not seen."""
    return [Part("text", "[image]")]


def fence(info: str, body: str) -> str:
    """Write a block of code; comments in a diagram's source are not seen."""
    if info == "mermaid":
        body = re.sub(r"%%[^\n]*", "", body)
    return "[hidden]" if info == "math" and HIDING_MATHS.search(f"${body}$") else fenced(info, body)


VOICE = Voice(inline, fence, link, image)
