"""How long issues took, at GitHub and Linear: derived from them and their pull requests."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from models import columns
from models.people import GITHUB_ACCOUNT

COVERED = ["repository_id", "account", "cohort", "created_at", "merged_at"]


class IssueTime(SQLModel, table=True):
    """An issue with the last merge of its pull requests.

    `merged_at`, `pull_request_id`, `author_login` and `evidence` are that merge's, None without
    one; `linked`: some pull request belongs to it. `account`: whose it is: at Linear its
    assignee's, else (or where the agent or a bot made it) the pull request's author's. `closed_at`:
    when it was closed or completed. `ended_at`: `merged_at`, or `created_at` without one.
    """

    __tablename__ = "issue_times"
    __table_args__ = (
        Index(
            "issue_times_ended",
            "organization_id",
            "ended_at",
            postgresql_include=COVERED,
        ),
        Index(
            "issue_times_closed",
            "organization_id",
            "closed_at",
            postgresql_include=["repository_id", "account", "cohort"],
        ),
    )

    issue_id: str = columns.text(primary_key=True)
    organization_id: str = columns.text()
    source: str = columns.text()
    repository_id: str | None = columns.maybe_text()
    account: str | None = columns.maybe_text()
    author_login: str | None = columns.maybe_text()
    cohort: str = columns.text()
    created_at: datetime = columns.time()
    closed_at: datetime | None = columns.maybe_time()
    canceled: bool = False
    linked: bool = False
    evidence: str | None = columns.maybe_text()
    pull_request_id: str | None = columns.maybe_text()
    merged_at: datetime | None = columns.maybe_time()
    ended_at: datetime = columns.time()


# Of those who measure at once the last to come here sees what the others wrote.
LOCK = text("select pg_advisory_xact_lock(hashtextextended('issue_times:' || :organization, 0))")

OF_PULL_REQUESTS = text("""
    select distinct issue_id from issue_pull_requests where pull_request_id = any(:ids)
""")

FORGET = text("""
    delete from issue_times t
     where t.issue_id = any(:ids)
       and not exists (select from issues i where i.id = t.issue_id and not i.deleted)
       and not exists (select from linear_issues i where i.id = t.issue_id and not i.deleted)
""")

MEASURE = text(f"""
    with told as (
        select i.id, i.organization_id, 'github' as source, i.repository_id,
               cast(null as text) as assignee_id, i.created_at,
               case when i.state = 'closed' then i.closed_at end as closed_at, false as canceled
          from issues i where i.id = any(:ids) and not i.deleted
        union all
        select i.id, i.organization_id, 'linear', null, i.assignee_id, i.created_at,
               i.completed_at, i.canceled_at is not null
          from linear_issues i where i.id = any(:ids) and not i.deleted),
    known as (
        select told.*, exists (select from issue_pull_requests l where l.issue_id = told.id)
               as linked,
               last.pull_request_id, last.merged_at, last.author_login, last.evidence,
               last.repository_id as merged_in, coalesce(last.cohort, 'people') as cohort
          from told
          left join lateral (
              select t.pull_request_id, t.merged_at, t.author_login, t.repository_id, t.cohort,
                     l.evidence
                from issue_pull_requests l
                join pull_request_times t on t.pull_request_id = l.pull_request_id
               where l.issue_id = told.id and t.merged_at is not null
               order by t.merged_at desc, t.pull_request_id desc limit 1) last on true)
    insert into issue_times as x
           (issue_id, organization_id, source, repository_id, account, author_login, cohort,
            created_at, closed_at, canceled, linked, evidence, pull_request_id, merged_at, ended_at)
    select id, organization_id, source, coalesce(repository_id, merged_in),
           case when cohort = 'people' and assignee_id is not null then assignee_id
                else '{GITHUB_ACCOUNT}' || lower(author_login) end,
           author_login, cohort, created_at, closed_at, canceled, linked, evidence,
           pull_request_id, merged_at, coalesce(merged_at, created_at)
      from known order by id
        on conflict (issue_id) do update
       set (organization_id, source, repository_id, account, author_login, cohort, created_at,
            closed_at, canceled, linked, evidence, pull_request_id, merged_at, ended_at)
         = (excluded.organization_id, excluded.source, excluded.repository_id, excluded.account,
            excluded.author_login, excluded.cohort, excluded.created_at, excluded.closed_at,
            excluded.canceled, excluded.linked, excluded.evidence, excluded.pull_request_id,
            excluded.merged_at, excluded.ended_at)
     where x is distinct from excluded
""")  # noqa: S608 - of constants only


async def measure_issues(db: AsyncConnection, organization_id: str, issues: Sequence[str]) -> None:
    """Write the times of some issues; call it after whatever they depend on was written."""
    if not issues:
        return
    await db.execute(LOCK, {"organization": organization_id})
    for statement in (FORGET, MEASURE):
        await db.execute(statement, {"ids": list(issues)})


async def issues_of(db: AsyncConnection, pull_requests: Sequence[str]) -> list[str]:
    """Return the issues that some pull requests belong to."""
    return list((await db.scalars(OF_PULL_REQUESTS, {"ids": list(pull_requests)})).all())
