"""The command line: `python -m bot …`, also installed as `veelocity`.

Exit codes: 0 done, 1 nothing to do or refused, 2 wrong usage, 3 failed.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

cli = typer.Typer(
    help="Veelocity measures software delivery from webhooks, as it happens.",
    epilog="Exit codes: 0 done, 1 nothing to do or refused, 2 wrong usage, 3 failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DAY = "%Y-%m-%d"
TIMES = [DAY, *(f"{DAY}T%H:%M{rest}" for rest in ("", "%z", ":%S", ":%S%z"))]

Json = Annotated[bool, typer.Option("--json", help="print JSON, for machines")]
Repository = Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="queue it and return at once")]
Here = Annotated[bool, typer.Option("--here", help="run it in this process, without a worker")]


@cli.command()
def demo(
    away: Annotated[
        int, typer.Option(min=0, max=60, help="days that the app of a new sample was stopped")
    ] = 0,
) -> None:
    """Run everything with a sample organisation's 180 days, on this machine alone.

    While it is stopped the sample goes on, and what was missed is read from GitHub's own log of
    deliveries at the next start.
    """
    from bot.local import run

    raise typer.Exit(run(sample=True, away_days=away))


@cli.command()
def dev(
    pull: Annotated[
        bool, typer.Option("--pull", help="read GitHub's log of deliveries: no public address")
    ] = False,
) -> None:
    """Run web, worker, Postgres and Redis in one process tree; Ctrl-C stops all of it."""
    from bot.local import run

    raise typer.Exit(run(sample=False, pull=pull))


@cli.command()
def web(
    host: Annotated[str | None, typer.Option(help="address to listen on (HOST)")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on (PORT)")] = None,
    workers: Annotated[int, typer.Option(min=1, help="web processes")] = 1,
) -> None:
    """Run the web process: webhooks, pages and the API."""
    from bot.serving import serve_web

    serve_web(host, port, workers)


@cli.command()
def worker() -> None:
    """Run the worker: settle deliveries, do jobs."""
    from bot.serving import serve_worker

    serve_worker()


@cli.command()
def migrate(
    sql: Annotated[bool, typer.Option("--sql", help="print the SQL instead")] = False,
) -> None:
    """Bring the schema of the store up to date."""
    from bot.commands import migrate_store

    migrate_store(sql=sql)


@cli.command("create-user")
def create_user(
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    admin: Annotated[
        bool, typer.Option("--admin", help="operator of this Veelocity, and admin there")
    ] = False,
    organization: Annotated[
        str | None, typer.Option(metavar="LOGIN", help="organisation they belong to")
    ] = None,
    role: Annotated[str, typer.Option(help="viewer, manager or admin of it")] = "viewer",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read the password from standard input")
    ] = False,
) -> None:
    """Make an account. Without a password, a one-time sign-in link is printed."""
    from bot.commands import make_user

    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    make_user(email, admin=admin, organization=organization, role=role, password=password)


@cli.command()
def deliveries(
    status: Annotated[
        str | None, typer.Option(help="received, settled, ignored, failed or parked")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="failed and parked only")] = False,
    limit: Annotated[int, typer.Option(min=0, help="how many; 0: all")] = 20,
    as_json: Json = False,
) -> None:
    """List what was delivered and what was decided, newest first."""
    from bot.commands import list_deliveries

    list_deliveries(status=status, failed=failed, limit=limit, as_json=as_json)


@cli.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="NDJSON of {headers, body}, or a folder of <event>.<…>.json"),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=TIMES, metavar="TIME", help="all received since, as 2026-09-30T14:00 (local)"
        ),
    ] = None,
    organization: Annotated[
        str | None,
        typer.Option(
            metavar="LOGIN", help="whose those of --file are that no known installation sent"
        ),
    ] = None,
) -> None:
    """Decide deliveries again: by id, since a time, or from a file of recorded ones.

    An id is the number that `deliveries` shows, or the source's own.
    """
    from bot.commands import replay_deliveries

    replay_deliveries(ids or [], file, since, organization)


@cli.command()
def metrics(
    scope: Annotated[str, typer.Argument(metavar="REPO|ORGANISATION")],
    days: Annotated[
        int, typer.Option(min=1, max=1826, help="days up to --end, without --start")
    ] = 30,
    start: Annotated[
        datetime | None, typer.Option(formats=[DAY], metavar="DATE", help="first day")
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option(formats=[DAY], metavar="DATE", help="last day, included; today without it"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the DORA metrics of a repository or organisation (the same body as the API's)."""
    from bot.commands import print_metrics

    print_metrics(scope, days, (start, end), as_json=as_json)


@cli.command()
def sync(
    repository: Annotated[
        str | None, typer.Argument(metavar="OWNER/NAME", help="only what is of this repository")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="everything, not only what changed since the last time")
    ] = False,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="github, linear or slack; all without it")
    ] = None,
    organization: Annotated[
        str | None, typer.Option(metavar="LOGIN", help="of this one only")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read what changed at the sources since the last time, and show it until it is done."""
    from bot.syncing import Asked
    from bot.syncing import sync as read_sources

    read_sources(Asked(repository, organization, source, full), as_json=as_json)


@cli.command()
def backfill(
    repository: Repository,
    days: Annotated[int, typer.Option(min=1, max=3650, help="how far back")] = 90,
    everything: Annotated[bool, typer.Option("--all", help="all that GitHub keeps")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="do not ask after saying what it costs")
    ] = False,
) -> None:
    """Read what happened in a repository before we were told, and say first what it costs."""
    from bot.backfilling import backfill_repository

    backfill_repository(repository, None if everything else days, sure=yes)


@cli.command()
def export(
    organization: Annotated[
        str | None, typer.Option(metavar="LOGIN", help="which one; needed where there are several")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="standard output without it; compressed as FILE.gz"),
    ] = None,
    deliveries: Annotated[
        bool, typer.Option("--deliveries", help="what each delivery said, too")
    ] = False,
) -> None:
    """Write everything an organisation has as NDJSON, without secrets."""
    from bot.exporting import export_organization

    export_organization(organization, output, bodies=deliveries)


@cli.command("next")
def next_ticket(repository: Repository, as_json: Json = False) -> None:
    """Say which ticket a repository develops next."""
    from bot.developing import show_next

    show_next(repository, as_json=as_json)


@cli.command()
def queue(repository: Repository, as_json: Json = False) -> None:
    """List the open tickets of a repository in the order in which they will be developed."""
    from bot.developing import show_queue

    show_queue(repository, as_json=as_json)


@cli.command()
def develop(
    ticket: Annotated[
        str, typer.Argument(metavar="TICKET", help="github:42, or OWNER/NAME#NUMBER of an issue")
    ],
    no_wait: NoWait = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Develop a ticket, and show the run until it ends; Ctrl-C leaves it going."""
    from bot.developing import develop as develop_ticket

    develop_ticket(ticket, wait=not no_wait, here=here, as_json=as_json)


@cli.command("develop-next")
def develop_next(
    repository: Repository, no_wait: NoWait = False, here: Here = False, as_json: Json = False
) -> None:
    """Develop the ticket that is next in a repository's queue, and show the run."""
    from bot.developing import develop_next as develop_next_ticket

    develop_next_ticket(repository, wait=not no_wait, here=here, as_json=as_json)


@cli.command()
def runs(
    repo: Annotated[str | None, typer.Option(metavar="REPO", help="of this one only")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many")] = 20,
    as_json: Json = False,
) -> None:
    """List runs of the agent, newest first."""
    from bot.developing import show_runs

    show_runs(repo, limit, as_json=as_json)


@cli.command()
def stop(run: Annotated[int, typer.Argument(metavar="RUN", min=1, max=2**63 - 1)]) -> None:
    """Stop a run: at once where it waits, else within seconds."""
    from bot.developing import stop as stop_run

    stop_run(run)


@cli.command()
def doctor(as_json: Json = False) -> None:
    """Check everything that a run of the agent needs, and say how to mend what is missing."""
    from bot.doctor import examine

    examine(as_json=as_json)


def main() -> None:
    """Run a command; say what is refused in one sentence, and let bugs show themselves."""
    try:
        cli()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the boundary of this process
        sys.exit(ended(error))


def ended(error: Exception) -> int:
    """Say why a command ended and return its exit code. The tables take too long for `--help`."""
    from models.errors import Refused

    if isinstance(error, Refused):
        typer.echo(str(error), err=True)
        return 1
    import traceback

    from sqlalchemy.exc import OperationalError

    if isinstance(error, OperationalError):
        typer.echo(f"Postgres did not do it: {str(error.orig).strip()}", err=True)
        return 3
    traceback.print_exception(error)
    typer.echo(f"Failed: {error}", err=True)
    return 3


if __name__ == "__main__":
    main()
