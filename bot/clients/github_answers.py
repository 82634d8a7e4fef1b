"""GitHub's answers, read for the few fields we use (https://docs.github.com/en/rest/commits)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from bot.clients.asking import GitHubError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class ListedCommit:
    """A commit as GitHub lists it. `authored_at` is git's author time, aware.

    `author_login` is None where GitHub could not match the e-mail.
    """

    sha: str
    authored_at: datetime
    headline: str
    author_login: str | None
    author_name: str | None
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """GitHub's answer to `compare/base...head`.

    `status`: ahead, behind, identical, diverged, or unknown where GitHub does not know a commit.
    `shas`: the commits of head that base has not, oldest first; `complete`: these are all of them.
    """

    status: str
    shas: tuple[str, ...] = ()
    commits: tuple[ListedCommit, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class App:
    """The app itself, as GitHub knows it. `permissions`: name to read or write."""

    id: int
    slug: str
    name: str
    html_url: str
    permissions: dict[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()


class Signature(BaseModel):
    """Who wrote a commit, and when; a date beyond the calendar, which git allows, is None."""

    name: str | None = None
    date: datetime | None = None

    @field_validator("date", mode="wrap")
    @classmethod
    def calendar(cls, value: object, read: ValidatorFunctionWrapHandler) -> datetime | None:
        """Read a date, so that one odd commit does not cost the whole answer."""
        try:
            date: datetime | None = read(value)
        except ValidationError:
            return None
        return date


class GitCommit(BaseModel):
    """What git itself says of a commit."""

    message: str = ""
    author: Signature | None = None
    committer: Signature | None = None


class Account(BaseModel):
    """The GitHub account behind an e-mail."""

    login: str | None = None


class Parent(BaseModel):
    """A commit's parent."""

    sha: str


class CommitAnswer(BaseModel):
    """One commit of a comparison or a pull request."""

    sha: str
    commit: GitCommit
    author: Account | None = None
    parents: list[Parent] = []

    def listed(self) -> ListedCommit:
        """Return what we keep of it."""
        author, committer = self.commit.author, self.commit.committer
        at = (author and author.date) or (committer and committer.date) or EPOCH
        return ListedCommit(
            sha=self.sha,
            authored_at=at if at.tzinfo else at.replace(tzinfo=UTC),
            headline=clean(self.commit.message.partition("\n")[0]).strip(),
            author_login=self.author.login if self.author else None,
            author_name=clean(author.name) if author and author.name else None,
            parents=tuple(parent.sha for parent in self.parents),
        )


class CompareAnswer(BaseModel):
    """One page of a comparison."""

    status: str
    total_commits: int
    commits: list[CommitAnswer]


class CommitsAnswer(BaseModel):
    """One page of a pull request's commits."""

    commits: list[CommitAnswer]


class AppAnswer(BaseModel):
    """The app itself."""

    id: int
    slug: str = ""
    name: str = ""
    html_url: str = ""
    permissions: dict[str, str] = {}
    events: list[str] = []

    def app(self) -> App:
        """Return what we keep of it."""
        events = tuple(self.events)
        return App(self.id, self.slug, self.name, self.html_url, self.permissions, events)


class InstallationAnswer(BaseModel):
    """One installation."""

    permissions: dict[str, str] = {}


class ConvertedManifest(BaseModel):
    """The app that a manifest became, with its secrets, which do not print."""

    id: int
    slug: str
    html_url: str
    pem: SecretStr
    webhook_secret: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None


def understood(model: type[Answer], body: Any, asked: object) -> Answer:
    """Read an answer; raise `GitHubError` naming the fields that are not as documented."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        where = ", ".join(".".join(map(str, fault["loc"])) or "all of it" for fault in faults[:3])
        why = f"GitHub's answer to {asked} is not as documented: {where}."
        raise GitHubError(502, why) from None


def clean(text: str) -> str:
    """Return a text as Postgres can keep it: without NUL characters and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
