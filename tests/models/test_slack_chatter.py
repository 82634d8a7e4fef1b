"""What belongs to no incident is forgotten: rows, and the bodies that told them."""

import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic_core import to_json
from sqlalchemy import text

import models
from bot import deliveries
from bot.settings import Settings
from bot.worker import Workshop
from models.slack_chatter import EMPTIED, forget_chatter
from models.store import remember
from tests.incident_story import Event, follow, home, named, worked
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

NOW = datetime.now(UTC)
LONG_AGO, LATELY = NOW - timedelta(hours=30), NOW - timedelta(hours=2)
NUMBERS = iter(range(1, 10_000))


@pytest.fixture
async def rig(settings: Settings, clean: None, clean_redis: str) -> AsyncIterator[Rig]:
    """The app with an organisation that has a workspace."""
    async with rig_of(settings) as opened:
        await home(opened)
        async with opened.app.rest.state.engine.begin() as db:
            await remember(db, [models.Connection(
                id="slack:team:T1", organization_id="github:1", source="slack", external_id="T1",
                account_login="acme", state="active", changed_at=LONG_AGO,
            )])  # fmt: skip
        yield opened


def stamp(at: datetime) -> str:
    return f"{int(at.timestamp())}.{next(NUMBERS):06d}"


def message(words: str, at: datetime, channel: str, root: str | None = None) -> tuple[str, Event]:
    """Return a message's ts, and the event of it."""
    ts = stamp(at)
    said: dict[str, Any] = {"user": "U1", "text": words, "ts": ts, "event_ts": ts}
    if root:
        said["thread_ts"] = root
    return ts, of({"type": "message", "channel": channel, "channel_type": "channel", **said})


def reaction(emoji: str, on: str, at: datetime, channel: str) -> Event:
    item = {"type": "message", "channel": channel, "ts": on}
    said = {"user": "U2", "reaction": emoji, "item": item, "event_ts": stamp(at)}
    return of({"type": "reaction_added", **said})


def of(event: dict[str, Any]) -> Event:
    envelope = {"team_id": "T1", "api_app_id": "A1", "type": "event_callback", "event": event}
    return "slack", str(event["type"]), envelope


async def settled(rig: Rig, *events: Event) -> None:
    """Put events into the inbox as Slack's requests are, settle them and do their jobs."""
    engine = rig.app.rest.state.engine
    async with engine.begin() as db:
        for source, event, payload in events:
            await db.execute(
                text(
                    "insert into deliveries (source, delivery_id, event, headers, body, sha256) "
                    "values (:source, gen_random_uuid(), :event, '{}', :body, '')"
                ),
                {"source": source, "event": event, "body": zlib.compress(to_json(payload))},
            )
    while await deliveries.settle(engine):
        pass
    await worked(rig)
    wrong = "select error from deliveries where status not in ('settled', 'ignored')"
    assert await rig.ask(wrong) == []


async def forgotten(rig: Rig) -> int:
    async with rig.app.rest.state.engine.begin() as db:
        return await forget_chatter(db)


async def kept(rig: Rig) -> list[str]:
    """Return the words that are still to be read anywhere in the store."""
    rows = await rig.ask("select words from slack_messages order by words")
    bodies = await rig.ask("select body from deliveries where event = 'message' order by id")
    inside = [zlib.decompress(row["body"]) for row in bodies]
    for row in rows:
        assert any(row["words"].encode() in body for body in inside)
    words = [row["words"] for row in rows]
    spoken = [body for body in inside if body != b"{}"]
    assert len(spoken) == len(words), "a body is kept that told of nothing that is kept"
    return words


async def test_chatter_of_a_day_ago_is_forgotten_and_incidents_are_kept(rig: Rig) -> None:
    root, outage = message("outage", LONG_AGO, "C1")
    _, reply = message("resolved", LONG_AGO + timedelta(minutes=5), "C1", root)
    _, old = message("good morning", LONG_AGO, "C1")
    _, young = message("lunch?", LATELY, "C1")
    _, unknown = message("who am I", LATELY, "C9")
    _, lost = message("long ago elsewhere", LONG_AGO, "C9")
    await settled(rig, named("incidents"), outage, reply, old, young, unknown, lost)
    assert await forgotten(rig) == 2
    assert await kept(rig) == ["lunch?", "outage", "resolved", "who am I"]
    assert await forgotten(rig) == 0


async def test_other_channels_are_forgotten_at_once(rig: Rig) -> None:
    _, talk = message("a secret", LATELY, "C2")
    root, outage = message("outage in general", LATELY, "C2")
    mark = reaction("rotating_light", root, LATELY, "C2")
    _, here = message("lunch?", LATELY, "C1")
    there = named("general", channel="C2")
    await settled(rig, named("incidents"), there, talk, outage, mark, here)
    assert await forgotten(rig) == 3
    assert await kept(rig) == ["lunch?"]
    assert await rig.ask("select * from slack_reactions") == []


async def test_an_emptied_delivery_says_why(rig: Rig) -> None:
    _, talk = message("a secret", LATELY, "C2")
    await settled(rig, named("general", channel="C2"), talk)
    await forgotten(rig)
    (row,) = await rig.ask("select body, decisions, status from deliveries where event = 'message'")
    assert row["body"] == EMPTIED
    assert zlib.decompress(row["body"]) == b"{}"
    assert row["decisions"][-1] == {"note": "Its words are forgotten: they belong to no incident."}
    assert "secret" not in str(await rig.ask("select decisions, error, headers from deliveries"))
    assert "secret" not in str(await rig.ask("select * from jobs"))


async def test_what_was_an_incident_and_is_none_any_more_is_forgotten_too(rig: Rig) -> None:
    root, slow = message("it is slow", LONG_AGO, "C1")
    await settled(rig, named("incidents"), slow, reaction("rotating_light", root, LONG_AGO, "C1"))
    assert await forgotten(rig) == 0
    gone = {"type": "reaction_removed", "user": "U2", "reaction": "rotating_light"}
    item = {"type": "message", "channel": "C1", "ts": root}
    await settled(rig, of({**gone, "item": item, "event_ts": stamp(LONG_AGO)}))
    assert await rig.ask("select * from incidents") == []
    assert await forgotten(rig) == 2
    assert await kept(rig) == []


async def test_a_dismissed_incident_keeps_its_thread(rig: Rig) -> None:
    root, outage = message("outage", LONG_AGO, "C1")
    await settled(rig, named("incidents"), outage)
    async with rig.app.rest.state.engine.begin() as db:
        await models.incident_changes.correct(
            db, f"slack:T1:C1:{root}", "dismissed", True, "user:1"
        )
    await worked(rig)
    assert await forgotten(rig) == 0


async def test_a_thread_that_is_about_to_be_judged_is_left_alone(rig: Rig) -> None:
    root, old = message("good morning", LONG_AGO, "C1")
    await settled(rig, named("incidents"), old)
    await follow(rig, f"slack:T1:C1:{root}")
    assert await forgotten(rig) == 0
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text("update jobs set status = 'done'"))
    assert await forgotten(rig) == 1


async def test_nothing_is_forgotten_while_slacks_deliveries_wait(rig: Rig) -> None:
    _, old = message("good morning", LONG_AGO, "C1")
    await settled(rig, named("incidents"), old)
    late = (
        "insert into deliveries (source, delivery_id, event, headers, body, sha256, received_at) "
        "values ('slack', 'late', 'message', '{}', '', '', now() - interval '5 minutes')"
    )
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text(late))
    assert await forgotten(rig) == 0
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text("update deliveries set status = 'parked' where delivery_id = 'late'"))
    assert await forgotten(rig) == 1


async def test_the_worker_forgets_as_it_tidies_up(rig: Rig) -> None:
    _, old = message("good morning", LONG_AGO, "C1")
    await settled(rig, named("incidents"), old)
    await Workshop(rig.surroundings).tidy()
    assert await kept(rig) == []
