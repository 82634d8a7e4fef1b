"""What a command in the sandbox cannot use up: processes, memory, disk, output, time."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.agent import watch
from bot.agent.command import Bounds
from bot.agent.sandbox import Sandbox
from tests.agent.sandboxes import eventually, running

MEBIBYTE = 1 << 20


def bounded(box: Sandbox, **bounds: int) -> Sandbox:
    """The same sandbox within other bounds."""
    return replace(box, bounds=Bounds(**bounds))


FORK = """
import os, time
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except BlockingIOError:
    print(made)
"""


async def test_processes_are_counted(box: Sandbox) -> None:
    said = await bounded(box, processes=40).run("python3 -", stdin=FORK.encode())
    assert 30 < int(said.output) < 40


async def test_a_fork_bomb_ends_with_its_time(box: Sandbox, nap: str) -> None:
    bomb = f"f() {{ f | f & }}; f; sleep {nap}"
    result = await bounded(box, processes=128).run(bomb, seconds=3)
    assert result.timed_out
    assert result.seconds < 15
    assert await eventually(lambda: not running(nap))


async def test_one_great_allocation_fails(box: Sandbox) -> None:
    narrow = bounded(box, memory_bytes=4 << 30)
    said = await narrow.run("python3 -c 'bytearray(6 << 30)'")
    assert (said.code, said.output.splitlines()[-1]) == (1, "MemoryError")


SWARM = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        held = b"x" * (100 << 20)
        time.sleep(60)
        os._exit(0)
time.sleep(60)
"""


async def test_memory_is_counted_over_all_processes(box: Sandbox) -> None:
    narrow = bounded(box, memory_bytes=300 * MEBIBYTE)
    result = await narrow.run("python3 -", stdin=SWARM.encode(), seconds=50)
    assert result.stopped == watch.TOO_BIG.format(most=300)
    assert (result.code, result.timed_out) == (137, False)
    assert result.output == result.stopped


SHARING = """
import os, time
held = b"x" * (100 << 20)
for _ in range(6):
    if os.fork() == 0:
        time.sleep(1)
        os._exit(0)
for _ in range(6):
    os.wait()
print("done")
"""


async def test_memory_that_is_shared_counts_once(box: Sandbox) -> None:
    narrow = bounded(box, memory_bytes=400 * MEBIBYTE)
    assert (await narrow.run("python3 -", stdin=SHARING.encode())).output == "done\n"


@pytest.mark.parametrize("place", ["/dev/shm", "/repo", "/tmp"])
async def test_a_file_has_a_largest_size(box: Sandbox, place: str) -> None:
    narrow = bounded(box, file_bytes=8 * MEBIBYTE)
    result = await narrow.run(f"head -c 100M /dev/zero > {place}/big; stat -c %s {place}/big")
    assert result.output.splitlines()[-1] == str(8 * MEBIBYTE)


async def test_files_in_memory_have_a_bound(box: Sandbox) -> None:
    narrow = bounded(box, shared_memory_bytes=8 * MEBIBYTE)
    result = await narrow.run("for i in 1 2 3; do head -c 4M /dev/zero > /dev/shm/$i; done")
    assert "No space left on device" in result.output


HIDDEN = """
import os, time
held = [os.memfd_create(str(number)) for number in range(6)]
for file in held:
    for _ in range(100):
        os.write(file, bytes(1 << 20))
time.sleep(60)
"""


async def test_files_in_memory_that_nobody_mapped_are_counted(box: Sandbox) -> None:
    narrow = bounded(box, memory_bytes=300 * MEBIBYTE)
    result = await narrow.run("python3 -", stdin=HIDDEN.encode(), seconds=50)
    assert result.stopped == watch.TOO_BIG.format(most=300)


@pytest.mark.parametrize("place", ["/", "/dev", "/etc", "/run"])
async def test_no_other_file_in_memory_can_be_made(box: Sandbox, place: str) -> None:
    result = await box.run(f"mkdir {place}/made; head -c 4M /dev/zero > {place}/big")
    assert result.output.count("Read-only file system") == 2


FILL = "for i in $(seq 400); do head -c 4M /dev/zero > {place}/$i; sleep 0.02; done"


@pytest.mark.parametrize("place", ["/repo", "/tmp"])
async def test_a_run_does_not_fill_the_disk(box: Sandbox, place: str) -> None:
    narrow = bounded(box, disk_bytes=100 * MEBIBYTE)
    result = await narrow.run(FILL.format(place=place), seconds=60)
    assert result.stopped == watch.TOO_MUCH.format(most=100)
    assert watch.size((box.work, box.tmp)) < 1000 * MEBIBYTE


DEEP = "n=$(printf 'd%.0s' {1..200}); for i in {1..30}; do mkdir $n; cd $n; done; "
CLOSED = "mkdir closed; chmod 0300 closed; cd closed; "


@pytest.mark.parametrize("into", [DEEP, CLOSED], ids=["deep", "closed"])
async def test_no_folder_hides_what_fills_the_disk(box: Sandbox, into: str) -> None:
    narrow = bounded(box, disk_bytes=100 * MEBIBYTE)
    result = await narrow.run(into + FILL.format(place="."), seconds=60)
    assert result.stopped in (watch.HIDDEN, watch.TOO_MUCH.format(most=100))
    await box.run("chmod -f 0700 closed; rm -rf d* closed")


async def test_what_filled_the_disk_can_be_deleted(box: Sandbox) -> None:
    for number in range(3):
        (box.work / str(number)).write_bytes(bytes(50 * MEBIBYTE))
    result = await bounded(box, disk_bytes=100 * MEBIBYTE).run("sleep 0.5; rm -f *; ls | wc -l")
    assert (result.code, result.stopped) == (0, "")


async def test_a_machine_short_of_disk_or_memory_stops_commands(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_KEPT_FREE", 1 << 60)
    monkeypatch.setattr(watch, "LEAST_SHARE_FREE", 1.0)
    assert (await box.run("sleep 60")).stopped == watch.NO_MEMORY
    assert watch.broken_disk(1 << 40, watch.Disk((box.work,))) == watch.NO_DISK


async def test_size_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to("/usr")
    (tmp_path / "file").write_bytes(bytes(MEBIBYTE))
    assert MEBIBYTE <= watch.size((tmp_path,)) < 2 * MEBIBYTE


async def test_fifty_megabytes_of_output_are_cut(box: Sandbox) -> None:
    result = await box.run("yes | head -c 50000000; echo end")
    assert result.code == 0
    assert result.output.endswith("y\nend\n")
    assert len(result.output) < 10_100
    assert b"[... 49,600,004 bytes cut ...]" in result.whole
    assert len(result.whole) < 400_100


async def test_endless_output_ends(box: Sandbox) -> None:
    result = await bounded(box, flood_bytes=8 * MEBIBYTE).run("yes", seconds=60)
    assert result.stopped == "It was stopped: it printed more than 8 MB."


async def test_an_endless_loop_ends_with_its_time(box: Sandbox) -> None:
    result = await box.run("while :; do :; done", seconds=1)
    assert (result.code, result.timed_out) == (124, True)


async def test_the_processor_is_limited(box: Sandbox) -> None:
    result = await bounded(box, cpu_seconds=1).run("while :; do :; done", seconds=60)
    assert (result.code, result.timed_out) == (137, False)
    assert not result.stopped


async def test_open_files_are_limited(box: Sandbox) -> None:
    said = await bounded(box, open_files=64).run("ulimit -n; ulimit -n 128")
    assert said.output.startswith("64\n")
    assert "cannot modify limit" in said.output


async def test_no_dump_is_written_where_a_process_crashes(box: Sandbox) -> None:
    assert (await box.run("ulimit -Hc; kill -SEGV $$")).output == "0\n"


async def test_sandboxed_processes_are_the_first_to_go(box: Sandbox) -> None:
    assert (await box.run("cat /proc/self/oom_score_adj")).output == "1000\n"


async def test_others_are_served_while_a_command_floods(box: Sandbox) -> None:
    flood = asyncio.create_task(bounded(box, flood_bytes=1 << 40).run("yes", seconds=2))
    turns = 0
    while not flood.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 20
