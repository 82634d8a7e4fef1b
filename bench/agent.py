"""From a label to the model: how soon, from which copy of the repository, at how much memory.

Real web and worker processes, real git and a real sandbox; GitHub and the model are loopback fakes.
"""

import asyncio
import hashlib
import hmac
import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic_core import to_json

from bench.report import goal, middle, milliseconds, say, table
from bench.stage import PATIENCE_SECONDS, SECRET, Stage, ask, database, resident_megabytes
from bench.stage import web as serving_web
from bench.stage import worker as working
from bot.agent.folders import agent_home
from bot.agent.sandbox import lacks
from bot.settings import Settings
from tests.fakes.anthropic import calls, fake_anthropic
from tests.fakes.github import FakeGitHub, FakeRepository, fake_github
from tests.fakes.github_told import Delivery, installed, labeled

GOAL_FIRST_SECONDS = 2.0
GOAL_MEMORY_MB = 300
GOAL_ADDED_SHARE = 0.01
LABELS, QUICK_LABELS = 7, 2
HISTORY_MB, QUICK_HISTORY_MB = 1000, 50
BLOB_MB = 10
LATELY = 30
TURNS = 6
THINKING_SECONDS = 0.5
RUNNING_SECONDS = 600.0
ENDED = "state in ('nothing_to_do', 'failed')"
NAMES = ("acme/small", "acme/other", "acme/large")
SUBMIT = calls("submit", title="Nothing", summary="It is right already.")
FILES = {
    "add.py": b"def add(a, b):\n    return a + b\n",
    ".github/veelocity.yml": b"test: 'true'\n",
}


@dataclass
class Works:
    """All that turns a label into a run: the processes, GitHub, and when the model was asked."""

    url: str
    port: int
    worker: subprocess.Popen[bytes]
    github: FakeGitHub
    home: Path
    asked: list[float] = field(default_factory=list)
    labelled: int = 0
    turns: int = 0
    memory_mb: float = 0.0

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer the model's requests: a few commands, then nothing to do."""
        self.asked.append(time.perf_counter())
        said = len(body["messages"]) // 2
        if said >= self.turns:
            return SUBMIT
        return {**calls("bash", command=f"cat add.py; : {said}"), "seconds": THINKING_SECONDS}

    def repository(self, name: str) -> FakeRepository:
        """Return a repository of GitHub's."""
        return self.github.repositories[name]

    def tell(self, told: Delivery) -> None:
        """Deliver one signed webhook."""
        event, payload = told
        body = to_json(payload)
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": str(uuid4()),
            "x-hub-signature-256": f"sha256={signature}",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/webhooks/github", body, headers)
        status = connection.getresponse().status
        connection.close()
        assert status < 300, f"the delivery was answered {status}"

    def until(self, question: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the store answers a question with true; look at the worker's memory."""
        end = time.monotonic() + patience_seconds
        while ask(self.url, f"select {question}") != (True,):
            assert self.worker.poll() is None, "the worker has ended"
            assert time.monotonic() < end, f"waited in vain: {question}"
            self.memory_mb = max(self.memory_mb, resident_megabytes(self.worker))
            time.sleep(0.02)

    def label(self, *names: str) -> float:
        """Label an issue in each repository; return the seconds until the model was first asked."""
        self.asked.clear()
        began = time.perf_counter()
        for name in names:
            repository = self.repository(name)
            self.tell(labeled(repository, repository.issue("Add is wrong", "Is it?")))
        self.labelled += len(names)
        self.until(f"count(*) = {self.labelled} from runs where {ENDED}", RUNNING_SECONDS)
        failed = ask(self.url, "select max(error) from runs where state = 'failed'")
        assert failed == (None,), failed
        return self.asked[0] - began

    def mirrored(self) -> int:
        """Return how many bytes the mirrors have."""
        return sum(
            path.stat().st_size
            for path in (self.home / "mirrors").rglob("*")
            if path.is_file() and not path.is_symlink()
        )


def run(on: Stage, *, quick: bool = False) -> None:
    """Label issues, and print how soon the model was asked and what it took."""
    if lacking := asyncio.run(lacks(Settings(sandbox="bubblewrap"))):
        say(f"agent: not measured. {' '.join(each.what for each in lacking)}")
        return
    size = QUICK_HISTORY_MB if quick else HISTORY_MB
    with database(on, "agent") as url, works(on, url, size) as at:
        first = at.label("acme/small")
        warm = [at.label("acme/small") for _ in range(QUICK_LABELS if quick else LABELS)]
        large = mirrored(at)
        at.turns, at.memory_mb = TURNS, 0.0
        at.label("acme/small", "acme/other")
    print_table(first, warm, size, large, at.memory_mb)


def mirrored(at: Works) -> tuple[float, float, float]:
    """Label the large repository twice; seconds of both, and by which share the mirror grew."""
    before = at.mirrored()
    cloned = at.label("acme/large")
    between = at.mirrored()
    again = at.label("acme/large")
    return cloned, again, (at.mirrored() - between) / (between - before)


def print_table(
    first: float,
    warm: list[float],
    size: int,
    large: tuple[float, float, float],
    memory_mb: float,
) -> None:
    """Print the figures beside their goals."""
    say(f"agent: label to first model call, {len(warm)} times with a warm mirror")
    soon, (cloned, again, grown) = middle(warm), large
    table(
        "",
        ("", "figure", "goal"),
        (
            ("label to first call, nothing warm", milliseconds(first), ""),
            (
                "label to first call, warm mirror, median",
                milliseconds(soon),
                goal("under 2 s", soon < GOAL_FIRST_SECONDS),
            ),
            ("the slowest of them", milliseconds(max(warm)), ""),
            (f"{size:,} MB repository, first run", milliseconds(cloned), ""),
            (
                f"{size:,} MB repository, second run",
                milliseconds(again),
                goal("from the mirror", grown < GOAL_ADDED_SHARE),
            ),
            ("its mirror grew by", f"{grown:.2%}", ""),
            (
                "worker with 2 runs, memory at most",
                f"{memory_mb:.0f} MB",
                goal(f"under {GOAL_MEMORY_MB} MB", memory_mb < GOAL_MEMORY_MB),
            ),
        ),
    )


@contextmanager
def works(on: Stage, url: str, history_mb: int) -> Iterator[Works]:
    """Start all of it, with three repositories installed; leave nothing behind."""
    home = agent_home(Settings(veelocity_home=on.home))
    with fake_github(writes=True) as github, nothing_left(home):
        for name in NAMES:
            bare = on.home / "origin" / f"{name}.git"
            make_repository(bare, history_mb if name == "acme/large" else 0)
            github.repository(name, bare)
        model: dict[str, Works] = {}
        with fake_anthropic(lambda body: model["at"].answer(body)) as fake:
            more = environment(on, github, fake.url)
            with serving_web(on, url, **more) as (_, port), working(on, url, **more) as worker:
                at = model["at"] = Works(url, port, worker, github, home)
                at.tell(installed(*github.repositories.values()))
                at.until(f"count(*) = {len(NAMES)} from connection_repositories")
                yield at
            assert not fake.errors, fake.errors


@contextmanager
def nothing_left(home: Path) -> Iterator[None]:
    """Delete mirrors and runs at the end; as root they are not below the bench's own folder."""
    try:
        yield
    finally:
        shutil.rmtree(home, ignore_errors=True)


def environment(on: Stage, github: FakeGitHub, model_url: str) -> dict[str, str]:
    """Return what web and worker are told of the fakes."""
    return {
        "APP_ID": str(github.app_id),
        "PRIVATE_KEY": github.private_key,
        "GITHUB_API_URL": github.url,
        "GIT_URL": f"file://{on.home / 'origin'}",
        "ANTHROPIC_API_KEY": "key-of-the-bench",
        "ANTHROPIC_BASE_URL": model_url,
        "SANDBOX": "bubblewrap",
    }


def make_repository(bare: Path, history_mb: int) -> None:
    """Make a repository whose history has so many megabytes that cannot be compressed.

    Its latest commits are small ones, as commits usually are.
    """
    bare.mkdir(parents=True)
    git = ["git", "-c", "core.compression=0", "-C", str(bare)]
    subprocess.run([*git, "init", "-q", "--bare", "-b", "main"], check=True)
    process = subprocess.Popen([*git, "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    for number in range(history_mb // BLOB_MB):
        process.stdin.write(commit(number, {"data.bin": os.urandom(BLOB_MB * 10**6)}))
    for number in range(LATELY):
        process.stdin.write(commit(10**6 + number, {**FILES, "news.md": b"%d\n" % number}))
    process.stdin.close()
    assert process.wait() == 0, "git fast-import failed"


def commit(number: int, files: dict[str, bytes]) -> bytes:
    """Return a commit in the form of git fast-import, on top of the one before."""
    who = f"Ada <ada@example.com> {1_780_000_000 + number} +0000\n".encode()
    lines = [b"commit refs/heads/main\ncommitter ", who, b"data 6\nChange\n"]
    for path, body in files.items():
        lines += [f"M 100644 inline {path}\ndata {len(body)}\n".encode(), body, b"\n"]
    return b"".join([*lines, b"\n"])
