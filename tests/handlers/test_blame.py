"""Which deployment is to blame: the golden cases of METRICS.md R4 and R5, and their corners."""

from datetime import timedelta

import pytest

from handlers.blame import Link, Named, Windows, blamed, lasting
from handlers.remedies import Brought, Remedy
from tests.handlers.blame_words import Deploy, Trouble, at, case_of, judged

NAMES_D1 = Named("D1", "names #1, which this deployment brought")


def linked(deployment: str, when: str = "09-03 09:00", *, linked: bool = True) -> Link:
    return Link(f"github:{deployment}", linked, "ada@example.com", at(when))


def test_g3_the_latest_deployment_before_an_incident_is_blamed() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "10:30")
    result = judged(deployments, [Trouble("I", "11:00", "12:00")])
    assert result.failed == {"D2": ("incident", 90)}
    assert result.why("I") == "opened 30 min after this deployment of api; no later one before it"
    assert result.reasons["D2"].startswith("I: opened 30 min after")


def test_g3b_what_an_incident_names_outranks_what_is_near() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "10:30")
    result = judged(deployments, [Trouble("I", "11:00", "12:00", names=(NAMES_D1,))])
    assert result.failed == {"D1": ("incident", 120)}
    assert result.blamed("I") == [("D1", "named")]
    assert result.why("I") == "names #1, which this deployment brought"


def test_g4_a_rollback_takes_back_the_first_deployment_after_its_target() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        Deploy("D2", "v2", "10:00"),
        Deploy("D3", "v3", "11:00"),
        Deploy("D4", "v1", "11:40", "rollback"),
        Deploy("D5", "v4", "15:00"),
    )
    result = judged(deployments)
    assert result.failed == {"D2": ("rollback", 100)}
    assert result.reasons["D2"] == "rolled back to v1 1 h 40 min later"


def test_g6_an_incident_before_any_deployment_blames_none() -> None:
    baseline = Deploy("D1", "v1", "10:00", "baseline", service="first")
    deployments = baseline, Deploy("D2", "v2", "11:00", service="first")
    result = judged(deployments, [Trouble("I", "08:00", "09:00", services=("first",))])
    assert result.blames["I"] == []
    assert result.failed == {}


def test_a_baseline_is_not_blamed_for_being_near() -> None:
    result = judged([], [Trouble("I", "08-31 13:00")])
    assert result.blames["I"] == []


def test_g9_a_hotfix_says_that_the_deployment_before_it_failed() -> None:
    hotfix = Brought(None, "hotfix: mend the cart", corrective=True)
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "h1", "11:00", "rollforward", (hotfix,))
    result = judged(deployments)
    assert result.failed == {"D1": ("hotfix", 60)}
    assert result.reasons["D1"] == "followed by a hotfix 1 h later"


def test_g11_a_failed_attempt_is_never_blamed() -> None:
    deployments = Deploy("501", "v1", "10:05", None), Deploy("502", "v1", "10:20")
    result = judged(deployments, [Trouble("I", "10:10", "10:25")])
    assert result.blames["I"] == []
    assert result.failed == {}


def test_g12_an_open_incident_has_failed_its_deployment_which_has_not_recovered() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "12:00")
    assert judged(deployments, [Trouble("I", "10:30")]).failed == {"D1": ("incident", None)}
    closed = judged(deployments, [Trouble("I", "10:30", "20:00")])
    assert closed.failed == {"D1": ("incident", 600)}


def test_g13_several_incidents_on_one_deployment_are_one_failure_until_the_last_is_over() -> None:
    incidents = Trouble("I1", "10:10", "11:00"), Trouble("I2", "10:30", "12:30")
    result = judged([Deploy("D1", "v1", "10:00")], incidents)
    assert result.failed == {"D1": ("incident", 150)}
    assert result.reasons["D1"].endswith("no later one before it, and 1 more")
    still = judged([Deploy("D1", "v1", "10:00")], [*incidents, Trouble("I3", "12:00")])
    assert still.failed == {"D1": ("incident", None)}


def test_an_incident_of_the_same_second_is_the_deployments() -> None:
    result = judged([Deploy("D1", "v1", "10:00")], [Trouble("I", "10:00")])
    assert result.blamed("I") == [("D1", "window")]


@pytest.mark.parametrize(
    ("hours", "by_environment", "blamed"),
    [
        (24, {}, ["D1"]),
        (2, {}, ["D1"]),
        (1.99, {}, []),
        (1, {"production": 2}, ["D1"]),
        (1, {"production": 1, "Prod-EU": 2}, ["D1"]),
        (24, {"production": 24, "prod-eu": 1}, []),
        (24, {"staging": 1}, ["D1"]),
    ],
)
def test_the_window_is_that_of_the_environment(
    hours: float, by_environment: dict[str, float], blamed: list[str]
) -> None:
    deployment = Deploy("D1", "v1", "10:00", environment="prod-eu")
    windows = Windows(hours, by_environment)
    result = judged([deployment], [Trouble("I", "12:00", windows=windows)])
    assert [blame.suspect.id for blame in result.blames["I"]] == blamed


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        ("production", "D2"),
        ("prod", "D2"),
        ("prod-us", "D2"),
        ("prod-eu", "D1"),
        ("Prod-EU", "D1"),
        ("prod-asia", None),
    ],
)
def test_an_environment_that_is_named_is_the_only_one_in_question(
    said: str, blamed: str | None
) -> None:
    deployments = (
        Deploy("D1", "v1", "10:00", environment="prod-eu"),
        Deploy("D2", "v2", "10:30", environment="prod-us"),
        Deploy("S", "v3", "10:45", environment="staging", environment_class="staging"),
    )
    result = judged(deployments, [Trouble("I", "11:00", environment=said)])
    assert [blame.suspect.id for blame in result.blames["I"]] == ([blamed] if blamed else [])


def test_of_a_monorepo_only_the_latest_candidate_is_blamed() -> None:
    deployments = Deploy("W", "v1", "10:00", service="web"), Deploy("M", "v1", "10:20", service="m")
    result = judged(deployments, [Trouble("I", "11:00", services=("web", "m"))])
    assert result.blamed("I") == [("M", "window")]


def test_a_pull_request_that_two_services_got_blames_both() -> None:
    deployments = Deploy("W", "v1", "10:00", service="web"), Deploy("M", "v1", "10:20", service="m")
    names = tuple(Named(name, "names #1, which this deployment brought") for name in "WM")
    result = judged(deployments, [Trouble("I", "11:00", "11:30", names=names, services=("web",))])
    assert result.blamed("I") == [("M", "named"), ("W", "named")]
    assert result.failed == {"W": ("incident", 90), "M": ("incident", 70)}


def test_of_several_named_deployments_of_a_service_the_latest_that_can_fail_is_blamed() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        Deploy("D2", "v2", "10:00"),
        Deploy("D3", "v1", "10:30", "rollback"),
    )
    names = tuple(Named(name, f"names {name}") for name in ("D1", "D2", "D3"))
    result = judged(deployments, [Trouble("I", "11:00", names=names)])
    assert result.blamed("I") == [("D2", "named")]


def test_a_baseline_that_is_named_is_blamed_but_did_not_fail() -> None:
    incident = Trouble("I", "11:00", "12:00", names=(Named("D0", "names v0"),))
    result = judged([Deploy("D1", "v1", "10:00")], [incident])
    assert result.blamed("I") == [("D0", "named")]
    assert result.failed == {}


def test_what_was_deployed_after_an_incident_began_is_its_repair_and_not_its_cause() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "12:00")
    names = (Named("D2", "names #2, which this deployment brought"),)
    result = judged(deployments, [Trouble("I", "11:00", "12:30", names=names)])
    assert result.blamed("I") == [("D1", "window")]


@pytest.mark.parametrize(("resolved", "blamed"), [(None, ["D1"]), ("10:30", ["D1"]), ("10:20", [])])
def test_a_named_deployment_that_was_under_way_is_blamed_unless_all_was_over_before_it(
    resolved: str | None, blamed: list[str]
) -> None:
    deployment = Deploy("D1", "v1", "10:25", minutes=20)
    result = judged([deployment], [Trouble("I", "10:10", resolved, names=(NAMES_D1,))])
    assert [blame.suspect.id for blame in result.blames["I"]] == blamed


def test_a_link_by_hand_wins_over_what_is_named() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "10:30")
    incident = Trouble("I", "11:00", "12:00", names=(NAMES_D1,), links=(linked("D2"),))
    result = judged(deployments, [incident])
    assert result.blamed("I") == [("D2", "hand")]
    assert result.why("I") == "linked by hand on 3 Sep 2026"


def test_of_two_links_by_hand_in_a_service_the_later_counts() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "10:30")
    links = linked("D2", "09-03 09:00"), linked("D1", "09-03 10:00")
    assert judged(deployments, [Trouble("I", "11:00", links=links)]).blamed("I") == [("D1", "hand")]


def test_a_link_to_another_service_leaves_nothing_to_be_guessed() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("B", "v1", "09-01 10:30", service="billing")
    result = judged(deployments, [Trouble("I", "11:00", links=(linked("B"),))])
    assert result.blamed("I") == [("B", "hand")]


def test_a_link_of_an_attempt_that_two_services_were_deployed_by_links_both() -> None:
    deployments = (
        Deploy("W", "v1", "10:00", service="web", attempt="github:7"),
        Deploy("M", "v1", "10:00", service="m", attempt="github:7"),
    )
    links = (Link("github:7", True, "ada@example.com", at("12:00")),)
    result = judged(deployments, [Trouble("I", "11:00", links=links)])
    assert result.blamed("I") == [("M", "hand"), ("W", "hand")]


def test_unlinked_means_unlinked_and_not_the_next_best() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "10:30")
    links = (linked("D2", linked=False),)
    assert judged(deployments, [Trouble("I", "11:00", links=links)]).blames["I"] == []
    named = Trouble("I", "11:00", names=(NAMES_D1,), links=links)
    assert judged(deployments, [named]).blames["I"] == []


def test_a_link_by_hand_stands_beside_an_unlinked_deployment_of_its_service() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("D2", "v2", "10:30")
    links = linked("D2", linked=False), linked("D1")
    result = judged(deployments, [Trouble("I", "11:00", "12:00", links=links)])
    assert result.failed == {"D1": ("incident", 120)}


def test_unlinking_one_service_leaves_what_is_named_in_another() -> None:
    deployments = Deploy("D1", "v1", "10:00"), Deploy("W", "v1", "10:30", service="web")
    names = NAMES_D1, Named("W", "names #1, which this deployment brought")
    incident = Trouble("I", "11:00", names=names, links=(linked("D1", linked=False),))
    assert judged(deployments, [incident]).blamed("I") == [("W", "named")]


def test_what_was_linked_after_all_was_over_had_nothing_to_recover_from() -> None:
    deployments = [Deploy("D1", "v1", "13:00")]
    incident = Trouble("I", "11:00", "12:00", links=(linked("D1"),))
    assert judged(deployments, [incident]).failed == {"D1": ("incident", 0)}


def test_what_ended_the_incident_tells_which_deployment_caused_it() -> None:
    deployments = (
        Deploy("D1", "v1", "10:00"),
        Deploy("D2", "v2", "10:30"),
        Deploy("D3", "v0", "11:20", "rollback"),
    )
    result = judged(deployments, [Trouble("I", "11:00", "11:30")])
    assert result.failed == {"D1": ("incident", 90)}
    assert result.blamed("I") == [("D1", "remedy")]
    assert result.why("I") == "rolled back to v0 1 h 20 min later, while the incident ran"


def test_a_remedy_after_the_incident_was_over_does_not_tell() -> None:
    deployments = (
        Deploy("D1", "v1", "10:00"),
        Deploy("D2", "v2", "10:30"),
        Deploy("D3", "v0", "11:40", "rollback"),
    )
    result = judged(deployments, [Trouble("I", "11:00", "11:30")])
    assert result.blamed("I") == [("D2", "window")]
    assert result.failed == {"D1": ("rollback", 100), "D2": ("incident", 60)}


def test_a_remedy_before_the_incident_does_not_tell() -> None:
    deployments = (
        Deploy("D1", "v1", "10:00"),
        Deploy("D2", "v2", "10:30"),
        Deploy("D3", "v0", "10:50", "rollback"),
    )
    result = judged(deployments, [Trouble("I", "11:00", "11:30")])
    assert result.blamed("I") == [("D2", "window")]


def test_the_last_of_several_remedies_ended_the_incident() -> None:
    deployments = (
        Deploy("D1", "v1", "10:00"),
        Deploy("D2", "v2", "10:30"),
        Deploy("D3", "v1", "11:10", "rollback"),
        Deploy("D4", "v0", "11:20", "rollback"),
    )
    result = judged(deployments, [Trouble("I", "11:00", "11:30")])
    assert result.blamed("I") == [("D1", "remedy")]
    assert result.failed == {"D1": ("incident", 90), "D2": ("rollback", 40)}


def test_of_two_remedies_of_one_second_the_surer_is_told_whichever_comes_first() -> None:
    told = Deploy("D1", "v1", "10:30")
    rolled_back, mended = (
        Remedy("D1", at("10:30"), later, at("11:10"), "v0", evidence)
        for later, evidence in (("D3", "rollback"), ("D2", "hotfix"))
    )
    for taken in (rolled_back, mended), (mended, rolled_back):
        (blame,) = blamed(case_of(Trouble("I", "11:00", "11:30"), [told], taken))
        assert blame.reason == "rolled back to v0 40 min later, while the incident ran"


def test_a_remedy_of_what_was_deployed_too_long_before_does_not_tell() -> None:
    deployments = (
        Deploy("D1", "v1", "08-31 13:00"),
        Deploy("D2", "v2", "10:30"),
        Deploy("D3", "v0", "15:00", "rollback"),
    )
    result = judged(deployments, [Trouble("I", "14:00", "15:30")])
    assert result.blamed("I") == [("D2", "window")]


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=40), "40 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=47, minutes=5), "47 h 5 min"),
        (timedelta(days=3), "3 days"),
        (timedelta(days=3, hours=2, minutes=50), "3 days 2 h"),
    ],
)
def test_durations_are_said_in_two_units_at_most(duration: timedelta, words: str) -> None:
    assert lasting(duration) == words
