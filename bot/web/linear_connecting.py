"""Tying a workspace of Linear to an organisation, and letting it go."""

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from bot.clients.linear import LinearError, LinearSecret, linear_as
from bot.clients.linear_queries import workspace
from bot.queue import SYNC
from bot.settings import Settings
from bot.vault import Vault
from bot.web.auth import Member
from bot.web.consent import owned_by_nobody_else, written_down
from bot.web.problems import Problem
from handlers.events import Job
from models.chat import forget_connection_secret, keep_connection_secret
from models.organizations import Connection
from models.queue import find_homes, queue
from models.store import remember


@dataclass(frozen=True)
class Installed:
    """A workspace that is to be connected. `expires_at`: when its token ends, None: never.

    `kept`: what is sealed; a key of the settings is not kept but read there.
    """

    workspace_id: str
    name: str
    kept: LinearSecret
    expires_at: datetime | None = None

    @property
    def connection_id(self) -> str:
        """The key of the connection."""
        return f"linear:organization:{self.workspace_id}"

    @property
    def way(self) -> str:
        """How we were let in: oauth, api_key, or settings (LINEAR_API_KEY)."""
        if self.kept.access_token is not None:
            return "oauth"
        return "api_key" if self.kept.api_key is not None else "settings"


async def installed(
    settings: Settings,
    secret: LinearSecret,
    *,
    kept: LinearSecret | None = None,
    expires_at: datetime | None = None,
) -> Installed:
    """Ask Linear whose secret it is; raise `Problem` 502 where it is nobody's."""
    try:
        async with linear_as(settings.linear_api_url, secret) as linear:
            told = await workspace(linear)
    except LinearError as error:
        raise Problem(502, "Linear was not connected", str(error)) from None
    home = told.organization
    return Installed(home.id, home.name, secret if kept is None else kept, expires_at)


async def connect(request: Request, member: Member, told: Installed) -> None:
    """Connect a workspace, in the place of an earlier connection of it, and have it read.

    Deliveries that waited for it settle now. Raises `Problem` 409 where another one has it.
    """
    vault: Vault = request.app.state.vault
    home = member.organization_id
    async with request.app.state.engine.begin() as db:
        await owned_by_nobody_else(db, told.connection_id, home)
        await remember(db, [connection(told, home, "active")])
        sealed = vault.seal(told.kept.model_dump_json(exclude_none=True))
        await keep_connection_secret(db, told.connection_id, sealed, told.expires_at)
        await queue(db, [sync_job(home)], home)
        await written_down(db, member, "linear_connected", f"{told.connection_id} ({told.way})")
        await find_homes(db)


async def disconnect(request: Request, member: Member, workspace_id: str, name: str) -> None:
    """Let a workspace go and forget its secret; what it told stays."""
    ended = Installed(workspace_id, name, LinearSecret())
    async with request.app.state.engine.begin() as db:
        await remember(db, [connection(ended, member.organization_id, "deleted")])
        await forget_connection_secret(db, ended.connection_id)
        await written_down(db, member, "linear_disconnected", ended.connection_id)


def connection(told: Installed, home: str, state: str) -> Connection:
    """Return the row of a workspace as it is from now on."""
    scopes = told.kept.scopes if state == "active" else []
    way = {"way": told.way} if state == "active" else {}
    return Connection(
        id=told.connection_id,
        organization_id=home,
        changed_at=datetime.now(UTC),
        source="linear",
        external_id=told.workspace_id,
        account_login=told.name,
        state=state,
        permissions={**way, **dict.fromkeys(scopes, "granted")},
    )


def sync_job(organization_id: str, *, full: bool = False) -> Job:
    """Have Linear read; `full`: every issue, not only those that changed since the last time."""
    arguments = {"full": True} if full else {}
    key = f"sync_linear:{organization_id}"
    return Job("sync_linear", key=key, arguments=arguments, lane=SYNC)
