"""What is said in Slack when production breaks, as its Events API tells it.

docs.slack.dev/apis/events-api. The talk has dice of its own, so that the rest of the story is the
same with and without it.
"""

from datetime import datetime, timedelta
from typing import Any

from bot.sample.people import PEOPLE, Person
from bot.sample.world import Delivery, Repository, Shipped, Spoken, Steps, World

TEAM = "T05ACMEHQ"
APP = "A06VEELOCITY"
BOT_USER = "U06VEELOBOT"
INCIDENTS, BILLING_ALERTS = "C06INCIDENT", "C06BILLALRT"
CHANNELS = {INCIDENTS: "incidents", BILLING_ALERTS: "alerts-billing"}
ALARM = {"bot_id": "B06ALERTMGR", "name": "Alertmanager"}

OPENINGS = (
    "SEV{severity}: errors in production of {name}",
    "Outage: {name} answers 500 for some customers (sev{severity})",
    "sev{severity} - {name} is degraded since a few minutes",
)
ELSEWHERE = (
    "sev3: our CDN provider has an outage, pages are slow",
    "sev4: support's mailbox is down",
)
CHATTER = ("Who is on call next week?", "Thanks everybody for last night.", "Retro is at three.")
LOOKING = ("Looking.", "I see it too, on it.", "Can reproduce it.")
ENDINGS = ("resolved, error rate is back to normal", "Resolved: all green again.")


def open_channels(world: World) -> Steps:
    """The bot is invited to the two channels on the first day, and learns who is there."""
    for channel, name in CHANNELS.items():
        made = {"id": channel, "name": name, "created": int(world.start.timestamp())}
        made["creator"] = account(PEOPLE[0])
        tell(world, {"type": "channel_created", "channel": made})
        joined = {"type": "member_joined_channel", "user": BOT_USER, "channel": channel}
        tell(world, {**joined, "channel_type": "C", "team": TEAM, "inviter": account(PEOPLE[0])})
    for person in PEOPLE:
        tell(world, {"type": "user_change", "user": profile(world, person)})
    yield from ()


def outage(
    world: World, repo: Repository, person: Person, lasts: timedelta, culprit: Shipped | None
) -> Steps:
    """A thread from "it is broken" to "it is resolved"."""
    severity, opened_at = world.talk.choice((1, 2, 2, 3)), world.now
    channel = BILLING_ALERTS if repo.plan.name == "billing" else INCIDENTS
    alarm = world.talk.random() < 0.3
    root = fire(world, channel, repo, severity) if alarm else None
    if root is None:
        words = world.talk.choice(OPENINGS).format(severity=severity, name=repo.name)
        root = say(world, channel, person, words)
    spoken = Spoken(repo.plan.id, f"slack:{TEAM}:{channel}:{root}", f"sev{severity}", opened_at)
    world.spoken.append(spoken)
    yield opened_at + timedelta(seconds=world.talk.randint(30, 90))
    react(world, channel, root, "eyes", world.talk.choice(PEOPLE))
    helper = world.talk.choice(PEOPLE)
    say(world, channel, helper, world.talk.choice(LOOKING), root)
    if culprit and culprit.pr and world.talk.random() < 0.3:
        yield opened_at + timedelta(minutes=3)
        say(world, channel, helper, f"I think it is {repo.full_name}#{culprit.pr.number}", root)
    yield opened_at + lasts
    if world.talk.random() < 0.6:
        react(world, channel, root, "white_check_mark", person)
    else:
        say(world, channel, person, world.talk.choice(ENDINGS), root)
    spoken.resolved_at = world.now


def quiet_talk(world: World) -> Steps:
    """Now and then somebody says something that is no incident, or one of somebody else's."""
    while True:
        yield world.now + timedelta(minutes=world.talk.randint(3600, 18000))
        person = world.talk.choice(PEOPLE[:-1])
        if world.talk.random() < 0.3:
            opened_at = world.now
            root = say(world, INCIDENTS, person, world.talk.choice(ELSEWHERE))
            yield opened_at + timedelta(minutes=world.talk.randint(30, 200))
            react(world, INCIDENTS, root, "white_check_mark", person)
        else:
            say(world, INCIDENTS, person, world.talk.choice(CHATTER))


def fire(world: World, channel: str, repo: Repository, severity: int) -> str:
    """An alarm of the monitoring, as its bot posts it."""
    ts = stamp(world)
    words = f"[FIRING:1] HighErrorRate in production of {repo.name} (sev{severity})"
    event = {"type": "message", "subtype": "bot_message", "ts": ts, "text": words}
    event |= {"bot_id": ALARM["bot_id"], "username": ALARM["name"]}
    tell(world, {**event, "channel": channel, "channel_type": "channel", "event_ts": ts})
    return ts


def say(world: World, channel: str, person: Person, words: str, thread: str | None = None) -> str:
    """A message, or a reply in a thread; return its timestamp, which is its id."""
    ts = stamp(world)
    event = {"type": "message", "user": account(person), "text": words, "ts": ts, "team": TEAM}
    event |= {"thread_ts": thread} if thread else {}
    tell(world, {**event, "channel": channel, "channel_type": "channel", "event_ts": ts})
    return ts


def react(world: World, channel: str, ts: str, emoji: str, person: Person) -> None:
    """A reaction to a message."""
    event = {"type": "reaction_added", "user": account(person), "reaction": emoji}
    item = {"type": "message", "channel": channel, "ts": ts}
    tell(world, {**event, "item": item, "item_user": BOT_USER, "event_ts": stamp(world)})


def stamp(world: World) -> str:
    """The time now as Slack writes it: seconds, and a number that makes it unique."""
    return f"{int(world.now.timestamp())}.{world.count('slack') % 1_000_000:06d}"


def account(person: Person) -> str:
    """Somebody's id in Slack."""
    return f"U06{person.id:08d}"


def profile(world: World, person: Person) -> dict[str, Any]:
    """Somebody as `user_change` describes them."""
    return {
        "id": account(person),
        "team_id": TEAM,
        "name": person.login.replace("-", "."),
        "deleted": False,
        "real_name": person.name,
        "tz": str(person.zone),
        "profile": {"real_name": person.name, "email": person.work_email},
        "is_bot": False,
        "updated": int(world.now.timestamp()),
    }


def tell(world: World, event: dict[str, Any]) -> None:
    """Put an event into the post."""
    event_id = f"Ev06{world.count('slack event'):08d}"
    body = envelope(event, event_id, world.now)
    world.others.append(Delivery(str(event["type"]), event_id, body, world.now, "slack"))


def envelope(event: dict[str, Any], event_id: str, at: datetime) -> dict[str, Any]:
    """An event as Slack wraps it."""
    return {
        "token": "not used",
        "team_id": TEAM,
        "api_app_id": APP,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(at.timestamp()),
        "authorizations": [
            {"enterprise_id": None, "team_id": TEAM, "user_id": BOT_USER, "is_bot": True}
        ],
        "is_ext_shared_channel": False,
    }
