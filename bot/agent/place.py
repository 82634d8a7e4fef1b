"""Where a run works: its ticket and repository, GitHub, its folders, what is said of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agent.board import Board
from bot.agent.configuration import Configuration
from bot.agent.context import Instructions
from bot.agent.redact import Redactor, secrets_of
from bot.agent.sandbox import Sandbox, owner, sandbox_for
from bot.agent.tickets import installed
from bot.agent.workspace import Origin, Workspace, workspace
from bot.clients.github import GitHubError, Installation
from bot.clients.github_work import repository_token
from bot.live import publish
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.vault import app_credentials
from models import runs
from models.deriving import Home, home_of
from models.errors import Refused
from models.prompts import AgentSettings, agent_settings
from models.runs import RunState
from models.tickets import TicketStatus, set_status, ticket

if TYPE_CHECKING:
    from pydantic import SecretStr

log = structlog.get_logger()


@dataclass
class Place:
    """What the states of one run share. `run` and `ticket` are rows as they are now.

    `why` says to people why the run ends as it does, where its state alone does not.
    """

    surroundings: Surroundings
    run: dict[str, Any]
    ticket: dict[str, Any]
    home: Home
    organization: AgentSettings
    github: Installation
    space: Workspace
    redactor: Redactor
    board: Board
    instructions: Instructions | None = None
    why: str | None = None

    @property
    def id(self) -> int:
        """The run's id."""
        return int(self.run["id"])

    @property
    def state(self) -> str:
        """The state that the run is in."""
        return str(self.run["state"])

    @property
    def settings(self) -> Settings:
        """The settings of this Veelocity."""
        return self.surroundings.settings

    @property
    def configuration(self) -> Configuration:
        """What the repository says of how it is developed."""
        return self.told.configuration

    @property
    def told(self) -> Instructions:
        """The trusted instructions, once they were read."""
        assert self.instructions is not None  # noqa: S101 - every state reads them first
        return self.instructions

    @property
    def follows_up(self) -> bool:
        """Whether the run goes on with a pull request that is there."""
        return self.run["kind"] in ("review", "checks")

    @property
    def money_ran_out(self) -> bool:
        """Whether one of the limits that were hit is a budget."""
        return any(map(is_money, self.run["limits"]))

    def sandbox(self) -> Sandbox:
        """The sandbox that the model works in."""
        return sandbox_for(self.settings, self.space.tree, self.space.tmp)

    async def keep(self, **told: Any) -> None:
        """Write columns of the run, here and in the store."""
        self.run |= told
        async with self.surroundings.engine.begin() as db:
            await runs.keep(db, self.id, **told)
        await self.tell()

    async def note(self, kind: str, name: str, **more: Any) -> None:
        """Write down a step of the run, for people."""
        name = self.redactor.redact(name)
        if more.get("detail"):
            more["detail"] = self.redactor.redact(more["detail"])
        async with self.surroundings.engine.begin() as db:
            await runs.note(db, self.id, kind, name, **more)
        await self.tell()

    async def move(self, state: RunState, error: str | None = None) -> None:
        """Move the run to its next state."""
        async with self.surroundings.engine.begin() as db:
            await runs.move(db, self.id, state, error)
        self.run["state"] = state
        await self.tell()

    async def ticket_is(self, status: TicketStatus) -> None:
        """Move the ticket on."""
        async with self.surroundings.engine.begin() as db:
            moved = await set_status(db, self.ticket["id"], status)
        if moved:
            self.ticket["status"] = status
            await self.tell("ticket")

    async def tell(self, *more: str) -> None:
        """Tell open pages, and the tracking comment, that something changed."""
        self.board.dirty.set()
        with contextlib.suppress(RedisError, OSError):
            await publish(self.surroundings.redis, self.home.organization_id, "run", *more)

    async def renew_token(self) -> None:
        """Take a new token for git: the one the run began with lasts an hour."""
        token = await git_token(self.settings, self.github, self.home)
        self.space.origin = Origin(self.space.origin.url, token)

    async def refresh(self) -> None:
        """Read the run again: calls of the model have changed its figures."""
        async with self.surroundings.engine.connect() as db:
            row = await runs.run(db, self.id)
        self.run |= dict(row or {})


def is_money(limit: str) -> bool:
    """Tell whether a limit is a budget: the run's (`usd`), or one shared with other runs."""
    return limit == "usd" or limit.startswith("the ")


async def rows_of(
    db: AsyncConnection, run: dict[str, Any]
) -> tuple[dict[str, Any], Home, AgentSettings]:
    """Return a run's ticket, repository and organisation's wishes."""
    asked = await ticket(db, run["ticket_id"])
    home = await home_of(db, run["repository_id"])
    if asked is None or home is None:
        raise Refused("The ticket of this run, or its repository, is gone.")
    return dict(asked), home, await agent_settings(db, run["organization_id"])


@asynccontextmanager
async def opened(surroundings: Surroundings, run: dict[str, Any]) -> AsyncIterator[Place]:
    """Open what a run works with; raise `Refused` where something of it is missing."""
    settings = surroundings.settings
    async with surroundings.engine.connect() as db:
        asked, home, wishes = await rows_of(db, run)
    async with AsyncExitStack() as held:
        github = await held.enter_async_context(installed(surroundings, home))
        token = await git_token(settings, github, home)
        origin = Origin(f"{settings.git_origin}/{home.full_name}.git", token)
        space = await held.enter_async_context(
            workspace(settings, run["id"], run["repository_id"], origin, owner=owner())
        )
        redactor = await redactor_of(surroundings, run["organization_id"], token)
        board = Board(surroundings, github, home, asked, redactor, int(run["id"]))
        place = Place(surroundings, run, asked, home, wishes, github, space, redactor, board)
        keeping = asyncio.create_task(board.keep())
        try:
            yield place
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def redactor_of(
    surroundings: Surroundings, organization_id: str, *more: "SecretStr | None"
) -> Redactor:
    """Return what takes out every live secret: of the settings, of the vault, and those given.

    A vault whose key was lost has none that could be told.
    """
    settings, vault = surroundings.settings, surroundings.vault
    known: list[str | SecretStr | None] = [*more]
    async with surroundings.engine.connect() as db:
        with contextlib.suppress(Refused):
            if app := await app_credentials(db, settings, vault):
                known += [app.private_key, app.client_secret, *app.hook_secrets]
        wishes = await agent_settings(db, organization_id)
        with contextlib.suppress(Refused):
            known += [vault.open(wishes.completion_secret)] if wishes.completion_secret else []
    return Redactor(secrets_of(settings, *known))


async def git_token(settings: Settings, github: Installation, home: Home) -> "SecretStr | None":
    """Return a token for this repository's git alone; None where git needs none (a local folder).

    Raises `GitHubError`, such as for a missing permission.
    """
    if settings.git_origin.startswith("file://"):
        return None
    try:
        return await repository_token(github, home.full_name)
    except GitHubError as error:
        if error.passing:
            raise
        raise Refused(f"GitHub gives no token to push with: {error}") from None
