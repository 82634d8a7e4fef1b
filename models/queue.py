"""The queue that Postgres is: claiming deliveries and jobs under a lease, and letting them go."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.deliveries import DeliveryStatus

DELIVERY_TRIES = 5
JOB_TRIES = 8
LEASE_SECONDS = 60
CLAIM_BYTES = 32 * 1024 * 1024


class Order(Protocol):
    """What can be queued: a `handlers.events.Job`, or anything that looks like one."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def arguments(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def since(self) -> datetime | None: ...  # noqa: D102
    @property
    def lane(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Waiting:
    """A delivery that was claimed. `attempts` counts this one."""

    id: int
    source: str
    delivery_id: str
    event: str
    body: bytes
    received_at: datetime
    attempts: int
    sent_at: datetime | None = None

    @property
    def told_at(self) -> datetime:
        """When it came, or, where it had been missed, when it should have."""
        return self.sent_at or self.received_at


@dataclass(frozen=True)
class Outcome:
    """What became of a claimed delivery; `retry_seconds` is when to try again, where it failed."""

    id: int
    status: DeliveryStatus
    action: str | None = None
    account: str | None = None
    organization_id: str | None = None
    error: str | None = None
    decisions: Sequence[Mapping[str, Any]] = ()
    retry_seconds: float = 0


@dataclass(frozen=True)
class ClaimedJob:
    """A job that was claimed. `attempts` counts this one."""

    id: int
    organization_id: str | None
    name: str
    key: str
    arguments: Mapping[str, Any]
    since: datetime | None
    attempts: int


CLAIM_DELIVERIES = text("""
    with waiting as materialized (
        select id, next_try_at, octet_length(body) as size from deliveries
         where status in ('received', 'failed') and next_try_at <= now()
           and (leased_until is null or leased_until < now())
         order by next_try_at, id limit :most for update skip locked),
    running as (
        select id, sum(size) over (order by next_try_at, id) - size as before from waiting)
    update deliveries set attempts = attempts + 1,
           leased_until = now() + make_interval(secs => :lease)
     where id in (select id from running where before < :bytes)
    returning id, source, delivery_id, event, body, received_at, attempts, sent_at
""")

GIVE_BACK_DELIVERIES = text("""
    update deliveries set attempts = attempts - 1, leased_until = null
     where id = any(:ids) and leased_until is not null
""")

SETTLE = text("""
    update deliveries d
       set status = o.status, action = o.action, account = o.account, error = o.error,
           organization_id = o.organization_id, decisions = o.decisions, leased_until = null,
           next_try_at = now() + make_interval(secs => o.retry_seconds),
           settled_at = case when o.status in ('settled', 'ignored') then clock_timestamp() end
      from json_to_recordset(cast(:outcomes as json)) as o(
           id bigint, status text, action text, account text, organization_id text, error text,
           decisions jsonb, retry_seconds double precision)
     where d.id = o.id
""")

HOME_FOUND = text("""
    update deliveries d
       set status = 'received', attempts = 0, next_try_at = now(), leased_until = null
     where d.status = 'parked' and d.organization_id is null and d.account is not null
       and (exists (select from connections c where c.id = d.source || ':' || d.account)
            or exists (select from organizations o
                        where d.account = 'account:' || o.account_id))
    returning d.id
""")

DECIDE_AGAIN = text("""
    update deliveries set status = 'received', attempts = 0, next_try_at = now(),
           leased_until = null, error = null, settled_at = null
     where id = any(:ids) returning id
""")

QUEUE = text("""
    insert into jobs (organization_id, lane, name, key, arguments, since)
    select :organization, lane, name, key, arguments, since
      from json_to_recordset(cast(:jobs as json)) as j(
           lane text, name text, key text, arguments jsonb, since timestamptz)
     order by key
        on conflict (key) where status = 'waiting'
        do update set since = least(jobs.since, excluded.since),
                      arguments = jobs.arguments || excluded.arguments, next_try_at = now()
""")

# A job whose tries are used up and that runs still has killed its worker each time.
CLAIM_JOBS = text("""
    with free as materialized (
        select id, attempts < :tries as hopeful from jobs
         where lane = :lane and status in ('waiting', 'running') and next_try_at <= now()
           and (leased_until is null or leased_until < now())
         order by next_try_at, id limit :most for update skip locked),
    lost as (
        update jobs set status = 'parked', finished_at = now(), leased_until = null,
               error = 'its worker ended ' || attempts || ' times while it ran'
         where id in (select id from free where not hopeful))
    update jobs set status = 'running', attempts = attempts + 1, heartbeat_at = now(),
           leased_until = now() + make_interval(secs => :lease)
     where id in (select id from free where hopeful)
    returning id, organization_id, name, key, arguments, since, attempts
""")

HEARTBEAT = text("""
    update jobs set heartbeat_at = now(), leased_until = now() + make_interval(secs => :lease)
     where id = :id and status = 'running'
""")

FINISH_JOB = text("""
    update jobs set status = 'done', finished_at = now(), leased_until = null, error = null
     where id = :id
""")

# A job put back meets a younger one of its key that waits already: the younger takes over its time.
PUT_BACK_JOB = text("""
    with younger as (
        update jobs w set since = least(w.since, j.since), arguments = j.arguments || w.arguments
          from jobs j
         where j.id = :id and w.key = j.key and w.status = 'waiting' and w.id <> j.id
        returning w.id)
    update jobs
       set status = case when exists (select from younger) then 'done' else :status end,
           error = :error, leased_until = null, attempts = attempts - :forgiven,
           finished_at = case when :status = 'parked' or exists (select from younger)
                              then now() end,
           next_try_at = now() + make_interval(secs => :seconds)
     where id = :id
""")


FORGET_JOBS = text("""
    delete from jobs where status = 'done' and finished_at < now() - interval '7 days'
""")


async def claim_deliveries(db: AsyncConnection, most: int = 100) -> list[Waiting]:
    """Claim what waits, oldest first, under a lease that a killed worker lets run out.

    Of long bodies fewer are claimed, so that they fit into the memory.
    """
    bound = {"most": most, "lease": LEASE_SECONDS, "bytes": CLAIM_BYTES}
    rows = await db.execute(CLAIM_DELIVERIES, bound)
    return sorted((Waiting(*row) for row in rows), key=lambda waiting: waiting.id)


async def give_back_deliveries(db: AsyncConnection, ids: Sequence[int]) -> None:
    """End the leases of claimed deliveries that were not settled; the try does not count."""
    await db.execute(GIVE_BACK_DELIVERIES, {"ids": list(ids)})


async def settle_deliveries(db: AsyncConnection, outcomes: Iterable[Outcome]) -> None:
    """Write what became of claimed deliveries and end their leases."""
    said = to_json([vars(outcome) for outcome in outcomes])
    await db.execute(SETTLE, {"outcomes": said.decode()})


async def find_homes(db: AsyncConnection) -> int:
    """Let deliveries that nobody owned try again where their account is known now; count them."""
    return len((await db.execute(HOME_FOUND)).all())


async def retry(db: AsyncConnection, ids: Sequence[int]) -> list[int]:
    """Have deliveries decided again, whatever became of them; return those that exist."""
    return [row.id for row in await db.execute(DECIDE_AGAIN, {"ids": list(ids)})]


async def queue(db: AsyncConnection, jobs: Iterable[Order], organization_id: str | None) -> None:
    """Queue jobs; those of one key that still wait become one, with the earliest `since`."""
    folded: dict[str, dict[str, Any]] = {}
    for job in jobs:
        held = folded.get(job.key)
        since = job.since
        if held and held["since"] is not None:
            since = min(held["since"], since) if since else held["since"]
        arguments = {**(held["arguments"] if held else {}), **job.arguments}
        folded[job.key] = {
            "lane": job.lane,
            "name": job.name,
            "key": job.key,
            "arguments": arguments,
            "since": since,
        }
    if folded:
        said = to_json(list(folded.values())).decode()
        await db.execute(QUEUE, {"organization": organization_id, "jobs": said})


async def claim_jobs(db: AsyncConnection, lane: str, most: int = 4) -> list[ClaimedJob]:
    """Claim jobs of a lane that wait, or whose worker let its lease run out, oldest first."""
    bound = {"lane": lane, "most": most, "lease": LEASE_SECONDS, "tries": JOB_TRIES}
    rows = await db.execute(CLAIM_JOBS, bound)
    return sorted((ClaimedJob(*row) for row in rows), key=lambda job: job.id)


async def heartbeat(db: AsyncConnection, job_id: int) -> None:
    """Renew the lease of a job that is being worked on."""
    await db.execute(HEARTBEAT, {"id": job_id, "lease": LEASE_SECONDS})


async def finish_job(db: AsyncConnection, job_id: int) -> None:
    """Mark a job as done."""
    await db.execute(FINISH_JOB, {"id": job_id})


async def put_back(
    db: AsyncConnection, job: ClaimedJob, error: str, seconds: float, *, forgive: bool = False
) -> str:
    """Have a job tried again after a while, or park it when its tries are used up.

    `forgive`: the try does not count (a rate limit is nobody's fault). Returns the new status.
    """
    status = "waiting" if forgive or job.attempts < JOB_TRIES else "parked"
    bound = {"id": job.id, "error": error, "seconds": seconds, "status": status}
    await db.execute(PUT_BACK_JOB, {**bound, "forgiven": int(forgive)})
    return status


async def forget_jobs(db: AsyncConnection) -> None:
    """Delete jobs that were done a week ago."""
    await db.execute(FORGET_JOBS)


def backoff(attempts: int) -> float:
    """Return the seconds to wait after so many tries: 5, 20, 80 … at most an hour."""
    return float(min(5 * 4 ** (attempts - 1), 3600))
