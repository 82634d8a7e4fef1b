"""`demo` and `dev`: everything on this machine, from nothing, in one process tree."""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import typer
from pydantic import SecretStr

from bot import embedded
from bot.processes import NOW, Command, locked, run_tree
from bot.sample.staging import NOTE as SAMPLE_NOTE
from bot.sample.staging import Stage, staged
from bot.schema import migrate
from bot.settings import ADDRESS, Settings, environment, load
from bot.vault import kept_secret
from models.errors import Refused

WITHOUT_REDIS = "No Redis was found: the worker runs inside the web process, on a stand-in."
RUNS_ALREADY = (
    "It runs already{where}. Stop that one first, or set VEELOCITY_HOME to another folder."
)
PULLING = "Pull mode: GitHub's log of deliveries is read, so no public address is needed."
GIVEN_STORE = "DATABASE_URL is set: the sample organisation goes into that database."
SAMPLE_BEGAN = (
    "{home} holds a sample organisation already, which goes on while the demo is stopped."
    " For one that begins in the past set VEELOCITY_HOME to another folder."
)
SAMPLE_HERE = (
    "{home} holds the sample organisation of `demo` as well."
    " For a store without it set VEELOCITY_HOME to another folder."
)


def run(*, sample: bool, away_days: int = 0, pull: bool = False) -> int:
    """Start stores, web and worker (and, for the demo, the sample); return the exit code.

    `away_days`: a new sample is told up to so many days ago, as if the app was stopped then.
    """
    settings = load(**({"pull": True} if pull else {}))
    home = settings.veelocity_home.absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_owner(home)
    with alone(home):
        if away_days:
            begin_away(home, away_days)
        for line in warnings(settings, home, sample=sample):
            typer.echo(line)
        typer.echo("Starting Postgres and Redis …")
        with stores(settings) as (database_url, redis_url):
            migrate(database_url)
            told = settings.model_copy(
                update={
                    "veelocity_home": home,
                    "database_url": SecretStr(database_url),
                    "redis_url": SecretStr(redis_url) if redis_url else None,
                    "secret_key": kept_secret(home / "secret_key", settings.secret_key),
                    "webhook_secret": kept_secret(home / "webhook_secret", settings.webhook_secret),
                    "port": free_port(settings.host, settings.port),
                    "log_level": quiet(settings) if sample else settings.log_level,
                    "pull": settings.pull and not sample,
                }
            )
            (home / ADDRESS).write_text(told.local_url)
            if not redis_url:
                typer.echo(WITHOUT_REDIS)
            code = run_tree(list(commands(told, home, sample=sample)), say=typer.echo)
    if code == 0:
        typer.echo(f"Stopped. The data stays in {settings.veelocity_home}.")
    return code


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold a home for this process tree; raise Refused where another one has it."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(home / "running", NOW))
        except BlockingIOError:
            path = home / ADDRESS
            where = f" at {path.read_text()}" if path.exists() else ""
            raise Refused(RUNS_ALREADY.format(where=where)) from None
        try:
            yield
        finally:
            (home / ADDRESS).unlink(missing_ok=True)


def warnings(settings: Settings, home: Path, *, sample: bool) -> Iterator[str]:
    """Yield what may surprise about the store that will be used."""
    if sample and settings.database_url:
        yield GIVEN_STORE
    if settings.pull and not sample:
        yield PULLING
    if not sample and not settings.database_url and (home / SAMPLE_NOTE).exists():
        yield SAMPLE_HERE.format(home=settings.veelocity_home)


def quiet(settings: Settings) -> str:
    """Return the level of logs beside output: warnings, unless somebody asked for another."""
    return settings.log_level if "log_level" in settings.model_fields_set else "WARNING"


@contextmanager
def stores(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield the addresses of Postgres and Redis: those that are set, else embedded ones."""
    home = settings.veelocity_home
    check_owner(home)
    if settings.database_url:
        with redis_of(settings) as redis_url:
            yield settings.postgres_url, redis_url
        return
    with embedded.postgres(home) as database_url, redis_of(settings) as redis_url:
        yield database_url, redis_url


def check_owner(home: Path) -> None:
    """Refuse a home of somebody else: its servers cannot be reached by us."""
    if home.exists() and home.stat().st_uid != os.geteuid():
        raise Refused(f"{home} belongs to user {home.owner()}: run this as {home.owner()}.")


@contextmanager
def redis_of(settings: Settings) -> Iterator[str | None]:
    """Yield the address of Redis: the one that is set, else an embedded one, else None."""
    if settings.redis_address:
        yield settings.redis_address
        return
    with embedded.redis(settings.veelocity_home) as address:
        yield address


def begin_away(home: Path, days: int) -> None:
    """Begin a sample that was told up to some days ago; Refused where there is one already."""
    stage = Stage(home)
    if stage.there:
        raise Refused(SAMPLE_BEGAN.format(home=home))
    stage.begin(timedelta(days=days))


def free_port(host: str, wanted: int) -> int:
    """Return the wanted port, or a free one where somebody else listens there."""
    try:
        return bound_port(host, wanted)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise Refused(f"Cannot listen on {host}, port {wanted}: {error.strerror}.") from None
    free = bound_port(host, 0)
    typer.echo(f"Port {wanted} is taken; using {free}.")
    return free


def bound_port(host: str, port: int) -> int:
    """Try to listen on a port, 0 being any; return it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
        return int(trial.getsockname()[1])


def commands(settings: Settings, home: Path, *, sample: bool) -> Iterator[Command]:
    """Yield the processes of the tree, in the order in which they start."""
    python = (sys.executable, "-m")
    if sample:
        settings = staged(settings, home)
    inherited = environment(settings)
    if sample:
        yield Command("github", (*python, "bot.sample.stage"), "restart", inherited)
    yield Command("web", (*python, "bot", "web"), "stop", inherited)
    if settings.redis_address:
        yield Command("worker", (*python, "bot", "worker"), "restart", inherited)
    yield Command("welcome", (*python, "bot.sample.welcome"), "nothing", inherited)
