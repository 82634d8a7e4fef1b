"""Open pull requests, the oldest first, and whose move each of them waits for."""

# ruff: noqa: S608 - SQL is put together of constants only

from datetime import datetime
from typing import TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Scope, ask, utc
from models.metrics.groups import of_people
from models.metrics.privacy import Sight
from models.metrics.review_time import PULL_REQUEST

# A push after the last review answers it: then it is the reviewers' move again.
OPEN = f"""
select {PULL_REQUEST}, t.opened_at as at, t.draft, pushed.at as pushed_at,
       reviewed.at as reviewed_at, reviewed.state as review,
       case when t.draft then 'nobody'
            when reviewed.at is null or reviewed.at < pushed.at then 'reviewer'
            else 'author' end as waiting_for
from pull_request_times t
join pull_requests pr on pr.id = t.pull_request_id
left join lateral (select max(x.pushed_at) as at from pushes x
                    where x.repository_id = coalesce(pr.head_repository_id, pr.repository_id)
                      and x.ref = 'refs/heads/' || pr.head_ref and x.after = pr.head_sha) pushed
  on true
left join lateral (select r.submitted_at as at, r.state from reviews r
                    where r.pull_request_id = t.pull_request_id and r.cohort <> 'bots'
                      and r.author_id is distinct from pr.author_id
                      and r.submitted_at >= t.ready_at
                    order by r.submitted_at desc, r.id desc limit 1) reviewed on true
where t.state = 'open'
"""

OLDEST = """
select *, count(*) over () as all_open, count(*) filter (where draft) over () as all_drafts,
       count(*) filter (where waiting_for = 'reviewer') over () as for_reviewer,
       count(*) filter (where waiting_for = 'author') over () as for_author
from rows where cohort = any(:cohorts) order by draft, at, id limit :limit
"""
COUNTS = ("all_open", "all_drafts", "for_reviewer", "for_author")


class OpenPullRequest(TypedDict):
    """A pull request that is open. `waiting_for`: reviewer, author, or nobody for a draft.

    `waiting_since`: when that began. `author`: None where whoever asks may not see it. `review`:
    what the last review said, None without one.
    """

    id: str
    what: str
    repository_id: str
    repository: str | None
    number: int
    title: str
    url: str | None
    author: str | None
    cohort: str
    draft: bool
    opened_at: str
    waiting_for: str
    waiting_since: str
    review: str | None
    age_seconds: float


class Ageing(TypedDict):
    """How many pull requests are open, whom they wait for, and the oldest of them.

    Drafts come last, and are in none of `waiting_for_…`.
    """

    count: int
    drafts: int
    waiting_for_reviewer: int
    waiting_for_author: int
    pull_requests: list[OpenPullRequest]


async def open_pull_requests(
    db: AsyncConnection, scope: Scope, sight: Sight, now: datetime, limit: int = 50
) -> Ageing:
    """The open pull requests of a scope's cohorts, oldest first, drafts after the others."""
    rows = of_people(OPEN, scope, sight, None, None)
    oldest = (await ask(db, rows, OLDEST, limit=limit)).mappings().all()
    counts = oldest[0] if oldest else dict.fromkeys(COUNTS, 0)
    all_open, drafts, for_reviewer, for_author = (counts[name] for name in COUNTS)
    return Ageing(
        count=all_open,
        drafts=drafts,
        waiting_for_reviewer=for_reviewer,
        waiting_for_author=for_author,
        pull_requests=[described(row, now) for row in oldest],
    )


def described(told: RowMapping, now: datetime) -> OpenPullRequest:
    """One open pull request."""
    since = told["opened_at"]
    if told["waiting_for"] == "author":
        since = told["reviewed_at"]
    elif told["waiting_for"] == "reviewer":
        times = (told["ready_at"], told["pushed_at"] if told["reviewed_at"] else None)
        since = max(time for time in times if time)
    return OpenPullRequest(
        id=told["id"],
        what=told["what"],
        repository_id=told["repository_id"],
        repository=told["repository"],
        number=told["pull_request_number"],
        title=told["title"],
        url=told["url"],
        author=told["author"],
        cohort=told["cohort"],
        draft=told["draft"],
        opened_at=utc(told["opened_at"]),
        waiting_for=told["waiting_for"],
        waiting_since=utc(since),
        review=told["review"],
        age_seconds=(now - told["opened_at"]).total_seconds(),
    )
