"""How a handler is registered and asked."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, ValidationError

from handlers import SOURCES, decide
from handlers.events import Decision, Job, Note, Source
from models import Ref

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Told(BaseModel):
    number: int
    organization_id: str
    received_at: datetime


def asked() -> Source:
    source = Source("test")

    @source.on("thing")
    def thing_happened(event: Told) -> Iterator[Decision]:
        yield Ref(id="1", repository_id="r", ref_type="branch", name=event.organization_id)
        yield Note(f"{event.number} at {event.received_at:%Y}.")

    @source.on("thing.done")
    def thing_done(event: Told) -> Iterator[Decision]:
        yield Job("look", key="look")

    source.ignore("noise", because="It is noise.")
    return source


def test_handlers_of_event_and_action_are_asked_in_turn():
    found = asked().decide("thing", {"action": "done", "number": 1}, "org", NOW)
    assert found.known
    assert found.says == (
        {"handler": "thing_happened", "remember": "refs", "id": "1"},
        {"handler": "thing_happened", "note": "1 at 2026."},
        {"handler": "thing_done", "job": "look", "key": "look"},
    )
    assert [(row.name, row.organization_id) for row in found.rows] == [("org", "org")]


@pytest.mark.parametrize("action", ["started", None, 3, ["done"]])
def test_an_action_nobody_registered_asks_the_handlers_of_the_event(action):
    assert asked().decide("thing", {"action": action, "number": 1}, "org", NOW).jobs == ()


def test_an_ignored_event_says_why():
    found = asked().decide("noise", {}, "org", NOW)
    assert (found.known, found.says) == (False, ({"note": "It is noise."},))


def test_an_unknown_event_says_that_nobody_registered():
    found = asked().decide("news", {}, "org", NOW)
    assert found.says == ({"note": "nobody registered for 'news'"},)


def test_a_lacking_field_is_named():
    with pytest.raises(ValidationError, match="number"):
        asked().decide("thing", {}, "org", NOW)


def test_a_payload_cannot_say_whose_it_is_or_when_it_came():
    forged = {"number": 1, "organization_id": "other", "received_at": "2001-01-01T00:00:00Z"}
    found = asked().decide("thing", forged, "org", NOW)
    assert found.rows[0].name == "org"
    assert found.says[1]["note"] == "1 at 2026."


def test_a_source_is_asked_by_its_name():
    assert "github" in SOURCES
    assert decide("github", "ping", {}, "org", NOW).known
    with pytest.raises(KeyError):
        decide("gitlab", "ping", {}, "org", NOW)
