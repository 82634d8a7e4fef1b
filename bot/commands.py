"""What the short commands do; each opens the store, does one thing and lets go."""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.local import stores
from bot.opening import check_store, surrounded, with_store
from bot.settings import Settings, load
from bot.web.words import NOTHING, decided, duration, share
from models.errors import Refused

Row = dict[str, Any]

MARKS = {"received": "…", "settled": "●", "ignored": "○", "failed": "▲", "parked": "■"}
SHOWN_REPLAYED = 25
HEAD = ("start_date", "end_date", "time_zone", "scope")

NOWHERE = "They belong to no organisation yet and will see none: add --organization LOGIN."
NEW_HERE = "{login} has not installed the GitHub App yet; its members see it once it has."

LISTED = """
    select d.id, d.source, d.delivery_id, d.event, d.action, o.login as organization, d.status,
           d.received_at, d.via, d.sent_at, d.settled_at, d.attempts, d.error, d.decisions
      from deliveries d left join organizations o on o.id = d.organization_id
     where {where}
     order by d.received_at desc, d.id desc limit :most
"""
NEWEST = text(LISTED.format(where=":any or d.status = any(:statuses)"))
THESE = text(LISTED.format(where="d.id = any(:ids)"))
SCOPES = text("""
    select r.organization_id, r.id as repository_id, r.full_name as name
      from repositories r where lower(r.full_name) = lower(:name) or r.id = :name
    union all
    select o.id, null, o.login from organizations o
     where lower(o.login) = lower(:name) or o.id = :name
""")


def migrate_store(*, sql: bool) -> None:
    """Bring the schema up to date, or print what would."""
    from bot.schema import migrate, newest_revision, print_sql

    if sql:
        print_sql()
        return
    settings = load()
    check_store(settings)
    with stores(settings) as (url, _):
        migrate(url)
    where = f"in {settings.veelocity_home}"
    if settings.database_url:
        where = f"at {make_url(url).render_as_string(hide_password=True)}"
    typer.echo(f"The schema {where} is up to date: revision {newest_revision()}.")


def make_user(
    email: str, *, admin: bool, organization: str | None, role: str, password: str | None
) -> None:
    """Make an account; without a password print a link that signs in once."""
    from bot.web.accounts import create_user, memberships
    from bot.web.sessions import sign_in_link

    async def make(store: AsyncEngine, settings: Settings) -> Iterator[str]:
        async with store.begin() as db:
            user = await create_user(
                db, email, password=password, admin=admin, organization=organization, role=role
            )
            theirs = await memberships(db, user.id)
            token = await sign_in_link(db, user) if password is None else None
        return said_of_user(user, theirs, settings.public_url, token)

    for line in with_store(make):
        typer.echo(line)


def said_of_user(
    user: Any, theirs: Sequence[Any], address: str, token: str | None
) -> Iterator[str]:
    """Say who may sign in how, and what they will see."""
    yield f"{user.email} can sign in " + (
        f"once: {address}/sign-in/{token}" if token else f"with the password: {address}/sign-in"
    )
    if user.operator:
        yield "Operator of this Veelocity: sees every delivery and may open /setup."
    for place in theirs:
        yield f"{place.role.capitalize()} of {place.login}."
        if not place.organization_id.startswith("github:"):
            yield NEW_HERE.format(login=place.login)
    if not theirs:
        yield NOWHERE


def list_deliveries(*, status: str | None, failed: bool, limit: int, as_json: bool) -> None:
    """Print the inbox, newest first."""
    if status is not None and status not in MARKS:
        raise typer.BadParameter(f"--status is one of {', '.join(MARKS)}")
    if status and failed:
        raise typer.BadParameter("say one: --status or --failed")
    statuses = ["failed", "parked"] if failed else [status] if status else []
    bound = {"any": not statuses, "statuses": statuses, "most": limit or None}

    async def ask(store: AsyncEngine, _: Settings) -> list[Row]:
        async with store.connect() as db:
            return [dict(row) for row in (await db.execute(NEWEST, bound)).mappings()]

    rows = with_store(ask)
    if as_json:
        sys.stdout.write(to_json(rows, indent=2).decode() + "\n")
        return
    if not rows:
        typer.echo(f"No delivery is {' or '.join(statuses)}." if statuses else "None has come yet.")
        raise typer.Exit(1)
    print_inbox(rows)


def print_inbox(rows: Sequence[Row]) -> None:
    """Print deliveries, two lines each, cut to the width of a terminal but whole into a pipe."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in inbox_lines(rows):
        typer.echo(f"{line[: width - 1]}…" if width and len(line) > width else line)


def inbox_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield deliveries as lines: when it came, its status, event and organisation; what followed.

    Times are UTC. What did not come by webhook says how it came.
    """
    numbers = max(len(str(row["id"])) for row in rows)
    events = max(len(called(row)) for row in rows)
    columns = f"{'id':>{numbers}}  {'received (UTC)':19}  {'status':10}  {'event':{events}}"
    yield f"{columns}  organisation"
    for row in rows:
        received = row["received_at"].astimezone(UTC)
        status = f"{MARKS[row['status']]} {row['status']}"
        yield (
            f"{row['id']:>{numbers}}  {received:%Y-%m-%d %H:%M:%S}  {status:10}"
            f"  {called(row):{events}}  {row['organization'] or '–'}{otherwise(row)}"
        )
        if says := row["error"] or "; ".join(decided(row["decisions"])):
            yield f"{'':>{numbers}}  {' '.join(says.split())}"


def otherwise(row: Row) -> str:
    """Say how a delivery came that did not come by webhook."""
    return "" if row["via"] == "webhook" else f" ({row['via']})"


def called(row: Row) -> str:
    """Return the event with its action."""
    return f"{row['event']}.{row['action']}" if row["action"] else str(row["event"])


def replay_deliveries(
    ids: Sequence[str], file: Path | None, since: datetime | None, organization: str | None
) -> None:
    """Decide deliveries again here and now, and say what became of them."""
    from bot.replaying import Replayed, again, from_file

    if sum(map(bool, (ids, file, since))) != 1:
        raise typer.BadParameter("say which: ids, --since TIME, or --file PATH")
    if organization and not file:
        raise typer.BadParameter("--organization goes with --file")

    async def do(store: AsyncEngine, settings: Settings) -> tuple[Replayed, list[Row]]:
        quietly = not sys.stderr.isatty()
        shown = Progress(console=Console(stderr=True), transient=True, disable=quietly)
        async with surrounded(store, settings) as surroundings:
            with shown:
                bar = shown.add_task("Deciding", total=None)

                def progress(done: int, total: int) -> None:
                    shown.update(bar, completed=done, total=total)

                if file:
                    replayed = await from_file(surroundings, file, organization, progress)
                else:
                    replayed = await again(surroundings, ids, since, progress)
        async with store.connect() as db:
            bound = {"ids": list(replayed.ids), "most": SHOWN_REPLAYED}
            return replayed, [dict(row) for row in (await db.execute(THESE, bound)).mappings()]

    replayed, rows = with_store(do)
    if not replayed.ids:
        typer.echo("There was nothing to replay.")
        raise typer.Exit(1)
    total = len(replayed.ids)
    if total <= SHOWN_REPLAYED:
        print_inbox(rows)
    counts = (f"{many} {status}" for status, many in sorted(replayed.statuses.items()))
    typer.echo(f"{total} decided: {', '.join(counts)}.")
    if replayed.repeated:
        typer.echo(f"{replayed.repeated} had been delivered before and were decided again.")
    if file and total > SHOWN_REPLAYED:
        typer.echo(f"What each decided: python -m bot deliveries --limit {total}, or /deliveries.")


def print_metrics(
    name: str, days: int, between: tuple[datetime | None, datetime | None], *, as_json: bool
) -> None:
    """Print the DORA metrics of a repository or an organisation."""
    from models.metrics.core import Scope, Window, measured_in
    from models.metrics.dora import dora

    async def ask(store: AsyncEngine, _: Settings) -> Any:
        async with store.connect() as db:
            organization_id, repository_id = await scope_called(db, name)
            time_zone, edition = await measured_in(db, organization_id)
            now = datetime.now(UTC)
            today = Window.last(1, now, time_zone).end_date
            window = Window(*dates(between, days, today), time_zone)
            scope = Scope(organization_id, repository_id=repository_id)
            return await dora(db, scope, window, now, edition)

    body = with_store(ask)
    if as_json:
        sys.stdout.write(json.dumps(body, indent=2, default=str) + "\n")
        return
    Console().print(metrics_table(body))


async def scope_called(db: AsyncConnection, name: str) -> tuple[str, str | None]:
    """Return the organisation and repository of a name; raise Refused for an unknown one."""
    row = (await db.execute(SCOPES, {"name": name})).first()
    if row is None:
        raise Refused(f"No repository or organisation is called {name!r}.")
    return row.organization_id, row.repository_id


def dates(
    between: tuple[datetime | None, datetime | None], days: int, today: date
) -> tuple[date, date]:
    """Return the first and last day that were asked for."""
    end = between[1].date() if between[1] else today
    start = between[0].date() if between[0] else end - timedelta(days=days - 1)
    if start > end:
        raise typer.BadParameter("--start is after --end")
    return start, end


def metrics_table(body: Any) -> Table:
    """Return the metrics as a table for a terminal."""
    table = Table(
        "metric", "value", "level", "n", box=None, title=title(body), title_justify="left"
    )
    for metric, part in body.items():
        if metric not in HEAD:
            level = part.get("level") or part.get("level_place") or NOTHING
            table.add_row(metric.replace("_", " "), figure(part), level, str(part["count"]))
    return table


def figure(part: Any) -> str:
    """Say a metric's number and what is still open, or why there is none."""
    if part.get("per_day") is not None:
        return f"{part['per_day']:.2f} a day"
    if part.get("rate") is not None:
        some = part["failed"] if "failed" in part else part["reworked"]
        return f"{share(part['rate'])}: {some} of {part['count']}"
    if part.get("median_seconds") is None:
        return f"{NOTHING} {part['reason']}"
    still_open = f", {part['open']} still open" if part.get("open") else ""
    mean = f", {duration(part['mean_seconds'])} mean" if "by_severity" in part else ""
    return f"{duration(part['median_seconds'])} median{mean}{still_open}"


def title(body: Any) -> str:
    """Say what is measured, and when."""
    scope = body["scope"]
    what = scope.get("repository") or scope["organization"]
    return f"{what}, {body['start_date']} to {body['end_date']} ({body['time_zone']})"
