"""Throw-away clones: a work tree for the sandbox, with a `.git` of its own that nothing trusts."""

import shutil
from pathlib import Path

from bot.agent.folders import private
from bot.agent.git import Ask, Place, configured, git, work_of

HISTORY = 20
NAME = "Claude"
EMAIL = "noreply@anthropic.com"
BRANCH = "refs/heads/work"
CLONE_SECONDS = 600.0


async def checked_out(place: Place, sha: str) -> None:
    """Write a commit's or tree's files into the empty work tree, and the index of them."""
    forget(work_of(place)[1])
    await git(place, "read-tree", "--no-recurse-submodules", sha, ask=Ask(seconds=CLONE_SECONDS))
    await git(place, "checkout-index", "--all", "--index", ask=Ask(seconds=CLONE_SECONDS))


def forget(index: Path) -> None:
    """Delete an index, and what a killed git left of writing it."""
    for old in (index, Path(f"{index}.lock")):
        old.unlink(missing_ok=True)


async def with_history(place: Place, commit: str, depth: int = HISTORY) -> None:
    """Give the work tree a `.git` with the last commits, so that `git diff` and `log` work there.

    It has objects of its own: nothing in it leads to the mirror.
    """
    tree, index = work_of(place)
    inner = Place(private(tree / ".git"))
    await git(inner, "init", "--quiet", "--template=")
    ask = Ask(seconds=CLONE_SECONDS, environment=configured({"protocol.file.allow": "always"}))
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", f"--depth={depth}")
    source = f"file://{place.folder}"
    await git(inner, "fetch", *options, "--", source, f"{commit}:{BRANCH}", ask=ask)
    await git(inner, "symbolic-ref", "HEAD", BRANCH)
    for key, value in (("core.bare", "false"), ("user.name", NAME), ("user.email", EMAIL)):
        await git(inner, "config", key, value)
    shutil.copyfile(index, inner.folder / "index")
