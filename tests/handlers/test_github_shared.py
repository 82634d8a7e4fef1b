"""All of Octokit's recorded payloads, where they are at hand, are decided or ignored on purpose."""

import json

import pytest

from handlers import SOURCES
from handlers.github import account
from tests.handlers.recorded import SHARED, decided

FILES = sorted(SHARED.glob("*.json"))


@pytest.mark.skipif(not FILES, reason=f"no recorded payloads at {SHARED}")
def test_all_of_them_are_there():
    assert len(FILES) == 261


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_recorded_payload_is_decided_or_ignored_on_purpose(path):
    event, body = path.name.partition(".")[0], json.loads(path.read_text())
    found = decided(event, body)
    assert found.says
    assert found.known or event in SOURCES["github"].ignored


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_recorded_payload_names_its_account(path):
    event, body = path.name.partition(".")[0], json.loads(path.read_text())
    found = account(event, body)
    owned = {"installation", "organization", "repository"} & body.keys()
    assert bool(found.keys) == bool(owned)
    assert found.founding <= (event in {"installation", "installation_repositories"})
