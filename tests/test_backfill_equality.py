"""Webhooks and backfill of one history leave equal tables: the sample's story, told both ways.

What differs is named here with its reason, and in docs/connectors.md for people.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from bot.jobs import github as github_jobs
from bot.sample.graph import Commit
from bot.sample.repositories import INSTALLATION_ID, ORGANIZATION
from bot.sample.story import Story, story
from bot.sample.world import Delivery
from bot.settings import Settings
from handlers.events import Job
from models.queue import queue
from tests.fakes.github import FakeCommit
from tests.fakes.github_history import FakePast, fake_past
from tests.fakes.github_told import settings_for
from tests.rig import Rig, rig_of
from tests.tables import TABLES, emptied

pytestmark = pytest.mark.store

UNTIL = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
DAYS = 14
HOME = f"github:{ORGANIZATION['id']}"
CLOCKS = {"changed_at", "rank", "digest"}
INSTALLING = ("installation", "installation_repositories")

UNTOLD = {
    "check_runs": "of the many checks only Actions' are read, as jobs",
    "check_suites": "as check runs",
    "commits": "paths and branches' own commits come with pushes alone",
    "comparisons": "asked where no push told what lies between two commits",
    "etags": "what lists were when they were read",
    "identities": "e-mail addresses come with pushes alone",
    "pull_request_commits": "webhooks do not list them",
    "pull_request_heads": "of heads that moved on GitHub tells those that were overwritten",
    "push_commits": "GitHub keeps no pushes",
    "pushes": "GitHub keeps no pushes",
    "refs": "GitHub keeps no branch that is gone",
    "repository_names": "a former name is told while it changes",
    "sync_logs": "about reading itself",
    "team_members": "read by `sync_teams`",
    "team_repositories": "read by `sync_teams`",
    "teams": "read by `sync_teams`",
    "workflow_files": "read at the commit that is the newest then",
}
RENAMED = "addresses and references name a repository as it was called when they were told"
REWRITTEN = "commits of a branch that was rewritten are gone; those of before we came are known"
DIRECT = "when commits without a pull request arrived, and which together, comes with their push"
DIFFERING = {
    ("deployment_changes", "evidence"): "what lies between two commits is compared, not pushed",
    ("deployment_changes", "coding_seconds"): REWRITTEN,
    ("deployment_changes", "first_commit_at"): REWRITTEN,
    ("deployment_changes", "lead_seconds"): REWRITTEN,
    ("deployment_changes", "pickup_seconds"): REWRITTEN,
    ("deployment_changes", "review_seconds"): REWRITTEN,
    ("deployment_changes", "*"): DIRECT,
    ("deployment_changes", "change_id"): DIRECT,
    ("deployment_changes", "deploy_seconds"): DIRECT,
    ("deployment_changes", "id"): DIRECT,
    ("deployment_changes", "merged_at"): DIRECT,
    ("deployment_changes", "opened_at"): DIRECT,
    ("deployments", "url"): RENAMED,
    ("pull_request_times", "first_commit_at"): REWRITTEN,
    ("pull_requests", "closes"): RENAMED,
    ("pull_requests", "mentions"): RENAMED,
    ("service_deployments", "sha"): "which commit a tag was comes with its push",
    ("service_deployments", "url"): RENAMED,
    ("workflows", "url"): RENAMED,
}
METRICS = (
    "deployment_frequency",
    "change_failure_rate",
    "failed_deployment_recovery_time",
    "time_to_restore",
    "rework_rate",
)

LOST = ("pull_request", "pull_request_review", "deployment_status")
LOST_DELIVERIES = 40
LATER = ("connection_repositories", "missed_news")
READ = """
    insert into sync_logs (organization_id, source, name, repository_id, state, items, started_at)
    values (:home, 'github', 'backfill', :repository, 'done', 0, :at)
"""

Row = dict[str, Any]
Tables = dict[str, dict[str, Row]]


@pytest.fixture(scope="module")
def short() -> Story:
    return story(11, UNTIL, DAYS)


@pytest.fixture
def past(short: Story) -> Iterator[FakePast]:
    """A GitHub to which the story happened."""
    with fake_past() as opened:
        opened.home = dict(ORGANIZATION)
        opened.github.permissions[INSTALLATION_ID] = opened.github.permissions[42]
        for told in short.repositories:
            repository = opened.github.repository(told.full_name)
            repository.id = told.id
            repository.pull_requests = {n: list(shas) for n, shas in told.pulls.items()}
            for each in short.graph[told.full_name].values():
                who = (each.author.name, each.author.login)
                repository.add(
                    FakeCommit(each.sha, each.parents, each.message, each.authored_at, *who)
                )
            opened.github.renamed |= dict.fromkeys(told.former_names, told.full_name)
        for delivery in short.deliveries:
            opened.absorb(delivery.event, delivery.payload)
        for told in short.repositories:
            graph, known = short.graph[told.full_name], opened.repositories[told.full_name]
            for number, shas in told.pulls.items():
                known.commits[number] = [listed(graph[sha]) for sha in shas]
        yield opened


def listed(each: Commit) -> Row:
    """Return a commit as a push lists it, which the fake turns into what its API says."""
    who = {"name": each.author.name, "username": each.author.login, "email": each.author.email}
    at = each.authored_at.isoformat()
    return {"id": each.sha, "message": each.message, "timestamp": at, "author": who}


@pytest.fixture
async def rig(
    past: FakePast, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    async with rig_of(settings_for(past.github, settings)) as opened:
        yield opened


async def tell(rig: Rig, deliveries: Sequence[Delivery]) -> None:
    for number, each in enumerate(deliveries, 1):
        await rig.deliver(each.event, each.payload, delivery_id=each.delivery_id)
        if number % 500 == 0:
            await rig.settle()
    await rig.settle()


async def left(rig: Rig) -> Tables:
    """Return what is in the store, but for clocks, by table and key."""
    found: Tables = {}
    for name in TABLES:
        rows = await rig.ask(f"select * from {name}")  # noqa: S608
        kept = [{key: row[key] for key in row if key not in CLOCKS} for row in rows]
        found[name] = {key_of(name, row): row for row in kept}
    return found


def key_of(table: str, row: Row) -> str:
    """Return what a row is known by. A change without a pull request is known by its commit."""
    if table == "deployment_changes":
        change = row["pull_request_id"] or row["sha"]
        return f"{row['service_deployment_id']}/{change}"
    return str(row.get("id") or {key: row[key] for key in row if key.endswith("_id")})


def differing(one: Tables, other: Tables) -> dict[tuple[str, str], set[str]]:
    """Return the columns that differ, with the keys of the rows; `*` where a row is in one only."""
    found: dict[tuple[str, str], set[str]] = {}
    for table in TABLES:
        for key in one[table].keys() | other[table].keys():
            first, second = one[table].get(key), other[table].get(key)
            if first is None or second is None:
                found.setdefault((table, "*"), set()).add(key)
                continue
            for column in first:
                if first[column] != second[column]:
                    found.setdefault((table, column), set()).add(key)
    return found


def without(found: Mapping[tuple[str, str], set[str]], *tables: str) -> dict[Any, set[str]]:
    return {place: keys for place, keys in found.items() if place[0] not in tables}


async def figures(rig: Rig) -> dict[str, Any]:
    await rig.sign_in(ORGANIZATION["login"])
    days = {"start_date": "2026-11-01", "end_date": "2026-11-20"}
    body = await rig.get("/metrics/dora", **days)
    found = {name: body[name] for name in METRICS}
    for path in ("development/pr-review-time", "development/throughput", "builds/success-rate"):
        found[path] = await rig.get(f"/metrics/{path}", **days)
    del found["development/pr-review-time"]["stages"]  # REWRITTEN, DIRECT
    return found


async def backfilled(rig: Rig, short: Story) -> None:
    await tell(rig, [each for each in short.deliveries if each.event in INSTALLING])
    await rig.read_history()


async def test_what_is_read_is_what_was_told(rig: Rig, short: Story) -> None:
    await tell(rig, short.deliveries)
    told, measured = await left(rig), await figures(rig)
    await emptied(rig.app.rest.state.engine)
    await backfilled(rig, short)
    read = await left(rig)
    assert await rig.ask("select 1 from sync_logs where state <> 'done' or error <> ''") == []
    found = without(differing(told, read), *UNTOLD, *await of_tests(rig))
    assert found.keys() <= DIFFERING.keys()
    explained(found, told, read, short)
    assert unlike(measured, await figures(rig)) == []
    assert len(read["pull_requests"]) > 30
    assert len(read["service_deployments"]) > 60
    assert len(read["builds"]) > 60


async def of_tests(rig: Rig) -> list[str]:
    """Return the tables of who signs in."""
    return ["audit_log", "memberships", "refresh_tokens", "sessions", "users"]


def explained(
    found: Mapping[tuple[str, str], set[str]], told: Tables, read: Tables, short: Story
) -> None:
    """Hold each column that differs against its reason, row by row."""
    moved = {f"github:{each.id}" for each in short.repositories if each.former_names}
    anew = rewritten(told) | begun_before(told, short.start)
    for (table, column), keys in found.items():
        for key in keys:
            row = told[table].get(key) or read[table][key]
            reason = DIFFERING[table, column]
            if reason == RENAMED:
                assert row["repository_id"] in moved, (table, key)
            elif reason == REWRITTEN:
                assert row["pull_request_id"] in anew | {None}, (table, key)
            elif reason == DIRECT:
                assert row["pull_request_id"] is None, (table, key)
            elif column == "sha":
                assert row["source"] == "release", (table, key)


def rewritten(told: Tables) -> set[str]:
    """Return the pull requests whose branch was ever pushed by force."""
    forced = {
        (row["repository_id"], row["ref"]) for row in told["pushes"].values() if row["forced"]
    }
    return {
        key
        for key, row in told["pull_requests"].items()
        if (row["repository_id"], f"refs/heads/{row['head_ref']}") in forced
    }


def begun_before(told: Tables, start: datetime) -> set[str]:
    """Return the pull requests of which webhooks told the end alone."""
    return {key for key, row in told["pull_requests"].items() if row["opened_at"] < start}


def unlike(one: Any, other: Any, place: str = "") -> list[str]:
    """Say where two answers differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [
            said for key in keys for said in unlike(one.get(key), other.get(key), f"{place}/{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [said for n, (a, b) in pairs for said in unlike(a, b, f"{place}/{n}")]
    return [] if one == other else [f"{place}: {one} is {other}"]


async def test_a_full_sync_after_the_story_finds_nothing_missed(
    rig: Rig, short: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(rig, short.deliveries)
    await heard_since(rig, short.start)
    before = await left(rig)
    await synced(rig, monkeypatch)
    assert await rig.ask("select thing_id from missed_news") == []
    found = without(differing(before, await left(rig)), *UNTOLD, "connection_repositories")
    assert found.keys() <= DIFFERING.keys()
    assert not any(column == "*" for _, column in found)


async def test_a_sync_finds_what_never_came_and_counts_it(
    rig: Rig, short: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(rig, short.deliveries)
    whole = await left(rig)
    await emptied(rig.app.rest.state.engine)
    lost = [each for each in short.deliveries if each.event in LOST][-LOST_DELIVERIES:]
    await tell(rig, [each for each in short.deliveries if each not in lost])
    await heard_since(rig, short.start)
    await synced(rig, monkeypatch)
    found = without(differing(whole, await left(rig)), *UNTOLD, *LATER)
    assert found.keys() <= DIFFERING.keys() - {("deployment_changes", "*")}
    counted = await rig.ask("select what, count(*) as many from missed_news group by 1")
    missed = {row["what"]: row["many"] for row in counted}
    assert missed.keys() >= {"pull_requests", "reviews", "deployment_statuses"}
    (row,) = await rig.ask("select sum(missed) as many from sync_logs")
    assert row["many"] == sum(missed.values())
    await synced(rig, monkeypatch)
    (row,) = await rig.ask("select sum(missed) as many from sync_logs")
    assert row["many"] == sum(missed.values())


async def heard_since(rig: Rig, at: datetime) -> None:
    """Say that all was read at a time, so that whatever came later should have been told."""
    repositories = await rig.ask("select repository_id from connection_repositories")
    async with rig.app.rest.state.engine.begin() as db:
        for row in repositories:
            bound = {"home": HOME, "repository": row["repository_id"], "at": at}
            await db.execute(text(READ), bound)


async def synced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read everything of all repositories, as at a night not long after the story."""
    since = (datetime.now(UTC) - UNTIL).days + github_jobs.FULL_DAYS
    monkeypatch.setattr(github_jobs, "FULL_DAYS", since)
    orders = [
        Job(name, key=f"{name}:{HOME}", arguments={"full": True})
        for name in ("sync_github_repos", "sync_github_prs", "sync_github_actions")
    ]
    async with rig.app.rest.state.engine.begin() as db:
        await queue(db, orders, HOME)
    await rig.settle()
    assert await rig.ask("select 1 from sync_logs where state <> 'done' or error <> ''") == []
