"""The machine we run on: the sandbox, git, and the room on its disk."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from bot.checkups.finding import Finding, Patient, missing, ok, warning

GIB = 1 << 30
LEAST_BYTES, ENOUGH_BYTES = 1 * GIB, 10 * GIB
NO_GIT = "Install git {least} or newer, as from your distribution's packages."
MORE_ROOM = "Free some space, or set VEELOCITY_HOME to a folder on a larger disk."


async def sandbox(patient: Patient) -> AsyncIterator[Finding]:
    """What keeps commands of the model apart from this machine."""
    from bot.agent.sandbox import lacks

    found = await lacks(patient.settings)
    for lack in found:
        yield missing("sandbox", lack.what, lack.mend)
    if not found:
        yield ok("sandbox", f"{patient.settings.sandbox} works here")


async def git(patient: Patient) -> AsyncIterator[Finding]:
    """The git that fetches, commits and pushes."""
    from bot.agent.lacking import OLDEST_GIT

    least = ".".join(map(str, OLDEST_GIT))
    said = await git_version()
    numbers = re.search(r"(\d+)\.(\d+)", said or "")
    if numbers is None:
        yield missing("git", "git is not installed", NO_GIT.format(least=least))
    elif tuple(map(int, numbers.groups())) < OLDEST_GIT:
        yield missing("git", f"{said} is too old", NO_GIT.format(least=least))
    else:
        yield ok("git", str(said))


async def git_version() -> str | None:
    """Return what git says of itself; None where there is none."""
    program = shutil.which("git")
    if program is None:
        return None
    asked = await asyncio.create_subprocess_exec(
        program, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    told, _ = await asked.communicate()
    return told.decode(errors="replace").strip()


async def disk(patient: Patient) -> AsyncIterator[Finding]:
    """The room for repositories' mirrors and runs' folders."""
    from bot.agent.folders import agent_home

    home = agent_home(patient.settings)
    free = shutil.disk_usage(nearest(home)).free
    words = f"{free / GIB:.1f} GiB free for {home}"
    if free < LEAST_BYTES:
        yield missing("disk", words, MORE_ROOM)
    elif free < ENOUGH_BYTES:
        yield warning("disk", words, MORE_ROOM)
    else:
        yield ok("disk", words)


def nearest(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that is there."""
    return next(each for each in (path, *path.parents) if each.exists())
