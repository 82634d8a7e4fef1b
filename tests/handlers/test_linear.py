"""Linear's recorded deliveries in, decisions out; in any order, the same tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.linear import issues, talk
from tests.handlers.linear_recorded import RECEIVED_AT, about, decided, recorded, row, said, story
from tests.handlers.linear_recorded import tables as remembered
from tests.handlers.recorded import spelled

ADA, BEN = (
    f"identities github:9001/linear:{recorded('Issue', 'create')['data'][who]['id']}"
    for who in ("creator", "assignee")
)
TEAM = f"linear_teams linear:{recorded('Issue', 'create')['data']['teamId']}"
LINK, FOLLOW, WISH = "job link_issues", "job follow_incident", "job consider_linear_label"
EXPECTED = remembered(story())


def issue_line(identifier: str) -> str:
    return f"linear_issues linear:{about(identifier)['data']['id']}"


@pytest.mark.parametrize(
    ("identifier", "nth", "expected"),
    [
        ("ENG-12", 0, [BEN, ADA, TEAM, LINK]),
        ("OPS-4", 0, [ADA, "linear_teams", LINK, FOLLOW, issues.HISTORY]),
        ("OPS-4", 1, [ADA, "linear_teams", LINK, FOLLOW]),
        ("ENG-13", 0, [ADA, TEAM, LINK]),
        ("ENG-13", 1, [ADA, TEAM, LINK, FOLLOW, WISH]),
        ("ENG-14", 0, [TEAM, LINK, FOLLOW, issues.BOTS]),
        ("ENG-16", 1, [ADA, TEAM, LINK, FOLLOW]),
    ],
)
def test_what_follows_from_an_issue(identifier: str, nth: int, expected: list[str]) -> None:
    body = about(identifier, nth)
    found = said("Issue", body)
    assert issue_line(identifier) in found
    found.remove(issue_line(identifier))
    assert [line if line in expected else line.partition(" ")[0] for line in found] == expected


@pytest.mark.parametrize(
    ("event", "action", "nth", "expected"),
    [
        ("Project", "create", 0, ["linear_projects"]),
        ("Cycle", "update", 0, ["linear_cycles"]),
        ("IssueLabel", "remove", 0, ["linear_labels"]),
        ("Comment", "create", 0, ["linear_comments"]),
        ("Comment", "create", 2, [talk.ELSEWHERE]),
        ("Attachment", "create", 0, ["linear_attachments", LINK]),
        ("Reaction", "create", 0, ["A reaction changes no measure."]),
    ],
)
def test_what_follows_from_other_things(
    event: str, action: str, nth: int, expected: list[str]
) -> None:
    found = [
        line if line in expected else line.partition(" ")[0]
        for line in said(event, recorded(event, action, nth))
        if not line.startswith("identities")
    ]
    assert found == expected


def test_an_issue_is_kept_without_its_description() -> None:
    kept = row("linear_issues", "Issue", about("ENG-12", -1))
    assert (kept.identifier, kept.number, kept.state_type, kept.priority) == (
        "ENG-12", 12, "completed", 2,
    )  # fmt: skip
    assert kept.completed_at == datetime(2026, 9, 5, 16, tzinfo=UTC)
    assert kept.mentions == ["number:acme/api#3", "repository:acme/api"]
    assert kept.project_id == f"linear:{about('ENG-12')['data']['projectId']}"
    assert all("Banks" not in spelled(fact) for fact in decided("Issue", about("ENG-12")).rows)


def test_words_of_comments_are_not_kept() -> None:
    rows = decided("Comment", recorded("Comment", "create")).rows
    assert all("negative" not in spelled(fact) for fact in rows)


def test_emails_are_kept_in_lower_case() -> None:
    found = [
        fact for fact in decided("Issue", about("ENG-12")).rows
        if fact.__tablename__ == "identities"
    ]  # fmt: skip
    assert {fact.email for fact in found} == {  # type: ignore[attr-defined]
        "ada@acme.example", "ben@acme.example",
    }  # fmt: skip


def test_an_account_without_email_gives_way_to_one_that_tells_it() -> None:
    silent = about("ENG-12", -1)
    for person in (silent["data"]["assignee"], silent["data"]["creator"], silent["actor"]):
        del person["email"]
    for order in ([about("ENG-12"), silent], [silent, about("ENG-12")]):
        held = remembered(("Issue", body) for body in order)
        ben = held[tuple(BEN.split(" "))]
        assert '"email": "ben@acme.example"' in ben[2]


def test_a_pull_request_is_attached_by_its_plain_address() -> None:
    kept = row("linear_attachments", "Attachment", recorded("Attachment", "create"))
    assert kept.url == "https://github.com/acme/api/pull/7"


def test_only_labels_that_were_just_put_on_are_wishes() -> None:
    both = about("ENG-13", 1)
    bug = {"id": "b1", "name": "bug", "color": "#fff"}
    both["data"]["labels"].append(bug)
    both["updatedFrom"] = {"labelIds": ["b1"]}
    jobs = [job for job in decided("Issue", both).jobs if job.name == "consider_linear_label"]
    assert [job.arguments["label"] for job in jobs] == ["claude"]
    assert jobs[0].lane == "agent"
    told = jobs[0].arguments
    assert told["issue"]["description"] == "With two decimals."
    assert told["by"]["email"] == "ada@acme.example"
    both["updatedFrom"] = {"title": "x"}
    assert not [job for job in decided("Issue", both).jobs if job.lane == "agent"]


def test_a_wish_of_days_ago_is_history() -> None:
    body = about("ENG-13", 1)
    found = decided("Issue", body, RECEIVED_AT + timedelta(days=2))
    assert issues.HISTORY in [told.get("note") for told in found.says]


def test_an_incident_is_followed_when_its_label_is_taken_off() -> None:
    bare = about("OPS-4", 1)
    bare["data"] |= {"labels": [], "labelIds": []}
    jobs = [job for job in decided("Issue", bare).jobs if job.name == "follow_incident"]
    key = f"linear:{bare['data']['id']}"
    assert [(job.key, job.arguments) for job in jobs] == [
        (f"follow_incident:{key}", {"incident": key})
    ]


@settings(max_examples=25, deadline=None)
@given(st.permutations(story()))
def test_every_order_of_the_story_leaves_the_same_tables(shuffled: list[Any]) -> None:
    assert remembered(shuffled) == EXPECTED


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(story()), max_size=30))
def test_deliveries_that_come_again_change_nothing(again: list[Any]) -> None:
    assert remembered([*again, *story(), *again]) == EXPECTED


@pytest.mark.parametrize(
    ("table", "part", "held"),
    [
        ("linear_issues", "ENG-12", '"state_type": "completed"'),
        ("linear_issues", "OPS-4", '"labels": "[\'incident\']"'),
        ("linear_issues", "OPS-5", '"previous_identifiers": "[\'ENG-15\']"'),
        ("linear_issues", "OPS-5", '"deleted": "False"'),
        ("linear_issues", "ENG-16", '"deleted": "True"'),
        ("linear_issues", "ENG-17", '"state_type": "canceled"'),
        ("linear_projects", "Billing", '"state": "completed"'),
        ("linear_projects", "Dropped", '"deleted": "False"'),
        ("linear_cycles", '"number": "2"', '"deleted": "True"'),
        ("linear_cycles", '"number": "1"', '"completed_at": "2026-09-15 07:00:00+00:00"'),
        ("linear_labels", "defect", '"deleted": "True"'),
        ("linear_attachments", "sentry", '"deleted": "True"'),
    ],
)
def test_after_the_story_the_last_word_stands(table: str, part: str, held: str) -> None:
    (row_,) = [
        content for (name, _), (_, _, content) in EXPECTED.items()
        if name == table and part in content
    ]  # fmt: skip
    assert held in row_


@pytest.mark.parametrize("field", ["id", "identifier", "number", "createdAt", "updatedAt"])
def test_an_issue_without_what_its_row_needs_is_refused(field: str) -> None:
    body = about("ENG-12")
    del body["data"][field]
    with pytest.raises(ValueError, match=field):
        decided("Issue", body)


@pytest.mark.parametrize("lacks", ["team", "project", "cycle", "labels", "state", "assignee"])
def test_what_an_issue_need_not_tell_may_be_missing_or_null(lacks: str) -> None:
    body = about("ENG-12")
    body["data"][lacks] = None
    assert row("linear_issues", "Issue", body).identifier == "ENG-12"
    del body["data"][lacks]
    assert row("linear_issues", "Issue", body).identifier == "ENG-12"
