"""What a running command uses: memory of all its processes, disk, and the machine's reserves.

The kernel's own limits reach one process at a time (see `bubblewrap.limits`), so the sum is looked
at from outside, ten times a second.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bot.agent.command import TOO_LOUD, Bounds, Kept

LOOK_SECONDS = 0.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LEAST_SHARE_FREE = 0.04
MOST_KEPT_FREE = 512 << 20
DISK_STEP_BYTES = 64 << 20
MEBIBYTE = 1 << 20
UNSEEN = 1 << 60
"""What a folder counts for that cannot be looked into: more than any bound."""

TOO_BIG = "It was stopped: it and what it started used more than {most} MB of memory."
NO_MEMORY = "It was stopped: the machine was running out of memory."
TOO_MUCH = "It was stopped: its files take more than {most} MB of disk."
HIDDEN = "It was stopped: it fills the disk, and has folders that cannot be looked into."
NO_DISK = "It was stopped: the machine's disk is nearly full."


@dataclass
class Disk:
    """The folders of a run, and below how many free bytes they are measured again.

    Measuring reads every folder, so it is done only when as much of the disk went, to whomever, as
    the folders could still have taken.
    """

    folders: Sequence[Path]
    measure_below: int | None = None


async def watch(pid: int, kept: Kept, bounds: Bounds, disk: Disk) -> str:
    """Look after the processes below `pid` until they break a bound; say which."""
    most_shared = meminfo().get("Shmem", 0) + bounds.memory_bytes
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if kept.total > bounds.flood_bytes:
            return TOO_LOUD.format(most=bounds.flood_bytes // MEBIBYTE)
        why = await asyncio.to_thread(broken, pid, bounds, disk, most_shared)
        if why:
            return why


def broken(pid: int, bounds: Bounds, disk: Disk, most_shared: int) -> str:
    """Say which bound is broken just now; "" is none.

    Files in memory that nobody has mapped (memfd, shared memory) are in no process's pages, so the
    machine's are looked at: where they grow by a whole bound during a command, it is held to be it.
    """
    machine = meminfo()
    used = used_memory(pid, bounds.memory_bytes)
    if used > bounds.memory_bytes or machine.get("Shmem", 0) > most_shared:
        return TOO_BIG.format(most=bounds.memory_bytes // MEBIBYTE)
    least = min(MOST_KEPT_FREE, int(machine["MemTotal"] * LEAST_SHARE_FREE))
    if machine.get("MemAvailable", least) < least:
        return NO_MEMORY
    return broken_disk(bounds.disk_bytes, disk)


def used_memory(root: int, enough: int) -> int:
    """Return the bytes that a process and its descendants use.

    Pages that are shared count for each at first, which is quick; only where that is more than
    `enough` does each process count its part of them.
    """
    resident = descendants(root)
    total = sum(resident.values())
    if total <= enough:
        return total
    return sum(proportional(pid, bytes_) for pid, bytes_ in resident.items())


def descendants(root: int) -> dict[int, int]:
    """Return the resident bytes of a process and of all below it, by process id."""
    resident: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for pid, parent, bytes_ in processes():
        resident[pid] = bytes_
        children[parent].append(pid)
    found, left = {}, [root]
    while left:
        pid = left.pop()
        found[pid] = resident.get(pid, 0)
        left += children[pid]
    return found


def processes() -> list[tuple[int, int, int]]:
    """Return every process's id, its parent's, and its resident bytes."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - ten times a second, of many
        if name.isdecimal():
            with suppress(OSError):
                stat = Path("/proc", name, "stat").read_bytes()
                fields = stat[stat.rindex(b")") + 2 :].split()
                found.append((int(name), int(fields[1]), int(fields[21]) * PAGE_BYTES))
    return found


def proportional(pid: int, otherwise: int) -> int:
    """Return a process's memory with shared pages divided among those who share them.

    `otherwise` where we may not look; 0 where it has just ended.
    """
    try:
        said = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        return otherwise
    except OSError:
        return 0
    found = (line.split()[1] for line in said.splitlines() if line.startswith("Pss:"))
    return int(next(found, "0")) * 1024


def meminfo() -> dict[str, int]:
    """Return the machine's figures of memory, in bytes: `MemTotal`, `MemAvailable`, `Shmem` …."""
    figures = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        figures[name] = int(rest.split()[0]) * 1024
    return figures


def broken_disk(most: int, disk: Disk) -> str:
    """Say what is wrong with the disk; "" is nothing."""
    for folder in disk.folders:
        state = os.statvfs(folder)
        least = min(MOST_KEPT_FREE, int(state.f_blocks * state.f_frsize * LEAST_SHARE_FREE))
        if state.f_bavail * state.f_frsize < least:
            return NO_DISK
    free = state.f_bavail * state.f_frsize
    if disk.measure_below is not None and free >= disk.measure_below:
        return ""
    taken, first = size(disk.folders), disk.measure_below is None
    disk.measure_below = free - max((most - taken) // 2, DISK_STEP_BYTES)
    if first or taken <= most:  # at first it may be there to clear up
        return ""
    return HIDDEN if taken >= UNSEEN else TOO_MUCH.format(most=most // MEBIBYTE)


def size(folders: Collection[Path]) -> int:
    """Return the bytes on disk below folders, following no link out of them.

    A folder that is closed, or too deep to be named, may hold anything, and counts as `UNSEEN`.
    """
    total, left = 0, [str(folder) for folder in folders]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    total += size_of(entry)
        except (FileNotFoundError, NotADirectoryError):
            continue  # it was just deleted
        except OSError:
            total += UNSEEN
    return total


def size_of(entry: os.DirEntry[str]) -> int:
    """Return the bytes on disk of one entry of a folder; 0 where it was just deleted."""
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:
        return 0
