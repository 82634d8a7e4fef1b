"""METRICS.md R1 and R3 in the small: kinds, sources, services and stages."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.changes import (
    Attempt,
    Moments,
    Shape,
    cohort_of,
    counting_source,
    grouped,
    is_corrective,
    kind_of,
    shapes_of,
    stages_of,
)

START = datetime(2026, 9, 1, tzinfo=UTC)
TIMES = st.integers(0, 30_000_000).map(lambda seconds: START + timedelta(seconds=seconds))


def attempt(source: str) -> Attempt:
    """An attempt of a source."""
    return Attempt(
        "1", source, "production", "production", "a", None, None, START, True, START, None
    )


@pytest.mark.parametrize(
    ("heard", "counts"),
    [
        (["merge"], "merge"),
        (["merge", "api"], "api"),
        (["api", "release"], "release"),
        (["release", "workflow_run"], "workflow_run"),
        (["workflow_run", "deployment_status", "merge"], "deployment_status"),
        ([], "merge"),
    ],
)
def test_one_source_counts_by_priority(heard: list[str], counts: str) -> None:
    assert counting_source(attempt(source) for source in heard) == counts


@pytest.mark.parametrize(
    ("sha", "running", "seen", "kind"),
    [
        ("a", None, (), "baseline"),
        ("a", "a", ("a",), "redeploy"),
        ("a", "b", ("a", "b"), "rollback"),
        ("c", "b", ("a", "b"), "new"),
    ],
)
def test_a_commit_and_what_ran_before_say_the_kind(
    sha: str, running: str | None, seen: tuple[str, ...], kind: str
) -> None:
    assert kind_of(sha, running, seen) == kind


@pytest.mark.parametrize(
    ("title", "branch", "labels", "corrective"),
    [
        ('Revert "Add cart"', "main", (), True),
        ("hotfix: stop it", "", (), True),
        ("Hotfix for login", "", (), True),
        ("Fix a typo", "hotfix/login", (), True),
        ("Fix a typo", "revert-12-cart", (), True),
        ("Fix a typo", "feature", ("Hotfix",), True),
        ("Fix a typo", "feature", ("bug",), False),
        ("Describe the hotfix process", "docs", (), False),
        ("Reverting is documented", "docs", (), False),
    ],
)
def test_reverts_and_hotfixes_are_corrective(
    title: str, branch: str, labels: tuple[str, ...], corrective: bool
) -> None:
    assert is_corrective(title, branch, labels) is corrective


def test_a_service_is_its_environment_unless_it_is_described() -> None:
    web = Shape("web", "prod-*", ("web/**",))
    assert shapes_of("prod-eu", [web]) == [web]
    assert shapes_of("staging", [web]) == [Shape("staging", "staging")]
    assert web.made_of(["web/a/b.ts"])
    assert not web.made_of(["ios/App.swift"])
    assert web.made_of(None)
    assert Shape("all", "prod").made_of([])


@pytest.mark.parametrize(
    ("login", "name", "cohort"),
    [("dependabot[bot]", None, "bots"), (None, "renovate[bot]", "bots"), ("ada", None, "people")],
)
def test_a_commits_author_says_its_cohort(login: str | None, name: str | None, cohort: str) -> None:
    assert cohort_of(login, name) == cohort


def test_commits_are_grouped_in_order_of_appearance() -> None:
    owners = {"a": "pr2", "b": "pr1", "c": "pr2"}
    assert grouped(["a", "b", "c", "d"], owners) == {"pr2": ["a", "c"], "pr1": ["b"]}


def test_without_a_review_the_merge_is_the_first_answer() -> None:
    hours = [START + timedelta(hours=number) for number in range(5)]
    stages = stages_of(Moments(hours[0], hours[1], None, hours[3], hours[4]))
    assert (stages.coding, stages.pickup, stages.review, stages.deploy) == (3600, 7200, 0, 3600)


def test_a_review_parts_pickup_from_review() -> None:
    hours = [START + timedelta(hours=number) for number in range(5)]
    stages = stages_of(Moments(hours[0], hours[1], hours[2], hours[3], hours[4]))
    assert (stages.coding, stages.pickup, stages.review, stages.deploy) == (3600,) * 4


@given(TIMES, st.none() | TIMES, st.none() | TIMES, TIMES, TIMES)
def test_stages_sum_to_the_lead_time_whatever_the_clocks_say(
    first: datetime,
    ready: datetime | None,
    review: datetime | None,
    merged: datetime,
    deployed: datetime,
) -> None:
    stages = stages_of(Moments(first, ready, review, merged, deployed))
    parts = (stages.coding, stages.pickup, stages.review, stages.deploy)
    assert all(part >= 0 for part in parts)
    assert sum(parts) == pytest.approx(stages.lead)
    assert stages.lead == max((deployed - first).total_seconds(), 0)
