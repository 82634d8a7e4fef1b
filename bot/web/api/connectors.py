"""What the connectors brought: GitHub's installations and repositories, Actions' runs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import text

from bot.vault import GITHUB_APP
from bot.web.api.endpoints import Call, Query, Words, endpoint
from bot.web.api.listing import Listed, Listing, RepositoryListing, page, repository_filter


class Installation(BaseModel):
    """An installation of the app. `state`: active, suspended or deleted."""

    id: str
    account_login: str
    state: str
    repository_selection: str | None
    permissions: dict[str, Any]
    changed_at: datetime


class GitHubStatus(BaseModel):
    """Whether GitHub reaches us, and what it last said; a time is None when it never did.

    `connected`: an installation is active. `webhooks`: a secret to check them is set. `waiting`,
    `failed` and `parked` count deliveries that are not settled.
    """

    connected: bool
    app_configured: bool
    webhooks: bool
    installations: list[Installation]
    last_delivery_at: datetime | None
    waiting: int
    failed: int
    parked: int


class Repository(BaseModel):
    """A repository. `deleted_at` is None while it exists; `last_push_at` None when none came."""

    id: str
    full_name: str
    default_branch: str
    private: bool
    archived: bool
    fork: bool
    url: str | None
    created_at: datetime | None
    deleted_at: datetime | None
    last_push_at: datetime | None


class Repositories(Listed):
    """A page of repositories."""

    items: list[Repository]


class Workflow(BaseModel):
    """A workflow file of a repository."""

    id: str
    repository_id: str
    repository: str | None
    name: str
    path: str
    state: str | None
    url: str | None


class Workflows(Listed):
    """A page of workflows."""

    items: list[Workflow]


class WorkflowRun(BaseModel):
    """One attempt of a workflow run. `completed_at` is None while it runs."""

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


INSTALLATIONS = text(
    "select id, account_login, state, repository_selection, permissions, changed_at "
    "from connections where organization_id = :organization_id and source = 'github' order by id"
)
INBOX = text(
    "select max(received_at) as last_delivery_at, "
    "count(*) filter (where status = 'received') as waiting, "
    "count(*) filter (where status = 'failed') as failed, "
    "count(*) filter (where status = 'parked') as parked "
    "from deliveries where organization_id = :organization_id and source = 'github'"
)
REPOSITORIES = (
    "select x.*, x.changed_at as at, (select max(p.pushed_at) from pushes p "
    "where p.repository_id = x.id) as last_push_at from repositories x "
    "where x.organization_id = :organization_id"
)
OF_REPOSITORY = "left join repositories r on r.id = x.repository_id where {where}"
WORKFLOWS = "select x.*, r.full_name as repository, x.changed_at as at from workflows x "
RUNS = "select x.*, r.full_name as repository, x.started_at as at from workflow_runs x "
DEPLOYMENTS = (
    "select x.*, r.full_name as repository, x.created_at as at, "
    "coalesce(s.state, x.result) as state, coalesce(s.succeeded_at, "
    "case when x.result = 'success' then x.result_at end) as finished_at "
    "from deployments x left join lateral (select (array_agg(state order by created_at desc, "
    "id desc))[1] as state, min(created_at) filter (where state = 'success') as succeeded_at "
    "from deployment_statuses where deployment_id = x.id) s on true "
)


@endpoint("GET", "/connectors/github/status", query=Query, answer=GitHubStatus)
async def github_status(call: Call, query: Query) -> GitHubStatus:
    """Say whether the GitHub App is set up and installed, and what still waits."""
    bound = {"organization_id": call.member.organization_id}
    async with call.engine.connect() as db:
        rows = (await db.execute(INSTALLATIONS, bound)).mappings().all()
        inbox = (await db.execute(INBOX, bound)).mappings().one()
        stored = await db.scalar(
            text("select exists (select from credentials where name = :app)"), {"app": GITHUB_APP}
        )
    installations = [Installation(**row) for row in rows]
    return GitHubStatus(
        connected=any(one.state == "active" for one in installations),
        app_configured=bool(call.settings.app_id or stored),
        webhooks=bool(call.settings.webhook_secrets or stored),
        installations=installations,
        **inbox,
    )


@endpoint("GET", "/connectors/github/repos", query=Listing, answer=Repositories)
async def github_repos(call: Call, query: Listing) -> Repositories:
    """List the organisation's repositories, those last changed first."""
    async with call.engine.connect() as db:
        rows, cursor = await page(
            db, REPOSITORIES, query, organization_id=call.member.organization_id
        )
    return Repositories(items=[Repository(**row) for row in rows], next_cursor=cursor)


@endpoint("GET", "/connectors/github-actions/workflows", query=RepositoryListing, answer=Workflows)
async def workflows(call: Call, query: RepositoryListing) -> Workflows:
    """List workflow files, those last changed first."""
    async with call.engine.connect() as db:
        where, bound = await repository_filter(db, call.member, query)
        rows, cursor = await page(db, WORKFLOWS + OF_REPOSITORY.format(where=where), query, **bound)
    return Workflows(items=[Workflow(**row) for row in rows], next_cursor=cursor)


@endpoint("GET", "/connectors/github-actions/runs", query=RunListing, answer=WorkflowRuns)
async def runs(call: Call, query: RunListing) -> WorkflowRuns:
    """List attempts of workflow runs, those last started first."""
    async with call.engine.connect() as db:
        where, bound = await repository_filter(db, call.member, query)
        for name in ("platform", "conclusion", "branch"):
            if (value := getattr(query, name)) is not None:
                where, bound[name] = f"{where} and x.{name} = :{name}", value
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
