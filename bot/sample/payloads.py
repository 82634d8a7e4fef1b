"""Payload fragments in GitHub's shapes (docs.github.com/webhooks/webhook-events-and-payloads)."""

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.sample.graph import Commit
from bot.sample.people import Person, user
from bot.sample.repositories import ORGANIZATION
from bot.sample.world import PullRequest, Repository

API = "https://api.github.com"
ZERO = "0" * 40
OWNER = {
    "login": ORGANIZATION["login"],
    "id": ORGANIZATION["id"],
    "avatar_url": ORGANIZATION["avatar_url"],
    "url": f"{API}/users/acme",
    "html_url": "https://github.com/acme",
    "type": "Organization",
    "site_admin": False,
}
COLOURS = {"bug": "d73a4a", "enhancement": "a2eeef", "hotfix": "b60205", "incident": "b60205"}


def iso(at: datetime | None) -> str | None:
    """A time in UTC as the API writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def local_iso(at: datetime, person: Person) -> str:
    """A time as the author's own clock showed it, with its offset."""
    return at.astimezone(person.zone).isoformat(timespec="seconds")


def repository(repo: Repository) -> dict[str, Any]:
    """The repository at this moment."""
    return {
        "id": repo.plan.id,
        "name": repo.name,
        "full_name": repo.full_name,
        "private": True,
        "owner": OWNER,
        "html_url": f"https://github.com/{repo.full_name}",
        "description": None,
        "fork": False,
        "url": f"{API}/repos/{repo.full_name}",
        "created_at": iso(repo.plan.created_at),
        "updated_at": iso(repo.updated_at),
        "pushed_at": iso(repo.pushed_at),
        "clone_url": f"https://github.com/{repo.full_name}.git",
        "size": 20480 + len(repo.commits) * 3,
        "stargazers_count": 0,
        "language": repo.plan.language,
        "archived": False,
        "disabled": False,
        "open_issues_count": len(repo.open_issues),
        "topics": [],
        "visibility": "internal",
        "default_branch": "main",
    }


def pushed_repository(repo: Repository) -> dict[str, Any]:
    """The same inside `push`, where two of the times are seconds since 1970."""
    pushed_at = repo.pushed_at or repo.plan.created_at
    return repository(repo) | {
        "url": f"https://github.com/{repo.full_name}",
        "owner": OWNER | {"name": OWNER["login"], "email": None},
        "created_at": int(repo.plan.created_at.timestamp()),
        "pushed_at": int(pushed_at.timestamp()),
        "stargazers": 0,
        "master_branch": "main",
        "organization": ORGANIZATION["login"],
    }


def nested_repository(repo: Repository) -> dict[str, Any]:
    """The few fields that nested mentions carry here."""
    return {
        "id": repo.plan.id,
        "name": repo.name,
        "full_name": repo.full_name,
        "private": True,
        "owner": OWNER,
        "html_url": f"https://github.com/{repo.full_name}",
        "default_branch": "main",
    }


def signature(person: Person, at: datetime) -> dict[str, Any]:
    """Who made a commit, in `push`."""
    return {
        "name": person.name,
        "email": person.email,
        "date": local_iso(at, person),
        "username": person.login,
    }


def pushed_commit(repo: Repository, commit: Commit, *, distinct: bool = True) -> dict[str, Any]:
    """A commit in `push`: its time stamp carries the author's offset."""
    return {
        "id": commit.sha,
        "tree_id": commit.tree,
        "distinct": distinct,
        "message": commit.message,
        "timestamp": local_iso(commit.authored_at, commit.author),
        "url": f"https://github.com/{repo.full_name}/commit/{commit.sha}",
        "author": signature(commit.author, commit.authored_at),
        "committer": signature(commit.committer, commit.committed_at),
        "added": list(commit.files.added),
        "removed": list(commit.files.removed),
        "modified": list(commit.files.modified),
    }


def head_commit(commit: Commit) -> dict[str, Any]:
    """A commit in `workflow_run` and `check_suite`."""
    return {
        "id": commit.sha,
        "tree_id": commit.tree,
        "message": commit.message,
        "timestamp": iso(commit.authored_at),
        "author": {"name": commit.author.name, "email": commit.author.email},
        "committer": {"name": commit.committer.name, "email": commit.committer.email},
    }


def label(name: str) -> dict[str, Any]:
    """A label; its id follows from its name."""
    return {
        "id": 2_400_000_000 + zlib.crc32(name.encode()) % 900_000_000,
        "url": f"{API}/repos/acme/labels/{name}",
        "name": name,
        "color": COLOURS.get(name, "c5def5"),
        "default": name in {"bug", "enhancement"},
        "description": "",
    }


def labels(names: Sequence[str]) -> list[dict[str, Any]]:
    """Several labels."""
    return [label(name) for name in names]


def brief_pull_request(repo: Repository, pr: PullRequest) -> dict[str, Any]:
    """The pull request as reviews and comments carry it."""
    page = f"/{repo.full_name}/pull/{pr.number}"
    return {
        "url": f"{API}/repos/{repo.full_name}/pulls/{pr.number}",
        "id": pr.id,
        "html_url": f"https://github.com{page}",
        "number": pr.number,
        "state": pr.state,
        "locked": False,
        "title": pr.title,
        "user": user(pr.author),
        "body": pr.body,
        "created_at": iso(pr.created_at),
        "updated_at": iso(pr.updated_at),
        "closed_at": iso(pr.closed_at),
        "merged_at": iso(pr.merged_at),
        "merge_commit_sha": pr.merge_sha or pr.test_sha,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [user(person) for person in pr.reviewers],
        "requested_teams": [],
        "labels": labels(pr.labels),
        "milestone": None,
        "head": _end(repo, pr.branch, pr.head),
        "base": _end(repo, "main", pr.base),
        "author_association": "MEMBER",
        "auto_merge": None,
        "draft": pr.draft,
    }


def pull_request(repo: Repository, pr: PullRequest) -> dict[str, Any]:
    """The pull request as its own events carry it."""
    files = [repo.commits[sha].files for sha in pr.commits]
    changed = {path for touched in files for paths in touched for path in paths}
    return brief_pull_request(repo, pr) | {
        "merged": pr.merged_at is not None,
        "mergeable": None if pr.state == "closed" else True,
        "rebaseable": None,
        "mergeable_state": "unknown" if pr.state == "closed" else "clean",
        "merged_by": user(pr.merged_by) if pr.merged_by else None,
        "comments": pr.comments,
        "review_comments": pr.review_comments,
        "maintainer_can_modify": False,
        "commits": len(pr.commits),
        "additions": 17 * len(changed) + pr.number % 23,
        "deletions": 5 * len(changed) + pr.number % 11,
        "changed_files": len(changed),
    }


def _end(repo: Repository, ref: str, sha: str) -> dict[str, Any]:
    return {
        "label": f"acme:{ref}",
        "ref": ref,
        "sha": sha,
        "user": OWNER,
        "repo": nested_repository(repo),
    }
