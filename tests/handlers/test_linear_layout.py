"""Promises about the handlers of Linear's events: registered, recorded, documented."""

import importlib
import pkgutil

import pytest

import handlers.linear
from handlers import SOURCES, Account
from handlers.linear import account
from tests.handlers.linear_recorded import WORKSPACE, decided, story
from tests.handlers.promises import module_is_documented, notes_are_sentences

SOURCE = SOURCES["linear"]
REGISTERED = {name.partition(".")[0] for name in SOURCE.handlers}
ACTIONS = {
    "Issue": {"create", "update", "remove", "restore"},
    "Project": {"create", "update", "remove", "restore"},
    "Cycle": {"create", "update", "remove"},
    "Comment": {"create", "update", "remove"},
    "IssueLabel": {"create", "update", "remove"},
    "Attachment": {"create", "update", "remove"},
}
MODULES = [
    importlib.import_module(f"handlers.linear.{found.name}")
    for found in pkgutil.iter_modules(handlers.linear.__path__)
]


def test_the_promised_events_are_registered() -> None:
    assert set(ACTIONS) == REGISTERED


@pytest.mark.parametrize("event", sorted(ACTIONS))
def test_every_registered_event_is_recorded_with_every_action(event: str) -> None:
    assert {body["action"] for name, body in story() if name == event} == ACTIONS[event]


def test_no_event_is_both_handled_and_ignored() -> None:
    assert not REGISTERED & set(SOURCE.ignored)


def test_every_recorded_delivery_is_decided_or_ignored_on_purpose() -> None:
    for event, body in story():
        found = decided(event, body)
        assert found.says
        assert found.known or event in SOURCE.ignored


def test_every_recorded_delivery_belongs_to_the_workspace() -> None:
    for event, body in story():
        assert account(event, body) == Account(keys=(f"organization:{WORKSPACE}",))


@pytest.mark.parametrize("odd", [{}, {"organizationId": 7}, {"organizationId": ""}])
def test_a_payload_without_a_workspace_belongs_to_nobody(odd: dict[str, object]) -> None:
    assert account("Issue", odd).keys == ()


def test_every_row_belongs_to_the_organization() -> None:
    for event, body in story():
        assert all(fact.organization_id == "github:9001" for fact in decided(event, body).rows)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_module_function_and_model_is_documented(module: object) -> None:
    module_is_documented(module)


def test_notes_and_reasons_are_one_sentence() -> None:
    notes_are_sentences(SOURCE, story(), decided)
