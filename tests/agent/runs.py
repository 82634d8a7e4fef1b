"""A whole run in a test's own words: a ticket, a scripted model, and what came of it."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import from_url
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import models
from bot.agent.run import develop_one
from bot.agent.workspace import agent_home
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.vault import Vault
from models import runs, tickets
from models.store import remember
from tests.agent.conftest import Repository, made_repository
from tests.agent.sandboxes import need_a_sandbox
from tests.fakes.anthropic import Fake, Script, calls, fake_anthropic
from tests.fakes.github import FakeGitHub, FakeIssue, FakeRepository, fake_github

Opened = Callable[..., Any]
ORGANIZATION = "github:9"
AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
FILES = {
    "add.py": "def add(a, b):\n    return a - b\n",
    "test_add.py": (
        "import unittest\n\nfrom add import add\n\n\n"
        "class Add(unittest.TestCase):\n"
        "    def test_nothing(self):\n        self.assertEqual(add(0, 0), 0)\n\n\n"
        "if __name__ == '__main__':\n    unittest.main()\n"
    ),
    ".github/veelocity.yml": "test: python3 -m unittest\n",
}
LOOK = calls("bash", command="cat add.py")
MEND = calls(
    "str_replace_based_edit_tool",
    command="str_replace",
    path="/repo/add.py",
    old_str="a - b",
    new_str="a + b",
)
SUBMIT = calls("submit", title="Add, do not subtract", summary="It subtracted.", tests="unittest")
GOOD = (LOOK, MEND, SUBMIT)


def bash(command: str) -> dict[str, Any]:
    """A turn that runs one command."""
    return calls("bash", command=command)


@dataclass
class Desk:
    """Everything around one repository, `acme/adding`, whose tickets are developed here."""

    surroundings: Surroundings
    github: FakeGitHub
    repository: FakeRepository
    origin: Repository

    @property
    def engine(self) -> AsyncEngine:
        """The store."""
        return self.surroundings.engine

    @property
    def repository_id(self) -> str:
        """The repository's key."""
        return f"github:{self.repository.id}"

    async def ticket(self, title: str = "Add subtracts", body: str = "", **more: Any) -> FakeIssue:
        """Open an issue, keep it as a ticket and queue a run for it."""
        issue = self.repository.issue(title, body or "add(1, 2) is -1.")
        await self.again(issue, **more)
        return issue

    async def again(self, issue: FakeIssue, **more: Any) -> int | None:
        """Queue a run for an issue; return its id."""
        told = {
            "id": f"github:{issue.id}",
            "organization_id": ORGANIZATION,
            "repository_id": self.repository_id,
            "number": issue.number,
            "title": issue.title,
            "body": issue.body,
            "url": issue.url,
            "type": "bug",
            "priority": "medium",
            "source": "label",
            "author_login": issue.by.login,
            "requested_by_id": "github:501",
            "requested_by_login": "ada",
            "requested_at": datetime.now(UTC),
        }
        run = {
            key: more.pop(key) for key in ("kind", "request", "instructions_commit") if key in more
        }
        async with self.engine.begin() as db:
            await tickets.put_ticket(db, told | more)
            asker = {"requested_by_id": "github:501", "requested_by_login": "ada"}
            return await runs.put_run(db, told["id"], **asker, **run)

    async def develop(self) -> dict[str, Any]:
        """Carry the run that is due to its end; return it."""
        run_id = await develop_one(self.surroundings)
        assert run_id is not None, "no run was due"
        return await self.run(run_id)

    async def run(self, run_id: int) -> dict[str, Any]:
        """Return a run."""
        async with self.engine.connect() as db:
            return dict(await runs.run(db, run_id) or {})

    async def ask(self, question: str, **bound: Any) -> list[dict[str, Any]]:
        """Ask the store."""
        async with self.engine.connect() as db:
            return [dict(row) for row in (await db.execute(text(question), bound)).mappings()]

    async def status(self, issue: FakeIssue) -> str:
        """Return what has become of a ticket."""
        rows = await self.ask("select status from tickets where id = :id", id=f"github:{issue.id}")
        return str(rows[0]["status"])

    def board(self, issue: FakeIssue) -> str:
        """Return the tracking comment as it is now; there is one."""
        ours = [each for each in issue.comments if "veelocity:ticket" in each.body]
        assert len(ours) == 1, [each.body for each in issue.comments]
        return ours[0].body

    def pulls(self) -> list[FakeIssue]:
        """Return every pull request."""
        return [each for each in self.repository.issues.values() if each.is_pull_request]


@contextmanager
def settings_of(
    base: Settings, folder: Path, github: FakeGitHub, model: Fake, **more: Any
) -> Iterator[Settings]:
    """Yield settings of a worker with a home of its own."""
    settings = base.model_copy(
        update={
            "veelocity_home": folder / "home",
            "git_url": f"file://{folder / 'origin'}",
            "github_api_url": github.url,
            "app_id": github.app_id,
            "private_key": SecretStr(github.private_key),
            "anthropic_api_key": SecretStr("sk-ant-key-of-the-test"),
            "anthropic_base_url": model.url,
            **more,
        }
    )
    yield settings
    home = agent_home(settings)
    shutil.rmtree(home.parent if os.geteuid() == 0 else home, ignore_errors=True)


@asynccontextmanager
async def desk_of(
    base: Settings,
    engine: AsyncEngine,
    folder: Path,
    script: Script,
    files: Mapping[str, str | bytes] | None = None,
    **more: Any,
) -> AsyncIterator[tuple[Desk, Fake]]:
    """Open a desk with a model that follows a script."""
    origin = made_repository(folder / "origin", files or FILES)
    with (
        fake_github(writes=True) as github,
        fake_anthropic(script) as model,
        settings_of(base, folder, github, model, **more) as settings,
    ):
        redis = from_url(settings.redis_address)  # type: ignore[no-untyped-call]
        surroundings = Surroundings(settings, engine, redis, Vault(settings.secret_keys))
        repository = github.repository("acme/adding", origin.bare)
        desk = Desk(surroundings, github, repository, origin)
        await furnish(engine, desk)
        try:
            yield desk, model
        finally:
            await redis.aclose()
        assert not model.errors, model.errors


async def furnish(engine: AsyncEngine, desk: Desk) -> None:
    """Keep organisation, installation and repository."""
    own = {"organization_id": ORGANIZATION}
    async with engine.begin() as db:
        await remember(
            db,
            [
                models.Organization(id=ORGANIZATION, login="acme", account_id=9, **own),
                models.Connection(
                    id="github:installation:42",
                    source="github",
                    external_id="42",
                    account_login="acme",
                    state="active",
                    **own,
                ),
                models.Repository(
                    id=desk.repository_id,
                    full_name="acme/adding",
                    owner_login="acme",
                    default_branch="main",
                    url="https://github.com/acme/adding",
                    **own,
                ),
            ],
        )


@pytest.fixture
async def desk(
    settings: Settings, engine: AsyncEngine, clean_redis: str, tmp_path: Path
) -> AsyncIterator[Opened]:
    """Opens a desk with a model that follows a script."""
    await need_a_sandbox()
    async with AsyncExitStack() as held:

        async def opened(script: Any, **more: Any) -> tuple[Desk, Fake]:
            return await held.enter_async_context(
                desk_of(settings, engine, tmp_path, script, **more)
            )

        yield opened
