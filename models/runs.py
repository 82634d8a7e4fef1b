"""Runs: attempts of the agent at a ticket, what was said in them and what each call cost."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Double, Index, Numeric, RowMapping, SmallInteger, text
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel

from models.columns import document, maybe_text, maybe_time, now, number, texts
from models.columns import text as words

LEASE_SECONDS = 30
"""How long a run stays its worker's after the last sign of life."""

TRIES = 5
"""How often a run is taken up again after its worker died, before it is given up."""


class RunState(StrEnum):
    """Where a run is. Each change of it is a row in `run_steps`."""

    QUEUED = "queued"
    SETUP = "setup"
    PLANNING = "planning"
    WAITING_APPROVAL = "waiting_approval"
    DEVELOPING = "developing"
    VALIDATING = "validating"
    GATING = "gating"
    PUBLISHING = "publishing"
    DONE = "done"
    DRAFT = "draft"
    NOTHING_TO_DO = "nothing_to_do"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OVER_BUDGET = "over_budget"
    BLOCKED = "blocked"


WORKING = ("setup", "planning", "developing", "validating", "gating", "publishing")
"""The states in which a worker holds the run, and its repository with it."""

ENDED = ("done", "draft", "nothing_to_do", "failed", "cancelled", "over_budget", "blocked")


class Run(SQLModel, table=True):
    """One attempt of the agent at a ticket.

    `kind`: develop, plan, review (a follow-up on a review) or checks (one on failing checks).
    `request` is what is asked in this run beyond the ticket (the review's words, the failed check's
    name), as text that is not trusted. `instructions_sha` is the hash of the trusted instructions
    of the default branch at `instructions_commit`, which is pinned when the run is queued.
    `base_sha` is what the work began from, `branch_sha` where its branch stood then (None: there
    was none), `head_sha` the commit that was pushed. `outcome` is how the conversation ended
    (`bot.agent.conversation.Outcome`). `verdict` is what validation said: passed, no new failures,
    new failures or no tests found. `evidence`, `changes`, `checklist` and `limits` are documents
    (see `bot.agent`): tests on base and result, files of the diff, what the model reported, limits
    hit. Money is in US dollars. Tokens are counted over all calls.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "runs_one_a_repository",
            "repository_id",
            unique=True,
            postgresql_where=sql(f"state in {WORKING}"),
        ),
        Index(
            "runs_waiting",
            "next_try_at",
            "id",
            postgresql_where=sql(f"state in {('queued', *WORKING)}"),
        ),
        Index("runs_ticket", "ticket_id", "id"),
        Index("runs_listed", "organization_id", "id"),
        Index("runs_prompt", "prompt_id"),
    )

    id: int | None = number(default=None, primary_key=True)
    ticket_id: str = words()
    organization_id: str = words()
    repository_id: str = words()
    kind: str = words(default="develop")
    state: str = words(default=RunState.QUEUED, sa_column_kwargs={"server_default": "queued"})
    state_at: datetime | None = now()
    requested_by_id: str | None = maybe_text()
    requested_by_login: str | None = maybe_text()
    request: str | None = maybe_text()
    plan: str | None = maybe_text()
    base_sha: str | None = maybe_text()
    branch_sha: str | None = maybe_text()
    head_sha: str | None = maybe_text()
    branch: str | None = maybe_text()
    instructions_commit: str | None = maybe_text()
    instructions_sha: str | None = maybe_text()
    provider: str | None = maybe_text()
    model: str | None = maybe_text()
    prompt_id: int | None = number(default=None)
    prompt_name: str | None = maybe_text()
    budget_usd: Decimal | None = Field(default=None, sa_type=Numeric(12, 6))
    turns: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    input_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    output_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    cache_read_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    cache_write_tokens: int = number(default=0, sa_column_kwargs={"server_default": "0"})
    cost_usd: Decimal = Field(
        default=Decimal(0), sa_type=Numeric(12, 6), sa_column_kwargs={"server_default": "0"}
    )
    outcome: dict[str, Any] = document(sa_column_kwargs={"server_default": "{}"})
    verdict: str | None = maybe_text()
    evidence: dict[str, Any] = document(sa_column_kwargs={"server_default": "{}"})
    changes: dict[str, Any] = document(sa_column_kwargs={"server_default": "{}"})
    checklist: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": "[]"}
    )
    limits: list[str] = texts(sa_column_kwargs={"server_default": "{}"})
    summary: str | None = maybe_text()
    error: str | None = maybe_text()
    pull_request_number: int | None = None
    check_run_id: int | None = number(default=None)
    stop_requested_at: datetime | None = maybe_time()
    stop_requested_by: str | None = maybe_text()
    attempts: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})
    next_try_at: datetime | None = now()
    leased_until: datetime | None = maybe_time()
    heartbeat_at: datetime | None = maybe_time()
    created_at: datetime | None = now()
    started_at: datetime | None = maybe_time()
    finished_at: datetime | None = maybe_time()


class RunMessage(SQLModel, table=True):
    """One message of a run's conversation with the model, kept as it happened.

    `conversation` counts from 0: a fresh one begins when a refusal moves the run to another model.
    `content` is a list of blocks in Anthropic's form. `stop_reason` is the model's, None for ours.
    """

    __tablename__ = "run_messages"

    run_id: int = number(primary_key=True)
    position: int = Field(primary_key=True)
    conversation: int = Field(
        default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"}
    )
    role: str = words()
    content: list[dict[str, Any]] = Field(sa_type=JSONB)
    stop_reason: str | None = maybe_text()
    at: datetime | None = now()


class RunStep(SQLModel, table=True):
    """Something that happened in a run, for people: a change of state, a tool call, a test.

    `kind`: state, tool, test, note or limit. `ok` is None where nothing can be right or wrong.
    """

    __tablename__ = "run_steps"

    id: int | None = number(default=None, primary_key=True)
    run_id: int = number(index=True)
    kind: str = words()
    name: str = words()
    detail: str | None = maybe_text()
    ok: bool | None = None
    seconds: float | None = Field(default=None, sa_type=Double)
    at: datetime | None = now()


CLAIM = text(f"""
    with free as materialized (
        select r.id from runs r join tickets t on t.id = r.ticket_id
         where r.state in {("queued", *WORKING)} and r.next_try_at <= now()
           and (r.leased_until is null or r.leased_until < now())
           and not exists (select from runs o
                            where o.repository_id = r.repository_id and o.id <> r.id
                              and o.state in {WORKING})
         order by r.state = 'queued', t.position, r.id limit 1
           for update of r skip locked)
    update runs r
       set state = case when r.state = 'queued' then 'setup' else r.state end,
           state_at = case when r.state = 'queued' then now() else r.state_at end,
           attempts = r.attempts + 1, started_at = coalesce(r.started_at, now()),
           heartbeat_at = now(), leased_until = now() + make_interval(secs => :lease)
      from free where r.id = free.id
    returning r.*
""")  # noqa: S608 - constants only
BEAT = text("""
    update runs set heartbeat_at = now(), leased_until = now() + make_interval(secs => :lease)
     where id = :id and leased_until is not null returning stop_requested_at is not null as stopped
""")
MOVE = text(f"""
    with moved as (
        update runs set state = :state, state_at = now(), error = coalesce(:error, error),
               finished_at = case when :state in {ENDED} then now() end,
               leased_until = case when :state in {(*ENDED, "waiting_approval")} then null
                                   else leased_until end
         where id = :id and state <> :state and state not in {ENDED}
        returning id)
    insert into run_steps (run_id, kind, name, detail)
    select id, 'state', :state, :error from moved returning run_id
""")  # noqa: S608 - constants only
PUT_RUN = text("""
    insert into runs (ticket_id, organization_id, repository_id, kind, requested_by_id,
           requested_by_login, request, branch, instructions_commit, instructions_sha, model,
           budget_usd)
    select t.id, t.organization_id, t.repository_id, :kind, :requested_by_id,
           :requested_by_login, :request, t.branch, :instructions_commit, :instructions_sha,
           t.model, t.budget_usd
      from tickets t
     where t.id = :ticket
       and not exists (select from runs r where r.ticket_id = t.id
                          and r.state in ('queued', 'setup', 'planning', 'developing',
                                          'validating', 'gating', 'publishing'))
    returning id
""")
STOP = text(f"""
    with asked as materialized (
        select id, state in ('queued', 'waiting_approval') as waits from runs
         where id = :id and state not in {ENDED} for update),
    stopped as (
        update runs r
           set stop_requested_at = coalesce(stop_requested_at, now()),
               stop_requested_by = coalesce(stop_requested_by, :by),
               state = case when waits then 'cancelled' else state end,
               state_at = case when waits then now() else state_at end,
               finished_at = case when waits then now() end,
               error = case when waits then 'Stopped' || coalesce(' by ' || :by, '') || '.'
                            else error end
          from asked where r.id = asked.id
        returning r.id, r.ticket_id, r.organization_id, r.kind, r.state, r.error),
    told as (
        insert into run_steps (run_id, kind, name, detail)
        select id, 'state', state, error from stopped where state = 'cancelled'),
    followed as (
        update tickets t set status = 'cancelled', updated_at = now(), closed_at = now()
          from stopped s
         where t.id = s.ticket_id and s.state = 'cancelled' and s.kind in ('develop', 'plan')
           and t.status in ('open', 'in_progress') and t.auto_update_status),
    errands as (
        insert into jobs (organization_id, lane, name, key, arguments)
        select s.organization_id, 'agent', name, name || ':' || s.id,
               jsonb_build_object('run', s.id)
          from stopped s cross join (values ('show_end'), ('tell_completion')) e(name)
         where s.state = 'cancelled'
            on conflict (key) where status = 'waiting' do nothing)
    select state from stopped
""")  # noqa: S608 - constants only
APPROVE = text("""
    with approved as (
        update runs set state = 'queued', state_at = now(), kind = 'develop', next_try_at = now(),
               attempts = 0, started_at = null,
               requested_by_login = coalesce(:by, requested_by_login)
         where id = :id and state = 'waiting_approval'
        returning id)
    insert into run_steps (run_id, kind, name, detail)
    select id, 'state', 'queued', 'the plan was approved' || coalesce(' by ' || :by, '')
      from approved returning run_id
""")
GIVE_BACK = text("update runs set leased_until = null, attempts = attempts - 1 where id = :id")
SAY = text("""
    insert into run_messages (run_id, position, conversation, role, content, stop_reason)
    values (:run, :position, :conversation, :role, cast(:content as jsonb), :stop_reason)
        on conflict (run_id, position) do nothing
""")
SAID = text("""
    select position, conversation, role, content, stop_reason, at from run_messages
     where run_id = :run and conversation = (select max(conversation) from run_messages
                                              where run_id = :run)
     order by position
""")
NOTE = text("""
    insert into run_steps (run_id, kind, name, detail, ok, seconds)
    values (:run, :kind, :name, :detail, :ok, :seconds)
""")


async def run(db: AsyncConnection, run_id: int) -> RowMapping | None:
    """Return a run by its id; None where there is none."""
    found = await db.execute(text("select * from runs where id = :id"), {"id": run_id})
    return found.mappings().first()


async def claim_run(db: AsyncConnection) -> RowMapping | None:
    """Claim the run that is due, its repository being free: one whose worker died comes first.

    Raises `IntegrityError` where another worker took a run of the same repository just now; then
    there is nothing to do but to ask again later.
    """
    return (await db.execute(CLAIM, {"lease": LEASE_SECONDS})).mappings().first()


async def beat(db: AsyncConnection, run_id: int) -> bool | None:
    """Renew the lease of a run; tell whether somebody asked to stop it. None: it is not ours."""
    found = (await db.execute(BEAT, {"id": run_id, "lease": LEASE_SECONDS})).first()
    return bool(found.stopped) if found else None


async def move(db: AsyncConnection, run_id: int, state: RunState, error: str | None = None) -> bool:
    """Move a run to another state, with a row that says so. One that has ended stays ended."""
    bound = {"id": run_id, "state": state.value, "error": error}
    return (await db.execute(MOVE, bound)).first() is not None


async def put_run(db: AsyncConnection, ticket_id: str, **told: Any) -> int | None:
    """Queue a run for a ticket; None where one is queued or at work already.

    `told`: kind, requested_by_id, requested_by_login, request, instructions_commit,
    instructions_sha.
    """
    empty = dict.fromkeys(
        (
            "requested_by_id",
            "requested_by_login",
            "request",
            "instructions_commit",
            "instructions_sha",
        )
    )
    bound = {"kind": "develop", **empty, **told, "ticket": ticket_id}
    await db.execute(
        text("select pg_advisory_xact_lock(hashtextextended('runs:' || :ticket, 0))"),
        {"ticket": ticket_id},
    )
    return (await db.execute(PUT_RUN, bound)).scalar()


async def stop(db: AsyncConnection, run_id: int, by: str | None) -> str | None:
    """Ask that a run be stopped: at once where it waits, else by its worker within seconds.

    Returns the run's state; None where there is no such run, or it has ended.
    """
    state: str | None = (await db.execute(STOP, {"id": run_id, "by": by})).scalar()
    return state


async def approve(db: AsyncConnection, run_id: int, by: str | None) -> bool:
    """Let a planned run be developed; False where it does not wait for that."""
    return (await db.execute(APPROVE, {"id": run_id, "by": by})).first() is not None


async def give_back(db: AsyncConnection, run_id: int) -> None:
    """Let go of a run whose worker was told to end, so that another takes it up at once."""
    await db.execute(GIVE_BACK, {"id": run_id})


async def keep(db: AsyncConnection, run_id: int, **told: Any) -> None:
    """Write columns of a run. Documents are given as Python values."""
    names = ", ".join(
        f"{name} = cast(:{name} as jsonb)" if name in DOCUMENTS else f"{name} = :{name}"
        for name in told
    )
    bound = {
        name: to_json(value).decode() if name in DOCUMENTS else value
        for name, value in told.items()
    }
    await db.execute(text(f"update runs set {names} where id = :id"), {**bound, "id": run_id})  # noqa: S608


DOCUMENTS = frozenset({"outcome", "evidence", "changes", "checklist"})


async def say(
    db: AsyncConnection,
    run_id: int,
    position: int,
    message: Mapping[str, Any],
    conversation: int = 0,
) -> None:
    """Keep a message, `{role, content[, stop_reason]}`; said twice, it is kept once."""
    await db.execute(
        SAY,
        {
            "run": run_id,
            "position": position,
            "conversation": conversation,
            "role": message["role"],
            "content": to_json(message["content"]).decode(),
            "stop_reason": message.get("stop_reason"),
        },
    )


async def said(db: AsyncConnection, run_id: int) -> Sequence[RowMapping]:
    """Return the messages of a run's latest conversation, in order."""
    return (await db.execute(SAID, {"run": run_id})).mappings().all()


async def last_position(db: AsyncConnection, run_id: int) -> int:
    """Return the position of a run's last message over all conversations; -1 before the first."""
    question = text("select coalesce(max(position), -1) from run_messages where run_id = :run")
    return int((await db.execute(question, {"run": run_id})).scalar_one())


async def note(  # noqa: PLR0913 - the columns of the row
    db: AsyncConnection,
    run_id: int,
    kind: str,
    name: str,
    *,
    detail: str | None = None,
    ok: bool | None = None,
    seconds: float | None = None,
) -> None:
    """Write down a step of a run, for people."""
    bound = {"run": run_id, "kind": kind, "name": name, "detail": detail}
    await db.execute(NOTE, {**bound, "ok": ok, "seconds": seconds})


async def steps(db: AsyncConnection, run_id: int) -> Sequence[RowMapping]:
    """Return the steps of a run, oldest first."""
    found = await db.execute(
        text("select * from run_steps where run_id = :id order by id"), {"id": run_id}
    )
    return found.mappings().all()
