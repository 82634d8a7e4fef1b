"""GitHub Actions: workflows and what they build, their runs, and the deployments told of."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel
from sqlalchemy import text

from bot.web.accounts import audit
from bot.web.api.asking import missing
from bot.web.api.endpoints import Call, Query, Strict, Words, endpoint
from bot.web.api.listing import Listed, RepositoryListing, page, repository_filter
from handlers.events import Job
from models.queue import queue
from models.workflow_platforms import choose_platform


class Workflow(BaseModel):
    """A workflow file of a repository.

    `platform`: ios, android or mobile, None where it builds no app; `platform_by`: who says so, its
    name, its file or a person. `last_run_at`: None before it ever ran.
    """

    id: str
    repository_id: str
    repository: str | None
    name: str
    path: str
    state: str | None
    url: str | None
    platform: str | None
    platform_by: str | None
    last_run_at: datetime | None


class Workflows(Listed):
    """A page of workflows."""

    items: list[Workflow]


class WorkflowRun(BaseModel):
    """One attempt of a workflow run. `completed_at` is None while it runs.

    `flaky`: the run passed on a commit on which it had failed. `failure`: why its last attempt
    failed, None where it did not.
    """

    id: str
    repository_id: str
    repository: str | None
    run_id: str
    attempt: int
    workflow_id: str
    name: str
    platform: str | None
    event: str | None
    branch: str | None
    head_sha: str
    status: str
    conclusion: str | None
    started_at: datetime
    completed_at: datetime | None
    actor_login: str | None
    url: str | None
    flaky: bool
    failure: str | None


class WorkflowRuns(Listed):
    """A page of workflow runs."""

    items: list[WorkflowRun]


class Deployment(BaseModel):
    """A deployment as told. `state`: its latest final state, None while there is none.

    `finished_at`: its first success.
    """

    id: str
    repository_id: str
    repository: str | None
    source: str
    environment: str
    environment_class: str
    sha: str
    ref: str | None
    creator_login: str | None
    created_at: datetime
    state: str | None
    finished_at: datetime | None
    url: str | None


class Deployments(Listed):
    """A page of deployments."""

    items: list[Deployment]


class RunListing(RepositoryListing):
    """Which runs: `platform` ios, android or mobile; `conclusion` as GitHub says it."""

    platform: Literal["ios", "android", "mobile"] | None = None
    conclusion: Words | None = None
    branch: Words | None = None


class DeploymentListing(RepositoryListing):
    """Which deployments: `environment` is an environment's name or a class of them."""

    environment: Words | None = None


class SaidPlatform(Strict):
    """What a workflow builds for; None: its name and its file decide again."""

    platform: Literal["ios", "android", "mobile", "none"] | None


OF_REPOSITORY = "left join repositories r on r.id = x.repository_id where {where}"
WORKFLOWS = """
select x.*, r.full_name as repository, x.changed_at as at, b.started_at as last_run_at,
       case when p.platform = 'none' then null else coalesce(p.platform, b.platform) end
           as platform,
       case when p.platform is null then b.platform_by else 'person' end as platform_by
from workflows x
left join workflow_platforms p on p.workflow_id = x.id and p.organization_id = x.organization_id
left join lateral (select l.started_at, l.platform, l.platform_by from builds l
                    where l.workflow_id = x.id order by l.started_at desc limit 1) b on true
"""
RUNS = """
select x.id, x.repository_id, x.run_id, x.attempt, x.workflow_id, x.name, x.event, x.branch,
       x.head_sha, x.status, x.conclusion, x.started_at, x.completed_at, x.actor_login, x.url,
       case when b.id is null then x.platform else b.platform end as platform,
       coalesce(b.flaky, false) as flaky, b.failure, r.full_name as repository, x.started_at as at
from workflow_runs x left join builds b on b.id = x.run_id
"""
DEPLOYMENTS = (
    "select x.*, r.full_name as repository, x.created_at as at, "
    "coalesce(s.state, x.result) as state, coalesce(s.succeeded_at, "
    "case when x.result = 'success' then x.result_at end) as finished_at "
    "from deployments x left join lateral (select (array_agg(state order by created_at desc, "
    "id desc))[1] as state, min(created_at) filter (where state = 'success') as succeeded_at "
    "from deployment_statuses where deployment_id = x.id) s on true "
)
FILTERS = {
    "platform": "case when b.id is null then x.platform else b.platform end",
    "conclusion": "x.conclusion",
    "branch": "x.branch",
}


@endpoint("GET", "/connectors/github-actions/workflows", query=RepositoryListing, answer=Workflows)
async def workflows(call: Call, query: RepositoryListing) -> Workflows:
    """List workflow files, those last changed first."""
    async with call.engine.connect() as db:
        where, bound = await repository_filter(db, call.member, query)
        rows, cursor = await page(db, WORKFLOWS + OF_REPOSITORY.format(where=where), query, **bound)
    return Workflows(items=[Workflow(**row) for row in rows], next_cursor=cursor)


@endpoint(
    "PUT",
    "/connectors/github-actions/workflows/{workflow_id:path}/platform",
    roles=("manager",),
    query=Query,
    body=SaidPlatform,
    answer=Workflow,
)
async def say_platform(call: Call, query: Query, sent: SaidPlatform) -> Workflow:
    """Say what a workflow builds for, whatever its name and file say; its builds follow."""
    member, workflow_id = call.member, call.path["workflow_id"]
    bound = {"organization_id": member.organization_id, "workflow_id": workflow_id}
    where = "x.organization_id = :organization_id and x.id = :workflow_id"
    async with call.engine.begin() as db:
        found = await db.execute(text(WORKFLOWS + OF_REPOSITORY.format(where=where)), bound)
        if found.first() is None:
            raise missing("workflow")
        chosen = (member.organization_id, workflow_id, sent.platform, member.user_id)
        repository_id, name = await choose_platform(db, *chosen)
        again = Job(
            "measure_builds",
            key=f"measure_builds:{repository_id}:{workflow_id}",
            arguments={"repository": repository_id, "workflow": workflow_id},
        )
        await queue(db, [again], member.organization_id)
        await audit(
            db,
            "set_workflow_platform",
            user_id=member.user_id,
            organization_id=member.organization_id,
            detail=f"{name} ({workflow_id}): {sent.platform or 'automatic'}",
        )
        told = await db.execute(text(WORKFLOWS + OF_REPOSITORY.format(where=where)), bound)
        return Workflow(**told.mappings().one())


@endpoint("GET", "/connectors/github-actions/runs", query=RunListing, answer=WorkflowRuns)
async def runs(call: Call, query: RunListing) -> WorkflowRuns:
    """List attempts of workflow runs, those last started first."""
    async with call.engine.connect() as db:
        where, bound = await repository_filter(db, call.member, query)
        for name, column in FILTERS.items():
            if (value := getattr(query, name)) is not None:
                where, bound[name] = f"{where} and {column} = :{name}", value
        rows, cursor = await page(db, RUNS + OF_REPOSITORY.format(where=where), query, **bound)
    return WorkflowRuns(items=[WorkflowRun(**row) for row in rows], next_cursor=cursor)


@endpoint(
    "GET", "/connectors/github-actions/deployments", query=DeploymentListing, answer=Deployments
)
async def deployments(call: Call, query: DeploymentListing) -> Deployments:
    """List attempts to deploy as they were told, those last made first."""
    async with call.engine.connect() as db:
        where, bound = await repository_filter(db, call.member, query)
        if query.environment is not None:
            where += " and :environment in (x.environment, x.environment_class)"
            bound["environment"] = query.environment
        select = DEPLOYMENTS + OF_REPOSITORY.format(where=where)
        rows, cursor = await page(db, select, query, **bound)
    return Deployments(items=[Deployment(**row) for row in rows], next_cursor=cursor)
