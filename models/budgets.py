"""Money: what may be spent, what is reserved for calls under way, and what each call cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Double, Index, Numeric
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel

from models.columns import maybe_text, maybe_time, now, number
from models.columns import text as words


class Budget(SQLModel, table=True):
    """What was spent and what is reserved of one budget.

    The id says whose: `ticket:github:42`, `repository:github:7:2026-09-01` or
    `organization:github:9:2026-09-01` (the day in UTC). The limit is not kept here: it is given
    with each reservation, so that a changed setting holds from the next call on.
    """

    __tablename__ = "budgets"

    id: str = words(primary_key=True)
    spent_usd: Decimal = Field(
        default=Decimal(0), sa_type=Numeric(12, 6), sa_column_kwargs={"server_default": "0"}
    )
    reserved_usd: Decimal = Field(
        default=Decimal(0), sa_type=Numeric(12, 6), sa_column_kwargs={"server_default": "0"}
    )
    updated_at: datetime | None = now()


class Usage(SQLModel, table=True):
    """One call of a model: what was reserved for it, what it used and what it cost.

    `cost_usd` is None while the call is under way. A call whose worker died in it counts as what
    was reserved for it (`assumed`), since nobody knows better. `scopes` are the ids of the budgets
    it was reserved in.
    """

    __tablename__ = "usage"
    __table_args__ = (
        Index("usage_run", "run_id", "id"),
        Index("usage_called", "organization_id", "called_at"),
    )

    id: int | None = number(default=None, primary_key=True)
    run_id: int = number()
    ticket_id: str = words()
    repository_id: str = words()
    organization_id: str = words()
    scopes: str = words()
    provider: str = words()
    model: str = words()
    reserved_usd: Decimal = Field(sa_type=Numeric(12, 6))
    cost_usd: Decimal | None = Field(default=None, sa_type=Numeric(12, 6))
    assumed: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    input_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    output_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    cache_read_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    cache_write_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    seconds: float | None = Field(default=None, sa_type=Double)
    error: str | None = maybe_text()
    called_at: datetime | None = now()
    answered_at: datetime | None = maybe_time()


@dataclass(frozen=True)
class Limit:
    """One budget a call must fit into: its id, what it is called to people, its limit in USD."""

    id: str
    name: str
    usd: Decimal


def limits_of(
    run: "Spender",
    day: date,
    ticket_usd: Decimal,
    repository_usd: Decimal,
    organization_usd: Decimal,
) -> tuple[Limit, Limit, Limit]:
    """Return the three budgets that a call of a run must fit into."""
    return (
        Limit(f"ticket:{run.ticket_id}", "the ticket", ticket_usd),
        Limit(f"repository:{run.repository_id}:{day}", "the repository's day", repository_usd),
        Limit(
            f"organization:{run.organization_id}:{day}", "the organisation's day", organization_usd
        ),
    )


@dataclass(frozen=True)
class Spender:
    """Whose call it is."""

    run_id: int
    ticket_id: str
    repository_id: str
    organization_id: str


@dataclass(frozen=True)
class Spent:
    """What a call used: tokens by kind, and its price."""

    cost_usd: Decimal
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Reserved:
    """What came of a reservation.

    `usage_id` is the call's row; None where it does not fit: then `short` is the budget that has
    the least left, and `left_usd` what that is (0 where it is overdrawn).
    """

    usage_id: int | None
    short: Limit | None = None
    left_usd: Decimal = Decimal(0)


OPEN = sql("""
    insert into budgets (id) select each from unnest(cast(:ids as text[])) each order by each
        on conflict (id) do nothing
""")
RESERVE = sql("""
    with asked as materialized (
        select * from unnest(cast(:ids as text[]), cast(:limits as numeric[])) as each(id, most)),
    held as materialized (
        select id, spent_usd + reserved_usd as taken from budgets
         where id = any(cast(:ids as text[])) order by id for update),
    short as materialized (
        select asked.id, asked.most - held.taken as room from asked left join held using (id)
         where (held.taken + :usd <= asked.most) is not true),
    taken as (
        update budgets set reserved_usd = reserved_usd + :usd, updated_at = now()
          from held where budgets.id = held.id and not exists (select from short)),
    called as (
        insert into usage (run_id, ticket_id, repository_id, organization_id, scopes, provider,
               model, reserved_usd)
        select :run_id, :ticket_id, :repository_id, :organization_id,
               array_to_string(cast(:ids as text[]), ' '), :provider, :model, :usd
         where not exists (select from short)
        returning id)
    select called.id as usage_id, short.id as short, short.room,
           (select count(*) from asked) > (select count(*) from held) as missing
      from (select 1) one left join called on true left join short on true
     order by short.room limit 1
""")
SETTLE = sql("""
    with before as materialized (
        select id, run_id, string_to_array(scopes, ' ') as scopes, assumed,
               case when cost_usd is null then reserved_usd else 0 end as reserved,
               coalesce(cost_usd, 0) as paid
          from usage where id = :id and (cost_usd is null or assumed) for update),
    called as (
        update usage set cost_usd = :cost_usd, assumed = false, input_tokens = :input_tokens,
               output_tokens = :output_tokens, cache_read_tokens = :cache_read_tokens,
               cache_write_tokens = :cache_write_tokens, seconds = :seconds, error = :error,
               answered_at = now()
          from before where usage.id = before.id),
    held as materialized (
        select budgets.id, before.reserved, before.paid from budgets, before
         where budgets.id = any(before.scopes) order by budgets.id for update of budgets),
    moved as (
        update budgets set reserved_usd = reserved_usd - held.reserved,
               spent_usd = spent_usd - held.paid + :cost_usd, updated_at = now()
          from held where budgets.id = held.id)
    update runs set cost_usd = runs.cost_usd - before.paid + :cost_usd,
           turns = turns + case when cast(:error as text) is null then 1 else 0 end,
           input_tokens = input_tokens + :input_tokens,
           output_tokens = output_tokens + :output_tokens,
           cache_read_tokens = cache_read_tokens + :cache_read_tokens,
           cache_write_tokens = cache_write_tokens + :cache_write_tokens
      from before where runs.id = before.run_id
""")
ASSUME = sql("""
    with called as (
        update usage set cost_usd = reserved_usd, assumed = true, answered_at = now(),
               error = :error
         where run_id = :run_id and cost_usd is null
        returning string_to_array(scopes, ' ') as scopes, reserved_usd),
    owed as materialized (
        select scope, sum(reserved_usd) as usd from called, unnest(scopes) as scope
         group by scope),
    held as materialized (
        select budgets.id, owed.usd from budgets join owed on owed.scope = budgets.id
         order by budgets.id for update of budgets),
    moved as (
        update budgets set reserved_usd = reserved_usd - held.usd,
               spent_usd = spent_usd + held.usd, updated_at = now()
          from held where budgets.id = held.id)
    update runs set cost_usd = cost_usd + total.usd
      from (select count(*) as calls, sum(reserved_usd) as usd from called) as total
     where runs.id = :run_id and total.calls > 0
    returning total.calls
""")
NOT_ANSWERED = "its worker ended before it was answered"


async def reserve(
    db: AsyncConnection,
    spender: Spender,
    limits: Sequence[Limit],
    usd: Decimal,
    provider: str,
    model: str,
) -> Reserved:
    """Reserve the most that a call can cost in all its budgets, or in none.

    One statement locks the budgets in the order of their ids, looks, and writes the call's row, so
    that of two workers only one gets the last dollar. Commit at once: it holds up every other call
    of these budgets until then.
    """
    ids, most = [each.id for each in limits], [each.usd for each in limits]
    bound = {"ids": ids, "limits": most, "usd": usd, "provider": provider, "model": model}
    bound |= asdict(spender)
    row = (await db.execute(RESERVE, bound)).one()
    if row.missing:
        await db.execute(OPEN, {"ids": ids})
        row = (await db.execute(RESERVE, bound)).one()
    if row.usage_id is not None:
        return Reserved(row.usage_id)
    short = next(each for each in limits if each.id == row.short)
    return Reserved(None, short, max(row.room, Decimal(0)))


async def settle(db: AsyncConnection, usage_id: int, spent: Spent) -> None:
    """Put what a call used in the place of what was reserved for it, and add it to its run's.

    One that was assumed is corrected; one that was settled stays as it is. A call that came to
    nothing (`error`) is no turn of the run.
    """
    await db.execute(SETTLE, {"id": usage_id, **asdict(spent)})


async def assume(db: AsyncConnection, run_id: int, error: str = NOT_ANSWERED) -> int:
    """Count what was reserved for the open calls of a run as spent, and return how many there were.

    Nobody knows what they cost: whoever made them is gone.
    """
    found = (await db.execute(ASSUME, {"run_id": run_id, "error": error})).scalar()
    return int(found or 0)


async def spent(db: AsyncConnection, budget_id: str) -> Decimal:
    """Return what was spent of a budget in USD, without what is reserved."""
    question = sql("select spent_usd from budgets where id = :id")
    found = (await db.execute(question, {"id": budget_id})).scalar()
    return Decimal(found or 0)


async def left(db: AsyncConnection, limits: Sequence[Limit]) -> Decimal:
    """Return what a call may still cost in USD: the least that is left in any of its budgets."""
    question = sql("select id, spent_usd + reserved_usd as usd from budgets where id = any(:ids)")
    found = await db.execute(question, {"ids": [each.id for each in limits]})
    taken = {row.id: Decimal(row.usd) for row in found}
    return max(Decimal(0), min(each.usd - taken.get(each.id, Decimal(0)) for each in limits))
