"""The story is the same each time, and each payload agrees with the others."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json

from bot.sample.people import PEOPLE
from bot.sample.repositories import INSTALLATION_ID
from bot.sample.story import Story, story

ZERO = "0" * 40
NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)


def payloads(told: Story, event: str, action: str | None = None) -> list[dict[str, Any]]:
    found = (d.payload for d in told.deliveries if d.event == event)
    return [p for p in found if action is None or p["action"] == action]


def test_the_same_seed_tells_the_same_story() -> None:
    one, other = story(11, NOON, 40), story(11, NOON, 40)
    assert one.deliveries == other.deliveries
    assert to_json([d.payload for d in one.deliveries]) == to_json(
        [d.payload for d in other.deliveries]
    )
    assert one.record == other.record
    assert one.graph == other.graph


def test_another_seed_tells_another_story() -> None:
    one, other = story(11, NOON, 20), story(12, NOON, 20)
    assert not {d.delivery_id for d in one.deliveries} & {d.delivery_id for d in other.deliveries}
    assert set(one.graph["acme/api"]).isdisjoint(other.graph["acme/api"])


def test_the_zone_of_until_does_not_matter() -> None:
    local = NOON.astimezone(PEOPLE[10].zone)
    assert story(3, local, 15).deliveries == story(3, NOON, 15).deliveries


def test_it_is_as_long_as_promised(told: Story) -> None:
    events = Counter(d.event for d in told.deliveries)
    assert 14_000 < len(told.deliveries) < 18_000
    assert events["push"] > 1_500
    assert events["pull_request"] > 2_000
    assert events["workflow_run"] > 2_000
    assert events["deployment_status"] > 1_800
    for once in ("ping", "installation", "installation_repositories", "organization", "repository"):
        assert events[once] == 1, once
    for event in ("check_run", "check_suite", "release", "create", "delete", "member", "issues"):
        assert events[event] > 3, event
    assert 600 < len(told.record.deployments) < 1_000
    assert 600 < len(told.record.changes) < 1_200


def test_everybody_plays(told: Story) -> None:
    senders = {d.payload["sender"]["login"] for d in told.deliveries}
    assert {person.login for person in PEOPLE} <= senders
    assert {"dependabot[bot]", "renovate[bot]"} <= senders
    assert len(senders) == 16


def test_deliveries_come_in_order_within_the_story(told: Story) -> None:
    times = [d.at for d in told.deliveries]
    assert times == sorted(times)
    assert told.start <= times[0]
    assert times[-1] <= told.until
    assert told.until - told.start == timedelta(days=180)
    assert told.deliveries[1].event == "installation"


def test_delivery_ids_are_unique(told: Story) -> None:
    assert len({d.delivery_id for d in told.deliveries}) == len(told.deliveries)


def test_every_delivery_names_its_installation_and_a_known_repository(told: Story) -> None:
    names = {r.id: {r.full_name, *r.former_names} for r in told.repositories}
    for delivery in told.deliveries:
        assert delivery.payload["installation"]["id"] == INSTALLATION_ID
        assert delivery.payload["organization"]["login"] == "acme"
        about = delivery.payload.get("repository")
        if about:
            assert about["full_name"] in names[about["id"]]


def test_a_repository_is_unknown_until_it_is_added(told: Story) -> None:
    added = next(d for d in told.deliveries if d.event == "installation_repositories")
    late = added.payload["repositories_added"][0]["id"]
    early = next(d for d in told.deliveries if d.payload.get("repository", {}).get("id") == late)
    assert early.at >= added.at


def test_one_repository_is_renamed_and_keeps_its_id(told: Story) -> None:
    (renamed,) = payloads(told, "repository", "renamed")
    assert renamed["changes"]["repository"]["name"]["from"] == "payments-service"
    assert renamed["repository"]["full_name"] == "acme/billing"
    by_name = defaultdict(set)
    for delivery in told.deliveries:
        about = delivery.payload.get("repository", {"id": 0, "full_name": ""})
        by_name[about["id"]].add(about["full_name"])
    assert by_name[renamed["repository"]["id"]] == {"acme/payments-service", "acme/billing"}


def test_updated_at_never_goes_back(told: Story) -> None:
    last: dict[int, str] = {}
    for delivery in told.deliveries:
        if about := delivery.payload.get("repository"):
            assert last.get(about["id"], "") <= about["updated_at"]
            last[about["id"]] = about["updated_at"]


def test_pushes_to_a_ref_follow_each_other_but_for_those_never_delivered(told: Story) -> None:
    lost = {(u.repository_id, u.ref, u.after) for u in told.record.undelivered}
    tips: dict[tuple[int, str], str] = {}
    gaps = 0
    for push in payloads(told, "push"):
        key = (push["repository"]["id"], push["ref"])
        if key in tips and tips[key] != push["before"]:
            assert (*key, push["before"]) in lost
            gaps += 1
        tips[key] = push["after"]
    assert gaps > 10


def test_a_push_holds_what_is_new_and_ends_at_its_head(told: Story) -> None:
    for push in payloads(told, "push"):
        assert push["created"] == (push["before"] == ZERO)
        assert push["deleted"] == (push["after"] == ZERO)
        assert isinstance(push["repository"]["pushed_at"], int)
        if push["deleted"] or push["ref"].startswith("refs/tags/"):
            assert push["commits"] == []
            continue
        graph = told.graph[next(r.full_name for r in told.repositories if r.id == _id(push))]
        assert push["commits"][-1]["id"] == push["after"] == push["head_commit"]["id"]
        for commit in push["commits"]:
            truth = graph[commit["id"]]
            assert datetime.fromisoformat(commit["timestamp"]) == truth.authored_at
            assert commit["message"] == truth.message


def _id(payload: dict[str, Any]) -> int:
    found: int = payload["repository"]["id"]
    return found


def test_some_pushes_are_forced_and_only_to_branches(told: Story) -> None:
    forced = [push for push in payloads(told, "push") if push["forced"]]
    assert len(forced) > 20
    assert all(push["ref"] != "refs/heads/main" for push in forced)


def test_no_delivery_tells_of_the_future(told: Story) -> None:
    for delivery in told.deliveries:
        if delivery.event == "push":
            for commit in delivery.payload["commits"]:
                assert datetime.fromisoformat(commit["timestamp"]) <= delivery.at
        for name in ("pull_request", "deployment_status", "workflow_run", "issue", "review"):
            inner = delivery.payload.get(name) or {}
            for field in ("created_at", "updated_at", "closed_at", "merged_at", "submitted_at"):
                if inner.get(field):
                    assert datetime.fromisoformat(inner[field]) <= delivery.at


def test_synchronize_moves_the_head_from_before_to_after(told: Story) -> None:
    heads: dict[int, str] = {}
    moved = 0
    for payload in payloads(told, "pull_request"):
        pr = payload["pull_request"]
        if payload["action"] == "synchronize":
            assert payload["after"] == pr["head"]["sha"]
            assert heads.get(pr["id"], payload["before"]) == payload["before"]
            moved += 1
        else:
            assert heads.get(pr["id"], pr["head"]["sha"]) == pr["head"]["sha"]
        heads[pr["id"]] = pr["head"]["sha"]
    assert moved > 200


def test_pull_requests_end_merged_or_given_up(told: Story) -> None:
    closed = [p["pull_request"] for p in payloads(told, "pull_request", "closed")]
    merged = [pr for pr in closed if pr["merged"]]
    assert len(closed) - len(merged) > 20
    assert len({pr["id"] for pr in closed}) == len(closed)
    assert all(bool(pr["merged_at"]) == pr["merged"] for pr in closed)
    assert all(pr["merge_commit_sha"] for pr in closed)


def test_ids_grow(told: Story) -> None:
    for event, part in (("deployment", "deployment"), ("deployment_status", "deployment_status")):
        ids = [p[part]["id"] for p in payloads(told, event)]
        assert ids == sorted(set(ids))


def test_mobile_builds_fail_sometimes_and_are_run_again(told: Story) -> None:
    runs = [p["workflow_run"] for p in payloads(told, "workflow_run", "completed")]
    builds = [
        r
        for r in runs
        if r["path"] in {".github/workflows/ios.yml", ".github/workflows/play-store.yml"}
    ]
    ends = Counter(r["conclusion"] for r in builds)
    assert ends["success"] > 300
    assert ends["failure"] > 30
    again = [r for r in builds if r["run_attempt"] == 2]
    assert len(again) > 5
    first = {r["id"]: r["conclusion"] for r in builds if r["run_attempt"] == 1}
    assert all(first[r["id"]] == "failure" for r in again if r["id"] in first)


def test_payloads_are_lean(told: Story) -> None:
    sizes = [len(to_json(d.payload)) for d in told.deliveries]
    assert sum(sizes) / len(sizes) < 4_000
    assert max(sizes) < 60_000


def test_most_work_happens_in_the_week(told: Story) -> None:
    days = Counter(d.at.weekday() for d in told.deliveries)
    assert days[5] + days[6] < 0.03 * len(told.deliveries)


def test_a_story_that_is_told_on_begins_as_the_one_that_is_not(told: Story) -> None:
    longer = story(later=timedelta(days=2))
    known = len(told.deliveries)
    assert longer.deliveries[:known] == told.deliveries
    assert longer.missed == longer.deliveries[known:]
    assert len(longer.missed) > 50
    assert told.missed == ()
    ends = told.until + timedelta(days=2)
    assert all(told.until < delivery.at <= ends for delivery in longer.missed)


def test_builds_that_fail_say_at_which_step(told: Story) -> None:
    jobs = [p["workflow_job"] for p in payloads(told, "workflow_job", "completed")]
    failed = [job for job in jobs if job["conclusion"] == "failure"]
    steps = [[s["name"] for s in job["steps"] if s["conclusion"] == "failure"] for job in failed]
    assert all(len(names) == 1 for names in steps)
    assert len({names[0] for names in steps}) > 6
    runs = [p["workflow_run"] for p in payloads(told, "workflow_run", "completed")]
    explained = {(job["run_id"], job["run_attempt"]) for job in failed}
    told_failed = {(r["id"], r["run_attempt"]) for r in runs if r["conclusion"] == "failure"}
    assert told_failed <= explained
