"""What people and the agent work on at the fake GitHub: issues, comments, pull requests, checks."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HIDDEN = re.compile(r"<!--.*?-->", re.DOTALL)
FACES = {"eyes": "👀", "-1": "👎", "+1": "👍", "confused": "😕", "rocket": "🚀"}
WRITING = {
    "actions": "read",
    "checks": "write",
    "contents": "write",
    "deployments": "read",
    "issues": "write",
    "members": "read",
    "metadata": "read",
    "pull_requests": "write",
}
"""What an installation grants that the agent may work in."""


def stamp(at: datetime | None = None) -> str:
    """Write a time as GitHub does; now unless told otherwise."""
    return (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def first_line(body: str) -> str:
    """Return the first line of a text that people see."""
    shown = (line.strip() for line in HIDDEN.sub("", body).splitlines())
    return next((line for line in shown if line), "")


@dataclass
class Person:
    """Somebody at GitHub."""

    login: str
    id: int
    type: str = "User"

    def told(self) -> dict[str, Any]:
        """Return the person as payloads carry them."""
        return {"login": self.login, "id": self.id, "type": self.type}


@dataclass
class FakeComment:
    """A comment; `app` is the id of the app that wrote it."""

    id: int
    by: Person
    body: str
    app: int | None = None
    created_at: str = field(default_factory=stamp)
    updated_at: str = ""
    reactions: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Return the comment as the API and payloads carry it."""
        return {
            "id": self.id,
            "body": self.body,
            "user": self.by.told(),
            "created_at": self.created_at,
            "updated_at": self.updated_at or self.created_at,
            "performed_via_github_app": {"id": self.app} if self.app else None,
        }


@dataclass
class FakeReview:
    """A review and its remarks about lines: path, line, words."""

    id: int
    by: Person
    state: str
    body: str
    remarks: list[tuple[str, int | None, str]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Return the review as the API and payloads carry it."""
        return {
            "id": self.id,
            "user": self.by.told(),
            "body": self.body,
            "state": self.state,
            "submitted_at": stamp(),
        }


@dataclass
class FakeIssue:
    """An issue, or a pull request where `head` is not empty."""

    number: int
    id: int
    url: str
    title: str
    body: str
    by: Person
    labels: list[str] = field(default_factory=list)
    state: str = "open"
    comments: list[FakeComment] = field(default_factory=list)
    reactions: list[str] = field(default_factory=list)
    head: str = ""
    base: str = "main"
    head_sha: str = ""
    head_repository_id: int = 0
    draft: bool = False
    merged: bool = False
    reviewers: list[str] = field(default_factory=list)
    reviews: list[FakeReview] = field(default_factory=list)
    created_at: str = field(default_factory=stamp)

    @property
    def is_pull_request(self) -> bool:
        """Whether it is a pull request."""
        return bool(self.head)

    def told(self) -> dict[str, Any]:
        """Return the issue as the API and payloads carry it."""
        return {
            "id": self.id,
            "number": self.number,
            "title": self.title,
            "body": self.body or None,
            "html_url": self.url,
            "state": self.state,
            "user": self.by.told(),
            "labels": [{"name": name} for name in self.labels],
            "created_at": self.created_at,
            "updated_at": stamp(),
            "closed_at": stamp() if self.state == "closed" else None,
            **({"pull_request": {"url": self.url}} if self.is_pull_request else {}),
        }

    def told_as_pull(self, repository_id: int) -> dict[str, Any]:
        """Return a pull request as the API and payloads carry it."""
        home = {"id": repository_id, "default_branch": "main"}
        theirs = home | {"id": self.head_repository_id or repository_id}
        told = {name: value for name, value in self.told().items() if name != "pull_request"}
        return told | {
            "draft": self.draft,
            "merged_at": stamp() if self.merged else None,
            "merge_commit_sha": "e" * 40 if self.merged else None,
            "head": {"ref": self.head, "sha": self.head_sha or "d" * 40, "repo": theirs},
            "base": {"ref": self.base, "sha": "b" * 40, "repo": home},
        }


@dataclass
class FakeCheck:
    """A check of a commit; `app` is the id of the app whose it is.

    `annotations` are what it says of single lines, as the API has them.
    """

    id: int
    name: str
    head_sha: str
    app: int
    status: str = "completed"
    conclusion: str | None = None
    external_id: str = ""
    title: str = ""
    summary: str = ""
    details_url: str = ""
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Return the check as the API and payloads carry it."""
        return {
            "id": self.id,
            "name": self.name,
            "head_sha": self.head_sha,
            "status": self.status,
            "conclusion": self.conclusion,
            "external_id": self.external_id,
            "app": {"id": self.app, "slug": "veelocity" if self.app == 7 else "github-actions"},
            "output": {"title": self.title, "summary": self.summary},
            "started_at": stamp(),
            "completed_at": stamp() if self.conclusion else None,
        }


def git(origin: Path, *arguments: str) -> bytes | None:
    """Ask a bare repository something; None where git does not answer."""
    environment = {"PATH": os.defpath, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    asked = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(origin), *arguments],
        capture_output=True,
        env=environment,
        check=False,
    )
    return asked.stdout if asked.returncode == 0 else None
