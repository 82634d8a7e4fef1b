"""Real sandboxes for tests: skipped where this machine has none, unless it must have one."""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.agent.sandbox import Sandbox, lacks, owner
from bot.settings import Settings

PATIENCE_SECONDS = 20.0


async def need_a_sandbox() -> None:
    """Skip where commands cannot be run safely; fail where VEELOCITY_REQUIRE_SANDBOX says so."""
    lacking = await lacks(Settings(sandbox="bubblewrap"))
    if lacking:
        words = " ".join(f"{each.what} {each.mend}" for each in lacking)
        if os.environ.get("VEELOCITY_REQUIRE_SANDBOX"):
            pytest.fail(words)
        pytest.skip(words)


@contextmanager
def given_folder() -> Iterator[Path]:
    """Yield a folder of the sandbox's user, which that user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="veelocity-box-", dir="/tmp"))
    try:
        if (uid := owner()) is not None:
            os.chown(folder, uid, uid)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    """A sandbox over two empty folders."""
    await need_a_sandbox()
    with given_folder() as work, given_folder() as tmp:
        yield Sandbox(work, tmp)


@pytest.fixture
def nap() -> str:
    """How many seconds to sleep, for a command: no other process sleeps exactly as long."""
    return f"300.{secrets.randbelow(10**9):09}"


def running(words: str) -> list[int]:
    """Return the processes of this machine that have `words` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes().decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


async def eventually(holds: Callable[[], bool]) -> bool:
    """Tell whether something comes to hold; the kernel ends processes when it gets to it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if holds():
            return True
        await asyncio.sleep(0.02)
    return False
