"""Words of a model, made harmless before they leave: they can only be read.

What is seen of them is written anew as Markdown (`markdown`), so nothing hidden is left; then
whatever GitHub would act on is made plain: images, links to elsewhere, mentions, references to
other repositories, words that close other issues, and commands of chat bots at the start of a line.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate

from bot.agent.cleaning import visible
from bot.agent.markdown import Part, Voice, coded, fenced, merged, rewritten

MOST = 20_000
CUT = "\n\n…"
DRAWN = frozenset({"mermaid", "math", "geojson", "topojson", "stl", "suggestion"})
"""Languages of code blocks that GitHub does not show as code, but draws, or lets people apply."""

KEYWORD = r"(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?![A-Za-z0-9])"
ADDRESS = r"(?:(?:https?|ftp)://|www\.)[^\s<>`]+"
REFERENCE = (
    r"(?:https?://[^\s<>`]*?/(?:issues|pull|discussions)/(?P<u>\d+)[^\s<>`]*"
    r"|(?P<other>[\w.-]{1,100}/[\w.-]{1,100})?\#(?P<n>\d+)|GH-(?P<g>\d+))"
)
CLOSING = re.compile(
    rf"(?P<keyword>{KEYWORD})(?P<between>[\s:*_~()\[\]-]*){REFERENCE}", re.IGNORECASE
)
ACTIVE = re.compile(
    rf"(?P<closing>{CLOSING.pattern})"
    rf"|(?P<address>{ADDRESS})"
    r"|(?P<mention>[\w.+-]{0,100}@[A-Za-z0-9][\w/@.-]*)"
    r"|(?P<foreign>[\w.-]{1,100}/[\w.-]{1,100}\#\d+)"
    r"|(?P<special>[\\`*~<&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(:\[]))",
    re.IGNORECASE,
)
ENTITIES = {"<": "&lt;", "&": "&amp;"}
BEGINS_BLOCK = re.compile(r"^(?=[#>+=|-]|/[A-Za-z])")
BEGINS_ITEM = re.compile(r"^(\d{1,9})(?=[.)])")
COMMAND = re.compile(r"^([ \t]*)/(?=[A-Za-z][A-Za-z-]*(?:[ \t]|$))", re.MULTILINE)
OUR_MARKER = re.compile(r"<!(--\s*veelocity)", re.IGNORECASE)
KEPT_PLACES = r"/(?:blob|tree|commit|commits|compare|wiki|releases|actions)/[\w./#-]+"
SKIPS = re.compile(
    r"\[((?:skip|no)[ -](?:ci|actions|checks)|(?:ci|actions)[ -]skip)\]|\*{3}no_ci\*{3}"
    r"|skip-checks\s*:",
    re.IGNORECASE,
)
SCHEME = re.compile(r"(?:https?|ftp)://|www\.", re.IGNORECASE)
SENTENCE_END = ".,;:!?)'\"*_~]"


def harmless(markdown: str, issue: int, *, home: str = "", most: int = MOST) -> str:
    """Return a model's Markdown as it may be shown on GitHub.

    `issue` is the ticket's own number, which may be closed. `home` is the address of the
    repository on GitHub; links to its files and commits stay links. The result has at most `most`
    characters (and the sign that it was cut).
    """
    source, cut = visible(markdown), len(markdown) > most
    voice = Voice(partial(inline, issue=issue, home=home), fence, link, image)
    room = most
    while True:
        written = visible(rewritten(source[:room], voice))
        if len(written) <= most or room < 100:
            return written[:most] + CUT if cut else written
        room, cut = room * 3 // 4, True


def harmless_line(text: str, issue: int, most: int = 200) -> str:
    """Return a model's words as one line that is not Markdown: a title, the subject of a commit.

    Nothing in it skips checks, closes another issue, mentions anybody or leads elsewhere.
    """
    line = " ".join(visible(text[: 10 * most]).split())
    while SCHEME.search(line):  # what is left around one may be another
        line = SCHEME.sub("", line)
    line = CLOSING.sub(partial(closing, issue=issue), line)
    line = SKIPS.sub(lambda found: f"({found[1] or 'no ci'})", line)
    line = re.sub(r"([\w.-]+/[\w.-]+)#(\d+)", r"\1 issue \2", line)
    line = re.sub(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9])", "＠", line)
    return shortened(re.sub(r"^[/#]+(?=[A-Za-z])", "", line), most)


def shortened(line: str, most: int) -> str:
    """Return the beginning of a line; no number is cut, since its beginning names another issue."""
    return line if len(line) <= most else re.sub(r"#?\d+$", "", line[:most]).strip()


def inline(parts: Sequence[Part], *, issue: int, home: str) -> str:
    """Write a line: its words made plain, its code as code, its emphasis kept.

    Emphasis is dropped where it takes something active apart, and code in which nothing is seen.
    """
    seen = [Part(part.kind, visible(part.value)) for part in parts]
    parts = merged([part for part in seen if part.kind != "code" or part.value.strip()])
    if hides(parts):
        parts = merged([part for part in parts if part.kind != "mark"])
    made = ""
    for piece in (piece for part in parts for piece in pieces(part, issue, home)):
        made += f" {piece}" if made.endswith("`") and piece.startswith("`") else piece
    return "\n".join(no_block(line.strip()) for line in made.split("\n"))


def hides(parts: Sequence[Part]) -> bool:
    """Tell whether emphasis stands in the middle of something active."""
    shown = [part for part in parts if part.kind != "mark"]
    words = ["\0" if part.kind == "code" else part.value for part in shown]
    ends = set(accumulate(map(len, words)))
    found = (hit for hit in ACTIVE.finditer("".join(words)) if not hit["special"])
    return any(ends & set(range(hit.start() + 1, hit.end())) for hit in found)


def no_block(line: str) -> str:
    """Return a line that begins no heading, list, quote or command."""
    return BEGINS_ITEM.sub(r"\1\\", BEGINS_BLOCK.sub(r"\\", line, count=1), count=1)


def pieces(part: Part, issue: int, home: str) -> Iterator[str]:
    """Yield what a part is written as."""
    if part.kind == "code":
        yield coded(OUR_MARKER.sub(r"<! \1", part.value))
    elif part.kind == "mark":
        yield part.value
    else:
        yield from plain(part.value, issue, home)


def plain(text: str, issue: int, home: str) -> Iterator[str]:
    """Yield words with all that is active in them made plain."""
    since = 0
    for found in ACTIVE.finditer(text):
        yield text[since : found.start()]
        since = found.end()
        if found["closing"]:
            yield closing(found, issue)
        elif found["address"]:
            yield from address(found[0], issue, home)
        elif found["special"]:
            yield ENTITIES.get(found[0], f"\\{found[0]}")
        else:
            yield coded(found[0])
    yield text[since:]


def closing(found: re.Match[str], issue: int) -> str:
    """Say which issue is meant in words that close none, unless it is the ticket's own."""
    number = found["u"] or found["n"] or found["g"]
    if found["n"] and not found["other"] and int(number) == issue:
        return f"{found['keyword']} #{issue}"
    of = f"{found['other']} " if found["other"] else ""
    return f"{found['keyword']} {of}issue {number}"


def address(word: str, issue: int, home: str) -> Iterator[str]:
    """Yield an address as code, or as it is where it leads to the repository's own files."""
    kept = word.rstrip(SENTENCE_END)
    rest = word[len(kept) :]
    own = home and re.fullmatch(re.escape(home) + KEPT_PLACES, kept)
    yield kept if own else coded(kept)
    yield from plain(rest, issue, home)


def link(href: str) -> Sequence[Part]:
    """Say where a link leads."""
    return [Part("text", " ("), Part("text" if "://" in href else "code", href), Part("text", ")")]


def image(alt: str) -> Sequence[Part]:
    """Say that an image was here."""
    return [Part("text", f"[image: {alt}]" if alt else "[image]")]


def fence(info: str, body: str) -> str:
    """Write a block of code that is only code."""
    shown = OUR_MARKER.sub(r"<! \1", visible(body))
    shown = COMMAND.sub("\\1\N{DIVISION SLASH}", shown)
    return fenced("" if info.lower() in DRAWN else info, shown)
