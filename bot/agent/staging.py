"""Makes a git tree of a hostile work tree: looks at every file before git opens any.

Named pipes would hang git, huge files would fill the disk, a repository inside the repository
would become a link to nowhere, and a file that git silently leaves out would be lost.
"""

import asyncio
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.agent.changes import SUBMODULE, Fault, named
from bot.agent.git import Ask, GitRefused, Place, git, work_of

MOST_ENTRIES = 2_000_000
MOST_FILES = 20_000
MOST_FILE_BYTES = 25 * 2**20
MOST_BYTES = 200 * 2**20
MOST_RULES_BYTES = 2**20

KINDS = {
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}
UNREADABLE = "cannot be read"
TOO_LARGE = "is larger than {most} MB"
NESTED = "is a repository inside the repository"
IN_SUBMODULE = "is a submodule, and was changed"
NOT_A_NAME = "has a name that git does not take"
NOT_UTF8 = "has a name that is not UTF-8"
ENDLESS = "The work tree holds more than {most} files."
TOO_DEEP = "has a path that is too long"
HANGS = "{path} {why}: git cannot look at this work tree."
TOO_MANY = (
    "{count} files were changed, most of them below {folder}; {most} are too many to look at."
)
TOO_MUCH = "The changed files have more than {most} MB together, most of it below {folder}."


@dataclass
class Found:
    """What a walk over the work tree met that is no plain file, folder or link."""

    odd: dict[bytes, str] = field(default_factory=dict)
    entries: int = 0


def walked(tree: Path) -> Found:
    """Look at every entry of a work tree without opening any or following a link.

    The top `.git` is the model's own and is left out. Raises `GitRefused` where git would hang.
    """
    found = Found()
    top = os.fsencode(tree)
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(top + b"/" + folder) as listed:
                waiting.extend(looked_at(listed, folder, found))
        except PermissionError:
            found.odd[folder] = UNREADABLE
        except OSError as error:
            found.odd[folder] = TOO_DEEP if folder else str(error.strerror)
        if found.entries > MOST_ENTRIES:
            raise GitRefused(ENDLESS.format(most=MOST_ENTRIES))
    return found


def looked_at(
    listed: "Iterable[os.DirEntry[bytes]]", folder: bytes, found: Found
) -> Iterator[bytes]:
    """Note what is odd in a folder; yield the folders in it."""
    for entry in listed:
        found.entries += 1
        path = folder + b"/" + entry.name if folder else entry.name
        if entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            if path != b".git":
                yield path
        elif not entry.is_file(follow_symlinks=False):
            found.odd[path] = kind_of(entry)
            if b"/.git" in b"/" + path.lower():
                raise GitRefused(HANGS.format(path=named(path), why=found.odd[path]))
        elif entry.name.lower().startswith(b".git") and path != b".git":
            small(entry, path)


def kind_of(entry: "os.DirEntry[bytes]") -> str:
    """Say what a special file is."""
    return KINDS.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), "is no plain file")


def small(entry: "os.DirEntry[bytes]", path: bytes) -> None:
    """Refuse a file of rules that git would read whole and that is too large for it."""
    if entry.stat(follow_symlinks=False).st_size > MOST_RULES_BYTES:
        raise GitRefused(HANGS.format(path=named(path), why="is larger than any file of rules"))


@dataclass
class Staged:
    """What is to be put into the index, taken out of it, and cannot be."""

    put: list[bytes] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


async def staged(place: Place) -> tuple[str, tuple[Fault, ...]]:
    """Bring the index up to the work tree; return the tree written, and what could not be in it.

    Files that .gitignore names are left out, as git does. Raises `GitRefused`.
    """
    tree, index = work_of(place)
    unlock(index)
    found = await asyncio.to_thread(walked, tree)
    others, differing, links = await asyncio.gather(
        git(place, "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"),
        git(place, "diff-files", "-z", "--raw", "--ignore-submodules=dirty"),
        git(place, "ls-files", "-z", "--stage"),
    )
    chosen = await asyncio.to_thread(
        chosen_of, tree, others.out.split(b"\0")[:-1], list(raw(differing.out))
    )
    chosen.faults += [Fault(named(path), IN_SUBMODULE) for path in filled(tree, links.out)]
    chosen.faults += await shown_odd(place, found)
    bounded(tree, chosen)
    refused = await indexed(place, chosen)
    written = await git(place, "write-tree")
    return written.text, tuple(dict.fromkeys([*chosen.faults, *refused]))


def unlock(index: Path) -> None:
    """Delete what a killed git left of writing the index."""
    Path(f"{index}.lock").unlink(missing_ok=True)


def raw(out: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Read `diff-files --raw -z`: old mode, status and path."""
    parts = iter(out.split(b"\0")[:-1])
    for part in parts:
        fields = part[1:].decode().split(" ")
        yield fields[0], fields[4][0], next(parts)


def chosen_of(
    tree: Path, others: Iterable[bytes], differing: Iterable[tuple[str, str, bytes]]
) -> Staged:
    """Decide what becomes of each new and each differing file."""
    chosen = Staged()
    for path in others:
        if path.endswith(b"/"):
            chosen.faults.append(Fault(named(path), NESTED))
        else:
            consider(tree, path, chosen)
    for old_mode, status, path in differing:
        if status == "D":
            chosen.gone.append(path)
        elif old_mode == SUBMODULE and (tree / os.fsdecode(path)).is_dir():
            chosen.faults.append(Fault(named(path), IN_SUBMODULE))
        else:
            consider(tree, path, chosen)
    return chosen


def consider(tree: Path, path: bytes, chosen: Staged) -> None:
    """Take a file, unless it cannot be opened, is no file, or is too large."""
    whole = below(tree, path)
    mode = os.lstat(whole)
    if not utf8(path):
        chosen.faults.append(Fault(named(path), NOT_UTF8))
    elif stat.S_ISLNK(mode.st_mode):
        chosen.put.append(path)
    elif not stat.S_ISREG(mode.st_mode):
        why = KINDS.get(stat.S_IFMT(mode.st_mode), NESTED)
        chosen.faults.append(Fault(named(path), why))
    elif not os.access(whole, os.R_OK):
        chosen.faults.append(Fault(named(path), UNREADABLE))
    elif mode.st_size > MOST_FILE_BYTES:
        why = TOO_LARGE.format(most=MOST_FILE_BYTES // 2**20)
        chosen.faults.append(Fault(named(path), why))
    else:
        chosen.put.append(path)


def below(tree: Path, path: bytes) -> bytes:
    """Return the whole path of a file of the tree."""
    return os.fsencode(tree) + b"/" + path


def utf8(path: bytes) -> bool:
    """Tell whether a name can be written as text."""
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def filled(tree: Path, listed: bytes) -> Iterator[bytes]:
    """Yield the submodules of the index whose folder holds something: it would be lost."""
    for line in listed.split(b"\0")[:-1]:
        told, _, path = line.partition(b"\t")
        if told.startswith(SUBMODULE.encode()):
            folder = tree / os.fsdecode(path)
            if folder.is_dir() and not folder.is_symlink() and any(folder.iterdir()):
                yield path


async def shown_odd(place: Place, found: Found) -> list[Fault]:
    """Return the odd entries that .gitignore does not name."""
    if not found.odd:
        return []
    ask = Ask(
        stdin=b"".join(b"./" + path + b"\0" for path in found.odd if path),
        codes=(0, 1, 128),  # 128: it cannot tell; then none is ignored
        environment={"GIT_LITERAL_PATHSPECS": "0"},
    )
    ignored = await git(place, "check-ignore", "-z", "--stdin", "--no-index", ask=ask)
    left = set(found.odd) - {path.removeprefix(b"./") for path in ignored.out.split(b"\0")}
    return [Fault(named(path), found.odd[path]) for path in sorted(left)]


def bounded(tree: Path, chosen: Staged) -> None:
    """Refuse more files or bytes than anyone would look at, before any is read."""
    count = len(chosen.put) + len(chosen.gone)
    if count > MOST_FILES:
        files = Counter(top(path) for path in [*chosen.put, *chosen.gone])
        folder = files.most_common(1)[0][0]
        raise GitRefused(TOO_MANY.format(count=count, folder=folder, most=MOST_FILES))
    sizes: Counter[str] = Counter()
    for path in chosen.put:
        sizes[top(path)] += os.lstat(below(tree, path)).st_size
    if sizes.total() > MOST_BYTES:
        folder = sizes.most_common(1)[0][0]
        raise GitRefused(TOO_MUCH.format(most=MOST_BYTES // 2**20, folder=folder))


def top(path: bytes) -> str:
    """Return the first folder of a path; `.` for a file at the top."""
    first, slash, _ = path.partition(b"/")
    return named(first) if slash else "."


async def indexed(place: Place, chosen: Staged) -> list[Fault]:
    """Write what was decided into the index; return what git would not take."""
    if chosen.gone:
        ask = Ask(stdin=b"".join(path + b"\0" for path in chosen.gone))
        await git(place, "update-index", "--force-remove", "-z", "--stdin", ask=ask)
    if not chosen.put:
        return []
    ask = Ask(stdin=b"".join(path + b"\0" for path in chosen.put))
    options = ("--add", "--remove", "--replace", "-z", "--stdin")
    said = await git(place, "update-index", *options, ask=ask)
    mark = "Ignoring path "
    lines = [line for line in said.err.splitlines() if line.startswith(mark)]
    return [Fault(line.removeprefix(mark), NOT_A_NAME) for line in lines]
