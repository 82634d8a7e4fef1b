"""Slack, GitHub and people telling of incidents, through the handlers and the jobs."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import handlers
import models
from bot.jobs import work
from bot.queue import AGENT, INGEST
from models.incident_changes import Follow
from models.queue import queue
from models.store import remember
from tests.rig import Rig

ORGANIZATION, TEAM, CHANNEL = "github:1", "T1", "C1"
ROOT = "1788256800.000100"
STARTED = datetime(2026, 9, 1, 10, tzinfo=UTC)
THREAD = f"slack:{TEAM}:{CHANNEL}:{ROOT}"

Event = tuple[str, str, Mapping[str, Any]]


def stamp(minutes: float) -> str:
    """Return Slack's ts of a time, in minutes after the first message."""
    return f"{1788256800 + int(minutes * 60)}.000100"


def at(minutes: float) -> datetime:
    """Return a time in minutes after the first message."""
    return STARTED + timedelta(minutes=minutes, microseconds=100)


def slack(event: Mapping[str, Any]) -> Event:
    """Return an event of Slack as it is decided."""
    envelope = {"team_id": TEAM, "api_app_id": "A1", "type": "event_callback", "event": event}
    return "slack", str(event["type"]), envelope


def posted(words: str, minutes: float = 0, *, channel: str = CHANNEL, **more: Any) -> Event:
    """Post a message; later ones are replies to the first unless `thread_ts` is None."""
    reply = {"thread_ts": ROOT} if minutes else {}
    ts = stamp(minutes)
    said = {"user": "U1", "text": words, "ts": ts, "event_ts": ts, **reply, **more}
    return slack({"type": "message", "channel": channel, "channel_type": "channel", **said})


def edited(words: str, of: float, minutes: float, *, channel: str = CHANNEL) -> Event:
    """Edit a message."""
    reply = {"thread_ts": ROOT} if of else {}
    ts = stamp(minutes)
    message = {"type": "message", "user": "U1", "text": words, "ts": stamp(of), **reply}
    message |= {"edited": {"user": "U1", "ts": ts}}
    said = {"subtype": "message_changed", "channel": channel, "event_ts": ts, "ts": ts}
    return slack({"type": "message", **said, "message": message, "previous_message": message})


def deleted(of: float, minutes: float) -> Event:
    """Delete a message."""
    reply = {"thread_ts": ROOT} if of else {}
    ts = stamp(minutes)
    before = {"type": "message", "user": "U1", "text": "x", "ts": stamp(of), **reply}
    said = {"subtype": "message_deleted", "channel": CHANNEL, "event_ts": ts, "ts": ts}
    return slack({**said, "type": "message", "deleted_ts": stamp(of), "previous_message": before})


def reacted(emoji: str, minutes: float, of: float = 0, *, added: bool = True) -> Event:
    """Put a reaction on a message, or take it away."""
    item = {"type": "message", "channel": CHANNEL, "ts": stamp(of)}
    kind = "reaction_added" if added else "reaction_removed"
    said = {"user": "U2", "reaction": emoji, "item": item, "event_ts": stamp(minutes)}
    return slack({"type": kind, **said})


def named(name: str, minutes: float = -60, *, channel: str = CHANNEL) -> Event:
    """Make a channel known by its name."""
    told = {"id": channel, "name": name, "created": 1788250000}
    return slack({"type": "channel_created", "channel": told, "event_ts": stamp(minutes)})


def issue(action: str, minutes: float, *labels: str, **more: Any) -> Event:
    """Tell of the one issue of GitHub."""
    time = at(minutes).isoformat()
    said = {
        "id": 42,
        "number": 7,
        "title": "Checkout fails",
        "state": "open",
        "user": {"id": 5, "login": "ada", "type": "User"},
        "labels": [{"name": label} for label in labels],
        "created_at": at(0).isoformat(),
        "updated_at": time,
        "closed_at": None,
    }
    repository = {"id": 10, "full_name": "acme/api", "owner": {"id": 1, "login": "acme"}}
    return "github", "issues", {"action": action, "issue": said | more, "repository": repository}


async def home(rig: Rig) -> None:
    """Let there be the organisation and its repository."""
    async with rig.app.rest.state.engine.begin() as db:
        shared = {"organization_id": ORGANIZATION, "changed_at": at(-9999)}
        organization = models.Organization(id=ORGANIZATION, login="acme", account_id=1)
        repository = models.Repository(
            id="github:10", full_name="acme/api", owner_login="acme", **shared
        )
        await remember(db, [organization, repository])


async def tell(rig: Rig, *events: Event) -> None:
    """Decide events and remember what follows, as settling does; its jobs wait."""
    async with rig.app.rest.state.engine.begin() as db:
        for source, event, payload in events:
            decided = handlers.decide(source, event, payload, ORGANIZATION, at(9999))
            assert decided.known, event
            await remember(db, decided.rows)
            await queue(db, decided.jobs, ORGANIZATION)


async def follow(rig: Rig, incident_id: str) -> None:
    """Order that an incident is derived anew."""
    async with rig.app.rest.state.engine.begin() as db:
        await queue(db, [Follow(incident_id)], ORGANIZATION)


async def worked(rig: Rig) -> None:
    """Work until nothing is left to do now; no job may fail."""
    while await work(rig.surroundings, INGEST, 4) or await work(rig.surroundings, AGENT, 4):
        pass
    wrong = "select name, key, error from jobs where error is not null and name <> :later"
    assert await rig.ask(wrong, later="announce_incident") == []


async def incidents(rig: Rig, columns: str = "*") -> list[dict[str, Any]]:
    """Return the incidents by id."""
    return await rig.ask(f"select {columns} from incidents order by id")  # noqa: S608
