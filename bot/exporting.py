"""The command `export`: everything an organisation has as NDJSON, to a file or the standard output.

See docs/export.md for what a line holds.
"""

import gzip
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.opening import with_store
from bot.settings import Settings
from models.errors import Refused
from models.exporting import EXPORTED, exported, organization_to_export

SHOWN_EVERY = 1000
Sink = IO[bytes] | gzip.GzipFile
CREATED, PRIVATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600


def export_organization(name: str | None, output: Path | None, *, bodies: bool) -> None:
    """Write everything of an organisation (its login or id; None: of the only one).

    A file appears under its name when it is whole, readable by its owner alone. Refused where it
    cannot be written. Whoever stops reading a pipe ends the export without a word.
    """

    async def do(store: AsyncEngine, _: Settings) -> int:
        async with store.connect() as db:
            organization = await organization_to_export(db, name)
        head = {"version": version("veelocity"), "exported_at": datetime.now(UTC)}
        lines = 0
        async with store.connect() as db:
            with written(output) as file, shown() as show:
                async with aclosing(exported(db, organization, head, bodies=bodies)) as told:
                    async for table, line in told:
                        file.write(line.encode())
                        lines += 1
                        if lines % SHOWN_EVERY == 0:
                            show(table, lines)
        return lines - 1

    try:
        rows = with_store(do)
    except BrokenPipeError:
        # What is left in the buffer would be told of once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(3) from None
    typer.echo(f"{rows:,} rows" + (f" in {output}." if output else "."), err=True)


@contextmanager
def written(output: Path | None) -> Iterator[Sink]:
    """Open what an export is written to; a file is put in its place once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partly = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(partly, CREATED, PRIVATE), "wb") as plain:
            yield from packed(plain, zipped=output.suffix == ".gz")
        partly.replace(output)
    except OSError as error:
        raise Refused(f"{output} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            partly.unlink()


def packed(plain: IO[bytes], *, zipped: bool) -> Iterator[Sink]:
    """Yield a file, or what compresses into it."""
    if not zipped:
        yield plain
        return
    with gzip.GzipFile(fileobj=plain, mode="wb", filename="") as file:
        yield file


@contextmanager
def shown() -> Iterator[Callable[[str, int], None]]:
    """Show on a terminal how far it has come: the tables go by name."""
    places = {table: place for place, table in enumerate(sorted(EXPORTED), 1)}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as on:
        bar = on.add_task("Exporting", total=None)

        def show(table: str, lines: int) -> None:
            said = f"{lines:,} rows, {table}: table {places[table]} of {len(places)}"
            on.update(bar, description=said)

        yield show
