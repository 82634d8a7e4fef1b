"""What a hostile command in the sandbox cannot reach: each test falls with the wall it is about."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.agent import seccomp
from bot.agent.bubblewrap import OUTER_ENVIRONMENT
from bot.agent.inside import INSIDE_ENVIRONMENT
from bot.agent.sandbox import Sandbox, owner

CANARY = "canary-5f2a91"


async def python(box: Sandbox, script: str) -> str:
    """Run a script of Python's in the sandbox and return what it printed."""
    result = await box.run("python3 -", stdin=script.encode())
    return result.output


def held(path: Path) -> str:
    """What a file holds."""
    return path.read_text()


@pytest.fixture(params=["/tmp", "/var/tmp"])
def canary(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file of this machine that everybody may read and write."""
    folder = Path(tempfile.mkdtemp(prefix="veelocity-canary-", dir=request.param))
    folder.chmod(0o777)
    path = folder / "file"
    path.write_text(CANARY)
    path.chmod(0o666)
    yield path
    path.unlink()
    folder.rmdir()


async def test_the_environment_holds_what_we_put_there_and_nothing_else(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    result = await box.run("env -0; cat /proc/*/environ /proc/thread-self/environ")
    assert CANARY.encode() not in result.whole
    names = {pair.partition(b"=")[0].decode() for pair in result.whole.split(b"\0") if pair}
    assert names == {*INSIDE_ENVIRONMENT, "PWD", "SHLVL", "_"}


async def test_the_first_process_inside_was_started_with_a_path_alone(box: Sandbox) -> None:
    said = await box.run("tr '\\0' '\\n' < /proc/1/environ")
    assert said.output == f"PATH={OUTER_ENVIRONMENT['PATH']}\n"


async def test_no_descriptor_of_ours_is_open_inside(box: Sandbox, canary: Path) -> None:
    with canary.open() as secret, closing(socket.create_server(("127.0.0.1", 0))) as server:
        for number in (secret.fileno(), server.fileno()):
            os.set_inheritable(number, True)
        said = await box.run(f"ls /proc/self/fd | tr '\\n' ' '; cat <&{secret.fileno()}")
        others = await box.run("ls -l /proc/1/fd")
    assert said.output.startswith("0 1 2 3 ")
    assert CANARY not in said.output
    assert "socket" not in others.output
    assert "memfd" not in others.output
    assert str(canary) not in others.output


async def test_there_is_a_loopback_and_no_other_network(box: Sandbox) -> None:
    devices = (await box.run("cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '")).output
    assert devices == "lo\n"
    routes = (await box.run("tail -n +2 /proc/net/route")).output
    assert routes == ""


@pytest.mark.parametrize("address", ["169.254.169.254/80", "1.1.1.1/443", "10.0.0.1/22"])
async def test_addresses_are_unreachable(box: Sandbox, address: str) -> None:
    result = await box.run(f"exec 3<>/dev/tcp/{address}", seconds=10)
    assert "Network is unreachable" in result.output


async def test_a_server_on_the_loopback_of_this_machine_is_not_reached(box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = await box.run(f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}")
        assert "Connection refused" in result.output
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_names_are_not_resolved(box: Sandbox) -> None:
    assert (await box.run("getent hosts example.com", seconds=30)).code == 2
    assert "localhost" in (await box.run("getent hosts localhost")).output
    assert "No such file" in (await box.run("cat /etc/resolv.conf")).output


CONNECT = """
import socket
try:
    socket.socket(socket.AF_UNIX).connect({address!r})
    print("reached")
except OSError as error:
    print(type(error).__name__)
"""


async def test_abstract_sockets_of_this_machine_are_not_reached(box: Sandbox) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{CANARY}")
        server.listen()
        said = await python(box, CONNECT.format(address=f"\0{CANARY}"))
    assert said == "ConnectionRefusedError\n"


async def test_sockets_in_folders_of_this_machine_are_not_reached(
    box: Sandbox, canary: Path
) -> None:
    path = canary.with_name("socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o777)
        server.listen()
        said = await python(box, CONNECT.format(address=str(path)))
    path.unlink()
    assert said == "FileNotFoundError\n"


async def test_no_folder_of_this_machine_is_there_but_its_programs(box: Sandbox) -> None:
    here = (await box.run("ls -A /")).output.split()
    assert set(here) <= {
        *("bin", "dev", "etc", "lib", "lib32", "lib64", "libx32"),
        *("proc", "repo", "run", "sbin", "tmp", "usr"),
    }
    assert (await box.run("ls -A /run /usr/../home")).output.startswith("ls: cannot access")


async def test_no_password_or_key_of_this_machine_is_there(box: Sandbox) -> None:
    said = await box.run("ls /etc/shadow /etc/gshadow /etc/ssh /etc/ssl/private /etc/sudoers")
    assert said.output.count("No such file") == 5
    assert "root" not in (await box.run("cat /etc/passwd /etc/group")).output


@pytest.mark.parametrize("through", ["", "/proc/1/root", "/proc/self/root", "/proc/1/cwd/.."])
async def test_links_out_of_the_tree_lead_nowhere(box: Sandbox, canary: Path, through: str) -> None:
    (box.work / "link").symlink_to(f"{through}{canary}")
    (box.tmp / "up").symlink_to("/repo/" + "../" * 20)
    said = await box.run(f"cat link /tmp/up{canary}; echo changed > link; cp /repo/link /tmp/got")
    assert CANARY not in said.output
    assert held(canary) == CANARY


SYSTEM_PLACES = "/ /dev /etc /run /usr /proc/sys /usr/bin"


async def test_the_system_is_read_only(box: Sandbox) -> None:
    said = await box.run(f"for place in {SYSTEM_PLACES}; do touch $place/mark; done")
    wanted = said.output.count("Read-only file system") + said.output.count("/proc/sys/mark")
    assert wanted == len(SYSTEM_PLACES.split()), said.output


@pytest.mark.parametrize(
    "command",
    [
        "mount -o remount,rw /usr",
        "mount -o remount,rw,bind /",
        "mount --bind /repo /usr",
        "mount -t tmpfs none /usr",
        "mount -t proc proc /tmp",
        "umount /repo",
        "umount -l /usr",
    ],
)
async def test_nothing_is_mounted_anew(box: Sandbox, command: str) -> None:
    before = (await box.run("cat /proc/self/mounts")).output
    said = await box.run(f"{command}; echo $?; cat /proc/self/mounts")
    assert not re.search(r"^0$", said.output, re.MULTILINE)
    assert said.output.endswith(before)


@pytest.mark.parametrize("kind", ["user", "mount", "pid", "net", "ipc", "uts", "cgroup"])
async def test_no_namespace_can_be_made(box: Sandbox, kind: str) -> None:
    said = await box.run(f"unshare --{kind} true; unshare --user --map-root-user --{kind} true")
    assert said.output.count("unshare failed") == 2


async def test_no_privilege_is_left_and_none_can_be_gained(box: Sandbox) -> None:
    said = (await box.run("cat /proc/self/status")).output
    figures = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert {figures[f"Cap{each}"] for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (figures["NoNewPrivs"], figures["Seccomp"]) == ("1", "2")
    mounts = (await box.run("cat /proc/self/mounts")).output.splitlines()
    options = {line.split()[1]: line.split()[3].split(",") for line in mounts}
    lax = {path for path, each in options.items() if "nosuid" not in each}
    assert not lax


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this machine that runs as the sandbox's own user."""
    uid = owner()
    process = subprocess.Popen(
        ["sleep", "300.21"], user=uid, group=uid, extra_groups=None if uid is None else []
    )
    yield process
    process.kill()
    process.wait()


async def test_processes_of_this_machine_are_neither_seen_nor_hit(
    box: Sandbox, bystander: subprocess.Popen[bytes]
) -> None:
    said = await box.run(
        f"ls -d /proc/[0-9]* | wc -l; trap '' TERM; kill -TERM {bystander.pid}; kill -TERM -1;"
        " echo still here; kill -KILL -1",
        seconds=20,
    )
    assert int(said.output.split()[0]) < 10
    assert "still here" in said.output
    assert bystander.poll() is None


@pytest.fixture
def shared_memory() -> Iterator[str]:
    """A segment of shared memory that everybody on this machine may use."""
    made = subprocess.run(["ipcmk", "-M", "4096", "-p", "0666"], capture_output=True, text=True)
    number = made.stdout.split()[-1]
    yield number
    subprocess.run(["ipcrm", "-m", number], check=True)


@pytest.mark.usefixtures("shared_memory")
async def test_shared_memory_of_this_machine_is_not_seen(box: Sandbox) -> None:
    assert (await box.run("tail -n +2 /proc/sysvipc/shm")).output == ""


async def test_the_name_of_this_machine_is_not_told(box: Sandbox) -> None:
    assert (await box.run("uname -n; cat /proc/sys/kernel/hostname")).output == "sandbox\n" * 2


async def test_the_control_groups_of_this_machine_are_not_told(box: Sandbox) -> None:
    said = await box.run("cut -d: -f3 /proc/self/cgroup | sort -u; cat /proc/1/cgroup")
    paths = {line.rpartition(":")[2] for line in said.output.splitlines()}
    assert paths == {"/"}


CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for number in {numbers}:
    ctypes.set_errno(0)
    print(libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno())
"""


async def test_the_forbidden_system_calls_fail(box: Sandbox) -> None:
    column = seccomp.ARCHITECTURES[os.uname().machine][1]
    forbidden = [each[column] for each in seccomp.FORBIDDEN.values() if each[column] >= 0]
    missing = [each[column] for each in seccomp.MISSING.values()]
    said = await python(box, CALLS.format(numbers=forbidden + missing))
    assert said.splitlines() == ["-1 1"] * len(forbidden) + ["-1 38"] * len(missing)


SOCKETS = """
import socket
for family, kind, number in {wanted}:
    try:
        socket.socket(family, kind, number).close()
        print("made")
    except OSError as error:
        print(error.errno)
"""
NETLINK_UEVENT, AF_PACKET, AF_ALG, AF_VSOCK = 15, 17, 38, 40


async def test_sockets_are_of_the_usual_families(box: Sandbox) -> None:
    usual = [(1, 1, 0), (2, 1, 0), (10, 2, 0), (16, 3, 0)]
    others = [(16, 3, NETLINK_UEVENT), (AF_PACKET, 3, 0), (AF_ALG, 5, 0), (AF_VSOCK, 1, 0)]
    said = await python(box, SOCKETS.format(wanted=usual + others))
    assert said.split() == ["made"] * 4 + ["97"] * 4


INJECT = """
import fcntl, pty, os
_, terminal = pty.openpty()
for request in (0x5412, 0x541C, 0x5412 | 1 << 32):
    try:
        fcntl.ioctl(terminal, request & 0xFFFFFFFF, b"x")
        print("typed")
    except OSError as error:
        print(error.errno)
"""


async def test_nothing_is_typed_into_a_terminal(box: Sandbox) -> None:
    assert (await python(box, INJECT)).split() == ["1"] * 3
    assert (await box.run("exec 3</dev/tty")).code != 0


X32 = "import ctypes; print(ctypes.CDLL(None).syscall(0x40000000 + 39))"
I386 = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("53b814000000cd805bc3"))  # getpid, the way of a 32-bit program
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))())
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are doors of x86_64")
@pytest.mark.parametrize("script", [X32, I386], ids=["x32", "i386"])
async def test_other_ways_into_the_kernel_are_deadly(box: Sandbox, script: str) -> None:
    result = await box.run("exec python3 -", stdin=script.encode())
    assert result.code == 128 + signal.SIGSYS


PTRACE = """
import ctypes, os, subprocess
child = subprocess.Popen(["sleep", "60"])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
print(libc.ptrace(16, child.pid, 0, 0), ctypes.get_errno())  # PTRACE_ATTACH
child.kill()
"""


async def test_processes_are_not_traced(box: Sandbox) -> None:
    assert await python(box, PTRACE) == "-1 1\n"


async def test_runs_at_the_same_time_do_not_see_each_other(box: Sandbox, nap: str) -> None:
    other = Sandbox(box.tmp, box.work)
    first = asyncio.create_task(other.run(f"sleep {nap}", seconds=3))
    said = await box.run("sleep 1; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert nap not in said.output
    assert (await first).timed_out
