"""`sync` on the command line, against a Linear over loopback HTTP."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from bot.settings import Settings
from bot.vault import Vault
from tests.command_line import Bot
from tests.fakes.linear import API_KEY, FakeLinear, fake_linear

pytestmark = pytest.mark.store

KEY = "a key of thirty-two characters!!"


@pytest.fixture
def fake() -> Iterator[FakeLinear]:
    with fake_linear() as linear:
        team = linear.team("ENG")
        for number in range(3):
            linear.issue(team, f"Issue {number}")
        yield linear


@pytest.fixture
def connected(
    stored: Bot, fake: FakeLinear, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Bot:
    """An organisation whose Linear is connected by a key."""
    monkeypatch.setenv("LINEAR_API_URL", fake.address)
    sealed = Vault(Settings(secret_key=KEY).secret_keys).seal(json.dumps({"api_key": API_KEY}))
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(
            "insert into organizations (id, organization_id, changed_at, rank, digest, login)"
            " values ('github:9', 'github:9', now(), 0, 0, 'acme')"
        )
        db.execute(
            "insert into connections (id, organization_id, changed_at, rank, digest, source,"
            " external_id, account_login, state, permissions)"
            " values ('linear:1', 'github:9', now(), 0, 0, 'linear', '1', 'Acme', 'active', '{}')"
        )
        db.execute(
            "insert into connection_secrets (connection_id, ciphertext) values ('linear:1', %s)",
            (sealed,),
        )
    return stored


def test_it_reads_here_where_no_worker_is(connected: Bot, fake: FakeLinear) -> None:
    said = connected("sync")
    assert said.code == 0, said
    assert "No worker is running" in said.err
    assert said.out.startswith("linear full: done · 5 things · 6 requests · ")
    again = connected("sync", "--source", "linear", "--json")
    assert again.code == 0
    (log,) = json.loads(again.out)
    assert (log["source"], log["part"], log["state"], log["organization"]) == (
        "linear", "changes", "done", "acme",
    )  # fmt: skip
    full = connected("sync", "--full", "--organization", "ACME")
    assert full.out.startswith("linear full: done · ")


def test_what_is_refused_ends_with_3_and_says_why(connected: Bot, fake: FakeLinear) -> None:
    fake.partial = True
    said = connected("sync")
    assert said.code == 3
    assert "linear full: failed" in said.out
    assert "Linear refused Users" in said.err


def test_what_cannot_be_read_is_said(stored: Bot) -> None:
    assert stored("sync").code == 1
    assert "No source is connected" in stored("sync").err
    said = stored("sync", "--source", "slack")
    assert (said.code, said.err.strip()) == (1, "Slack is not connected.")
    assert stored("sync", "--source", "jira").code == 2
    assert "No repository is called 'acme/none'." in stored("sync", "acme/none").err
    assert "No organisation is called" in stored("sync", "--organization", "none").err
