"""Tying a workspace of Slack to an organisation, and letting it go."""

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from bot.clients.slack import SlackSecret
from bot.clients.slack_scopes import SCOPES
from bot.connectors.slack import sync_job
from bot.vault import Vault
from bot.web.auth import Member
from bot.web.consent import owned_by_nobody_else, written_down
from models.chat import forget_connection_secret, keep_connection_secret
from models.organizations import Connection
from models.queue import find_homes, queue
from models.slack import SlackConnection
from models.store import remember


@dataclass(frozen=True)
class Installed:
    """A workspace that is to be connected; without `secret` only its events are heard."""

    team_id: str
    name: str
    secret: SlackSecret | None = None

    @property
    def connection_id(self) -> str:
        """The key of the connection."""
        return f"slack:team:{self.team_id}"


async def connect(request: Request, member: Member, installed: Installed) -> None:
    """Connect a workspace, in the place of an earlier connection of it.

    Deliveries that waited for it settle now. Raises `Problem` 409 where another one has it.
    """
    vault: Vault = request.app.state.vault
    async with request.app.state.engine.begin() as db:
        await owned_by_nobody_else(db, installed.connection_id, member.organization_id)
        await remember(db, [connection(installed, member.organization_id, "active")])
        if installed.secret:
            sealed = vault.seal(installed.secret.model_dump_json())
            await keep_connection_secret(db, installed.connection_id, sealed)
            await queue(db, [sync_job(installed.team_id)], member.organization_id)
        else:
            await forget_connection_secret(db, installed.connection_id)
        await written_down(db, member, "slack_connected", installed.connection_id)
        await find_homes(db)


async def disconnect(request: Request, member: Member, found: SlackConnection) -> None:
    """Let a workspace go and forget its token; what it told stays."""
    ended = Installed(found.external_id, found.account_login)
    async with request.app.state.engine.begin() as db:
        await remember(db, [connection(ended, member.organization_id, "deleted")])
        await forget_connection_secret(db, found.id)
        await written_down(db, member, "slack_disconnected", found.id)


def connection(installed: Installed, home: str, state: str) -> Connection:
    """Return the row of a workspace as it is from now on."""
    secret = installed.secret
    return Connection(
        id=installed.connection_id,
        organization_id=home,
        changed_at=datetime.now(UTC),
        source="slack",
        external_id=installed.team_id,
        account_login=installed.name,
        state=state,
        permissions=dict.fromkeys(secret.scopes, "granted") if secret else {},
    )


def missing_scopes(granted: tuple[str, ...] | list[str]) -> list[str]:
    """List what was asked for and not granted."""
    return [scope for scope in SCOPES if scope not in granted]
