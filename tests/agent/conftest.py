"""What tests of the agent share: a repository as origin, settings with a home, a workspace."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.agent.workspace import Origin, Workspace, agent_home, workspace
from bot.settings import Settings
from tests.agent.sandboxes import box as box
from tests.agent.sandboxes import nap as nap

FIRST = {
    "README.md": "# Adding\n",
    "add.py": "def add(a, b):\n    return a - b\n",
    "tests/test_add.py": "from add import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
}
WHO = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def plain_git(folder: Path, *arguments: str) -> str:
    """Run git as a person would, without the configuration of this machine."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **WHO},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Repository:
    """A bare repository on disk, and a clone of it that a person works in."""

    bare: Path
    clone: Path

    @property
    def url(self) -> str:
        """The address that the agent fetches from and pushes to."""
        return f"file://{self.bare}"

    @property
    def head(self) -> str:
        """The commit of the default branch."""
        return plain_git(self.bare, "rev-parse", "refs/heads/main")

    def branches(self) -> dict[str, str]:
        """Every reference with its commit."""
        listed = plain_git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ") for line in listed.splitlines())

    def write(self, files: Mapping[str, str | bytes], message: str = "Change") -> str:
        """Commit files to the default branch as a person; return the commit."""
        for name, body in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body.encode() if isinstance(body, str) else body)
        return self.commit(message)

    def commit(self, message: str = "Change") -> str:
        """Commit and push what is in the clone."""
        plain_git(self.clone, "add", "-A", "--force")
        plain_git(self.clone, "commit", "-qm", message)
        plain_git(self.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
        return self.head

    def show(self, ref: str, path: str) -> str:
        """What a file holds on a branch of the origin."""
        return plain_git(self.bare, "show", f"{ref}:{path}")


def made_repository(folder: Path, files: Mapping[str, str | bytes] = FIRST) -> Repository:
    """Make a bare repository `acme/adding.git` below a folder, with a first commit."""
    bare = folder / "acme" / "adding.git"
    bare.mkdir(parents=True)
    plain_git(bare, "init", "-q", "--bare", "-b", "main")
    plain_git(folder, "clone", "-q", str(bare), "clone")
    made = Repository(bare, folder / "clone")
    plain_git(made.clone, "checkout", "-q", "-B", "main")
    made.write(files, "Start")
    return made


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    """A bare repository on disk with a first commit: one wrong function and its test."""
    return made_repository(tmp_path / "origin")


@pytest.fixture
def agent_settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings with a home of this test's own, and no store; its folders are deleted after."""
    settings = Settings(
        veelocity_home=tmp_path / "home",
        git_url=f"file://{tmp_path / 'origin'}",
        secret_key=SecretStr("test-key-of-32-characters-length"),
    )
    yield settings
    home = agent_home(settings)
    shutil.rmtree(home.parent if os.geteuid() == 0 else home, ignore_errors=True)


@pytest.fixture
async def space(agent_settings: Settings, origin: Repository) -> AsyncIterator[Workspace]:
    """A workspace of run 1 on the origin, with its default branch fetched and checked out."""
    place = Origin(origin.url, None)
    async with workspace(agent_settings, 1, "github:1", place, owner=None) as opened:
        await opened.fetch("main")
        await opened.checkout(origin.head)
        yield opened
