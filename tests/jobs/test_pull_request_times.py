"""`measure_pull_requests`: the same times whatever the order, incrementally or at once."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models import pull_request_times as times
from models.graph import Place
from tests.rig import Rig
from tests.story import BOT, OTHER, PERSON, Delivery, Story, at, iso, sha
from tests.tables import emptied
from tests.test_orders import Telling, labelled, reviewed, told

pytestmark = pytest.mark.store

START = at("09-01 08:00")


def turned(story: Story, number: int, action: str, when: datetime) -> None:
    """Make a pull request ready, or a draft again, as its next event says."""
    opened = next(
        payload["pull_request"]
        for event, payload in reversed(story.deliveries)
        if event == "pull_request" and payload["number"] == number
    )
    described = opened | {
        "draft": action == "converted_to_draft",
        "updated_at": iso(when),
        "state": "open",
        "merged_at": None,
        "closed_at": None,
        "merge_commit_sha": None,
    }
    story.tell("pull_request", when, action=action, number=number, pull_request=described)


async def measured(rig: Rig) -> list[dict[str, Any]]:
    return await rig.ask("select * from pull_request_times order by pull_request_id")


async def delivered(rig: Rig, deliveries: list[Delivery]) -> list[dict[str, Any]]:
    for event, payload in deliveries:
        assert (await rig.deliver(event, payload)).status_code == 202
    await rig.settle()
    return await measured(rig)


async def test_a_review_by_the_author_or_a_bot_or_of_a_draft_is_not_the_first(rig: Rig) -> None:
    story = Story()
    story.pull_request(1, [at("09-01 07:00")], at("09-01 18:00"), "v1", opened=at("09-01 08:00"))
    turned(story, 1, "converted_to_draft", at("09-01 08:30"))
    turned(story, 1, "ready_for_review", at("09-01 10:00"))
    for user, when in (
        (OTHER, "09-01 09:00"),
        (PERSON, "09-01 11:00"),
        (BOT, "09-01 11:30"),
        (OTHER, "09-01 12:00"),
        (OTHER, "09-01 13:00"),
    ):
        review = {"id": story.number(), "user": user, "state": "approved"}
        review["submitted_at"] = iso(at(when))
        story.tell(
            "pull_request_review",
            at(when),
            action="submitted",
            review=review,
            pull_request={"id": 70_001, "number": 1},
        )
    (row,) = await delivered(rig, story.deliveries)
    assert (row["state"], row["draft"]) == ("merged", False)
    assert row["first_commit_at"] == at("09-01 07:00")
    assert row["ready_at"] == at("09-01 10:00")
    assert row["first_review_at"] == row["answered_at"] == at("09-01 12:00")
    assert row["merged_at"] == at("09-01 18:00")


async def test_a_draft_waits_for_nobody(rig: Rig) -> None:
    story = Story()
    story.pull_request(1, [START], at("09-01 09:00"), "v1", opened=START)
    deliveries = [
        (event, payload)
        for event, payload in story.deliveries
        if event != "pull_request" or payload["action"] == "opened"
    ]
    opened = next(payload for event, payload in deliveries if event == "pull_request")
    opened["pull_request"]["draft"] = True
    (row,) = await delivered(rig, deliveries)
    assert (row["state"], row["ready_at"], row["first_review_at"]) == ("open", None, None)
    assert row["answered_at"] == row["opened_at"] == START


async def test_a_squash_or_force_push_does_not_unsee_the_first_commit(rig: Rig) -> None:
    story = Story()
    story.pull_request(1, [at("08-30 08:00"), START], at("09-01 12:00"), "v1", opened=START)
    branch = story.commit("again", at("09-01 09:00"), "Change pr1")
    story.push("feature/1", at("09-01 09:30"), [branch], before=sha("pr1-1"), forced=True)
    (row,) = await delivered(rig, story.deliveries)
    assert row["first_commit_at"] == at("08-30 08:00")


async def test_what_happens_after_the_merge_changes_nothing(rig: Rig) -> None:
    story = Story()
    story.pull_request(1, [at("08-30 08:00")], at("09-01 12:00"), "v1", opened=START)
    before = await delivered(rig, story.deliveries)
    later = Story(deliveries=list(story.deliveries[:1]), next_id=50_000)
    later.push("main", at("09-02 09:00"), [story.commit("pr1-0", at("08-30 08:00"), "Again")])
    later.push("feature/1", at("09-03 09:00"), [story.commit("new", at("08-01 08:00"), "Old")])
    assert await delivered(rig, later.deliveries[1:]) == before


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A few pull requests with drafts, reviews, labels and pushes, drawn at random."""
    luck = random.Random(draw(st.integers(0, 2**32)))
    story = Story()
    story.push("main", at("08-30 09:00"), [story.commit("v0", at("08-30 09:00"))])
    for number in range(1, luck.randint(2, 4)):
        opened = START + timedelta(minutes=luck.randint(0, 600))
        merged = opened + timedelta(minutes=luck.randint(60, 600))
        commits = [opened - timedelta(minutes=luck.randint(0, 300)) for _ in range(2)]
        branch = luck.choice(["shared", ""])
        story.pull_request(
            number, sorted(commits), merged, f"v{number}", opened=opened, branch=branch
        )
        for _ in range(luck.randint(0, 3)):
            reviewed(story, number, opened + timedelta(minutes=luck.randint(1, 600)))
        if luck.random() < 0.5:
            turned(story, number, "converted_to_draft", opened + timedelta(minutes=5))
            turned(story, number, "ready_for_review", opened + timedelta(minutes=30))
        if luck.random() < 0.3:
            labelled(story, number, merged + timedelta(hours=1), "late")
        if luck.random() < 0.3:
            story.push(
                "main",
                merged + timedelta(minutes=luck.choice([-90, 1, 90])),
                [story.commit(f"pr{number}-0", commits[0], "By another way")],
            )
    return story


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stories(), st.randoms(use_true_random=False), st.sampled_from([1, 3, 7]))
async def test_any_order_measures_the_same_as_all_at_once(
    rig: Rig, story: Story, luck: random.Random, batch: int
) -> None:
    order = list(range(len(story.deliveries)))
    luck.shuffle(order)
    await emptied(rig.app.rest.state.engine)
    await told(rig, story.deliveries, Telling(order, (batch,)))
    incrementally = await measured(rig)
    assert incrementally
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text("delete from pull_request_times"))
        place = Place("github:900", "main")
        await times.measure(db, await times.touched(db, place, None))
    assert await measured(rig) == incrementally
