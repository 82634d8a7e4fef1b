"""Tickets, runs and what they used, written straight into the store in few words."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from models import Budget, Prompt, PullRequest, Run, RunMessage, RunStep, Ticket, Usage

AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
NUMBERS = count(1)
PLACE = {"organization_id": "github:1", "repository_id": "github:10"}


async def add(engine: AsyncEngine, table: Any, **told: Any) -> int | None:
    """Write one row; return its number where the store gave it one."""
    async with engine.begin() as db:
        return await put(db, table, **told)


async def put(db: AsyncConnection, table: Any, **told: Any) -> int | None:
    """Write one row in a transaction that is open."""
    made = await db.execute(insert(table).values(**told))
    return made.inserted_primary_key[0] if table in (Run, Prompt, Usage) else None


async def add_ticket(engine: AsyncEngine, ticket_id: str = "github:42", **told: Any) -> None:
    """Write a ticket of acme/api, behind those that are there."""
    number = next(NUMBERS)
    row = {
        **PLACE,
        "number": number,
        "title": f"Ticket {number}",
        "body": "It is broken.",
        "url": f"https://github.com/acme/api/issues/{number}",
        "type": "bug",
        "priority": "medium",
        "position": float(number),
        "source": "label",
        "requested_by_login": "ada",
        "requested_at": AT,
        **told,
    }
    await add(engine, Ticket, id=ticket_id, **row)


async def add_run(engine: AsyncEngine, ticket_id: str = "github:42", **told: Any) -> int:
    """Write a run of a ticket of acme/api; return its number."""
    row = {**PLACE, "kind": "develop", "state": "queued", "model": "claude-sonnet-5-5", **told}
    made = await add(engine, Run, ticket_id=ticket_id, **row)
    assert made is not None
    return made


async def add_message(engine: AsyncEngine, run_id: int, position: int, said: str) -> None:
    """Write a message of the model."""
    content = [{"type": "text", "text": said}]
    row = {"run_id": run_id, "position": position, "role": "assistant", "content": content}
    await add(engine, RunMessage, **row)


async def add_step(engine: AsyncEngine, run_id: int, name: str, **told: Any) -> None:
    """Write a step of a run."""
    await add(engine, RunStep, run_id=run_id, kind=told.pop("kind", "tool"), name=name, **told)


async def add_usage(engine: AsyncEngine, run_id: int, **told: Any) -> None:
    """Write a call of a model."""
    row = {"ticket_id": "github:42", "scopes": "", "provider": "anthropic", **PLACE}
    row |= {"model": "claude-sonnet-5-5", "reserved_usd": 1, **told}
    await add(engine, Usage, run_id=run_id, **row)


async def add_budget(engine: AsyncEngine, budget_id: str, spent: float, reserved: float) -> None:
    """Write what was spent and is reserved of a budget."""
    await add(engine, Budget, id=budget_id, spent_usd=spent, reserved_usd=reserved)


async def add_pull_request(engine: AsyncEngine, number: int, **told: Any) -> None:
    """Write a pull request of the agent in acme/api."""
    row = {
        **PLACE,
        "id": f"github:pr{number}",
        "changed_at": AT,
        "number": number,
        "title": "Mend it",
        "url": f"https://github.com/acme/api/pull/{number}",
        "state": "open",
        "cohort": "agent",
        "base_ref": "main",
        "head_ref": f"claude/{number}",
        "head_sha": "b" * 40,
        "opened_at": AT,
        **told,
    }
    await add(engine, PullRequest, **row)
