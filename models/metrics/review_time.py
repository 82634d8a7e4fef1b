"""PR review time: how long pull requests wait for a first review, and for their merge."""

# ruff: noqa: S608 - SQL is put together of constants only

from datetime import datetime
from typing import TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics import lead_time
from models.metrics.core import Rows, Scope, Window, ask
from models.metrics.explanation import Metric
from models.metrics.groups import ENDED, for_strangers, of_people
from models.metrics.privacy import Sight, enough_people, too_few, withheld

# Names are looked up, not joined: what a question does not read costs nothing, and an index that
# holds the rest answers it alone.
PULL_REQUEST = """
t.organization_id, t.repository_id, t.pull_request_id as id, t.cohort,
t.account,
case when t.cohort <> 'people' or t.account = any(:visible) then t.author_login end as author,
(select r.full_name from repositories r where r.id = t.repository_id) as repository,
(select p.number from pull_requests p where p.id = t.pull_request_id) as pull_request_number,
(select p.title from pull_requests p where p.id = t.pull_request_id) as title,
(select p.url from pull_requests p where p.id = t.pull_request_id) as url,
concat_ws(' ',
    (select r.full_name from repositories r where r.id = t.repository_id)
    || '#' || (select p.number from pull_requests p where p.id = t.pull_request_id),
    (select p.title from pull_requests p where p.id = t.pull_request_id)) as what,
t.opened_at, t.ready_at, t.first_review_at
"""

REVIEWS = f"""
select {PULL_REQUEST}, t.merged_at, t.answered_at as at,
       date_part('epoch', t.first_review_at - t.ready_at) as value,
       t.first_review_at is not null and t.cohort = any(:cohorts) as counted,
       case when t.first_review_at is not null then {ENDED.format(cohort="t.cohort")}
            when t.merged_at is not null then 'merged without a review'
            when t.closed_at is not null then 'closed without a review'
            when t.draft then 'a draft: it does not ask for a review yet'
            else 'it waits for its first review' end as reason
from pull_request_times t
"""

# Each boundary is held between its neighbours, so that stages sum to first commit → merge; without
# a review the merge is the first answer (as `handlers.changes.stages_of` has it).
MERGES = f"""
select *,
       date_part('epoch', merged_at - opened_at) as value,
       date_part('epoch', ready - first_commit_at) as coding_seconds,
       date_part('epoch', answered - ready) as pickup_seconds,
       date_part('epoch', merged - answered) as review_seconds
from (
    select *, least(greatest(coalesce(first_review_at, merged), ready), merged) as answered
    from (
        select *, least(greatest(coalesce(ready_at, merged), first_commit_at), merged) as ready
        from (
            select {PULL_REQUEST}, t.first_commit_at, t.merged_at, t.merged_at as at,
                   greatest(t.merged_at, t.first_commit_at) as merged,
                   t.cohort = any(:cohorts) as counted,
                   {ENDED.format(cohort="t.cohort")} as reason
            from pull_request_times t where t.merged_at is not null) a) b) c
"""

STAGES = """
select count(*) as count,
       percentile_cont(array[0.5, 0.9]) within group (order by coding_seconds) as coding,
       percentile_cont(array[0.5, 0.9]) within group (order by pickup_seconds) as pickup,
       percentile_cont(array[0.5, 0.9]) within group (order by review_seconds) as review,
       percentile_cont(array[0.5, 0.9]) within group (order by value) as merge
from rows where counted
"""
DEPLOY = """
select count(*) as count,
       percentile_cont(array[0.5, 0.9]) within group (order by deploy_seconds) as deploy
from rows where counted
"""


def reviews(scope: Scope, sight: Sight, since: datetime | None, until: datetime | None) -> Rows:
    """The pull requests whose wait for a review ended, and those that wait, by when they opened."""
    return of_people(REVIEWS, scope, sight, since, until)


def merges(scope: Scope, sight: Sight, since: datetime | None, until: datetime | None) -> Rows:
    """The pull requests that were merged, with what their parts took."""
    return of_people(MERGES, scope, sight, since, until)


COLUMNS = ("at", "repository", "pull_request_number", "title", "author", "cohort", "opened_at")
CONNECT = "Install the GitHub App with the events `pull_request`, `pull_request_review` and `push`."
REVIEW_TIME = Metric(
    name="pr_review_time",
    title="PR review time",
    definition="How long a pull request waited for its first review by somebody else.",
    formula="median of (first review - opened or last made ready for review); reviews by its "
    "author and by bots are none; weekends included; bots' pull requests left out unless asked "
    "for; bucketed by the day of the review",
    source="https://docs.github.com/en/pull-requests/collaborating-with-pull-requests",
    rows=for_strangers(reviews),
    nothing="no pull request was first reviewed from {start_date} to {end_date}",
    connect=CONNECT,
    columns=(
        *COLUMNS,
        *("ready_at", "first_review_at", "merged_at", "value", "counted", "reason", "url"),
    ),
)
MERGE_TIME = Metric(
    name="pr_merge_time",
    title="PR merge time",
    definition="How long a pull request was open before it was merged.",
    formula="median of (merged - opened); weekends included; bots' pull requests left out unless "
    "asked for; bucketed by the day of the merge",
    source=REVIEW_TIME.source,
    rows=for_strangers(merges),
    nothing="no pull request was merged from {start_date} to {end_date}",
    connect=CONNECT,
    columns=(
        *COLUMNS,
        *("first_commit_at", "ready_at", "first_review_at", "merged_at", "value"),
        *("coding_seconds", "pickup_seconds", "review_seconds", "counted", "reason", "url"),
    ),
)


class Stage(TypedDict):
    """How long one stage took, typically and slowly; None without data, and where withheld."""

    p50_seconds: float | None
    p90_seconds: float | None


class ReviewStages(TypedDict):
    """The stages of merged pull requests, in order; `merge` is all of opened → merged.

    `deploy` is of the changes that reached production in the window, which `deployed` counts.
    """

    coding: Stage
    pickup: Stage
    review: Stage
    merge: Stage
    deploy: Stage
    count: int | None
    deployed: int | None
    reason: str | None


async def review_stages(
    db: AsyncConnection, scope: Scope, window: Window, sight: Sight
) -> ReviewStages:
    """What the parts of merged pull requests took: coding, pickup, review, and to deploy them."""
    rows = merges(scope, sight, window.start, window.end)
    few = too_few(await enough_people(db, sight, rows))
    told = (await ask(db, rows, STAGES)).mappings().one()
    shipped = lead_time.changes(scope, window.start, window.end)
    deployed = (await ask(db, shipped, DEPLOY)).mappings().one()
    found = ReviewStages(
        coding=stage(told, "coding"),
        pickup=stage(told, "pickup"),
        review=stage(told, "review"),
        merge=stage(told, "merge"),
        deploy=stage(deployed, "deploy"),
        count=told["count"],
        deployed=deployed["count"],
        reason=None if told["count"] else MERGE_TIME.no_data(scope, window),
    )
    return withheld(found, few)


def stage(told: RowMapping, name: str) -> Stage:
    """One stage of the answer."""
    p50, p90 = told[name] or (None, None)
    return Stage(p50_seconds=p50, p90_seconds=p90)
