"""Which finished tickets of a repository are like another, by Postgres' full-text search."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

MOST_LEXEMES = 60
MOST_LOOKED_AT = 2000
LEAST_RANK = 0.05

# The ticket's own words are asked for, any of them, the rarest part of its title counting most.
# Only its newest tickets are looked at, so that it stays fast where there are very many.
SIMILAR = text("""
    with words as (
        select unnest(tsvector_to_array(
                   strip(to_tsvector('english', left(cast(:title as text), 500))
                         || to_tsvector('english', left(cast(:body as text), 4000))))) as word
         limit :most_lexemes),
    question as (
        select string_agg(quote_literal(word), ' | ')::tsquery as asked from words),
    finished as (
        select t.id, t.number, t.title, t.status, t.pull_request_number, t.closed_at, t.updated_at,
               setweight(to_tsvector('english', left(t.title, 500)), 'A')
                   || setweight(to_tsvector('english', left(t.body, 4000)), 'C') as said
          from tickets t
         where t.repository_id = :repository and t.id <> :id
           and t.status in ('closed', 'failed', 'cancelled')
         order by t.updated_at desc limit :most_looked_at),
    ranked as (
        select f.*, ts_rank(f.said, q.asked, 1) as rank,
               exists (select from pull_requests p
                        where p.repository_id = :repository
                          and p.number = f.pull_request_number
                          and p.merged_at is not null) as merged
          from finished f, question q
         where f.said @@ q.asked)
    select k.id, k.number, k.title, k.status, k.merged, k.pull_request_number, k.rank,
           r.state, r.summary, r.changes -> 'files' as files
      from ranked k
      left join lateral (select state, summary, changes from runs
                          where ticket_id = k.id and finished_at is not null
                            and kind in ('develop', 'plan')
                          order by id desc limit 1) r on true
     where k.rank >= :least
     order by k.merged desc, k.rank desc, k.id
     limit :most
""")


async def finished_like(
    db: AsyncConnection, ticket: RowMapping | dict[str, object], most: int = 3
) -> Sequence[RowMapping]:
    """Return the finished tickets of the same repository that share most words with this one.

    Those whose pull request was merged come first. Each with `merged`, `pull_request_number`, and
    of its last run `state`, `summary` and `files` (`[{path, …}]`); None where there was no run.
    """
    bound = {
        "id": ticket["id"],
        "repository": ticket["repository_id"],
        "title": ticket["title"],
        "body": ticket["body"],
        "most": most,
        "most_lexemes": MOST_LEXEMES,
        "most_looked_at": MOST_LOOKED_AT,
        "least": LEAST_RANK,
    }
    return (await db.execute(SIMILAR, bound)).mappings().all()
