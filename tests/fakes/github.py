"""A GitHub over loopback HTTP: apps, installations, repositories with commit graphs, faults.

`with fake_github() as github:` gives its address, what it was asked, and everything to change.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.types import ASGIApp

from tests.fakes.github_deliveries import FakeLog
from tests.fakes.github_work import (
    WRITING,
    FakeCheck,
    FakeComment,
    FakeIssue,
    FakeReview,
    Person,
    git,
)
from tests.fakes.serving import serving

START = datetime(2026, 9, 1, 12, tzinfo=UTC)
GRANTED = {"contents": "read", "metadata": "read", "pull_requests": "read"}


@cache
def app_key(number: int = 0) -> RSAPrivateKey:
    """Return a private key of an app; the same number is the same key."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: RSAPrivateKey) -> str:
    """Write a private key as GitHub hands it out."""
    form = (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return key.private_bytes(*form).decode()


@dataclass
class FakeCommit:
    """A commit; `author_login` is None where the e-mail is nobody's."""

    sha: str
    parents: tuple[str, ...] = ()
    message: str = "Change something\n\nBecause."
    authored_at: datetime | str = START
    author_name: str = "Ada"
    author_login: str | None = "ada"


@dataclass
class FakeRepository:
    """A repository: its commits, parents first, the commits of its pull requests, what people do.

    `origin` is a bare repository on disk: then branches and files are those in it. Without one
    they are `heads` (branch to commit) and `files` (path to content, at whatever commit).
    `permissions` is by login: admin, write, read or none; who is not in it may read. `issues` are
    pull requests as well, by number.
    """

    full_name: str
    id: int = 1
    home: "FakeGitHub | None" = None
    origin: Path | None = None
    commits: dict[str, FakeCommit] = field(default_factory=dict)
    pull_requests: dict[int, list[str]] = field(default_factory=dict)
    default_branch: str = "main"
    heads: dict[str, str] = field(default_factory=lambda: {"main": "a" * 40})
    files: dict[str, str] = field(default_factory=dict)
    permissions: dict[str, str] = field(default_factory=lambda: {"ada": "write"})
    issues: dict[int, FakeIssue] = field(default_factory=dict)
    checks: list[FakeCheck] = field(default_factory=list)
    drafts: bool = True

    def add(self, *commits: FakeCommit) -> None:
        """Add commits; parents come before their children."""
        self.commits |= {commit.sha: commit for commit in commits}

    def line(self, *shas: str) -> None:
        """Add commits one after the other, an hour apart."""
        for number, (parent, sha) in enumerate(zip(("", *shas), shas, strict=False)):
            parents = (parent,) if parent else ()
            at = START + timedelta(hours=number)
            self.add(FakeCommit(sha, parents, f"Commit {sha}\n\nBody", at))

    def ancestors(self, sha: str) -> set[str]:
        """Return a commit and all that led to it."""
        seen, waiting = set[str](), [sha]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += self.commits[one].parents
        return seen

    def between(self, base: str, head: str) -> list[FakeCommit]:
        """Return what head has and base has not, oldest first."""
        wanted = self.ancestors(head) - self.ancestors(base)
        return [commit for sha, commit in self.commits.items() if sha in wanted]

    @property
    def github(self) -> "FakeGitHub":
        """Where it is."""
        assert self.home is not None
        return self.home

    def head(self, branch: str) -> str | None:
        """Return the commit that a branch is at."""
        if self.origin is None:
            return self.heads.get(branch)
        said = git(self.origin, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        return said.decode().strip() if said else None

    def file(self, path: str, ref: str) -> bytes | None:
        """Return a file's content at a commit or branch."""
        if self.origin is not None:
            return git(self.origin, "cat-file", "blob", f"{ref}:{path}")
        return self.files[path].encode() if path in self.files else None

    def issue(
        self, title: str = "Fix it", body: str = "It is broken.", *labels: str, by: str = "ben"
    ) -> FakeIssue:
        """Open an issue."""
        number = max(self.issues, default=11) + 1
        url = f"https://github.com/{self.full_name}/issues/{number}"
        person, new_id = self.github.person(by), self.github.new_id()
        made = FakeIssue(number, new_id, url, title, body, person, list(labels))
        self.issues[number] = made
        return made

    def pull(
        self, head: str, *, title: str = "Fix it", body: str = "", by: str = "veelocity[bot]"
    ) -> FakeIssue:
        """Open a pull request from a branch of this repository."""
        made = self.issue(title, body, by=by)
        made.head, made.head_sha = head, self.head(head) or "d" * 40
        made.url = made.url.replace("/issues/", "/pull/")
        return made

    def comment(self, issue: FakeIssue, body: str, *, by: str = "ada") -> FakeComment:
        """Comment on an issue or pull request."""
        app = self.github.app_id if by == self.github.bot else None
        made = FakeComment(self.github.new_id(), self.github.person(by), body, app)
        issue.comments.append(made)
        return made

    def review(
        self,
        pull: FakeIssue,
        body: str,
        *remarks: tuple[str, int | None, str],
        by: str = "ada",
        state: str = "CHANGES_REQUESTED",
    ) -> FakeReview:
        """Review a pull request, with remarks about lines: path, line, words."""
        person = self.github.person(by)
        made = FakeReview(self.github.new_id(), person, state, body, list(remarks))
        pull.reviews.append(made)
        return made

    def check(
        self, head_sha: str, name: str = "tests", conclusion: str = "failure", **told: Any
    ) -> FakeCheck:
        """Let a check of another app (GitHub Actions) end on a commit."""
        number = self.github.new_id()
        made = FakeCheck(number, name, head_sha, 15368, conclusion=conclusion, **told)
        self.checks.append(made)
        return made


@dataclass
class Fault:
    """A fault that waits for requests whose line has `on` in it."""

    app: ASGIApp
    on: str
    times: int


@dataclass
class FakeGitHub:
    """What the fake knows, what it was asked, and what it will get wrong.

    `requests` are lines such as `GET /repos/acme/api/compare/a...b page=1`. `permissions` is by
    installation. `token_lasts` and `expires_at` (a strftime pattern) shape new tokens; `tokens` are
    those given out. `manifests` are codes not yet used. `last_answer` are headers added to
    answers, such as `used_up(60)`. `said` is what the app did for people to see, as short lines
    (`👀 on comment 5`, `comment on #12: …`, `opened PR #13 from claude/12-x`). `narrowed` are the
    permissions and repositories of tokens that were asked for with less than the installation's.
    `events` and `hook_url` are the app's own. `teams`: slug to logins and repositories' names.
    `log` is what it delivered.
    """

    url: str = ""
    app_id: int = 7
    key: RSAPrivateKey = field(default_factory=app_key)
    permissions: dict[int, dict[str, str]] = field(default_factory=lambda: {42: dict(GRANTED)})
    repositories: dict[str, FakeRepository] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    manifests: set[str] = field(default_factory=set)
    token_lasts: timedelta = timedelta(hours=1)
    expires_at: str = "%Y-%m-%dT%H:%M:%SZ"
    tokens: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    last_answer: dict[str, str] = field(default_factory=dict)
    most_per_page: int = 250
    requests: list[str] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    slug: str = "veelocity"
    said: list[str] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    narrowed: dict[str, tuple[dict[str, str], tuple[str, ...]]] = field(default_factory=dict)
    last_id: int = 1000
    events: list[str] = field(default_factory=lambda: ["push"])
    hook_url: str = ""
    teams: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    log: FakeLog = field(default_factory=FakeLog)

    @property
    def private_key(self) -> str:
        """The app's private key, as PEM."""
        return pem(self.key)

    def repository(self, full_name: str, origin: Path | None = None) -> FakeRepository:
        """Return a repository, made when it is new; `origin`: the bare repository it is made of."""
        made = FakeRepository(full_name, len(self.repositories) + 1, self, origin)
        return self.repositories.setdefault(full_name, made)

    def issue(
        self, full_name: str = "acme/api", title: str = "Fix it", body: str = "It is broken."
    ) -> FakeIssue:
        """Open an issue in a repository, made when it is new."""
        return self.repository(full_name).issue(title, body)

    @property
    def bot(self) -> str:
        """The app's own login."""
        return f"{self.slug}[bot]"

    def person(self, login: str) -> Person:
        """Return somebody, made when they are new; who ends with [bot] is one."""
        kind = "Bot" if login.endswith("[bot]") else "User"
        return self.people.setdefault(login, Person(login, 500 + len(self.people), kind))

    def new_id(self) -> int:
        """Return an id that nothing has yet."""
        self.last_id += 1
        return self.last_id

    def fail(self, fault: ASGIApp, *, on: str = "", times: int = 1) -> None:
        """Get the next requests wrong whose line has `on` in it."""
        self.faults.append(Fault(fault, on, times))

    def fault_for(self, line: str) -> ASGIApp | None:
        """Return what goes wrong with a request; None when it is answered."""
        for fault in self.faults:
            if fault.on in line and fault.times:
                fault.times -= 1
                return fault.app
        return None

    def asked(self, part: str) -> list[str]:
        """Return the requests with a part in their line."""
        return [line for line in self.requests if part in line]


@contextmanager
def fake_github(*, writes: bool = False) -> Iterator[FakeGitHub]:
    """Serve a GitHub with one app (7), installed once (42), and nothing else.

    `writes`: the installation grants all that the agent needs, not only reading.
    """
    from tests.fakes.github_api import github_api

    state = FakeGitHub(permissions={42: dict(WRITING if writes else GRANTED)})
    with serving(github_api(state)) as url:
        state.url = url
        yield state
