"""Incidents of golden cases, told by each source through its real endpoint."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import models
from models.queue import find_homes
from models.store import remember
from tests.linear_posts import posted
from tests.rig import CONNECTED_AT, Rig
from tests.story import PERSON, Story, iso

SOURCES = ("github", "slack", "linear", "api")
WORKSPACE = "9a1f6f0e-3f0c-4a7e-9d3f-0c1a5be0d111"
TEAM = {"id": "t-1", "key": "ENG", "name": "Engineering"}
Body = dict[str, Any]


@dataclass
class Happening:
    """Incidents as one source tells of them: a name, and the words that each began with."""

    source: str
    words: dict[str, str] = field(default_factory=dict)

    async def began(self, rig: Rig, name: str, when: datetime, words: str) -> None:
        """Tell that an incident began."""
        self.words[name] = words
        if self.source == "slack":
            said = {"type": "message", "channel": "C1", "channel_type": "channel", "user": "U1"}
            ts = stamp(when)
            await slack(rig, {**said, "text": f"outage: {words}", "ts": ts, "event_ts": ts})
        elif self.source == "linear":
            await linear(rig, "create", self.ticket(name, when, when, None))
        elif self.source == "api":
            await rig.sign_in()
            told = {"id": name, "title": "It is down", "description": words}
            await call(rig, "POST", "/incidents", told | {"started_at": iso(when)})
        else:
            await github(rig, self.issue(name, when, when, None))

    async def ended(self, rig: Rig, name: str, began: datetime, when: datetime) -> None:
        """Tell that it was resolved."""
        if self.source == "slack":
            await reacted(rig, "white_check_mark", began, when)
        elif self.source == "linear":
            await linear(rig, "update", self.ticket(name, began, when, when))
        elif self.source == "api":
            path = f"/incidents/{await self.reported(rig, name)}"
            await call(rig, "PATCH", path, {"resolved_at": iso(when)})
        else:
            await github(rig, self.issue(name, began, when, when))

    async def reopened(self, rig: Rig, name: str, began: datetime, when: datetime) -> None:
        """Tell that what ended it is taken back."""
        if self.source == "slack":
            await reacted(rig, "white_check_mark", began, when, added=False)
        elif self.source == "linear":
            await linear(rig, "update", self.ticket(name, began, when, None))
        elif self.source == "api":
            path = f"/incidents/{await self.reported(rig, name)}"
            await call(rig, "PATCH", path, {"resolved_at": None})
        else:
            await github(rig, self.issue(name, began, when, None) | {"action": "reopened"})

    async def reported(self, rig: Rig, name: str) -> str:
        """Return the id of an incident that was reported."""
        (row,) = await rig.ask("select id from incident_reports where id like '%:' || :n", n=name)
        return str(row["id"])

    def issue(self, name: str, began: datetime, when: datetime, closed: datetime | None) -> Body:
        """Return what GitHub sends of the issue that an incident is."""
        number = 800 + list(self.words).index(name)
        described = {
            "id": 9_000_000 + number,
            "number": number,
            "title": "It is down",
            "body": self.words[name],
            "state": "closed" if closed else "open",
            "state_reason": "completed" if closed else None,
            "user": PERSON,
            "labels": [{"name": "incident"}],
            "created_at": iso(began),
            "updated_at": iso(when),
            "closed_at": iso(closed) if closed else None,
            "html_url": f"https://github.com/acme/api/issues/{number}",
        }
        return {"action": "closed" if closed else "opened", "issue": described}

    def ticket(self, name: str, began: datetime, when: datetime, done: datetime | None) -> Body:
        """Return the issue of Linear that an incident is."""
        number = 1 + list(self.words).index(name)
        state = {"name": "Done", "type": "completed"} if done else {"name": "T", "type": "started"}
        return {
            "id": f"i-{number}",
            "identifier": f"ENG-{number}",
            "number": number,
            "title": "It is down",
            "description": self.words[name],
            "team": TEAM,
            "teamId": TEAM["id"],
            "state": state,
            "labels": [{"id": "l-1", "name": "incident"}],
            "createdAt": iso(began),
            "updatedAt": iso(when),
            "completedAt": iso(done) if done else None,
        }


def stamp(when: datetime) -> str:
    """Return Slack's id of a message of that time."""
    return f"{when.timestamp():.0f}.000000"


async def slack(rig: Rig, event: Body) -> None:
    """Deliver an event as Slack signs it."""
    answer = await rig.deliver_slack(event)
    assert answer.status_code == 200, answer.text


async def said(rig: Rig, words: str, when: datetime, root: datetime | None = None) -> None:
    """Post a message to the channel of incidents; `root`: the message that it answers."""
    said = {"type": "message", "channel": "C1", "channel_type": "channel", "user": "U1"}
    reply = {"thread_ts": stamp(root)} if root else {}
    await slack(rig, said | {"text": words, "ts": stamp(when), "event_ts": stamp(when)} | reply)


async def edited(rig: Rig, words: str, of: datetime, when: datetime) -> None:
    """Edit a message."""
    message = {"type": "message", "user": "U1", "text": words, "ts": stamp(of)}
    message |= {"edited": {"user": "U1", "ts": stamp(when)}}
    changed = {"subtype": "message_changed", "channel": "C1", "event_ts": stamp(when)}
    there = {"ts": stamp(when), "message": message, "previous_message": message}
    await slack(rig, {"type": "message", **changed, **there})


async def reacted(
    rig: Rig, emoji: str, of: datetime, when: datetime, *, added: bool = True
) -> None:
    """Put a reaction on a message, or take it away."""
    item = {"type": "message", "channel": "C1", "ts": stamp(of)}
    kind = "reaction_added" if added else "reaction_removed"
    told = {"user": "U2", "reaction": emoji, "item_user": "U1", "item": item}
    await slack(rig, {"type": kind, **told, "event_ts": stamp(when)})


async def linear(rig: Rig, action: str, ticket: Body) -> None:
    """Deliver a webhook as Linear signs it."""
    told = {"type": "Issue", "action": action, "organizationId": WORKSPACE, "data": ticket}
    answer = await posted(rig, told | {"createdAt": ticket["updatedAt"]})
    assert answer.status_code == 200, answer.text


async def github(rig: Rig, payload: Body) -> None:
    """Deliver an event of issues as GitHub signs it."""
    story = Story()
    story.deliveries.clear()
    story.tell("issues", datetime.fromisoformat(payload["issue"]["updated_at"]), **payload)
    ((event, body),) = story.deliveries
    answer = await rig.deliver(event, body)
    assert answer.status_code == 202, answer.text


async def call(rig: Rig, method: str, path: str, body: Body | None = None) -> Any:
    """Ask the API for a change; the answer must be a good one."""
    headers = {"authorization": f"Bearer {rig.token}"}
    url = f"/api/v1{path}"
    answer = await rig.client.request(method, url, json=body, headers=headers)
    assert answer.status_code in (200, 201, 204), answer.text
    return answer.json()


async def connected(rig: Rig) -> None:
    """Connect Slack and Linear, and let Slack tell how the channel is called."""
    await rig.connect_slack()
    (home,) = await rig.ask("select id from organizations")
    async with rig.app.rest.state.engine.begin() as db:
        row = models.Connection(
            id=f"linear:organization:{WORKSPACE}",
            organization_id=home["id"],
            changed_at=CONNECTED_AT,
            source="linear",
            external_id=WORKSPACE,
            account_login="Acme",
            state="active",
        )
        await remember(db, [row])
        await find_homes(db)
    opened = {"id": "C1", "name": "incidents", "created": 1}
    await slack(rig, {"type": "channel_created", "channel": opened, "event_ts": "1000000000.0001"})


async def deployed(
    rig: Rig, name: str, sha: str, when: datetime, environment: str = "production", **more: Any
) -> str:
    """Report a deployment of acme/api that succeeded, over the API; return its id."""
    told = {"id": name, "repo_id": "acme/api", "sha": sha, "environment": environment}
    told |= {"finished_at": iso(when), "created_at": iso(when - timedelta(minutes=3))}
    body = await call(rig, "POST", "/deployments", told | more)
    return str(body["id"])
