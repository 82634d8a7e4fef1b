"""A stand-in for what GitHub keeps of `acme/shipping`: issues, comments, pull requests, checks.

The demo's alone; the shapes are those of docs.github.com/rest. What is written here stays in the
demo's folder, so that the next start goes on with it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bot.sample import shipping
from bot.sample.payloads import iso
from bot.sample.people import ADMIN, user
from bot.sample.repositories import APP_ID

KEPT = "desk.json"
BOT = {"id": 187_230_011, "login": "veelocity[bot]", "type": "Bot"}


class Desk(BaseModel):
    """All that is kept, as GitHub would answer it. `number`: the last issue or pull request."""

    number: int = len(shipping.ISSUES)
    made: int = 3_100_000_000
    issues: dict[int, dict[str, Any]] = {}
    comments: dict[int, dict[str, Any]] = {}
    pulls: dict[int, dict[str, Any]] = {}
    checks: dict[int, dict[str, Any]] = {}
    told: bool = False

    def identity(self) -> int:
        """Return an id that nothing has yet."""
        self.made += 1
        return self.made

    def issue(self, number: int, title: str, body: str, labels: tuple[str, ...]) -> dict[str, Any]:
        """Keep an issue."""
        at = iso(datetime.now(UTC))
        made = {
            "id": 2_900_000_000 + number,
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "user": user(ADMIN),
            "labels": [{"name": label} for label in labels],
            "html_url": f"https://github.com/{shipping.FULL_NAME}/issues/{number}",
            "created_at": at,
            "updated_at": at,
        }
        self.issues[number] = made
        return made

    def comment(self, number: int, body: str, author: dict[str, Any]) -> dict[str, Any]:
        """Keep a comment on an issue or pull request."""
        at = iso(datetime.now(UTC))
        made: dict[str, Any] = {
            "id": self.identity(),
            "issue": number,
            "body": body,
            "user": author,
            "created_at": at,
            "updated_at": at,
            "performed_via_github_app": {"id": APP_ID} if author is BOT else None,
        }
        self.comments[made["id"]] = made
        return made

    def pull(self, told: dict[str, Any], head_sha: str, base_sha: str) -> dict[str, Any]:
        """Keep a pull request."""
        self.number += 1
        at = iso(datetime.now(UTC))
        repository = {"id": shipping.REPOSITORY_ID, "full_name": shipping.FULL_NAME}
        made = {
            "id": self.identity(),
            "number": self.number,
            "state": "open",
            "title": told["title"],
            "body": told.get("body"),
            "draft": bool(told.get("draft")),
            "user": BOT,
            "labels": [],
            "html_url": f"https://github.com/{shipping.FULL_NAME}/pull/{self.number}",
            "head": {"ref": told["head"], "sha": head_sha, "repo": repository},
            "base": {"ref": told["base"], "sha": base_sha, "repo": repository},
            "created_at": at,
            "updated_at": at,
            "merged_at": None,
            "closed_at": None,
            "merge_commit_sha": None,
        }
        self.pulls[self.number] = made
        return made


def opened(home: Path) -> Desk:
    """Return the desk as it was left; on the first start, with the three issues on it."""
    path = home / KEPT
    if path.exists():
        return Desk.model_validate_json(path.read_bytes())
    desk = Desk()
    for issue in shipping.ISSUES:
        desk.issue(issue.number, issue.title, issue.body, issue.labels)
    return desk


def keep(home: Path, desk: Desk) -> None:
    """Write the desk down."""
    (home / KEPT).write_text(desk.model_dump_json())
