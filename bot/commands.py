"""What the short commands do; each opens the store, does one thing and lets go."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.local import kept_secret, stores
from bot.settings import Settings, load
from models.errors import Refused
from models.store import engine

T = TypeVar("T")

MARKS = {"settled": "●", "ignored": "○", "received": "…", "failed": "▲", "parked": "■"}

LISTED = text("""
    select d.id, d.source, d.delivery_id, d.event, d.action, o.login as organization, d.status,
           d.received_at, d.settled_at, d.attempts, d.error, d.decisions
      from deliveries d left join organizations o on o.id = d.organization_id
     where (:any or d.status = any(:statuses))
     order by d.received_at desc, d.id desc limit :most
""")
SCOPES = text("""
    select r.organization_id, r.id as repository_id, r.full_name as name
      from repositories r where lower(r.full_name) = lower(:name) or r.id = :name
    union all
    select o.id, null, o.login from organizations o
     where lower(o.login) = lower(:name) or o.id = :name
""")


def with_store(do: Callable[[AsyncEngine, Settings], Awaitable[T]]) -> T:
    """Run something with the store open: the one that is set, else the embedded one."""
    settings = load()
    if not settings.database_url and not settings.veelocity_home.is_dir():
        raise Refused(
            f"DATABASE_URL is not set, and there is no {settings.veelocity_home} of `make dev`."
        )
    with stores(settings) as (url, _):

        async def opened() -> T:
            async with opened_store(url) as store:
                return await do(store, settings)

        return asyncio.run(opened())


@asynccontextmanager
async def opened_store(url: str) -> AsyncIterator[AsyncEngine]:
    """Open an engine for one command."""
    store = engine(url, pool_size=2, name="command")
    try:
        yield store
    finally:
        await store.dispose()


def migrate_store(*, sql: bool) -> None:
    """Bring the schema up to date, or print what would."""
    from bot.schema import migrate, print_sql

    if sql:
        print_sql()
        return
    with stores(load()) as (url, _):
        migrate(url)
    typer.echo("The schema is up to date.")


def make_user(
    email: str, *, admin: bool, organization: str | None, role: str, password: str | None
) -> None:
    """Make an account; without a password print a link that signs in once."""
    from bot.web.accounts import create_user
    from bot.web.sessions import sign_in_link

    async def make(store: AsyncEngine, settings: Settings) -> str:
        async with store.begin() as db:
            user = await create_user(
                db, email, password=password, admin=admin, organization=organization, role=role
            )
            if password is not None:
                return f"{user.email} can sign in at {settings.public_url}/sign-in"
            token = await sign_in_link(db, user)
            return f"{user.email} can sign in once: {settings.public_url}/sign-in/{token}"

    typer.echo(with_store(make))


def list_deliveries(*, status: str | None, failed: bool, limit: int, as_json: bool) -> None:
    """Print the inbox, newest first."""
    if status is not None and status not in MARKS:
        raise typer.BadParameter(f"--status is one of {', '.join(MARKS)}")
    statuses = ["failed", "parked"] if failed else [status] if status else []

    async def ask(store: AsyncEngine, _: Settings) -> list[dict[str, Any]]:
        bound = {"any": not statuses, "statuses": statuses, "most": limit or None}
        async with store.connect() as db:
            return [dict(row) for row in (await db.execute(LISTED, bound)).mappings()]

    rows = with_store(ask)
    if as_json:
        sys.stdout.write(to_json(rows, indent=2).decode() + "\n")
        return
    if not rows:
        typer.echo("No delivery has come yet." if not statuses else "No such delivery.")
        raise typer.Exit(1)
    Console().print(inbox_table(rows))


def inbox_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return deliveries as a table for a terminal."""
    table = Table("id", "received", "event", "organisation", "status", "decided", box=None)
    for row in rows:
        event = f"{row['event']}.{row['action']}" if row["action"] else row["event"]
        table.add_row(
            str(row["id"]),
            f"{row['received_at']:%Y-%m-%d %H:%M:%S}",
            event,
            row["organization"] or "–",
            f"{MARKS[row['status']]} {row['status']}",
            row["error"] or "; ".join(in_words(decision) for decision in row["decisions"]) or "–",
        )
    return table


def in_words(decision: dict[str, Any]) -> str:
    """Return one decision as people read it."""
    if "note" in decision:
        return str(decision["note"])
    if "job" in decision:
        return f"queue {decision['job']}"
    return f"remember {decision['remember']} {decision['id']}"


def replay_deliveries(
    ids: Sequence[str], file: Path | None, since: datetime | None, organization: str | None
) -> None:
    """Decide deliveries again here and now, and say what became of them."""
    from bot.replaying import again, from_file

    if sum(map(bool, (ids, file, since))) != 1:
        raise typer.BadParameter("say which: ids, --since TIME, or --file PATH")
    if organization and not file:
        raise typer.BadParameter("--organization goes with --file")

    async def do(store: AsyncEngine, settings: Settings) -> dict[str, int]:
        keys = kept_secret(settings.veelocity_home / "secret_key", settings.secret_key)
        told = settings.model_copy(update={"secret_key": keys})
        if file:
            return await from_file(store, told, file, organization)
        return await again(store, told, ids, since)

    counts = with_store(do)
    if not counts:
        typer.echo("There was nothing to replay.")
        raise typer.Exit(1)
    typer.echo(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    typer.echo("What each decided: python -m bot deliveries --limit 0")


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
    from bot.web.words import duration

    frequency, lead = body["deployment_frequency"], body["change_lead_time"]
    table = Table(
        "metric", "value", "level", "n", box=None, title=title(body), title_justify="left"
    )
    per_day = frequency["per_day"]
    table.add_row(
        "deployment frequency",
        f"{per_day:.2f} a day" if per_day is not None else f"– {frequency.get('reason') or ''}",
        frequency["level"] or "–",
        str(frequency["count"]),
    )
    median = lead["median_seconds"]
    table.add_row(
        "change lead time",
        f"{duration(median)} median" if median is not None else f"– {lead.get('reason') or ''}",
        lead["level"] or "–",
        str(lead["count"]),
    )
    return table


def title(body: Any) -> str:
    """Say what is measured, and when."""
    scope = body["scope"]
    what = scope.get("repository") or scope["organization"]
    return f"{what}, {body['start_date']} to {body['end_date']} ({body['time_zone']})"
