"""Rows of builds, said in few words."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from models import Build
from tests.models.metrics.rows import at

NUMBERS = count(1)
Row = dict[str, Any]
COUNTED = ("success", "failure", "timed_out")


def build(completed: str | datetime | None, outcome: str | None = "success", **told: Any) -> Row:
    """A build of ten minutes; outcome None is one that runs."""
    number = next(NUMBERS)
    ended = at(completed) if isinstance(completed, str) else completed
    minutes = told.pop("minutes", 10)
    began = told.pop("started_at", None) or (ended and ended - timedelta(minutes=minutes))
    counted = outcome in COUNTED
    return {
        "id": f"github:{number:06}",
        "organization_id": "acme",
        "repository_id": "acme/api",
        "workflow_id": "github:7",
        "workflow": "CI",
        "path": ".github/workflows/ci.yml",
        "platform": None,
        "platform_by": None,
        "event": "push",
        "branch": "main",
        "head_sha": f"{number:040x}",
        "attempts": 1,
        "outcome": outcome,
        "counted": counted,
        "reason": None if counted else f"{outcome or 'running'}: neither passed nor failed",
        "flaky": False,
        "failure": "Run the tests" if outcome in COUNTED[1:] else None,
        "failed_job": None,
        "annotation": None,
        "started_at": began,
        "completed_at": ended,
        "duration_seconds": (ended - began).total_seconds() if ended and began else None,
        "actor_login": "ada",
        "url": f"https://github.com/acme/api/actions/runs/{number}",
        **told,
    }


async def keep_builds(db: AsyncConnection, rows: list[Row]) -> None:
    """Write derived builds."""
    if rows:
        await db.execute(insert(Build), rows)
