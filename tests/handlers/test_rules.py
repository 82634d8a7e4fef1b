"""What a rule of deployments means: which attempts count, where, and why others do not."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from handlers.changes import Attempt
from handlers.rules import (
    COUNTED_BY,
    OTHER_WORKFLOW,
    Rule,
    checked_patterns,
    counting,
    counts_merges,
    judged,
    names_workflow,
    superseded_because,
)
from models.errors import Refused

START = datetime(2026, 9, 1, tzinfo=UTC)
TOLD = Attempt(
    "1", "deployment_status", "production", "production", "a", None, None, START, True, START, None
)


def told(
    source: str = "deployment_status", environment: str = "production", to: str = ""
) -> Attempt:
    """An attempt of a source."""
    name = f"{source}/{environment}"
    to = to or environment
    return replace(TOLD, id=name, source=source, environment=environment, environment_class=to)


def seen(rule: Rule, *attempts: Attempt, named: tuple[str, ...] = ()) -> list[tuple[str, bool]]:
    """Return the class of each attempt that is left, and whether it counts."""
    return [
        (each.environment_class, each.excluded is None) for each in judged(rule, attempts, named)
    ]


def test_without_a_rule_everything_is_as_it_was_told() -> None:
    attempts = [told(), told(environment="staging"), told("workflow_run")]
    assert judged(Rule(), attempts, ()) == attempts


def test_a_production_pattern_makes_production_whatever_its_case() -> None:
    rule = Rule(production=("LIVE-*",))
    assert seen(rule, told(environment="live-eu", to="other")) == [("production", True)]
    assert seen(rule, told(environment="live", to="other")) == [("other", True)]
    assert seen(rule, told(environment="Live-1", to="transient")) == [("production", True)]


def test_an_environment_that_fits_no_pattern_is_what_it_was_told_to_be() -> None:
    assert seen(Rule(production=("live",)), told()) == [("production", True)]


def test_transient_environments_are_left_out() -> None:
    assert seen(Rule(), told(environment="pr-1", to="transient")) == []


def test_ignoring_outranks_production() -> None:
    rule = Rule(production=("p*",), ignored=("prod*",))
    [out] = judged(rule, [told()], ())
    assert out.excluded == "the rule of this repository ignores the environment production"


def test_runs_of_workflows_that_the_rule_does_not_name_do_not_count() -> None:
    rule = Rule(workflows=("ship*",))
    run = told("workflow_run")
    assert seen(rule, run, named=(run.id,)) == [("production", True)]
    [out] = judged(rule, [run], ())
    assert out.excluded == OTHER_WORKFLOW
    assert seen(rule, told("release")) == [("production", True)]


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("ship it", True),
        ("SHIP*", True),
        ("rollout.yml", True),
        (".github/workflows/roll*", True),
        ("*.yaml", False),
        ("ship", False),
        ("", False),
    ],
)
def test_a_workflow_is_named_by_name_file_or_path(pattern: str, named: bool) -> None:
    rule = Rule(workflows=(pattern,))
    assert names_workflow(rule, "Ship it", ".github/workflows/rollout.yml") is named


def test_a_workflow_of_which_no_file_was_told_is_named_by_its_name() -> None:
    assert names_workflow(Rule(workflows=("ship*",)), "Ship it", None)
    assert not names_workflow(Rule(workflows=("ship*",)), "", None)


@pytest.mark.parametrize(("chosen", "source"), COUNTED_BY.items())
def test_a_chosen_source_counts_in_production_even_where_it_was_never_heard_of(
    chosen: str, source: str
) -> None:
    assert counting(Rule(chosen), [told()]) == {"production": source}
    assert counting(Rule(chosen), [told(), told("api")])["production"] == source


def test_elsewhere_a_chosen_source_counts_where_it_was_heard_of() -> None:
    staged = [told(environment="staging"), told("workflow_run", "staging")]
    assert counting(Rule("workflow"), staged) == {"staging": "workflow_run"}
    assert counting(Rule("release"), staged) == {"staging": "deployment_status"}


def test_what_is_left_out_is_as_if_it_had_never_been_heard_of() -> None:
    attempts = judged(Rule(ignored=("docs",)), [told(environment="docs", to="production")], ())
    assert counting(Rule(), attempts) == {"production": "merge"}
    assert counts_merges(Rule(), attempts)
    assert not counts_merges(Rule("release"), attempts)
    assert not counts_merges(Rule(), [told()])
    assert counts_merges(Rule("merge"), [told()])


def test_what_does_not_count_says_so_in_words_that_name_the_rule() -> None:
    run = told("workflow_run")
    assert superseded_because(Rule("release"), "release", run) == (
        "this repository's rule counts deployments by release, not by workflow run"
    )
    assert superseded_because(Rule(), "deployment_status", run) == (
        "this repository's deployments are counted by deployment status, not by workflow run"
    )
    assert superseded_because(Rule(), "release", replace(run, excluded="it is")) == "it is"


def test_patterns_are_trimmed_and_kept_once() -> None:
    assert checked_patterns([" a* ", "a*", "b"]) == ["a*", "b"]
    assert checked_patterns([]) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([" "], "A pattern is empty."),
        (["x" * 201], "at most 200 characters"),
        (list(map(str, range(51))), "There may be 50 patterns at most."),
        (["a\x00b"], "cannot be seen"),
    ],
)
def test_what_cannot_be_a_pattern_is_refused_in_words(wrong: list[str], says: str) -> None:
    with pytest.raises(Refused, match=says):
        checked_patterns(wrong)
