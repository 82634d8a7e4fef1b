"""One process run within bounds: what it printed, how it ended, and nothing left of it."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

SHOWN_CHARACTERS = 10_000
CHUNK_BYTES = 1 << 16
PATIENCE_SECONDS = 4.0
TIMED_OUT, KILLED = 124, 137
GIBIBYTE = 1 << 30

TOO_SLOW = "It was stopped after {seconds:g} seconds."
TOO_LOUD = "It was stopped: it printed more than {most} MB."
CUT = "\n[... {count} {unit} cut ...]\n"


def memory_for_a_command() -> int:
    """Return how many bytes a command may use: 4 GiB, or half of a small machine."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(4 * GIBIBYTE, machine // 2)


@dataclass(frozen=True)
class Bounds:
    """What one command may use.

    `file_bytes` is the largest file it may write, `disk_bytes` what its folders may hold,
    `output_bytes` how much of what it prints is kept, and at `flood_bytes` of it it is stopped.
    """

    memory_bytes: int = field(default_factory=memory_for_a_command)
    processes: int = 512
    open_files: int = 4096
    file_bytes: int = GIBIBYTE
    disk_bytes: int = 8 * GIBIBYTE
    shared_memory_bytes: int = 256 << 20
    cpu_seconds: int = 3600
    output_bytes: int = 400_000
    flood_bytes: int = 256 << 20


@dataclass(frozen=True)
class Result:
    """What a command came to.

    `code` is its exit status: 128 and the signal's number where a signal ended it, 124 where time
    ran out, 137 where it broke another bound. `output` is what it printed, both streams in order:
    the first and last 5,000 characters, and why it was stopped. `whole` is more of it, as bytes,
    still with the middle cut where there is very much. `stopped` says why we ended it; "": we did
    not.
    """

    code: int
    output: str
    whole: bytes
    timed_out: bool
    seconds: float
    stopped: str = ""


@dataclass(frozen=True)
class Launch:
    """How a process is started: its arguments, environment and open files, and how it is ended.

    `end` is called when it must end before its time, beside the kill of its process group.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    files: Sequence[int] = ()
    end: Callable[[], Awaitable[None]] | None = None


class Kept:
    """The first and the last bytes of a stream, half of `most` each, and its length."""

    def __init__(self, most: int) -> None:
        self.half = most // 2
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(chunk)
        room = self.half - len(self.head)
        self.head += chunk[:room]
        self.tail += chunk[room:]
        del self.tail[: -self.half]

    @property
    def cut(self) -> int:
        """How many bytes are missing in the middle."""
        return self.total - len(self.head) - len(self.tail)

    def whole(self) -> bytes:
        """Return what was kept, with a mark where the middle is missing."""
        mark = CUT.format(count=f"{self.cut:,}", unit="bytes").encode() if self.cut else b""
        return bytes(self.head) + mark + bytes(self.tail)


Watch = Callable[[int, Kept], Awaitable[str]]
"""Looks after a process (its id, what it printed) and returns why it must end; else never."""


async def execute(
    launch: Launch, watch: Watch, *, seconds: float, keep: int, stdin: bytes | None = None
) -> Result:
    """Run a process until it ends, `watch` says why it must, or `seconds` are over.

    Whatever way it ends, also by cancellation, its process group is dead on return.
    """
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *launch.argv,
        env=dict(launch.env),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(launch.files),
    )
    kept = Kept(keep)
    why = await ended(process, launch, watch(process.pid, kept), kept, stdin, seconds)
    return result(process.returncode, kept, why, time.monotonic() - began)


async def ended(
    process: asyncio.subprocess.Process,
    launch: Launch,
    watch: Awaitable[str],
    kept: Kept,
    stdin: bytes | None,
    seconds: float,
) -> str | None:
    """Wait for the end; return why we ended it: "" by itself, None as time ran out."""
    through = asyncio.create_task(read(process, kept, stdin))
    watching = asyncio.ensure_future(watch)
    try:
        await asyncio.wait(
            {through, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if through.done():
            through.result()
            return ""
        return watching.result() if watching.done() else None
    finally:
        watching.cancel()
        await stopped(process, launch, through)


async def stopped(
    process: asyncio.subprocess.Process, launch: Launch, through: asyncio.Task[None]
) -> None:
    """Kill what still runs, and wait until nothing holds its output any more."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if launch.end:
            await launch.end()
    await asyncio.wait({through}, timeout=PATIENCE_SECONDS)
    through.cancel()
    await process.wait()


async def read(process: asyncio.subprocess.Process, kept: Kept, stdin: bytes | None) -> None:
    """Read what a process prints, while it is fed, until it has ended."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    feeding = asyncio.create_task(feed(process.stdin, stdin))
    try:
        while chunk := await process.stdout.read(CHUNK_BYTES):
            kept.add(chunk)
        await process.wait()
    finally:
        feeding.cancel()


async def feed(pipe: asyncio.StreamWriter | None, stdin: bytes | None) -> None:
    """Give a process its input; one that does not want it may close it."""
    if pipe is None:
        return
    with suppress(ConnectionError):
        pipe.write(stdin or b"")
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()


def result(code: int | None, kept: Kept, why: str | None, seconds: float) -> Result:
    """Say what a process came to; `why` as `ended` returned it."""
    words = TOO_SLOW.format(seconds=round(seconds)) if why is None else why
    return Result(
        code=status(code, why),
        output=shown(kept, words),
        whole=kept.whole(),
        timed_out=why is None,
        seconds=seconds,
        stopped=words,
    )


def status(code: int | None, why: str | None) -> int:
    """Return the exit status as a shell would say it."""
    if why is None:
        return TIMED_OUT
    if why or code is None:
        return KILLED
    return code if code >= 0 else 128 - code


def shown(kept: Kept, words: str) -> str:
    """Return the text that a model or a person reads, and why it was stopped as its last line."""
    head, tail = (bytes(part).decode(errors="replace") for part in (kept.head, kept.tail))
    text, half = head + tail, SHOWN_CHARACTERS // 2
    if len(text) > SHOWN_CHARACTERS:
        count = len(text) - SHOWN_CHARACTERS + kept.cut
        text = text[:half] + CUT.format(count=f"{count:,}", unit="characters") + text[-half:]
    text = text.replace("\0", "\ufffd")
    return "\n".join(part for part in (text.rstrip("\n") if words else text, words) if part)
