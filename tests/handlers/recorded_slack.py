"""Slack's recorded deliveries as they are kept in the inbox, and what follows from them."""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from handlers import Decided, decide
from tests.handlers.recorded import RECEIVED_AT, ROOT, Arrived, Delivery, held

STORY = ROOT / "tests" / "payloads" / "slack.ndjson"
ORGANIZATION = "github:9001"
TEAM, INCIDENTS, RANDOM, PRIVATE = "T0ACMEHQ1", "C0INCIDEN", "C0RANDOM1", "C0PRIVATE"
BASE = 1789000000


@cache
def lines() -> list[dict[str, Any]]:
    """Return each recorded request: `path`, `headers` and `body`."""
    return [json.loads(line) for line in STORY.read_text().splitlines()]


@cache
def story() -> list[Delivery]:
    """Return event and payload of each recorded event, in the order they were sent."""
    bodies = [line["body"] for line in lines() if line["path"].endswith("/events")]
    return [(body.get("event", body)["type"], body) for body in bodies]


def ts(seconds: int, number: int = 0) -> str:
    """Return a timestamp of the story."""
    return f"{BASE + seconds}.{number:06d}"


def key(seconds: int, number: int, channel: str = INCIDENTS) -> str:
    """Return the key of a message of the story."""
    return f"slack:{TEAM}:{channel}:{ts(seconds, number)}"


def recorded(kind: str, nth: int = 0, **wanted: Any) -> dict[str, Any]:
    """Return the nth recorded payload of an event whose inner event has these values, as a copy."""
    found = [
        body
        for name, body in story()
        if name == kind and all(body["event"].get(each) == wanted[each] for each in wanted)
    ]
    return dict(json.loads(json.dumps(found[nth])))


def decided(kind: str, body: dict[str, Any], received_at: datetime = RECEIVED_AT) -> Decided:
    return decide("slack", kind, body, ORGANIZATION, received_at)


def said(kind: str, body: dict[str, Any]) -> list[str]:
    """Return the decisions as lines: table and id, job and its thing, or note."""
    return [line(spoken) for spoken in decided(kind, body).says]


def line(spoken: dict[str, Any]) -> str:
    if "job" in spoken:
        return f"job {spoken['key']}"
    return spoken["note"] if "note" in spoken else f"{spoken['remember']} {spoken['id']}"


def row(kind: str, body: dict[str, Any]) -> Any:
    """Return the only row that follows."""
    (found,) = decided(kind, body).rows
    return found


def tables(deliveries: Iterable[Arrived]) -> dict[Any, Any]:
    """Return what a store would hold after events that arrived at some time."""
    return held(fact for each in deliveries for fact in decided(*each).rows)
