"""Reading what was said in Slack: incidents that no event told of, and nothing else."""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.clients.slack_pace import pause
from bot.connectors import slack as connector
from bot.jobs import PutOff
from bot.jobs.slack import sync_slack
from bot.settings import Settings
from models.queue import ClaimedJob
from tests.fakes.slack import FakeSlack, fake_slack
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

NOW = datetime.now(UTC).replace(microsecond=0)


def ts(hours: float) -> str:
    """Return the timestamp of so many hours ago."""
    return f"{(NOW - timedelta(hours=hours)).timestamp():.6f}"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack() as state:
        state.user("U1", "Ada", "ada@acme.example")
        state.channel("C1", "incidents", is_member=True)
        state.channel("C2", "incident-42")
        state.channel("C3", "random", is_member=True)
        yield state


@pytest.fixture
async def rig(
    settings: Settings, slack: FakeSlack, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    changed = settings.model_copy(update={"slack_api_url": slack.url})
    async with rig_of(changed) as opened:
        await opened.connect_slack(token=slack.token)
        yield opened


async def sync(rig: Rig, **arguments: Any) -> None:
    """Have the workspace read, and follow what comes of it."""
    (home,) = await rig.ask("select organization_id from connections")
    told = ClaimedJob(
        1, home["organization_id"], "sync_slack", "k", {"team": "T1", **arguments}, None, 1
    )
    await sync_slack(rig.surroundings, told)
    await rig.settle()


async def incidents(rig: Rig) -> list[tuple[Any, ...]]:
    rows = await rig.ask("select title, state, severity from incidents order by started_at")
    return [tuple(row.values()) for row in rows]


async def test_an_incident_that_nobody_told_of_is_found_with_its_thread(
    rig: Rig, slack: FakeSlack
) -> None:
    root, reply = ts(5), ts(4)
    slack.message("C1", root, "SEV1: the shop is down")
    slack.message("C1", reply, "looking into it", thread_ts=root, user="U2")
    done = [{"name": "white_check_mark::skin-tone-3", "users": ["U2"], "count": 1}]
    slack.messages["C1"][1]["reactions"] = done
    await sync(rig)
    assert await incidents(rig) == [("SEV1: the shop is down", "resolved", "sev1")]
    (found,) = await rig.ask("select started_at, resolved_at from incidents")
    assert found["started_at"] == NOW - timedelta(hours=5)
    assert found["resolved_at"] == NOW - timedelta(hours=4)
    (log,) = await rig.ask("select name, state, items, calls from sync_logs")
    assert (log["name"], log["state"]) == ("T1", "done")
    assert log["calls"] == len(slack.asked)


async def test_chatter_and_other_channels_leave_nothing(rig: Rig, slack: FakeSlack) -> None:
    slack.message("C1", ts(3), "good morning")
    slack.message("C1", ts(3.1), "has joined", subtype="channel_join")
    slack.message("C1", ts(3.2), "an outage of ours", user="U0BOT")
    slack.message("C3", ts(2), "total outage of the coffee machine")
    await sync(rig)
    assert await rig.ask("select id from slack_messages") == []
    assert slack.asked.count("conversations.replies") == 0


async def test_a_start_reaction_opens_and_dates_from_its_message(
    rig: Rig, slack: FakeSlack
) -> None:
    root = ts(2)
    siren = [{"name": "rotating_light", "users": ["U1", "U0BOT"], "count": 2}]
    slack.message("C1", root, "the shop is slow", reactions=siren)
    await sync(rig)
    assert await incidents(rig) == [("the shop is slow", "investigating", None)]
    (mark,) = await rig.ask("select author_id, at from slack_reactions")
    assert mark == {"author_id": "U1", "at": NOW - timedelta(hours=2)}


async def test_channels_that_fit_are_joined_and_read(rig: Rig, slack: FakeSlack) -> None:
    slack.message("C2", ts(1), "outage of payments")
    await sync(rig)
    assert slack.channels["C2"]["is_member"]
    assert await incidents(rig) == [("outage of payments", "investigating", None)]


async def test_an_event_that_comes_after_all_has_the_last_word(rig: Rig, slack: FakeSlack) -> None:
    root = ts(5)
    done = [{"name": "white_check_mark", "users": ["U1"], "count": 1}]
    slack.message("C1", root, "outage", reactions=done)
    await sync(rig)
    item = {"type": "message", "channel": "C1", "ts": root}
    event = {"type": "reaction_added", "user": "U1", "reaction": "white_check_mark"}
    await rig.deliver_slack({**event, "item": item, "event_ts": ts(1)})
    await rig.settle()
    (found,) = await rig.ask("select resolved_at from incidents")
    assert found["resolved_at"] == NOW - timedelta(hours=1)
    await sync(rig)
    assert await rig.ask("select resolved_at from incidents") == [found]


async def test_events_and_reading_leave_the_same_rows(rig: Rig, slack: FakeSlack) -> None:
    root, reply = ts(5), ts(4)
    slack.message("C1", root, "SEV2: slow")
    slack.message("C1", reply, "resolved", thread_ts=root)
    await sync(rig)
    read = await contents(rig)
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("delete from slack_messages"))
        await db.execute(text("delete from incidents"))
    for each in slack.messages["C1"]:
        await rig.deliver_slack({**each, "channel": "C1", "event_ts": each["ts"]})
    await rig.settle()
    assert await contents(rig) == read


async def contents(rig: Rig) -> list[dict[str, Any]]:
    rows = await rig.ask("select * from slack_messages order by id")
    return [*rows, *await rig.ask("select id, state, resolved_at from incidents")]


async def test_the_next_time_open_threads_are_read_however_old(rig: Rig, slack: FakeSlack) -> None:
    root = ts(100)
    slack.message("C1", root, "outage")
    await sync(rig)
    assert await incidents(rig) == [("outage", "investigating", None)]
    slack.message("C1", ts(0.5), "resolved", thread_ts=root)
    await sync(rig)
    assert await incidents(rig) == [("outage", "resolved", None)]
    slack.asked.clear()
    await sync(rig)
    assert slack.asked.count("conversations.replies") == 0
    await sync(rig, full=True)
    assert slack.asked.count("conversations.replies") == 1


async def test_what_events_should_have_told_is_counted(rig: Rig, slack: FakeSlack) -> None:
    await sync(rig)
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("update sync_logs set started_at = now() - interval '6 hours'"))
    slack.message("C1", ts(3), "outage that nobody told of")
    slack.message("C1", ts(2), "only chatter")
    await sync(rig)
    rows = await rig.ask("select missed from sync_logs order by id")
    assert [row["missed"] for row in rows] == [0, 1]


async def test_a_limit_puts_it_off_and_it_goes_on_where_it_was(rig: Rig, slack: FakeSlack) -> None:
    for number in range(5):
        slack.message("C1", ts(10 - number), f"outage {number}")
    slack.limited.append("conversations.history")
    with pytest.raises(PutOff, match="Slack asks to wait"):
        await sync(rig)
    slack.asked.clear()
    await sync(rig)
    assert len(await incidents(rig)) == 5
    assert "conversations.list" not in slack.asked
    assert slack.asked.count("conversations.history") == 4
    assert [row["state"] for row in await rig.ask("select state from sync_logs")] == ["done"]


async def test_every_workspace_is_read_by_a_job_of_its_own(rig: Rig, slack: FakeSlack) -> None:
    await rig.connect_slack(team="T2", token="xoxb-revoked")
    await rig.connect_slack(team="T3")
    (home, *_) = await rig.ask("select distinct organization_id from connections")
    told = ClaimedJob(1, home["organization_id"], "sync_slack", "k", {}, None, 1)
    await sync_slack(rig.surroundings, told)
    await rig.settle()
    rows = await rig.ask("select name, state, error from sync_logs order by name")
    assert [(row["name"], row["state"]) for row in rows] == [("T1", "done"), ("T2", "failed")]
    assert "connect Slack again" in rows[1]["error"]


async def test_it_says_how_it_stands(rig: Rig, slack: FakeSlack) -> None:
    await sync(rig)
    (home,) = await rig.ask("select organization_id from connections")
    condition = await connector.test_connection(rig.surroundings, home["organization_id"])
    assert (condition.connected, condition.says) == (True, "Slack answers for Acme.")
    assert condition.missing == ("commands", "groups:history", "reactions:read")
    slack.revoked = True
    condition = await connector.test_connection(rig.surroundings, home["organization_id"])
    assert not condition.connected
    assert "revoked" in condition.says


def test_requests_keep_below_a_minutes_share() -> None:
    asked = deque([0.0] * 20)
    assert pause(asked, 20, 59.0) == 1.0
    assert pause(asked, 20, 61.0) == 0.0
    assert pause(asked, 21, 1.0) == 0.0
