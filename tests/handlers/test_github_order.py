"""Deliveries come late, twice and in any order: what is remembered is the same (METRICS.md R9)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handlers.recorded import arrived, recorded, story, tables

STORY = arrived(story())
EXPECTED = tables(STORY)


def told(table, key):
    """Return clock, rank and content of a row after the whole story."""
    return EXPECTED[table, key]


@settings(max_examples=25, deadline=None)
@given(st.permutations(STORY))
def test_every_order_of_the_story_leaves_the_same_tables(shuffled):
    assert tables(shuffled) == EXPECTED


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(STORY), max_size=30))
def test_deliveries_that_come_again_change_nothing(again):
    assert tables([*again, *STORY, *again]) == EXPECTED


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(range(len(STORY))), unique=True, max_size=8).flatmap(
    lambda some: st.tuples(st.just(sorted(some)), st.permutations(some))
))  # fmt: skip
def test_every_order_of_a_few_deliveries_leaves_the_same_tables(orders):
    in_order, shuffled = ([STORY[index] for index in order] for order in orders)
    assert tables(in_order) == tables(shuffled)


@pytest.mark.parametrize(
    ("table", "key", "part"),
    [
        ("pull_requests", "github:60002", '"state": "closed"'),
        ("pull_requests", "github:60002", '"draft": "False"'),
        ("pull_requests", "github:60003", '"state": "open"'),
        ("pull_requests", "github:60004", '"title": "Show prices in euro"'),
        ("reviews", "github:90001", '"state": "dismissed"'),
        ("reviews", "github:90002", '"state": "approved"'),
        ("review_comments", "github:81002", '"deleted": "True"'),
        ("issue_comments", "github:80002", '"deleted": "True"'),
        ("issues", "github:70001", '"state": "closed"'),
        ("issues", "github:70005", '"deleted": "True"'),
        ("issues", "github:70009", '"deleted": "True"'),
        ("workflow_runs", "github:50001/1", '"conclusion": "failure"'),
        ("workflow_runs", "github:50001/2", '"conclusion": "success"'),
        ("workflow_jobs", "github:51001", '"failed_step": "Run make test"'),
        ("check_runs", "github:41001", '"conclusion": "success"'),
        ("check_suites", "github:40001", '"conclusion": "success"'),
        ("deployments", "github:workflow_run:50010", '"result": "failure"'),
        ("deployments", "github:workflow_run:50010/2", '"result": "success"'),
        ("releases", "github:22001", '"name": "Two"'),
        ("releases", "github:22002", '"deleted": "True"'),
        ("releases", "github:22003", '"draft": "True"'),
        ("repositories", "github:5003", '"full_name": "acme/loft"'),
        ("repositories", "github:5003", '"default_branch": "trunk"'),
        ("repositories", "github:5003", '"deleted_at": "2026-'),
        ("connections", "github:installation:4242", '"state": "deleted"'),
        ("connection_repositories", "github:installation:4242:5001", '"selected": "False"'),
        ("connection_repositories", "github:installation:4242:5003", '"selected": "False"'),
        ("organizations", "github:9001", '"login": "acme-works"'),
        ("contributors", "github:777001", '"kind": "agent"'),
        ("refs", "github:5001:refs/heads/round-half-even", '"present": "False"'),
        ("refs", "github:5002:refs/tags/v2.0.0", '"present": "True"'),
        ("teams", "github:team:6001", '"deleted": "True"'),
        ("team_members", "github:team:6001:cleo", '"member": "False"'),
        ("team_repositories", "github:team:6001:github:5001", '"owned": "False"'),
        ("identities", "github:9001/github:login:ada", '"email": "ada@acme.example"'),
    ],
)
def test_after_the_story_the_last_word_stands(table, key, part):
    assert part in told(table, key)[2]


def test_every_head_a_pull_request_ever_had_is_kept():
    heads = [key for table, key in EXPECTED if table == "pull_request_heads" and ":60002:" in key]
    assert len(heads) == 2


def test_a_merge_outranks_what_happened_in_the_same_second():
    merged = recorded("pull_request", "closed")
    labeled = recorded("pull_request", "labeled")
    labeled["pull_request"]["updated_at"] = merged["pull_request"]["updated_at"]
    both = arrived([("pull_request", merged), ("pull_request", labeled)])
    for order in (both, both[::-1]):
        held = tables(order)["pull_requests", "github:60002"]
        assert '"merged_at": "2026-09-03 10:00:00+00:00"' in held[2]


def test_a_trimmed_repository_never_replaces_a_full_one():
    full = recorded("issues", "opened")
    trimmed = recorded("issues", "closed")
    trimmed["repository"] = {"id": 5001, "full_name": "acme/api"}
    full["repository"]["default_branch"] = "trunk"
    both = arrived([("issues", full), ("issues", trimmed)])
    for order in (both, both[::-1]):
        assert '"default_branch": "trunk"' in tables(order)["repositories", "github:5001"][2]


SAME = {"updated_at": "2026-09-09T09:00:00Z", "started_at": None, "completed_at": None}
INSTALLED = SAME | {"updated_at": 1789000000}


@pytest.mark.parametrize(
    ("event", "actions", "part", "changed", "table"),
    [
        ("pull_request", ("opened", "labeled"), "pull_request", {"title": "zzz"}, "pull_requests"),
        ("pull_request", ("labeled", "synchronize"), "pull_request", {"title": "zzz"},
         "pull_requests"),
        ("issues", ("opened", "labeled"), "issue", {"title": "zzz"}, "issues"),
        ("issues", ("labeled", "closed"), "issue", {"title": "zzz"}, "issues"),
        ("issues", ("reopened", "deleted"), "issue", {"title": "zzz"}, "issues"),
        ("check_run", ("created", "completed"), "check_run", {"name": "zzz"}, "check_runs"),
        ("check_suite", ("requested", "completed"), "check_suite", {"head_sha": "zzz"},
         "check_suites"),
        ("release", ("released", "edited"), "release", {"tag_name": "zzz"}, "releases"),
        ("repository", ("renamed", "deleted"), "repository", {"full_name": "zzz"},
         "repositories"),
        ("installation", ("new_permissions_accepted", "suspend"), "installation",
         {"permissions": {}, "repository_selection": "zzz"}, "connections"),
        ("installation", ("suspend", "unsuspend"), "installation", {"account": {
            "id": 9001, "login": "zzz"}}, "connections"),
        ("installation", ("unsuspend", "deleted"), "installation", {"account": {
            "id": 9001, "login": "zzz"}}, "connections"),
        ("installation", ("created", "deleted"), "installation", {}, "connection_repositories"),
    ],
)  # fmt: skip
def test_within_one_second_the_later_step_wins(event, actions, part, changed, table):
    before, after = (recorded(event, action) for action in actions)
    for body in (before, after):
        body[part] |= INSTALLED if event == "installation" else SAME
    before[part] |= changed
    expected = latest_row(table, arrived([(event, after)]))
    assert latest_row(table, arrived([(event, before)])) != expected
    for order in ([(event, before), (event, after)], [(event, after), (event, before)]):
        assert latest_row(table, arrived(order)) == expected


def latest_row(table, deliveries):
    """Return what the rows of a table say whose id is the last, without when they were received."""
    held = tables([(event, body, STORY[0][2]) for event, body, _ in deliveries])
    return held[max((name, key) for name, key in held if name == table and ":5002" not in key)]


def test_a_ref_that_was_made_and_deleted_in_one_second_is_gone():
    made, gone = recorded("create"), recorded("delete")
    gone["repository"]["pushed_at"] = made["repository"]["pushed_at"]
    both = arrived([("create", made), ("delete", gone)])
    for order in (both, both[::-1]):
        held = tables(order)["refs", "github:5001:refs/heads/round-half-even"]
        assert '"present": "False"' in held[2]


def test_a_withdrawn_release_that_lost_its_dates_is_dated_when_received():
    published, withdrawn = recorded("release", "published", 2), recorded("release", "unpublished")
    withdrawn["release"] |= {"published_at": None, "created_at": "2026-01-01T00:00:00Z"}
    both = arrived([("release", published), ("release", withdrawn)])
    for order in (both, both[::-1]):
        assert '"draft": "True"' in tables(order)["releases", "github:22003"][2]
