"""Remember repositories and who works in them, from whatever payload mentions them."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel, Field

import models
from handlers.events import Decision
from handlers.github.cohorts import kind
from handlers.github.payloads import (
    Event,
    Name,
    Repository,
    User,
    collect_all_changes,
    link_issues,
    measure_pull_requests,
)
from handlers.github.source import github
from models.columns import EPOCH

MENTIONED, CHANGED, DELETED = 0, 1, 2
MEASURED_BY = frozenset({"renamed", "transferred", "edited"})


class Before(BaseModel):
    """A name as it was."""

    before: Name = Field(alias="from")


class Named(BaseModel):
    """What changed of a repository itself."""

    name: Before | None = None


class Account(BaseModel):
    """Who had a repository."""

    login: Name


class Accounts(BaseModel):
    """Who had a repository: an organisation or a person."""

    organization: Account | None = None
    user: Account | None = None


class Given(BaseModel):
    """From whom a repository came."""

    before: Accounts | None = Field(default=None, alias="from")


class Changes(BaseModel):
    """What is different now: a repository's name, or whose it is."""

    repository: Named | None = None
    owner: Given | None = None


class RepositoryEvent(Event):
    """`repository.*`. `changes` is there where it was renamed, transferred or edited."""

    changes: Changes | None = None

    @property
    def former(self) -> str | None:
        """The full name that the repository had before, where this says so."""
        owner, _, name = (self.repository.full_name or "").partition("/")
        changes = self.changes or Changes()
        given = changes.owner.before if changes.owner else None
        giver = (given.organization or given.user) if given else None
        if changes.repository and changes.repository.name:
            return f"{owner}/{changes.repository.name.before}".lower()
        return f"{giver.login}/{name}".lower() if giver else None


@github.on("repository")
def repository_changed(event: RepositoryEvent) -> Iterator[Decision]:
    """A repository keeps its id, and so its history, when renamed, transferred or deleted.

    What was measured of it names its address, owner and default branch, and is measured again.
    """
    repository, at = event.repository, event.repository.updated_at or event.received_at
    deleted = event.action == "deleted"
    yield described(
        repository,
        at,
        rank=DELETED if deleted else CHANGED,
        deleted_at=event.received_at if deleted else None,
    )
    if event.former:
        yield models.RepositoryName(
            id=f"github:{event.former}",
            changed_at=at,
            full_name=event.former,
            repository_id=repository.key,
        )
    if event.sender:
        yield contributor(event.sender, at)
    if event.action in MEASURED_BY:
        yield collect_all_changes(repository)
        yield measure_pull_requests(repository, None)
        yield link_issues(repository, None)


def seen(event: Event, at: datetime, *users: User | None) -> Iterator[Decision]:
    """Yield the repository of a payload, and who had a part in it, as of the payload's time.

    A repository without `updated_at` is a trimmed one: it never replaces what a full one said.
    """
    if event.repository.full_name:
        yield described(event.repository, event.repository.updated_at or EPOCH, rank=MENTIONED)
    people = {user.id: user for user in (event.sender, *users) if user}
    for user in people.values():
        yield contributor(user, at)


def described(
    repository: Repository, at: datetime, *, rank: int, deleted_at: datetime | None = None
) -> models.Repository:
    """Return the row of a repository."""
    full_name = repository.full_name or str(repository.id)
    owner = repository.owner.login if repository.owner else full_name.partition("/")[0]
    return models.Repository(
        id=repository.key,
        changed_at=at,
        rank=rank,
        full_name=full_name,
        owner_login=owner,
        default_branch=repository.default_branch or "main",
        private=bool(repository.private),
        archived=bool(repository.archived),
        fork=bool(repository.fork),
        url=repository.html_url,
        created_at=repository.created_at,
        deleted_at=deleted_at,
    )


def contributor(user: User, at: datetime) -> models.Contributor:
    """Return the row of a person, bot or agent, with the name they had at a time."""
    return models.Contributor(id=user.key, changed_at=at, login=user.login, kind=kind(user))
