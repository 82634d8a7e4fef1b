"""From signed requests of Slack to what its channels say, through the real app and worker."""

import json
import time
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from tests.chat.block_kit import faults, words
from tests.chat.conftest import PEOPLE, Chat

CHANNELS = {"C1": "general", "C2": "incidents"}


async def typed(chat: Chat, who: str, line: str, channel: str = "C1") -> dict[str, Any]:
    """Type a command in Slack; return the answer."""
    told = {"command": "/veelocity", "text": line, "team_id": "T1", "user_id": PEOPLE[who]}
    more = {"channel_id": channel, "trigger_id": f"1.2.{uuid4().hex}"}
    answer = await sent(chat, "commands", told | more)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert not faults(said), faults(said)
    return said


async def sent(chat: Chat, address: str, form: dict[str, str]) -> httpx.Response:
    """Send a form that Slack signed."""
    url = f"{chat.slack.url}/commands/T1/1/x"
    body = urlencode({"token": "x", "response_url": url, **form}).encode()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    headers = chat.rig.slack_headers(body) | kind
    return await chat.rig.client.post(f"/webhooks/slack/{address}", content=body, headers=headers)


async def told(chat: Chat, *events: dict[str, Any]) -> None:
    """Let Slack tell of events, and the worker work."""
    for event in events:
        answer = await chat.rig.deliver_slack(event)
        assert answer.status_code == 200, answer.text
    await chat.rig.settle()


def message(text: str, ts: str, **more: Any) -> dict[str, Any]:
    """Return the event of a message in #incidents."""
    said = {"type": "message", "channel": "C2", "channel_type": "channel", "user": "U1"}
    return {**said, "text": text, "ts": ts, "event_ts": ts, **more}


async def known(chat: Chat) -> None:
    """Let the channels be known by their names."""
    at = f"{int(time.time()) - 3600}.000100"
    for channel, name in CHANNELS.items():
        named = {"id": channel, "name": name, "created": 1788250000}
        await told(chat, {"type": "channel_created", "channel": named, "event_ts": at})


async def test_an_incident_in_slack_is_told_followed_and_resolved_by_a_button(chat: Chat) -> None:
    await known(chat)
    for channel in CHANNELS:
        assert "from now on" in words(await typed(chat, "manager", "subscribe alerts on", channel))
    ts = f"{int(time.time()) - 60}.000100"
    await told(chat, message("sev1: checkout is down", ts))
    assert {each["channel"]: each.get("thread_ts") for each in chat.slack.said} == {
        "C1": None,
        "C2": ts,
    }
    (row,) = await chat.rig.ask("select key, resolved_at from incidents")
    pressed = {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": PEOPLE["manager"], "team_id": "T1"},
        "channel": {"id": "C1"},
        "trigger_id": "1.2.press",
        "response_url": f"{chat.slack.url}/commands/T1/1/x",
        "actions": [{"action_id": "incident_resolve", "value": row["key"]}],
    }
    answer = await sent(chat, "interactions", {"payload": json.dumps(pressed)})
    assert answer.status_code == 200
    await chat.rig.settle()
    (row,) = await chat.rig.ask("select key, resolved_at, resolved_by from incidents")
    assert row["resolved_at"] is not None
    assert len(chat.slack.said) == 2
    for said in chat.slack.said:
        assert "Resolved after" in words(said)
    assert chat.slack.responded[0]["replace_original"] is True


async def test_what_we_say_ourselves_opens_no_incident(chat: Chat) -> None:
    await known(chat)
    await typed(chat, "manager", "subscribe alerts on", "C2")
    ts = f"{int(time.time()) - 60}.000100"
    await told(chat, message("sev1: checkout is down", ts))
    (said,) = chat.slack.said
    by_us = {"user": "U0BOT", "bot_id": "B0BOT", "app_id": "A0APP"}
    now = int(time.time())
    for number, more in enumerate([{"thread_ts": ts}, {}, {"subtype": "bot_message"}]):
        at = f"{now + number}.000200"
        await told(chat, message(f"🚨 sev1 {words(said)}", at, **by_us, **more))
    assert len(await chat.rig.ask("select * from incidents")) == 1
    assert len(chat.slack.said) == 1


async def test_a_command_opens_an_incident_that_is_announced_within_the_same_breath(
    chat: Chat,
) -> None:
    await typed(chat, "manager", "subscribe alerts on")
    answer = await typed(chat, "manager", "incident open Checkout is down in api sev1 --share")
    assert answer["response_type"] == "in_channel"
    await chat.rig.settle()
    (said,) = chat.slack.said
    (row,) = await chat.rig.ask("select key from incidents")
    assert row["key"] in words(said)
    assert row["key"] in words(answer)
    assert "Checkout is down" in words(said)


async def test_a_command_wakes_the_worker(chat: Chat) -> None:
    redis = chat.surroundings.redis
    assert await redis.zcard("arq:queue") == 0
    await typed(chat, "manager", "incident open Checkout is down")
    assert await redis.zcard("arq:queue") >= 1


async def test_an_unsigned_command_is_not_answered(chat: Chat) -> None:
    body = urlencode({"command": "/veelocity", "text": "help", "team_id": "T1"}).encode()
    answer = await chat.rig.client.post("/webhooks/slack/commands", content=body)
    assert answer.status_code == 401
