"""What this machine lacks to run the commands of others safely, and how it is mended."""

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.agent import container, seccomp
from bot.agent.bubblewrap import OUTER_ENVIRONMENT, owner
from bot.agent.command import Result
from bot.settings import Settings
from models.errors import Refused

OLDEST_GIT = (2, 34)
KNOWN_SECONDS = 60.0
PROBE_SECONDS = 20.0
PROBE, PROBED = "printf fine", "fine"
TEMPORARY = Path("/tmp")  # noqa: S108 - where the sandbox's user gets to, whatever TMPDIR says

INSTALL = (
    "apt-get install {package} (Debian, Ubuntu), dnf install {package} (Fedora, RHEL) or pacman -S"
    " {package} (Arch)"
)
USE_CONTAINER = "set SANDBOX=container and SANDBOX_IMAGE to an image with the project's tools"
NO_IMAGE = "SANDBOX=container needs an image: set SANDBOX_IMAGE."
SWITCHES_BELOW = Path("/proc/sys")
SWITCHES = {
    "user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
    "kernel/unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "give bubblewrap an AppArmor profile that allows `userns` (apt-get install"
        " apparmor-profiles, then enable bwrap-userns-restrict), or sysctl -w"
        " kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}
IN_A_CONTAINER = (
    "Veelocity itself runs in a container: allow it user namespaces and a /proc of its own (docker:"
    " --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt"
    " systempaths=unconfined), or run its worker on the machine itself"
)


@dataclass(frozen=True)
class Lack:
    """Something that is missing, in a sentence, and what mends it."""

    what: str
    mend: str


known: dict[tuple[str, str], tuple[float, list[Lack]]] = {}


async def lacks(settings: Settings) -> list[Lack]:
    """Return what is missing here to develop at all; nothing is missing where it is empty.

    Looked up at most once a minute; ends with a command that is really run in the sandbox.
    """
    key = (settings.sandbox, settings.sandbox_image)
    if key in known and time.monotonic() < known[key][0] + KNOWN_SECONDS:
        return known[key][1]
    tools = lacking_engine(settings) if settings.sandbox == "container" else lacking_tools()
    found = [*await lacking_git(), *(list(tools) or await lacking_walls(settings))]
    known[key] = (time.monotonic(), found)
    return found


async def lacking_git() -> list[Lack]:
    """Return what is wrong with git: none, or one too old."""
    path = shutil.which("git")
    if path is None:
        return [Lack("git is not installed.", INSTALL.format(package="git"))]
    process = await asyncio.create_subprocess_exec(
        path, "--version", stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    said = (await process.communicate())[0].decode(errors="replace").strip()
    number = re.search(r"(\d+)\.(\d+)", said)
    if number and (int(number[1]), int(number[2])) >= OLDEST_GIT:
        return []
    oldest = ".".join(map(str, OLDEST_GIT))
    return [Lack(f"git is too old: {said}.", f"install git {oldest} or newer")]


def lacking_engine(settings: Settings) -> Iterator[Lack]:
    """Yield what is missing for SANDBOX=container."""
    if container.engine() is None:
        yield Lack(container.NO_ENGINE, "install docker or podman")
    if not settings.sandbox_image:
        yield Lack(NO_IMAGE, "name an image with bash, coreutils and the project's tools")


def lacking_tools() -> Iterator[Lack]:
    """Yield what bubblewrap needs and this machine has not."""
    if sys.platform != "linux":
        yield Lack("bubblewrap needs Linux.", USE_CONTAINER)
        return
    try:
        seccomp.program()
        owner()
    except Refused as refusal:
        yield Lack(str(refusal), USE_CONTAINER)
    needed = {"bwrap": "bubblewrap", "bash": "bash"}
    if os.geteuid() == 0:
        needed["setpriv"] = "util-linux"
    for program, package in needed.items():
        if shutil.which(program, path=OUTER_ENVIRONMENT["PATH"]) is None:
            yield Lack(f"{program} is not installed.", INSTALL.format(package=package))


async def lacking_walls(settings: Settings) -> list[Lack]:
    """Run a command in the sandbox; return why it did not, where it did not."""
    try:
        result = await probed(settings)
    except OSError as error:
        return [Lack(f"The sandbox cannot be started: {error}.", USE_CONTAINER)]
    if (result.code, result.output) == (0, PROBED):
        return []
    words = result.output.strip() or f"exit status {result.code}"
    if settings.sandbox == "container":
        mend = f"try `docker run --rm --entrypoint bash {settings.sandbox_image} -c true` yourself"
        return [Lack(f"No command runs in a container here: {words}", mend)]
    return [Lack(f"bubblewrap cannot make a sandbox here: {words}", "; or ".join(mends()))]


async def probed(settings: Settings) -> Result:
    """Run a command that says so in a sandbox over two empty folders."""
    from bot.agent.sandbox import sandbox_for

    with tempfile.TemporaryDirectory(dir=TEMPORARY, prefix="veelocity-probe-") as name:
        folder = Path(name)
        work, tmp = folder / "work", folder / "tmp"
        uid = owner()
        for each in (work, tmp):
            each.mkdir()
        if uid is not None:
            for each in (folder, work, tmp):
                os.chown(each, uid, uid)
        return await sandbox_for(settings, work, tmp).run(PROBE, seconds=PROBE_SECONDS)


def mends() -> Iterator[str]:
    """Yield what may let bubblewrap make its namespaces."""
    for name, (closed, mend) in SWITCHES.items():
        path = SWITCHES_BELOW / name
        if path.is_file() and path.read_text().strip() == closed:
            yield mend
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        yield IN_A_CONTAINER
    yield USE_CONTAINER
