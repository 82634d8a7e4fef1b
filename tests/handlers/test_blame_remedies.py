"""Rollbacks, reverts and hotfixes: which deployment each of them took back."""

import pytest

from handlers.remedies import Brought, remedies
from tests.handlers.blame_words import Deploy, judged

HOTFIX = Brought(None, "hotfix: mend", corrective=True)


def revert(title: str, branch: str = "", number: int | None = None) -> Brought:
    return Brought(number, title, branch, corrective=True)


def rolled_forward(name: str, when: str, *changes: Brought) -> Deploy:
    return Deploy(name, name.lower(), when, "rollforward", changes)


def test_a_rollback_to_the_baseline_takes_back_the_first_deployment_of_all() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        Deploy("D2", "v2", "10:00"),
        Deploy("D3", "v0", "11:00", "rollback"),
    )
    assert judged(deployments).failed == {"D1": ("rollback", 120)}


def test_a_rollback_after_a_redeploy_takes_back_what_followed_the_redeploy() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        Deploy("D2", "v1", "09:30", "redeploy"),
        Deploy("D3", "v2", "10:00"),
        Deploy("D4", "v2", "10:10", "redeploy"),
        Deploy("D5", "v1", "10:30", "rollback"),
    )
    assert judged(deployments).failed == {"D3": ("rollback", 30)}


def test_the_target_of_a_rollback_is_when_its_commit_last_ran() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        Deploy("D2", "v2", "10:00"),
        Deploy("D3", "v1", "10:30", "rollback"),
        Deploy("D4", "v3", "11:00"),
        Deploy("D5", "v1", "11:30", "rollback"),
    )
    assert judged(deployments).failed == {"D2": ("rollback", 30), "D4": ("rollback", 30)}


def test_what_was_rolled_back_and_comes_again_takes_back_nothing() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        Deploy("D2", "v2", "10:00"),
        Deploy("D3", "v1", "10:30", "rollback"),
        Deploy("D4", "v2", "11:00", "rollback"),
    )
    assert judged(deployments).failed == {"D2": ("rollback", 30)}


def test_rollbacks_step_by_step_take_back_one_deployment_each() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        Deploy("D2", "v2", "10:00"),
        Deploy("D3", "v3", "11:00"),
        Deploy("D4", "v2", "11:10", "rollback"),
        Deploy("D5", "v1", "11:20", "rollback"),
    )
    assert judged(deployments).failed == {"D3": ("rollback", 10), "D2": ("rollback", 80)}


def test_of_a_chain_of_hotfixes_each_mends_the_one_before_it() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        rolled_forward("H1", "09:30", HOTFIX),
        rolled_forward("H2", "10:00", HOTFIX),
    )
    assert judged(deployments).failed == {"D1": ("hotfix", 30), "H1": ("hotfix", 30)}


def test_a_hotfix_of_a_baseline_failed_nothing() -> None:
    assert judged([rolled_forward("H1", "09:30", HOTFIX)]).failed == {}


@pytest.mark.parametrize(
    "change",
    [
        revert('Revert "Add a cart"', "revert-1-add-a-cart", 3),
        revert('Revert "Add a cart"'),
        revert('Revert "Add a cart (#1)"'),
        revert('Revert "Add a cart (#1)" (#3)', number=3),
        revert("Something else", "revert-1-cart", 3),
        revert("revert: Add a cart"),
    ],
)
def test_a_revert_takes_back_the_deployment_that_brought_what_it_names(change: Brought) -> None:
    deployments = (
        Deploy("D1", "v1", "09:00", changes=(Brought(1, "Add a cart"),)),
        Deploy("D2", "v2", "10:00", changes=(Brought(2, "Add a till"),)),
        rolled_forward("D3", "11:00", change),
    )
    result = judged(deployments)
    assert result.failed == {"D1": ("revert", 120)}
    assert result.reasons["D1"] == "reverted by a deployment 2 h later"


@pytest.mark.parametrize(
    "change",
    [
        revert('Revert "Something unknown"'),
        revert("Something", "revert-99-something"),
        revert("Undo the cart", "revert/cart"),
    ],
)
def test_a_revert_of_something_unknown_is_a_hotfix(change: Brought) -> None:
    deployments = (
        Deploy("D1", "v1", "09:00", changes=(Brought(1, "Add a cart"),)),
        Deploy("D2", "v2", "10:00"),
        rolled_forward("D3", "11:00", change),
    )
    assert judged(deployments).failed == {"D2": ("hotfix", 60)}


def test_what_was_reverted_before_it_was_deployed_failed_nothing() -> None:
    changes = Brought(2, "Add a till"), revert('Revert "Add a till"', number=3)
    deployments = Deploy("D1", "v1", "09:00"), rolled_forward("D2", "10:00", *changes)
    assert judged(deployments).failed == {}


def test_a_revert_of_what_the_baseline_holds_failed_nothing() -> None:
    deployments = (
        Deploy("B", "b", "08:00", "baseline", (Brought(1, "Begin"),), service="other"),
        Deploy("D1", "v1", "09:00", service="other"),
        Deploy("D2", "v2", "10:00", "rollforward", (revert('Revert "Begin"'),), service="other"),
    )
    assert judged(deployments).failed == {}
    assert remedies([each.shipped for each in deployments]) == []


@pytest.mark.parametrize(
    "change",
    [
        revert('Revert "Revert "Add a cart""', number=4),
        revert("Add it again", "revert-3-revert-1-add-a-cart", 4),
    ],
)
def test_to_bring_back_what_was_reverted_takes_back_nothing(change: Brought) -> None:
    deployments = (
        Deploy("D1", "v1", "09:00", changes=(Brought(1, "Add a cart"),)),
        rolled_forward("D2", "10:00", revert('Revert "Add a cart"', "revert-1-add-a-cart", 3)),
        rolled_forward("D3", "15:00", change),
    )
    assert judged(deployments).failed == {"D1": ("revert", 60)}


def test_to_revert_what_was_brought_back_takes_that_back() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00", changes=(Brought(1, "Add a cart"),)),
        rolled_forward("D2", "10:00", revert('Revert "Add a cart"')),
        rolled_forward("D3", "15:00", revert('Revert "Revert "Add a cart""')),
        rolled_forward("D4", "15:30", revert('Revert "Revert "Revert "Add a cart"""')),
    )
    assert judged(deployments).failed == {"D1": ("revert", 60), "D3": ("revert", 30)}


def test_what_was_rolled_back_and_then_reverted_recovered_with_the_rollback() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00", changes=(Brought(1, "Add a cart"),)),
        Deploy("D2", "v0", "09:20", "rollback"),
        rolled_forward("D3", "15:00", revert('Revert "Add a cart"')),
    )
    assert judged(deployments).failed == {"D1": ("rollback", 20)}


def test_a_rollback_is_better_evidence_than_a_hotfix_that_did_not_help() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00"),
        rolled_forward("H1", "09:20", HOTFIX),
        Deploy("D2", "v0", "09:50", "rollback"),
    )
    assert judged(deployments).failed == {"D1": ("rollback", 50)}


def test_two_reverts_deployed_together_take_back_two_deployments() -> None:
    deployments = (
        Deploy("D1", "v1", "09:00", changes=(Brought(1, "Add a cart"),)),
        Deploy("D2", "v2", "10:00", changes=(Brought(2, "Add a till"),)),
        rolled_forward("D3", "11:00", revert('Revert "Add a cart"'), revert('Revert "Add a till"')),
    )
    assert judged(deployments).failed == {"D1": ("revert", 120), "D2": ("revert", 60)}
