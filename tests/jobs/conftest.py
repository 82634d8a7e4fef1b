"""A rig whose GitHub is a fake that the agent may write at, with one repository installed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from bot.settings import Settings
from tests.fakes.github import FakeGitHub, FakeRepository, fake_github
from tests.fakes.github_told import Delivery, installed, settings_for
from tests.rig import Rig, rig_of


@dataclass
class Desk:
    """The rig, the fake GitHub and its one repository, `acme/api`, which is installed."""

    rig: Rig
    fake: FakeGitHub
    api: FakeRepository

    async def tell(self, *deliveries: Delivery) -> None:
        """Deliver, and work until nothing is left to do now."""
        for event, payload in deliveries:
            answer = await self.rig.deliver(event, payload)
            assert answer.status_code in (200, 202), answer.text
        await self.rig.settle()

    async def tickets(self, columns: str = "number, status") -> list[tuple[object, ...]]:
        """Return tickets, oldest first."""
        rows = await self.rig.ask(f"select {columns} from tickets order by created_at, id")  # noqa: S608
        return [tuple(row.values()) for row in rows]

    async def runs(
        self, columns: str = "kind, state, requested_by_login"
    ) -> list[tuple[object, ...]]:
        """Return runs, oldest first."""
        rows = await self.rig.ask(f"select {columns} from runs order by id")  # noqa: S608
        return [tuple(row.values()) for row in rows]

    async def audited(self) -> list[str]:
        """Return what was refused, by the audit log."""
        rows = await self.rig.ask(
            "select detail from audit_log where action = 'agent_refused' order by id"
        )
        return [row["detail"] for row in rows]

    async def change(self, statement: str, **bound: object) -> None:
        """Change something in the store by hand, as a run or a person would."""
        async with self.rig.app.rest.state.engine.begin() as db:
            await db.execute(text(statement), bound)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github(writes=True) as github:
        yield github


@pytest.fixture
async def desk(
    fake: FakeGitHub, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Desk]:
    api = fake.repository("acme/api")
    async with rig_of(settings_for(fake, settings)) as rig:
        opened = Desk(rig, fake, api)
        await opened.tell(installed(api))
        yield opened
