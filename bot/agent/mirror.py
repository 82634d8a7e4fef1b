"""A bare mirror of a repository, shared by all its runs: only what is new comes over the network.

Nothing that a run makes is written here: its own GIT_DIR borrows the mirror's objects.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bot.agent.folders import private
from bot.agent.git import ATTRIBUTES, Ask, Origin, Place, git, speaking
from bot.agent.git_names import checked_ref, checked_url, is_sha, kept_as

PATIENT_SECONDS = 0.05
MOST_PACKS = 40


async def make_bare(folder: Path, borrowed: Path | None = None) -> Place:
    """Make a bare GIT_DIR of ours where there is none, borrowing another's objects."""
    place = Place(folder)
    if (folder / "info" / "attributes").exists():
        return place
    private(folder)
    await git(place, "init", "--quiet", "--bare", "--template=")
    await git(place, "config", "pack.window", "0")  # the sandbox's clone: fast, not small
    finish(folder, borrowed)
    return place


def finish(folder: Path, borrowed: Path | None) -> None:
    """Switch attributes off in a GIT_DIR, and have it borrow objects."""
    if borrowed:
        (private(folder / "objects" / "info") / "alternates").write_text(f"{borrowed}/objects\n")
    (private(folder / "info") / "attributes").write_text(ATTRIBUTES)


@asynccontextmanager
async def alone(path: Path) -> AsyncIterator[int]:
    """Hold a lock file; yield its descriptor. A child that is given it holds the lock as well."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(PATIENT_SECONDS)
        yield handle
    finally:
        os.close(handle)


async def fetch(mirror: Place, origin: Origin, refs: Sequence[str]) -> None:
    """Bring branches, references or commits of the origin into its mirror.

    Commits that are there already need no network. Raises `GitRefused`.
    """
    checked_url(origin.url)
    full = [ref if is_sha(ref) else checked_ref(ref) for ref in refs]
    async with alone(mirror.folder.with_suffix(".lock")) as handle:
        await make_bare(mirror.folder)
        wanted = [ref for ref in full if not (is_sha(ref) and await holds(mirror, ref))]
        if not wanted:
            return
        for stale in mirror.folder.rglob("*.lock"):  # whoever held it is dead: the lock is ours
            stale.unlink()
        ask = speaking(origin, Ask(descriptors=(handle,)))
        options = ("--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-prune")
        specs = [f"+{ref}:{kept_as(ref)}" for ref in wanted]
        await git(mirror, "fetch", *options, "--", origin.url, *specs, ask=ask)
        await tidied(mirror)


async def tidied(mirror: Place) -> None:
    """Join the packs of many fetches; what runs have borrowed stays."""
    if len(list((mirror.folder / "objects" / "pack").glob("*.pack"))) > MOST_PACKS:
        await git(mirror, "repack", "--quiet", "--geometric=2", "-d", ask=Ask(seconds=600))


async def holds(place: Place, sha: str) -> bool:
    """Tell whether an object is there."""
    said = await git(place, "cat-file", "-e", sha, ask=Ask(codes=(0, 1, 128)))
    return said.code == 0


async def resolved(place: Place, mirror: Place, ref: str) -> str | None:
    """Return the commit that a branch, a reference or a sha named at the last fetch."""
    if is_sha(ref):
        return ref if await holds(place, ref) else None
    name = kept_as(checked_ref(ref))
    options = ("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    said = await git(mirror, *options, ask=Ask(codes=(0, 1, 128)))
    return said.text if said.code == 0 else None
