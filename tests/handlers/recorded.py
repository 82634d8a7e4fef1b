"""The suite's own recorded deliveries, and a naive store for what follows from them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

from handlers import Decided, decide
from models.columns import Fact
from models.store import columns

ROOT = Path(__file__).parents[2]
STORY = ROOT / "tests" / "payloads" / "github.ndjson"
SHARED = ROOT.parent / "shared" / "payloads" / "github"
RECEIVED_AT = datetime(2026, 9, 30, tzinfo=UTC)

ZERO = "0" * 40
NAMES = ("v0", "v1", "c1", "c2", "c2b", "m1", "m2", "annotated tag v2.0.0")
C = {name: sha1(name.encode()).hexdigest() for name in NAMES}

Delivery = tuple[str, dict[str, Any]]
Arrived = tuple[str, dict[str, Any], datetime]


@cache
def story() -> list[Delivery]:
    """Return event and body of each recorded delivery, in the order they were sent."""
    lines = [json.loads(line) for line in STORY.read_text().splitlines()]
    return [(line["headers"]["X-GitHub-Event"], line["body"]) for line in lines]


def recorded(event: str, action: str | None = None, nth: int = 0) -> dict[str, Any]:
    """Return the body of the nth recorded delivery of an event, as a copy."""
    found = [body for name, body in story() if name == event and body.get("action") == action]
    return json.loads(json.dumps(found[nth]))


def decided(event: str, body: dict[str, Any], received_at: datetime = RECEIVED_AT) -> Decided:
    return decide("github", event, body, "github:9001", received_at)


def said(event: str, body: dict[str, Any]) -> list[str]:
    """Return the decisions as lines: table and id, job, or note."""
    return [line(spoken) for spoken in decided(event, body).says]


def line(spoken: dict[str, Any]) -> str:
    if "job" in spoken:
        return f"job {spoken['job']}"
    return spoken["note"] if "note" in spoken else f"{spoken['remember']} {spoken['id']}"


def row(table: str, event: str, body: dict[str, Any]) -> Any:
    """Return the only row of a table that follows."""
    return only(table, decided(event, body))


def only(table: str, found: Decided) -> Any:
    """Return the only row of a table among what was decided."""
    (row,) = [fact for fact in found.rows if fact.__tablename__ == table]
    return row


def arrived(deliveries: Iterable[Delivery]) -> list[Arrived]:
    """Give each delivery the time it was received at, a second apart."""
    return [
        (event, body, RECEIVED_AT + timedelta(seconds=number))
        for number, (event, body) in enumerate(deliveries)
    ]


def tables(deliveries: Iterable[Arrived]) -> dict[Any, Any]:
    """Return what a store would hold after deliveries that arrived at some time."""
    return held(fact for each in deliveries for fact in decided(*each).rows)


def held(facts: Iterable[Fact]) -> dict[Any, Any]:
    """Return what a store would hold: by table and id, the greatest of clock, rank and content."""
    kept: dict[Any, Any] = {}
    for fact in facts:
        name, age = (fact.__tablename__, fact.id), (fact.changed_at, fact.rank, spelled(fact))
        kept[name] = max(kept.get(name, age), age)
    return kept


def spelled(fact: Fact) -> str:
    return json.dumps({name: str(getattr(fact, name)) for name in columns(type(fact))})
