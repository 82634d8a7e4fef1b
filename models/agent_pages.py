"""What the Agent screens ask: queues with who waits, money of a day, a run's steps and calls."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Scope, Window
from models.runs import ENDED

MOST_WAITING = 300

QUEUES = text(f"""
    select t.id, t.repository_id, t.number, t.title, t.url, t.type, t.priority, t.source,
           t.model, t.requested_at, coalesce(t.requested_by_login, u.name, u.email) as requested_by,
           l.id as run_id, l.state as run_state
      from tickets t
      left join users u on u.id = t.requested_by_id
      left join lateral (select id, state from runs
                          where ticket_id = t.id and state not in {ENDED}
                          order by id desc limit 1) l on true
     where t.organization_id = :organization_id and t.status = 'open'
       and (cast(:repository_id as text) is null or t.repository_id = :repository_id)
     order by t.repository_id, t.position, t.created_at, t.id limit :most
""")  # noqa: S608 - constants only
WORKED_ON = text("""
    select distinct repository_id from tickets where organization_id = :organization_id
""")
UNFINISHED = text(f"select id from runs where ticket_id = :ticket and state not in {ENDED}")  # noqa: S608
TAKEN = text("select id, spent_usd, reserved_usd from budgets where id = any(:ids)")
STEPS = text("""
    select id, kind, name, ok, seconds, at,
           case when length(detail) > :characters
                then left(detail, :characters / 2) || E'\n[…]\n' || right(detail, :characters / 2)
                else detail end as detail
      from run_steps where run_id = :run order by id desc limit :most
""")
STATES = text("""
    select name, min(at) as at from run_steps where run_id = :run and kind = 'state' group by name
""")
CALLS = text("select * from usage where run_id = :run order by id desc limit :most")
MESSAGES = text("""
    select position, conversation, role, content, stop_reason, at from run_messages
     where run_id = :run and position > :after order by position limit :most
""")
MERGED = text("""
    select cohort, count(*) as merged,
           percentile_cont(0.5) within group (
               order by extract(epoch from merged_at - opened_at)) as median_seconds
      from pull_requests
     where organization_id = :organization_id
       and (cast(:repository_id as text) is null or repository_id = :repository_id)
       and merged_at >= :since and merged_at < :until and cohort in ('people', 'agent')
     group by cohort
""")


class Taken(NamedTuple):
    """What is gone of a budget, in US dollars: `reserved_usd` is for calls under way."""

    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)


class Merged(NamedTuple):
    """Pull requests that were merged in a window. The median is from opened to merged; None: none.

    They are those of one cohort, whatever became of them in production.
    """

    number: int = 0
    median_seconds: float | None = None


async def queues(
    db: AsyncConnection, organization_id: str, repository_id: str | None
) -> dict[str, list[Mapping[str, Any]]]:
    """Return the open tickets by repository, each queue in the order of development.

    A ticket has `run_id` and `run_state` of its run that waits or is at work, None without one.
    """
    bound = {"organization_id": organization_id, "repository_id": repository_id}
    found = await db.execute(QUEUES, bound | {"most": MOST_WAITING})
    told: dict[str, list[Mapping[str, Any]]] = {}
    for row in found.mappings():
        told.setdefault(row["repository_id"], []).append(dict(row))
    return told


async def worked_on(db: AsyncConnection, organization_id: str) -> set[str]:
    """Return the repositories of an organisation that ever had a ticket."""
    return set((await db.scalars(WORKED_ON, {"organization_id": organization_id})).all())


async def taken(db: AsyncConnection, budget_ids: Sequence[str]) -> Mapping[str, Taken]:
    """Return what is gone of budgets by their ids; those nobody spent of have nothing gone."""
    found = await db.execute(TAKEN, {"ids": list(budget_ids)})
    told = {row.id: Taken(row.spent_usd, row.reserved_usd) for row in found}
    return {each: told.get(each, Taken()) for each in budget_ids}


async def latest_steps(
    db: AsyncConnection, run_id: int, *, most: int, characters: int
) -> list[RowMapping]:
    """Return the latest steps of a run, oldest first; a detail longer than that loses its middle.

    One step more than `most` comes where there are earlier ones.
    """
    bound = {"run": run_id, "most": most + 1, "characters": characters}
    return list((await db.execute(STEPS, bound)).mappings())[::-1]


async def unfinished(db: AsyncConnection, ticket_id: str) -> Sequence[int]:
    """Return the runs of a ticket that wait or are at work."""
    return (await db.scalars(UNFINISHED, {"ticket": ticket_id})).all()


async def states_of(db: AsyncConnection, run_id: int) -> dict[str, Any]:
    """Return when a run first came into each state that it was moved to."""
    return {row.name: row.at for row in await db.execute(STATES, {"run": run_id})}


async def latest_calls(db: AsyncConnection, run_id: int, most: int) -> list[RowMapping]:
    """Return the latest calls of a model in a run, oldest first."""
    found = await db.execute(CALLS, {"run": run_id, "most": most})
    return list(found.mappings())[::-1]


async def messages_after(
    db: AsyncConnection, run_id: int, position: int, most: int
) -> list[RowMapping]:
    """Return what was said in a run behind a position (-1: from the beginning), oldest first."""
    bound = {"run": run_id, "after": position, "most": most}
    return list((await db.execute(MESSAGES, bound)).mappings())


async def merged(db: AsyncConnection, scope: Scope, window: Window) -> Mapping[str, Merged]:
    """Return the pull requests merged in a window by cohort: people's and the agent's."""
    bound = {
        "organization_id": scope.organization_id,
        "repository_id": scope.repository_id,
        "since": window.start,
        "until": window.end,
    }
    told = {
        row.cohort: Merged(row.merged, row.median_seconds)
        for row in await db.execute(MERGED, bound)
    }
    return {cohort: told.get(cohort, Merged()) for cohort in ("people", "agent")}
