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
