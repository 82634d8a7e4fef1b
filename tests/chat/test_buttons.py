"""What is pressed at an incident's message."""

from typing import Any

import pytest

from bot.chat.buttons import answer
from tests.chat.block_kit import faults, words
from tests.chat.conftest import AT, PEOPLE, Chat
from tests.chat.rows import ago, began, deployed


def pressed(chat: Chat, who: str, action: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what Slack sends when something is pressed."""
    return {
        "type": "block_actions",
        "team": {"id": "T1", "domain": "acme"},
        "user": {"id": PEOPLE.get(who, who), "team_id": "T1", "username": who},
        "channel": {"id": "C1", "name": "general"},
        "response_url": f"{chat.slack.url}/commands/T1/1/x",
        "actions": [action],
        **more,
    }


def resolve(key: str) -> dict[str, Any]:
    return {"type": "button", "action_id": "incident_resolve", "value": key}


def link(key: str, deployment: str) -> dict[str, Any]:
    option = {"text": {"type": "plain_text", "text": "x"}, "value": f"{key} {deployment}"}
    return {"type": "static_select", "action_id": "incident_link", "selected_option": option}


async def press(chat: Chat, who: str, action: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Press something; return what was said to the response_url."""
    before = len(chat.slack.responded)
    assert await answer(chat.surroundings, pressed(chat, who, action, **more), AT) is None
    (told,) = chat.slack.responded[before:]
    assert not faults(told), faults(told)
    return told


async def test_a_manager_resolves_and_the_message_follows(chat: Chat) -> None:
    key = await began(chat, at=ago(minutes=30))
    told = await press(chat, "manager", resolve(key))
    assert told["replace_original"] is True
    assert "Resolved after 30 min." in words(told)
    rows = await chat.rig.ask("select incident_id, state, by from incident_updates")
    assert [tuple(row.values()) for row in rows] == [("api:1", "resolved", chat.users["manager"])]
    assert await chat.rig.ask("select action from audit_log") == [{"action": "update_incident"}]


async def test_a_manager_links_one_of_the_services_last_deployments(chat: Chat) -> None:
    key = await began(chat, at=ago(minutes=30))
    await deployed(chat, 501, ago(hours=2))
    told = await press(chat, "manager", link(key, "github:501"))
    assert "deployments/501|" in words(told)
    assert "linked by hand by Manager" in words(told)
    rows = await chat.rig.ask("select deployment_id, linked, by from incident_links")
    assert [tuple(row.values()) for row in rows] == [("github:501", True, chat.users["manager"])]


@pytest.mark.parametrize("who", ["viewer", "foreigner", "nobody", "UNOTINSLACK", ""])
async def test_whoever_may_not_is_told_so_and_the_message_stays(chat: Chat, who: str) -> None:
    key = await began(chat, at=ago(minutes=30))
    await deployed(chat, 501, ago(hours=2))
    for action in (resolve(key), link(key, "github:501")):
        told = await press(chat, who, action)
        assert told["replace_original"] is False
        assert told["response_type"] == "ephemeral"
        assert "role manager" in told["text"] or "does not know who you are" in told["text"]
    assert await chat.rig.ask("select * from incident_updates") == []
    assert await chat.rig.ask("select * from incident_links") == []


async def test_somebody_of_another_workspace_in_a_shared_channel_may_not(chat: Chat) -> None:
    key = await began(chat, at=ago(minutes=30))
    user = {"id": "UADMIN", "team_id": "T666"}
    told = await press(chat, "admin", resolve(key), user=user)
    assert "does not know who you are" in told["text"]
    assert await chat.rig.ask("select * from incident_updates") == []


@pytest.mark.parametrize(
    "action",
    [
        resolve("INC-AAAAAAA"),
        resolve("x"),
        resolve(""),
        link("INC-AAAAAAA", "github:501"),
        {"action_id": "incident_link"},
        {"action_id": "incident_link", "selected_option": {"value": 7}},
    ],
)
async def test_what_is_not_there_is_refused(chat: Chat, action: dict[str, Any]) -> None:
    told = await press(chat, "admin", action)
    assert told["replace_original"] is False


async def test_an_incident_or_deployment_of_others_cannot_be_reached(chat: Chat) -> None:
    foreign = await began(chat, "api:9", organization_id="github:2")
    await press(chat, "admin", resolve(foreign))
    own = await began(chat, at=ago(minutes=30))
    told = await press(chat, "admin", link(own, "github:9999"))
    assert "There is no deployment" in told["text"]
    assert await chat.rig.ask("select * from incident_updates") == []


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "view_submission"},
        {"type": "block_actions"},
        {"type": "block_actions", "actions": [{"action_id": "open_page"}]},
        {"type": "block_actions", "actions": ["x"]},
    ],
)
async def test_what_asks_us_for_nothing_gets_no_answer(chat: Chat, payload: Any) -> None:
    assert await answer(chat.surroundings, payload, AT) is None
    assert chat.slack.responded == []


async def test_a_menu_offers_what_was_deployed_before_the_incident_ended(chat: Chat) -> None:
    key = await began(chat, at=ago(hours=3), resolved_at=ago(hours=1))
    await deployed(chat, 501, ago(hours=2))
    await deployed(chat, 502, ago(minutes=5))
    await deployed(chat, 503, ago(hours=4), state="failure", kind=None)
    told = await press(chat, "manager", resolve(key))
    (menu,) = (
        each for block in told["blocks"] for each in block.get("elements", [])
        if each["type"] == "static_select"
    )  # fmt: skip
    assert [each["value"] for each in menu["options"]] == [f"{key} github:501"]
