"""Promises about the handlers of GitHub's events: registered, recorded, documented, permitted."""

import importlib
import pkgutil

import pytest
import yaml

import handlers.github
from bot.web.receiving import NAME
from handlers import SOURCES, Account
from handlers.github import account, history, installations, issues, pull_requests, releases, teams
from tests.handlers.promises import (
    handlers_say_what_they_mean,
    module_is_documented,
    notes_are_sentences,
)
from tests.handlers.recorded import ROOT, decided, story

SOURCE = SOURCES["github"]
REGISTERED = {name.partition(".")[0] for name in SOURCE.handlers} - {history.PULL_REQUEST}
UNLISTED = {"installation", "installation_repositories", "ping"}
PERMISSIONS = {
    "check_run": "checks",
    "check_suite": "checks",
    "create": "contents",
    "delete": "contents",
    "deployment": "deployments",
    "deployment_status": "deployments",
    "issue_comment": "issues",
    "issues": "issues",
    "member": "members",
    "membership": "members",
    "organization": "members",
    "pull_request": "pull_requests",
    "pull_request_review": "pull_requests",
    "pull_request_review_comment": "pull_requests",
    "push": "contents",
    "release": "contents",
    "repository": "metadata",
    "team": "members",
    "workflow_job": "actions",
    "workflow_run": "actions",
}
WRITTEN = ("checks", "contents", "issues", "pull_requests")
ACTIONS = {
    "pull_request": pull_requests.TELLING | {"closed"},
    "issues": issues.LEAVING | {"opened", "closed"},
    "issue_comment": {"created", "deleted"},
    "pull_request_review": {"submitted", "edited", "dismissed"},
    "pull_request_review_comment": {"created", "deleted"},
    "release": set(releases.RANKS),
    "installation": set(installations.CONNECTION_RANKS) | {"created", "new_permissions_accepted"},
    "installation_repositories": {"added", "removed"},
    "repository": {"renamed", "transferred", "edited", "deleted"},
    "organization": {"renamed", "member_added", "member_removed"},
    "team": set(teams.REPOSITORY_ACTIONS) | {"created", "edited", "deleted"},
    "membership": set(teams.MEMBER_ACTIONS),
    "workflow_run": {"requested", "in_progress", "completed"},
    "workflow_job": {"waiting", "queued", "in_progress", "completed"},
}
MODULES = [
    importlib.import_module(f"handlers.github.{found.name}")
    for found in pkgutil.iter_modules(handlers.github.__path__)
]


def manifest():
    return yaml.safe_load((ROOT / "app.yml").read_text())


def test_manifest_lists_the_registered_events():
    assert manifest()["default_events"] == sorted(REGISTERED - UNLISTED)


def test_manifest_asks_for_reading_what_its_events_need_and_writing_what_the_agent_does():
    read = dict.fromkeys(sorted(PERMISSIONS.values()), "read")
    assert manifest()["default_permissions"] == read | dict.fromkeys(WRITTEN, "write")
    assert set(PERMISSIONS) == REGISTERED - UNLISTED


def test_manifest_says_why_beside_each_permission_and_event():
    lines = (ROOT / "app.yml").read_text().split("default_permissions:")[1].splitlines()
    asked = [line for line in lines if line.startswith("  ")]
    assert asked
    assert all(" # " in line for line in asked)


def test_what_only_the_api_tells_is_no_event_that_can_be_delivered():
    ours = {name for name in SOURCE.handlers if not NAME.fullmatch(name.encode())}
    assert ours == {history.PULL_REQUEST}
    assert "." not in history.PULL_REQUEST


def test_no_event_is_both_handled_and_ignored():
    assert not REGISTERED & set(SOURCE.ignored)


def test_every_registered_event_is_recorded():
    assert {event for event, _ in story()} >= REGISTERED


@pytest.mark.parametrize("event", sorted(ACTIONS))
def test_every_action_with_a_meaning_is_recorded(event):
    recorded = {body.get("action") for name, body in story() if name == event}
    assert recorded >= ACTIONS[event]


def test_every_recorded_delivery_is_decided_or_ignored_on_purpose():
    for event, body in story():
        found = decided(event, body)
        assert found.says
        assert found.known or event in SOURCE.ignored


def test_every_recorded_delivery_but_ping_belongs_to_the_installation():
    for event, body in story():
        found = account(event, body)
        if event == "ping":
            assert found == Account(keys=())
            continue
        assert found.keys[0] == "installation:4242"
        assert found.account_id == 9001


def test_every_registered_handler_says_what_it_means():
    handlers_say_what_they_mean(SOURCE)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_module_function_and_model_is_documented(module):
    module_is_documented(module)


def test_notes_and_reasons_are_one_sentence():
    notes_are_sentences(SOURCE, story(), decided)
