"""Which finished tickets of a repository are like another, by Postgres' full-text search."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

MOST_WORDS = 60
MOST_LOOKED_AT = 500
FEWEST_SHARED = 2
"""One word in common, such as `fix`, makes no two tickets alike."""

# The words of the title are asked for, then those that the body repeats; any of them counts. Only
# the newest tickets are looked at, so that it stays fast where there are very many.
SIMILAR = text("""
    with words as (
        select lexeme as word
          from unnest(setweight(to_tsvector('english', left(cast(:title as text), 500)), 'A')
                      || to_tsvector('english', left(cast(:body as text), 8000)))
         order by 'A' = any(weights) desc, cardinality(positions) desc, length(lexeme) desc, lexeme
         limit :most_words),
    question as (
        select array_agg(word) as words,
               cast(string_agg('''' || replace(replace(word, '\\', '\\\\'), '''', '''''') || '''',
                               ' | ') as tsquery) as asked
          from words),
    finished as (
        select t.id, t.number, t.title, t.status, t.pull_request_number,
               setweight(to_tsvector('english', left(t.title, 500)), 'A')
                   || setweight(to_tsvector('english', left(t.body, 2000)), 'C') as said
          from tickets t
         where t.repository_id = :repository and t.id <> :id
           and t.status in ('closed', 'failed', 'cancelled')
         order by t.updated_at desc limit :most_looked_at),
    near as (
        select f.*, ts_rank(f.said, q.asked, 1) as rank, q.words,
               exists (select from pull_requests p
                        where p.repository_id = :repository
                          and p.number = f.pull_request_number
                          and p.merged_at is not null) as merged
          from finished f, question q
         where f.said @@ q.asked)
    select k.id, k.number, k.title, k.status, k.merged, k.pull_request_number, k.rank,
           r.state, r.summary, r.changes -> 'files' as files
      from near k
      left join lateral (select state, summary, changes from runs
                          where ticket_id = k.id and finished_at is not null
                            and kind in ('develop', 'plan')
                          order by id desc limit 1) r on true
     where (select count(*) from unnest(tsvector_to_array(k.said)) as said(word)
             where word = any(k.words)) >= least(:fewest_shared, cardinality(k.words))
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
        "most_words": MOST_WORDS,
        "most_looked_at": MOST_LOOKED_AT,
        "fewest_shared": FEWEST_SHARED,
    }
    return (await db.execute(SIMILAR, bound)).mappings().all()
