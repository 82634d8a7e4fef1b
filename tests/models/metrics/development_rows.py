"""Rows of pull requests and issues, said in few words."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from models import (
    Identity,
    Issue,
    IssuePullRequest,
    LinearIssue,
    PullRequest,
    PullRequestTime,
    Team,
    TeamMember,
)
from models.issue_times import measure_issues
from tests.models.metrics.rows import at

NUMBERS = count(1)
Row = dict[str, Any]


def pull_request(opened: str | datetime, **told: Any) -> Row:
    """A pull request by ada, open unless it is told when it was merged."""
    opened_at = at(opened) if isinstance(opened, str) else opened
    number = next(NUMBERS)
    for name in ("merged_at", "first_review_at", "ready_at", "first_commit_at", "closed_at"):
        if isinstance(told.get(name), str):
            told[name] = at(told[name])
    row = {
        "pull_request_id": f"github:{number:06}",
        "organization_id": "acme",
        "repository_id": "acme/api",
        "author_login": "ada",
        "cohort": "people",
        "draft": False,
        "first_commit_at": opened_at,
        "opened_at": opened_at,
        "ready_at": opened_at,
        "first_review_at": None,
        "merged_at": None,
        "closed_at": told.get("merged_at"),
        **told,
    }
    row.setdefault("state", "merged" if row["merged_at"] else "open")
    ended = row["first_review_at"] or row["merged_at"] or row["closed_at"] or row["opened_at"]
    return {**row, "answered_at": ended, "account": f"github:login:{row['author_login'].lower()}"}


def merged(hours: float, opened: str = "09-03 12:00", **told: Any) -> Row:
    """A pull request that was reviewed after half of its hours, and merged after all of them."""
    times = {
        "first_review_at": at(opened) + timedelta(hours=hours / 2),
        "merged_at": at(opened) + timedelta(hours=hours),
    }
    return pull_request(opened, **times | told)


async def keep_pull_requests(db: AsyncConnection, rows: list[Row]) -> None:
    """Write pull requests, as GitHub told them and as they are measured."""
    if not rows:
        return
    facts = [
        {
            "id": row["pull_request_id"],
            "organization_id": row["organization_id"],
            "repository_id": row["repository_id"],
            "number": int(row["pull_request_id"].partition(":")[2]),
            "title": "A change",
            "url": f"https://github.com/acme/api/pull/{row['pull_request_id']}",
            "state": "open" if row["state"] == "open" else "closed",
            "author_login": row["author_login"],
            "cohort": row["cohort"],
            "base_ref": "main",
            "head_ref": f"branch-{row['pull_request_id']}",
            "head_sha": "a" * 40,
            "labels": [],
            "opened_at": row["opened_at"],
        }
        for row in rows
    ]
    await db.execute(insert(PullRequest), facts)
    await db.execute(insert(PullRequestTime), rows)


async def team(db: AsyncConnection, team_id: str, *logins: str) -> None:
    """A team and its members."""
    fact = {"organization_id": "acme"}
    made = {"id": team_id, "name": team_id, "slug": team_id, "source": "hand", **fact}
    await db.execute(insert(Team), [made])
    for login in logins:
        member = {"id": f"{team_id}:{login}", "team_id": team_id, "login": login, **fact}
        await db.execute(insert(TeamMember), [member])


async def identity(db: AsyncConnection, account: str, email: str | None = None, **told: Any) -> str:
    """An account somewhere; return its id."""
    row = {
        "id": f"acme/{account}",
        "organization_id": "acme",
        "source": account.partition(":")[0],
        "account": account,
        "name": None,
        "email": email,
        **told,
    }
    await db.execute(insert(Identity), [row])
    return str(row["id"])


async def issue(
    db: AsyncConnection, created: datetime, closed: datetime | None = None, **told: Any
) -> Row:
    """An issue of GitHub."""
    number = next(NUMBERS)
    row = {
        "id": f"github:i{number}",
        "organization_id": "acme",
        "repository_id": "acme/api",
        "number": number,
        "title": "Something is amiss",
        "state": "closed" if closed else "open",
        "labels": [],
        "created_at": created,
        "closed_at": closed,
        **told,
    }
    await db.execute(insert(Issue), [row])
    await measure_issues(db, "acme", [row["id"]])
    return row


async def linear_issue(db: AsyncConnection, created: datetime, **told: Any) -> Row:
    """An issue of Linear."""
    number = next(NUMBERS)
    row = {
        "id": f"linear:i{number}",
        "organization_id": "acme",
        "identifier": f"ENG-{number}",
        "number": number,
        "title": "Something is wanted",
        "team_id": "linear:t",
        "labels": [],
        "mentions": [],
        "created_at": created,
        **told,
    }
    await db.execute(insert(LinearIssue), [row])
    await measure_issues(db, "acme", [row["id"]])
    return row


async def link(db: AsyncConnection, of: Row, pull: Row) -> None:
    """Tie an issue to a pull request."""
    row = {
        "issue_id": of["id"],
        "pull_request_id": pull["pull_request_id"],
        "organization_id": "acme",
        "source": of["id"].partition(":")[0],
        "evidence": "closes",
    }
    await db.execute(insert(IssuePullRequest), [row])
    await measure_issues(db, "acme", [of["id"]])
