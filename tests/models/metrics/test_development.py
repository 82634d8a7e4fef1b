"""Small histories of pull requests and issues, with values worked out by hand."""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from models import LinearTicket, Review
from models.metrics.core import Bucket, Scope, Window
from models.metrics.development import (
    development_explanation,
    duration_series,
    durations,
    durations_by,
    headline_and_course,
    metric_seen_by,
    open_pull_requests,
    sight_of,
    throughput,
    throughput_by,
)
from models.metrics.explanation import Page
from tests.models.metrics.development_rows import (
    identity,
    issue,
    keep_pull_requests,
    linear_issue,
    link,
    merged,
    pull_request,
)
from tests.models.metrics.rows import at, found

pytestmark = pytest.mark.store

ACME = Scope("acme")
SEPTEMBER = Window(at("09-01 00:00").date(), at("09-30 00:00").date())
FIVE = ("ada", "ben", "cleo", "dan", "eve")
TIMES = ("08-20 12:00", "09-03 12:00")


async def explained(db: AsyncConnection, name: str) -> dict[str, int]:
    sight = await sight_of(db, "acme")
    metric = metric_seen_by(name, sight)
    told = await development_explanation(db, metric, ACME, SEPTEMBER, sight, Page())
    return {one["reason"]: one["count"] for one in told["excluded"]}


async def test_review_time_leaves_out_what_was_not_reviewed_and_says_why(
    db: AsyncConnection,
) -> None:
    await found(db)
    hours = zip((2, 4, 6, 8, 40), FIVE, strict=True)
    rows = [merged(lasted, author_login=login) for lasted, login in hours]
    rows += [
        merged(2, author_login="dependabot[bot]", cohort="bots"),
        merged(2, first_review_at=None),
        pull_request("09-04 12:00", closed_at="09-05 12:00", state="closed"),
        pull_request("09-04 12:00", draft=True, ready_at=None),
        pull_request("09-04 12:00"),
    ]
    await keep_pull_requests(db, rows)
    sight = await sight_of(db, "acme")
    metric = metric_seen_by("pr_review_time", sight)
    told = await durations(db, metric, ACME, SEPTEMBER, sight)
    assert (told["median_seconds"], told["count"]) == (3 * 3600, 5)
    assert (told["p75_seconds"], told["p90_seconds"]) == (4 * 3600, pytest.approx(13.6 * 3600))
    assert told["bots_left_out"] == 1
    assert told["by_cohort"]["bots"] == {"median_seconds": 3600, "count": 1}
    assert await explained(db, "pr_review_time") == {
        "made by a bot: bots are left out": 1,
        "merged without a review": 1,
        "closed without a review": 1,
        "a draft: it does not ask for a review yet": 1,
        "it waits for its first review": 1,
    }


async def test_what_a_screen_asks_for_at_once_counts_as_each_question_alone(
    db: AsyncConnection,
) -> None:
    await found(db)
    rows = [merged(2, opened, author_login=login) for opened in TIMES for login in FIVE]
    unready = {
        "ready_at": None,
        "first_review_at": at("09-04 13:00"),
        "answered_at": at("09-04 13:00"),
    }
    rows.append(pull_request("09-04 12:00", draft=True, **unready))
    await keep_pull_requests(db, rows)
    sight = await sight_of(db, "acme")
    parts = (db, metric_seen_by("pr_review_time", sight), ACME, SEPTEMBER, sight)
    shown, course = await headline_and_course(*parts, Bucket.WEEK)
    alone = await durations(*parts)
    assert shown == {name: alone[name] for name in shown}  # type: ignore[literal-required]
    assert (shown["count"], shown["previous"]["count"]) == (5, 5)
    assert course == await duration_series(*parts, Bucket.WEEK)
    assert sum(one["count"] or 0 for one in course) == 6


async def test_cycle_time_is_of_the_last_merge_and_of_each_issue_once(db: AsyncConnection) -> None:
    await found(db)
    hours = zip((2, 4, 6, 8, 10), FIVE, strict=True)
    pulls = [merged(lasted, author_login=login) for lasted, login in hours]
    await keep_pull_requests(db, pulls)
    first = await issue(db, at("09-03 12:00"), at("09-03 18:00"))
    for pull in pulls[:3]:
        await link(db, first, pull)
    linear = await linear_issue(db, at("09-03 12:00"), completed_at=at("09-04 12:00"))
    await link(db, linear, pulls[3])
    twin = await issue(db, at("09-03 13:00"), at("09-03 18:00"))
    await link(db, twin, pulls[4])
    ticket = {"linear_issue_id": linear["id"], "organization_id": "acme"}
    ticket |= {"repository_id": "acme/api", "issue_id": twin["id"]}
    await db.execute(insert(LinearTicket), [ticket])
    late = await issue(db, at("09-20 12:00"))
    await link(db, late, pulls[4])
    await issue(db, at("09-21 12:00"))
    await linear_issue(db, at("09-22 12:00"), canceled_at=at("09-23 12:00"))
    for login, when in (("x", "09-05 12:00"), ("y", "09-06 12:00"), ("z", "09-07 12:00")):
        other = merged(2, when, author_login=login)
        await keep_pull_requests(db, [other])
        await link(db, await issue(db, at(when)), other)
    sight = await sight_of(db, "acme")
    told = await durations(db, metric_seen_by("cycle_time", sight), ACME, SEPTEMBER, sight)
    assert (told["count"], told["p90_seconds"]) == (5, pytest.approx(7.2 * 3600))
    assert await explained(db, "cycle_time") == {
        "created after its pull request was merged": 1,
        "no pull request is linked to it": 1,
        "it was cancelled": 1,
    }
    done = await throughput(db, ACME, SEPTEMBER, sight, at("10-05 00:00"))
    assert (done["pull_requests"], done["issues"]) == (8, 2)


async def test_an_assignee_at_linear_is_the_person_of_their_address(db: AsyncConnection) -> None:
    await found(db)
    pulls = [merged(2, author_login=login) for login in FIVE]
    await keep_pull_requests(db, pulls)
    await identity(db, "github:login:ada", "ada@acme.example")
    await identity(db, "linear:u1", "ada@acme.example")
    done_at = at("09-04 12:00")
    await linear_issue(db, at("09-03 12:00"), completed_at=done_at, assignee_id="linear:u1")
    sight = await sight_of(db, "acme", "ada@acme.example")
    assert sight.accounts == {"github:login:ada", "linear:u1"}
    (mine,) = await throughput_by(db, ACME, SEPTEMBER, sight, "author")
    assert (mine["name"], mine["pull_requests"], mine["issues"]) == ("ada", 1, 1)
    metric = metric_seen_by("pr_review_time", sight)
    (own,) = await durations_by(db, metric, ACME, SEPTEMBER, sight, "author")
    assert (own["name"], own["median_seconds"], own["count"]) == ("ada", 3600, 1)


async def test_open_pull_requests_wait_for_their_reviewers_or_authors(db: AsyncConnection) -> None:
    await found(db)
    new = pull_request("09-03 12:00")
    reviewed = pull_request("09-02 12:00", first_review_at="09-02 18:00")
    draft = pull_request("09-01 12:00", draft=True, ready_at=None)
    bots = pull_request("09-01 12:00", cohort="bots")
    await keep_pull_requests(db, [new, reviewed, draft, bots, merged(3)])
    review: dict[str, Any] = {
        "id": "github:r1",
        "organization_id": "acme",
        "repository_id": "acme/api",
        "pull_request_id": reviewed["pull_request_id"],
        "author_id": "github:2",
        "cohort": "people",
        "state": "changes_requested",
        "submitted_at": at("09-02 18:00"),
    }
    await db.execute(insert(Review), [review])
    told = await open_pull_requests(db, ACME, await sight_of(db, "acme"), at("09-04 12:00"))
    assert [(one["id"], one["waiting_for"], one["review"]) for one in told["pull_requests"]] == [
        (reviewed["pull_request_id"], "author", "changes_requested"),
        (new["pull_request_id"], "reviewer", None),
        (draft["pull_request_id"], "nobody", None),
    ]
    assert told["pull_requests"][0]["waiting_since"] == "2026-09-02T18:00:00Z"
    assert told["pull_requests"][1]["age_seconds"] == 86400
    assert (told["count"], told["drafts"], told["waiting_for_reviewer"]) == (3, 1, 1)
