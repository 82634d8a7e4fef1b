"""What is withheld where there are more rows than anybody looks at to count people."""

from collections.abc import Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from models.metrics.core import Scope, Window
from models.metrics.development import durations, durations_by, metric_seen_by, sight_of
from models.metrics.privacy import SAMPLE, TOO_FEW
from tests.models.metrics.development_rows import keep_pull_requests, merged
from tests.models.metrics.rows import at, found

pytestmark = pytest.mark.store

ACME = Scope("acme")
SEPTEMBER = Window(at("09-01 00:00").date(), at("09-30 00:00").date())
FOUR, FIFTH = ("ada", "ben", "cleo", "dan"), "eve"
MANY = SAMPLE + 100


async def keep(db: AsyncConnection, logins: Sequence[str], many: int, opened: str) -> None:
    """Write so many pull requests, whose authors take turns."""
    await found(db)
    turns = (logins[number % len(logins)] for number in range(many))
    rows = [merged(2, opened, author_login=login) for login in turns]
    await keep_pull_requests(db, rows)


async def reasons(db: AsyncConnection) -> tuple[str | None, str | None]:
    """Return why the whole is withheld, and why a repository's part is."""
    sight = await sight_of(db, "acme")
    metric = metric_seen_by("pr_merge_time", sight)
    whole = await durations(db, metric, ACME, SEPTEMBER, sight)
    parts = await durations_by(db, metric, ACME, SEPTEMBER, sight, "repo")
    return whole["reason"], parts[0]["reason"]


async def test_figures_of_four_are_withheld_however_many_rows_they_have(
    db: AsyncConnection,
) -> None:
    await keep(db, FOUR, MANY, "09-03 12:00")
    assert await reasons(db) == (TOO_FEW, TOO_FEW)


async def test_the_fifth_person_is_found_behind_many_rows_of_the_others(
    db: AsyncConnection,
) -> None:
    await keep(db, FOUR, MANY, "09-03 12:00")
    await keep_pull_requests(db, [merged(2, "09-20 12:00", author_login=FIFTH)])
    assert await reasons(db) == (None, None)


async def test_people_of_the_time_before_are_not_taken_for_those_of_now(
    db: AsyncConnection,
) -> None:
    await keep(db, (*FOUR, FIFTH), MANY, "08-20 12:00")
    await keep_pull_requests(db, [merged(2, author_login=login) for login in FOUR])
    assert await reasons(db) == (TOO_FEW, TOO_FEW)
