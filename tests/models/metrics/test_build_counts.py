"""Builds over time: each is in exactly one number, and bots are told from the agent."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import models
from models.metrics.build_counts import build_counts
from models.metrics.core import Bucket, Scope, Window
from models.store import remember
from tests.models.metrics.builds_rows import build, keep_builds
from tests.models.metrics.rows import at

pytestmark = pytest.mark.store

WINDOW = Window(date(2026, 9, 7), date(2026, 9, 20))
ACME = Scope("acme")


async def test_every_build_that_ended_is_in_one_number(db: AsyncConnection) -> None:
    told = ["09-07 10:00", "09-07 23:59", "09-08 00:00", "09-20 12:00"]
    rows = [
        build(told[0]),
        build(told[0], "failure"),
        build(told[1], "timed_out", platform="ios"),
        build(told[1], "cancelled"),
        build(told[1], "neutral", actor_login="renovate[bot]"),
        build(told[2], actor_login="renovate[bot]"),
        build(told[2], "failure", actor_login="Machine"),
        build(told[2], actor_login="claude-app[bot]"),
        build(told[2], actor_login=None),
        build(told[3], platform="mobile"),
        build(None, None, started_at=at(told[3])),
        build(at(told[3]) + timedelta(days=1)),
        build(told[3], organization_id="globex"),
    ]
    known = [("machine", "bot"), ("claude-app[bot]", "agent"), ("ada", "person")]
    await remember(
        db,
        [
            models.Contributor(id=f"github:{login}", organization_id="acme", login=login, kind=kind)
            for login, kind in known
        ],
    )
    await keep_builds(db, rows)
    days = await build_counts(db, ACME, WINDOW, None, Bucket.DAY)
    names = ("passed", "failed", "bots", "left_out")
    assert len(days) == 14
    assert [tuple(day[name] for name in names) for day in days[:3]] == [  # type: ignore[literal-required]
        (1, 2, 0, 2),
        (2, 0, 2, 0),
        (0, 0, 0, 0),
    ]
    assert (days[1]["rate"], days[1]["success"], days[1]["count"]) == (0.75, 3, 4)
    bare = dict.fromkeys(names, 0)
    weeks = await build_counts(db, ACME, WINDOW, "ios", Bucket.WEEK)
    assert weeks == [
        {"start_date": "2026-09-07", "rate": 0, "success": 0, "count": 1, **bare, "failed": 1},
        {"start_date": "2026-09-14", "rate": 1, "success": 1, "count": 1, **bare, "passed": 1},
    ]
    total = sum(sum(day[name] for name in names) for day in days)  # type: ignore[literal-required]
    ended = (
        "select count(*) from builds where organization_id = 'acme' and completed_at < '2026-09-21'"
    )
    assert total == await db.scalar(text(ended))
