"""The lines that a change adds and removes, file by file, with what hides in binary files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.agent.changes import Change, Changes, contents
from bot.agent.git import Ask, GitRefused, git
from bot.agent.workspace import Workspace

HUNK = re.compile(r"@@ -\S+ \+(\d+)")
PRINTABLE = re.compile(rb"[\x20-\x7e\t]{8,}")
UNLIKE = "git told of other files than it listed."


@dataclass
class Lines:
    """The lines of one changed file: numbered ones that were added, and those removed."""

    change: Change
    added: list[tuple[int, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


async def lines_of(space: Workspace, changes: Changes, most_bytes: int) -> tuple[list[Lines], int]:
    """Return the changed lines of each file, and how many bytes the change has.

    More than `most_bytes` is not read: then there are no lines, and the bytes are more.
    """
    binary = [each for each in changes.files if each.added is None and each.status != "D"]
    total = sum(each.size for each in binary)
    if total > most_bytes:
        return [], total
    how = ("-p", "-r", "--unified=0", "--irreversible-delete", "--no-color", "--no-renames")
    more = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "--end-of-options")
    ask = Ask(most_bytes=most_bytes + 1, cut=True)
    said = await git(space.store, "diff-tree", *how, *more, changes.base, changes.tree, ask=ask)
    total += len(said.out)
    if total > most_bytes:
        return [], total
    found = list(read(said.out.decode("utf-8", "replace"), changes))
    await strings(space, found)
    return found, total


def read(patch: str, changes: Changes) -> Iterator[Lines]:
    """Read a patch without context; git writes the files in the order it listed them.

    A file that became a link, or the other way, is written twice.
    """
    files = iter([each for each in changes.files for _ in range(2 if each.status == "T" else 1)])
    now: Lines | None = None
    number = 0
    inside = False
    for line in patch.split("\n"):
        if line.startswith("diff --git "):
            if now:
                yield now
            now, inside = Lines(next_of(files)), False
        elif now and (hunk := HUNK.match(line)):
            number, inside = int(hunk[1]), True
        elif now and inside and line.startswith("+"):
            now.added.append((number, line[1:]))
            number += 1
        elif now and inside and line.startswith("-"):
            now.removed.append(line[1:])
    if now:
        yield now
    if next(files, None) is not None:
        raise GitRefused(UNLIKE)


def next_of(files: Iterator[Change]) -> Change:
    """Return the file that a patch comes to. Raises `GitRefused` where there is none left."""
    found = next(files, None)
    if found is None:
        raise GitRefused(UNLIKE)
    return found


async def strings(space: Workspace, found: list[Lines]) -> None:
    """Add the readable texts of binary files: a zero byte must not hide a secret."""
    binary = {
        lines.change.sha: lines
        for lines in found
        if lines.change.added is None and lines.change.status != "D" and lines.change.target is None
    }
    bodies = await contents(space.store, list(binary), most_bytes=2**30)
    for sha, body in bodies.items():
        narrow = body.replace(b"\0", b"") if b"\0" in body else b""  # UTF-16 has one a letter
        texts = PRINTABLE.findall(body) + PRINTABLE.findall(narrow)
        binary[sha].added += [(0, text.decode()) for text in texts]
