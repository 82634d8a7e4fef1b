"""An export is everything of one organisation and nothing of another's, and holds no secret."""

import json
import re
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

import models
from models.errors import Refused
from models.exporting import (
    EXPORTED,
    LEFT_OUT,
    NEVER,
    exported,
    exported_columns,
    organization_to_export,
)
from models.store import remember

pytestmark = pytest.mark.store

AT = datetime(2026, 9, 30, 12, tzinfo=UTC)
HEAD = {"version": "1", "exported_at": AT}
SUSPICIOUS = re.compile(r"hash|secret|token|cipher|password|credential|headers|body|key$")
HARMLESS = {
    ("incident_updates", "body"),
    ("post_mortems", "body"),
    ("prompts", "body"),
    ("tickets", "body"),
    ("incidents", "key"),
    ("linear_teams", "key"),
    ("notices", "channel_key"),
    ("slack_channel_states", "channel_key"),
    ("slack_messages", "channel_key"),
    ("subscriptions", "channel_key"),
    ("runs", "input_tokens"),
    ("runs", "output_tokens"),
    ("runs", "cache_read_tokens"),
    ("runs", "cache_write_tokens"),
    ("usage", "input_tokens"),
    ("usage", "output_tokens"),
    ("usage", "cache_read_tokens"),
    ("usage", "cache_write_tokens"),
}


async def lines_of(
    engine: AsyncEngine, organization: tuple[str, str] = ("github:1", "acme"), **more: Any
) -> list[dict[str, Any]]:
    async with engine.connect() as db:
        told = exported(db, organization, HEAD, bodies=more.get("bodies", False))
        return [json.loads(line) async for _, line in told]


def test_every_table_is_exported_or_left_out_for_a_reason() -> None:
    tables = set(SQLModel.metadata.tables)
    assert tables == set(EXPORTED) | set(LEFT_OUT)
    assert not set(EXPORTED) & set(LEFT_OUT)
    assert all(LEFT_OUT.values())
    for table, columns in NEVER.items():
        assert set(columns) <= set(SQLModel.metadata.tables[table].columns.keys())


def test_a_column_that_sounds_like_a_secret_is_left_out_or_known_to_be_none() -> None:
    found = {
        (table, column)
        for table in EXPORTED
        for column in exported_columns(table)
        if SUSPICIOUS.search(column)
    }
    assert found == HARMLESS


def value_of(column: Any, mark: str) -> Any:
    """Return a value for a column: a mark that can be found again, wherever it can be one."""
    kind = column.type
    if isinstance(kind, JSONB):
        return json.dumps({"mark": mark})
    if isinstance(kind, ARRAY):
        return [mark]
    if isinstance(kind, LargeBinary):
        return zlib.compress(json.dumps({"said": mark}).encode())
    plain = kind.python_type
    if plain is str:
        return mark
    return {bool: True, datetime: AT}.get(plain, 7)


async def plant(engine: AsyncEngine, table: str, number: int, **told: Any) -> None:
    """Write one row of a table, each column marked with its name."""
    columns = SQLModel.metadata.tables[table].columns
    row = {each.name: value_of(each, f"{table}.{each.name}.{number}") for each in columns}
    row |= {name: value for name, value in told.items() if name in row}
    row |= {name: number for name in ("id", "account_id") if row.get(name) == 7}
    listed, bound = ", ".join(row), ", ".join(f":{name}" for name in row)
    async with engine.begin() as db:
        await db.execute(text(f"insert into {table} ({listed}) values ({bound})"), row)  # noqa: S608


async def plant_everything(engine: AsyncEngine, organization_id: str, number: int) -> None:
    """Write a row of every table for an organisation."""
    shared = {
        "organization_id": organization_id,
        "run_id": number,
        "user_id": f"users.id.{number}",
        "incident_id": f"incidents.id.{number}",
        "external_id": f"T{number}",
        "team_id": f"T{number}",
        "source": "slack",
        "login": f"org{number}",
    }
    for table in SQLModel.metadata.tables:
        own = dict(shared)
        if table == "organizations":
            own["id"] = organization_id
        if table == "budgets":
            own["id"] = f"organization:{organization_id}:2026-09-30"
        await plant(engine, table, number, **own)


async def test_every_table_tells_its_rows_and_no_row_of_another_organisation(
    engine: AsyncEngine,
) -> None:
    await plant_everything(engine, "github:1", 1)
    await plant_everything(engine, "github:2", 2)
    head, *rows = await lines_of(engine, ("github:1", "org1"), bodies=True)
    assert head["organization"] == {"id": "github:1", "login": "org1"}
    assert [row["table"] for row in rows] == sorted(EXPORTED)
    told = json.dumps(rows)
    assert not re.findall(r"\w+\.\w+\.2\b", told)
    assert "github:2" not in told
    assert not [table for table in LEFT_OUT if f'"{table}.' in told]
    for table, columns in NEVER.items():
        for column in set(columns) - {"body"}:
            assert f"{table}.{column}." not in told
            row = next(each["row"] for each in rows if each["table"] == table)
            assert column not in row


async def test_budgets_of_tickets_and_repositories_are_told_too(engine: AsyncEngine) -> None:
    for number, organization_id in ((1, "github:1"), (2, "github:2")):
        shared = {"organization_id": organization_id}
        await plant(engine, "tickets", number, id=f"github:{number}", **shared)
        await plant(engine, "repositories", number, id=f"github:7{number}", **shared)
        await plant(engine, "budgets", number, id=f"ticket:github:{number}")
        await plant(engine, "budgets", number, id=f"repository:github:7{number}:2026-09-30")
    rows = [line["row"]["id"] for line in await lines_of(engine) if line.get("table") == "budgets"]
    assert rows == ["repository:github:71:2026-09-30", "ticket:github:1"]


async def test_bodies_are_told_only_where_they_are_asked_for(engine: AsyncEngine) -> None:
    said = b'{"a":\n [1, "\xc3\xa9"]}', b"not=json&at=all", b"\xff\xfe"
    for number, body in enumerate(said, 1):
        shared = {"organization_id": "github:1", "body": zlib.compress(body)}
        await plant(engine, "deliveries", number, **shared)
    without = await lines_of(engine)
    assert all("body" not in line.get("row", {}) for line in without)
    told = [line["row"]["body"] for line in await lines_of(engine, bodies=True) if "row" in line]
    assert told == [{"a": [1, "é"]}, "not=json&at=all", "\ufffd\ufffd"]


async def test_many_rows_come_in_order_and_twice_the_same(engine: AsyncEngine) -> None:
    rows = [
        models.Commit(
            id=f"github:c{number:05}",
            organization_id="github:1",
            repository_id="github:7",
            sha=f"{number:040x}",
            authored_at=AT,
            headline="One",
            changed_at=AT,
        )
        for number in range(1203)
    ]
    async with engine.begin() as db:
        await remember(db, reversed(rows))
    first, again = await lines_of(engine), await lines_of(engine)
    assert first == again
    assert [line["row"]["id"] for line in first[1:]] == [row.id for row in rows]
    assert first[1]["row"]["changed_at"] == "2026-09-30T12:00:00+00:00"
    assert "digest" not in first[1]["row"]


async def test_an_organisation_named_before_github_told_of_it_is_the_same_one(
    engine: AsyncEngine,
) -> None:
    await plant(engine, "organizations", 1, id="login:acme", login="Acme")
    await plant(engine, "organizations", 2, id="github:1", login="acme")
    await plant(engine, "memberships", 1, organization_id="login:acme")
    async with engine.connect() as db:
        assert await organization_to_export(db, "ACME") == ("github:1", "acme")
        assert await organization_to_export(db, None) == ("github:1", "acme")
    tables = [line.get("table") for line in await lines_of(engine)]
    assert tables == [None, "memberships", "organizations", "organizations"]


async def test_which_organisation_must_be_clear(engine: AsyncEngine) -> None:
    async with engine.connect() as db:
        with pytest.raises(Refused, match="There is no organisation yet"):
            await organization_to_export(db, None)
    for number, login in enumerate(("acme", "globex"), 1):
        await plant(engine, "organizations", number, id=f"github:{number}", login=login)
    async with engine.connect() as db:
        assert await organization_to_export(db, "github:2") == ("github:2", "globex")
        with pytest.raises(Refused, match=re.escape("Say which organisation: acme, globex.")):
            await organization_to_export(db, None)
        with pytest.raises(Refused, match="No organisation is called 'initech'"):
            await organization_to_export(db, "initech")
