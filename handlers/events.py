"""How a handler is registered and asked: a source, its events, and what can be decided."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_type_hints

from pydantic import BaseModel

from models.columns import Fact


@dataclass(frozen=True)
class Job:
    """An order for later. Jobs with the same key that still wait become one.

    `since` (optional) is the earliest time the order is about; of merged jobs the earliest stays.
    """

    name: str
    key: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    lane: str = "ingest"


@dataclass(frozen=True)
class Note:
    """A decision to do nothing, in a sentence a person can look up."""

    says: str


Decision = Fact | Job | Note
Handler = Callable[[Any], Iterator[Decision]]


@dataclass(frozen=True)
class Decided:
    """What followed from one delivery. `known`: somebody registered for the event."""

    known: bool
    rows: tuple[Fact, ...] = ()
    jobs: tuple[Job, ...] = ()
    says: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Account:
    """Whom a payload belongs to at its source, before an organisation is found for it.

    `keys` are tried in order (`installation:42`, then `account:9`). `login` is its name there.
    `founding`: the payload may create the organisation (an installation).
    """

    keys: tuple[str, ...]
    login: str | None = None
    account_id: int | None = None
    founding: bool = False


class Source:
    """The handlers of one source, by event (`issues`) or event and action (`issues.labeled`)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.handlers: dict[str, list[tuple[Handler, type[BaseModel]]]] = {}
        self.ignored: dict[str, str] = {}

    def on(self, *events: str) -> Callable[[Handler], Handler]:
        """Register a handler; its payload model is the annotation of its argument."""

        def register(handler: Handler) -> Handler:
            hints = get_type_hints(handler)
            model = next(hint for name, hint in hints.items() if name != "return")
            for event in events:
                self.handlers.setdefault(event, []).append((handler, model))
            return handler

        return register

    def ignore(self, *events: str, because: str) -> None:
        """State that events are left alone on purpose, and why."""
        self.ignored |= dict.fromkeys(events, because)

    def registered(self, event: str, action: str | None) -> list[tuple[Handler, type[BaseModel]]]:
        """Return the handlers of an event, those of its action included."""
        found = self.handlers.get(event, [])
        return found + self.handlers.get(f"{event}.{action}", []) if action else found

    def decide(
        self, event: str, payload: Mapping[str, Any], organization_id: str, received_at: datetime
    ) -> Decided:
        """Ask every handler of the event. Pure: the same arguments give the same decisions.

        A payload model that declares `organization_id` or `received_at` is told them; the latter
        dates what the source itself does not date. Raises `pydantic.ValidationError` where the
        payload lacks what a handler reads.
        """
        action = payload.get("action")
        handlers = self.registered(event, action if isinstance(action, str) else None)
        if not handlers:
            return Decided(known=False, says=({"note": self.why_ignored(event)},))
        told = {**payload, "organization_id": organization_id, "received_at": received_at}
        rows: list[Fact] = []
        jobs: list[Job] = []
        says: list[dict[str, Any]] = []
        for handler, model in handlers:
            for decision in handler(model.model_validate(told)):
                says.append({"handler": handler.__name__, **spoken(decision)})
                if isinstance(decision, Job):
                    jobs.append(decision)
                elif isinstance(decision, Fact):
                    decision.organization_id = decision.organization_id or organization_id
                    rows.append(decision)
        return Decided(known=True, rows=tuple(rows), jobs=tuple(jobs), says=tuple(says))

    def why_ignored(self, event: str) -> str:
        """Say why nobody handles an event."""
        return self.ignored.get(event, f"nobody registered for {event!r}")


def spoken(decision: Decision) -> dict[str, Any]:
    """Return a decision as it is kept on the delivery and read by people."""
    if isinstance(decision, Note):
        return {"note": decision.says}
    if isinstance(decision, Job):
        return {"job": decision.name, "key": decision.key}
    return {"remember": decision.__tablename__, "id": decision.id}
