"""Fragments that many of GitHub's payloads share, each with only the fields that are read.

What a row cannot do without is required, so that its lack is named; all else may be missing or
null. Numbers and texts that become keys are bounded by what Postgres can store and index.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from handlers.events import Job


def utc(at: datetime) -> datetime:
    """Return a time in UTC; one without an offset is in UTC already."""
    try:
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("the time is beyond the years 1 to 9999 in UTC") from None


Time = Annotated[datetime, AfterValidator(utc)]
Id = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Text = Annotated[str, Field(max_length=2**26)]  # a bound makes pydantic refuse lone surrogates
Name = Annotated[str, Field(min_length=1, max_length=512)]
Sha = Annotated[str, Field(min_length=1, max_length=64)]


class User(BaseModel):
    """A person, bot or organisation."""

    id: Id
    login: Name
    type: Text | None = None

    @property
    def key(self) -> str:
        """The key of the contributor."""
        return f"github:{self.id}"


class Owner(BaseModel):
    """Whose a repository is."""

    id: Id | None = None
    login: Name


class Repository(BaseModel):
    """The repository a payload is about. Nested mentions of repositories carry much less."""

    id: Id
    full_name: Name | None = None
    owner: Owner | None = None
    default_branch: Name | None = None
    private: bool | None = None
    archived: bool | None = None
    fork: bool | None = None
    html_url: Text | None = None
    created_at: Time | None = None
    updated_at: Time | None = None
    pushed_at: Time | None = None

    @property
    def key(self) -> str:
        """The key of the repository."""
        return f"github:{self.id}"


class Listed(BaseModel):
    """A repository as installations and teams list it: too little for a row of `repositories`."""

    id: Id
    full_name: Name
    private: bool | None = None


class Event(BaseModel):
    """What every payload about a repository has in common."""

    action: Text = ""
    repository: Repository
    sender: User | None = None
    received_at: Time


class Label(BaseModel):
    """A label of an issue or pull request."""

    name: Text


class App(BaseModel):
    """The GitHub App that made a check."""

    slug: Text | None = None


def latest(*times: datetime | None) -> datetime | None:
    """Return the latest of the times that are known."""
    return max((time for time in times if time), default=None)


def key(user: User | None) -> str | None:
    """Return the key of a user; None for the ghost of a deleted account."""
    return user.key if user else None


def login(user: User | None) -> str | None:
    """Return the name of a user; None for the ghost of a deleted account."""
    return user.login if user else None


def collect_changes(repository: Repository, since: datetime) -> Job:
    """Order that a repository's deployments since a time be measured again."""
    return Job(
        "collect_changes",
        key=f"collect_changes:{repository.key}",
        arguments={"repository": repository.key},
        since=since,
    )


def count_workflow_runs(repository: Repository, since: datetime) -> Job:
    """Order that runs since a time be counted as deployments, where a rule names their workflow."""
    return Job(
        "count_workflow_runs",
        key=f"count_workflow_runs:{repository.key}",
        arguments={"repository": repository.key},
        since=since,
    )


def collect_all_changes(repository: Repository) -> Job:
    """Order that everything measured of a repository be measured again."""
    return Job(
        "collect_changes",
        key=f"collect_changes:{repository.key}",
        arguments={"repository": repository.key, "all": True},
    )


def link_issues(repository: Repository, since: datetime | None) -> Job:
    """Order that what changed in a repository since a time be tied to issues; None: everything."""
    told: dict[str, object] = {"repository": repository.key}
    return Job(
        "link_issues",
        key=f"link_issues:{repository.key}",
        arguments=told if since else told | {"all": True},
        since=since,
    )


def measure_pull_requests(repository: Repository, since: datetime | None) -> Job:
    """Order that the times of a repository's pull requests be measured; None: of all of them."""
    return Job(
        "measure_pull_requests",
        key=f"measure_pull_requests:{repository.key}",
        arguments={"repository": repository.key} | ({} if since else {"all": True}),
        since=since,
    )


def measure_builds(repository: Repository, since: datetime | None) -> Job:
    """Order that a repository's builds since a time be measured; None: all of them."""
    return Job(
        "measure_builds",
        key=f"measure_builds:{repository.key}",
        arguments={"repository": repository.key} | ({} if since else {"all": True}),
        since=since,
    )


def sync_teams(connection_id: str) -> Job:
    """Order that the teams of an installation's organisation be read from GitHub."""
    return Job(
        "sync_teams", key=f"sync_teams:{connection_id}", arguments={"connection": connection_id}
    )
