"""Reading a workspace of Linear: page by page, killed anywhere, the same rows as by webhooks."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

import models
from bot import deliveries
from bot.clients.linear import LinearSecret
from bot.connectors import linear as reading
from bot.jobs import PutOff
from bot.jobs.linear import sync_linear
from bot.settings import Settings
from bot.web.linear_connecting import sync_job
from models.chat import keep_connection_secret
from models.errors import Refused
from models.queue import ClaimedJob, queue
from models.store import remember
from tests.fakes.linear import API_KEY, FakeLinear, Node, fake_linear
from tests.linear_posts import LINEAR_SECRET, posted
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

HOME = "github:9001"
TABLES = (
    "identities",
    "linear_teams",
    "linear_projects",
    "linear_cycles",
    "linear_labels",
    "linear_issues",
    "linear_attachments",
)


class Killed(BaseException):
    """A worker's end, as nothing catches it."""


@pytest.fixture
def fake() -> Iterator[FakeLinear]:
    with fake_linear() as linear:
        yield linear


@pytest.fixture
async def rig(
    fake: FakeLinear, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    told = settings.model_copy(
        update={
            "linear_api_url": fake.address,
            "linear_webhook_secret": SecretStr(LINEAR_SECRET),
        }
    )
    async with rig_of(told) as opened:
        await connected(opened, fake)
        yield opened


async def connected(rig: Rig, fake: FakeLinear) -> None:
    """Connect the workspace by an API key."""
    connection = models.Connection(
        id=f"linear:organization:{fake.id}", organization_id=HOME, source="linear",
        external_id=fake.id, account_login="Acme", state="active", permissions={},
    )  # fmt: skip
    acme = models.Organization(id=HOME, login="acme", account_id=9001)
    secret = LinearSecret(api_key=SecretStr(API_KEY)).model_dump_json(exclude_none=True)
    surroundings = rig.surroundings
    async with surroundings.engine.begin() as db:
        await remember(db, [acme, connection])
        await keep_connection_secret(db, connection.id, surroundings.vault.seal(secret))


def workspace(fake: FakeLinear, many: int = 60) -> list[Node]:
    """Let there be teams, a project, cycles, and issues of which some went all the way."""
    eng, ops = fake.team("ENG"), fake.team("OPS")
    ben = fake.user("Ben", "BEN@acme.example")
    fake.user("Sentry", "sentry@linear.app", app=True)
    project = fake.project("Billing")
    cycle = fake.cycle(eng, 1, "2026-09-01T00:00:00.000Z", "2026-09-15T00:00:00.000Z")
    made = [
        fake.issue(
            eng, f"Issue {number}", createdAt=day(1, number), updatedAt=day(1, number),
            assignee=ben, project=project if number % 2 else None, cycle=cycle,
        )
        for number in range(many)
    ]  # fmt: skip
    first = made[0]
    fake.change(first, "started", day(2))
    fake.change(first, "completed", day(3))
    fake.attach(first, "https://github.com/acme/api/pull/7", day(2))
    made.append(fake.issue(ops, "Checkout is down", "incident", createdAt=day(4), updatedAt=day(4)))
    return made


def day(number: int, minute: int = 0) -> str:
    return f"2026-09-{number:02d}T{minute // 60:02d}:{minute % 60:02d}:00.000Z"


async def sync(rig: Rig, **arguments: Any) -> None:
    """Run the job once, as a worker does."""
    told = ClaimedJob(1, HOME, "sync_linear", f"sync_linear:{HOME}", arguments, None, 1)
    await sync_linear(rig.surroundings, told)


async def contents(rig: Rig) -> dict[str, list[str]]:
    """Return what the tables say, without the clocks that differ by how it was told."""
    found = {}
    for table in TABLES:
        rows = await rig.ask(f"select * from {table} order by id")  # noqa: S608
        for row in rows:
            for name in ("changed_at", "rank", "digest"):
                del row[name]
        found[table] = [json.dumps(row, default=str) for row in rows]
    return found


async def logs(rig: Rig) -> list[tuple[Any, ...]]:
    rows = await rig.ask("select state, items, name, error from sync_logs order by id")
    return [tuple(row.values()) for row in rows]


async def test_everything_is_read(rig: Rig, fake: FakeLinear) -> None:
    workspace(fake)
    await sync(rig)
    counted = {
        table: (await rig.ask(f"select count(*) from {table}"))[0]["count"]  # noqa: S608
        for table in TABLES
    }
    assert list(counted.values()) == [3, 2, 1, 1, 1, 61, 1]
    assert await logs(rig) == [("done", 69, "full", None)]
    rows = await rig.ask("select * from linear_issues where identifier = 'ENG-1'")
    assert rows[0]["started_at"] == datetime(2026, 9, 2, tzinfo=UTC)
    assert rows[0]["completed_at"] == datetime(2026, 9, 3, tzinfo=UTC)
    assert rows[0]["state_type"] == "completed"
    emails = await rig.ask("select email, bot from identities order by email")
    assert [tuple(each.values()) for each in emails] == [
        ("ada@acme.example", False), ("ben@acme.example", False), ("sentry@linear.app", True),
    ]  # fmt: skip
    jobs = await rig.ask("select name, key from jobs order by name, key")
    assert [job["name"] for job in jobs] == ["follow_incident", "link_issues"]


async def test_history_gives_the_times_that_an_issue_lacks(rig: Rig, fake: FakeLinear) -> None:
    made = workspace(fake, 2)[0]
    made |= {"startedAt": None, "completedAt": None}
    await sync(rig)
    rows = await rig.ask(
        "select started_at, completed_at, rank from linear_issues where identifier = 'ENG-1'"
    )
    assert [tuple(row.values()) for row in rows] == [
        (datetime(2026, 9, 2, tzinfo=UTC), datetime(2026, 9, 3, tzinfo=UTC), 1)
    ]


async def test_long_lists_within_an_issue_are_read_to_the_end(rig: Rig, fake: FakeLinear) -> None:
    made = workspace(fake, 1)[0]
    made["labels"] = [fake.label(f"label {number:02d}") for number in range(13)]
    for number in range(8, 19):
        fake.attach(made, f"https://github.com/acme/api/pull/{number}")
    await sync(rig)
    rows = await rig.ask("select labels from linear_issues where identifier = 'ENG-1'")
    assert len(rows[0]["labels"]) == 13
    assert len(await rig.ask("select 1 from linear_attachments")) == 12
    assert fake.asked.count("RestOfIssue") == 1


async def test_the_newest_issues_are_read_first(rig: Rig, fake: FakeLinear) -> None:
    workspace(fake, 60)
    await killed_before(rig, fake, 7)
    rows = await rig.ask("select identifier from linear_issues order by changed_at desc")
    assert rows[0]["identifier"] == "OPS-1"
    assert len(rows) == 50


async def killed_before(rig: Rig, fake: FakeLinear, page: int) -> None:
    """Sync until the worker is killed as it is about to ask for the nth page, counted from 1."""
    real, asked = reading.page, 0

    async def counted(*told: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == page:
            raise Killed
        return await real(*told)

    reading.page = counted
    try:
        with pytest.raises(Killed):
            await sync(rig)
    finally:
        reading.page = real


async def test_a_sync_that_is_killed_at_any_page_goes_on_there(rig: Rig, fake: FakeLinear) -> None:
    workspace(fake, 120)
    await sync(rig)
    pages, expected = len(fake.asked), await contents(rig)
    assert pages == 8
    for page in range(1, pages + 1):
        async with rig.surroundings.engine.begin() as db:
            for table in (*TABLES, "sync_logs", "jobs"):
                await db.execute(text(f"delete from {table}"))  # noqa: S608
        await killed_before(rig, fake, page)
        fake.asked.clear()
        await sync(rig)
        assert len(fake.asked) == pages - page + 1
        assert await contents(rig) == expected
        assert [log[:2] for log in await logs(rig)] == [("done", 129)]


async def test_webhooks_and_reading_leave_the_same_tables(rig: Rig, fake: FakeLinear) -> None:
    made = workspace(fake, 5)
    await sync(rig)
    expected = await contents(rig)
    async with rig.surroundings.engine.begin() as db:
        for table in TABLES:
            await db.execute(text(f"delete from {table}"))  # noqa: S608
    for kind, things in (
        ("Project", fake.projects), ("Cycle", fake.cycles), ("IssueLabel", fake.labels),
        ("Issue", made),
    ):  # fmt: skip
        for thing in things:
            answer = await posted(rig, fake.webhook(kind, "create", thing))
            assert answer.status_code == 200, answer.text
    attachment = fake.webhook("Attachment", "create", made[0]["attachments"][0])
    attachment["data"]["issueId"] = made[0]["id"]
    await posted(rig, attachment)
    await deliveries.settle(rig.surroundings.engine)
    found = await contents(rig)
    bot = [row for row in expected["identities"] if "sentry" not in row]
    assert found == {**expected, "identities": bot}


async def test_the_next_sync_reads_what_changed_since(rig: Rig, fake: FakeLinear) -> None:
    made = workspace(fake, 60)
    await sync(rig)
    made[7]["title"] = "Another title"
    made[7]["updatedAt"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    await sync(rig)
    assert [log[:3] for log in await logs(rig)] == [("done", 69, "full"), ("done", 9, "changes")]
    rows = await rig.ask("select 1 from linear_issues where title = 'Another title'")
    assert len(rows) == 1
    await sync(rig, full=True)
    assert (await logs(rig))[-1][:3] == ("done", 69, "full")


async def test_a_limit_puts_the_sync_off_and_loses_nothing(rig: Rig, fake: FakeLinear) -> None:
    workspace(fake, 60)
    fake.limit(30)
    with pytest.raises(PutOff, match="no more requests before"):
        await sync(rig)
    fake.limit(0)
    await sync(rig)
    assert await logs(rig) == [("done", 69, "full", None)]


async def test_a_refusal_is_kept_with_the_place_to_go_on(rig: Rig, fake: FakeLinear) -> None:
    workspace(fake, 60)
    fake.partial = True
    with pytest.raises(Refused, match="Entity not found"):
        await sync(rig)
    (log,) = await logs(rig)
    assert log[0] == "failed"
    assert log[3].startswith("Linear refused Users")
    fake.partial = False
    await sync(rig)
    assert [each[0] for each in await logs(rig)] == ["done"]


async def test_a_sync_is_worked_off_like_any_job(rig: Rig, fake: FakeLinear) -> None:
    workspace(fake, 3)
    async with rig.surroundings.engine.begin() as db:
        await queue(db, [sync_job(HOME)], HOME)
    await rig.settle()
    assert len(await rig.ask("select 1 from linear_issues")) == 4
    assert await rig.ask("select 1 from jobs where status <> 'done'") == []


async def test_without_a_connection_nothing_is_asked(rig: Rig, fake: FakeLinear) -> None:
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("delete from connection_secrets"))
    await sync(rig)
    assert fake.asked == []
