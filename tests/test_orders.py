"""METRICS.md R9: in whatever order and batches deliveries come, the tables end equal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bot import deliveries
from bot.jobs import work
from bot.queue import INGEST
from tests.rig import Rig
from tests.story import BOT, OTHER, ZERO, Delivery, Story, at, iso, sha
from tests.tables import Tables, differences, emptied, tables

pytestmark = pytest.mark.store

RECEIVED_AT = at("11-01 00:00")

RECEIVED = text("""
    update deliveries set received_at = cast(:at as timestamptz)
           + make_interval(secs => cast(delivery_id as int))
""")


@dataclass
class Telling:
    """How deliveries arrive: an order (with repetitions), and after how many work is done."""

    order: Sequence[int]
    batches: Sequence[int] = (1000,)
    most: int = 100


async def told(rig: Rig, story: Sequence[Delivery], how: Telling) -> Tables:
    """Deliver a story in an order, settling after each batch, and return the tables."""
    await emptied(rig.app.rest.state.engine)
    order, batches = list(how.order), cycle(how.batches)
    while order:
        size = next(batches)
        for index in order[:size]:
            event, payload = story[index]
            answer = await rig.deliver(event, payload, delivery_id=str(index))
            assert answer.status_code in (200, 202)
        order = order[size:]
        await settled(rig, how.most)
    rows = await rig.ask("select event, status, error from deliveries where status <> 'settled'")
    assert rows == []
    return await tables(rig.app.rest.state.engine)


async def settled(rig: Rig, most: int) -> None:
    """Settle and work until nothing is left; deliveries say when they were first sent."""
    engine = rig.app.rest.state.engine
    async with engine.begin() as db:
        await db.execute(RECEIVED, {"at": RECEIVED_AT})
    while await deliveries.settle(engine, most):
        await work(rig.surroundings, INGEST, 1)
    while await work(rig.surroundings, INGEST, 4):
        pass


def reviewed(story: Story, number: int, when: datetime) -> None:
    """Write an approving review."""
    review = {"id": story.number(), "user": OTHER, "state": "approved", "submitted_at": iso(when)}
    story.tell(
        "pull_request_review",
        when,
        action="submitted",
        review=review,
        pull_request={"id": 70_000 + number, "number": number},
    )


def renamed(story: Story, name: str, when: datetime) -> None:
    """Rename the repository; from now on its payloads carry the new name."""
    former, story.name = story.name, name
    changes = {"repository": {"name": {"from": former}}}
    repository = story.repository(when) | {"updated_at": iso(when)}
    story.tell("repository", when, action="renamed", changes=changes, repository=repository)


def force_pushed(story: Story, number: int, before: str, when: datetime) -> None:
    """Rewrite a pull request's branch: the commit it had before is unseen by git, not by us."""
    branch = f"feature/{number}"
    commit = story.commit(f"pr{number}-again", when - timedelta(minutes=5), f"Change pr{number}")
    story.push(branch, when, [commit], before=sha(before), forced=True)
    opened = next(
        payload["pull_request"]
        for event, payload in reversed(story.deliveries)
        if event == "pull_request" and payload["number"] == number and payload["action"] == "opened"
    )
    described = opened | {
        "updated_at": iso(when),
        "head": opened["head"] | {"sha": commit["id"]},
    }
    story.tell(
        "pull_request",
        when,
        action="synchronize",
        number=number,
        before=sha(before),
        after=commit["id"],
        pull_request=described,
    )


def shipping() -> Story:
    """A baseline, a pull request with a late review, one by a bot, a redeploy."""
    story = Story()
    story.baseline()
    story.pull_request(1, [at("09-01 08:00"), at("09-01 08:20")], at("09-01 09:00"), "v1")
    reviewed(story, 1, at("09-01 08:45"))
    story.deploy("v1", at("09-01 10:00"))
    reviewed(story, 1, at("09-01 12:00"))
    story.pull_request(2, at("09-02 08:00"), at("09-02 09:00"), "v2", author=BOT)
    story.deploy("v2", at("09-02 10:00"))
    story.deploy("v2", at("09-03 10:00"))
    return story


def repairing() -> Story:
    """A failed attempt, a rollback, a hotfix by label, a direct push."""
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1")
    story.attempt("v1", at("09-01 09:30"), ("failure", at("09-01 09:40")))
    story.deploy("v1", at("09-01 10:00"))
    story.pull_request(2, at("09-01 09:30"), at("09-01 11:00"), "v2")
    story.deploy("v2", at("09-01 12:00"))
    story.deploy("v1", at("09-01 12:30"))
    story.pull_request(3, at("09-01 12:40"), at("09-01 13:00"), "v3", labels=("hotfix",))
    story.deploy("v3", at("09-01 13:30"))
    story.push("main", at("09-01 14:00"), [story.commit("h1", at("09-01 13:50"), "hotfix: stop")])
    story.deploy("h1", at("09-01 14:30"))
    return story


def rewriting() -> Story:
    """A force-push on a branch, one on main, and a rename between deployments."""
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 08:00"), at("09-01 12:00"), "v1", opened=at("09-01 08:30"))
    force_pushed(story, 1, "pr1-0", at("09-01 10:00"))
    story.push("main", at("09-01 12:30"), [story.commit("d1", at("09-01 12:20"), "Tidy")])
    story.deploy("d1", at("09-01 13:00"))
    renamed(story, "backend", at("09-01 14:00"))
    story.push(
        "main",
        at("09-01 15:00"),
        [story.commit("d1b", at("09-01 14:50"), "Tidy again")],
        before=sha("v1"),
        forced=True,
    )
    story.deploy("d1b", at("09-01 16:00"))
    return story


def two_services() -> Story:
    """Staging before production, in environments of their own, and one deployment overtaking."""
    story = Story()
    story.baseline("staging")
    story.baseline("production-web")
    story.baseline("production-ios")
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1", "web/a.ts")
    story.pull_request(2, at("09-01 08:10"), at("09-01 10:00"), "v2", "ios/b.swift")
    story.deploy("v2", at("09-01 10:30"), "staging")
    story.deploy("v1", at("09-01 11:00"), "production-web")
    story.deploy("v2", at("09-01 11:00"), "production-ios")
    story.deploy("v2", at("09-01 12:00"), "production-web")
    return story


def unbroken() -> Story:
    """No deployment is ever told: merges count."""
    story = Story()
    story.push("main", at("08-30 09:00"), [story.commit("v0", at("08-30 09:00"))])
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1")
    story.pull_request(2, at("09-01 08:10"), at("09-01 10:00"), "v2")
    story.push("main", at("09-01 11:00"), [story.commit("d1", at("09-01 10:50"), "Tidy")])
    story.pull_request(3, at("09-02 08:10"), at("09-02 10:00"), "v3", labels=("hotfix",))
    return story


def from_branches() -> Story:
    """A branch deployed before it was merged, and a branch used again after its merge."""
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 08:00"), at("09-01 10:00"), "v1", branch="ship")
    story.deploy("v1", at("09-01 10:30"))
    story.pull_request(2, at("09-01 11:00"), at("09-01 13:00"), "v2", opened=at("09-01 11:30"))
    story.deploy("pr2-0", at("09-01 12:00"))
    story.deploy("v2", at("09-01 14:00"))
    story.push("main", at("09-01 14:40"), [story.commit("d1", at("09-01 14:30"), "Tidy")])
    story.deploy("d1", at("09-01 15:00"))
    story.push("ship", at("09-01 16:00"), [story.commit("d1-picked", at("09-01 14:30"), "Tidy")])
    story.deploy("d1-picked", at("09-01 17:00"))
    return story


def fast_forward() -> Story:
    """A commit is deployed from its branch, and then main is moved to it."""
    story = Story()
    story.baseline()
    story.pull_request(
        1, at("09-01 08:00"), at("09-01 10:00"), "pr1-0", opened=at("09-01 08:30"), branch="ship"
    )
    story.deploy("pr1-0", at("09-01 09:00"))
    return story


def late_review() -> Story:
    """Nobody looks at a pull request before it is in production."""
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1")
    story.deploy("v1", at("09-01 10:00"))
    reviewed(story, 1, at("09-01 12:00"))
    return story


def moved_tag() -> Story:
    """A release whose tag is pushed a second after, and moved a day later."""
    story = Story()
    story.push("main", at("08-30 09:00"), [story.commit("v0", at("08-30 09:00"))])
    released(story, "1.0", "v0", at("08-31 12:00"))
    story.push("main", at("09-01 09:00"), [story.commit("v1", at("09-01 08:00"))])
    released(story, "1.1", "v1", at("09-01 12:00"))
    story.push("main", at("09-02 09:00"), [story.commit("v2", at("09-02 08:00"))])
    tagged(story, "1.1", "v2", at("09-02 12:00"), before="v1")
    released(story, "1.2", "v2", at("09-03 12:00"))
    return story


def released(story: Story, tag: str, name: str, when: datetime) -> None:
    """Publish a release; GitHub makes its tag then."""
    release = {
        "id": story.number(), "tag_name": tag, "name": tag, "draft": False, "prerelease": False,
        "target_commitish": "main", "author": OTHER, "created_at": iso(when),
        "published_at": iso(when),
    }  # fmt: skip
    story.tell("release", when, action="published", release=release)
    tagged(story, tag, name, when + timedelta(seconds=1))


def tagged(story: Story, tag: str, name: str, when: datetime, before: str = "") -> None:
    """Push a tag."""
    repository = story.repository(when) | {"pushed_at": int(when.timestamp())}
    story.tell(
        "push",
        when,
        ref=f"refs/tags/{tag}",
        before=sha(before) if before else ZERO,
        after=sha(name),
        created=not before,
        deleted=False,
        forced=bool(before),
        commits=[],
        head_commit=story.commit(name, when),
        repository=repository,
    )


def labelled(story: Story, number: int, when: datetime, *labels: str) -> None:
    """Write that a merged pull request was given labels."""
    merged = next(
        payload["pull_request"]
        for event, payload in story.deliveries
        if event == "pull_request" and payload["number"] == number and payload["action"] == "closed"
    )
    described = merged | {"labels": [{"name": name} for name in labels], "updated_at": iso(when)}
    story.tell("pull_request", when, action="labeled", number=number, pull_request=described)


def afterthoughts() -> Story:
    """What is told after the fact: a label, a default branch, inactivity, a second source."""
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1")
    story.deploy("v1", at("09-01 10:00"))
    labelled(story, 1, at("09-01 12:00"), "hotfix")
    story.attempt(
        "v1", at("09-01 13:00"), ("success", at("09-01 13:10")), ("inactive", at("09-01 15:00"))
    )
    run = {
        "id": 77001, "name": "Deploy", "path": ".github/workflows/deploy.yml", "workflow_id": 5,
        "run_number": 1, "run_attempt": 1, "event": "push", "status": "completed",
        "conclusion": "success", "head_sha": sha("v1"), "head_branch": "main", "actor": OTHER,
        "html_url": "https://github.com/acme/api/actions/runs/77001",
        "created_at": iso(at("08-31 10:00")), "run_started_at": iso(at("08-31 10:00")),
        "updated_at": iso(at("08-31 10:05")),
    }  # fmt: skip
    story.tell("workflow_run", at("08-31 10:05"), action="completed", workflow_run=run)
    story.push("trunk", at("09-02 09:00"), [story.commit("t1", at("09-02 08:00"))])
    edited = story.repository(at("09-02 10:00")) | {
        "default_branch": "trunk", "updated_at": iso(at("09-02 10:00")),
    }  # fmt: skip
    story.tell("repository", at("09-02 10:00"), action="edited", repository=edited)
    story.deploy("t1", at("09-02 11:00"))
    return story


STORIES: list[Callable[[], Story]] = [
    shipping,
    repairing,
    rewriting,
    two_services,
    unbroken,
    from_branches,
    fast_forward,
    late_review,
    moved_tag,
    afterthoughts,
]


TOLD = {written: written().deliveries for written in STORIES}
EXPECTED: dict[Callable[[], Story], Tables] = {}


async def expected_of(rig: Rig, written: Callable[[], Story]) -> Tables:
    """Return the tables that a story leaves, told in its own order one by one."""
    if written not in EXPECTED:
        EXPECTED[written] = await told(rig, TOLD[written], Telling(range(len(TOLD[written])), (1,)))
        assert EXPECTED[written]["service_deployments"]
    return EXPECTED[written]


@st.composite
def tellings(draw: st.DrawFn) -> tuple[Callable[[], Story], Telling]:
    """A story, and a way in which its deliveries may arrive."""
    written = draw(st.sampled_from(STORIES))
    everything = range(len(TOLD[written]))
    order = draw(st.permutations(everything))
    again = draw(st.lists(st.sampled_from(everything), max_size=6))
    batches = draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))
    return written, Telling([*order, *again], batches, draw(st.sampled_from([1, 3, 100])))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tellings())
async def test_every_order_repetition_and_batching_leaves_the_same_tables(
    rig: Rig, telling: tuple[Callable[[], Story], Telling]
) -> None:
    written, how = telling
    expected = await expected_of(rig, written)
    assert differences(expected, await told(rig, TOLD[written], how)) == []


@pytest.mark.parametrize("written", STORIES)
async def test_any_delivery_may_come_last(rig: Rig, written: Callable[[], Story]) -> None:
    story, expected = TOLD[written], await expected_of(rig, written)
    wrong = {}
    for late in range(len(story)):
        order = [index for index in range(len(story)) if index != late]
        found = await told(rig, story, Telling([*order, late], (len(order), 1)))
        if said := differences(expected, found):
            wrong[late, story[late][0]] = said
    assert wrong == {}


@pytest.mark.parametrize("written", STORIES)
async def test_the_story_told_backwards_one_by_one(rig: Rig, written: Callable[[], Story]) -> None:
    story, expected = TOLD[written], await expected_of(rig, written)
    backwards = list(reversed(range(len(story))))
    assert not differences(expected, await told(rig, story, Telling(backwards, (1,))))
