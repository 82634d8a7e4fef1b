"""What the agent's runs come to: how many are merged, what they cost, how soon they answer.

The SELECT has one row a run that has ended. Lead times and failures are those of `lead_time` and
`failures`, by cohort.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics import failures, lead_time
from models.metrics.core import Bucket, Rows, Scope, ScopeBody, Window, ask, scope_body, utc
from models.metrics.durations import Median
from models.metrics.explanation import Metric
from models.metrics.failures import FailureCount, change_failure_rate
from models.metrics.lead_time import change_lead_time

# The pull request is the run's own, else none: a ticket's other runs do not borrow its success.
RUNS = """
select x.id as number, 'run:' || x.id as id, x.organization_id, x.repository_id, x.ticket_id,
       x.finished_at as at, coalesce(p.url, t.url) as url, r.full_name as repository,
       concat_ws(' ', coalesce(r.full_name, x.repository_id) || '#' || t.number, t.title) as what,
       x.kind, x.state, x.model, x.prompt_id, v.version as prompt_version,
       coalesce(x.prompt_name, 'default') as prompt_name, x.requested_by_login,
       x.pull_request_number, p.merged_at is not null as merged, p.merged_at,
       x.cost_usd, cast(x.cost_usd as double precision) as value, x.turns, x.verdict,
       x.input_tokens, x.output_tokens, x.cache_read_tokens, x.cache_write_tokens,
       x.created_at, x.started_at,
       cast(extract(epoch from x.finished_at - x.started_at) as double precision) as seconds,
       case when x.kind = 'develop' and x.pull_request_number is not null
             and coalesce(p.opened_at, x.finished_at) >= x.created_at
            then cast(extract(epoch from coalesce(p.opened_at, x.finished_at)
                     - least(t.requested_at, x.created_at)) as double precision)
            end as response_seconds,
       x.kind = 'develop' and x.state <> 'cancelled' as counted,
       case when x.state = 'cancelled' then 'people stopped it: that says nothing of its work'
            when x.kind in ('review', 'checks')
                then 'it went on with a pull request: its cost counts, not its success'
            when x.kind = 'plan' then 'it only planned: its cost counts, not its success'
            end as reason
from runs x
join tickets t on t.id = x.ticket_id
left join repositories r on r.id = x.repository_id
left join prompts v on v.id = x.prompt_id
left join lateral (select url, opened_at, merged_at from pull_requests
                    where repository_id = x.repository_id and number = x.pull_request_number
                    order by changed_at desc limit 1) p on true
where x.finished_at is not null
"""

FIGURES = """
select count(*) filter (where counted) as runs,
       count(distinct (repository_id, pull_request_number)) filter (where merged and counted)
           as merged,
       count(distinct (repository_id, pull_request_number))
           filter (where pull_request_number is not null and counted) as opened,
       coalesce(sum(cost_usd), 0) as cost, coalesce(sum(turns), 0) as turns,
       coalesce(sum(input_tokens), 0) as input, coalesce(sum(output_tokens), 0) as output,
       coalesce(sum(cache_read_tokens), 0) as cache_read,
       coalesce(sum(cache_write_tokens), 0) as cache_write,
       avg(turns) filter (where counted) as mean_turns,
       percentile_cont(0.5) within group (order by seconds) filter (where counted) as seconds,
       count(response_seconds) as responses,
       percentile_cont(0.5) within group (order by response_seconds) as response_median,
       percentile_cont(0.9) within group (order by response_seconds) as response_p90
"""
TOTAL = f"{FIGURES} from rows"
STATES = "select state, count(*) as count from rows group by state order by state"
TICKETS = """
select count(*) as count, count(*) filter (where state = 'done') as done,
       count(*) filter (where state = 'draft') as draft,
       count(*) filter (where state in ('failed', 'over_budget', 'blocked')) as failed,
       count(*) filter (where state in ('nothing_to_do', 'cancelled')) as other
from (select distinct on (ticket_id) ticket_id, state from rows
      order by ticket_id, at desc, number desc) latest
"""
GROUPS = {
    "repo": ("repository_id", "min(repository)"),
    "model": ("coalesce(model, '')", "coalesce(min(model), 'none')"),
    "prompt": ("prompt_name || ' ' || coalesce(prompt_id, 0)", "min(prompt_name)"),
}
GROUPED = (
    FIGURES + ", {key} as key, {name} as name, min(prompt_version) as version, max(at) as last"
    " from rows group by {key}"
)
NONE: Mapping[str, Any] = {
    **dict.fromkeys(("runs", "merged", "opened", "cost", "turns"), 0),
    **dict.fromkeys(("input", "output", "cache_read", "cache_write"), 0),
    "mean_turns": None,
    "seconds": None,
}
SERIES = (
    FIGURES + ", cast(date_trunc(:bucket, at at time zone :time_zone) as date) as day"
    " from rows group by day"
)


def runs(scope: Scope, since: datetime | None, until: datetime | None) -> Rows:
    """The runs that ended in a scope, whatever the environment, with `since <= at < until`."""
    clauses = {
        "organization_id = :organization_id": scope.organization_id,
        "repository_id = :repository_id": scope.repository_id,
        "at >= :since": since,
        "at < :until": until,
    }
    told = {clause: value for clause, value in clauses.items() if value is not None}
    return Rows(
        f"select * from ({RUNS}) facts where {' and '.join(told)}",  # noqa: S608 - constants only
        {clause.rpartition(":")[2]: value for clause, value in told.items()},
    )


METRIC = Metric(
    name="agent",
    title="The agent",
    definition="What became of the agent's attempts at tickets, and what they cost.",
    formula="success rate = pull requests merged / attempts that ended; follow-ups, plans and "
    "attempts that people stopped are left out of both, and their cost is not",
    source="https://dora.dev/research/",
    rows=runs,
    nothing="no attempt of the agent at a ticket ended from {start_date} to {end_date}",
    connect="Label an issue for the agent, or run `python -m bot develop OWNER/NAME#NUMBER`.",
    columns=(
        *("at", "number", "repository", "ticket_id", "kind", "state", "model", "prompt_name"),
        *("prompt_version", "pull_request_number", "merged", "verdict", "cost_usd", "turns"),
        *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "seconds"),
        *("response_seconds", "value", "counted", "reason", "url"),
    ),
)


class Tokens(TypedDict):
    """Tokens of all calls. `cache_hit_rate`: what of the input the cache gave, 0 to 1."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_hit_rate: float | None


class Cost(TypedDict):
    """What runs cost, in US dollars: all of them, an attempt, a merged pull request.

    The total holds follow-ups, plans and attempts that people stopped; so do its shares.
    """

    total_usd: float
    per_run_usd: float | None
    per_merged_pull_request_usd: float | None


class Figures(TypedDict):
    """How many attempts ended, how many pull requests they opened, and how many were merged.

    `success_rate` is merged / runs, 0 to 1; None without runs. `turns_mean` and
    `duration_median_seconds` are of an attempt.
    """

    runs: int
    pull_requests: int
    merged: int
    success_rate: float | None
    turns: int
    turns_mean: float | None
    duration_median_seconds: float | None
    tokens: Tokens
    cost: Cost


class Group(Figures):
    """The figures of one model, prompt template or repository."""

    key: str
    name: str | None


class AgentBucket(Figures):
    """The figures of one day, week or month, by its first day."""

    start_date: str


class PromptReport(Figures):
    """How one prompt template has done.

    `name` says where it is from, `version` is its number where it is the organisation's own.
    `last_used_at` is when the latest of its runs ended, ISO 8601 in UTC.
    """

    name: str
    version: int | None
    last_used_at: str


class TicketCounts(TypedDict):
    """Tickets with a run that ended in the period, by how the last of them ended."""

    count: int
    done: int
    draft: int
    failed: int
    other: int


class ResponseTime(TypedDict):
    """From being asked for to an open pull request, in seconds; None where none was opened."""

    median_seconds: float | None
    p90_seconds: float | None
    count: int


class Compared(TypedDict):
    """Change lead times of the agent's changes beside people's; `reason` says why one has none."""

    agent: Median
    people: Median
    reason: str | None


class ComparedFailures(TypedDict):
    """How often deployments failed that brought the agent's changes, beside people's.

    One that brought changes of both is in both. `reason` says why one has no rate.
    """

    agent: FailureCount
    people: FailureCount
    reason: str | None


class Agent(Figures):
    """The body of `GET /metrics/agent`; dates are days of `time_zone`, the last one included.

    `states` counts all runs that ended by how they did, follow-ups too. `reason` says why there
    are no attempts, and is None where there are.
    """

    start_date: str
    end_date: str
    time_zone: str
    scope: ScopeBody
    tickets: TicketCounts
    states: dict[str, int]
    response_time: ResponseTime
    change_lead_time: Compared
    change_failure_rate: ComparedFailures
    by_prompt: list[Group]
    by_model: list[Group]
    reason: str | None


async def agent(db: AsyncConnection, scope: Scope, window: Window) -> Agent:
    """What the agent's runs came to that ended in a window."""
    rows = runs(scope, window.start, window.end)
    told = (await ask(db, rows, TOTAL)).mappings().one()
    states = (await ask(db, rows, STATES)).mappings().all()
    tickets = (await ask(db, rows, TICKETS)).mappings().one()
    return Agent(
        start_date=window.start_date.isoformat(),
        end_date=window.end_date.isoformat(),
        time_zone=window.time_zone,
        scope=await scope_body(db, scope),
        **figures(told),
        tickets=TicketCounts(**tickets),  # type: ignore[typeddict-item]
        states={row["state"]: row["count"] for row in states},
        response_time=ResponseTime(
            median_seconds=told["response_median"],
            p90_seconds=told["response_p90"],
            count=told["responses"],
        ),
        change_lead_time=await compared(db, scope, window),
        change_failure_rate=await compared_failures(db, scope, window),
        by_prompt=await agent_by(db, scope, window, "prompt"),
        by_model=await agent_by(db, scope, window, "model"),
        reason=None if told["runs"] else METRIC.no_data(scope, window),
    )


def figures(row: RowMapping | Mapping[str, Any]) -> Figures:
    """What Postgres says of one set of runs."""
    read = row["input"] + row["cache_read"] + row["cache_write"]
    return Figures(
        runs=row["runs"],
        pull_requests=row["opened"],
        merged=row["merged"],
        success_rate=share(row["merged"], row["runs"]),
        turns=row["turns"],
        turns_mean=None if row["mean_turns"] is None else float(row["mean_turns"]),
        duration_median_seconds=row["seconds"],
        tokens=Tokens(
            input=int(row["input"]),
            output=int(row["output"]),
            cache_read=int(row["cache_read"]),
            cache_write=int(row["cache_write"]),
            cache_hit_rate=share(row["cache_read"], read),
        ),
        cost=Cost(
            total_usd=float(row["cost"]),
            per_run_usd=share(row["cost"], row["runs"]),
            per_merged_pull_request_usd=share(row["cost"], row["merged"]),
        ),
    )


def share(part: Any, of: Any) -> float | None:
    """A part of something; None of nothing."""
    return float(part) / float(of) if of else None


async def compared(db: AsyncConnection, scope: Scope, window: Window) -> Compared:
    """How long the agent's changes took to production, beside people's."""
    told = (await change_lead_time(db, scope, window))["by_cohort"]
    reason = lacking(told, lead_time.METRIC.no_data(scope, window))
    return Compared(agent=told["agent"], people=told["people"], reason=reason)


async def compared_failures(db: AsyncConnection, scope: Scope, window: Window) -> ComparedFailures:
    """How often what brought the agent's changes failed, beside people's."""
    told = (await change_failure_rate(db, scope, window))["by_cohort"]
    reason = lacking(told, failures.METRIC.no_data(scope, window))
    return ComparedFailures(agent=told["agent"], people=told["people"], reason=reason)


def lacking(told: Mapping[str, Mapping[str, Any]], why: str) -> str | None:
    """Say of whom there is nothing, and why; None where there is something of both."""
    of = [cohort for cohort in ("agent", "people") if not told[cohort]["count"]]
    return f"of {' and '.join(of)}: {why}" if of else None


async def agent_by(db: AsyncConnection, scope: Scope, window: Window, by: str) -> list[Group]:
    """The figures by `repo`, `model` or `prompt`, by name."""
    key, name = GROUPS[by]
    rows = runs(scope, window.start, window.end)
    found = (await ask(db, rows, GROUPED.format(key=key, name=name))).mappings().all()
    title = titled if by == "prompt" else plainly
    groups = [Group(**figures(row), key=row["key"], name=title(row)) for row in found]
    return sorted(groups, key=lambda group: (group["name"] or "", group["key"]))


def plainly(row: RowMapping) -> str | None:
    """The name of a group."""
    name: str | None = row["name"]
    return name


def titled(row: RowMapping) -> str | None:
    """The name of a prompt; an organisation's says its version, since all have one name."""
    name, version = row["name"], row["version"]
    return name if version is None or str(version) in (name or "") else f"{name} {version}"


async def agent_series(
    db: AsyncConnection, scope: Scope, window: Window, bucket: Bucket
) -> list[AgentBucket]:
    """The figures by day, week or month of a run's end; empty buckets too."""
    rows = runs(scope, window.start, window.end)
    found = await ask(db, rows, SERIES, bucket=bucket.value, time_zone=window.time_zone)
    told: Mapping[Any, RowMapping] = {row["day"]: row for row in found.mappings()}
    return [
        AgentBucket(**figures(told.get(day, NONE)), start_date=day.isoformat())
        for day in window.buckets(bucket)
    ]


async def prompt_reports(db: AsyncConnection, organization_id: str) -> list[PromptReport]:
    """How each prompt template has done over all its runs, the latest used first."""
    key, name = GROUPS["prompt"]
    rows = runs(Scope(organization_id), None, None)
    found = (await ask(db, rows, GROUPED.format(key=key, name=name))).mappings().all()
    newest = sorted(found, key=lambda row: row["last"], reverse=True)
    return [
        PromptReport(
            **figures(row), name=row["name"], version=row["version"], last_used_at=utc(row["last"])
        )
        for row in newest
    ]
