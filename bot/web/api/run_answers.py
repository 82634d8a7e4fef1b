"""What is said of runs, over the API and by the command line, and the questions behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.runs import RunState, steps


class RunSummary(BaseModel):
    """One attempt of the agent at a ticket. Money is in US dollars, durations are in seconds.

    `kind`: develop, plan, review or checks. `prompt_name` is where the template came from and
    `prompt_version` its number where it is the organisation's. `cache_hit_rate` is the share of
    the input that the provider's cache gave, 0 to 1; None before the first call. `elapsed_seconds`:
    since it was taken up, None before.
    """

    id: int
    ticket_id: str
    number: int
    title: str
    repository_id: str
    repository: str | None
    kind: str
    state: RunState
    state_at: datetime
    requested_by: str | None
    provider: str | None
    model: str | None
    prompt_name: str | None
    prompt_version: int | None
    budget_usd: float | None
    cost_usd: float
    turns: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_hit_rate: float | None
    verdict: str | None
    limits: list[str]
    error: str | None
    base_sha: str | None
    head_sha: str | None
    branch: str | None
    pull_request_number: int | None
    pull_request_url: str | None
    attempts: int
    stop_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    elapsed_seconds: float | None


class Step(BaseModel):
    """Something that happened in a run: a change of state, a tool call, a test, a note, a limit."""

    kind: str
    name: str
    detail: str | None
    ok: bool | None
    seconds: float | None
    at: datetime


class CallUsage(BaseModel):
    """One call of a model. `cost_usd` is None while it is under way.

    `assumed`: its worker died in it, so that what was reserved counts as its cost.
    """

    provider: str
    model: str
    reserved_usd: float
    cost_usd: float | None
    assumed: bool
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    seconds: float | None
    error: str | None
    called_at: datetime


class Run(RunSummary):
    """All of a run but what was said in it.

    `request`: what was asked beyond the ticket. `plan`: the plan that people approve. `outcome`:
    how the conversation ended. `evidence`: tests on base and result. `checklist`: what the model
    reported. `changes`: the files of the diff. `usage`: its calls of the model, oldest first.
    """

    request: str | None
    plan: str | None
    summary: str | None
    instructions_commit: str | None
    instructions_sha: str | None
    outcome: dict[str, Any]
    evidence: dict[str, Any]
    checklist: list[dict[str, Any]]
    changes: dict[str, Any]
    steps: list[Step]
    usage: list[CallUsage]


RUNS = """
    select x.*, t.number, t.title, r.full_name as repository, pr.version as prompt_version,
           p.url as pull_request_url,
           coalesce(x.requested_by_login, u.name, u.email) as requested_by,
           cast(x.cache_read_tokens as double precision)
               / nullif(x.input_tokens + x.cache_read_tokens + x.cache_write_tokens, 0)
               as cache_hit_rate,
           cast(extract(epoch from coalesce(x.finished_at, now()) - x.started_at)
               as double precision) as elapsed_seconds
      from runs x
      join tickets t on t.id = x.ticket_id
      left join repositories r on r.id = x.repository_id
      left join users u on u.id = x.requested_by_id
      left join prompts pr on pr.id = x.prompt_id
      left join lateral (select url from pull_requests
                          where repository_id = x.repository_id
                            and number = x.pull_request_number
                          order by changed_at desc limit 1) p on true
     where {where} order by x.id desc limit :limit
"""
USAGE = text("select * from usage where run_id = :id order by id")


async def told_of_runs(
    db: AsyncConnection, where: str, limit: int, **bound: Any
) -> list[Mapping[str, Any]]:
    """Return runs, newest first. `where` is a constant over `x` (the run) and `t` (its ticket)."""
    found = await db.execute(text(RUNS.format(where=where)), bound | {"limit": limit})
    return [dict(row) for row in found.mappings()]


async def told_of_run(db: AsyncConnection, run_id: int, organization_id: str) -> Run | None:
    """Return all that is said of a run; None where the organisation has no such one."""
    where = "x.id = :id and x.organization_id = :organization_id"
    found = await told_of_runs(db, where, 1, id=run_id, organization_id=organization_id)
    if not found:
        return None
    usage = (await db.execute(USAGE, {"id": run_id})).mappings().all()
    return Run(
        **found[0],
        steps=[Step(**step) for step in await steps(db, run_id)],
        usage=[CallUsage(**call) for call in usage],
    )
