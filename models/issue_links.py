"""Which pull requests belong to which issues: derived from what each says of the other."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

EVIDENCE = ("closes", "branch", "mention", "attachment")
"""How a link is known, the strongest first."""

LOCK = text("select pg_advisory_xact_lock(hashtextextended('issue_links:' || :organization, 0))")

CHANGED_PULL_REQUESTS = text("""
    select id from pull_requests
     where organization_id = :organization and repository_id = :repository
       and (cast(:since as timestamptz) is null or changed_at >= :since)
     order by id
""")
CHANGED_ISSUES = text("""
    select id from issues
     where organization_id = :organization and repository_id = :repository
       and (cast(:since as timestamptz) is null or changed_at >= :since)
     order by id
""")
CHANGED_LINEAR_ISSUES = text("""
    select id from linear_issues
     where organization_id = :organization
       and (cast(:since as timestamptz) is null or changed_at >= :since)
    union
    select issue_id from linear_attachments
     where organization_id = :organization
       and (cast(:since as timestamptz) is null or changed_at >= :since)
     order by 1
""")

# What pull requests say of GitHub's issues and of Linear's, and what Linear attached to its issues.
FROM_PULL_REQUESTS = """
    select i.id as issue_id, p.id as pull_request_id, p.organization_id, 'github' as source,
           case when said.of = any(p.closes) then 1 else 3 end as strength
      from pull_requests p
     cross join lateral unnest(p.mentions) as said(of)
      join called r on r.organization_id = p.organization_id
       and r.name = split_part(substr(said.of, 8), '#', 1) and p.opened_at <= r.until
      join issues i on i.repository_id = r.id and not i.deleted
       and i.number = cast(case when said.of ~ '^number:[^#]+#[0-9]{1,10}$'
                                then split_part(said.of, '#', 2) end as bigint)
     where p.id = any(:changed) and said.of like 'number:%#%'
    union all
    select i.id, p.id, p.organization_id, 'linear',
           case when said.of = any(p.closes) then 1
                when lower(p.head_ref) ~ ('(^|/)' || lower(substr(said.of, 12)) || '($|[-_/])')
                then 2 else 3 end
      from pull_requests p
     cross join lateral unnest(p.mentions) as said(of)
      join linear_issues i on i.organization_id = p.organization_id and not i.deleted
       and (i.identifier = substr(said.of, 12)
            or i.previous_identifiers @> array[substr(said.of, 12)])
     where p.id = any(:changed) and said.of like 'identifier:%'
    union all
    select i.id, p.id, p.organization_id, 'linear', 4
      from pull_requests p
      join linear_attachments a on a.url = p.url and a.organization_id = p.organization_id
       and not a.deleted
      join linear_issues i on i.id = a.issue_id and not i.deleted
     where p.id = any(:changed)
"""

# The same from the other end, by the index of what pull requests mention.
FROM_ISSUES = """
    select i.id as issue_id, p.id as pull_request_id, p.organization_id, 'github' as source,
           case when said.of = any(p.closes) then 1 else 3 end as strength
      from issues i
      join called r on r.id = i.repository_id
     cross join lateral (
           select 'number:' || r.name || '#' || i.number as of) as said
      join pull_requests p on p.mentions @> array[said.of]
       and p.organization_id = i.organization_id and p.opened_at <= r.until
     where i.id = any(:changed) and not i.deleted
    union all
    select i.id, p.id, p.organization_id, 'linear',
           case when 'identifier:' || named.it = any(p.closes) then 1
                when lower(p.head_ref) ~ ('(^|/)' || lower(named.it) || '($|[-_/])')
                then 2 else 3 end
      from linear_issues i
     cross join lateral unnest(i.identifier || i.previous_identifiers) as named(it)
      join pull_requests p on p.mentions @> array['identifier:' || named.it]
       and p.organization_id = i.organization_id
     where i.id = any(:changed) and not i.deleted
    union all
    select i.id, p.id, p.organization_id, 'linear', 4
      from linear_issues i
      join linear_attachments a on a.issue_id = i.id and not a.deleted
      join called r on r.organization_id = i.organization_id
       and r.name
           = lower(substring(a.url from '^https?://[^/]+/([^/]+/[^/]+)/pull/[0-9]{1,9}$'))
      join pull_requests p on p.repository_id = r.id and p.url = a.url
       and p.number = cast(substring(a.url from '/pull/([0-9]{1,9})$') as bigint)
     where i.id = any(:changed) and not i.deleted
"""

# A name that a repository had before means it in what was opened before it was renamed.
LINK = """
    with called as (
        select id, organization_id, lower(full_name) as name,
               cast('infinity' as timestamptz) as until
          from repositories
        union all
        select repository_id, organization_id, full_name, changed_at from repository_names),
    told as ({told}),
    best as (
        select issue_id, pull_request_id, organization_id, source,
               (array['closes', 'branch', 'mention', 'attachment'])[min(strength)] as evidence
          from told group by 1, 2, 3, 4),
    gone as (
        delete from issue_pull_requests x
         where x.{end} = any(:changed)
           and not exists (select from best b where b.issue_id = x.issue_id
                              and b.pull_request_id = x.pull_request_id)
        returning 1),
    kept as (
        insert into issue_pull_requests
               (issue_id, pull_request_id, organization_id, source, evidence)
        select issue_id, pull_request_id, organization_id, source, evidence from best
            on conflict (issue_id, pull_request_id) do update
               set evidence = excluded.evidence, organization_id = excluded.organization_id
             where issue_pull_requests.evidence <> excluded.evidence
                or issue_pull_requests.organization_id <> excluded.organization_id
        returning 1)
    select (select count(*) from gone) + (select count(*) from kept)
"""
LINK_PULL_REQUESTS = text(LINK.format(told=FROM_PULL_REQUESTS, end="pull_request_id"))
LINK_ISSUES = text(LINK.format(told=FROM_ISSUES, end="issue_id"))


async def lock(db: AsyncConnection, organization_id: str) -> None:
    """Let one worker at a time link an organisation's issues; freed when the transaction ends."""
    await db.execute(LOCK, {"organization": organization_id})


async def changed_pull_requests(
    db: AsyncConnection, organization_id: str, repository_id: str, since: datetime | None
) -> list[str]:
    """Return a repository's pull requests that changed since; None: all of them."""
    bound = {"organization": organization_id, "repository": repository_id, "since": since}
    return list((await db.scalars(CHANGED_PULL_REQUESTS, bound)).all())


async def changed_issues(
    db: AsyncConnection, organization_id: str, repository_id: str, since: datetime | None
) -> list[str]:
    """Return a repository's issues that changed since; None: all of them."""
    bound = {"organization": organization_id, "repository": repository_id, "since": since}
    return list((await db.scalars(CHANGED_ISSUES, bound)).all())


async def changed_linear_issues(
    db: AsyncConnection, organization_id: str, since: datetime | None
) -> list[str]:
    """Return Linear's issues that changed since, or what is attached to them; None: all."""
    bound = {"organization": organization_id, "since": since}
    return list((await db.scalars(CHANGED_LINEAR_ISSUES, bound)).all())


async def link_pull_requests(db: AsyncConnection, pull_requests: Sequence[str]) -> int:
    """Link pull requests with the issues they belong to; return how many links changed."""
    return int(await db.scalar(LINK_PULL_REQUESTS, {"changed": list(pull_requests)}) or 0)


async def link_issues(db: AsyncConnection, issues: Sequence[str]) -> int:
    """Link issues, of GitHub or Linear, with their pull requests; return how many links changed."""
    return int(await db.scalar(LINK_ISSUES, {"changed": list(issues)}) or 0)
