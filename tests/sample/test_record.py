"""The record agrees with a naive reading of the deliveries, and with the commit graph."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Any

from bot.sample.graph import Commit
from bot.sample.record import Change, Deployed
from bot.sample.story import Story

KINDS = {"baseline", "new", "redeploy", "rollback", "rollforward"}


def ancestors(graph: Mapping[str, Commit], sha: str) -> set[str]:
    """Everything reachable, the slow and obvious way."""
    seen: set[str] = set()
    waiting = [sha]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += graph[one].parents
    return seen


def of(told: Story, repository_id: int) -> tuple[list[Deployed], list[Change]]:
    record = told.record
    return (
        [d for d in record.deployments if d.repository_id == repository_id],
        [c for c in record.changes if c.repository_id == repository_id],
    )


def evidence(told: Story) -> dict[tuple[int, int], dict[str, Any]]:
    """Each merged pull request as its last delivery showed it."""
    closed = (d.payload for d in told.deliveries if d.event == "pull_request")
    return {
        (p["repository"]["id"], p["number"]): p["pull_request"]
        for p in closed
        if p["action"] == "closed" and p["pull_request"]["merged"]
    }


def test_every_kind_of_deployment_happens(told: Story) -> None:
    assert {d.kind for d in told.record.deployments} == KINDS
    for repository in told.repositories:
        kinds = [d.kind for d in of(told, repository.id)[0]]
        assert kinds[0] == "baseline"
        assert kinds.count("baseline") == 1
    assert sum(d.kind == "rollback" for d in told.record.deployments) >= 8


def test_deployments_are_the_first_successes_in_production(told: Story) -> None:
    first: dict[int, tuple[str, datetime]] = {}
    for delivery in told.deliveries:
        if delivery.event == "deployment_status":
            status, deployment = (
                delivery.payload["deployment_status"],
                delivery.payload["deployment"],
            )
            if status["state"] == "success" and deployment["environment"] == "production":
                at = datetime.fromisoformat(status["created_at"])
                first.setdefault(deployment["id"], (deployment["sha"], at))
    assert first == {d.id: (d.sha, d.finished_at) for d in told.record.deployments}


def test_failed_attempts_never_succeeded(told: Story) -> None:
    states = defaultdict(set)
    for delivery in told.deliveries:
        if delivery.event == "deployment_status":
            deployment = delivery.payload["deployment"]
            if deployment["environment"] == "production":
                states[deployment["id"]].add(delivery.payload["deployment_status"]["state"])
    failed = {i for i, s in states.items() if s & {"failure", "error"} and "success" not in s}
    assert failed == {f.id for f in told.record.failed_attempts}
    assert len(failed) > 10
    assert any(s >= {"failure", "success"} for s in states.values())


def test_kinds_follow_from_the_shas(told: Story) -> None:
    for repository in told.repositories:
        deployments, changes = of(told, repository.id)
        fixes = {c.sha for c in changes if c.fix}
        gone: list[str] = []
        for d in deployments:
            expected = "rollforward" if fixes & set(d.changes) else "new"
            if d.sha in gone:
                expected = "redeploy" if d.sha == gone[-1] else "rollback"
            assert d.kind == (expected if gone else "baseline")
            if gone:
                same = d.kind if d.kind in {"redeploy", "rollback"} else "new"
                assert d.purpose == same
            gone.append(d.sha)


def test_a_change_belongs_to_the_first_deployment_whose_history_holds_it(told: Story) -> None:
    for repository in told.repositories:
        graph = told.graph[repository.full_name]
        deployments, changes = of(told, repository.id)
        histories = [(d, ancestors(graph, d.sha)) for d in deployments]
        for change in changes:
            first = next((d for d, history in histories if change.sha in history), None)
            assert change.deployment_id == (first.id if first else None)
            measured = first is not None and first.kind != "baseline"
            assert change.deployed_at == (first.finished_at if first and measured else None)
            assert first is None or first.kind not in {"redeploy", "rollback"}


def test_what_is_rolled_back_held_no_fix(told: Story) -> None:
    """So it makes no difference whether what a later deployment ships again counts as its own."""
    for repository in told.repositories:
        deployments, changes = of(told, repository.id)
        fixes = {c.sha for c in changes if c.fix}
        for place, d in enumerate(deployments):
            if d.kind == "rollback":
                since = max(i for i, e in enumerate(deployments[:place]) if e.sha == d.sha)
                undone = {sha for e in deployments[since + 1 : place] for sha in e.changes}
                assert undone
                assert not undone & fixes


def test_times_of_a_change_are_in_order(told: Story) -> None:
    for change in told.record.changes:
        assert change.first_commit_at <= change.merged_at
        steps = (change.opened_at, change.ready_at, change.first_review_at, change.merged_at)
        known = [at for at in steps if at]
        assert known == sorted(known)
        assert change.lead is None or change.lead.total_seconds() > 0
        assert change.deployed_at is None or change.deployed_at > change.merged_at


def test_first_commits_are_the_earliest_ever_pushed(told: Story) -> None:
    """Also those a force-push took away; where deliveries are missing, the API still knows."""
    seen: dict[tuple[int, str], list[datetime]] = defaultdict(list)
    for delivery in told.deliveries:
        if delivery.event == "push":
            key = (delivery.payload["repository"]["id"], delivery.payload["ref"])
            new = (c for c in delivery.payload["commits"] if c["distinct"])
            seen[key] += [datetime.fromisoformat(c["timestamp"]) for c in new]
    closed, shortened = evidence(told), 0
    for change in told.record.changes:
        if change.number is None:
            continue
        pr = closed[change.repository_id, change.number]
        repository = next(r for r in told.repositories if r.id == change.repository_id)
        graph = told.graph[repository.full_name]
        final = min(graph[sha].authored_at for sha in repository.pulls[change.number])
        pushed = seen[change.repository_id, f"refs/heads/{pr['head']['ref']}"]
        assert min([*pushed, final]) == change.first_commit_at
        shortened += final > change.first_commit_at
        if change.complete:
            assert min(pushed) == change.first_commit_at
    assert shortened > 5
    assert any(not change.complete for change in told.record.changes)


def test_changes_are_the_merged_pull_requests_and_the_direct_pushes(told: Story) -> None:
    closed = evidence(told)
    merged = {(c.repository_id, c.number): c for c in told.record.changes if c.number}
    assert set(merged) == set(closed)
    for key, pr in closed.items():
        change = merged[key]
        assert pr["merge_commit_sha"] == change.sha
        assert pr["title"] == change.title
        assert pr["user"]["login"] == change.author
        assert (pr["user"]["type"] == "Bot") == (change.cohort == "bots")
        assert datetime.fromisoformat(pr["merged_at"]) == change.merged_at
    direct = [c for c in told.record.changes if c.number is None]
    assert len(direct) > 20
    assert any(not c.complete for c in direct)


def test_a_fix_shows_in_label_branch_or_title(told: Story) -> None:
    closed = evidence(told)
    for change in told.record.changes:
        shown = change.title.lower().startswith(("hotfix", "revert "))
        if change.number:
            pr = closed[change.repository_id, change.number]
            shown |= pr["head"]["ref"].startswith(("hotfix/", "revert-"))
            shown |= "hotfix" in {label["name"] for label in pr["labels"]}
        assert change.fix == shown


def test_every_commit_of_main_is_a_change_or_a_part_of_one(told: Story) -> None:
    for repository in told.repositories:
        graph = told.graph[repository.full_name]
        deployments, changes = of(told, repository.id)
        old = ancestors(graph, deployments[0].sha)
        whole = {c.sha for c in changes} | set(repository.merges)
        whole |= {sha for shas in repository.pulls.values() for sha in shas}
        assert ancestors(graph, repository.head) - old <= whole


def test_reviews_count_when_by_somebody_else(told: Story) -> None:
    first: dict[tuple[int, int], datetime] = {}
    for delivery in told.deliveries:
        if delivery.event == "pull_request_review":
            pr, review = delivery.payload["pull_request"], delivery.payload["review"]
            if review["user"]["id"] != pr["user"]["id"]:
                key = (delivery.payload["repository"]["id"], pr["number"])
                first.setdefault(key, datetime.fromisoformat(review["submitted_at"]))
    for change in told.record.changes:
        if change.complete and change.number:
            assert change.first_review_at == first.get((change.repository_id, change.number))


def test_lead_time_gets_better(told: Story) -> None:
    months: dict[int, list[float]] = defaultdict(list)
    for change in told.record.changes:
        if change.lead and change.deployed_at and change.cohort == "people":
            month = (change.deployed_at - told.start).days // 30
            months[month].append(change.lead.total_seconds() / 3600)
    assert 20 < median(months[0] + months[1]) < 32
    assert 6 < median(months[4] + months[5]) < 20


def test_some_incidents_happened_and_ended(told: Story) -> None:
    assert len(told.record.incidents) > 5
    for incident in told.record.incidents:
        assert incident.resolved_at is None or incident.resolved_at > incident.opened_at
