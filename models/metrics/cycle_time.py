"""Cycle time: from an issue's creation, at GitHub or Linear, to the merge of its pull request."""

# ruff: noqa: S608 - SQL is put together of constants only

from datetime import datetime

from models.metrics.core import Rows, Scope
from models.metrics.explanation import Metric
from models.metrics.groups import ENDED, for_strangers, of_people
from models.metrics.privacy import Sight
from models.people import GITHUB_ACCOUNT

# Whose an issue is: its assignee's at Linear; else, or where the agent or a bot made it, that of
# the last pull request merged for it.
MERGED = f"""
select i.organization_id, t.repository_id, i.id, t.merged_at as at, t.cohort, i.source,
       case when t.cohort = 'people' and i.assignee_id is not null then i.assignee_id
            else '{GITHUB_ACCOUNT}' || lower(t.author_login) end as account,
       case when t.cohort <> 'people'
              or '{GITHUB_ACCOUNT}' || lower(t.author_login) = any(:visible)
            then t.author_login end as author,
       i.what, i.title, i.url, i.created_at, t.merged_at, l.evidence,
       (select r.full_name from repositories r where r.id = t.repository_id) as repository,
       (select p.number from pull_requests p where p.id = t.pull_request_id)
           as pull_request_number,
       case when t.merged_at >= i.created_at
            then cast(extract(epoch from t.merged_at - i.created_at) as float8) end as value,
       t.merged_at >= i.created_at and t.cohort = any(:cohorts) as counted,
       case when t.merged_at < i.created_at then 'created after its pull request was merged'
            else {ENDED.format(cohort="t.cohort")} end as reason
from pull_request_times t
join issue_pull_requests l on l.pull_request_id = t.pull_request_id
join lateral ({{issue}}) i on true
where t.merged_at is not null
  and not exists (
      select from issue_pull_requests m join pull_request_times u
        on u.pull_request_id = m.pull_request_id
       where m.issue_id = l.issue_id and u.merged_at is not null
         and (u.merged_at, u.pull_request_id) > (t.merged_at, t.pull_request_id))
"""

# An issue of GitHub that stands for one of Linear is that one, and counts once.
GITHUB_ISSUE = """
select x.id, x.organization_id, 'github' as source, cast(null as text) as assignee_id,
       concat_ws(' ', (select r.full_name from repositories r where r.id = x.repository_id)
                      || '#' || x.number, x.title) as what,
       x.title, x.url, x.created_at
from issues x where {where} and not x.deleted
 and not exists (select from linear_tickets s where s.issue_id = x.id)
"""
LINEAR_ISSUE = """
select x.id, x.organization_id, 'linear' as source, x.assignee_id,
       x.identifier || ' ' || x.title as what, x.title, x.url, x.created_at
from linear_issues x where {where} and not x.deleted
"""

WAITING = """
select x.organization_id, {repository} as repository_id, x.id, x.created_at as at,
       'people' as cohort, '{source}' as source, {account} as account,
       cast(null as text) as author, {what} as what, x.title, x.url, x.created_at,
       cast(null as timestamptz) as merged_at,
       cast(null as text) as evidence, {name} as repository,
       cast(null as int) as pull_request_number,
       cast(null as float8) as value, false as counted, {reason} as reason
from {table} x
where not x.deleted and not exists (
    select from issue_pull_requests m join pull_request_times u
      on u.pull_request_id = m.pull_request_id
     where m.issue_id = x.id and u.merged_at is not null) {more}
"""
LINKED = "exists (select from issue_pull_requests m where m.issue_id = x.id)"

GITHUB_WAITING = WAITING.format(
    table="issues",
    source="github",
    repository="x.repository_id",
    account="cast(null as text)",
    what="concat_ws(' ', (select r.full_name from repositories r where r.id = x.repository_id)"
    " || '#' || x.number, x.title)",
    name="(select r.full_name from repositories r where r.id = x.repository_id)",
    reason=f"""case when {LINKED} then 'no pull request of it is merged'
        when x.state = 'closed' then 'closed without a pull request'
        else 'no pull request is linked to it' end""",
    more="and not exists (select from linear_tickets s where s.issue_id = x.id)",
)
LINEAR_WAITING = WAITING.format(
    table="linear_issues",
    source="linear",
    repository="cast(null as text)",
    account="x.assignee_id",
    what="x.identifier || ' ' || x.title",
    name="cast(null as text)",
    reason=f"""case when x.canceled_at is not null then 'it was cancelled'
        when {LINKED} then 'no pull request of it is merged'
        when x.completed_at is not null then 'completed without a pull request'
        else 'no pull request is linked to it' end""",
    more="",
)

ISSUES = f"""
{MERGED.format(issue=GITHUB_ISSUE.format(where="x.id = l.issue_id and l.source = 'github'"))}
union all
{MERGED.format(issue=LINEAR_ISSUE.format(where="x.id = l.issue_id and l.source = 'linear'"))}
union all
{GITHUB_WAITING}
union all
{LINEAR_WAITING}
"""


def issues(scope: Scope, sight: Sight, since: datetime | None, until: datetime | None) -> Rows:
    """The issues whose last pull request was merged, and by when they began those without one."""
    return of_people(ISSUES, scope, sight, since, until)


CYCLE_TIME = Metric(
    name="cycle_time",
    title="Cycle time",
    definition="How long it took from an issue's creation to the merge of its pull request.",
    formula="median of (last merge of a pull request of the issue - issue created); pull requests "
    "are linked by closing keyword, branch name, mention or Linear's attachment; weekends "
    "included; bucketed by the day of the merge",
    source="https://linear.app/docs/github",
    rows=for_strangers(issues),
    nothing="no issue's pull request was merged from {start_date} to {end_date}",
    connect="Name the issue in a pull request (`Fixes #12`, or ENG-123 in title, description or "
    "branch), or connect Linear.",
    columns=(
        *("at", "source", "repository", "title", "pull_request_number", "author", "cohort"),
        *("created_at", "merged_at", "evidence", "value", "counted", "reason", "url"),
    ),
)
