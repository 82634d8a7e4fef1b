"""The agent's figures over the API: what it finished, what that cost, and why each run counts."""

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.web.api.endpoints import Call, Words, endpoint
from bot.web.api.listing import Limit, repository_named
from bot.web.api.metrics import EXPLANATION, Days, rows_as_csv, window_of
from bot.web.api.typed import combined
from models.metrics.agent import (
    GROUPS,
    METRIC,
    Agent,
    AgentBucket,
    Group,
    agent,
    agent_by,
    agent_series,
)
from models.metrics.core import Bucket, Scope, Window, measured_in
from models.metrics.explanation import Page, explanation


class AgentPeriod(Days):
    """Which runs: those that ended on these days, of one repository or of all.

    Days are of the organisation's time zone and both included; without dates the last 30, today
    included. `repo_id`: `github:123` or `owner/name`. `environment` is of the lead times beside.
    """

    repo_id: Words | None = None
    environment: Words = "production"
    group_by: Literal["day", "week", "month", "repo", "model", "prompt"] = "day"
    format: Literal["json", "csv"] = "json"


class ExplainedAgentPeriod(AgentPeriod):
    """Which runs are explained, a page at a time."""

    cursor: Words | None = None
    limit: Limit = 50


ANSWER = combined(
    "AgentSeries",
    Agent.__doc__,
    Agent,
    group_by=str,
    series=list[AgentBucket | Group],
)


@endpoint("GET", "/metrics/agent", query=AgentPeriod, answer=ANSWER, csv=True)
async def agent_figures(call: Call, query: AgentPeriod) -> Any:
    """What the agent finished, what that cost and how soon; as CSV, the runs themselves."""
    async with call.engine.connect() as db:
        scope, window = await measured(db, call, query)
        if query.format == "csv":
            return rows_as_csv(call, METRIC, scope, window)
        body = await agent(db, scope, window)
        series: Any
        if query.group_by in GROUPS:
            series = await agent_by(db, scope, window, query.group_by)
        else:
            series = await agent_series(db, scope, window, Bucket(query.group_by))
    return {**body, "group_by": query.group_by, "series": series}


@endpoint("GET", "/metrics/agent/explain", query=ExplainedAgentPeriod, answer=EXPLANATION, csv=True)
async def agent_explained(call: Call, query: ExplainedAgentPeriod) -> Any:
    """Which runs count as attempts, which do not, and why."""
    async with call.engine.connect() as db:
        scope, window = await measured(db, call, query)
        if query.format == "csv":
            return rows_as_csv(call, METRIC, scope, window)
        return await explanation(db, METRIC, scope, window, Page(query.limit, query.cursor))


async def measured(db: AsyncConnection, call: Call, query: AgentPeriod) -> tuple[Scope, Window]:
    """Return whose runs are asked about, and which days."""
    member = call.member
    time_zone, _ = await measured_in(db, member.organization_id)
    repository = await repository_named(db, member, query.repo_id) if query.repo_id else None
    scope = Scope(member.organization_id, repository, query.environment)
    return scope, window_of(query, datetime.now(UTC), time_zone)
