"""How fast the history of a repository is read and kept: 10,000 pull requests from loopback.

Each has a review and two commits. The fake GitHub is a thread of this process and shares its
processor with what is measured, so that the figures are a lower bound.
"""

import asyncio
import resource
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from bench.report import goal, say, table
from bench.stage import SECRET, Stage, database
from bot.jobs.github import read_history
from bot.opening import stand_in
from bot.settings import Settings
from bot.surroundings import Surroundings
from bot.vault import Vault
from models import Connection, ConnectionRepository, Organization
from models.store import engine, remember
from tests.fakes.github_history import FakePast, fake_past
from tests.fakes.github_told import settings_for

PULLS, FEW, NO_LIMIT = 10_000, 1_000, 1_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
PERSON = {"login": "ada", "id": 501, "type": "User"}
OTHER = {"login": "grace", "id": 502, "type": "User"}
HOME, REPOSITORY, INSTALLATION = "github:77", "github:11", "github:installation:42"
GOAL_PER_SECOND, GOAL_CALLS, GOAL_MEGABYTES = 300.0, 5.0, 60.0


@dataclass(frozen=True)
class Told:
    """What a reading took. `ours`: seconds of processor that were not the fake's.

    `megabytes`: by how much the peak of memory grew meanwhile.
    """

    seconds: float
    ours: float
    calls: int
    megabytes: float
    kept: int


def run(on: Stage, *, quick: bool) -> None:
    """Read a repository with many pull requests, and say how it went."""
    pulls = FEW if quick else PULLS
    with database(on, "backfill") as url, fake_past() as past:
        fill(past, pulls)
        told = asyncio.run(measured(past, url))
    if told.kept != pulls:
        raise AssertionError(f"{told.kept} of {pulls} pull requests were kept")
    speed, calls = pulls / told.seconds, 100 * told.calls / pulls
    table(
        f"Backfill of {pulls:,} pull requests, each with a review and two commits",
        ("", "found", "goal"),
        [
            ("pull requests stored", f"{speed:,.0f}/s", goal("300/s", speed >= GOAL_PER_SECOND)),
            ("per second of our own processor time", f"{pulls / told.ours:,.0f}", ""),
            ("requests per 100", f"{calls:.1f}", goal("at most 5", calls <= GOAL_CALLS)),
            (
                "growth of peak memory",
                f"{told.megabytes:.0f} MB",
                goal("at most 60 MB", told.megabytes <= GOAL_MEGABYTES),
            ),
        ],
    )
    say("The fake GitHub runs in the same process.")


def fill(past: FakePast, pulls: int) -> None:
    """Let so many pull requests have happened, one an hour."""
    for limited in ("core", "graphql"):
        past.hour(limited).limit = NO_LIMIT
    repository = past.repository()
    for number in range(1, pulls + 1):
        begun = START + timedelta(hours=number)
        sha = f"{number:040x}"
        repository.pulls[number] = pull_request(number, sha, begun)
        repository.commits[number] = [
            commit(f"{part}{sha[1:]}", begun - timedelta(hours=part)) for part in (2, 1)
        ]
        review = {"id": 5_000_000 + number, "user": OTHER, "state": "approved", "body": ""}
        review["submitted_at"] = stamp(begun + timedelta(minutes=20))
        repository.reviews[number] = {review["id"]: review}


def pull_request(number: int, sha: str, begun: datetime) -> dict[str, Any]:
    """Return a merged pull request as REST describes it."""
    merged = stamp(begun + timedelta(minutes=40))
    return {
        "id": 1_000_000 + number,
        "number": number,
        "title": f"Change {number}",
        "body": "Because.",
        "html_url": f"https://github.com/acme/api/pull/{number}",
        "state": "closed",
        "draft": False,
        "user": PERSON,
        "labels": [],
        "head": {"ref": f"change-{number}", "sha": f"1{sha[1:]}", "repo": {"id": 11}},
        "base": {"ref": "main", "sha": "a" * 40, "repo": {"id": 11}},
        "created_at": stamp(begun),
        "updated_at": merged,
        "closed_at": merged,
        "merged_at": merged,
        "merge_commit_sha": sha,
        "merged_by": OTHER,
        "commits": 2,
        "additions": 10,
        "deletions": 5,
        "changed_files": 2,
    }


def commit(sha: str, at: datetime) -> dict[str, Any]:
    """Return a commit as a push lists it."""
    who = {"name": "Ada", "username": "ada", "email": "ada@acme.example"}
    return {"id": sha, "message": "Change it", "timestamp": stamp(at), "author": who}


def stamp(at: datetime) -> str:
    """Write a time as GitHub does."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


async def measured(past: FakePast, url: str) -> Told:
    """Read everything once."""
    async with opened(past, url) as surroundings:
        before, begun, worked = peak_megabytes(), time.perf_counter(), time.thread_time()
        asked = len(past.calls)
        await read_history(surroundings, HOME, REPOSITORY, None)
        seconds, ours = time.perf_counter() - begun, time.thread_time() - worked
        async with surroundings.engine.connect() as db:
            kept = await db.scalar(text("select count(*) from pull_requests"))
        calls = len(past.calls) - asked
        return Told(seconds, ours, calls, peak_megabytes() - before, int(kept or 0))


@asynccontextmanager
async def opened(past: FakePast, url: str) -> Any:
    """Open a store in which the app is installed at the fake GitHub."""
    settings = Settings(database_url=SecretStr(url), secret_key=SecretStr(SECRET * 2))
    settings = settings_for(past.github, settings)
    store, redis = engine(url, name="bench"), stand_in()
    shared = {"organization_id": HOME, "changed_at": START}
    rows = [
        Organization(id=HOME, login="acme", account_id=77, **shared),
        Connection(
            id=INSTALLATION, source="github", external_id="42", account_login="acme",
            state="active", **shared,
        ),
        ConnectionRepository(
            id=f"{INSTALLATION}:11", connection_id=INSTALLATION, repository_id=REPOSITORY,
            full_name="acme/api", **shared,
        ),
    ]  # fmt: skip
    try:
        async with store.begin() as db:
            await remember(db, rows)
        yield Surroundings(settings, store, redis, Vault(settings.secret_keys))
    finally:
        await redis.aclose()
        await store.dispose()


def peak_megabytes() -> float:
    """Return the most memory this process has ever had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1_000_000
