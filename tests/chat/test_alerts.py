"""What channels are told of incidents and failed deployments: once, and then kept true."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.chat import alerts
from bot.chat.saying import Busy
from bot.clients.slack import SlackError
from bot.jobs.alerts import queue_alerts
from models import subscribing
from models.subscribing import Place
from tests.chat.block_kit import faults, words
from tests.chat.conftest import ACME, AT, Chat
from tests.chat.rows import ago, began, blames, deployed

CRUEL = "<!channel> @here & <https://evil.example|click>"


async def listens(chat: Chat, channel: str = "C1", organization_id: str = ACME) -> None:
    """Let a channel want to hear of alerts."""
    async with chat.surroundings.engine.begin() as db:
        place = Place(organization_id, f"slack:T1:{channel}")
        await subscribing.subscribe(db, place, "alerts", "user:1")


async def announced(chat: Chat, incident_id: str = "api:1", at: Any = AT) -> list[dict[str, Any]]:
    """Announce an incident; return all that Slack was told, which it must be able to take."""
    await alerts.announce_incident(chat.surroundings, ACME, incident_id, at)
    for said in chat.slack.said:
        assert not faults(said), faults(said)
    return chat.slack.said


async def test_nothing_is_said_where_nobody_wants_to_hear(chat: Chat) -> None:
    await began(chat, at=ago(minutes=5))
    assert await announced(chat) == []
    assert await chat.rig.ask("select * from notices") == []


async def test_an_incident_is_said_with_the_deployment_it_blames_and_why(chat: Chat) -> None:
    await listens(chat)
    key = await began(chat, at=ago(minutes=5), title=CRUEL)
    await blames(chat, await deployed(chat, 501, ago(hours=1)), "the latest within 24 h")
    (told,) = await announced(chat)
    assert told["channel"] == "C1"
    assert "thread_ts" not in told
    said = words(told)
    assert f"<https://veelocity.example/incidents/{key}|{key} &lt;!channel&gt;" in said
    assert "Suspected deployment: <https://github.com/acme/api/deployments/501|acme/api" in said
    assert "the latest within 24 h" in said
    assert "Resolve\n" in said
    assert "Open page" in said
    assert "sev1" in said


async def test_an_incident_is_said_once_and_then_kept_true(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=5))
    for _ in range(3):
        await announced(chat)
    assert len(chat.slack.said) == 1
    assert "updated" not in chat.slack.said[0]
    await chat.do("update incidents set resolved_at = :at, state = 'resolved'", at=AT)
    for _ in range(2):
        await announced(chat)
    (told,) = chat.slack.said
    assert told["updated"] == 1
    assert "Resolved after 5 min." in words(told)
    assert "Resolve\n" not in words(told)
    assert chat.slack.asked.count("chat.postMessage") == 1


async def test_a_replay_of_history_is_silent(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=61))
    await began(chat, "api:2", at=ago(days=2), resolved_at=ago(minutes=61))
    await began(chat, "api:3", at=AT + timedelta(days=1))
    for incident in ("api:1", "api:2", "api:3"):
        assert await announced(chat, incident) == []


async def test_an_old_incident_that_ends_now_is_said(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(hours=5), resolved_at=ago(minutes=2))
    (told,) = await announced(chat)
    assert "Resolved after 5 h." in words(told)


async def test_what_was_said_is_kept_true_long_after(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=5))
    await announced(chat)
    await chat.do("delete from subscriptions")
    await chat.do("update incidents set resolved_at = :at", at=AT + timedelta(hours=3))
    (told,) = await announced(chat, at=AT + timedelta(days=2))
    assert "Resolved after" in words(told)


@pytest.mark.parametrize("gone", ["delete from incidents", "update incidents set dismissed = true"])
async def test_what_was_no_incident_is_taken_back(chat: Chat, gone: str) -> None:
    await listens(chat)
    key = await began(chat, at=ago(minutes=5))
    await announced(chat)
    await chat.do(gone)
    (told,) = await announced(chat)
    assert f"{key} is no incident after all." in words(told)


async def test_a_dismissed_incident_is_never_announced(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=5), dismissed=True)
    assert await announced(chat) == []


async def test_another_organisations_channel_hears_nothing(chat: Chat) -> None:
    await listens(chat, organization_id="github:2")
    await began(chat, at=ago(minutes=5))
    assert await announced(chat) == []
    await listens(chat)
    await alerts.announce_incident(chat.surroundings, "github:2", "api:1", AT)
    assert chat.slack.said == []


async def test_the_alert_goes_into_the_thread_that_opened_the_incident(chat: Chat) -> None:
    await listens(chat, "C2")
    await listens(chat, "C1")
    incident = "slack:T1:C2:1789560000.000100"
    await began(chat, incident, at=ago(minutes=5))
    told = await announced(chat, incident)
    assert {each["channel"]: each.get("thread_ts") for each in told} == {
        "C1": None,
        "C2": "1789560000.000100",
    }


async def test_ids_that_begin_alike_are_told_apart(chat: Chat) -> None:
    await listens(chat)
    await began(chat, "api:1:2", at=ago(minutes=5))
    await announced(chat, "api:1:2")
    await began(chat, "api:1", at=ago(minutes=5), title="Another")
    assert len(await announced(chat, "api:1")) == 2
    await chat.do("delete from incidents where id = 'api:1'")
    await announced(chat, "api:1")
    assert [each.get("updated", 0) for each in chat.slack.said] == [0, 1]


async def test_two_workers_say_it_once(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=5))
    done = await asyncio.gather(
        *(alerts.announce_incident(chat.surroundings, ACME, "api:1", AT) for _ in range(4)),
        return_exceptions=True,
    )
    assert all(each is None or isinstance(each, Busy) for each in done)
    assert len(chat.slack.said) == 1


async def test_who_comes_while_another_says_it_is_put_off(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=5))
    async with chat.surroundings.engine.begin() as held:
        assert await subscribing.alone(held, "incident:api:1:slack:T1:C1")
        with pytest.raises(Busy):
            await announced(chat)
    assert len(await announced(chat)) == 1


async def test_what_slack_refused_is_said_when_it_takes_it(chat: Chat) -> None:
    await listens(chat, "C9")
    await listens(chat, "C1")
    await began(chat, at=ago(minutes=5))
    with pytest.raises(SlackError, match="not_in_channel"):
        await alerts.announce_incident(chat.surroundings, ACME, "api:1", AT)
    assert [each["channel"] for each in chat.slack.said] == ["C1"]
    chat.slack.channels["C9"]["is_member"] = True
    assert [each["channel"] for each in await announced(chat)] == ["C1", "C9"]


async def test_what_somebody_was_cut_off_at_is_not_said_twice(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=5))
    await announced(chat)
    # As if the worker had ended between Slack's answer and ours.
    await chat.do("update notices set message_ts = null")
    assert len(await announced(chat)) == 1
    await chat.do("update notices set sent_at = sent_at - interval '5 minutes'")
    assert len(await announced(chat)) == 1
    await chat.do("update incidents set resolved_at = :at", at=AT)
    told = await announced(chat)
    assert len(told) == 2
    assert "Resolved" in words(told[1])


async def test_a_message_that_somebody_deleted_stays_deleted(chat: Chat) -> None:
    await listens(chat)
    await began(chat, at=ago(minutes=5))
    await announced(chat)
    chat.slack.said.clear()
    await chat.do("update incidents set resolved_at = :at", at=AT)
    assert await announced(chat) == []
    assert await announced(chat) == []
    assert chat.slack.asked.count("chat.update") == 1


async def test_a_failed_deployment_is_said_and_later_that_it_was_mended(chat: Chat) -> None:
    await listens(chat)
    failed = await deployed(chat, 501, ago(minutes=5), state="failure", kind=None, ref=CRUEL)
    await alerts.announce_failure(chat.surroundings, ACME, failed, AT)
    (told,) = chat.slack.said
    assert "Deployment failed: <https://github.com/acme/api/deployments/501|acme/api" in words(told)
    assert not faults(told)
    await deployed(chat, 502, AT)
    await alerts.announce_failure(chat.surroundings, ACME, failed, AT)
    (told,) = chat.slack.said
    assert "It was deployed well 5 min later." in words(told)


async def test_an_old_failure_and_a_good_deployment_are_not_said(chat: Chat) -> None:
    await listens(chat)
    old = await deployed(chat, 501, ago(minutes=61), state="failure", kind=None)
    good = await deployed(chat, 502, ago(minutes=5))
    for attempt in (old, good, "nothing"):
        await alerts.announce_failure(chat.surroundings, ACME, attempt, AT)
    assert chat.slack.said == []


async def test_a_repositorys_new_deployments_queue_what_they_mean_for_alerts(chat: Chat) -> None:
    await deployed(chat, 501, ago(minutes=5), state="failure", kind=None)
    await deployed(chat, 502, ago(minutes=90), state="failure", kind=None)
    assert await queued(chat) == []
    await listens(chat)
    assert await queued(chat) == [
        ("announce_failure", {"attempt": "github:10/production/github:501"})
    ]
    await began(chat, at=ago(minutes=5))
    await announced(chat)
    await chat.do("update notices set sent_at = :at", at=AT)
    assert [name for name, _ in await queued(chat)] == ["announce_failure", "announce_incident"]
    assert await queued(chat, AT + timedelta(days=2)) == []


async def queued(chat: Chat, now: Any = AT) -> list[tuple[str, Any]]:
    """Return the jobs that a repository's deployments lead to."""
    async with chat.surroundings.engine.begin() as db:
        await db.execute(text("delete from jobs"))
        await queue_alerts(db, ACME, "github:10", now)
    rows = await chat.rig.ask("select name, arguments from jobs order by name, key")
    return [(row["name"], row["arguments"]) for row in rows]
