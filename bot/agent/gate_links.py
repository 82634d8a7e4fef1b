"""Symbolic links that lead out of the tree, and repositories that pose as folders."""

from collections.abc import Iterable, Iterator, Mapping

from bot.agent.changes import LINK, Change, Changes, Entry, Fault, contents, named
from bot.agent.gate_paths import canonical, parts_of
from bot.agent.workspace import Workspace

MOST_HOPS = 40
LEAVES = "is a link that leaves the repository"
INTO_GIT = "is a link into .git"
BARE = "is part of a bare repository inside the repository"

Parts = tuple[str, ...]


async def link_faults(space: Workspace, changes: Changes) -> list[Fault]:
    """Return the links that lead out of the result, by this change.

    A link that was there before and led out then is not this run's doing.
    """
    if not any(LINK in (each.mode, each.old_mode) for each in changes.files):
        return []
    changed = {each.path for each in changes.files}
    after = await links_of(space, changes.tree)
    faults = {path: why for path in after if (why := fate(path, after))}
    if not faults:
        return []
    before = await links_of(space, changes.base)
    return [
        Fault(path, why)
        for path, why in faults.items()
        if path in changed or path not in before or not fate(path, before)
    ]


async def links_of(space: Workspace, tree: str) -> dict[str, str]:
    """Return the links of a tree and what each names."""
    listed = await space.entries(tree)
    links = {path: entry.sha for path, entry in listed.items() if entry.mode == LINK}
    targets = await contents(space.store, list(links.values()))
    return {path: named(targets[sha]) for path, sha in links.items()}


def fate(path: str, links: Mapping[str, str]) -> str | None:
    """Return what is wrong with where a link leads; None where it stays in the tree."""
    known = {parts_of(each): target for each, target in links.items()}
    here = list(parts_of(path))[:-1]
    waiting = list(reversed(steps(links[path])))
    if is_absolute(links[path]):
        return LEAVES
    for _ in range(MOST_HOPS * 100):
        if not waiting:
            return INTO_GIT if ".git" in here else None
        step = waiting.pop()
        if step == "..":
            if not here:
                return LEAVES
            here.pop()
            continue
        here.append(canonical(step))
        target = known.get(tuple(here))
        if target is not None:
            if is_absolute(target):
                return LEAVES
            here.pop()
            waiting.extend(reversed(steps(target)))
    return None


def steps(target: str) -> list[str]:
    """Return the names on a link's way, without those that stay where they are."""
    return [each for each in target.replace("\\", "/").split("/") if each not in ("", ".")]


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
