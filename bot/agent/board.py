"""What people see of a run on GitHub: one comment, edited as the run goes on."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import text

from bot.agent import words
from bot.agent.redact import Redactor
from bot.clients import github_work
from bot.clients.github import GitHubError, Installation
from bot.surroundings import Surroundings
from models import runs
from models.deriving import Home

log = structlog.get_logger()

EDIT_SECONDS = 10.0
CONFIGURATION = ".github/veelocity.yml"
FAULTS = text("""
    select distinct detail from run_steps
     where run_id = :run and kind = 'note' and name = '.github/veelocity.yml' and not ok
     order by detail limit 20
""")


@dataclass
class Board:
    """The tracking comment of a ticket: found by its marker, made once, then edited.

    It says what the store says of the run, so whoever takes the run up goes on with it. Where
    GitHub does not take it, that is logged, and the run goes on.
    """

    surroundings: Surroundings
    github: Installation
    home: Home
    ticket: dict[str, Any]
    redactor: Redactor
    run_id: int
    shown: str = ""
    dirty: asyncio.Event = field(default_factory=asyncio.Event)
    editing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def run_url(self) -> str:
        """The run's page."""
        return f"{self.surroundings.settings.public_url}/agent/runs/{self.run_id}"

    async def keep(self) -> None:
        """Edit the comment when something changed, at most every ten seconds, for ever."""
        while True:
            await self.dirty.wait()
            self.dirty.clear()
            await self.show()
            await asyncio.sleep(EDIT_SECONDS)

    async def show(self) -> None:
        """Say how the run stands, and what of the repository's configuration does not hold."""
        async with self.surroundings.engine.connect() as db:
            row = await runs.run(db, self.run_id)
            notes = list((await db.execute(FAULTS, {"run": self.run_id})).scalars())
        if row is None:
            return
        said = words.tracking(dict(row), self.ticket, self.run_url, notes)
        await self.say(f"{self.marker}\n{self.redactor.redact(said)}")

    @property
    def marker(self) -> str:
        """What the comment is found by."""
        return words.MARKER.format(ticket=self.ticket["id"])

    async def say(self, said: str) -> None:
        """Put words into the comment; the same words are not sent twice."""
        async with self.editing:
            if said == self.shown:
                return
            try:
                await self.write(said)
            except GitHubError as error:
                log.warning("comment_not_written", run=self.run_id, why=str(error))
                return
            self.shown = said

    async def write(self, said: str) -> None:
        """Edit the comment, or make it where it is not there (any more)."""
        name, number = self.home.full_name, self.ticket["number"]
        if self.ticket["comment_id"] is None:
            found = await github_work.find_comment(self.github, name, number, self.marker)
            await self.found(found)
        if self.ticket["comment_id"] is not None:
            with contextlib.suppress(github_work.Gone):
                await github_work.edit_comment(self.github, name, self.ticket["comment_id"], said)
                return
        await self.found(await github_work.create_comment(self.github, name, number, said))

    async def found(self, comment_id: int | None) -> None:
        """Remember the comment."""
        self.ticket["comment_id"] = comment_id
        async with self.surroundings.engine.begin() as db:
            await db.execute(
                text("update tickets set comment_id = :comment where id = :id"),
                {"comment": comment_id, "id": self.ticket["id"]},
            )
