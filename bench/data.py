"""Two years of a large organisation, made inside Postgres: facts, and what is derived from them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True)
class Size:
    """How much is made, over how many days."""

    repositories: int = 50
    deployments: int = 100_000
    changes: int = 300_000
    incidents: int = 10_000
    days: int = 730


# A seed, then random(): the same data on every run of one Postgres version.
ORGANIZATION = (
    "select setseed(0.42)",
    """
    insert into organizations (id, organization_id, changed_at, rank, digest, login)
    values (:organization_id, :organization_id, now(), 0, 0, 'bench')
    on conflict do nothing""",
    """
    insert into organization_settings (organization_id, time_zone, level_edition)
    values (:organization_id, 'Europe/Berlin', 2024) on conflict do nothing""",
    """
    insert into repositories (id, organization_id, changed_at, rank, digest, full_name,
                              owner_login, default_branch, private, archived, fork)
    select 'github:' || n, :organization_id, now(), 0, 0, 'bench/repository-' || n,
           'bench', 'main', true, false, false
    from generate_series(1, :repositories) n on conflict do nothing""",
)

# Attempts: a tenth fails; of those that succeed 8 % are redeploys, 4 % rollbacks, 4 % rollforwards.
ATTEMPTS = """
create temporary table attempts on commit drop as
select n, 'github:' || 1 + floor(random() * :repositories)::int as repository_id,
       cast(:until as timestamptz) - random() * make_interval(days => :days) as finished_at,
       random() as luck, random() as sort, md5('deployment' || n) || left(md5(n::text), 8) as sha
from generate_series(1, :deployments) n
"""

DEPLOYMENTS = (
    """
    insert into service_deployments
        (id, organization_id, repository_id, service_id, service, environment, environment_class,
         deployment_id, source, sha, ref, creator_login, state, kind, counted, reason, cohorts,
         started_at, finished_at, url)
    select 'github:' || n || '@production', :organization_id, repository_id,
           repository_id || '/production', 'production', 'production', 'production',
           'github:' || n, 'deployment_status', sha, 'main', 'deployer',
           case when luck < 0.1 then 'failure' else 'success' end,
           case when luck < 0.1 then null when sort < 0.08 then 'redeploy'
                when sort < 0.12 then 'rollback' when sort < 0.16 then 'rollforward'
                else 'new' end,
           luck >= 0.1 and sort >= 0.08,
           case when luck < 0.1 then 'it never succeeded'
                when sort < 0.08 then 'same SHA as running' end,
           coalesce(cohorts, '{}'),
           finished_at - interval '5 minutes', finished_at, 'https://github.com/deployment/' || n
    from attempts left join (
        select service_deployment_id, array_agg(distinct cohort order by cohort) as cohorts
        from brought group by service_deployment_id) made
    on service_deployment_id = 'github:' || n || '@production'
    order by finished_at""",
    """
    insert into deployments
        (id, organization_id, changed_at, rank, digest, repository_id, source, environment,
         environment_class, sha, ref, creator_login, created_at)
    select 'github:' || n, :organization_id, finished_at, 0, 0, repository_id,
           'deployment_status', 'production', 'production', sha, 'main', 'deployer',
           finished_at - interval '5 minutes'
    from attempts order by finished_at""",
    """
    insert into deployment_statuses
        (id, organization_id, changed_at, rank, digest, repository_id, deployment_id, state,
         created_at)
    select 'github:status-' || n, :organization_id, finished_at, 0, 0, repository_id,
           'github:' || n,
           case when luck < 0.1 then 'failure' else 'success' end, finished_at
    from attempts order by finished_at""",
)

# Each change reaches production once, by a deployment drawn at random, after a skewed lead time.
BROUGHT = """
create temporary table brought on commit drop as
with counted as (
    select *, row_number() over () as place from attempts where luck >= 0.1 and sort >= 0.12),
drawn as (
    select n, 1 + floor(random() * (select count(*) from counted))::int as place,
           exp(random() * 6 - 1) * 3600 as coding, exp(random() * 5 - 1) * 1800 as pickup,
           exp(random() * 5 - 1) * 1800 as review, exp(random() * 6 - 1) * 900 as deploy,
           random() as who
    from generate_series(1, :changes) n)
select drawn.n, coding, pickup, review, deploy, repository_id, finished_at as deployed_at,
       'github:' || counted.n || '@production' as service_deployment_id,
       case when who < 0.75 then 'people' when who < 0.85 then 'agent' else 'bots' end as cohort,
       md5('change' || drawn.n) || left(md5(drawn.n::text), 8) as sha,
       who between 0.5 and 0.52 as baseline
from drawn join counted using (place)
"""

CHANGES = (
    """
    insert into deployment_changes
        (id, organization_id, repository_id, service_id, environment_class, service_deployment_id,
         change_id, pull_request_id, pull_request_number, sha, title, author_login, cohort, url,
         evidence, corrective, first, reason, first_commit_at, opened_at, first_review_at,
         merged_at, deployed_at, lead_seconds, coding_seconds, pickup_seconds, review_seconds,
         deploy_seconds)
    select repository_id || '/production/pr-' || n, :organization_id, repository_id,
           repository_id || '/production', 'production', service_deployment_id,
           'github:pr-' || n, 'github:pr-' || n, n, sha, 'Change number ' || n,
           'author-' || n % 400, cohort, 'https://github.com/pull/' || n, 'compare', false, true,
           case when baseline then 'in the baseline: its first deployment was not seen' end,
           deployed_at - make_interval(secs => coding + pickup + review + deploy),
           deployed_at - make_interval(secs => pickup + review + deploy),
           deployed_at - make_interval(secs => review + deploy),
           deployed_at - make_interval(secs => deploy), deployed_at,
           case when not baseline then coding + pickup + review + deploy end,
           case when not baseline then coding end, case when not baseline then pickup end,
           case when not baseline then review end, case when not baseline then deploy end
    from brought order by deployed_at""",
    """
    insert into pull_requests
        (id, organization_id, changed_at, rank, digest, repository_id, number, title, state, draft,
         author_login, cohort, base_ref, base_is_default, head_ref, head_sha, labels, opened_at,
         merged_at, closed_at, merge_commit_sha)
    select 'github:pr-' || n, :organization_id, deployed_at, 0, 0, repository_id, n,
           'Change number ' || n, 'merged', false, 'author-' || n % 400, cohort, 'main', true,
           'change-' || n, sha, '{}', deployed_at - make_interval(secs => pickup + review + deploy),
           deployed_at - make_interval(secs => deploy),
           deployed_at - make_interval(secs => deploy), sha
    from brought order by deployed_at""",
)

# Of the deployments of new code about an eighth failed; two incidents of three blame one of them.
BROKEN = """
create temporary table broken on commit drop as
select *, row_number() over () as place, exp(random() * 5) * 600 as seconds, random() as ended
from (select *, 'github:' || n || '@production' as service_deployment_id from attempts
      where luck >= 0.1 and sort >= 0.12 and random() < 0.13) failing
"""

INCIDENTS = (
    """
    insert into incidents
        (id, key, organization_id, source, title, detail, state, environment, environment_class,
         severity, started_at, detected_at, resolved_at, opened_why, names, corrected, dismissed)
    select 'slack:T1:C1:' || i, 'INC-' || i, :organization_id, 'slack', 'Incident ' || i, '',
           case when ended < 0.01 then 'investigating' else 'resolved' end,
           'production', 'production', case when i % 5 > 0 then 'sev' || i % 5 end,
           started_at, started_at,
           case when ended >= 0.01 then started_at + make_interval(secs => seconds) end,
           'it says so', '{}', '{}', false
    from (select i, coalesce(ended, random()) as ended, coalesce(seconds, 3600) as seconds,
                 coalesce(finished_at, cast(:until as timestamptz)
                     - random() * make_interval(days => :days)) + interval '20 minutes'
                     as started_at
          from generate_series(1, :incidents) i left join broken on place = i and i % 3 > 0) told
    order by started_at""",
    """
    insert into incident_places (incident_id, organization_id, repository_id, service_id, reason)
    select 'slack:T1:C1:' || i, :organization_id, repository_id,
           case when repository_id is not null then repository_id || '/production' end,
           'its words name it'
    from generate_series(1, :incidents) i left join broken on place = i and i % 3 > 0""",
    """
    insert into incident_deployments
        (incident_id, service_deployment_id, organization_id, repository_id, service_id,
         deployment_id, evidence, reason)
    select 'slack:T1:C1:' || place, service_deployment_id, :organization_id, repository_id,
           repository_id || '/production', 'github:' || n, 'window', 'it began soon after it'
    from broken where place <= :incidents and place % 3 > 0""",
    """
    insert into failed_deployments
        (service_deployment_id, organization_id, repository_id, service_id, environment_class,
         failed_at, evidence, reason, incidents, recovered_at)
    select service_deployment_id, :organization_id, repository_id,
           repository_id || '/production', 'production', finished_at,
           case when blamed then 'incident' else 'rollback' end, 'it was taken back',
           case when blamed then array['slack:T1:C1:' || place] else '{}' end,
           case when ended >= 0.01
                then finished_at + interval '20 minutes' + make_interval(secs => seconds) end
    from (select *, place <= :incidents and place % 3 > 0 as blamed from broken) known
    order by finished_at""",
)

TABLES = (
    *("organizations", "repositories", "service_deployments", "deployments"),
    *("deployment_statuses", "deployment_changes", "pull_requests"),
    *("incidents", "incident_places", "incident_deployments", "failed_deployments"),
)


async def fill(
    db: AsyncConnection,
    until: datetime,
    size: Size = Size(),
    organization_id: str = "github:1000",
) -> None:
    """Make the data in the transaction of `db`, the newest of it at `until`. Then `settle` it."""
    bound = {"organization_id": organization_id, "until": until, **vars(size)}
    made = (ATTEMPTS, BROUGHT, *DEPLOYMENTS, *CHANGES, BROKEN, *INCIDENTS)
    for statement in (*ORGANIZATION, *made):
        await db.execute(text(statement), bound)


async def settle(db: AsyncConnection) -> None:
    """What autovacuum does in time. `db` must be in autocommit."""
    for table in TABLES:
        await db.execute(text(f"vacuum (analyze) {table}"))
