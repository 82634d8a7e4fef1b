"""What a run changed, file by file: a base commit against the tree made of its work."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.agent.git import Ask, Place, git

LINK = "120000"
SUBMODULE = "160000"
MOST_TARGET = 4096


@dataclass(frozen=True)
class Fault:
    """A file that may not leave, and why, in words."""

    path: str
    why: str


@dataclass(frozen=True)
class Change:
    """One changed file.

    `status`: A added, M modified, D deleted, T another kind of file. `mode`, `old_mode`: git's
    (`100644`, `100755`, `120000` symbolic link, `160000` submodule, `000000` not there). `size`:
    bytes it has now. `added`, `deleted`: lines; None for a binary file. `target`: a link's.
    `sha`, `old_sha`: git's names of the contents; zeros where there is none.
    """

    path: str
    status: str
    mode: str
    old_mode: str
    size: int
    added: int | None
    deleted: int | None
    target: str | None = None
    sha: str = ""
    old_sha: str = ""


@dataclass(frozen=True)
class Changes:
    """What changed since `base`; `tree`: the git tree with the result.

    `faults`: what is in the work tree and could not become part of it.
    """

    tree: str
    base: str
    files: tuple[Change, ...]
    faults: tuple[Fault, ...] = ()


def named(path: bytes) -> str:
    """Return a file's name as text; bytes that are not UTF-8 are shown by their numbers."""
    return path.decode("utf-8", "backslashreplace")


async def compared(place: Place, base: str, tree: str, faults: Sequence[Fault] = ()) -> Changes:
    """Compare two trees of the object store; the work tree is not looked at."""
    options = ("-r", "-z", "--raw", "--numstat", "--no-abbrev", "--no-renames", "--no-ext-diff")
    kinds = ("--no-textconv", "--ignore-submodules=none")
    said = await git(place, "diff-tree", *options, *kinds, "--end-of-options", base, tree)
    raw, counted = parsed(said.out)
    wanted = [entry[3] for entry in raw if entry[1] not in ("000000", SUBMODULE)]
    links = [entry[3] for entry in raw if entry[1] == LINK]
    sizes, targets = await asyncio.gather(sizes_of(place, wanted), contents(place, links))
    files = tuple(
        Change(
            named(path),
            status,
            mode,
            old_mode,
            sizes.get(sha, 0),
            *counted.get(path, (None, None)),
            target=named(targets[sha]) if mode == LINK else None,
            sha=sha,
            old_sha=old_sha,
        )
        for old_mode, mode, old_sha, sha, status, path in raw
    )
    return Changes(tree, base, files, tuple(faults))


Raw = tuple[str, str, str, str, str, bytes]
Lines = tuple[int | None, int | None]


def parsed(out: bytes) -> tuple[list[Raw], dict[bytes, Lines]]:
    """Read `diff-tree --raw --numstat -z`: entries of the trees, and lines by path."""
    parts = iter(out.split(b"\0"))
    raw: list[Raw] = []
    counted: dict[bytes, Lines] = {}
    for part in parts:
        if part.startswith(b":"):
            old_mode, mode, old_sha, sha, status = part[1:].decode().split(" ")
            raw.append((old_mode, mode, old_sha, sha, status[0], next(parts)))
        elif part:
            added, deleted, path = part.split(b"\t", 2)
            counted[path] = (number(added), number(deleted))
    return raw, counted


def number(text: bytes) -> int | None:
    """Read a number of lines; `-` stands for a binary file."""
    return None if text == b"-" else int(text)


async def sizes_of(place: Place, shas: Sequence[str]) -> dict[str, int]:
    """Return the sizes of blobs in bytes."""
    if not shas:
        return {}
    asked = Ask(stdin="".join(f"{sha}\n" for sha in shas).encode())
    said = await git(place, "cat-file", "--batch-check=%(objectname) %(objectsize)", ask=asked)
    lines = (line.split(" ") for line in said.text.splitlines())
    return {sha: int(size) for sha, size in lines}


async def contents(
    place: Place, shas: Sequence[str], most_bytes: int = MOST_TARGET
) -> dict[str, bytes]:
    """Return what blobs hold, each up to `most_bytes`."""
    if not shas:
        return {}
    asked = Ask(stdin="".join(f"{sha}\n" for sha in dict.fromkeys(shas)).encode())
    said = await git(place, "cat-file", "--batch", ask=asked)
    return {sha: body[:most_bytes] for sha, body in batched(said.out)}


def batched(out: bytes) -> Iterator[tuple[str, bytes]]:
    """Read the answers of `cat-file --batch`."""
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        sha, _, size = out[at:end].decode().split(" ")
        yield sha, out[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)


@dataclass(frozen=True)
class Entry:
    """One file of a tree: git's mode and the name of its content."""

    mode: str
    sha: str


async def entries(place: Place, tree: str) -> dict[str, Entry]:
    """Return every file of a tree by its path."""
    said = await git(place, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", tree)
    found = {}
    for line in said.out.split(b"\0")[:-1]:
        told, _, path = line.partition(b"\t")
        mode, _, sha = told.decode().split(" ")
        found[named(path)] = Entry(mode, sha)
    return found
