"""The engine of synchronisations, with a connector of a source that exists in this test only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.connectors.protocol import Condition, Page, Trouble, Wait, Wish
from bot.jobs import PutOff
from bot.jobs.syncing import run_sync, since_last
from bot.surroundings import Surroundings
from handlers.events import Job
from models import ConnectionRepository, Issue
from models.errors import Refused
from models.store import remember
from models.syncing import etags_of
from tests.rig import Rig

pytestmark = pytest.mark.store

HOME = "github:9"
NOW = datetime.now(UTC)


class Killed(Exception):  # noqa: N818 - it is no error
    """What a process that is killed looks like from inside."""


def issue(number: int, at: datetime, title: str = "An issue") -> Issue:
    return Issue(
        id=f"toy:{number}",
        changed_at=at,
        repository_id="toy:1",
        number=number,
        title=title,
        state="open",
        created_at=NOW - timedelta(days=9),
    )


@dataclass
class Toy:
    """A source that tells one issue a page."""

    issues: list[Issue] = field(default_factory=list)
    name: str = "toy"
    parts: tuple[str, ...] = ("issues",)
    supported_metrics: frozenset[str] = frozenset({"throughput"})
    connected: bool = True
    refuses: str | None = None
    asked: list[int] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    trouble: dict[int, Exception] = field(default_factory=dict)
    through: set[int] = field(default_factory=set)
    last: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def authenticate(
        self, surroundings: Surroundings, organization_id: str
    ) -> AsyncIterator[str | None]:
        if self.refuses:
            raise Trouble(self.refuses)
        yield "line" if self.connected else None

    async def test_connection(self, surroundings: Surroundings, organization_id: str) -> Condition:
        return Condition(self.connected, "The toy answers.")

    async def fetch(self, line: Any, wish: Wish, cursor: str | None) -> AsyncIterator[Page]:
        self.wishes.append(wish)
        for place in range(int(cursor or 0), len(self.issues)):
            if error := self.trouble.pop(place, None):
                raise error
            self.asked.append(place)
            told, more = self.issues[place], place + 1 < len(self.issues)
            yield Page(
                cursor=str(place + 1) if more else None,
                through=place in self.through,
                **({} if more else self.last),
                rows=[issue(told.number, told.changed_at, told.title)],
                waiting=[Job("link_issues", "link_issues:toy", since=told.changed_at)],
                items=1,
                calls=1,
                expected=len(self.issues),
            )


@pytest.fixture
def toy() -> Toy:
    return Toy([issue(number, NOW - timedelta(hours=number)) for number in range(1, 5)])


async def run(rig: Rig, toy: Toy, wish: Wish | None = None) -> int | None:
    return await run_sync(rig.surroundings, toy, wish or Wish(HOME), "issues")


async def logs(rig: Rig) -> list[tuple[Any, ...]]:
    rows = await rig.ask(
        "select state, items, calls, expected, missed, error from sync_logs order by id"
    )
    return [tuple(row.values()) for row in rows]


async def test_every_page_is_kept_and_what_may_wait_comes_last(rig: Rig, toy: Toy) -> None:
    await run(rig, toy)
    assert await logs(rig) == [("done", 4, 4, 4, 0, None)]
    rows = await rig.ask("select organization_id, number from issues order by number")
    assert [tuple(row.values()) for row in rows] == [(HOME, number) for number in range(1, 5)]
    jobs = await rig.ask("select name, since, organization_id from jobs")
    assert [tuple(job.values()) for job in jobs] == [
        ("link_issues", NOW - timedelta(hours=4), HOME)
    ]


async def test_one_that_is_killed_at_any_page_goes_on_there(rig: Rig, toy: Toy) -> None:
    for place in range(4):
        async with rig.surroundings.engine.begin() as db:
            await db.execute(text("delete from jobs"))
        toy.asked.clear()
        toy.trouble = {place: Killed()}
        with pytest.raises(Killed):
            await run(rig, toy)
        assert (await logs(rig))[-1][:2] == ("running", place)
        assert await rig.ask("select 1 from jobs") == []
        await run(rig, toy)
        assert toy.asked == [0, 1, 2, 3]
        assert (await logs(rig))[-1][:3] == ("done", 4, 4)
        (job,) = await rig.ask("select since from jobs")
        assert job["since"] == NOW - timedelta(hours=4)
    assert len(await logs(rig)) == 4


async def test_a_limit_puts_it_off_and_a_refusal_is_written_down(rig: Rig, toy: Toy) -> None:
    toy.trouble = {1: Wait(NOW + timedelta(minutes=5), "The toy asks to wait.")}
    with pytest.raises(PutOff, match="The toy asks to wait") as off:
        await run(rig, toy)
    assert off.value.until == NOW + timedelta(minutes=5)
    toy.trouble = {2: Trouble("The toy wants the permission play.")}
    with pytest.raises(Refused, match="permission play"):
        await run(rig, toy)
    refused = "The toy wants the permission play."
    assert await logs(rig) == [("failed", 2, 2, 4, 0, refused)]
    await run(rig, toy)
    assert await logs(rig) == [("done", 4, 4, 4, 0, None)]


async def test_one_who_is_not_let_in_is_written_down(rig: Rig, toy: Toy) -> None:
    toy.refuses = "The toy does not take the token any more."
    for _ in range(2):
        with pytest.raises(Refused, match="does not take"):
            await run(rig, toy)
    assert await logs(rig) == [("failed", 0, 0, None, 0, toy.refuses)]
    toy.refuses = None
    await run(rig, toy)
    assert await logs(rig) == [("done", 4, 4, 4, 0, None)]


async def test_nothing_is_written_down_where_nothing_is_connected(rig: Rig, toy: Toy) -> None:
    toy.connected = False
    assert await run(rig, toy) is None
    assert await logs(rig) == []


async def test_what_webhooks_should_have_told_is_counted_once(rig: Rig, toy: Toy) -> None:
    await run(rig, toy)
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("update sync_logs set started_at = now() - interval '2 days'"))
        heard = issue(5, NOW - timedelta(hours=2), "Heard of")
        heard.organization_id = HOME
        await remember(db, [heard])
    toy.issues = [
        issue(1, NOW - timedelta(minutes=30), "Renamed, and nobody told"),
        issue(2, NOW - timedelta(hours=1)),
        issue(5, NOW - timedelta(hours=2), "Heard of"),
        issue(6, NOW - timedelta(hours=3), "Never heard of"),
        issue(7, NOW - timedelta(minutes=1), "Its webhook may be on the way"),
        issue(8, NOW - timedelta(days=3), "From before anything was read"),
    ]
    wish = await since_last(rig.surroundings, toy, Wish(HOME), ("issues",))
    assert wish.since is not None
    await run(rig, toy, wish)
    assert toy.wishes[-1].since == wish.since
    assert (await logs(rig))[-1] == ("done", 6, 6, 6, 2, None)
    found = await rig.ask("select thing_id, what, source from missed_news order by thing_id")
    assert [tuple(row.values()) for row in found] == [
        ("toy:1", "issues", "toy"),
        ("toy:6", "issues", "toy"),
    ]
    await run(rig, toy, wish)
    assert (await logs(rig))[-1][4] == 0


async def test_what_waits_is_let_through_when_a_page_says_so(rig: Rig, toy: Toy) -> None:
    toy.through, toy.trouble = {1}, {3: Killed()}
    with pytest.raises(Killed):
        await run(rig, toy)
    (job,) = await rig.ask("select since from jobs")
    assert job["since"] == NOW - timedelta(hours=2)
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("delete from jobs"))
    await run(rig, toy)
    (job,) = await rig.ask("select since from jobs")
    assert job["since"] == NOW - timedelta(hours=4)


async def test_etags_are_kept_and_a_part_that_is_refused_is_said(rig: Rig, toy: Toy) -> None:
    toy.last = {"etags": {"toy:1 list": '"e1"'}, "trouble": "The toy would not show its inside."}
    await run(rig, toy)
    refused = "The toy would not show its inside."
    assert await logs(rig) == [("done", 4, 4, 4, 0, refused)]
    async with rig.surroundings.engine.connect() as db:
        assert await etags_of(db, HOME, "toy:1 ") == {"toy:1 list": '"e1"'}
        assert await etags_of(db, "github:8", "toy:1 ") == {}


async def test_one_that_reads_less_than_is_wished_is_not_gone_on_with(rig: Rig, toy: Toy) -> None:
    toy.trouble = {2: Killed()}
    with pytest.raises(Killed):
        await run(rig, toy, Wish(HOME, since=NOW - timedelta(days=90)))
    await run(rig, toy, Wish(HOME, since=NOW - timedelta(days=365)))
    assert [log[:2] for log in await logs(rig)] == [("running", 2), ("done", 4)]


async def test_what_was_before_a_repository_was_opened_was_not_missed(rig: Rig, toy: Toy) -> None:
    await run(rig, toy)
    opened = ConnectionRepository(
        id="toy:c:1",
        organization_id=HOME,
        changed_at=NOW - timedelta(hours=2),
        connection_id="toy:c",
        repository_id="toy:1",
        full_name="acme/toy",
    )
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("update sync_logs set started_at = now() - interval '2 days'"))
        await remember(db, [opened])
    toy.issues = [issue(8, NOW - timedelta(hours=3)), issue(9, NOW - timedelta(hours=1))]
    await run(rig, toy)
    found = await rig.ask("select thing_id from missed_news")
    assert [row["thing_id"] for row in found] == ["toy:9"]
