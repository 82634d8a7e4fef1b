"""A GitHub over loopback HTTP: apps, installations, repositories with commit graphs, faults.

`with fake_github() as github:` gives its address, what it was asked, and everything to change.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.types import ASGIApp

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
    """A repository: its commits, parents first, and the commits of its pull requests."""

    full_name: str
    id: int = 1
    commits: dict[str, FakeCommit] = field(default_factory=dict)
    pull_requests: dict[int, list[str]] = field(default_factory=dict)

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
    answers, such as `used_up(60)`.
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

    @property
    def private_key(self) -> str:
        """The app's private key, as PEM."""
        return pem(self.key)

    def repository(self, full_name: str) -> FakeRepository:
        """Return a repository, made when it is new."""
        made = FakeRepository(full_name, id=len(self.repositories) + 1)
        return self.repositories.setdefault(full_name, made)

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
def fake_github() -> Iterator[FakeGitHub]:
    """Serve a GitHub with one app (7), installed once (42), and nothing else."""
    from tests.fakes.github_api import github_api

    state = FakeGitHub()
    with serving(github_api(state)) as url:
        state.url = url
        yield state
