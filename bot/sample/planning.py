"""What Linear tells of the work: teams, projects, cycles, and issues that become branches.

linear.app/developers/webhooks. Dated by dice of its own, so that the rest of the story stays.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from bot.sample.people import ADMIN, PEOPLE, Person
from bot.sample.world import Delivery, Steps, World

WORKSPACE = "5b1c9a52-2f0e-4d0c-9d0e-6f1f2a3b4c5d"
ADDRESS = "https://linear.app/acme"
CYCLE_DAYS = 14
STATES = {
    "unstarted": "Todo",
    "started": "In Progress",
    "completed": "Done",
    "canceled": "Canceled",
}


def made_id(*about: object) -> str:
    """The id that Linear gave something."""
    return str(UUID(int=Random(f"linear:{about}").getrandbits(128), version=4))


TEAM = {"id": made_id("team"), "key": "ENG", "name": "Engineering"}
PROJECT = made_id("project")


def plans(world: World) -> Steps:
    """The project, and a new cycle every fortnight."""
    at = stamp(world.now)
    project: dict[str, Any] = {
        "id": PROJECT,
        "name": "A faster checkout",
        "state": "started",
        "startedAt": at,
    }
    project |= {"url": f"{ADDRESS}/project/checkout", "teamIds": [TEAM["id"]]}
    tell(world, "Project", "create", dated(project, world.now), ADMIN)
    number = 0
    while True:
        number += 1
        ends = world.now + timedelta(days=CYCLE_DAYS)
        cycle: dict[str, Any] = {"id": made_id("cycle", number), "number": number, "name": None}
        cycle |= {"startsAt": stamp(world.now), "endsAt": stamp(ends), "teamId": TEAM["id"]}
        tell(world, "Cycle", "create", dated(cycle, world.now), ADMIN)
        yield ends
        cycle |= {"completedAt": stamp(world.now)}
        tell(world, "Cycle", "update", dated(cycle, world.now), ADMIN)


def planned(world: World, wanted: int, title: str, person: Person) -> int:
    """An issue that somebody had written some days ago and now begins; return its number."""
    number = wanted
    while number in world.numbers:
        number += 900
    world.numbers.add(number)
    waited = timedelta(hours=round(world.talk.expovariate(1 / 50), 2) + 1)
    created_at = (world.now - waited).replace(microsecond=0)
    author = world.talk.choice(PEOPLE[:-1])
    written = issue(number, title, created_at, person)
    if created_at >= world.start:
        tell(world, "Issue", "create", dated(written, created_at), author, created_at)
    change(world, written, person, state="started", startedAt=stamp(world.now))
    world.planned[number] = written
    return number


def finished(world: World, number: int | None, person: Person, *, merged: bool) -> None:
    """An issue is done, or given up, with its pull request."""
    if number is None:
        return
    state, field = ("completed", "completedAt") if merged else ("canceled", "canceledAt")
    change(world, world.planned.pop(number), person, state=state, **{field: stamp(world.now)})


def issue(number: int, title: str, created_at: datetime, person: Person) -> dict[str, Any]:
    """An issue as it is written."""
    identifier = f"{TEAM['key']}-{number}"
    slug = title.lower().replace(" ", "-")
    return {
        "id": made_id("issue", number),
        "identifier": identifier,
        "number": number,
        "title": title,
        "description": f"{title}, as agreed.",
        "priority": 1 + number % 4,
        "estimate": 1 + number % 5,
        "url": f"{ADDRESS}/issue/{identifier}/{slug}",
        "branchName": f"{identifier.lower()}-{slug}",
        "teamId": TEAM["id"],
        "team": TEAM,
        "projectId": PROJECT if number % 3 == 0 else None,
        "labelIds": [],
        "labels": [],
        "assigneeId": member(person)["id"],
        "assignee": member(person),
        "createdAt": stamp(created_at),
        **state_of("unstarted"),
    }


def state_of(kind: str) -> dict[str, Any]:
    """A state of the team's workflow."""
    state_id = made_id("state", kind)
    return {"stateId": state_id, "state": {"id": state_id, "name": STATES[kind], "type": kind}}


def change(
    world: World, written: dict[str, Any], person: Person, *, state: str, **more: Any
) -> None:
    """Move an issue on, and tell it if the workspace is connected by now."""
    before = {"stateId": written["stateId"]}
    written |= state_of(state) | more
    if world.now >= world.start:
        tell(world, "Issue", "update", dated(written, world.now), person, updated_from=before)


def dated(written: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Something with the times that everything in Linear has."""
    return {"createdAt": stamp(at), **written, "updatedAt": stamp(at)}


def member(person: Person) -> dict[str, Any]:
    """Somebody as Linear names them."""
    return {"id": made_id("user", person.login), "name": person.name, "email": person.work_email}


def stamp(at: datetime) -> str:
    """A time as Linear writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def tell(  # noqa: PLR0913, PLR0917 - a webhook says so much
    world: World,
    kind: str,
    action: str,
    data: dict[str, Any],
    actor: Person,
    at: datetime | None = None,
    updated_from: dict[str, Any] | None = None,
) -> None:
    """Put a webhook into the post."""
    told_at = at or world.now
    body = {
        "action": action,
        "actor": {**member(actor), "type": "user"},
        "createdAt": stamp(told_at),
        "data": data,
        "url": data.get("url"),
        "type": kind,
        "organizationId": WORKSPACE,
        "webhookTimestamp": int(told_at.timestamp() * 1000),
        "webhookId": made_id("webhook"),
    }
    body |= {"updatedFrom": updated_from} if updated_from else {}
    delivery_id = made_id("delivery", world.seed, world.count("linear"))
    world.others.append(Delivery(kind, delivery_id, body, told_at, "linear"))
