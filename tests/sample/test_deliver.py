"""The one delivery that the documented command sends, and what it prints."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.sample import deliver
from bot.sample.staging import Note, Stage
from bot.sample.story import Story
from bot.sample.welcome import SAMPLE, SAMPLE_ZONE, measure_at_home, until
from models.errors import Refused
from models.organizations import Organization
from models.store import remember


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["deliver", *arguments])
    with pytest.raises(SystemExit) as end:
        deliver.main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def stage(tmp_path: Path, told: Story, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The folder of a demo whose story is the one all these tests share."""
    monkeypatch.setattr(deliver, "story", lambda *_: told)
    made = Stage(tmp_path)
    made.keep(Note(seed=7, until=datetime.now(UTC), port=0))
    return made


def test_it_is_a_success_in_production_of_a_new_commit(told: Story, stage: Stage) -> None:
    sent, what = deliver.deployment_status(stage)
    assert sent.payload["deployment_status"]["state"] == "success"
    assert sent.payload["deployment"]["environment"] == "production"
    known = {
        each.payload["deployment"]["sha"] for each in told.deliveries if each.event == "deployment"
    }
    assert sent.payload["deployment"]["sha"] not in known
    assert "to production" in what


def test_an_incident_is_resolved_by_a_reaction_to_its_message(stage: Stage) -> None:
    with pytest.raises(Refused, match="no incident to resolve"):
        deliver.resolve(stage)
    opened, words = deliver.incident(stage)
    ended, _ = deliver.resolve(stage)
    assert (opened.source, opened.event, ended.event) == ("slack", "message", "reaction_added")
    assert opened.payload["event"]["text"] in words
    assert ended.payload["event"]["item"]["ts"] == opened.payload["event"]["ts"]
    assert opened.payload["event_id"] != ended.payload["event_id"]


def test_the_answer_is_said_in_words() -> None:
    receipt = {"delivery_id": "d", "status": "received", "decisions": "http://app/deliveries/1"}
    code, words = deliver.said("a thing", "http://app", httpx.Response(202, json=receipt))
    assert code == 0
    assert words.startswith("Delivered, signed: a thing.")
    assert words.endswith("What it decided: http://app/deliveries/1")
    refused = deliver.said("a thing", "http://app", httpx.Response(401, json={"title": "no"}))
    assert refused == (3, 'http://app answered 401: {"title":"no"}')
    assert deliver.said("a thing", "http://app", httpx.Response(200, html="<p>"))[0] == 3


@pytest.mark.parametrize("wrong", [[], ["push"], ["deployment_status", "http://a", "more"]])
def test_wrong_usage_is_2(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, *wrong) == 2
    assert capsys.readouterr().err == f"{deliver.USAGE}\n"


def test_without_a_demo_it_says_so_and_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("VEELOCITY_HOME", str(tmp_path / "home"))
    assert ended(monkeypatch, "deployment_status") == 1
    assert "There is no demo in" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_it_goes_to_the_address_the_demo_has_and_says_when_nobody_is_there(
    told: Story,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("VEELOCITY_HOME", str(tmp_path))
    monkeypatch.setattr(deliver, "story", lambda *_: told)
    Stage(tmp_path).keep(Note(seed=7, until=datetime.now(UTC), port=0))
    (tmp_path / "webhook_secret").write_text("secret")
    (tmp_path / "address").write_text("http://127.0.0.1:1")
    assert ended(monkeypatch, "deployment_status") == 3
    assert "Nobody answers at http://127.0.0.1:1: is `make demo` running?" in (
        capsys.readouterr().err
    )


@pytest.mark.store
async def test_the_sample_has_its_time_zone_until_somebody_sets_another(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as db:
        await remember(db, [Organization(id="github:9", login=SAMPLE, account_id=9)])
        await measure_at_home(db, SAMPLE)
        asked = text("select time_zone, level_edition from organization_settings")
        assert (await db.execute(asked)).one() == (SAMPLE_ZONE, 2024)
        await db.execute(text("update organization_settings set time_zone = 'UTC'"))
        await measure_at_home(db, SAMPLE)
        assert (await db.execute(asked)).one() == ("UTC", 2024)


async def test_patience_ends_with_words() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(TimeoutError, match="it did not start within 0 seconds"):
        await until(never, "it did not start", seconds=0)
