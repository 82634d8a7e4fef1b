"""Questions about the commit graph, answered from what pushes, pull requests and compare told.

Each is asked for many deployments at once: `asked` holds one row for each, of which `n` comes back
with every answer. A history of thousands is so read in a few round trips.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

WALK_PUSHES = 1000
TOGETHER = 500
SLACK = timedelta(minutes=1)

ASKED = """
    with asked as (
        select * from jsonb_to_recordset(cast(:asked as jsonb)) as a(
            n int, until timestamptz, since timestamptz, base text, head text, sha text,
            shas text[], ids text[]))
"""

WALK = text(f"""
    {ASKED}
    select a.n, w.shas, w.found
      from asked a cross join lateral (
        with recursive walk as (
            select p.before, p.shas[1:c.position + 1] as shas, 0 as step,
                   p.before = a.base or a.base = any(p.shas[1:c.position + 1]) as found
              from push_commits c join pushes p on p.id = c.push_id
             where c.repository_id = :repository and c.sha = a.head and p.ref = :ref
               and p.complete and p.pushed_at <= a.until
            union all
            select p.before, p.shas, w.step + 1, p.before = a.base or a.base = any(p.shas)
              from walk w
              join pushes p
                on p.repository_id = :repository and p.ref = :ref and p.after = w.before
             where not w.found and p.complete and p.pushed_at <= a.until and w.step < :most)
        select shas, found, step from walk where exists (select from walk where found)) w
     order by a.n, w.step
""")  # noqa: S608 - made of our own words

COMPARED = text(f"""
    {ASKED}
    select a.n, c.complete, c.shas from asked a
      join comparisons c on c.repository_id = :repository and c.base = a.base and c.head = a.head
""")  # noqa: S608

POSITION = text(f"""
    {ASKED}
    select a.n, known.at from asked a cross join lateral (
        select max(at) as at from (
            select merged_at as at from pull_requests
             where repository_id = :repository and merge_commit_sha = a.sha and base_is_default
               and merged_at <= a.until
            union all
            select p.pushed_at from push_commits c join pushes p on p.id = c.push_id
             where c.repository_id = :repository and c.sha = a.sha and p.ref = :ref
               and p.pushed_at <= a.until) told) known
     where known.at is not null
""")  # noqa: S608

MERGED_BETWEEN = text(f"""
    {ASKED}
    select a.n, told.sha from asked a cross join lateral (
        select merge_commit_sha as sha, merged_at as at from pull_requests
         where repository_id = :repository and base_is_default and merge_commit_sha is not null
           and merged_at <= a.until and merged_at > a.since
        union
        select p.after, p.pushed_at from pushes p
         where p.repository_id = :repository and p.ref = :ref and cardinality(p.shas) > 0
           and p.pushed_at <= a.until and p.pushed_at > a.since) told
     order by a.n, told.at, told.sha
""")  # noqa: S608

TAGGED = text(f"""
    {ASKED}
    select a.n, p.after as sha from asked a cross join lateral (
        select after from pushes
         where repository_id = :repository and ref = 'refs/tags/' || a.sha
           and pushed_at <= a.until
         order by pushed_at desc limit 1) p
""")  # noqa: S608

# A commit belongs to the pull request that merged it, or whose head it once was, or that listed
# it, or with whose merge commit it arrived in one push (a rebase merge), or whose commit it
# repeats word for word (a rebase merge of which no push told).
OWNERS = text(f"""
    {ASKED}
    select s.n, o.* from asked s cross join lateral (
        with wanted as (select unnest(s.shas) as sha),
        merged as not materialized (
            select pr.* from pull_requests pr
             where pr.repository_id = :repository and pr.merged_at <= s.until)
        select a.sha, pr.id as owner, 1 as strength
          from wanted a join merged pr on pr.merge_commit_sha = a.sha
        union all
        select a.sha, h.pull_request_id, 2
          from wanted a join pull_request_heads h on h.sha = a.sha join merged pr
            on pr.id = h.pull_request_id
         where pr.repository_id = :repository
        union all
        select a.sha, c.pull_request_id, 2
          from wanted a join pull_request_commits c on c.sha = a.sha join merged pr
            on pr.id = c.pull_request_id
        union all
        select a.sha, pr.id, 3
          from wanted a
          join push_commits c on c.repository_id = :repository and c.sha = a.sha
          join pushes p on p.id = c.push_id and p.ref <> :ref and p.pushed_at <= s.until
          join merged pr on pr.head_ref = substr(p.ref, 12)
                        and coalesce(pr.head_repository_id, pr.repository_id) = p.repository_id
                        and p.pushed_at <= pr.merged_at + interval '1 minute'
         where not exists (
               select from push_commits m join pushes d on d.id = m.push_id
                where m.repository_id = :repository and m.sha = a.sha and d.ref = :ref
                  and d.pushed_at <= s.until and not pr.merge_commit_sha = any(d.shas))
        union all
        select c.sha, pr.id, 4
          from wanted a
          join push_commits c on c.repository_id = :repository and c.sha = a.sha
          join pushes p on p.id = c.push_id and p.ref = :ref and p.pushed_at <= s.until
          join lateral (
              select m.id from push_commits later
                join merged m on m.merge_commit_sha = later.sha
               where later.push_id = p.id and later.position >= c.position
               order by later.position limit 1) pr on true
        union all
        select a.sha, c.pull_request_id, 5
          from wanted a
          join commits k on k.repository_id = :repository and k.sha = a.sha
          join pull_request_commits c on c.authored_at = k.authored_at and c.headline = k.headline
          join merged pr on pr.id = c.pull_request_id
        union all
        select a.sha, pr.id, 5
          from wanted a
          join commits k on k.repository_id = :repository and k.sha = a.sha
          join commits twin on twin.repository_id = :repository and twin.authored_at = k.authored_at
                           and twin.headline = k.headline and twin.sha <> k.sha
          join push_commits c on c.repository_id = :repository and c.sha = twin.sha
          join pushes p on p.id = c.push_id and p.ref <> :ref and p.pushed_at <= s.until
          join merged pr on pr.head_ref = substr(p.ref, 12)
                        and p.pushed_at <= pr.merged_at + interval '1 minute') o
""")  # noqa: S608

DIRECT = text(f"""
    {ASKED}
    select a.n, k.sha, k.authored_at, k.headline, k.author_login, k.author_name, k.paths,
           k.paths_known, push.id as push_id, push.pushed_at
      from asked a cross join lateral unnest(a.shas) as wanted(sha)
      join commits k on k.repository_id = :repository and k.sha = wanted.sha
      left join lateral (
          select p.id, p.pushed_at from push_commits c join pushes p on p.id = c.push_id
           where c.repository_id = k.repository_id and c.sha = k.sha and p.ref = :ref
             and p.pushed_at <= a.until
           order by p.pushed_at, p.id limit 1) push on true
""")  # noqa: S608

# Every commit ever seen on a pull request: the pushes that led to any of its heads, walked back
# on its branch, without what reached the default branch some other way. Which branch that is
# (`main`), and by when (`until`), is said of each pull request; `ids` says which are asked of.
SEEN_BY = """
    with recursive pr as (
        select id, repository_id, coalesce(head_repository_id, repository_id) as home,
               'refs/heads/' || head_ref as ref, head_sha, merge_commit_sha, {main} as main,
               {until} as until
          from pull_requests where id = any({ids})),
    heads as (
        select h.pull_request_id, h.sha from pull_request_heads h
         where h.pull_request_id = any({ids})
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
         where pull_request_id = any({ids}))
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
SEEN = text(f"""
    {ASKED}
    select a.n, told.* from asked a cross join lateral (
        {SEEN_BY.format(main="cast(:ref as text)", until="a.until", ids="a.ids")}) told
""")  # noqa: S608

TURNS = text(f"""
    {ASKED}
    select a.n, pr.id, pr.number, pr.title, pr.url, pr.author_login, pr.cohort, pr.labels,
           pr.head_ref, pr.head_sha, pr.merge_commit_sha, pr.opened_at, pr.merged_at, pr.commits,
           (select max(t.at) from pull_request_turns t
             where t.pull_request_id = pr.id and t.action = 'ready_for_review'
               and t.at <= a.until) as ready_at,
           (select min(r.submitted_at) from reviews r
             where r.pull_request_id = pr.id and r.cohort <> 'bots' and r.submitted_at <= a.until
               and r.author_id is distinct from pr.author_id) as first_review_at,
           merge.paths, coalesce(merge.paths_known, false) as paths_known
      from asked a cross join lateral unnest(a.ids) as wanted(id)
      join pull_requests pr on pr.id = wanted.id
      left join commits merge
        on merge.repository_id = pr.repository_id and merge.sha = pr.merge_commit_sha
""")  # noqa: S608


@dataclass(frozen=True)
class Place:
    """Where a question is asked: a repository and its default branch."""

    repository_id: str
    default_branch: str

    @property
    def bound(self) -> dict[str, Any]:
        """The parameters that every question takes."""
        return {"repository": self.repository_id, "ref": f"refs/heads/{self.default_branch}"}


def known_by(finished_at: datetime) -> datetime:
    """Return until when what happened is known of a deployment, give or take what clocks differ.

    So that nothing that happens later can change it, and only what happened by then makes it be
    judged again (METRICS.md R9).
    """
    return finished_at + SLACK


@dataclass(frozen=True)
class Range:
    """The commits of a head that its base has not, oldest first, and how that is known."""

    shas: Sequence[str]
    evidence: str


@dataclass(frozen=True)
class Span:
    """A deployment of `head` after one of `base`, which had finished at `since`.

    It is judged by what had happened by `until`: see `known_by`.
    """

    base: str
    head: str
    since: datetime
    until: datetime


async def answers(
    db: AsyncConnection,
    place: Place,
    question: Any,
    asked: Sequence[Mapping[str, Any]],
    **bound: Any,
) -> list[Row[Any]]:
    """Ask one of the questions of this module for many deployments; `n` is the place in `asked`."""
    found: list[Row[Any]] = []
    for first in range(0, len(asked), TOGETHER):
        told = [{**each, "n": n} for n, each in enumerate(asked[first : first + TOGETHER], first)]
        rows = await db.execute(question, place.bound | bound | {"asked": to_json(told).decode()})
        found += rows.all()
    return found


async def known_ranges(
    db: AsyncConnection, place: Place, spans: Sequence[Span]
) -> dict[Span, Range | None]:
    """Return the ranges that are known surely; None where GitHub was asked, and could not say.

    A span that is missing was not asked of GitHub yet.
    """
    asked = [{"base": span.base, "head": span.head, "until": span.until} for span in spans]
    known: dict[Span, Range | None] = {}
    for row in await answers(db, place, COMPARED, asked):
        known[spans[row.n]] = Range(row.shas, "compare") if row.complete else None
    return known | await pushed_ranges(db, place, spans)


async def pushed_ranges(
    db: AsyncConnection, place: Place, spans: Sequence[Span]
) -> dict[Span, Range]:
    """Read ranges from unbroken chains of pushes to the default branch, where there are any."""
    asked = [{"base": span.base, "head": span.head, "until": span.until} for span in spans]
    walked: dict[int, list[Row[Any]]] = {}
    for row in await answers(db, place, WALK, asked, most=WALK_PUSHES):
        walked.setdefault(row.n, []).append(row)
    return {spans[n]: pushed_range(spans[n].base, steps) for n, steps in walked.items()}


def pushed_range(base: str, steps: Sequence[Row[Any]]) -> Range:
    """Return what the pushes of a walk brought after a base."""
    shas: list[str] = []
    for step in steps:
        shas = [*step.shas, *shas]
        if step.found:
            break
    after_base = shas.index(base) + 1 if base in shas else 0
    return Range(shas[after_base:], "push")


async def merged_ranges(
    db: AsyncConnection, place: Place, spans: Sequence[Span]
) -> dict[Span, Range]:
    """Return what the default branch took in from each base to its head, by the order of merges.

    Where nothing tells when the head reached the default branch, nothing is claimed.
    """
    heads = await positions(db, place, [(span.head, span.until) for span in spans])
    bases = await positions(db, place, [(span.base, span.until) for span in spans])
    placed = [n for n in range(len(spans)) if n in heads]
    asked = [{"since": bases.get(n, spans[n].since), "until": heads[n]} for n in placed]
    shas: dict[int, list[str]] = {n: [] for n in placed}
    for row in await answers(db, place, MERGED_BETWEEN, asked):
        shas[placed[row.n]].append(row.sha)
    return {
        span: Range(list(dict.fromkeys(shas[n])), "merge order")
        if n in shas
        else Range((), "unknown")
        for n, span in enumerate(spans)
    }


async def positions(
    db: AsyncConnection, place: Place, asked: Sequence[tuple[str, datetime]]
) -> dict[int, datetime]:
    """Return when commits reached the default branch, by their place; those not told are missing.

    Each is asked of as what had happened by a time.
    """
    told = [{"sha": sha, "until": until} for sha, until in asked]
    return {row.n: row.at for row in await answers(db, place, POSITION, told)}


async def tagged(
    db: AsyncConnection, place: Place, asked: Mapping[str, tuple[str, datetime]]
) -> dict[str, str]:
    """Return the commits that tags were pushed to by a time, where a push told, by any name."""
    names = list(asked)
    told = [{"sha": asked[name][0], "until": asked[name][1]} for name in names]
    return {names[row.n]: row.sha for row in await answers(db, place, TAGGED, told)}


async def owners(
    db: AsyncConnection, place: Place, ranges: Mapping[Span, Sequence[str]]
) -> dict[Span, dict[str, str]]:
    """Return which merged pull request each commit belongs to; commits of none are left out."""
    spans = list(ranges)
    asked = [{"shas": list(ranges[span]), "until": span.until} for span in spans]
    best: dict[Span, dict[str, tuple[int, str]]] = {span: {} for span in spans}
    for row in await answers(db, place, OWNERS, asked):
        held, claim = best[spans[row.n]], (row.strength, row.owner)
        if row.sha not in held or claim < held[row.sha]:
            held[row.sha] = claim
    return {span: {sha: owner for sha, (_, owner) in held.items()} for span, held in best.items()}
