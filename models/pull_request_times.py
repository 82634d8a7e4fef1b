"""How long the parts of pull requests took, derived from all that was ever told of them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.graph import SEEN_BY, Place
from models.people import GITHUB_ACCOUNT

LOCK = text("""
    select pg_advisory_xact_lock(hashtextextended('pull_request_times:' || :repository, 0))
""")

# Whatever was told of a time since then, and every branch that carries a commit pushed since.
TOUCHED = text("""
    with moved as (
        select id, ref from pushes where repository_id = :repository and pushed_at >= :since),
    brought as (
        select distinct c.sha from moved m join push_commits c on c.push_id = m.id),
    branches as (
        select substr(ref, 12) as name from moved where ref like 'refs/heads/%'
        union
        select substr(p.ref, 12) from brought b
          join push_commits c on c.repository_id = :repository and c.sha = b.sha
          join pushes p on p.id = c.push_id and p.ref like 'refs/heads/%'
         where p.ref <> :ref)
    select id from pull_requests where repository_id = :repository and changed_at >= :since
    union
    select pull_request_id from reviews
     where repository_id = :repository and submitted_at >= :since
    union
    select p.id from branches b
      join pull_requests p on p.repository_id = :repository and p.head_ref = b.name
    union
    select p.id from branches b
      join pull_requests p on p.head_repository_id = :repository and p.head_ref = b.name
    union
    select h.pull_request_id from brought b join pull_request_heads h on h.sha = b.sha
     where h.repository_id = :repository
     order by 1
""")

OF_REPOSITORY = text("select id from pull_requests where repository_id = :repository order by id")

WITH_HEADS = text("""
    select distinct pull_request_id from pull_request_heads
     where repository_id = :repository and sha = any(:shas) order by 1
""")

# What a pull request took is judged by what had happened when it was merged, give or take what
# clocks differ: so nothing that happens later changes it.
MERGED = "coalesce(merged_at + interval '1 minute', 'infinity')"
MAIN = """'refs/heads/' || coalesce((select r.default_branch from repositories r
                                            where r.id = pull_requests.repository_id), 'main')"""

MEASURE = text(f"""
    with first as ({SEEN_BY.format(main=MAIN, until=MERGED, ids=":ids")}),
    ready as (
        select p.*,
               case when not p.draft then coalesce(
                   (select max(t.at) from pull_request_turns t
                     where t.pull_request_id = p.id and t.action = 'ready_for_review'
                       and t.at >= p.opened_at
                       and t.at <= coalesce(p.merged_at, 'infinity')), p.opened_at)
                end as ready_at
          from pull_requests p where p.id = any(:ids)),
    told as (
        select p.*, (select min(r.submitted_at) from reviews r
                      where r.pull_request_id = p.id and r.cohort <> 'bots'
                        and r.author_id is distinct from p.author_id
                        and r.submitted_at >= p.ready_at) as first_review_at
          from ready p)
    insert into pull_request_times as x
           (pull_request_id, organization_id, repository_id, author_login, account, cohort, state,
            draft, first_commit_at, opened_at, ready_at, first_review_at, merged_at, closed_at,
            answered_at)
    select p.id, p.organization_id, p.repository_id, p.author_login,
           '{GITHUB_ACCOUNT}' || lower(p.author_login), p.cohort,
           case when p.merged_at is not null then 'merged' else p.state end, p.draft,
           coalesce(f.first_commit_at, p.opened_at), p.opened_at, p.ready_at, p.first_review_at,
           p.merged_at, p.closed_at,
           coalesce(p.first_review_at, p.merged_at, p.closed_at, p.opened_at)
      from told p left join first f on f.pull_request_id = p.id
     order by p.id
        on conflict (pull_request_id) do update
       set (organization_id, repository_id, author_login, account, cohort, state, draft,
            first_commit_at, opened_at, ready_at, first_review_at, merged_at, closed_at,
            answered_at)
         = (excluded.organization_id, excluded.repository_id, excluded.author_login,
            excluded.account, excluded.cohort, excluded.state, excluded.draft,
            excluded.first_commit_at, excluded.opened_at, excluded.ready_at,
            excluded.first_review_at, excluded.merged_at, excluded.closed_at,
            excluded.answered_at)
     where x is distinct from excluded
    returning x.pull_request_id
""")  # noqa: S608 - of constants only


async def lock(db: AsyncConnection, repository_id: str) -> None:
    """Let one worker at a time measure a repository; freed when the transaction ends."""
    await db.execute(LOCK, {"repository": repository_id})


async def touched(db: AsyncConnection, place: Place, since: datetime | None) -> list[str]:
    """Return the pull requests of which something was told of a time since then; None: all."""
    if since is None:
        return list((await db.scalars(OF_REPOSITORY, {"repository": place.repository_id})).all())
    bound = {"repository": place.repository_id, "ref": place.bound["ref"], "since": since}
    return list((await db.scalars(TOUCHED, bound)).all())


async def with_heads(db: AsyncConnection, repository_id: str, shas: Sequence[str]) -> list[str]:
    """Return the pull requests of a repository that ever had one of some commits as their head."""
    bound = {"repository": repository_id, "shas": list(shas)}
    return list((await db.scalars(WITH_HEADS, bound)).all())


async def measure(db: AsyncConnection, pull_requests: Sequence[str]) -> list[str]:
    """Write the times of some pull requests; return those that changed."""
    return list((await db.scalars(MEASURE, {"ids": list(pull_requests)})).all())
