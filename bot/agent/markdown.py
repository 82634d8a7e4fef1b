"""Markdown read as people see it on GitHub, and written anew from that.

It becomes HTML first and is then read the way a browser reads it, so that comments, definitions,
attributes and hidden elements are gone however they were written, and what is code for us is code
for GitHub. The format: <https://github.github.com/gfm/>.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

COMMENT = re.compile(
    r"<!--.*?(?:-->|--!>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<[?!].*?(?:>|\Z)", re.DOTALL
)
UNSEEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(hidden|collapse)|opacity\s*:\s*0*\.?0*\s*(;|$)"
    r"|font-size\s*:\s*0|color\s*:\s*(transparent|#?f{3}|white)|text-indent\s*:\s*-|clip",
    re.IGNORECASE,
)
FOOTNOTE = re.compile(
    r"^ {0,3}\[\^([^\]\s]+)\]:[^\n]*(?:\n(?![ \t]*(?:\n|\[\^|\Z))[^\n]+)*"
    r"(?:\n(?:[ \t]*\n)+(?: {4}|\t)[^\n]*)*",
    re.MULTILINE,
)


def names(listed: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(listed.split())


UNSEEN = names(
    "script style template noscript title textarea head svg math iframe object embed audio video"
    " canvas select option datalist noembed noframes plaintext xmp"
)
VOID = names("area base br col hr img input link meta param source track wbr")
SPANS = names(
    "a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q rp rt ruby s samp"
    " small span strike strong sub sup time tt u var"
)
BLOCKS = names(
    "address article aside blockquote body button caption center dd details dialog dir div dl dt"
    " fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header html legend li main menu"
    " nav ol p picture pre section summary table tbody td tfoot th thead tr ul"
)
HEADINGS = names("h1 h2 h3 h4 h5 h6")
MARKS = {"em": "*", "i": "*", "strong": "**", "b": "**", "del": "~~", "s": "~~", "strike": "~~"}
CODES = frozenset({"code", "tt", "kbd", "samp"})
MOST_NESTED = 100
Attributes = list[tuple[str, str | None]]


class Part(NamedTuple):
    """A piece of a line. `kind`: text, code (without its backticks) or mark (of emphasis)."""

    kind: str
    value: str


@dataclass(frozen=True)
class Voice:
    """How what was read is written: words with their marks, a block of code, links and images."""

    inline: Callable[[Sequence[Part]], str]
    fence: Callable[[str, str], str]
    link: Callable[[str], Sequence[Part]]
    image: Callable[[str], Sequence[Part]]


@dataclass
class Container:
    """A quote or an item of a list: what stands before its first line, and before the others."""

    first: str
    rest: str
    begun: bool = False

    def prefix(self) -> str:
        """Return what stands before the next line."""
        used, self.begun = (self.rest if self.begun else self.first), True
        return used


@cache
def parser() -> "MarkdownIt":
    """Return the parser of GitHub's Markdown; imported when first needed."""
    from markdown_it import MarkdownIt

    options = {"html": True, "maxNesting": 40}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"])


def rewritten(markdown: str, voice: Voice) -> str:
    """Return what people would see of a text, written by a voice."""
    plain = without_lost_footnotes(markdown.replace("\r\n", "\n").replace("\r", "\n"))
    writer = Writer(voice)
    writer.feed(COMMENT.sub("", parser().render(plain)))
    return writer.text()


def without_lost_footnotes(markdown: str) -> str:
    """Take out footnotes that nothing refers to: GitHub does not show them."""

    def kept(found: re.Match[str]) -> str:
        name = re.escape(found[1])
        return found[0] if re.search(rf"\[\^{name}\](?!:)", markdown, re.IGNORECASE) else ""

    return FOOTNOTE.sub(kept, markdown) if "[^" in markdown else markdown


class Writer(HTMLParser):
    """Reads HTML as a browser does and writes down what is seen of it."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(convert_charrefs=True)
        self.voice = voice
        self.open: list[tuple[str, bool]] = []
        self.names: Counter[str] = Counter()
        self.unseen = 0
        self.containers: list[Container] = []
        self.numbers: list[int | None] = []
        self.parts: list[Part] = []
        self.pre: list[str] | None = None
        self.info = ""
        self.code: list[str] | None = None
        self.links: list[tuple[str, int]] = []
        self.rows: list[list[str]] | None = None
        self.cell = False
        self.written: list[str] = []
        self.was_listed = False

    def text(self) -> str:
        """Return all that was written."""
        self.close()
        for _ in range(len(self.open)):
            self.close_last()
        self.flush()
        return "".join(self.written).strip("\n")

    @property
    def hidden(self) -> bool:
        """Whether what comes now is not seen."""
        return self.unseen > 0

    def handle_data(self, data: str) -> None:
        """Take words."""
        if self.hidden:
            return
        if self.pre is not None:
            self.pre.append(data)
        elif self.code is not None:
            self.code.append(data)
        else:
            self.parts.append(Part("text", data))

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        """Open an element, or take it for words where HTML has no such thing (`List<String>`).

        What is nested deeper than anybody would write is not read any more.
        """
        self.unseen += len(self.open) == MOST_NESTED
        if tag in VOID:
            if not self.hidden:
                self.void(tag, dict(attrs))
        elif tag in SPANS | BLOCKS | UNSEEN:
            unseen = tag in UNSEEN or is_unseen(attrs)
            self.open.append((tag, unseen))
            self.names[tag] += 1
            self.unseen += unseen
            if not self.hidden:
                self.opened(tag, dict(attrs))
        elif not attrs:
            self.handle_data((self.get_starttag_text() or f"<{tag}>").strip())

    def handle_endtag(self, tag: str) -> None:
        """Close an element and all that was left open in it."""
        if not self.names[tag]:
            return
        while self.close_last() != tag:
            continue

    def close_last(self) -> str:
        """Close the element that was opened last; return its name."""
        tag, unseen = self.open[-1]
        if not self.hidden:
            self.closed(tag)
        self.open.pop()
        self.names[tag] -= 1
        self.unseen -= unseen
        return tag

    def void(self, tag: str, attrs: dict[str, str | None]) -> None:
        """Write an element without content."""
        if tag == "br":
            self.handle_data("\n")
        elif tag == "hr":
            self.flush()
            self.emit("---")
        elif tag == "img" and self.pre is None:
            self.parts += self.voice.image(attrs.get("alt") or "")

    def opened(self, tag: str, attrs: dict[str, str | None]) -> None:
        """Begin an element that is seen."""
        if self.pre is not None:
            self.info = self.info or language(attrs)
        elif tag in BLOCKS:
            self.begin_block(tag, attrs)
        elif tag in CODES and self.code is None:
            self.code = []
        elif tag == "a":
            self.links.append((attrs.get("href") or "", len(self.parts)))
        elif tag in MARKS and self.code is None:
            self.parts.append(Part("mark", MARKS[tag]))

    def begin_block(self, tag: str, attrs: dict[str, str | None]) -> None:
        """Begin a block: a paragraph, a list, a quote, a table."""
        self.flush()
        if tag == "pre" and not self.cell:
            self.pre, self.info = [], ""
        elif tag in ("ul", "ol", "menu", "dir"):
            start = attrs.get("start") or "1"
            number = int(start) if start.isdecimal() and len(start) < 9 else 1
            self.numbers.append(number if tag == "ol" else None)
        elif tag == "li":
            self.containers.append(self.item())
        elif tag == "blockquote":
            self.containers.append(Container("> ", "> "))
        elif tag == "table" and self.rows is None:
            self.rows = []
        elif tag == "tr" and self.rows is not None:
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.cell = True

    def item(self) -> Container:
        """Return the next item of the list that is open."""
        number = self.numbers[-1] if self.numbers else None
        if number is None:
            return Container("- ", "  ")
        self.numbers[-1] = number + 1
        return Container(f"{number}. ", " " * len(f"{number}. "))

    def closed(self, tag: str) -> None:
        """End an element that is seen."""
        if tag == "pre" and self.pre is not None:
            body, self.pre = "".join(self.pre), None
            self.emit(self.voice.fence(self.info, body.strip("\n")))
        elif self.pre is not None:
            return
        elif tag in CODES and self.code is not None:
            body, self.code = "".join(self.code), None
            self.parts.append(Part("code", body))
        elif tag == "a" and self.links:
            self.end_link()
        elif tag in MARKS:
            self.parts.append(Part("mark", MARKS[tag]))
        elif tag in BLOCKS:
            self.end_block(tag)

    def end_link(self) -> None:
        """Write where a link leads, where its words do not say it."""
        href, since = self.links.pop()
        words = "".join(part.value for part in self.parts[since:])
        if href not in (words, f"mailto:{words}", f"http://{words}"):
            self.parts += self.voice.link(href)

    def end_block(self, tag: str) -> None:
        """End a block."""
        if tag in ("td", "th") and self.cell and self.rows:
            self.cell = False
            self.rows[-1].append(self.line().replace("|", "\\|"))
        elif tag in HEADINGS and not self.cell and (line := self.line()):
            self.emit(f"{'#' * int(tag[1])} {line}")
        self.flush()
        if tag == "table" and self.rows is not None and not self.cell:
            self.end_table()
        elif tag in ("ul", "ol", "menu", "dir") and self.numbers:
            self.numbers.pop()
        elif tag in ("li", "blockquote") and self.containers:
            self.containers.pop()

    def end_table(self) -> None:
        """Write a table."""
        rows, self.rows = [row for row in self.rows or [] if row], None
        lines = [f"| {' | '.join(row)} |" for row in rows]
        if lines:
            self.emit("\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]))

    def line(self) -> str:
        """Return the words since the last block, on one line."""
        return " ".join(self.taken().split())

    def taken(self) -> str:
        """Return the words since the last block."""
        parts, self.parts, self.links = merged(self.parts), [], []
        return self.voice.inline(parts)

    def flush(self) -> None:
        """Write the words since the last block as one of their own; in a table's cell, go on."""
        if self.cell:
            self.parts.append(Part("text", " "))
            return
        lines = [line.strip() for line in self.taken().strip().split("\n")]
        if any(lines):
            self.emit("\n".join(lines))

    def emit(self, block: str) -> None:
        """Write a block, behind the marks of the quotes and lists it is in."""
        fresh = [each for each in self.containers if not each.begun]
        tight = bool(fresh) and self.was_listed and fresh[0].rest.isspace()
        lines = block.split("\n")
        written = ["".join(each.prefix() for each in self.containers) + line for line in lines]
        gap = "" if not self.written else "\n" if tight else "\n\n"
        self.written.append(gap + "\n".join(line.rstrip() for line in written))
        self.was_listed = any(each.rest.isspace() for each in self.containers)


def merged(parts: Sequence[Part]) -> list[Part]:
    """Join pieces of text that follow each other."""
    made: list[Part] = []
    for part in parts:
        if made and part.kind == made[-1].kind == "text":
            made[-1] = Part("text", made[-1].value + part.value)
        else:
            made.append(part)
    return made


def is_unseen(attrs: Attributes) -> bool:
    """Tell whether an element's attributes hide what is in it."""
    told = {name: value or "" for name, value in attrs}
    return (
        "hidden" in told
        or told.get("aria-hidden", "").strip().lower() == "true"
        or bool(UNSEEN_STYLE.search(told.get("style", "")))
    )


def language(attrs: dict[str, str | None]) -> str:
    """Return the language that a block of code names; empty where it names none."""
    named = re.match(r"language-([\w+#.-]{1,30})$", attrs.get("class") or "")
    return named[1] if named else ""


def fenced(info: str, body: str) -> str:
    """Return a block of code whose fence is longer than any in it."""
    longest = max((len(run) for run in runs_of_backticks(body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{info}\n{body}\n{fence}"


def coded(words: str) -> str:
    """Return words as inline code, on one line."""
    flat = " ".join(words.split())
    if not flat:
        return ""
    fence = "`" * (max((len(run) for run in runs_of_backticks(flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def runs_of_backticks(text: str) -> Iterator[str]:
    """Yield each run of backticks in a text."""
    return (found[0] for found in re.finditer("`+", text))
