"""What the connector of GitHub brought: installations and repositories."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import text

from bot.vault import GITHUB_APP
from bot.web.api.endpoints import Call, Query, endpoint
from bot.web.api.listing import Listed, Listing, page


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
