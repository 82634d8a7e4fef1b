"""What is asked of Slack while deliveries settle: messages nobody told us of, names, channels."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bot.settings import Settings
from tests.fakes.slack import FakeSlack, fake_slack
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

ROOT, REPLY = "1790000000.000100", "1790000060.000200"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack() as state:
        state.channel("C1", "incidents", is_member=True)
        state.channel("C2", "incident-42")
        state.message("C1", ROOT, "the shop is slow", thread_ts=ROOT)
        state.message("C1", REPLY, "rolling back", thread_ts=ROOT, user="U2")
        own = {"user": "U0BOT", "bot_id": "B0BOT", "app_id": "A0APP"}
        state.message("C1", "1790000070.000300", "our own words", thread_ts=ROOT, **own)
        yield state


@pytest.fixture
async def rig(
    settings: Settings, slack: FakeSlack, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    changed = settings.model_copy(update={"slack_api_url": slack.url})
    async with rig_of(changed) as opened:
        yield opened


def channel(channel_id: str, name: str) -> dict[str, Any]:
    told = {"id": channel_id, "name": name, "created": 1780000000, "creator": "U1"}
    return {"type": "channel_created", "channel": told, "event_ts": "1780000000.000100"}


def reaction(ts: str, emoji: str = "rotating_light", channel_id: str = "C1") -> dict[str, Any]:
    return {
        "type": "reaction_added",
        "user": "U1",
        "reaction": emoji,
        "item": {"type": "message", "channel": channel_id, "ts": ts},
        "item_user": "U2",
        "event_ts": "1790000100.000400",
    }


def message(ts: str, words: str, **more: Any) -> dict[str, Any]:
    told = {"type": "message", "channel": "C1", "user": "U1", "text": words, "ts": ts}
    return {**told, "event_ts": ts, "channel_type": "channel", **more}


async def words(rig: Rig) -> list[str]:
    return [row["words"] for row in await rig.ask("select words from slack_messages order by id")]


@pytest.mark.parametrize("marked", [ROOT, REPLY])
async def test_a_message_nobody_told_us_of_is_fetched_with_its_thread(
    rig: Rig, slack: FakeSlack, marked: str
) -> None:
    await rig.connect_slack(token=slack.token)
    await rig.deliver_slack(channel("C1", "incidents"))
    await rig.settle()
    await rig.deliver_slack(reaction(marked))
    await rig.settle()
    assert await words(rig) == ["the shop is slow", "rolling back"]
    assert {row["thread_id"] for row in await rig.ask("select thread_id from slack_messages")} == {
        f"slack:T1:C1:{ROOT}"
    }
    opened = await rig.ask("select id, detected_at > started_at as noticed from incidents")
    expected = [{"id": f"slack:T1:C1:{ROOT}", "noticed": True}] if marked == ROOT else []
    assert opened == expected


async def test_only_a_reaction_that_means_something_fetches(rig: Rig, slack: FakeSlack) -> None:
    await rig.connect_slack(token=slack.token)
    await rig.deliver_slack(channel("C1", "incidents"))
    await rig.deliver_slack(channel("C3", "random"))
    await rig.settle()
    slack.asked.clear()
    await rig.deliver_slack(reaction(ROOT, "eyes"))
    await rig.deliver_slack(reaction(ROOT, channel_id="C3"))
    await rig.settle()
    assert slack.asked == []
    await rig.deliver_slack(message(ROOT, "the shop is slow"))
    await rig.deliver_slack(reaction(ROOT))
    await rig.settle()
    assert slack.asked == []
    assert len(await rig.ask("select id from incidents")) == 1


async def test_without_a_token_nothing_is_asked_and_nothing_fails(
    rig: Rig, slack: FakeSlack
) -> None:
    await rig.connect_slack()
    await rig.deliver_slack(channel("C1", "incidents"))
    await rig.deliver_slack(reaction(ROOT))
    joined = {"type": "member_joined_channel", "user": "U0BOT", "channel": "C2"}
    await rig.deliver_slack(joined)
    await rig.settle()
    assert slack.asked == []
    assert await rig.ask("select name, error from jobs where status <> 'done'") == []


async def test_a_new_channel_that_fits_is_joined(rig: Rig, slack: FakeSlack) -> None:
    await rig.connect_slack(token=slack.token)
    await rig.deliver_slack(channel("C2", "incident-42"))
    await rig.settle()
    assert slack.channels["C2"]["is_member"]
    states = await rig.ask("select id, holds from slack_channel_states")
    assert states == [{"id": "slack:T1:C2:member", "holds": True}]
    slack.channel("C3", "random")
    await rig.deliver_slack(channel("C3", "random"))
    await rig.settle()
    assert not slack.channels["C3"]["is_member"]


async def test_a_private_channel_is_learned_of_when_the_bot_is_invited(
    rig: Rig, slack: FakeSlack
) -> None:
    slack.channel("C5", "incident-pay", is_private=True, is_member=True)
    await rig.connect_slack(token=slack.token)
    await rig.deliver_slack(message(ROOT, "outage of payments", channel="C5"))
    await rig.settle()
    assert await rig.ask("select id from incidents") == []
    joined = {"type": "member_joined_channel", "user": "U0BOT", "channel": "C5"}
    await rig.deliver_slack(joined)
    await rig.settle()
    assert await rig.ask("select name, private from slack_channels") == [
        {"name": "incident-pay", "private": True}
    ]
    (incident,) = await rig.ask("select id, channel from incidents")
    assert incident == {"id": f"slack:T1:C5:{ROOT}", "channel": "incident-pay"}


async def test_a_limit_puts_the_work_off_and_no_try_is_lost(rig: Rig, slack: FakeSlack) -> None:
    await rig.connect_slack(token=slack.token)
    await rig.deliver_slack(channel("C1", "incidents"))
    await rig.settle()
    slack.limited.append("conversations.replies")
    await rig.deliver_slack(reaction(ROOT))
    await rig.settle()
    (job,) = await rig.ask(
        "select status, attempts, error from jobs where name = 'fetch_message' and status <> 'done'"
    )
    assert (job["status"], job["attempts"]) == ("waiting", 0)
    assert "Slack asks to wait until" in job["error"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
async def test_any_order_of_deliveries_leaves_the_same_incident(
    rig: Rig, order: tuple[int, ...]
) -> None:
    await rig.connect_slack()
    told = (
        channel("C1", "incidents"),
        message(ROOT, "SEV1: the shop is down"),
        message(REPLY, "looking", thread_ts=ROOT),
        reaction(ROOT, "white_check_mark"),
    )
    for number in order:
        await rig.deliver_slack(told[number])
        await rig.settle()
    (incident,) = await rig.ask("select * from incidents")
    assert (incident["severity"], incident["state"]) == ("sev1", "resolved")
    assert incident["started_at"].isoformat() == "2026-09-21T14:13:20.000100+00:00"
    assert incident["resolved_at"].isoformat() == "2026-09-21T14:15:00.000400+00:00"
