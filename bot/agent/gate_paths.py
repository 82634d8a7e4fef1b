"""Which paths a run may not touch, however their names are written.

A name is compared as the most lenient file system would: macOS ignores invisible characters and
case, Windows trailing dots, spaces and streams, and knows short names (`GIT~1`).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache

PROTECTED = (
    "/.github",
    "/CODEOWNERS",
    "/docs/CODEOWNERS",
    "CLAUDE.md",
    "CLAUDE.local.md",
    "AGENTS.md",
    ".mcp.json",
    ".gitattributes",
    ".gitmodules",
    ".husky",
    ".claude",
    ".veelocity*",
)
SHORT = {
    "git": ".git",
    "github": ".github",
    "gitatt": ".gitattributes",
    "gitmod": ".gitmodules",
    "codeow": "codeowners",
    "claude": ".claude",
    "husky": ".husky",
    "mcp": ".mcp.json",
    "veeloc": ".veelocity",
}
SHORTENED = re.compile(r"([^~]{1,6})~[0-9](?:\..{0,3})?")
INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Cs")
VARIATIONS = range(0xFE00, 0xFE10)

CONTROL = "has a name with control or invisible characters"
DOT_GIT = "has a name that is .git on some file systems"
PROTECTED_PATH = "is protected"


@cache
def canonical(name: str) -> str:
    """Return the name of one file or folder as the most lenient file system reads it."""
    seen = "".join(each for each in name if not ignorable(each))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    cut = folded.partition(":")[0].rstrip(". ") or folded
    short = SHORTENED.fullmatch(cut)
    return SHORT.get(short[1], cut) if short else cut


def ignorable(character: str) -> bool:
    """Tell whether a character may be skipped in a name."""
    return unicodedata.category(character) in ("Cf", "Cc") or ord(character) in VARIATIONS


def parts_of(path: str) -> tuple[str, ...]:
    """Return a path's names in canonical form; a backslash separates as well."""
    return tuple(canonical(part) for part in path.replace("\\", "/").split("/") if part)


def has_hidden(path: str) -> bool:
    """Tell whether a name holds control or invisible characters."""
    return any(unicodedata.category(each) in INVISIBLE for each in path)


def is_dot_git(path: str) -> bool:
    """Tell whether any name on a path is `.git` somewhere."""
    return ".git" in parts_of(path)


def is_matched(path: str, pattern: str) -> bool:
    """Tell whether a glob names a path or a folder above it.

    As in .gitignore: without a slash it matches at any depth, `*` stays within one name, `**` is
    any number of folders.
    """
    wanted = [canonical(part) if part != "**" else part for part in pattern.split("/") if part]
    anywhere = ["**"] if "/" not in pattern.rstrip("/") else []
    return bool(wanted) and matches(parts_of(path), (*anywhere, *wanted))


def matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Match names against globs from the top; what is below a match is matched too.

    `reached` holds how many globs may be used up after each name, so that no pattern is slow.
    """
    reached = set(passed({0}, wanted))
    for part in parts:
        stepped = {
            at if wanted[at] == "**" else at + 1
            for at in reached
            if at < len(wanted) and (wanted[at] == "**" or fnmatchcase(part, wanted[at]))
        }
        reached = set(passed(stepped, wanted))
        if len(wanted) in reached:
            return True
    return False


def passed(reached: set[int], wanted: Sequence[str]) -> Iterator[int]:
    """Yield the places in a pattern, and those after each `**`, which may stand for nothing."""
    for at in reached:
        yield at
        while at < len(wanted) and wanted[at] == "**":
            at += 1
            yield at


def is_allowed(path: str, allowed: Sequence[str]) -> bool:
    """Tell whether a maintainer allowed a path: exactly it, or a folder named with a slash."""
    return any(
        path == each or (each.endswith("/") and path.startswith(each)) for each in allowed if each
    )


def is_guarded(path: str, protected: Sequence[str]) -> bool:
    """Tell whether a path is protected, by us or by the repository's globs."""
    return any(is_matched(path, pattern) for pattern in (*PROTECTED, *protected))


def why_not(path: str, protected: Sequence[str], allowed: Sequence[str]) -> Iterator[str]:
    """Yield why a path may not be changed: its name first, which nobody can allow."""
    if has_hidden(path):
        yield CONTROL
    if is_dot_git(path):
        yield DOT_GIT
    if is_guarded(path, protected) and not is_allowed(path, allowed):
        yield PROTECTED_PATH
