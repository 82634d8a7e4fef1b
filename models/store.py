"""The store: the engine, and `remember`, the one way facts are written."""

from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.elements import TextClause
from sqlmodel import SQLModel

from models.columns import Fact

Row = dict[str, Any]


def engine(url: str, *, pool_size: int = 8, name: str = "veelocity") -> AsyncEngine:
    """Open a pool of connections to Postgres; broken ones are noticed before they are used.

    Postgres is told that pages anywhere cost little more than those in a row: what it reads is in
    memory or on a solid-state disk, and its default is of spinning ones. It answers each question
    in one process: whoever asks much asks on several connections at once, and to start helpers for
    questions of milliseconds costs more than they bring.
    """
    return create_async_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=4,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "application_name": name,
            "options": "-c timezone=UTC -c random_page_cost=1.1 "
            "-c max_parallel_workers_per_gather=0",
        },
    )


@cache
def columns(table: type[SQLModel]) -> tuple[str, ...]:
    """Return a table's columns, in their order."""
    return tuple(column.name for column in SQLModel.metadata.tables[str(table.__tablename__)].c)


@cache
def upsert(table: type[Fact]) -> TextClause:
    """Return the statement that writes many rows of a table where they are newer.

    Its only parameter, `rows`, is a JSON array; Postgres reads the types from the table itself.
    """
    names, own = columns(table), table.__tablename__
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    listed = ", ".join(names)
    return text(
        f"insert into {own} ({listed}) "  # noqa: S608 - names come from our own tables
        f"select {listed} from json_populate_recordset(null::{own}, cast(:rows as json)) "
        f"on conflict (id) do update set {sets} "
        f"where ({own}.changed_at, {own}.rank, {own}.digest) "
        "< (excluded.changed_at, excluded.rank, excluded.digest)"
    )


def content(row: Fact) -> Row:
    """Return a row as a dictionary, with the digest of what it says."""
    told = vars(row)
    said = {name: told.get(name) for name in columns(type(row))}
    said["digest"] = 0
    said["digest"] = int.from_bytes(
        blake2b(to_json(said), digest_size=8).digest(), "big", signed=True
    )
    return said


def newest(rows: Iterable[Fact]) -> dict[type[Fact], list[Row]]:
    """Fold rows of one key into the newest, by table; sorted, so that locks never cross."""
    folded: dict[type[Fact], dict[str, Row]] = {}
    for row in rows:
        said, known = content(row), folded.setdefault(type(row), {})
        held = known.get(row.id)
        if held is None or age(held) < age(said):
            known[row.id] = said
    return {
        table: [known[key] for key in sorted(known)]
        for table, known in sorted(folded.items(), key=lambda item: str(item[0].__tablename__))
    }


def age(row: Row) -> tuple[Any, Any, Any]:
    """Return what decides which of two rows of one key wins."""
    return row["changed_at"], row["rank"], row["digest"]


async def remember(db: AsyncConnection, rows: Iterable[Fact]) -> int:
    """Write facts, newest wins; return how many tables' rows were offered.

    The result does not depend on the order or repetition of calls (METRICS.md R9).
    """
    offered = 0
    for table, said in newest(rows).items():
        await db.execute(upsert(table), {"rows": to_json(said).decode()})
        offered += len(said)
    return offered


async def replace(
    db: AsyncConnection, table: type[SQLModel], rows: Sequence[SQLModel], where: str, **bound: Any
) -> None:
    """Put derived rows in the place of those that `where` selects, in one transaction."""
    await db.execute(text(f"delete from {table.__tablename__} where {where}"), bound)  # noqa: S608
    await add(db, table, rows)


def said_by(table: type[SQLModel], row: SQLModel) -> Row:
    """Return a derived row as a dictionary; asking the ORM for each column takes much longer."""
    told = vars(row)
    return {name: told.get(name) for name in columns(table)}


async def add(db: AsyncConnection, table: type[SQLModel], rows: Sequence[SQLModel]) -> None:
    """Write derived rows of which none is there."""
    if not rows:
        return
    own, listed = table.__tablename__, ", ".join(columns(table))
    said = [said_by(table, row) for row in rows]
    await db.execute(
        text(
            f"insert into {own} ({listed}) select {listed} "  # noqa: S608
            f"from json_populate_recordset(null::{own}, cast(:rows as json))"
        ),
        {"rows": to_json(said).decode()},
    )


@cache
def swapping(table: type[SQLModel], where: str) -> TextClause:
    """Return the statement of `swap`."""
    own, names = table.__tablename__, columns(table)
    keys = [column.name for column in SQLModel.metadata.tables[str(own)].primary_key]
    same = " and ".join(f"told.{key} = {own}.{key}" for key in keys)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    listed, own_listed = ", ".join(names), ", ".join(f"{own}.{name}" for name in names)
    excluded = ", ".join(f"excluded.{name}" for name in names)
    return text(
        f"with told as (select {listed} "  # noqa: S608 - names come from our own tables
        f"from json_populate_recordset(null::{own}, cast(:rows as json))), "
        f"gone as (delete from {own} where ({where}) "
        f"and not exists (select from told where {same}) returning *), "
        f"kept as (insert into {own} ({listed}) select {listed} from told "
        f"on conflict ({', '.join(keys)}) do update set {sets} "
        f"where ({own_listed}) is distinct from ({excluded})) "
        f"select {', '.join(keys)} from gone"
    )


async def swap(
    db: AsyncConnection, table: type[SQLModel], rows: Sequence[SQLModel], where: str, **bound: Any
) -> Sequence[Any]:
    """Do as `replace` does in one statement that writes only what differs.

    Returns the keys of the rows that are gone.
    """
    said = [said_by(table, row) for row in rows]
    bound["rows"] = to_json(said).decode()
    return (await db.execute(swapping(table, where), bound)).all()
