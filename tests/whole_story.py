"""One small history as GitHub, Slack and Linear deliver it, with what people said beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.story import OTHER, PERSON, Story, at, iso, sha

CHANNEL = "C1"
HOME = "github:77"
WORKSPACE = "9a1f6f0e-3f0c-4a7e-9d3f-0c1a5be0d111"
MEMBER = {"id": "u-1", "name": "Ada", "email": "ada@acme.example", "type": "user"}
EMPTY = "cast(array[] as text[])"
TEAM = {"id": "t-1", "key": "ENG", "name": "Engineering"}
SQUAD = {"name": "Payments", "id": 6001, "slug": "payments"}


@dataclass(frozen=True)
class Told:
    """One thing that is told. `source` is people for SQL that stands for what they do in the app,
    with the orders that follow from it.
    """

    source: str
    event: str
    payload: dict[str, Any] = field(default_factory=dict)


def stamp(when: datetime) -> str:
    """Return Slack's id of a message of that time."""
    return f"{when.timestamp():.0f}.000100"


def slack(event: dict[str, Any]) -> Told:
    """Return an event of Slack."""
    return Told("slack", event["type"], event)


def posted(words: str, when: str, root: str = "", *, channel: str = CHANNEL, **more: Any) -> Told:
    """Post a message; `root`: when the message was posted that it answers."""
    ts, reply = stamp(at(when)), {"thread_ts": stamp(at(root))} if root else {}
    said = {"user": "U1", "text": words, "ts": ts, "event_ts": ts, **reply, **more}
    return slack({"type": "message", "channel": channel, "channel_type": "channel", **said})


def edited(words: str, of: str, when: str, root: str = "", *, channel: str = CHANNEL) -> Told:
    """Edit a message."""
    reply = {"thread_ts": stamp(at(root))} if root else {}
    ts = stamp(at(when))
    message = {"type": "message", "user": "U1", "text": words, "ts": stamp(at(of)), **reply}
    message |= {"edited": {"user": "U1", "ts": ts}}
    said = {"subtype": "message_changed", "channel": channel, "event_ts": ts, "ts": ts}
    return slack({"type": "message", **said, "message": message, "previous_message": message})


def deleted(of: str, when: str, root: str = "", *, channel: str = CHANNEL) -> Told:
    """Delete a message."""
    reply = {"thread_ts": stamp(at(root))} if root else {}
    ts = stamp(at(when))
    before = {"type": "message", "user": "U1", "text": "x", "ts": stamp(at(of)), **reply}
    said = {"subtype": "message_deleted", "channel": channel, "event_ts": ts, "ts": ts}
    there = {"deleted_ts": stamp(at(of)), "previous_message": before}
    return slack({**said, "type": "message", **there})


def reacted(emoji: str, of: str, when: str, *, added: bool = True, channel: str = CHANNEL) -> Told:
    """Put a reaction on a message, or take it away."""
    item = {"type": "message", "channel": channel, "ts": stamp(at(of))}
    kind = "reaction_added" if added else "reaction_removed"
    said = {"user": "U2", "reaction": emoji, "item": item, "event_ts": stamp(at(when))}
    return slack({"type": kind, **said})


def channel(
    name: str, when: str, *, channel: str = CHANNEL, event: str = "channel_created"
) -> Told:
    """Make a channel known by its name."""
    told = {"id": channel, "name": name, "created": 1788250000}
    return slack({"type": event, "channel": told, "event_ts": stamp(at(when))})


def linear(event: str, action: str, when: str, data: dict[str, Any], **more: Any) -> Told:
    """Return a webhook of Linear."""
    body = {
        "type": event, "action": action, "actor": MEMBER, "createdAt": iso(at(when)),
        "organizationId": WORKSPACE, "data": data, "webhookId": "w-1", **more,
    }  # fmt: skip
    return Told("linear", event, body)


def ticket(number: int, title: str, made: str, when: str, **more: Any) -> dict[str, Any]:
    """Return an issue of Linear as it stood at a time."""
    labels = [{"id": f"l-{name}", "name": name} for name in more.pop("labels", ())]
    return {
        "id": f"i-{number}", "identifier": f"ENG-{number}", "number": number, "title": title,
        "url": f"https://linear.app/acme/issue/ENG-{number}/x", "team": TEAM, "teamId": TEAM["id"],
        "state": {"name": "Todo", "type": "unstarted"}, "labels": labels, "description": None,
        "creator": {key: MEMBER[key] for key in ("id", "name", "email")}, "creatorId": MEMBER["id"],
        "createdAt": iso(at(made)), "updatedAt": iso(at(when)), "startedAt": None,
        "completedAt": None, "canceledAt": None, **more,
    }  # fmt: skip


def attachment(number: int, issue: int, url: str, when: str) -> dict[str, Any]:
    """Return what is attached to an issue of Linear."""
    times = {"createdAt": iso(at(when)), "updatedAt": iso(at(when))}
    return {"id": f"a-{number}", "issueId": f"i-{issue}", "url": url, **times}


def issue(
    story: Story, action: str, number: int, when: str, *labels: str, body: str = "", **more: Any
) -> None:
    """Write what GitHub tells of an issue that was opened on 09-01 at 11:00."""
    described = {
        "id": 9_000_000 + number, "number": number, "title": "Checkout is down", "body": body,
        "state": "open", "user": PERSON, "labels": [{"name": name} for name in labels],
        "created_at": iso(at("09-01 11:00")), "updated_at": iso(at(when)), "closed_at": None,
        "html_url": f"https://github.com/{story.full_name}/issues/{number}",
    }  # fmt: skip
    story.tell("issues", at(when), action=action, issue=described | more)


def team(story: Story, event: str, action: str, when: str, **more: Any) -> None:
    """Write what GitHub tells of the team."""
    story.tell(event, at(when), action=action, team=SQUAD, **more)


def reviewed(story: Story, number: int, when: datetime) -> None:
    """Write an approving review."""
    review = {"id": story.number(), "user": OTHER, "state": "approved", "submitted_at": iso(when)}
    about = {"id": 70_000 + number, "number": number}
    story.tell("pull_request_review", when, action="submitted", review=review, pull_request=about)


def renamed(story: Story, name: str, when: datetime) -> None:
    """Write that the repository was renamed."""
    former, story.name = story.name, name
    changes = {"repository": {"name": {"from": former}}}
    repository = story.repository(when) | {"updated_at": iso(when)}
    story.tell("repository", when, action="renamed", changes=changes, repository=repository)


def api() -> Story:
    """Write a service with a rollback, a revert, a hotfix, staging, an incident and a team."""
    story = Story()
    story.baseline()
    story.baseline("staging")
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1", title="ENG-12 Round prices")
    reviewed(story, 1, at("09-01 08:30"))
    story.deploy("v1", at("09-01 10:00"))
    story.pull_request(2, at("09-01 09:10"), at("09-01 10:05"), "v2", branch="eng-12-more")
    story.deploy("v2", at("09-01 10:20"), "staging")
    story.deploy("v2", at("09-01 10:30"))
    issue(story, "opened", 31, "09-01 11:00", body="since #1")
    issue(story, "labeled", 31, "09-01 11:05", "incident", "sev2", body="since #1")
    story.deploy("v1", at("09-01 11:30"))
    closed = {"state": "closed", "closed_at": iso(at("09-01 12:00"))}
    issue(story, "closed", 31, "09-01 12:00", "incident", "sev2", body="since #1", **closed)
    issue(story, "reopened", 31, "09-01 12:30", "incident", "sev2", body="since #1")
    closed = {"state": "closed", "closed_at": iso(at("09-01 13:00"))}
    issue(story, "closed", 31, "09-01 13:00", "incident", "sev2", body="since #1", **closed)
    reverting = 'Revert "Feature 2" (#2)'
    story.pull_request(3, at("09-01 13:00"), at("09-01 13:10"), "v3", title=reverting)
    story.deploy("v3", at("09-01 13:20"))
    story.push("main", at("09-02 14:00"), [story.commit("h1", at("09-02 13:50"), "hotfix: stop")])
    begun = at("09-02 14:10")
    story.attempt("h1", begun, ("failure", begun + timedelta(minutes=2)))
    story.deploy("h1", at("09-02 14:30"))
    team(story, "team", "created", "09-01 08:00")
    team(story, "membership", "added", "09-01 08:01", member=PERSON)
    team(story, "membership", "added", "09-01 08:02", member=OTHER)
    team(story, "membership", "removed", "09-01 08:03", member=OTHER)
    story.tell("team", at("09-01 08:04"), action="added_to_repository", team=SQUAD)
    renamed(story, "backend", at("09-03 09:00"))
    return story


def web() -> Story:
    """Write a second repository, which becomes known to the same installation later."""
    story = Story("web", 901, deliveries=[("", {})], next_id=50_000)
    story.deliveries.clear()
    story.push("main", at("08-30 09:00"), [story.commit("w0", at("08-30 09:00"))])
    story.deploy("w0", at("08-31 12:00"))
    story.push("main", at("09-02 08:00"), [story.commit("w1", at("09-02 07:00"), "Show prices")])
    story.deploy("w1", at("09-02 08:30"))
    renamed(story, "shop", at("09-03 08:00"))
    return story


def talk() -> list[Told]:
    """Write what is said in Slack: incidents, and some that only seemed to be."""
    alert = {"bot_id": "B1", "username": "PagerDuty", "subtype": "bot_message"}
    return [
        channel("general", "08-31 07:00"),
        channel("incidents", "08-31 08:00", event="channel_rename"),
        channel("alerts-web", "08-31 08:00", channel="C2"),
        posted("api otage", "09-01 11:10"),
        edited("api outage, sev3 since https://github.com/acme/api/pull/2", "09-01 11:10",
               "09-01 11:11"),
        posted("raising to sev1", "09-01 11:20", "09-01 11:10"),
        posted("resolved", "09-01 11:40", "09-01 11:10"),
        deleted("09-01 11:40", "09-01 11:41", "09-01 11:10"),
        reacted("white_check_mark", "09-01 11:20", "09-01 11:50"),
        reacted("white_check_mark", "09-01 11:20", "09-01 11:55", added=False),
        reacted("white_check_mark", "09-01 11:10", "09-01 12:15"),
        posted("outage, nobody can pay", "09-02 09:00"),
        posted("resolved", "09-02 09:45", "09-02 09:00"),
        posted("outage or not?", "09-02 10:00"),
        edited("all is well", "09-02 10:00", "09-02 10:05"),
        posted("outage", "09-02 11:00"),
        deleted("09-02 11:00", "09-02 11:05"),
        posted("Disk full", "09-02 09:10", channel="C2", **alert),
        posted("it seems slow", "09-02 15:00", channel="C2"),
        reacted("rotating_light", "09-02 15:00", "09-02 15:05", channel="C2"),
        reacted("rotating_light", "09-02 15:00", "09-02 15:06", channel="C2", added=False),
        reacted("rotating_light", "09-02 15:00", "09-02 15:07", channel="C2"),
        slack({
            "type": "user_change", "event_ts": stamp(at("09-01 09:00")),
            "user": {"id": "U1", "name": "ada", "updated": 1788200000, "profile": {
                "real_name": "Ada", "email": "ada@acme.example"}},
        }),
    ]  # fmt: skip


def planning() -> list[Told]:
    """Write what Linear tells: an issue that is developed, two incidents, attachments."""
    one, pull = "09-01 07:00", "https://github.com/acme/api/pull"
    done = {"state": {"name": "Done", "type": "completed"}}
    return [
        linear("Issue", "create", one, ticket(12, "Round prices", one, one)),
        linear("Issue", "update", "09-01 14:00", ticket(
            12, "Round prices", one, "09-01 14:00", completedAt=iso(at("09-01 14:00")), **done)),
        linear("Issue", "create", "09-02 09:05",
               ticket(13, "Cannot pay at acme/web", "09-02 09:05", "09-02 09:05")),
        linear("Issue", "update", "09-02 09:06", ticket(
            13, "Cannot pay at acme/web", "09-02 09:05", "09-02 09:06", labels=["incident"]),
            updatedFrom={"labelIds": []}),
        linear("Issue", "update", "09-02 10:00", ticket(
            13, "Cannot pay at acme/web", "09-02 09:05", "09-02 10:00", labels=["incident", "p1"],
            completedAt=iso(at("09-02 10:00")), **done)),
        linear("Issue", "create", "09-02 09:15",
               ticket(14, "Not so", "09-02 09:15", "09-02 09:15", labels=["incident"])),
        linear("Issue", "remove", "09-02 09:30",
               ticket(14, "Not so", "09-02 09:15", "09-02 09:15", labels=["incident"])),
        linear("Attachment", "create", "09-01 09:00",
               attachment(1, 12, f"{pull}/1", "09-01 09:00")),
        linear("Attachment", "create", "09-01 13:30",
               attachment(2, 13, f"{pull}/3", "09-01 13:30")),
        linear("Attachment", "create", "09-01 13:31",
               attachment(3, 12, f"{pull}/3", "09-01 13:31")),
        linear("Attachment", "remove", "09-01 13:32",
               attachment(3, 12, f"{pull}/3", "09-01 13:31")),
    ]  # fmt: skip


def said(statement: str, *orders: tuple[str, dict[str, Any]]) -> Told:
    """Return something that people do in the app, and the orders that follow from it."""
    return Told("people", statement, {"orders": orders})


def following(incident: str) -> tuple[str, dict[str, Any]]:
    """Return the order to derive an incident anew."""
    return "follow_incident", {"key": f"follow_incident:{incident}", "incident": incident}


def opinions() -> list[Told]:
    """Write what people correct, link, unlink and configure, each of it once."""
    thread = f"slack:T1:{CHANNEL}:{stamp(at('09-01 11:10'))}"
    second = f"slack:T1:{CHANNEL}:{stamp(at('09-02 09:00'))}"
    again = ("judge_again", {"key": f"judge_again:{HOME}"})
    anew = ("read_incidents_again", {"key": f"read_incidents_again:{HOME}"})
    every = ("collect_changes", {
        "key": "collect_changes:github:901", "repository": "github:901", "all": True,
    })  # fmt: skip
    when = "'2026-09-03 10:00Z'"
    return [
        said(
            "insert into incident_corrections (incident_id, field, value, by, at) "  # noqa: S608
            f"values ('{thread}', 'severity', 'sev4', 'user:1', {when})",
            following(thread),
        ),
        said(
            "insert into incident_links "  # noqa: S608
            "(incident_id, deployment_id, organization_id, linked, by, at) values "
            f"('{second}', 'github:{{web}}', '{HOME}', true, 'user:1', {when})",
            following(second),
        ),
        said(
            "insert into incident_links "  # noqa: S608
            "(incident_id, deployment_id, organization_id, linked, by, at) values "
            f"('{thread}', 'github:{{api}}', '{HOME}', false, 'user:1', {when})",
            following(thread),
        ),
        said(
            "insert into incident_settings values "  # noqa: S608
            f"('{HOME}', 30, '{{{{\"staging\": 2}}}}', {', '.join([EMPTY] * 7)}, '{{{{}}}}')",
            again,
            anew,
        ),
        said(
            "insert into incident_channels "  # noqa: S608
            "(organization_id, channel, environment, repository_id) "
            f"values ('{HOME}', 'alerts-*', 'production', 'github:901')",
            again,
            anew,
        ),
        said(
            "insert into services (repository_id, organization_id, name, environment, paths) "  # noqa: S608
            f"values ('github:901', '{HOME}', 'shop', 'production', {EMPTY})",
            every,
        ),
    ]


def whole() -> Sequence[Told]:
    """Return everything that is told of the history."""
    service, second = api(), web()
    github = [Told("github", event, body) for event, body in service.deliveries]
    github += [Told("github", event, body) for event, body in second.deliveries]
    ids = {"api": attempt(service, "v2", "production"), "web": attempt(second, "w1", "production")}
    people = [Told(one.source, one.event.format(**ids), one.payload) for one in opinions()]
    return [*github, *talk(), *planning(), *people]


def attempt(story: Story, name: str, environment: str) -> int:
    """Return GitHub's id of the first deployment of a commit."""
    return next(
        int(body["deployment"]["id"])
        for event, body in story.deliveries
        if event == "deployment"
        and body["deployment"]["sha"] == sha(name)
        and body["deployment"]["environment"] == environment
    )
