"""What is pressed at an incident's message: it is done for whoever may, and the message follows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.chat.asking import UNKNOWN, Account, Call, admitted, organization_of
from bot.chat.blocks import message, refusal
from bot.chat.incidents import linked, resolved
from bot.chat.showing import BETWEEN, LINK, RESOLVE, incident_message
from bot.clients.slack import respond
from bot.surroundings import Surroundings
from handlers import slash
from models import chat_incidents
from models.errors import Refused

ROLE = "manager"


async def answer(
    surroundings: Surroundings, payload: Mapping[str, Any], now: datetime | None = None
) -> dict[str, Any] | None:
    """Do what a button or menu asks for; what is refused is told to who pressed it alone.

    The answer goes to the payload's `response_url`; it is returned where there is none. None also
    for what asks us for nothing, such as a button that opened a page.
    """
    pressed = first(payload)
    if payload.get("type") != "block_actions" or pressed.get("action_id") not in (RESOLVE, LINK):
        return None
    try:
        told = await done(surroundings, payload, pressed, now or datetime.now(UTC))
    except Refused as refused:
        told = refusal(str(refused))
    url = payload.get("response_url")
    if not isinstance(url, str) or not url:
        return told
    await respond(url, told, api_url=surroundings.settings.slack_api_url)
    return None


def first(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was pressed; Slack tells one thing at a time."""
    told = payload.get("actions")
    pressed = told[0] if isinstance(told, list) and told else None
    return pressed if isinstance(pressed, Mapping) else {}


async def done(
    surroundings: Surroundings,
    payload: Mapping[str, Any],
    pressed: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Do what was asked for, if who pressed may; return the message as it is then."""
    account = account_of(payload)
    organization_id = await organization_of(surroundings, account.team_id)
    asker = await admitted(surroundings, organization_id, account, ROLE)
    call = Call(surroundings, organization_id, account, now, asker=asker)
    if pressed["action_id"] == RESOLVE:
        key = slash.key(str(pressed.get("value", "")))
        await resolved(call, key)
        return await shown(call, key, {"resolved_at": now, "state": "resolved"})
    chosen = pressed.get("selected_option")
    value = str(chosen.get("value", "")) if isinstance(chosen, Mapping) else ""
    named, _, deployment_id = value.partition(BETWEEN)
    key = slash.key(named)
    await linked(call, key, deployment_id)
    return await shown(call, key, {}, deployment_id)


def account_of(payload: Mapping[str, Any]) -> Account:
    """Return who pressed; raise `Refused` for somebody of another workspace in a shared channel."""
    user, team, channel = (payload.get(name) or {} for name in ("user", "team", "channel"))
    team_id = str(team.get("id") or user.get("team_id") or "")
    if user.get("team_id", team_id) != team_id:
        raise Refused(UNKNOWN)
    return Account(team_id, str(user.get("id", "")), str(channel.get("id", "")))


async def shown(
    call: Call, key: str, changed: Mapping[str, Any], deployment_id: str | None = None
) -> dict[str, Any]:
    """Return an incident's message with what was just said of it, before it is derived anew."""
    async with call.surroundings.engine.connect() as db:
        row = await chat_incidents.keyed(db, call.organization_id, key)
        assert row is not None  # noqa: S101 - it was changed a moment ago
        told = dict(row) if row["resolved_at"] else {**row, **changed}
        by_hand = (deployment_id, f"linked by hand by {call.by.name}") if deployment_id else None
        blocks, text = await incident_message(db, told, call.url, call.now, by_hand)
    return message(blocks, text, replace_original=True)
