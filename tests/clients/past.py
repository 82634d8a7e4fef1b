"""Pasts to read in tests: repositories of the fake GitHub, filled by hand or by webhooks."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from bot.clients.github import AppCredentials, GitHub, Installation, Patience
from bot.clients.github_history import PARTS, History, repositories, repository
from bot.clients.signing import Memory
from models.store import columns
from tests.fakes.github_history import FakePast
from tests.fakes.github_past import Json, PastRepository
from tests.handlers.recorded import decided

QUICK = Patience(first_seconds=0.001, longest_seconds=0.001)
START = datetime(2026, 9, 1, 12, tzinfo=UTC)
OURS = ("changed_at", "rank", "digest")
Rows = dict[tuple[str, str], dict[str, Any]]


@asynccontextmanager
async def installed(past: FakePast, memory: Memory | None = None) -> AsyncIterator[Installation]:
    """Open the fake's installation."""
    key = SecretStr(past.github.private_key)
    us = AppCredentials(app_id=past.github.app_id, private_key=key)
    known = Memory() if memory is None else memory
    async with GitHub(us, past.github.url, patience=QUICK, memory=known) as github:
        yield github.installation(42)


async def everything(
    history: History, *parts: str, since: datetime | None = None
) -> list[tuple[str, Mapping[str, Any]]]:
    """Read parts to their end."""
    told: list[tuple[str, Mapping[str, Any]]] = []
    for part in parts or PARTS:
        cursor: str | None = None
        while True:
            page = await history.page(part, cursor, since=since)
            told += page.told
            cursor = page.next
            if cursor is None:
                break
    return told


async def whole_past(past: FakePast) -> list[tuple[str, Mapping[str, Any]]]:
    """Read everything that the installation reaches."""
    async with installed(past) as github:
        told = list((await repositories(github)).told)
        for name in past.repositories:
            told += await everything(History(github, await repository(github, name)))
    return told


def rows(told: Iterable[tuple[str, Mapping[str, Any]]]) -> Rows:
    """Return what a store would say after some deliveries, but for when it was told."""
    kept: dict[tuple[str, str], tuple[Any, dict[str, Any]]] = {}
    for event, payload in told:
        for row in decided(event, dict(payload)).rows:
            key, age = (str(row.__tablename__), row.id), (row.changed_at, row.rank)
            said = {name: getattr(row, name) for name in columns(type(row)) if name not in OURS}
            if key not in kept or kept[key][0] <= age:
                kept[key] = (age, said)
    return {key: said for key, (_, said) in kept.items()}


def stamp(number: int = 0) -> str:
    """Return a time so many minutes after the start, as GitHub writes it."""
    return (START + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def person(number: int = 101, login: str = "ada", kind: str = "User") -> Json:
    return {"id": number, "login": login, "type": kind}


def add_pull(past: PastRepository, number: int, **told: Any) -> Json:
    """Add a pull request that was opened, and changed last, `number` minutes after the start."""
    made = {
        "id": 60_000 + number,
        "node_id": f"PR_kw{number}",
        "number": number,
        "title": f"Change {number}",
        "body": None,
        "html_url": f"https://github.com/acme/api/pull/{number}",
        "state": "open",
        "draft": False,
        "user": person(),
        "head": {"ref": f"branch-{number}", "sha": f"{number:040x}", "repo": {"id": 11}},
        "base": {"ref": "main", "sha": "b" * 40, "repo": {"id": 11}},
        "labels": [],
        "created_at": stamp(number),
        "updated_at": stamp(number),
        "closed_at": None,
        "merged_at": None,
        "merge_commit_sha": None,
        "commits": 0,
        "additions": 1,
        "deletions": 2,
        "changed_files": 3,
    }
    past.pulls[number] = made | told
    return past.pulls[number]


def add_commits(past: PastRepository, number: int, count: int) -> list[str]:
    """Add commits to a pull request; return their SHAs."""
    shas = [f"{number * 1000 + each:040x}" for each in range(count)]
    past.commits[number] = [
        {
            "id": sha,
            "message": f"Step {place}\n\nBecause.",
            "timestamp": f"2026-08-01T10:{place % 60:02}:00+02:00",
            "author": {"name": "Ada", "email": "a@example.org", "username": "ada"},
        }
        for place, sha in enumerate(shas)
    ]
    past.pulls[number]["commits"] = count
    return shas


def add_review(past: PastRepository, number: int, review_id: int, remarks: int = 0) -> None:
    """Add a review of a pull request, with remarks."""
    reviews = past.reviews.setdefault(number, {})
    reviews[review_id] = {
        "id": review_id,
        "node_id": f"PRR_kw{review_id}",
        "user": person(102, "ben"),
        "state": "commented",
        "submitted_at": stamp(number + 1),
    }
    past.remarks[review_id] = {
        each: comment(each) for each in range(review_id * 1000, review_id * 1000 + remarks)
    }


def comment(number: int, **told: Any) -> Json:
    made = {"id": number, "user": person(102, "ben"), "created_at": stamp(1)}
    return made | {"updated_at": stamp(2)} | told


def add_issue(past: PastRepository, number: int, comments: int = 0, **told: Any) -> None:
    """Add an issue, with comments."""
    made = {
        "id": 70_000 + number,
        "node_id": f"I_kw{number}",
        "number": number,
        "title": f"Issue {number}",
        "body": None,
        "html_url": f"https://github.com/acme/api/issues/{number}",
        "state": "open",
        "user": person(),
        "labels": [],
        "created_at": stamp(number),
        "updated_at": stamp(number),
        "closed_at": None,
    }
    past.issues[number] = made | told
    ids = range(number * 1000, number * 1000 + comments)
    past.comments[number] = {each: comment(each) for each in ids}


def add_deployment(past: PastRepository, number: int, states: tuple[str, ...]) -> None:
    """Add a deployment, with a status a minute."""
    past.deployments[number] = {
        "id": number,
        "sha": "c" * 40,
        "ref": "main",
        "environment": "production",
        "description": None,
        "creator": person(),
        "created_at": stamp(number),
        "updated_at": stamp(number + len(states)),
    }
    past.statuses[number] = {
        number * 100 + place: {
            "id": number * 100 + place,
            "state": state,
            "creator": person(),
            "created_at": stamp(number + place),
            "target_url": "",
            "log_url": "",
        }
        for place, state in enumerate(states, 1)
    }


def add_run(past: PastRepository, number: int, *, attempts: int = 1, at: str = "") -> None:
    """Add a workflow run that was made `number` minutes after the start, with a job an attempt."""
    past.workflows.setdefault(
        30_001, {"id": 30_001, "name": "CI", "path": ".github/workflows/ci.yml", "state": "active"}
    )
    created = at or stamp(number)
    for attempt in range(1, attempts + 1):
        past.runs.setdefault(number, {})[attempt] = {
            "id": number,
            "run_attempt": attempt,
            "workflow_id": 30_001,
            "name": "CI",
            "path": ".github/workflows/ci.yml",
            "event": "push",
            "head_branch": "main",
            "head_sha": "c" * 40,
            "status": "completed",
            "conclusion": "success" if attempt == attempts else "failure",
            "created_at": created,
            "run_started_at": created,
            "updated_at": created,
            "actor": person(),
            "html_url": f"https://github.com/acme/api/actions/runs/{number}",
        }
        job_id = number * 10 + attempt
        past.jobs[job_id] = {
            "id": job_id,
            "run_id": number,
            "run_attempt": attempt,
            "name": "tests",
            "status": "completed",
            "conclusion": "success",
            "started_at": created,
            "completed_at": created,
            "steps": [],
        }


def add_release(past: PastRepository, number: int, **told: Any) -> None:
    """Add a release."""
    past.releases[number] = {
        "id": number,
        "tag_name": f"v{number}",
        "name": None,
        "target_commitish": "main",
        "draft": False,
        "prerelease": False,
        "author": person(),
        "html_url": f"https://github.com/acme/api/releases/v{number}",
        "created_at": stamp(number),
        "published_at": stamp(number),
        **told,
    }
