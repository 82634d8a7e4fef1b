"""How soon builds are derived, and how soon the Builds page answers over 200,000 workflow runs."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.data import ORGANIZATION
from bench.metrics import KEY, connection
from bench.report import goal, milliseconds, quantile, say, table
from bench.stage import Stage, database, web
from bot.jobs.builds import measured
from bot.settings import Settings
from bot.web.accounts import create_user
from bot.web.auth import cookie_name
from bot.web.sessions import start_session
from models import build_facts
from models.deriving import Home, home_of
from models.metrics import builds
from models.metrics.core import Bucket, Scope, Window
from models.store import engine

ORGANIZATION_ID = "github:1000"
REPETITIONS = 30
FIGURES_GOAL, PAGE_GOAL = 0.080, 0.150


@dataclass(frozen=True)
class Size:
    """How many workflow runs of how many repositories, over how many days."""

    runs: int = 200_000
    repositories: int = 20
    days: int = 365


SMALL = Size(runs=5_000, repositories=5)

# A tenth fails, of what failed a third is run again; three workflows a repository, one an app's.
RUNS = """
insert into workflow_runs
    (id, organization_id, changed_at, rank, digest, repository_id, run_id, attempt, workflow_id,
     name, path, platform, event, branch, head_sha, status, conclusion, started_at, completed_at,
     actor_login, url)
select 'github:' || n || '/' || attempt, :organization_id, started_at, 2, 0, repository_id,
       'github:' || n, attempt, repository_id || ':' || kind,
       (array['iOS', 'Android', 'CI'])[kind],
       '.github/workflows/' || (array['ios', 'android', 'ci'])[kind] || '.yml',
       (array['ios', 'android', null])[kind], 'push',
       case when luck < 0.6 then 'main' else 'feature-' || n % 50 end, md5('commit' || n / 3),
       'completed',
       case when attempt = 2 then 'success' when luck < 0.1 then 'failure'
            when luck < 0.13 then 'cancelled' else 'success' end,
       started_at + make_interval(mins => attempt * 30),
       started_at + make_interval(mins => attempt * 30, secs => 120 + 900 * random()),
       'author-' || n % 400, 'https://github.com/actions/runs/' || n
from (select n, 'github:' || 1 + n % :repositories as repository_id, 1 + n % 3 as kind,
             cast(:until as timestamptz) - interval '2 hours'
                 - random() * make_interval(days => :days) as started_at, random() as luck
      from generate_series(1, :runs) n) drawn
cross join generate_series(1, 2) attempt
where attempt = 1 or luck < 0.033
order by started_at
"""
JOBS = """
insert into workflow_jobs
    (id, organization_id, changed_at, rank, digest, repository_id, run_id, attempt, name, status,
     conclusion, failed_step, started_at, completed_at)
select 'job:' || id, organization_id, changed_at, 2, 0, repository_id, run_id, attempt, 'build',
       'completed', conclusion,
       case when conclusion = 'failure'
            then (array['Run tests', 'Lint', 'Sign the app', 'Install v1.' || digest])
                 [1 + floor(random() * 4)::int] end,
       started_at, completed_at
from workflow_runs
"""


def run(on: Stage, *, quick: bool = False) -> None:
    """Make workflow runs, derive their builds, ask for them, print."""
    size = SMALL if quick else Size()
    settings = Settings(secret_key=SecretStr(KEY))
    now = datetime.now(UTC)
    repetitions = 5 if quick else REPETITIONS
    with database(on, "builds") as url:
        session, derived, figures = asyncio.run(prepared(url, settings, now, size, repetitions))
        took: dict[str, list[float]] = {name: [] for name in PAGES}
        headers = {"cookie": f"{cookie_name(settings)}={session}"}
        with web(on, url) as (_, port), connection(port) as ask:
            for _ in range(repetitions):
                for name, query in PAGES.items():
                    began = time.perf_counter()
                    ask.request("GET", f"/builds?{urlencode(query)}", headers=headers)
                    answer = ask.getresponse()
                    body = answer.read()
                    took[name].append(time.perf_counter() - began)
                    assert answer.status == 200, (answer.status, body[:500])
    print_figures(size, derived, figures, took)


PAGES: dict[str, dict[str, str]] = {
    "/builds, as it opens": {},
    "/builds, 90 days": {"period": "90"},
    "/builds, iOS, 30 days": {"platform": "ios", "period": "30"},
}


async def prepared(
    url: str, settings: Settings, now: datetime, size: Size, repetitions: int
) -> tuple[str, float, dict[str, list[float]]]:
    """Make and derive; return a session, how long deriving took, and how long asking takes."""
    opened = engine(url, pool_size=4, name="bench")
    bound = {"organization_id": ORGANIZATION_ID, "until": now, **vars(size)}
    try:
        async with opened.begin() as db:
            for statement in (*ORGANIZATION, RUNS, JOBS):
                await db.execute(text(statement), bound)
        await vacuumed(opened, "workflow_runs", "workflow_jobs", "repositories")
        began = time.perf_counter()
        for number in range(1, size.repositories + 1):
            await derived(opened, f"github:{number}")
        took = time.perf_counter() - began
        await vacuumed(opened, "builds")
        figures = {
            f"figures of {days} days": [
                await asked(opened, Window.last(days, now, "Europe/Berlin"), now)
                for _ in range(repetitions)
            ]
            for days in (30, 90)
        }
        async with opened.begin() as db:
            user = await create_user(db, "lead@example.com", organization="bench")
            session = await start_session(db, user.id, instead_of=None)
        return session, took, figures
    finally:
        await opened.dispose()


async def vacuumed(opened: AsyncEngine, *tables: str) -> None:
    """What autovacuum does in time."""
    async with opened.connect() as db:
        free = await db.execution_options(isolation_level="AUTOCOMMIT")
        for name in tables:
            await free.execute(text(f"vacuum (analyze) {name}"))


async def derived(opened: AsyncEngine, repository_id: str) -> None:
    """Derive all builds of a repository, as the job does."""
    async with opened.connect() as db:
        home: Home | None = await home_of(db, repository_id)
        ids = await build_facts.touched(db, repository_id, None)
    assert home is not None
    await measured(opened, home, ids)


async def asked(opened: AsyncEngine, window: Window, now: datetime) -> float:
    """Ask for all that the page shows, one after the other; return the seconds."""
    scope = Scope(ORGANIZATION_ID)
    async with opened.connect() as db:
        began = time.perf_counter()
        await builds.summary(db, scope, window, None, now)
        await builds.success_series(db, scope, window, None, Bucket.DAY)
        await builds.duration_series(db, scope, window, None, Bucket.DAY)
        await builds.failures_by_reason(db, scope, window)
        await builds.flaky_workflows(db, scope, window)
        await builds.latest(db, scope, 20)
        return time.perf_counter() - began


def print_figures(
    size: Size, derived: float, figures: dict[str, list[float]], pages: dict[str, list[float]]
) -> None:
    """Print the quantiles with their goals."""
    say(
        f"builds: {size.runs:,} workflow runs, {size.days} days, {size.repositories} repositories, "
        f"derived in {derived:.1f} s ({size.runs / derived:,.0f}/s)"
    )
    rows = [(name, times, FIGURES_GOAL) for name, times in figures.items()]
    rows += [(name, times, PAGE_GOAL) for name, times in pages.items()]
    table(
        "",
        ("asked", "times", "least", "p50", "p95", "goal for p95"),
        (
            (
                name,
                str(len(times)),
                milliseconds(min(times)),
                milliseconds(quantile(times, 0.5)),
                milliseconds(quantile(times, 0.95)),
                goal(f"under {milliseconds(most)}", quantile(times, 0.95) < most),
            )
            for name, times, most in rows
        ),
    )
