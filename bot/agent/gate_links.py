"""Symbolic links that lead out of the tree, and repositories that pose as folders."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bot.agent.changes import LINK, Change, Changes, Entry, Fault, contents, named
from bot.agent.gate_paths import is_allowed, is_guarded, parts_of
from bot.agent.workspace import Workspace

MOST_HOPS = 40
LEAVES = "is a link that leaves the repository"
INTO_GIT = "is a link into .git"
BARE = "is part of a bare repository inside the repository"
REACHED = "is what the protected {link} leads to"

Parts = tuple[str, ...]
Read = Callable[[str], Parts]
"""Reads a path as a file system does that is more or less lenient."""

NOWHERE: Parts = ("",)
"""Where a link ends that leads to itself."""


async def link_faults(space: Workspace, changes: Changes) -> list[Fault]:
    """Return the links that lead out of the result, by this change.

    A link that was there before and led out then is not this run's doing.
    """
    if not any(LINK in (each.mode, each.old_mode) for each in changes.files):
        return []
    changed = {each.path for each in changes.files}
    faults = fates(await links_of(space, changes.tree))
    if not faults:
        return []
    before = fates(await links_of(space, changes.base))
    return [
        Fault(path, why) for path, why in faults.items() if path in changed or path not in before
    ]


async def reached_faults(
    space: Workspace, changes: Changes, protected: Sequence[str], allowed: Sequence[str]
) -> list[Fault]:
    """Return changed files that a protected link leads to: what it says is what they say."""
    links = await links_of(space, changes.base)
    guarded = [path for path in links if is_guarded(path, protected)]
    known = {parts_of(path): target for path, target in links.items()}
    reached = {way: path for path in guarded for way in ways(parts_of(path), known) if way}
    return [
        Fault(each.path, REACHED.format(link=reached[way]))
        for each in changes.files
        if not (is_allowed(each.path, allowed) or is_guarded(each.path, protected))
        for way in reached
        if parts_of(each.path)[: len(way)] == way
    ]


def ways(link: Parts, known: Mapping[Parts, str]) -> Iterator[Parts]:
    """Yield the links that a link leads through, and where it ends if that is in the tree."""
    through: list[Parts] = []
    end = followed(link, known, parts_of, through)
    yield from through
    if end is not None:
        yield end


async def links_of(space: Workspace, tree: str) -> dict[str, str]:
    """Return the links of a tree and what each names."""
    listed = await space.entries(tree)
    links = {path: entry.sha for path, entry in listed.items() if entry.mode == LINK}
    targets = await contents(space.store, list(links.values()))
    return {path: named(targets[sha]) for path, sha in links.items()}


def fates(links: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with where links lead, for those that do not stay in the tree.

    They are read as they are written, and as the most lenient file system does: `a` and `A` may be
    two names or one.
    """
    found: dict[str, str] = {}
    for read in (exactly, parts_of):
        known = {read(path): target for path, target in links.items()}
        for path in links:
            end = followed(read(path), known, read)
            if end is None or ".git" in end:
                found[path] = LEAVES if end is None else found.get(path, INTO_GIT)
    return found


def followed(
    link: Parts, known: Mapping[Parts, str], read: Read, through: list[Parts] | None = None
) -> Parts | None:
    """Return where a link ends; None where that is outside. `through`: takes links on the way."""
    here, waiting = list(link[:-1]), [link[-1]]
    for _ in range(MOST_HOPS * 100):
        if not waiting:
            return tuple(here)
        step = waiting.pop()
        if step == "..":
            if not here:
                return None
            here.pop()
        elif step != ".":
            here.append(step)
            target = known.get(tuple(here))
            if target is None:
                continue
            if is_absolute(target):
                return None
            if through is not None and tuple(here) != link:
                through.append(tuple(here))
            here.pop()
            waiting.extend(reversed(read(target)))
    return NOWHERE


def exactly(path: str) -> Parts:
    """Return a path's names as they are written."""
    return tuple(part for part in path.split("/") if part)


def is_absolute(target: str) -> bool:
    """Tell whether a link begins at a root, of Windows too."""
    return target.startswith(("/", "\\")) or target[1:2] == ":"


async def bare_faults(space: Workspace, changes: Changes) -> list[Fault]:
    """Return changed files of folders that git would take for a repository, with its settings."""
    suspects: dict[Parts, Change] = {}
    for each in changes.files:
        for parts in suspected(each):
            suspects.setdefault(parts, each)
    if not suspects:
        return []
    listed = known_folders(await space.entries(changes.tree))
    return [Fault(each.path, BARE) for parts, each in suspects.items() if is_bare(parts, listed)]


def suspected(change: Change) -> Iterator[Parts]:
    """Yield the folders that a changed file may turn into a repository."""
    parts = parts_of(change.path)
    if change.status == "D":
        return
    for at, part in enumerate(parts):
        if part in ("head", "objects", "refs", "commondir"):
            yield parts[:at]


def known_folders(listed: Iterable[str] | Mapping[str, Entry]) -> set[Parts]:
    """Return every file and folder of a tree."""
    return {
        parts[:length] for parts in map(parts_of, listed) for length in range(1, len(parts) + 1)
    }


def is_bare(parts: Parts, known: set[Parts]) -> bool:
    """Tell whether a folder looks like a repository to git."""
    has = {name for name in ("head", "objects", "refs", "commondir") if (*parts, name) in known}
    return "head" in has and ({"objects", "refs"} <= has or "commondir" in has)
