"""What a repository's setup made (its dependencies), kept for the fresh checkouts of the tests."""

import asyncio
import os
from collections.abc import Collection
from pathlib import Path

from bot.agent.folders import give, group_of, removed
from bot.agent.workspace import Workspace
from models.errors import Refused

KEPT = "not replacing"
"""What cp says of a file that is there already; from coreutils 9.2 to 9.4 it then ends with 1."""

NOT_COPIED = "What the setup made could not be copied: {why}"


def kept_in(space: Workspace) -> Path:
    """Return the folder that holds the tree, and the temporary files, as setup left them."""
    return space.folder / "prepared"


async def keep_setup(space: Workspace) -> None:
    """Keep the tree as setup left it, before any untrusted text was read."""
    kept = kept_in(space)
    await removed(kept)
    kept.mkdir(mode=0o711)
    for name in ("tree", "tmp"):
        (kept / name).mkdir(mode=0o700)
        await give(kept / name, space.owner)
        await copied(getattr(space, name), kept / name, space.owner)


async def with_setup(
    space: Workspace, tree: Path, tmp: Path, deleted: Collection[str] = ()
) -> None:
    """Put what setup made beside the files of a fresh checkout; none of those is replaced.

    `deleted`: files of the base that the checkout has on purpose no more.
    """
    kept = kept_in(space)
    if not kept.is_dir():
        return
    gone = [path for path in deleted if not os.path.lexists(tree / path)]  # noqa: ASYNC240 - a look
    await copied(kept / "tree", tree, space.owner)
    await copied(kept / "tmp", tmp, space.owner)
    listed = b"\0".join(os.fsencode(tree / path) for path in gone)
    await as_owner(space.owner, "xargs", "-0", "-r", "rm", "-f", "--", told=listed)


async def copied(origin: Path, to: Path, owner: int | None) -> None:
    """Copy what is not there yet; GNU's cp does not go through links of the target."""
    how = ("--archive", "--no-clobber", "--no-dereference")
    await as_owner(owner, "cp", *how, f"{origin}/.", f"{to}/")


async def as_owner(owner: int | None, *command: str, told: bytes = b"") -> None:
    """Run a command as the user the folders belong to, so that no link leads to what is ours."""
    who = {} if owner is None else {"user": owner, "group": group_of(owner), "extra_groups": []}
    running = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
        **who,  # type: ignore[arg-type]
    )
    _, why = await running.communicate(told)
    wrong = [line for line in why.decode(errors="replace").splitlines() if KEPT not in line]
    if running.returncode and wrong:
        raise Refused(NOT_COPIED.format(why=" ".join(wrong)[:300]))
