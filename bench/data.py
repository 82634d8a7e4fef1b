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
    issues: int = 60_000
    waiting: int = 1_500
    people: int = 400
    teams: int = 20
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
           'author-' || n % :people, cohort, 'https://github.com/pull/' || n, 'compare', false,
           true,
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
           'Change number ' || n, 'merged', false, 'author-' || n % :people, cohort, 'main', true,
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

# Pull requests that wait lately began; every fourth was reviewed, every tenth is a draft.
DEVELOPMENT = (
    """
    insert into pull_requests
        (id, organization_id, changed_at, rank, digest, repository_id, number, title, state, draft,
         author_id, author_login, cohort, base_ref, base_is_default, head_ref, head_sha, labels,
         opened_at)
    select 'github:open-' || n, :organization_id, cast(:until as timestamptz), 0, 0,
           'github:' || 1 + n % :repositories, 1000000 + n, 'Waiting change ' || n, 'open',
           n % 10 = 0, 'github:author-' || n % :people, 'author-' || n % :people, 'people', 'main',
           true, 'waiting-' || n, md5('waiting' || n), '{}',
           cast(:until as timestamptz) - random() * interval '40 days'
    from generate_series(1, :waiting) n""",
    """
    insert into reviews (id, organization_id, changed_at, rank, digest, repository_id,
                         pull_request_id, author_id, author_login, cohort, state, submitted_at)
    select 'github:review-' || id, organization_id, changed_at, 0, 0, repository_id, id,
           'github:reviewer', 'reviewer', 'people', 'approved',
           opened_at + random() * (cast(:until as timestamptz) - opened_at)
    from pull_requests where state = 'open' and number % 4 = 0""",
    """
    insert into pull_request_times
        (pull_request_id, organization_id, repository_id, author_login, account, cohort, state,
         draft, first_commit_at, opened_at, ready_at, first_review_at, merged_at, closed_at,
         answered_at)
    select p.id, p.organization_id, p.repository_id, p.author_login,
           'github:login:' || p.author_login, p.cohort, p.state, p.draft,
           coalesce(c.first_commit_at, p.opened_at), p.opened_at,
           case when not p.draft then p.opened_at end, coalesce(c.first_review_at, r.submitted_at),
           p.merged_at, p.closed_at,
           coalesce(c.first_review_at, r.submitted_at, p.merged_at, p.opened_at)
    from pull_requests p left join deployment_changes c on c.pull_request_id = p.id
    left join reviews r on r.pull_request_id = p.id
    order by p.opened_at""",
    """
    insert into issue_times
        (issue_id, organization_id, source, repository_id, account, author_login, cohort,
         created_at, closed_at, canceled, linked, evidence, pull_request_id, merged_at, ended_at)
    select 'github:issue-' || n, :organization_id, 'github', repository_id, account, author_login,
           cohort, first_commit_at - random() * interval '20 days', merged_at, false, true,
           'closes', pull_request_id, merged_at, merged_at
    from (select *, row_number() over (order by md5(pull_request_id)) as n
          from pull_request_times where state = 'merged') closing
    where n <= :issues order by merged_at""",
    """
    insert into identities (id, organization_id, changed_at, rank, digest, source, account, name,
                            email, bot)
    select :organization_id || '/github:login:author-' || n, :organization_id, now(), 0, 0,
           'github', 'github:login:author-' || n, 'Author ' || n, 'author-' || n || '@example.com',
           false
    from generate_series(0, :people - 1) n""",
    """
    insert into teams (id, organization_id, changed_at, rank, digest, source, name, slug, deleted)
    select 'github:team:' || n, :organization_id, now(), 0, 0, 'github', 'Team ' || n, 'team-' || n,
           false
    from generate_series(0, :teams - 1) n""",
    """
    insert into team_members (id, organization_id, changed_at, rank, digest, team_id, login, member)
    select 'github:team:' || n % :teams || '/author-' || n, :organization_id, now(), 0, 0,
           'github:team:' || n % :teams, 'author-' || n, true
    from generate_series(0, :people - 1) n""",
    """
    insert into team_repositories (id, organization_id, changed_at, rank, digest, team_id,
                                   repository_id, owned)
    select 'github:team:' || n % :teams || '/github:' || n, :organization_id, now(), 0, 0,
           'github:team:' || n % :teams, 'github:' || n, true
    from generate_series(1, :repositories) n""",
    """
    insert into deployed_services (id, organization_id, repository_id, full_name, service,
                                   environment_class)
    select id || '/production', organization_id, id, full_name, 'production', 'production'
    from repositories on conflict do nothing""",
)

TABLES = (
    *("organizations", "repositories", "service_deployments", "deployments"),
    *("deployment_statuses", "deployment_changes", "pull_requests", "pull_request_times"),
    *("incidents", "incident_places", "incident_deployments", "failed_deployments"),
    *("reviews", "issue_times", "identities", "teams", "team_members", "team_repositories"),
    "deployed_services",
)


async def fill(
    db: AsyncConnection,
    until: datetime,
    size: Size = Size(),
    organization_id: str = "github:1000",
) -> None:
    """Make the data in the transaction of `db`, the newest of it at `until`. Then `settle` it."""
    bound = {"organization_id": organization_id, "until": until, **vars(size)}
    made = (ATTEMPTS, BROUGHT, *DEPLOYMENTS, *CHANGES, BROKEN, *INCIDENTS, *DEVELOPMENT)
    for statement in (*ORGANIZATION, *made):
        await db.execute(text(statement), bound)


async def settle(db: AsyncConnection) -> None:
    """What autovacuum does in time. `db` must be in autocommit."""
    for table in TABLES:
        await db.execute(text(f"vacuum (analyze) {table}"))
