"""The stores: Postgres with its schema and clock, Redis, a worker, money that may be spent."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import text

from bot.checkups.finding import Finding, Patient, listed, missing, ok, warning
from bot.opening import NO_STORE
from bot.queue import opened
from bot.schema import current_revision, newest_revision

OLDEST_POSTGRES = 150_000
SKEW_SECONDS = 5.0
MIGRATE = "Run `python -m bot migrate`."
SET_CLOCK = "Let NTP set the clocks of both machines."
WORKERS = text("""
    select count(distinct pid) from pg_stat_activity
     where datname = current_database() and application_name = :name
""")
BUDGETS = text("""
    select o.login, s.ticket_budget_usd, s.repository_day_budget_usd, s.organization_day_budget_usd
      from agent_settings s join organizations o on o.id = s.organization_id order by o.login
""")
NO_MONEY = "Nothing can be developed with a budget of 0 ({names})."


async def postgres(patient: Patient) -> AsyncIterator[Finding]:
    """The store, its version, its schema and its clock."""
    if patient.store is None:
        words = NO_STORE.format(home=patient.settings.veelocity_home)
        yield missing("postgres", words, "Set DATABASE_URL, or start `python -m bot dev` once.")
        return
    async with patient.store.connect() as db:
        number = int((await db.execute(text("show server_version_num"))).scalar_one())
        before = datetime.now(UTC)
        at = (await db.execute(text("select clock_timestamp()"))).scalar_one()
        revision, wanted = await current_revision(db), newest_revision()
    words = f"PostgreSQL {number // 10_000}"
    if number < OLDEST_POSTGRES:
        yield missing("postgres", f"{words} is too old", "Use PostgreSQL 15 or newer.")
    else:
        yield ok("postgres", words)
    if revision == wanted:
        yield ok("schema", f"revision {revision}")
    else:
        yield missing("schema", f"it is at {revision}, and should be at {wanted}", MIGRATE)
    yield skew("clock of Postgres", (at - before).total_seconds())


def skew(check: str, seconds: float) -> Finding:
    """Say by how much two clocks differ."""
    words = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    if abs(seconds) > SKEW_SECONDS:
        return warning(check, words, SET_CLOCK)
    return ok(check, words)


async def redis(patient: Patient) -> AsyncIterator[Finding]:
    """Redis, which carries hints to the worker and to open pages."""
    address = patient.settings.redis_address
    if address is None:
        words = "there is none: the worker runs inside the one web process"
        yield warning("redis", words, "Set REDIS_URL to a Redis 6.2 or newer, or Valkey.")
        return
    client: Any = opened(address)
    try:
        told = await client.info("server")
        yield ok("redis", f"Redis {told.get('redis_version', 'answers')}")
    except (RedisError, OSError) as error:
        yield missing("redis", f"it does not answer: {error}", "Start it, or set REDIS_URL.")
    finally:
        await client.aclose()


async def worker(patient: Patient) -> AsyncIterator[Finding]:
    """A worker that takes runs up."""
    most = patient.settings.agent_concurrency
    if most == 0:
        words = "AGENT_CONCURRENCY is 0: no worker with these settings takes runs up"
        yield warning("worker", words, "Set it to 1 or more for the agent's workers.")
    if patient.store is None:
        return
    name = "worker" if patient.settings.redis_address else "web"
    async with patient.store.connect() as db:
        count = await db.scalar(WORKERS, {"name": name})
    if count:
        yield ok("worker", f"it runs, {most} runs at once")
    else:
        start = "Start it by `python -m bot worker` (or `dev`); `develop --here` needs none."
        yield warning("worker", "none runs on this store", start)


async def budgets(patient: Patient) -> AsyncIterator[Finding]:
    """The money that the agent may spend."""
    settings = patient.settings
    limits = {
        "TICKET_BUDGET_USD": settings.ticket_budget_usd,
        "REPOSITORY_DAY_BUDGET_USD": settings.repository_day_budget_usd,
        "ORGANISATION_DAY_BUDGET_USD": settings.organisation_day_budget_usd,
    }
    none = [name for name, usd in limits.items() if usd <= 0]
    if none:
        yield missing("budgets", NO_MONEY.format(names=listed(none)), "Set them above 0.")
    else:
        ticket, repository, organisation = limits.values()
        words = f"${ticket} a ticket, ${repository} a repository and day"
        yield ok("budgets", f"{words}, ${organisation} an organisation and day")
    if patient.store is None:
        return
    async with patient.store.connect() as db:
        rows = (await db.execute(BUDGETS)).mappings().all()
    for row in rows:
        if zero := [name for name in row if name != "login" and row[name] == 0]:
            words = NO_MONEY.format(names=listed(zero))
            yield warning(f"budgets of {row['login']}", words, "PUT /api/v1/agent/settings")
