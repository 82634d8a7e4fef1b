"""Remember what was pushed: the commit graph, as far as GitHub tells it unasked."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, field_validator

import models
from handlers.events import Decision, Note
from handlers.github.cohorts import AGENTS, is_program
from handlers.github.payloads import (
    Event,
    Name,
    Repository,
    Sha,
    Text,
    Time,
    collect_changes,
    latest,
    measure_pull_requests,
)
from handlers.github.repositories import seen
from handlers.github.source import github
from models.columns import EPOCH
from models.people import GITHUB_ACCOUNT

LISTED_AT_MOST = 2048
HEADLINE = 300
TAGS = "refs/tags/"
NAMESPACES = {"branch": "refs/heads/", "tag": TAGS}
REF_TYPES = {namespace: ref_type for ref_type, namespace in NAMESPACES.items()}
TOLD_PATHS = 1
ADDRESS = re.compile(r"[^\s@\x00]{1,64}@[^\s@\x00]{1,255}")
PRIVATE = re.compile(r"@users\.noreply\.|^no-?reply@")


class Author(BaseModel):
    """Who wrote a commit. `username` only where GitHub knows the e-mail."""

    name: Text | None = None
    username: Text | None = None
    email: Text | None = None


class Pushed(BaseModel):
    """A commit in a push."""

    id: Sha
    message: Text | None = None
    distinct: bool = True
    timestamp: Time
    author: Author | None = None
    added: list[Text] | None = None
    removed: list[Text] | None = None
    modified: list[Text] | None = None


class Tip(BaseModel):
    """The commit that a ref points to after a push, through an annotated tag if it is one."""

    id: Sha


class PushedRepository(Repository):
    """A repository as `push` describes it: `pushed_at` is this push's time, in epoch seconds.

    Written as text, as everywhere else, it is some other push's time, and says nothing here.
    """

    @field_validator("pushed_at", mode="before")
    @classmethod
    def of_this_push(cls, value: object) -> object:
        """Take epoch seconds alone."""
        return None if isinstance(value, str) else value


class PushEvent(Event):
    """`push`. `size` is told by GitHub Enterprise Server only."""

    organization_id: Text
    repository: PushedRepository
    ref: Name
    before: Sha
    after: Sha
    created: bool | None = None
    deleted: bool | None = None
    forced: bool | None = None
    commits: Annotated[list[Pushed], Field(default_factory=list)]
    size: int | None = None
    head_commit: Tip | None = None

    @property
    def clock(self) -> datetime:
        """When it was pushed, to the second; where nobody says, when its last commit was made."""
        told = latest(*(commit.timestamp for commit in self.commits))
        return self.repository.pushed_at or told or self.received_at

    @property
    def key(self) -> str:
        """The key of the push."""
        return f"{self.repository.key}:{self.ref}:{self.before}:{self.after}"


class RefEvent(Event):
    """`create` and `delete`: of a branch or a tag."""

    ref: Name
    ref_type: Name


@github.on("push")
def commits_pushed(event: PushEvent) -> Iterator[Decision]:
    """What is pushed to any branch may be deployed, now or after a merge; so may a tag."""
    yield from seen(event, event.clock)
    if event.deleted:
        yield from ref_moved(event, present=False)
        yield Note("A deleted ref brings no commits.")
        return
    if event.created:
        yield from ref_moved(event, present=True)
    yield pushed(event)
    for position, commit in enumerate(event.commits):
        yield remembered(event, commit)
        yield placed(event, commit, position)
    yield from identities(event)
    yield measure_pull_requests(event.repository, event.clock)
    yield collect_changes(event.repository, event.clock)


@github.on("create")
def ref_created(event: RefEvent) -> Iterator[Decision]:
    """A new branch or tag; its commits come with its push."""
    yield from ref_told(event, present=True)


@github.on("delete")
def ref_deleted(event: RefEvent) -> Iterator[Decision]:
    """A branch or tag is gone; the commits that were pushed to it are kept."""
    yield from ref_told(event, present=False)


def pushed(event: PushEvent) -> models.Push:
    """Return the row of a push. A tag's `after` is the commit, not the annotated tag's object."""
    tip = event.head_commit.id if event.head_commit and event.ref.startswith(TAGS) else event.after
    return models.Push(
        id=event.key,
        changed_at=event.clock,
        repository_id=event.repository.key,
        ref=event.ref,
        before=event.before,
        after=tip,
        pushed_at=event.clock,
        forced=bool(event.forced),
        complete=complete(event),
        shas=[commit.id for commit in event.commits],
    )


def complete(event: PushEvent) -> bool:
    """Say whether the commits listed are all of `before..after`."""
    told = len(event.commits)
    if event.forced or event.created or told >= LISTED_AT_MOST:
        return False
    if event.size is not None and event.size != told:
        return False
    return told > 0 or event.before == event.after


def remembered(event: PushEvent, commit: Pushed) -> models.Commit:
    """Return the row of a commit; one that tells its paths outranks one that does not."""
    author = commit.author or Author()
    paths = {*(commit.added or ()), *(commit.removed or ()), *(commit.modified or ())}
    return models.Commit(
        id=f"{event.repository.key}:{commit.id}",
        rank=TOLD_PATHS,
        repository_id=event.repository.key,
        sha=commit.id,
        authored_at=commit.timestamp,
        headline=(commit.message or "").partition("\n")[0].strip()[:HEADLINE],
        author_name=author.name,
        author_login=author.username,
        paths=sorted(paths),
        paths_known=True,
    )


def placed(event: PushEvent, commit: Pushed, position: int) -> models.PushCommit:
    """Return the row of a commit's place in a push."""
    return models.PushCommit(
        id=f"{event.key}:{commit.id}",
        repository_id=event.repository.key,
        push_id=event.key,
        sha=commit.id,
        position=position,
        fresh=commit.distinct,
    )


def identities(event: PushEvent) -> Iterator[Decision]:
    """Yield whose e-mail address is whose login: GitHub names an author by what it has verified."""
    told = [commit.author for commit in event.commits if commit.author and commit.author.username]
    latest_of = {str(author.username).lower(): author for author in told}
    for login, author in latest_of.items():
        yield identity(event.organization_id, login, author, event.clock)


def identity(organization_id: str, login: str, author: Author, at: datetime) -> models.Identity:
    """Return the row of an author; one who keeps their address private never replaces it."""
    email = (author.email or "").strip().lower()
    known = ADDRESS.fullmatch(email) is not None and not PRIVATE.search(email)
    return models.Identity(
        id=f"{organization_id}/{GITHUB_ACCOUNT}{login}",
        changed_at=at if known else EPOCH,
        source="github",
        account=f"{GITHUB_ACCOUNT}{login}",
        name=author.name,
        email=email if known else None,
        bot=is_program(login) or login in AGENTS,
    )


def ref_moved(event: PushEvent, *, present: bool) -> Iterator[Decision]:
    """Yield the row of the branch or tag that a push made or deleted; other refs have none."""
    for namespace, ref_type in REF_TYPES.items():
        if event.ref.startswith(namespace):
            name = event.ref.removeprefix(namespace)
            yield ref(event, ref_type, name, present=present)


def ref_told(event: RefEvent, *, present: bool) -> Iterator[Decision]:
    """Yield the row of the branch or tag that was made or deleted."""
    name = event.ref.removeprefix(NAMESPACES.get(event.ref_type, ""))
    yield from seen(event, event.repository.pushed_at or event.received_at)
    yield ref(event, event.ref_type, name, present=present)


def ref(event: Event, ref_type: str, name: str, *, present: bool) -> models.Ref:
    """Return the row of a branch or tag; within one second deleting comes after making."""
    full_name = f"{NAMESPACES.get(ref_type, 'refs/')}{name}"
    return models.Ref(
        id=f"{event.repository.key}:{full_name}",
        changed_at=event.repository.pushed_at or event.received_at,
        rank=int(not present),
        repository_id=event.repository.key,
        ref_type=ref_type,
        name=name,
        present=present,
    )
