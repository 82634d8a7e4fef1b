"""The tree of commands, driven through a real parent and its signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.processes import Command, Then, run_tree

PARENT = """
import sys
from bot.processes import Command, run_tree
say = lambda text: print(text, flush=True)
sys.exit(run_tree({commands}, grace_seconds={grace}, say=say))
"""
SAY = (  # in one write, so that children do not talk into each other
    "import os, signal, subprocess, sys, time;"
    "say = lambda *words: os.write(1, (' '.join(map(str, words)) + '\\n').encode());"
)
SAYS = SAY + "say({name!r}, os.getpid()); time.sleep({seconds})"
STUBBORN = (
    SAY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); say('stubborn', os.getpid());"
    "time.sleep(600)"
)
POLITE = (
    SAY + "signal.signal(signal.SIGTERM, lambda *_: (say({name!r}, 'bye'), sys.exit()));"
    "say({name!r}, os.getpid()); time.sleep(600)"
)
PARENTAL = (
    SAY + "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "say('grandchild', child.pid); time.sleep(600)"
)


def python(name: str, code: str, then: Then = "stop") -> Command:
    return Command(name, [sys.executable, "-c", code], then)


def parent(*commands: Command, grace: float = 30) -> subprocess.Popen[str]:
    code = PARENT.format(commands=list(commands), grace=grace)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout
    return process.stdout.readline().split()


def started(process: subprocess.Popen[str], count: int) -> dict[str, int]:
    """Read who has started, and as which process."""
    return {name: int(pid) for name, pid in (line(process) for _ in range(count))}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_the_last_started_first(number: signal.Signals) -> None:
    tree = parent(*(python(name, POLITE.format(name=name)) for name in ("web", "worker")))
    pids = started(tree, 2)
    tree.send_signal(number)
    assert tree.communicate()[0].split() == ["worker", "bye", "web", "bye"]
    assert tree.returncode == 0
    assert not any(map(alive, pids.values()))


def test_child_that_does_not_listen_is_killed_after_the_grace() -> None:
    tree = parent(python("stubborn", STUBBORN), grace=0.1)
    pids = started(tree, 1)
    tree.send_signal(signal.SIGINT)
    tree.communicate()
    assert tree.returncode == 0
    assert not alive(pids["stubborn"])


def test_second_signal_does_not_wait_for_the_grace() -> None:
    tree = parent(python("stubborn", STUBBORN), python("polite", POLITE.format(name="polite")))
    pids = started(tree, 2)
    tree.send_signal(signal.SIGINT)
    assert line(tree) == ["polite", "bye"]
    assert gone(pids["polite"])
    while tree.poll() is None:
        tree.send_signal(signal.SIGINT)
        time.sleep(0.1)
    tree.communicate()
    assert not alive(pids["stubborn"])


def test_grandchildren_are_gone_too() -> None:
    tree = parent(python("web", PARENTAL))
    pids = started(tree, 1)
    tree.send_signal(signal.SIGTERM)
    tree.communicate()
    assert gone(pids["grandchild"])


def test_worker_that_dies_is_started_again() -> None:
    worker = python("worker", SAYS.format(name="worker", seconds=600), "restart")
    tree = parent(python("web", SAYS.format(name="web", seconds=600)), worker)
    first = started(tree, 2)
    os.kill(first["worker"], signal.SIGKILL)
    assert line(tree) == ["worker", "ended", "(-9);", "again", "in", "0.5", "s"]
    second = started(tree, 1)
    assert second["worker"] != first["worker"]
    tree.send_signal(signal.SIGINT)
    tree.communicate()
    assert not any(map(alive, (first["web"], second["worker"])))


def test_end_of_a_needed_child_ends_the_tree() -> None:
    worker = python("worker", SAYS.format(name="worker", seconds=600), "restart")
    tree = parent(worker, python("web", "import sys; sys.stdin.read(); sys.exit(4)"))
    said = tree.communicate()[0]
    assert "web ended (4); stopping" in said
    assert tree.returncode == 3


def test_end_of_a_child_with_an_end_changes_nothing() -> None:
    replay = python("replay", SAYS.format(name="replay", seconds=0), "nothing")
    tree = parent(python("web", SAYS.format(name="web", seconds=600)), replay)
    pids = started(tree, 2)
    assert gone(pids["replay"])
    assert alive(pids["web"])
    tree.send_signal(signal.SIGINT)
    assert tree.communicate()[0] == ""
    assert tree.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of a parent's death")
def test_children_end_with_a_killed_parent() -> None:
    tree = parent(
        *(python(name, SAYS.format(name=name, seconds=600)) for name in ("web", "worker"))
    )
    pids = started(tree, 2)
    tree.kill()
    tree.communicate()
    assert all(map(gone, pids.values()))


def test_tree_leaves_the_signals_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run_tree([python("short", "")], say=print) == 0
    assert signal.getsignal(signal.SIGINT) is before
