"""`collect_changes`: what a deployment brought, from every kind of evidence there can be."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from bot.settings import Settings
from tests.fakes import faults
from tests.fakes.github import GRANTED, FakeCommit, FakeGitHub, fake_github
from tests.rig import Rig, rig_of
from tests.story import INSTALLATION, OTHER, Story, at, iso, sha

pytestmark = pytest.mark.store


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    """A GitHub that can be asked."""
    with fake_github() as fake:
        fake.permissions = {INSTALLATION: dict(GRANTED)}
        yield fake


@pytest.fixture
async def asking(
    github: FakeGitHub, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    """The app as one that may ask GitHub."""
    app = {
        "app_id": github.app_id,
        "private_key": github.private_key,
        "github_api_url": github.url,
    }
    told = Settings.model_validate(settings.model_dump() | app)
    async with rig_of(told) as rig:
        yield rig


async def told(rig: Rig, story: Story, *leave_out: str) -> None:
    """Deliver a story without the pushes to some refs, and settle it."""
    for event, payload in story.deliveries:
        if event == "push" and payload["ref"] in leave_out:
            continue
        assert (await rig.deliver(event, payload)).status_code == 202
    await rig.settle()


async def changes(rig: Rig) -> list[dict[str, Any]]:
    """Return what was brought, in order."""
    return await rig.ask(
        "select title, evidence, lead_seconds / 3600 as hours, reason from deployment_changes"
        " order by deployed_at, merged_at, title"
    )


async def deployments(rig: Rig) -> list[tuple[str, str, str | None]]:
    """Return source, state and kind of every deployment, in order."""
    rows = await rig.ask(
        "select source, state, kind from service_deployments order by finished_at, source"
    )
    return [(row["source"], row["state"], row["kind"]) for row in rows]


def history(github: FakeGitHub) -> None:
    """Teach GitHub the line v0 → c1 → c2, of which no push will tell."""
    line = [
        FakeCommit(sha("v0"), (), "Begin", at("08-30 09:00")),
        FakeCommit(sha("c1"), (sha("v0"),), "Add a cart\n\nBody", at("09-01 08:00")),
        FakeCommit(sha("c2"), (sha("c1"),), "hotfix: mend the cart", at("09-01 09:00")),
    ]
    github.repository("acme/api").add(*line)


def shipped() -> Story:
    """v0, then c2: two deployments of which no push tells the way."""
    story = Story()
    story.baseline()
    story.deploy("c2", at("09-01 10:00"))
    return story


async def test_what_no_push_told_is_asked_of_github_once(asking: Rig, github: FakeGitHub) -> None:
    history(github)
    await told(asking, shipped())
    assert await changes(asking) == [
        {"title": "Add a cart", "evidence": "compare", "hours": 2, "reason": None},
        {"title": "hotfix: mend the cart", "evidence": "compare", "hours": 1, "reason": None},
    ]
    assert (await deployments(asking))[-1] == ("deployment_status", "success", "rollforward")
    more = Story(deliveries=[("", {})], head=sha("v0"), next_id=20_000)
    more.deliveries.clear()
    more.deploy("c2", at("09-01 12:00"))
    await told(asking, more)
    assert len(github.asked("compare")) == 1


async def test_a_chain_of_pushes_is_not_asked_about(asking: Rig, github: FakeGitHub) -> None:
    story = Story()
    story.baseline()
    story.push("main", at("09-01 08:30"), [story.commit("c1", at("09-01 08:00"))])
    story.push("main", at("09-01 09:30"), [story.commit("c2", at("09-01 09:00"))])
    story.deploy("c2", at("09-01 10:00"))
    await told(asking, story)
    assert [row["evidence"] for row in await changes(asking)] == ["push", "push"]
    assert github.asked("compare") == []


async def test_a_rate_limit_puts_the_question_off_and_keeps_the_rest(
    asking: Rig, github: FakeGitHub
) -> None:
    history(github)
    github.fail(faults.limit_used_up(600), on="compare")
    await told(asking, shipped())
    assert [kind for _, _, kind in await deployments(asking)] == ["baseline", "new"]
    jobs = await asking.ask(
        "select status, attempts, error, next_try_at > now() + interval '5 minutes' as later"
        " from jobs where status <> 'done' and name = 'collect_changes'"
    )
    assert [(job["status"], job["attempts"], job["later"]) for job in jobs] == [
        ("waiting", 0, True)
    ]
    assert jobs[0]["error"]


async def test_a_refusal_is_derived_around_and_tried_again(asking: Rig, github: FakeGitHub) -> None:
    history(github)
    github.permissions[INSTALLATION].pop("contents")
    await told(asking, shipped())
    assert [kind for _, _, kind in await deployments(asking)] == ["baseline", "new"]
    jobs = await asking.ask(
        "select status, error from jobs where status <> 'done' and name = 'collect_changes'"
    )
    assert [job["status"] for job in jobs] == ["waiting"]
    assert "contents" in jobs[0]["error"]


async def test_a_commit_nobody_knows_brings_nothing_and_is_asked_again(
    asking: Rig, github: FakeGitHub
) -> None:
    github.repository("acme/api").line(sha("v0"))
    await told(asking, shipped())
    assert await changes(asking) == []
    assert await asking.ask("select id from comparisons") == []
    history(github)
    more = Story(deliveries=[("", {})], next_id=20_000)
    more.deliveries.clear()
    more.deploy("c2", at("09-01 09:59"))
    await told(asking, more)
    assert len(await changes(asking)) == 2


async def test_commits_of_a_pull_request_are_asked_for_where_its_branch_was_missed(
    asking: Rig, github: FakeGitHub
) -> None:
    story = Story()
    story.baseline()
    story.pull_request(
        1, [at("09-01 06:00"), at("09-01 07:00")], at("09-01 09:00"), "m1", branch="cart"
    )
    story.deploy("m1", at("09-01 10:00"))
    repository = github.repository("acme/api")
    for index, hour in enumerate(("06:00", "07:00")):
        repository.add(FakeCommit(sha(f"pr1-{index}"), (), "Work", at(f"09-01 {hour}")))
    repository.pull_requests[1] = [sha("pr1-0"), sha("pr1-1")]
    await told(asking, story, "refs/heads/cart")
    assert [row["hours"] for row in await changes(asking)] == [4]
    assert len(github.asked("/pulls/1/commits")) == 1


async def test_a_force_push_does_not_shorten_a_lead_time(rig: Rig) -> None:
    story = Story()
    story.baseline()
    early = story.commit("early", at("09-01 06:00"))
    story.push("feature/1", at("09-01 06:05"), [early])
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "m1", opened=at("09-01 06:10"))
    opened = next(p for e, p in story.deliveries if e == "pull_request")
    moved = {**opened, "action": "synchronize", "before": sha("early"), "after": sha("pr1-0")}
    moved["pull_request"] = opened["pull_request"] | {"updated_at": iso(at("09-01 08:05"))}
    story.deliveries.append(("pull_request", moved))
    story.deploy("m1", at("09-01 10:00"))
    await told(rig, story)
    assert [row["hours"] for row in await changes(rig)] == [4]


async def test_a_rebase_merge_is_one_change(rig: Rig) -> None:
    story = Story()
    story.baseline()
    story.pull_request(1, [at("09-01 06:00"), at("09-01 07:00")], at("09-01 09:00"), "last")
    pushed = next(p for e, p in reversed(story.deliveries) if e == "push")
    first = story.commit("first", at("09-01 06:00"))
    pushed["commits"].insert(0, first)
    story.deploy("last", at("09-01 10:00"))
    await told(rig, story)
    assert [row["hours"] for row in await changes(rig)] == [4]


async def test_commits_pushed_together_without_a_pull_request_are_one_change(rig: Rig) -> None:
    story = Story()
    story.baseline()
    together = [story.commit("a", at("09-01 06:00")), story.commit("b", at("09-01 07:00"))]
    story.push("main", at("09-01 08:00"), together)
    story.deploy("b", at("09-01 10:00"))
    await told(rig, story)
    assert [row["hours"] for row in await changes(rig)] == [4]


async def test_a_late_review_and_a_late_label_are_taken_in(rig: Rig) -> None:
    story = Story()
    story.baseline()
    story.pull_request(
        1, at("09-01 06:00"), at("09-01 09:00"), "m1", opened=at("09-01 07:00"), labels=("hotfix",)
    )
    story.deploy("m1", at("09-01 10:00"))
    pull_request = next(p for e, p in story.deliveries if e == "pull_request")["pull_request"]
    review = {
        "id": 1,
        "user": OTHER,
        "state": "approved",
        "submitted_at": iso(at("09-01 08:00")),
        "html_url": "https://github.com/acme/api/pull/1#review",
    }
    story.tell(
        "pull_request_review",
        at("09-01 08:00"),
        action="submitted",
        review=review,
        pull_request=pull_request,
    )
    await told(rig, story)
    rows = await rig.ask(
        "select pickup_seconds / 3600 as pickup, review_seconds / 3600 as review,"
        " coding_seconds / 3600 as coding, corrective from deployment_changes"
    )
    assert rows == [{"pickup": 1, "review": 1, "coding": 1, "corrective": True}]
    assert (await deployments(rig))[-1][2] == "rollforward"


async def test_merges_count_until_something_else_tells_of_deployments(rig: Rig) -> None:
    story = Story()
    story.pull_request(1, at("09-01 06:00"), at("09-01 09:00"), "m1")
    story.pull_request(2, at("09-02 06:00"), at("09-02 09:00"), "m2")
    await told(rig, story)
    assert await deployments(rig) == [
        ("merge", "success", "baseline"),
        ("merge", "success", "new"),
    ]
    assert [row["hours"] for row in await changes(rig)] == [None, 3]
    more = Story(deliveries=[("", {})], head=story.head, next_id=20_000)
    more.deliveries.clear()
    more.deploy("m1", at("09-01 12:00"))
    more.deploy("m2", at("09-02 12:00"))
    await told(rig, more)
    assert await deployments(rig) == [
        ("deployment_status", "success", "baseline"),
        ("deployment_status", "success", "new"),
    ]
    assert [row["hours"] for row in await changes(rig)] == [None, 6]


def workflow_run(story: Story, name: str, when: Any) -> None:
    """Write a run of a workflow that deploys."""
    run = {
        "id": story.number(),
        "name": "Deploy",
        "path": ".github/workflows/deploy.yml",
        "workflow_id": 5,
        "run_attempt": 1,
        "run_number": 1,
        "event": "push",
        "head_branch": "main",
        "head_sha": sha(name),
        "status": "completed",
        "conclusion": "success",
        "created_at": iso(when - timedelta(minutes=5)),
        "run_started_at": iso(when - timedelta(minutes=5)),
        "updated_at": iso(when),
        "html_url": "https://github.com/acme/api/actions/runs/1",
        "actor": OTHER,
    }
    workflow = {"id": 5, "name": "Deploy", "path": run["path"], "state": "active"}
    story.tell("workflow_run", when, action="completed", workflow_run=run, workflow=workflow)


async def test_one_release_told_by_two_sources_is_counted_once(rig: Rig) -> None:
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 06:00"), at("09-01 09:00"), "m1")
    story.deploy("m1", at("09-01 10:00"))
    workflow_run(story, "m1", at("09-01 10:01"))
    await told(rig, story)
    assert await deployments(rig) == [
        ("deployment_status", "success", "baseline"),
        ("deployment_status", "success", "new"),
        ("workflow_run", "superseded", None),
    ]
    reasons = await rig.ask("select reason from service_deployments where source = 'workflow_run'")
    assert reasons == [
        {
            "reason": "this repository's deployments are counted by deployment status,"
            " not by workflow run"
        }
    ]


async def test_a_release_is_the_commit_its_tag_was_pushed_to(rig: Rig) -> None:
    story = Story()
    story.push("main", at("08-30 09:00"), [story.commit("v0", at("08-30 09:00"))])
    story.push("main", at("09-01 09:00"), [story.commit("c1", at("09-01 06:00"))])
    for tag, commit, when in (("v1.0", "v0", "08-31 10:00"), ("v1.1", "c1", "09-01 10:00")):
        story.push("ignored", at(when), [story.commit(commit, at(when))], before="0" * 40)
        story.deliveries[-1][1].update(ref=f"refs/tags/{tag}", commits=[])
        release = {
            "id": story.number(),
            "tag_name": tag,
            "target_commitish": "main",
            "name": tag,
            "draft": False,
            "prerelease": False,
            "created_at": iso(at(when)),
            "published_at": iso(at(when)),
            "html_url": f"https://github.com/acme/api/releases/{tag}",
            "author": OTHER,
        }
        story.tell("release", at(when), action="published", release=release)
    await told(rig, story)
    assert await deployments(rig) == [
        ("release", "success", "baseline"),
        ("release", "success", "new"),
    ]
    assert [row["hours"] for row in await changes(rig)] == [4]
