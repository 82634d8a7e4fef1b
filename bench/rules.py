"""How soon everything is measured by another rule: 50 repositories, 100,000 deployments."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.report import goal, milliseconds, say, table
from bench.stage import Stage, database
from bot.jobs import work
from bot.jobs.rule_previews import preview_of
from bot.queue import opened
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.vault import Vault
from handlers.events import Job
from handlers.rules import Rule
from models.queue import queue
from models.rules import keep_rule
from models.store import engine

ORGANIZATION = "github:1000"
UNTIL = datetime(2026, 9, 30, tzinfo=UTC)
GOAL_SECONDS, PREVIEW_SECONDS = 60.0, 1.0
TOGETHER = 4


@dataclass(frozen=True)
class Size:
    """How much there is, over two years; each deployment brings one pull request."""

    repositories: int = 50
    deployments: int = 2_000
    incidents: int = 1_000


SMALL = Size(3, 60, 20)

# A deployment of each commit of the default branch: seven of eight go well, every fortieth takes
# the one before it back, and staging had it an hour earlier.
HISTORY = (
    """
    insert into organizations (id, organization_id, changed_at, rank, digest, login)
    values (:organization, :organization, :until, 0, 0, 'bench')""",
    """
    insert into repositories (id, organization_id, changed_at, rank, digest, full_name,
                              owner_login, default_branch, private, archived, fork)
    select 'github:' || r, :organization, :until, 0, 0, 'bench/service-' || r, 'bench', 'main',
           true, false, false
      from generate_series(1, :repositories) r""",
    """
    create temporary table made on commit drop as
    select r, n, 'github:' || r as repository_id, r * 100000 + n as id,
           left(md5(r || '/' || n) || md5(n || '/' || r), 40) as sha,
           left(md5(r || '/' || (n - 1)) || md5((n - 1) || '/' || r), 40) as before,
           left(md5(r || '/' || (n - 2)) || md5((n - 2) || '/' || r), 40) as earlier,
           left(md5(r || '/branch' || n) || md5('branch' || n || '/' || r), 40) as head,
           cast(:until as timestamptz) - (:deployments - n) * interval '730 days' / :deployments
               as at
      from generate_series(1, :repositories) r, generate_series(1, :deployments) n""",
    """
    insert into pull_requests
           (id, organization_id, changed_at, rank, digest, repository_id, number, title, state,
            draft, author_id, author_login, cohort, base_ref, base_is_default, head_ref, head_sha,
            labels, merge_commit_sha, opened_at, merged_at, commits, mentions, closes)
    select 'github:pr-' || id, :organization, at, 0, 0, repository_id, n,
           case when n % 40 = 1 then 'Revert "Change ' || n - 1 || '"' else 'Change ' || n end,
           'merged', false, 'github:1', 'ada', 'people', 'main', true, 'change-' || n, head, '{}',
           sha, at - interval '9 hours', at - interval '3 hours', 1, '{}', '{}'
      from made""",
    """
    insert into pushes (id, organization_id, changed_at, rank, digest, repository_id, ref, before,
                        after, pushed_at, forced, complete, shas)
    select 'github:' || id || '/main', :organization, at, 0, 0, repository_id, 'refs/heads/main',
           before, sha, at - interval '3 hours', false, true, array[sha] from made
    union all
    select 'github:' || id || '/branch', :organization, at, 0, 0, repository_id,
           'refs/heads/change-' || n, before, head, at - interval '9 hours', false, true,
           array[head] from made""",
    """
    insert into push_commits (id, organization_id, changed_at, rank, digest, repository_id,
                              push_id, sha, position, fresh)
    select id || '/0', organization_id, changed_at, 0, 0, repository_id, id, after, 0, true
      from pushes""",
    """
    insert into commits (id, organization_id, changed_at, rank, digest, repository_id, sha,
                         authored_at, headline, paths, paths_known)
    select repository_id || '/' || after, organization_id, changed_at, 0, 0, repository_id, after,
           pushed_at - interval '1 hour', 'Change', '{}', false from pushes""",
    """
    insert into deployments
           (id, organization_id, changed_at, rank, digest, repository_id, source, environment,
            environment_class, sha, ref, creator_login, created_at)
    select 'github:' || id || to_, :organization, at, 0, 0, repository_id, 'deployment_status',
           environment, class, case when n % 40 = 0 then earlier else sha end, 'main', 'ada',
           at - early - interval '5 minutes'
      from made, (values ('', 'live', 'other', interval '0'),
                         ('s', 'staging', 'staging', interval '1 hour'))
           as told(to_, environment, class, early)
     where to_ = '' or n % 2 = 0""",
    """
    insert into deployment_statuses (id, organization_id, changed_at, rank, digest, repository_id,
                                     deployment_id, state, created_at)
    select id || '/1', organization_id, changed_at, 0, 0, repository_id, id,
           case when abs(hashtext(id)) % 8 = 0 then 'failure' else 'success' end,
           created_at + interval '5 minutes'
      from deployments""",
    """
    insert into incidents
           (id, key, organization_id, source, title, detail, state, environment,
            environment_class, repository_id, started_at, detected_at, resolved_at, opened_why,
            names, corrected, dismissed)
    select 'api:' || n, 'INC-' || n, :organization, 'api', 'It fails', '', 'resolved',
           'production', 'production', 'github:' || 1 + n % :repositories, at, at,
           at + interval '1 hour', 'it was reported', '{}', '{}', false
      from (select n, cast(:until as timestamptz) - n * interval '700 days' / :incidents as at
              from generate_series(1, :incidents) n) told""",
)
DONE = """
    select count(*) filter (where status = 'done') as done, count(*) as told,
           coalesce(max(error), '') as error from jobs
"""
COUNTED = """
    select count(*) filter (where environment_class = 'production') as told,
           count(*) filter (where counted and environment_class = 'production') as counted,
           (select count(*) from deployment_changes) as changes,
           (select count(*) from failed_deployments) as failed,
           (select count(*) from deployment_rules where applied_at is not null) as applied
      from service_deployments
"""
RULE: dict[str, object] = {"source": "auto", "production": ["live"], "ignored": [], "workflows": []}


@dataclass
class Figures:
    """What took how long, in seconds, and what came of it."""

    preview: float = 0.0
    first: float = 0.0
    anew: float = 0.0
    told: int = 0
    counted: int = 0
    changes: int = 0
    failed: int = 0
    applied: int = 0


def run(on: Stage, *, quick: bool = False, size: Size | None = None) -> None:
    """Make histories, give every repository a rule, and another one; print."""
    size = size or (SMALL if quick else Size())
    with database(on, "rules") as url:
        figures = asyncio.run(figures_of(on, url, size))
    deployments = size.repositories * size.deployments
    say(
        f"rules: {deployments:,} deployments to production and {deployments // 2:,} to staging of "
        f"{size.repositories} repositories, one worker"
    )
    applied = figures.applied == size.repositories
    table(
        "",
        ("work", "took", "goal"),
        (
            ("preview of one repository", milliseconds(figures.preview),
             goal("under 1 s", figures.preview < PREVIEW_SECONDS)),
            ("a first rule everywhere", f"{figures.first:.1f} s",
             goal("under 60 s", applied and figures.first < GOAL_SECONDS)),
            ("another rule everywhere", f"{figures.anew:.1f} s",
             goal("under 60 s", applied and figures.anew < GOAL_SECONDS)),
        ),
    )  # fmt: skip
    say(
        f"{figures.counted:,} of {figures.told:,} count, {figures.changes:,} changes, "
        f"{figures.failed:,} failed, {figures.applied} rules applied."
    )


async def figures_of(on: Stage, url: str, size: Size) -> Figures:
    """Write the history and measure."""
    settings = Settings(
        database_url=SecretStr(url),
        redis_url=SecretStr(on.redis_url),
        veelocity_home=on.home,
        secret_key=SecretStr("bench-key-of-32-characters-length"),
    )
    pool, redis = engine(url, pool_size=8, name="bench"), opened(on.redis_url)
    figures = Figures()
    try:
        async with pool.begin() as db:
            for statement in HISTORY:
                await db.execute(
                    text(statement),
                    {"organization": ORGANIZATION, "until": UNTIL, **vars(size)},
                )
        async with pool.connect() as db:
            await (await db.execution_options(isolation_level="AUTOCOMMIT")).execute(
                text("vacuum (analyze)")
            )
        surroundings = Surroundings(settings, pool, redis, Vault(settings.secret_keys))
        figures.preview = await previewed(pool)
        figures.first = await applied_everywhere(surroundings, size, RULE)
        ignoring = RULE | {"ignored": ["staging"]}
        figures.anew = await applied_everywhere(surroundings, size, ignoring)
        async with pool.connect() as db:
            told = (await db.execute(text(COUNTED))).mappings().one()
        for name, value in told.items():
            setattr(figures, name, value)
    finally:
        await redis.aclose()
        await pool.dispose()
    return figures


async def previewed(pool: AsyncEngine) -> float:
    """Time a preview, after a first one."""
    rule = Rule(production=("live",))
    for _ in range(2):
        began = time.perf_counter()
        async with pool.connect() as db:
            assert await preview_of(db, "github:1", rule, UNTIL)
        took = time.perf_counter() - began
    return took


async def applied_everywhere(
    surroundings: Surroundings, size: Size, rule: dict[str, object]
) -> float:
    """Change the rule of every repository, and time until all is measured by it."""
    async with surroundings.engine.begin() as db:
        for number in range(1, size.repositories + 1):
            repository = f"github:{number}"
            await keep_rule(db, ORGANIZATION, repository, rule, "bench")
            order = Job(
                "collect_changes",
                key=f"collect_changes:{repository}",
                arguments={"repository": repository, "all": True},
            )
            await queue(db, [order], ORGANIZATION)
    began = time.perf_counter()
    while await work(surroundings, "ingest", TOGETHER):
        pass
    took = time.perf_counter() - began
    async with surroundings.engine.connect() as db:
        done = (await db.execute(text(DONE))).one()
    assert done.done == done.told, done.error
    return took
