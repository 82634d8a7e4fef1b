"""Which workflow runs are known as a whole, so that GitHub need not be asked for more."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from models import WorkflowJob, WorkflowRun
from models.store import remember
from models.workflows import whole_runs

pytestmark = pytest.mark.store

AT = datetime(2026, 9, 1, tzinfo=UTC)


def run(number: int, attempt: int = 1, status: str = "completed") -> WorkflowRun:
    return WorkflowRun(
        id=f"github:{number}/{attempt}",
        organization_id="github:1",
        repository_id="github:11",
        run_id=f"github:{number}",
        attempt=attempt,
        workflow_id="github:3",
        name="CI",
        head_sha="a" * 40,
        status=status,
        started_at=AT,
    )


def job(number: int, run_number: int, attempt: int = 1, status: str = "completed") -> WorkflowJob:
    return WorkflowJob(
        id=f"github:{number}",
        organization_id="github:1",
        repository_id="github:11",
        run_id=f"github:{run_number}",
        attempt=attempt,
        name="tests",
        status=status,
    )


async def test_a_run_is_whole_when_each_attempt_ended_with_its_jobs(db: AsyncConnection):
    await remember(
        db,
        [
            *(run(1), job(11, 1), job(12, 1)),
            *(run(2), job(21, 2), run(2, 2), job(22, 2, attempt=2)),
            *(run(3, status="in_progress"), job(31, 3)),
            run(4),
            *(run(5), job(51, 5), job(52, 5, status="queued")),
            *(run(6, 2), job(61, 6), job(62, 6, attempt=2)),
            *(run(7), run(7, 2), job(71, 7, attempt=2)),
            *(run(8, status="queued"), run(8, 2), job(81, 8), job(82, 8, attempt=2)),
        ],
    )
    asked = [f"github:{number}/{attempt}" for number in range(1, 10) for attempt in (1, 2)]
    assert await whole_runs(db, asked) == {"github:1/1", "github:2/1", "github:2/2"}
    assert await whole_runs(db, ["github:1/1"]) == {"github:1/1"}
    assert await whole_runs(db, []) == set()
