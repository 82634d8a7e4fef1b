"""How a command is put into bubblewrap: <https://github.com/containers/bubblewrap>.

Inside there are the run's two folders, the system's programs, and nothing else of this machine: no
network, no other process, no environment, no socket, no descriptor, no privilege.
"""

import os
import pwd
import resource
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bot.agent import seccomp
from bot.agent.command import Bounds, Launch
from bot.agent.inside import (
    FORWARDER,
    INSIDE_ENVIRONMENT,
    INSIDE_FILES,
    INSIDE_PROXY,
    PROXY_ENVIRONMENT,
)
from models.errors import Refused

if TYPE_CHECKING:
    from bot.agent.sandbox import Sandbox

OUTER_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
OWNERS = range(58_100, 58_200)
NO_OWNER = "Every user id from 58100 to 58199 belongs to somebody: one must be free."
SYSTEM_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/java*",
    "/etc/ld.so.cache",
    "/etc/mime.types",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
"""What programs need of /etc; each costs a part of a millisecond at every start."""


WALLS = (
    *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
    *("--unshare-cgroup-try", "--disable-userns", "--uid", "1000", "--gid", "1000"),
    *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    "--clearenv",
)

PRELUDE = """
echo 1000 >/proc/self/oom_score_adj
ulimit {limits} || exit 125
[ -d "$HOME" ] || mkdir -p "$HOME"
{proxy}exec /bin/bash -c -- "$1"
"""
START_PROXY = """
if ! command -v python3 >/dev/null; then
  echo 'There is no network: it needs a python3 in /usr/bin or /usr/local/bin.' >&2
else
  exec 9< <(exec python3 -I -S -c "$2" </dev/null 2>/dev/null)
  read -r <&9 || { echo 'The way to the network did not open.' >&2; exit 125; }
  exec 9<&-
fi
"""


def owner() -> int | None:
    """Return the user id that commands run as when we are root, who has no name and no other work.

    None: we are an ordinary user, and so are they. Folders given to a sandbox must be theirs.
    Raises `Refused` where no id is free.
    """
    if os.geteuid() != 0:
        return None
    for uid in OWNERS:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid
    raise Refused(NO_OWNER)


@contextmanager
def launched(sandbox: "Sandbox", command: str) -> Iterator[Launch]:
    """Yield how to start a command in bubblewrap; the files it is given are open meanwhile."""
    texts = {path: text.encode() for path, text in INSIDE_FILES.items()}
    with ExitStack() as use:
        filter_ = use.enter_context(in_memory(seccomp.program()))
        files = {path: use.enter_context(in_memory(text)) for path, text in texts.items()}
        argv = [*dropped(), "bwrap", *WALLS, "--seccomp", str(filter_)]
        argv += [*environment(sandbox), *system(files), *folders(sandbox)]
        argv += ["--", *started(sandbox, command)]
        yield Launch(argv, OUTER_ENVIRONMENT, (filter_, *files.values()))


@contextmanager
def in_memory(body: bytes) -> Iterator[int]:
    """Yield the descriptor of a file that is on no disk."""
    number = os.memfd_create("sandbox")
    try:
        os.write(number, body)
        os.lseek(number, 0, os.SEEK_SET)
        yield number
    finally:
        os.close(number)


def dropped() -> list[str]:
    """Return what makes root the owner first; nothing for an ordinary user."""
    uid = owner()
    if uid is None:
        return []
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def environment(sandbox: "Sandbox") -> Iterator[str]:
    """Yield the variables that a command gets."""
    proxy = PROXY_ENVIRONMENT if sandbox.proxy else {}
    for name, value in {**INSIDE_ENVIRONMENT, **proxy, **sandbox.environment}.items():
        yield from ("--setenv", name, value)


def system(files: Mapping[str, int]) -> Iterator[str]:
    """Yield the mounts of the system: its programs, and of /etc what they need and no secret.

    Files in memory have bounds, or are read-only in the end: a command could fill the machine's
    memory with them.
    """
    yield from ("--ro-bind", "/usr", "/usr")
    for name in SYSTEM_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.exists():
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--dir", "/etc", "--dir", "/run")
    for pattern in SYSTEM_FILES:
        for shown in map(str, Path("/").glob(pattern[1:])):
            yield from ("--ro-bind", shown, shown)
    for name, number in files.items():
        yield from ("--perms", "0444", "--file", str(number), name)
    yield from ("--proc", "/proc", "--dev", "/dev")


def folders(sandbox: "Sandbox") -> Iterator[str]:
    """Yield the mounts of a run, and close what is left."""
    size = str(sandbox.bounds.shared_memory_bytes)
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--remount-ro", "/dev")
    yield from ("--bind", str(sandbox.tmp.absolute()), "/tmp")  # noqa: S108
    yield from ("--bind", str(sandbox.work.absolute()), "/repo", "--chdir", "/repo")
    if sandbox.proxy:
        yield from ("--bind", str(sandbox.proxy.absolute()), INSIDE_PROXY)
    yield from ("--remount-ro", "/")


def started(sandbox: "Sandbox", command: str) -> list[str]:
    """Return what bubblewrap starts: a shell that sets limits and becomes the command."""
    first = prelude(limits(sandbox.bounds), proxied=sandbox.proxy is not None)
    return ["/bin/bash", "-c", first, "bash", command, FORWARDER]


def prelude(limits_: str, *, proxied: bool) -> str:
    """Return what a shell does before it becomes its $1; $2 is the forwarder to the proxy."""
    return PRELUDE.format(limits=limits_, proxy=START_PROXY if proxied else "")


def limits(bounds: Bounds) -> str:
    """Return the limits of each process, as arguments of bash's `ulimit`.

    They are set inside, where processes are counted for this sandbox's namespace alone (Linux
    5.14): set outside, all runs and an ordinary user's own programs would share one count.

    Memory is limited by its data (-d): by its address space (-v), 4 GiB are too few for `node` to
    start its WebAssembly and 2 for `java`, who both reserve far more than they use. The sum over
    all processes is watched in `watch`.
    """
    wanted = (
        ("c", resource.RLIMIT_CORE, 0, 1024),
        ("u", resource.RLIMIT_NPROC, bounds.processes, 1),
        ("n", resource.RLIMIT_NOFILE, bounds.open_files, 1),
        ("f", resource.RLIMIT_FSIZE, bounds.file_bytes, 1024),
        ("t", resource.RLIMIT_CPU, bounds.cpu_seconds, 1),
        ("d", resource.RLIMIT_DATA, bounds.memory_bytes, 1024),
    )
    return " ".join(
        f"-{letter} {least(value, resource.getrlimit(which)[1]) // unit}"
        for letter, which, value, unit in wanted
    )


def least(wanted: int, hard: int) -> int:
    """Return the lower of a limit and the one we have ourselves, which cannot be raised."""
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
