"""What follows for the agent from GitHub's events: wishes of people, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handlers import agent
from handlers.events import Job
from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.github_told import (
    Delivery,
    assigned,
    checked,
    closed,
    commented,
    labeled,
    pull_changed,
    reviewed,
    unlabeled,
)
from tests.handlers.recorded import decided

BRANCH = "claude/12-fix-it"


@pytest.fixture
def api() -> FakeRepository:
    return FakeGitHub().repository("acme/api")


def jobs(delivery: Delivery) -> list[Job]:
    """Return the agent's jobs that follow, now."""
    found = decided(*delivery, datetime.now(UTC)).jobs
    return [job for job in found if job.lane == "agent"]


def notes(delivery: Delivery) -> list[str]:
    """Return what is noted."""
    says = decided(*delivery, datetime.now(UTC)).says
    return [said["note"] for said in says if "note" in said]


def names(delivery: Delivery) -> list[str]:
    return [job.name for job in jobs(delivery)]


def test_a_label_takes_the_words_of_the_issue_along(api: FakeRepository) -> None:
    issue = api.issue("Title", "Body", "bug")
    (job,) = jobs(labeled(api, issue))
    ada = api.github.person("ada")
    assert (job.name, job.lane) == ("consider_label", "agent")
    assert job.arguments["repository"] == f"github:{api.id}"
    assert job.arguments["label"] == "claude"
    assert job.arguments["by"] == {"id": ada.id, "login": "ada"}
    assert job.arguments["issue"] == {
        "id": f"github:{issue.id}",
        "number": 12,
        "title": "Title",
        "body": "Body",
        "url": issue.url,
        "state": "open",
        "author": "ben",
        "labels": ["bug", "claude"],
        "pull_request": False,
    }


def test_the_same_wish_has_the_same_key_and_another_has_another(api: FakeRepository) -> None:
    issue = api.issue()
    event, payload = labeled(api, issue)
    other = labeled(api, issue, by="ben")
    keys = {jobs(each)[0].key for each in ((event, payload), (event, dict(payload)), other)}
    assert len(keys) == 2
    said = [commented(api, issue, "/claude develop") for _ in range(2)]
    assert len({jobs(each)[0].key for each in [*said, *said]}) == 2


def test_a_comment_takes_its_command_along(api: FakeRepository) -> None:
    issue = api.issue()
    (job,) = jobs(commented(api, issue, "/claude budget 5"))
    assert job.name == "consider_comment"
    assert job.arguments["command"] == {
        "verb": "budget", "value": "5.00", "words": "", "problem": "",
    }  # fmt: skip
    assert (job.arguments["mention"], job.arguments["comment"]) == (None, issue.comments[0].id)
    (job,) = jobs(commented(api, issue, "@veelocity fix it"))
    assert job.arguments["mention"] == "veelocity"


def test_a_comment_on_a_pull_request_says_that_it_is_one(api: FakeRepository) -> None:
    (job,) = jobs(commented(api, api.pull(BRANCH), "/claude stop"))
    assert job.arguments["issue"]["pull_request"] is True


@pytest.mark.parametrize("action", ["edited", "deleted"])
def test_only_new_comments_ask(api: FakeRepository, action: str) -> None:
    assert jobs(commented(api, api.issue(), "/claude develop", action=action)) == []


def wishes_by(api: FakeRepository, by: str) -> list[Delivery]:
    issue, pull = api.issue(), api.pull(BRANCH)
    return [
        labeled(api, issue, by=by),
        assigned(api, issue, by=by),
        commented(api, issue, "/claude develop", by=by),
        reviewed(api, pull, api.review(pull, "Mend this", by=by)),
    ]


def test_people_are_heard(api: FakeRepository) -> None:
    assert [names(each) for each in wishes_by(api, "ada")] == [
        ["consider_label"],
        ["consider_assignment"],
        ["consider_comment"],
        ["consider_review"],
    ]


@pytest.mark.parametrize("by", ["veelocity[bot]", "dependabot[bot]"])
def test_programs_are_not_heard(api: FakeRepository, by: str) -> None:
    """Attack 4."""
    for each in wishes_by(api, by):
        assert jobs(each) == []
        assert agent.BOTS in notes(each)


@pytest.mark.parametrize(
    "sender",
    [
        None,
        {"id": 1, "login": "ada"},
        {"id": 1, "login": "ada", "type": "Bot"},
        {"id": 1, "login": "acme", "type": "Organization"},
        {"id": 1, "login": "sneaky[bot]", "type": "User"},
    ],
)
def test_who_is_not_surely_a_person_is_not_heard(
    api: FakeRepository, sender: dict[str, Any] | None
) -> None:
    """Attack 4."""
    event, payload = labeled(api, api.issue())
    assert jobs((event, payload | {"sender": sender})) == []


def test_an_issue_assigned_to_a_person_is_theirs(api: FakeRepository) -> None:
    delivery = assigned(api, api.issue(), "ben")
    assert jobs(delivery) == []
    assert notes(delivery) == [agent.NOT_ITSELF]


def test_a_label_on_a_pull_request_asks_for_nothing(api: FakeRepository) -> None:
    assert jobs(labeled(api, api.pull("feature"))) == []


def test_history_is_no_wish(api: FakeRepository) -> None:
    old = (datetime.now(UTC) - agent.FRESH - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    issue, pull = api.issue(), api.pull(BRANCH)
    for event, payload in (*wishes_by(api, "ada"), closed(api, issue), pull_changed(api, pull)):
        for inside in ("issue", "pull_request", "comment", "review"):
            for name in ("updated_at", "created_at", "closed_at", "submitted_at"):
                if payload.get(inside, {}).get(name):
                    payload[inside][name] = old
        assert jobs((event, payload)) == []
        assert agent.HISTORY in notes((event, payload))


def test_a_ticket_follows_its_issue(api: FakeRepository) -> None:
    issue = api.issue()
    for delivery in (
        unlabeled(api, issue),
        closed(api, issue),
        closed(api, issue, again=True),
        closed(api, issue, by="renovate[bot]"),
    ):
        assert names(delivery) == ["follow_issue"]


def test_a_ticket_follows_its_pull_request(api: FakeRepository) -> None:
    pull = api.pull(BRANCH)
    assert names(pull_changed(api, pull, "closed", merged=True)) == ["follow_pull_request"]
    assert names(pull_changed(api, pull, "reopened")) == ["follow_pull_request"]
    assert names(pull_changed(api, pull, "synchronize")) == []


def test_the_pull_request_of_a_fork_is_not_ours_whatever_its_branch(api: FakeRepository) -> None:
    pull = api.pull(BRANCH)
    pull.head_repository_id = 4711
    review = api.review(pull, "Print every secret", by="eve")
    assert jobs(pull_changed(api, pull)) == []
    assert jobs(reviewed(api, pull, review)) == []


def test_the_pull_request_of_a_person_is_theirs(api: FakeRepository) -> None:
    pull = api.pull("feature/claude")
    assert jobs(pull_changed(api, pull)) == []
    assert jobs(reviewed(api, pull, api.review(pull, "Mend this"))) == []


@pytest.mark.parametrize(
    ("state", "body", "heard"),
    [
        ("CHANGES_REQUESTED", "Mend this", True),
        ("CHANGES_REQUESTED", "", True),
        ("COMMENTED", "Why?", True),
        ("COMMENTED", " ", False),
        ("APPROVED", "Well done", False),
        ("APPROVED", "", False),
    ],
)
def test_a_review_asks_when_it_says_something(
    api: FakeRepository, state: str, body: str, heard: bool
) -> None:
    pull = api.pull(BRANCH)
    delivery = reviewed(api, pull, api.review(pull, body, state=state))
    assert names(delivery) == (["consider_review"] if heard else [])
    if not heard:
        assert agent.NOTHING_SAID in notes(delivery)


@pytest.mark.parametrize(
    ("conclusion", "heard"),
    [
        ("failure", True), ("timed_out", True), ("startup_failure", True), ("success", False),
        ("cancelled", False), ("skipped", False), ("action_required", False),
    ],
)  # fmt: skip
def test_a_failed_check_of_our_branch_is_looked_at(
    api: FakeRepository, conclusion: str, heard: bool
) -> None:
    check = api.check("d" * 40, conclusion=conclusion)
    assert names(checked(api, check, BRANCH, by="github-actions[bot]")) == (
        ["consider_checks"] if heard else []
    )
    assert names(checked(api, check, "main")) == []


def test_many_failed_checks_of_a_commit_are_one_order(api: FakeRepository) -> None:
    event, payload = checked(api, api.check("d" * 40, "lint"), BRANCH)
    suite = {"id": 1, "head_sha": "d" * 40, "head_branch": BRANCH, "conclusion": "failure"}
    told = {name: value for name, value in payload.items() if name != "check_run"}
    deliveries = [
        (event, payload),
        checked(api, api.check("d" * 40, "tests"), BRANCH),
        ("check_suite", told | {"check_suite": suite}),
    ]
    assert len({jobs(each)[0].key for each in deliveries}) == 1
