"""`demo` and `dev`: everything on this machine, from nothing, in one process tree."""

import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from pydantic import SecretStr

from bot import embedded
from bot.processes import Command, run_tree
from bot.schema import migrate
from bot.settings import Settings, environment, load

WITHOUT_REDIS = "No Redis was found: the worker runs inside the web process, on a stand-in."


def run(*, sample: bool) -> int:
    """Start stores, web and worker (and, for the demo, the sample); return the exit code."""
    settings = load()
    home = settings.veelocity_home.absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    typer.echo("Starting Postgres and Redis …")
    with stores(settings) as (database_url, redis_url):
        migrate(database_url)
        told = settings.model_copy(
            update={
                "database_url": SecretStr(database_url),
                "redis_url": SecretStr(redis_url) if redis_url else None,
                "secret_key": kept_secret(home / "secret_key", settings.secret_key),
                "webhook_secret": kept_secret(home / "webhook_secret", settings.webhook_secret),
                "port": free_port(settings.host, settings.port),
                "log_level": "WARNING" if sample else settings.log_level,
            }
        )
        if not redis_url:
            typer.echo(WITHOUT_REDIS)
        return run_tree(list(commands(told, home, sample=sample)), say=typer.echo)


@contextmanager
def stores(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield the addresses of Postgres and Redis: those that are set, else embedded ones."""
    home = settings.veelocity_home
    if settings.database_url:
        with redis_of(settings) as redis_url:
            yield settings.postgres_url, redis_url
        return
    with embedded.postgres(home) as database_url, redis_of(settings) as redis_url:
        yield database_url, redis_url


@contextmanager
def redis_of(settings: Settings) -> Iterator[str | None]:
    """Yield the address of Redis: the one that is set, else an embedded one, else None."""
    if settings.redis_address:
        yield settings.redis_address
        return
    with embedded.redis(settings.veelocity_home) as address:
        yield address


def kept_secret(path: Path, given: SecretStr) -> SecretStr:
    """Return a secret that was given, or one that is made once and kept for its owner's eyes."""
    if given.get_secret_value():
        return given
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return SecretStr(path.read_text().strip())


def free_port(host: str, wanted: int) -> int:
    """Return the wanted port, or a free one where somebody else listens there."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, wanted))
        except OSError:
            trial.bind((host, 0))
            typer.echo(f"Port {wanted} is taken; using {trial.getsockname()[1]}.")
        return int(trial.getsockname()[1])


def commands(settings: Settings, home: Path, *, sample: bool) -> Iterator[Command]:
    """Yield the processes of the tree, in the order in which they start."""
    python = (sys.executable, "-m")
    if sample:
        from bot.sample.staging import staged

        settings = staged(settings, home)
    inherited = environment(settings)
    if sample:
        yield Command("github", (*python, "bot.sample.stage"), "restart", inherited)
    yield Command("web", (*python, "bot", "web"), "stop", inherited)
    if settings.redis_address:
        yield Command("worker", (*python, "bot", "worker"), "restart", inherited)
    yield Command("welcome", (*python, "bot.sample.welcome"), "nothing", inherited)
