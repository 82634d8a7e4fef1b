"""Promises about the handlers of Slack's events: registered, recorded, documented, asked for."""

import json
from urllib.parse import parse_qsl

import pytest
import yaml

import handlers.slack
import handlers.slack_payloads
from bot.clients import slack_scopes
from handlers import SOURCES, Account
from handlers.slack import account
from tests.fakes.slack import ALL
from tests.handlers.promises import (
    handlers_say_what_they_mean,
    module_is_documented,
    notes_are_sentences,
)
from tests.handlers.recorded import ROOT
from tests.handlers.recorded_slack import TEAM, decided, lines, story

SOURCE = SOURCES["slack"]
REGISTERED = set(SOURCE.handlers)
ASKED = {"command", "interaction"}
BY_CHANNEL = {"message": ("message.channels", "message.groups")}


def manifest() -> dict:
    return yaml.safe_load((ROOT / "docs" / "slack-manifest.yml").read_text())


def test_the_manifest_subscribes_to_the_registered_events():
    told = {name for kind in REGISTERED - ASKED for name in BY_CHANNEL.get(kind, (kind,))}
    assert manifest()["settings"]["event_subscriptions"]["bot_events"] == sorted(told)


def test_the_manifest_asks_for_the_scopes_that_are_asked_for_at_consent():
    assert manifest()["oauth_config"]["scopes"]["bot"] == sorted(slack_scopes.SCOPES)
    assert set(ALL) <= set(slack_scopes.SCOPES)


def test_the_manifest_leads_to_our_addresses():
    read = manifest()
    (command,) = read["features"]["slash_commands"]
    assert command["command"] == "/veelocity"
    addresses = [
        read["settings"]["event_subscriptions"]["request_url"],
        command["url"],
        read["settings"]["interactivity"]["request_url"],
        *read["oauth_config"]["redirect_urls"],
    ]
    base = "https://veelocity.example"
    assert addresses == [
        *(f"{base}/webhooks/slack/{name}" for name in ("events", "commands", "interactions")),
        f"{base}/connect/slack/callback",
    ]


def test_the_manual_justifies_every_scope():
    told = (ROOT / "docs" / "slack.md").read_text()
    for scope in slack_scopes.SCOPES:
        (line,) = [line for line in told.splitlines() if line.startswith(f"| `{scope}` |")]
        assert len(line.split("|")[2].strip()) > 20


def test_no_event_is_both_handled_and_ignored():
    assert not REGISTERED & set(SOURCE.ignored)


def test_every_registered_event_is_recorded():
    assert {kind for kind, _ in story()} >= REGISTERED - ASKED
    assert {line["path"].rpartition("/")[2] for line in lines()} == {
        "events",
        "commands",
        "interactions",
    }


def test_every_recorded_event_is_decided_or_ignored_on_purpose():
    for kind, body in story():
        found = decided(kind, body)
        assert found.says
        assert found.known or kind in SOURCE.ignored


def test_every_recorded_delivery_belongs_to_the_workspace():
    home = Account(keys=(f"team:{TEAM}",))
    for kind, body in story():
        assert account(kind, body) == home
    command, pressed = [
        dict(parse_qsl(line["body"])) for line in lines() if isinstance(line["body"], str)
    ]
    assert account("command", command) == home
    assert account("interaction", json.loads(pressed["payload"])) == home


@pytest.mark.parametrize("payload", [{}, {"team_id": 1}, {"team": "T1"}, {"team": {"id": None}}])
def test_a_payload_that_names_no_workspace_belongs_to_nobody(payload):
    assert account("message", payload) == Account(keys=())


def test_every_registered_handler_says_what_it_means():
    handlers_say_what_they_mean(SOURCE)


@pytest.mark.parametrize("module", [handlers.slack, handlers.slack_payloads])
def test_every_function_and_model_is_documented(module):
    module_is_documented(module)


def test_notes_and_reasons_are_one_sentence():
    notes_are_sentences(SOURCE, story(), decided)
