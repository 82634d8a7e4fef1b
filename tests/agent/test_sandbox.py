"""What a command in the sandbox can do, and that nothing of it is left."""

import asyncio
import os
import shutil
import signal
import sys
from dataclasses import replace

import pytest

from bot.agent.command import Bounds
from bot.agent.sandbox import Sandbox
from tests.agent.sandboxes import eventually, running


async def test_a_command_is_told_by_its_output_and_its_exit_status(box: Sandbox) -> None:
    result = await box.run("echo out; echo err >&2; exit 7")
    assert (result.code, result.output, result.whole) == (7, "out\nerr\n", b"out\nerr\n")
    assert not result.timed_out
    assert not result.stopped


async def test_the_end_by_a_signal_is_told_as_a_shell_would(box: Sandbox) -> None:
    assert (await box.run("kill -TERM $$")).code == 128 + signal.SIGTERM


async def test_what_a_command_writes_is_there_for_the_next_one(box: Sandbox) -> None:
    await box.run("echo one > /repo/kept; echo two > /tmp/kept; echo three > ~/kept")
    assert (await box.run("cat kept /tmp/kept ~/kept")).output == "one\ntwo\nthree\n"
    assert (box.work / "kept").read_text() == "one\n"


async def test_a_command_reads_what_it_is_given(box: Sandbox) -> None:
    body = os.urandom(1 << 20)
    result = await box.run("cat > given", stdin=body)
    assert (result.code, (box.work / "given").read_bytes()) == (0, body)


async def test_a_command_may_leave_its_input_unread(box: Sandbox) -> None:
    assert (await box.run("exit 3", stdin=b"x" * (1 << 22))).code == 3


async def test_without_input_there_is_nothing_to_wait_for(box: Sandbox) -> None:
    assert (await box.run("cat")).output == ""


async def test_long_output_shows_its_beginning_and_its_end(box: Sandbox) -> None:
    result = await box.run("seq 100000")
    assert result.output.startswith("1\n2\n")
    assert result.output.endswith("\n99999\n100000\n")
    assert "[... 578,895 characters cut ...]" in result.output
    assert len(result.output) < 10_100
    assert len(result.whole) < 400_100


async def test_output_that_is_no_text_is_shown_as_far_as_it_goes(box: Sandbox) -> None:
    result = await box.run(r"printf 'a\377\0b'")
    assert (result.output, result.whole) == ("a\ufffd\ufffdb", b"a\xff\x00b")


@pytest.mark.parametrize("command", ["echo \0", "true " + "x" * 100_000])
async def test_what_no_shell_takes_is_answered_with_why(box: Sandbox, command: str) -> None:
    result = await box.run(command)
    assert result.code == 126
    assert result.output.startswith("This command has")


async def test_half_a_character_is_no_fault_of_ours(box: Sandbox) -> None:
    assert (await box.run("printf '%s' \ud800")).output == "?"


async def test_git_works_in_a_tree_of_another_user(box: Sandbox) -> None:
    done = await box.run(
        "git init -q && echo a > a && git add a && git commit -qm Begin && git log --format=%an,%s"
    )
    assert done.output == "Veelocity,Begin\n"


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("/usr/bin/python3", "python3 -c 'import os; print(os.path.expanduser(\"~\"), 6 * 7)'"),
        ("/usr/bin/node", "node -e 'console.log(Object.keys(os.networkInterfaces())[0], 42)'"),
        ("/usr/bin/node", "node -e 'new WebAssembly.Memory({initial: 100}); console.log(42)'"),
        ("/usr/bin/java", "java -version 2>&1 && echo 42"),
        ("/usr/bin/perl", "perl -MSocket -e 'print 42'"),
        ("/usr/bin/gcc", "echo 'int main(){return 42;}' > a.c && gcc a.c && { ./a.out; echo $?; }"),
    ],
)
async def test_the_tools_of_this_machine_start_within_the_bounds(
    box: Sandbox, program: str, command: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    result = await box.run(command)
    assert result.output.rstrip().endswith("42"), result.output


async def test_more_variables_can_be_given(box: Sandbox) -> None:
    more = replace(box, environment={"COLOUR": "blue", "CI": "0"})
    assert (await more.run("echo $COLOUR $CI")).output == "blue 0\n"


async def test_a_command_is_stopped_when_its_time_is_over(box: Sandbox) -> None:
    result = await box.run("echo begun; trap '' TERM INT; while :; do :; done", seconds=1)
    assert (result.code, result.timed_out) == (124, True)
    assert result.output == "begun\nIt was stopped after 1 seconds."


async def test_nothing_survives_the_end_of_a_command(box: Sandbox, nap: str) -> None:
    result = await box.run(f"(setsid sleep {nap} >/dev/null 2>&1 &); setsid sleep {nap} & echo on")
    assert result.output == "on\n"
    assert await eventually(lambda: not running(nap))


async def test_nothing_survives_the_deadline(box: Sandbox, nap: str) -> None:
    daemons = f"for i in 1 2; do (setsid nohup sleep {nap} >/dev/null 2>&1 &); done; sleep {nap}"
    assert (await box.run(daemons, seconds=1)).timed_out
    assert await eventually(lambda: not running(nap))


async def test_a_cancelled_command_is_killed(box: Sandbox, nap: str) -> None:
    task = asyncio.create_task(
        box.run(f"trap '' TERM; (setsid sleep {nap} &); touch up; sleep {nap}")
    )
    assert await eventually((box.work / "up").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert await eventually(lambda: not running(nap))


WORKER = """
import asyncio, sys
from pathlib import Path
from bot.agent.sandbox import Sandbox
box = Sandbox(Path(sys.argv[1]), Path(sys.argv[2]))
asyncio.run(box.run(f"(setsid sleep {sys.argv[3]} &); touch up; sleep 300"))
"""


async def test_nothing_survives_a_killed_worker(box: Sandbox, nap: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, box.work, box.tmp, nap
    )
    try:
        assert await eventually((box.work / "up").exists)
        assert running(nap)
    finally:
        worker.kill()
        await worker.wait()
    assert await eventually(lambda: not running(nap))


async def test_runs_do_not_share_their_count_of_processes(box: Sandbox) -> None:
    narrow = replace(box, bounds=Bounds(processes=40))
    crowd = "for i in $(seq 25); do sleep 1 & done; wait; echo done"
    results = await asyncio.gather(*(narrow.run(crowd) for _ in range(3)))
    assert [result.output for result in results] == ["done\n"] * 3
