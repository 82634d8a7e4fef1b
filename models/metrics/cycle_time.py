"""Cycle time: from an issue's creation, at GitHub or Linear, to the merge of its pull request."""

# ruff: noqa: S608 - SQL is put together of constants only

from datetime import datetime

from models.metrics.core import Rows, Scope
from models.metrics.explanation import Metric
from models.metrics.groups import ENDED, for_strangers, of_people
from models.metrics.privacy import Sight

# An issue of GitHub that stands for one of Linear is that one, and counts once.
ISSUE = """
x.organization_id, x.repository_id, x.issue_id as id, x.cohort, x.source, x.account,
case when x.cohort <> 'people' or x.account = any(:visible) then x.author_login end as author,
(select r.full_name from repositories r where r.id = x.repository_id) as repository,
case when x.source = 'github' then (select i.title from issues i where i.id = x.issue_id)
     else (select i.title from linear_issues i where i.id = x.issue_id) end as title,
case when x.source = 'github' then (select i.url from issues i where i.id = x.issue_id)
     else (select i.url from linear_issues i where i.id = x.issue_id) end as url,
case when x.source = 'github'
     then (select concat_ws(' ', (select r.full_name from repositories r
                                  where r.id = i.repository_id) || '#' || i.number, i.title)
           from issues i where i.id = x.issue_id)
     else (select i.identifier || ' ' || i.title from linear_issues i where i.id = x.issue_id)
     end as what
"""
NO_TWIN = """
x.issue_id not in (select s.issue_id from linear_tickets s where s.issue_id is not null)
"""
ISSUES = f"""
select {ISSUE}, x.ended_at as at, x.created_at, x.merged_at, x.evidence,
       (select p.number from pull_requests p where p.id = x.pull_request_id)
           as pull_request_number,
       case when x.merged_at >= x.created_at
            then date_part('epoch', x.merged_at - x.created_at) end as value,
       coalesce(x.merged_at >= x.created_at and x.cohort = any(:cohorts), false) as counted,
       case when x.merged_at < x.created_at then 'created after its pull request was merged'
            when x.merged_at is not null then {ENDED.format(cohort="x.cohort")}
            when x.canceled then 'it was cancelled'
            when x.linked then 'no pull request of it is merged'
            when x.closed_at is not null then 'closed without a pull request'
            else 'no pull request is linked to it' end as reason
from issue_times x where {NO_TWIN}
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
