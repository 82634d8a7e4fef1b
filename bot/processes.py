"""Processes that end together: a tree of commands, and a server kept while anybody uses it.

Children are started through this file as a script, of the standard library alone: the signal that
Linux sends when a parent dies (https://man7.org/linux/man-pages/man2/pr_set_pdeathsig.2const.html)
must be asked for in the child, and `preexec_fn` is unsafe where the parent has threads.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn

GRACE_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0
ABANDONED_SECONDS = 0.5
STUBBORN_SECONDS = 60

STOPPING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
SERVER_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
PR_SET_PDEATHSIG = 1
NOW = fcntl.LOCK_EX | fcntl.LOCK_NB

Wait = Callable[[float | None], set[int]]
Say = Callable[[str], object]
Then = Literal["stop", "restart", "nothing"]


@dataclass(frozen=True)
class Command:
    """One child of the tree. `env` None: the parent's.

    `then`: what follows when it ends by itself. `stop` ends the tree, `restart` starts it again
    with a growing delay, `nothing` suits a child with an end, such as a replay.
    """

    name: str
    argv: Sequence[str]
    then: Then = "stop"
    env: Mapping[str, str] | None = None


def run_tree(commands: Sequence[Command], *, grace_seconds: float = GRACE_SECONDS, say: Say) -> int:
    """Run commands until Ctrl-C, SIGTERM or SIGHUP, or until one that others need has ended.

    Then the last started is stopped first: SIGTERM, and SIGKILL after the grace or at a second
    Ctrl-C. Returns 0 when asked to stop, else 3, or 0 where the needed child ended with 0. Must be
    called in the main thread.
    """
    with signals() as wait:
        children: list[Child] = []
        try:
            children.extend(Child(command, say) for command in commands)
            return supervise(children, wait)
        finally:
            for child in reversed(children):
                child.stop(grace_seconds, wait)


def supervise(children: Sequence["Child"], wait: Wait) -> int:
    """Watch children until a signal or the end of a needed one; return the exit code."""
    while not wait(min((child.due_seconds() for child in children), default=None)) & STOPPING:
        codes = [code for child in children if (code := child.ended()) is not None]
        if codes:
            return 3 if any(codes) else 0
    return 0


@contextmanager
def signals() -> Iterator[Wait]:
    """Yield a function that sleeps until a signal or a timeout, and tells which signals came."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    waker = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    heeded = {*STOPPING, signal.SIGCHLD}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup
        heeded.remove(signal.SIGHUP)
    former = {number: signal.signal(number, lambda *_: None) for number in heeded}

    def wait(timeout: float | None) -> set[int]:
        select.select([read], [], [], timeout)
        with suppress(BlockingIOError):
            return set(os.read(read, 4096))
        return set()

    try:
        yield wait
    finally:
        for number, handler in former.items():
            signal.signal(number, handler or signal.SIG_DFL)
        signal.set_wakeup_fd(waker)
        os.close(read)
        os.close(write)


class Child:
    """A running command, in a session of its own so that Ctrl-C reaches the parent alone."""

    def __init__(self, command: Command, say: Say) -> None:
        self.command = command
        self.say = say
        self.delay_seconds = FIRST_DELAY_SECONDS
        self.start()

    def start(self) -> None:
        """Start, or start again."""
        self.again_at: float | None = None
        self.done = False
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own commands
            tied(self.command.argv),
            stdin=subprocess.DEVNULL,
            env=self.command.env,
            start_new_session=True,
        )

    def due_seconds(self) -> float:
        """Return how long nothing is to be done here, if no signal comes."""
        if self.again_at is None:
            return STEADY_SECONDS
        return max(0.0, self.again_at - time.monotonic())

    def ended(self) -> int | None:
        """Return the exit code of a needed child that has ended; start again what is due."""
        if self.again_at is not None:
            if time.monotonic() >= self.again_at:
                self.start()
            return None
        code = None if self.done else self.process.poll()
        if code is None:
            return None
        self.kill()
        if self.command.then == "restart":
            self.later(code)
            return None
        self.done = True
        if self.command.then == "nothing":
            return None
        self.say(f"{self.command.name} ended ({code}); stopping")
        return code

    def later(self, code: int) -> None:
        """Order the next start; one that ran steadily is started soon, the others ever later."""
        ran_seconds = time.monotonic() - self.started_at
        if ran_seconds > STEADY_SECONDS:
            self.delay_seconds = FIRST_DELAY_SECONDS
        self.say(f"{self.command.name} ended ({code}); again in {self.delay_seconds:g} s")
        self.again_at = time.monotonic() + self.delay_seconds
        self.delay_seconds = min(2 * self.delay_seconds, LONGEST_DELAY_SECONDS)

    def stop(self, grace_seconds: float, wait: Wait) -> None:
        """End the child and whatever is left of its session's process group."""
        if self.process.returncode is not None:
            return
        deadline = time.monotonic() + grace_seconds
        self.process.terminate()
        while self.process.poll() is None:
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0 or wait(left_seconds) & STOPPING:
                break
        self.kill()
        self.process.wait()

    def kill(self) -> None:
        """Kill what still runs in the child's process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


def tied(argv: Sequence[str]) -> list[str]:
    """Return a command that runs `argv` and gets SIGTERM when the thread that started it is gone.

    On Linux only; elsewhere the command just runs.
    """
    return [*script("tied"), str(os.getpid()), *argv]


def script(verb: str) -> list[str]:
    """Return the command that runs this file alone, without the virtualenv's packages."""
    return [sys.executable, "-I", "-S", __file__, verb]


def dying_with(parent: int, number: int) -> Callable[[], None]:
    """Return what asks, in a child, for a signal when the parent dies; it ends where that is dead.

    ctypes is loaded before: the child may be a user who cannot read Python's folder.
    """
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return ask


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on a file, which is made where missing. Raises BlockingIOError with LOCK_NB."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Server:
    """A server that one keeper runs in `folder` for all who use it.

    `gate` is locked while it is started or stopped, `users` is shared by those who use it, and
    `keeper` is locked by its keeper, a process that stops it when `users` is free: also after
    kill -9 of everybody. `uid`, `gid` None: whoever starts it.
    """

    folder: Path
    argv: Sequence[str]
    stop_signal: int = signal.SIGTERM
    uid: int | None = None
    gid: int | None = None

    @property
    def gate(self) -> Path:
        """Locked while the server is started or stopped."""
        return self.folder / "gate"

    @property
    def users(self) -> Path:
        """Shared by those who use the server."""
        return self.folder / "users"

    @property
    def keeper(self) -> Path:
        """Locked by the keeper while it lives; holds its process id."""
        return self.folder / "keeper"

    @property
    def log(self) -> Path:
        """What the server printed since its start."""
        return self.folder / "log"

    def runs(self) -> bool:
        """Tell whether it has a keeper."""
        return is_locked(self.keeper)

    def launch(self) -> None:
        """Start a keeper; the caller holds the gate."""
        ids = [str(self.uid), str(self.gid)] if self.uid is not None else ["", ""]
        options = [str(self.folder), str(int(self.stop_signal)), *ids]
        with open_private(self.log) as log:
            subprocess.run(  # noqa: S603 - our own command
                [*script("keep"), *options, *self.argv],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )

    def stop(self) -> None:
        """Stop it and wait until it is gone; the caller holds the gate."""
        with suppress(ProcessLookupError, ValueError):
            if self.runs():
                os.kill(int(self.keeper.read_text()), signal.SIGTERM)
        with locked(self.keeper):
            pass


def open_private(path: Path) -> BinaryIO:
    """Open an emptied file that nobody else reads: a log quotes what was stored."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def is_locked(path: Path) -> bool:
    """Tell whether another process holds a lock on the file, shared or not."""
    try:
        with locked(path, NOW):
            return False
    except BlockingIOError:
        return True


def keep(server: Server) -> NoReturn:
    """Run a server in the background until nobody uses it, then end."""
    handle = os.open(server.keeper, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    process = spawn(server)

    def ended(*_: object) -> None:
        with suppress(ChildProcessError):
            if os.waitpid(process.pid, os.WNOHANG) == (0, 0):
                return
        os._exit(0)

    def stop(*_: object) -> None:
        os.kill(process.pid, server.stop_signal)
        signal.alarm(STUBBORN_SECONDS)

    signal.signal(signal.SIGALRM, lambda *_: os.kill(process.pid, signal.SIGQUIT))
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGCHLD, ended)
    ended()
    with abandoned(server):
        stop()
        while True:
            signal.pause()


@contextmanager
def abandoned(server: Server) -> Iterator[None]:
    """Wait until nobody uses the server or its folder is gone; keep others out from then on."""
    while server.folder.exists():
        time.sleep(ABANDONED_SECONDS)
        with suppress(BlockingIOError, FileNotFoundError), locked(server.gate, NOW):
            if not is_locked(server.users):
                yield
    yield


def spawn(server: Server) -> subprocess.Popen[bytes]:
    """Start the server itself; should its keeper be killed, it is told to stop."""
    return subprocess.Popen(  # noqa: S603 - our own command
        server.argv,
        cwd="/",
        env=SERVER_ENVIRONMENT,
        user=server.uid,
        group=server.gid,
        extra_groups=None if server.uid is None else [],
        start_new_session=True,
        preexec_fn=dying_with(os.getpid(), server.stop_signal),
    )


def main(verb: str, *arguments: str) -> NoReturn:
    """Be what `tied` or `Server.launch` asked for."""
    if verb == "tied":
        dying_with(int(arguments[0]), signal.SIGTERM)()
        os.execvp(arguments[1], arguments[1:])  # noqa: S606 - our own command
    folder, number, uid, gid, *argv = arguments
    ids = (int(uid), int(gid)) if uid else (None, None)
    keep(Server(Path(folder), argv, int(number), *ids))


if __name__ == "__main__":
    main(*sys.argv[1:])
