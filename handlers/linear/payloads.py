"""Fragments of Linear's payloads, each with only the fields that are read.

A webhook and the API tell the same things in two shapes: lists are plain in one and `{"nodes": …}`
in the other, the id of a thing is beside it or in it. Both are read by the same models.
<https://studio.apollographql.com/public/Linear-Webhooks/variant/current/home>
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

import models
from models.columns import EPOCH

MOST_LABELS = 250


def utc(at: datetime) -> datetime:
    """Return a time in UTC; one without an offset is in UTC already."""
    try:
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("the time is beyond the years 1 to 9999 in UTC") from None


def listed(value: object) -> object:
    """Return the nodes of a connection, or a list as it is."""
    return value.get("nodes", []) if isinstance(value, dict) else value or []


Time = Annotated[datetime, AfterValidator(utc)]
Id = Annotated[str, Field(min_length=1, max_length=100)]
Text = Annotated[str, Field(max_length=2**26)]  # a bound makes pydantic refuse lone surrogates
Name = Annotated[str, Field(min_length=1, max_length=512)]
Count = Annotated[int, Field(ge=0, lt=2**31)]


class Told(BaseModel):
    """Anything of Linear's: its names are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Person(Told):
    """Somebody. `app`: it is a program. Not every payload tells the e-mail."""

    id: Id
    name: Text | None = None
    email: Text | None = None
    app: bool = False

    @property
    def key(self) -> str:
        """The key of the account."""
        return key(self.id)


class Actor(Told):
    """Who did it: `type` is user, or OauthClient or integration for programs."""

    id: Id | None = None
    name: Text | None = None
    email: Text | None = None
    type: Text | None = None


class Team(Told):
    """The team of an issue."""

    id: Id
    key: Name | None = None
    name: Name | None = None


class Label(Told):
    """A label of an issue."""

    id: Id
    name: Name


class State(Told):
    """The state of an issue, or of a project, in its workflow."""

    name: Text | None = None
    type: Text | None = None


class Named(Told):
    """Something by its id."""

    id: Id


Labels = Annotated[list[Label], BeforeValidator(listed), Field(max_length=MOST_LABELS)]


class Event(BaseModel):
    """What every payload has in common. `updated_from`: what changed, as it was before.

    `organization_id` is ours, not Linear's.
    """

    action: Text = ""
    actor: Actor | None = None
    created_at: Time | None = Field(default=None, alias="createdAt")
    updated_from: dict[str, Any] | None = Field(default=None, alias="updatedFrom")
    organization_id: str
    received_at: Time

    @property
    def removed(self) -> bool:
        """Whether the thing is gone."""
        return self.action == "remove"

    def clock(self, updated_at: datetime) -> datetime:
        """Return when something became what it is: a removal and its undoing are no update."""
        if self.action not in ("remove", "restore") or self.created_at is None:
            return updated_at
        return max(updated_at, self.created_at)


def key(linear_id: str) -> str:
    """Return the key of something of Linear's."""
    return f"linear:{linear_id}"


def maybe_key(linear_id: str | None, thing: Named | None = None) -> str | None:
    """Return the key of something that is told by its id or as a whole; None where by neither."""
    found = linear_id or (thing.id if thing else None)
    return key(found) if found else None


def identity(person: Person, organization_id: str, at: datetime) -> models.Identity:
    """Return the row of an account; without its e-mail it gives way to any that tells one."""
    email = (person.email or "").strip().lower() or None
    return models.Identity(
        id=f"{organization_id}/{person.key}",
        organization_id=organization_id,
        changed_at=at if email else EPOCH,
        source="linear",
        account=person.key,
        name=person.name,
        email=email,
        bot=person.app,
    )


def people(event: Event, at: datetime, *persons: Person | None) -> Iterator[models.Identity]:
    """Yield the accounts of those whom a payload names, the one who did it included."""
    actor = event.actor
    known = {each.id: each for each in persons if each}
    if actor and actor.id and actor.type in (None, "user"):
        known.setdefault(actor.id, Person(id=actor.id, name=actor.name, email=actor.email))
    for person in known.values():
        yield identity(person, event.organization_id, at)
