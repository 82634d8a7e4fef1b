"""Linear's recorded deliveries, and a naive store for what follows from them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from handlers import Decided, decide
from tests.handlers.recorded import ROOT, Delivery, held, line, only

STORY = ROOT / "tests" / "payloads" / "linear.ndjson"
WORKSPACE = "9a1f6f0e-3f0c-4a7e-9d3f-0c1a5be0d111"
ORGANIZATION = "github:9001"
RECEIVED_AT = datetime(2026, 9, 7, 10, 0, 30, tzinfo=UTC)


@cache
def story() -> list[Delivery]:
    """Return event and body of each recorded delivery, in the order they were sent."""
    lines = [json.loads(each) for each in STORY.read_text().splitlines()]
    return [(each["headers"]["Linear-Event"], each["body"]) for each in lines]


def recorded(event: str, action: str, nth: int = 0) -> dict[str, Any]:
    """Return the body of the nth recorded delivery of an event, as a copy."""
    found = [body for name, body in story() if name == event and body["action"] == action]
    copied: dict[str, Any] = json.loads(json.dumps(found[nth]))
    return copied


def about(identifier: str, nth: int = 0) -> dict[str, Any]:
    """Return the nth recorded delivery about an issue, as a copy."""
    found = [
        body
        for name, body in story()
        if name == "Issue" and body["data"]["identifier"] == identifier
    ]
    copied: dict[str, Any] = json.loads(json.dumps(found[nth]))
    return copied


def decided(event: str, body: dict[str, Any], received_at: datetime = RECEIVED_AT) -> Decided:
    return decide("linear", event, body, ORGANIZATION, received_at)


def said(event: str, body: dict[str, Any]) -> list[str]:
    """Return the decisions as lines: table and id, job, or note."""
    return [line(spoken) for spoken in decided(event, body).says]


def row(table: str, event: str, body: dict[str, Any]) -> Any:
    """Return the only row of a table that follows."""
    return only(table, decided(event, body))


def tables(deliveries: Iterable[Delivery]) -> dict[Any, Any]:
    """Return what a store would hold after deliveries."""
    return held(fact for each in deliveries for fact in decided(*each).rows)
