"""The history of a repository, read from a GitHub with a past, whatever happens meanwhile."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.clients.github_history import PARTS
from bot.connectors import github
from bot.connectors.github_reading import DERIVED, HISTORY
from bot.connectors.protocol import Page, Wish
from bot.jobs import JOBS, work
from bot.jobs.syncing import run_sync
from bot.settings import Settings
from models.backfilling import FAILED, PAUSED, READ, UNREAD, standings
from tests.fakes.faults import limit_used_up
from tests.fakes.github_history import FakePast, fake_past
from tests.fakes.github_told import settings_for
from tests.rig import Rig, rig_of
from tests.story import INSTALLATION, OWNER, Story, at, iso
from tests.tables import Tables, differences, emptied, tables

pytestmark = pytest.mark.store

HOME = "github:77"
API = "github:900"
READING = ("audit_log", "etags", "sync_logs", "missed_news", "workflow_files")


class Killed(Exception):  # noqa: N818 - it is no error
    """What a process that is killed looks like from inside."""


@dataclass
class Dying:
    """GitHub's connector, in a process that dies before it keeps one more page."""

    pages: int
    name: str = github.name
    parts: tuple[str, ...] = github.parts
    supported_metrics: frozenset[str] = github.supported_metrics

    authenticate = staticmethod(github.authenticate)
    test_connection = staticmethod(github.test_connection)
    sync_status = staticmethod(github.sync_status)

    async def fetch(self, line: Any, wish: Wish, cursor: str | None) -> AsyncIterator[Page]:
        left = self.pages
        async for page in github.fetch(line, wish, cursor):
            if not left:
                raise Killed
            left -= 1
            yield page


@pytest.fixture(scope="module")
def story() -> Story:
    """A service with pull requests, deployments and a labelled issue that asks for work."""
    told = Story()
    told.baseline()
    for number in range(1, 5):
        day = f"09-0{number}"
        told.pull_request(number, at(f"{day} 08:00"), at(f"{day} 09:00"), f"v{number}")
        told.deploy(f"v{number}", at(f"{day} 10:00"))
    now = datetime.now(UTC) - timedelta(minutes=5)
    issue = {
        "id": 9_000_031, "number": 31, "title": "Do it", "body": "/claude", "state": "open",
        "user": {"login": "ada", "id": 501, "type": "User"}, "labels": [{"name": "claude"}],
        "created_at": iso(now), "updated_at": iso(now), "closed_at": None, "html_url": None,
    }  # fmt: skip
    told.tell("issues", now, action="labeled", issue=issue, label={"name": "claude"})
    return told


@pytest.fixture
def past(story: Story) -> Iterator[FakePast]:
    with fake_past() as opened:
        opened.home = dict(OWNER)
        opened.github.permissions[INSTALLATION] = opened.github.permissions[42]
        for event, payload in story.deliveries:
            opened.absorb(event, payload)
        yield opened


@pytest.fixture
async def rig(
    past: FakePast, story: Story, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    async with rig_of(settings_for(past.github, settings)) as opened:
        await installed(opened, story)
        yield opened


async def installed(rig: Rig, story: Story) -> None:
    await rig.deliver(*story.deliveries[0])
    await rig.settle()


async def left(rig: Rig) -> Tables:
    found = await tables(rig.app.rest.state.engine)
    return {name: [] if name in READING else rows for name, rows in found.items()}


async def standing(rig: Rig) -> Any:
    async with rig.surroundings.engine.connect() as db:
        (found,) = await standings(db, HOME)
    return found


async def test_an_installation_has_its_history_read(rig: Rig) -> None:
    assert (await standing(rig)).state == "queued"
    await rig.read_history()
    found = await standing(rig)
    assert (found.state, found.says) == (READ, None)
    assert found.items > 8
    pulls = await rig.ask("select number from pull_requests order by number")
    assert [row["number"] for row in pulls] == [1, 2, 3, 4]
    assert len(await rig.ask("select 1 from service_deployments")) == 5


async def test_history_answers_nobody(rig: Rig) -> None:
    await rig.read_history()
    orders = await rig.ask("select distinct name, lane from jobs where name <> 'sync_teams'")
    assert {row["name"] for row in orders} <= DERIVED | {"backfill"}
    assert {row["lane"] for row in orders} == {"ingest", "history"}
    assert await rig.ask("select 1 from tickets union all select 1 from runs") == []
    assert {row["number"] for row in await rig.ask("select number from issues")} == {31}
    assert JOBS.keys() >= DERIVED


async def test_one_that_is_killed_at_any_page_leaves_the_same_tables(
    rig: Rig, story: Story
) -> None:
    await rig.read_history()
    whole = await left(rig)
    pages, dies = 0, True
    while dies:
        await emptied(rig.app.rest.state.engine)
        await installed(rig, story)
        dies = await killed(rig, pages)
        await rig.read_history()
        assert differences(whole, await left(rig)) == [], f"killed after {pages} pages"
        pages += 1
    assert pages > len(PARTS)


async def killed(rig: Rig, pages: int) -> bool:
    """Read until the process dies; tell whether there were so many pages."""
    (job,) = await rig.ask("select since from jobs where name = 'backfill'")
    wish = Wish(HOME, HISTORY, since=job["since"], repository_id=API)
    try:
        await run_sync(rig.surroundings, Dying(pages), wish, "backfill")
    except Killed:
        return True
    return False


async def test_a_limit_puts_it_off_until_a_time_that_is_shown(rig: Rig, past: FakePast) -> None:
    past.github.fail(limit_used_up(600), on="/deployments", times=1)
    await work(rig.surroundings, "history", 1)
    found = await standing(rig)
    assert found.state == PAUSED
    assert found.until > datetime.now(UTC) + timedelta(minutes=5)
    assert "rate limit" in found.says


async def test_a_part_that_is_kept_from_us_is_said_and_the_rest_is_read(
    rig: Rig, past: FakePast
) -> None:
    del past.github.permissions[INSTALLATION]["deployments"]
    await rig.read_history()
    found = await standing(rig)
    assert found.state == READ
    assert "deployments" in found.says
    assert len(await rig.ask("select 1 from pull_requests")) == 4
    assert await rig.ask("select 1 from deployments where source = 'deployment_status'") == []


async def test_webhooks_that_come_meanwhile_leave_the_same_tables(rig: Rig, story: Story) -> None:
    await rig.read_history()
    for event, payload in story.deliveries[1:]:
        await rig.deliver(event, payload)
    await rig.read_history()
    after = await left(rig)
    await emptied(rig.app.rest.state.engine)
    await installed(rig, story)
    assert await killed(rig, 3)
    for event, payload in story.deliveries[1:]:
        await rig.deliver(event, payload)
    await rig.read_history()
    assert differences(after, await left(rig)) == []


async def test_without_the_app_nobody_is_asked_and_nothing_fails(
    settings: Settings, story: Story, clean: None, clean_redis: str
) -> None:
    async with rig_of(settings) as rig:
        await installed(rig, story)
        await rig.read_history()
        assert await rig.ask("select 1 from sync_logs") == []
        assert (await standing(rig)).state == UNREAD
        assert await rig.ask("select 1 from jobs where error is not null") == []


async def test_what_failed_is_shown_with_its_reason(rig: Rig) -> None:
    async with rig.surroundings.engine.begin() as db:
        parked = "update jobs set status = 'parked', error = 'no luck' where name = 'backfill'"
        await db.execute(text(parked))
    found = await standing(rig)
    assert (found.state, found.says) == (FAILED, "no luck")


async def test_it_is_ordered_by_the_api_after_its_cost_was_said(rig: Rig) -> None:
    await rig.read_history()
    await rig.sign_in("acme", "manager")
    cost = await rig.get(f"/repositories/{API}/backfill/cost", days=365)
    assert (cost["pull_requests"], cost["days"]) == (4, 365)
    assert cost["calls"] > 4
    headers = {"authorization": f"Bearer {rig.token}"}
    path = f"/api/v1/repositories/{API}/backfill"
    answer = await rig.client.post(path, json={"days": 365}, headers=headers)
    assert answer.json()["state"] == "queued"
    (listed,) = (await rig.get("/backfills"))["items"]
    assert listed["repository"] == "acme/api"
    await rig.read_history()
    again = await rig.get(f"/repositories/{API}/backfill")
    assert again["state"] == "read"
    assert datetime.fromisoformat(again["since"]) < datetime.now(UTC) - timedelta(days=364)


async def test_who_looks_may_neither_order_nor_ask_for_the_cost(rig: Rig) -> None:
    await rig.sign_in("acme", "viewer")
    headers = {"authorization": f"Bearer {rig.token}"}
    path = f"/api/v1/repositories/{API}/backfill"
    assert (await rig.client.post(path, json={}, headers=headers)).status_code == 403
    assert (await rig.client.get(f"{path}/cost", headers=headers)).status_code == 403


async def test_another_organisation_has_no_such_repository(rig: Rig) -> None:
    await rig.sign_in("other", "admin")
    headers = {"authorization": f"Bearer {rig.token}"}
    path = f"/api/v1/repositories/{API}/backfill"
    assert (await rig.client.post(path, json={}, headers=headers)).status_code == 404
    assert (await rig.get("/backfills"))["items"] == []
