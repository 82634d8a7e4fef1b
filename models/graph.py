"""Questions about the commit graph, answered from what pushes, pull requests and compare told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WALK_PUSHES = 1000
SLACK = timedelta(minutes=1)
FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)

WALK = text("""
    with recursive walk as (
        select p.before, p.complete, p.shas[1:c.position + 1] as shas, 0 as step,
               p.before = :base or :base = any(p.shas[1:c.position + 1]) as found
          from push_commits c join pushes p on p.id = c.push_id
         where c.repository_id = :repository and c.sha = :head and p.ref = :ref
           and p.complete and p.pushed_at <= :until
        union all
        select p.before, p.complete, p.shas, w.step + 1, p.before = :base or :base = any(p.shas)
          from walk w
          join pushes p on p.repository_id = :repository and p.ref = :ref and p.after = w.before
         where not w.found and p.complete and p.pushed_at <= :until and w.step < :most)
    select shas, found from walk order by step
""")

COMPARED = text("""
    select status, complete, shas from comparisons
     where repository_id = :repository and base = :base and head = :head
""")

POSITION = text("""
    select max(at) from (
        select merged_at as at from pull_requests
         where repository_id = :repository and merge_commit_sha = :sha and base_is_default
           and merged_at <= :until
        union all
        select p.pushed_at from push_commits c join pushes p on p.id = c.push_id
         where c.repository_id = :repository and c.sha = :sha and p.ref = :ref
           and p.pushed_at <= :until) as known
""")

MERGED_BETWEEN = text("""
    select merge_commit_sha as sha, merged_at as at from pull_requests
     where repository_id = :repository and base_is_default and merge_commit_sha is not null
       and merged_at <= :until and (cast(:since as timestamptz) is null or merged_at > :since)
    union
    select p.after, p.pushed_at from pushes p
     where p.repository_id = :repository and p.ref = :ref and cardinality(p.shas) > 0
       and p.pushed_at <= :until and (cast(:since as timestamptz) is null or p.pushed_at > :since)
     order by at, sha
""")

TAGGED = text("""
    select after from pushes
     where repository_id = :repository and ref = 'refs/tags/' || :tag and pushed_at <= :until
     order by pushed_at desc limit 1
""")

# A commit belongs to the pull request that merged it, or whose head it once was, or that listed
# it, or with whose merge commit it arrived in one push (a rebase merge), or whose commit it
# repeats word for word (a rebase merge of which no push told).
OWNERS = text("""
    with asked as (select unnest(cast(:shas as text[])) as sha),
    merged as (
        select pr.* from pull_requests pr
         where pr.repository_id = :repository and pr.merged_at <= :until)
    select a.sha, pr.id as owner, 1 as strength
      from asked a join merged pr on pr.merge_commit_sha = a.sha
    union all
    select a.sha, h.pull_request_id, 2
      from asked a join pull_request_heads h on h.sha = a.sha join merged pr
        on pr.id = h.pull_request_id
     where pr.repository_id = :repository
    union all
    select a.sha, c.pull_request_id, 2
      from asked a join pull_request_commits c on c.sha = a.sha join merged pr
        on pr.id = c.pull_request_id
    union all
    select a.sha, pr.id, 3
      from asked a
      join push_commits c on c.repository_id = :repository and c.sha = a.sha
      join pushes p on p.id = c.push_id and p.ref <> :ref and p.pushed_at <= :until
      join merged pr on pr.head_ref = substr(p.ref, 12)
                    and coalesce(pr.head_repository_id, pr.repository_id) = p.repository_id
                    and p.pushed_at <= pr.merged_at + interval '1 minute'
     where not exists (
           select from push_commits m join pushes d on d.id = m.push_id
            where m.repository_id = :repository and m.sha = a.sha and d.ref = :ref
              and d.pushed_at <= :until and not pr.merge_commit_sha = any(d.shas))
    union all
    select c.sha, pr.id, 4
      from asked a
      join push_commits c on c.repository_id = :repository and c.sha = a.sha
      join pushes p on p.id = c.push_id and p.ref = :ref and p.pushed_at <= :until
      join lateral (
          select m.id from push_commits later
            join merged m on m.merge_commit_sha = later.sha
           where later.push_id = p.id and later.position >= c.position
           order by later.position limit 1) pr on true
    union all
    select a.sha, c.pull_request_id, 5
      from asked a
      join commits k on k.repository_id = :repository and k.sha = a.sha
      join pull_request_commits c on c.authored_at = k.authored_at and c.headline = k.headline
      join merged pr on pr.id = c.pull_request_id
    union all
    select a.sha, pr.id, 5
      from asked a
      join commits k on k.repository_id = :repository and k.sha = a.sha
      join commits twin on twin.repository_id = :repository and twin.authored_at = k.authored_at
                       and twin.headline = k.headline and twin.sha <> k.sha
      join push_commits c on c.repository_id = :repository and c.sha = twin.sha
      join pushes p on p.id = c.push_id and p.ref <> :ref and p.pushed_at <= :until
      join merged pr on pr.head_ref = substr(p.ref, 12)
                    and p.pushed_at <= pr.merged_at + interval '1 minute'
""")

DIRECT = text("""
    select k.sha, k.authored_at, k.headline, k.author_login, k.author_name, k.paths,
           k.paths_known, push.id as push_id, push.pushed_at
      from commits k
      left join lateral (
          select p.id, p.pushed_at from push_commits c join pushes p on p.id = c.push_id
           where c.repository_id = k.repository_id and c.sha = k.sha and p.ref = :ref
             and p.pushed_at <= :until
           order by p.pushed_at, p.id limit 1) push on true
     where k.repository_id = :repository and k.sha = any(:shas)
""")

# Every commit ever seen on a pull request: the pushes that led to any of its heads, walked back
# on its branch, without what reached the default branch some other way. Which branch that is
# (`main`), and by when (`until`), is said of each pull request.
SEEN_BY = """
    with recursive pr as (
        select id, repository_id, coalesce(head_repository_id, repository_id) as home,
               'refs/heads/' || head_ref as ref, head_sha, merge_commit_sha, {main} as main,
               {until} as until
          from pull_requests where id = any(:ids)),
    heads as (
        select h.pull_request_id, h.sha from pull_request_heads h
         where h.pull_request_id = any(:ids)
        union select id, head_sha from pr),
    chain as (
        select h.pull_request_id, p.id, p.before, p.ref, p.repository_id, pr.until
          from heads h join pr on pr.id = h.pull_request_id
          join pushes p on p.repository_id = pr.home and p.ref = pr.ref and p.after = h.sha
                       and p.pushed_at <= pr.until
        union
        select c.pull_request_id, p.id, p.before, p.ref, p.repository_id, c.until
          from chain c join pushes p
            on p.repository_id = c.repository_id and p.ref = c.ref and p.after = c.before
           and p.pushed_at <= c.until),
    seen as (
        select c.pull_request_id, k.sha, k.authored_at, k.paths, k.paths_known
          from chain c join push_commits pc on pc.push_id = c.id and pc.fresh
          join commits k on k.repository_id = pc.repository_id and k.sha = pc.sha
        union
        select h.pull_request_id, k.sha, k.authored_at, k.paths, k.paths_known
          from heads h join pr on pr.id = h.pull_request_id
          join commits k on k.repository_id = pr.repository_id and k.sha = h.sha
        union
        select pull_request_id, sha, authored_at, '{{}}', false from pull_request_commits
         where pull_request_id = any(:ids))
    select s.pull_request_id, min(s.authored_at) as first_commit_at,
           count(distinct s.sha) as commits, bool_and(s.paths_known) as paths_known,
           array_agg(distinct path) filter (where path is not null) as paths
      from seen s join pr on pr.id = s.pull_request_id
      left join lateral unnest(s.paths) path on true
     where not exists (
           select from push_commits pc join pushes d on d.id = pc.push_id
            where pc.repository_id = pr.repository_id and pc.sha = s.sha and d.ref = pr.main
              and d.pushed_at <= pr.until
              and not coalesce(pr.merge_commit_sha = any(d.shas), false))
     group by s.pull_request_id
"""
SEEN = text(SEEN_BY.format(main="cast(:ref as text)", until="cast(:until as timestamptz)"))

TURNS = text("""
    select pr.id, pr.number, pr.title, pr.url, pr.author_login, pr.cohort, pr.labels, pr.head_ref,
           pr.head_sha, pr.merge_commit_sha, pr.opened_at, pr.merged_at, pr.commits,
           (select max(t.at) from pull_request_turns t
             where t.pull_request_id = pr.id and t.action = 'ready_for_review'
               and t.at <= :until) as ready_at,
           (select min(r.submitted_at) from reviews r
             where r.pull_request_id = pr.id and r.cohort <> 'bots' and r.submitted_at <= :until
               and r.author_id is distinct from pr.author_id) as first_review_at,
           merge.paths, coalesce(merge.paths_known, false) as paths_known
      from pull_requests pr
      left join commits merge
        on merge.repository_id = pr.repository_id and merge.sha = pr.merge_commit_sha
     where pr.id = any(:ids)
""")


@dataclass(frozen=True)
class Place:
    """Where a question is asked: a repository, its default branch, and what happened by `until`.

    A deployment is judged by what had happened when it finished, so that nothing that happens
    later can change it, and only what happened by then makes it be judged again (METRICS.md R9).
    """

    repository_id: str
    default_branch: str
    until: datetime = FOR_EVER

    @property
    def bound(self) -> dict[str, Any]:
        """The parameters that every question takes."""
        ref = f"refs/heads/{self.default_branch}"
        return {"repository": self.repository_id, "ref": ref, "until": self.until}

    def by(self, at: datetime) -> "Place":
        """Return the same place as of a time, give or take what clocks differ."""
        return replace(self, until=at + SLACK)


@dataclass(frozen=True)
class Range:
    """The commits of a head that its base has not, oldest first, and how that is known."""

    shas: Sequence[str]
    evidence: str


async def pushed_range(db: AsyncConnection, place: Place, base: str, head: str) -> Range | None:
    """Read a range from an unbroken chain of pushes to the default branch; None without one."""
    bound = {**place.bound, "base": base, "head": head, "most": WALK_PUSHES}
    steps = (await db.execute(WALK, bound)).all()
    if not any(step.found for step in steps):
        return None
    shas: list[str] = []
    for step in steps:
        shas = [*step.shas, *shas]
        if step.found:
            break
    after_base = shas.index(base) + 1 if base in shas else 0
    return Range(shas[after_base:], "push")


async def compared_range(
    db: AsyncConnection, place: Place, base: str, head: str
) -> tuple[bool, Range | None]:
    """Tell whether GitHub was asked for a range, and what it answered where that is of use."""
    bound = {"repository": place.repository_id, "base": base, "head": head}
    row = (await db.execute(COMPARED, bound)).first()
    if row is None:
        return False, None
    return True, Range(row.shas, "compare") if row.complete else None


async def position(db: AsyncConnection, place: Place, sha: str) -> datetime | None:
    """Return when a commit reached the default branch, None where nothing told."""
    at = (await db.execute(POSITION, {**place.bound, "sha": sha})).scalar()
    return at if isinstance(at, datetime) else None


async def merged_range(
    db: AsyncConnection, place: Place, since: datetime | None, until: datetime
) -> Range:
    """Return the merges and pushes that the default branch took in (since, until], oldest first."""
    bound = {**place.bound, "since": since, "until": until}
    rows = await db.execute(MERGED_BETWEEN, bound)
    return Range(list(dict.fromkeys(row.sha for row in rows)), "merge order")


async def tagged(db: AsyncConnection, place: Place, tag: str) -> str | None:
    """Return the commit a tag was pushed to, None where no push told."""
    bound = {**place.bound, "tag": tag}
    return (await db.execute(TAGGED, bound)).scalar()


async def owners(db: AsyncConnection, place: Place, shas: Sequence[str]) -> dict[str, str]:
    """Return which merged pull request each commit belongs to; commits of none are left out."""
    rows = await db.execute(OWNERS, {**place.bound, "shas": list(shas)})
    best: dict[str, tuple[int, str]] = {}
    for row in rows:
        claim = (row.strength, row.owner)
        if row.sha not in best or claim < best[row.sha]:
            best[row.sha] = claim
    return {sha: owner for sha, (_, owner) in best.items()}
