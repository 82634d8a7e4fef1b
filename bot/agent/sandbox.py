"""The sandbox: where every command that a model or a repository wants is run, and nowhere else.

By bubblewrap, or with SANDBOX=container in a container. Each command has processes of its own that
end with it; what stays between the commands of a run are its two folders.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from bot.agent import bubblewrap, container
from bot.agent.bubblewrap import owner
from bot.agent.command import Bounds, Launch, Result, execute
from bot.agent.lacking import NO_IMAGE, Lack, lacks
from bot.agent.watch import Disk, watch
from bot.settings import Settings
from models.errors import Refused

__all__ = ["Bounds", "Lack", "Result", "Sandbox", "lacks", "owner", "sandbox_for"]

LONGEST_COMMAND = 100_000
CANNOT_START = 126
TOO_LONG = "This command has more than 100,000 bytes: write a file first, and run that."
HAS_NUL = "This command has a NUL byte in it, which no shell takes."


@dataclass(frozen=True)
class Sandbox:
    """Two folders and the bounds of what runs over them.

    `work` is /repo inside and `tmp` is /tmp, both for writing; they belong to `owner()`.
    `environment` adds variables, never secret ones. `proxy` is the socket of an `egress` proxy,
    only while setting up: without it there is no network at all. `image` is the container's, and
    "" means bubblewrap.
    """

    work: Path
    tmp: Path
    bounds: Bounds = field(default_factory=Bounds)
    environment: Mapping[str, str] = field(default_factory=dict)
    proxy: Path | None = None
    image: str = ""

    @cached_property
    def disk(self) -> Disk:
        """What is known of the disk that the folders take."""
        return Disk((self.work, self.tmp))

    async def run(
        self, command: str, *, seconds: float = 120, stdin: bytes | None = None
    ) -> Result:
        """Run a command of bash's in /repo and return what it came to, whatever that is.

        Nothing it started is left when this returns, is cancelled, or our process dies.
        """
        command = command.encode(errors="replace").decode()
        if fault := unspeakable(command):
            return Result(CANNOT_START, fault, fault.encode(), timed_out=False, seconds=0.0)
        with self.launched(command, seconds) as launch:
            return await execute(
                launch,
                partial(watch, bounds=self.bounds, disk=self.disk),
                seconds=seconds,
                keep=self.bounds.output_bytes,
                stdin=stdin,
            )

    def launched(self, command: str, seconds: float) -> AbstractContextManager[Launch]:
        """Return how to start a command."""
        if self.image:
            return container.launched(self, command, seconds)
        return bubblewrap.launched(self, command)


def unspeakable(command: str) -> str:
    """Say why a command cannot be handed to a shell; "" where it can."""
    if "\0" in command:
        return HAS_NUL
    return TOO_LONG if len(command.encode()) > LONGEST_COMMAND else ""


def sandbox_for(settings: Settings, work: Path, tmp: Path, *, proxy: Path | None = None) -> Sandbox:
    """Return the sandbox that the settings ask for, over a run's two folders.

    Raises `Refused` for a container without an image.
    """
    image = settings.sandbox_image if settings.sandbox == "container" else ""
    if settings.sandbox == "container" and not image:
        raise Refused(NO_IMAGE)
    return Sandbox(work, tmp, proxy=proxy, image=image)
