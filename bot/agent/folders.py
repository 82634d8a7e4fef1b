"""The folders of the agent: who may enter them, and how those are deleted that hold anything.

`<home>/agent/mirrors/` holds one bare mirror a repository, `<home>/agent/runs/` one folder a run.
"""

import asyncio
import os
import pwd
import secrets
from pathlib import Path

from bot import embedded
from bot.agent.git import ENVIRONMENT, GitRefused
from bot.settings import Settings

NOT_GIVEN = "The work tree could not be given to the sandbox's user."
NOT_REMOVED = "The folder {folder} could not be removed."


def agent_home(settings: Settings) -> Path:
    """Return where mirrors and runs are kept: below VEELOCITY_HOME, or for root where all may pass.

    Root's home is closed to the sandbox's user, who must reach the run's folders.
    """
    home = settings.veelocity_home.absolute()
    if os.geteuid() != 0:
        return home / "agent"
    return embedded.ROOTS_BASE / embedded.digest(str(home)) / "agent"


def made_home(settings: Settings) -> Path:
    """Make the folders that all runs share; the sandbox's user may pass through, and list none."""
    home = agent_home(settings)
    root = os.geteuid() == 0
    if root:
        embedded.private_base()
    mode = 0o711 if root else 0o700
    home.parent.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder, bits in ((home, mode), (home / "runs", mode), (home / "mirrors", 0o700)):
        folder.mkdir(mode=bits, exist_ok=True)
    return home


def run_folder(home: Path, run_id: int) -> Path:
    """Return the folder of a run, made where missing. Its name cannot be guessed by other runs."""
    for found in (home / "runs").glob(f"{int(run_id)}-*"):
        return found
    folder = home / "runs" / f"{int(run_id)}-{secrets.token_hex(16)}"
    folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
    return folder


async def forget_run(settings: Settings, run_id: int) -> None:
    """Delete the folders of a run that has ended; what it made is on its branch, or not wanted."""
    for found in list((agent_home(settings) / "runs").glob(f"{int(run_id)}-*")):
        await removed(found)


def private(folder: Path) -> Path:
    """Make a folder that only we may enter, where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


async def give(folder: Path, owner: int | None) -> None:
    """Make all below a folder the property of `owner`; links themselves, not what they name."""
    if owner is None:
        return
    code = await ended("chown", "-h", "-R", f"{owner}:{group_of(owner)}", "--", str(folder))
    if code:
        raise GitRefused(NOT_GIVEN)


def group_of(owner: int) -> int:
    """Return the group of a user, who need not be known here."""
    try:
        return pwd.getpwuid(owner).pw_gid
    except KeyError:
        return owner


async def removed(folder: Path) -> None:
    """Delete a folder that may hold anything: links are not followed, locked folders are opened."""
    code = await ended("rm", "-rf", "--", str(folder))
    if code and os.geteuid() != 0:
        await ended("chmod", "-R", "u+rwX", "--", str(folder))
        code = await ended("rm", "-rf", "--", str(folder))
    if code:
        raise GitRefused(NOT_REMOVED.format(folder=folder.name))


async def ended(program: str, *arguments: str) -> int:
    """Run a program of the system quietly; return its exit code."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
