"""`reconcile`: what GitHub could not deliver is taken from its log, once, and settles as usual."""

import asyncio
import contextlib
import json
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.clients.asking import Patience
from bot.clients.github_deliveries import Recorded
from bot.clients.signing import Memory
from bot.jobs import log_reading
from bot.jobs import reconcile as reconciling
from bot.jobs.log_reading import RESERVED
from bot.jobs.reconcile import BUSY, NO_APP, READ, Reconciled, pause_after, reconcile
from bot.settings import Settings
from bot.web.accounts import create_user, organization_called
from bot.web.sessions import sign_in_link
from bot.worker import Workshop
from models.recovering import Missed, keep_missed, recovered_by_day
from tests.fakes.faults import answering, bad_gateway, half_json, limit_used_up, truncated
from tests.fakes.github import FakeGitHub, fake_github
from tests.fakes.github_deliveries import FakeAttempt
from tests.fakes.github_told import settings_for
from tests.rig import Rig, rig_of
from tests.story import Story, at
from tests.tables import TABLES, differences, emptied, tables

pytestmark = pytest.mark.store

LIST, DETAIL = "GET /app/hook/deliveries", "GET /app/hook/deliveries/"
HOUR = timedelta(hours=1)


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """A GitHub that is asked again at once, with nothing remembered of another."""
    monkeypatch.setattr("bot.clients.github.Patience", partial(Patience, first_seconds=0.01))
    monkeypatch.setattr("bot.clients.github.MEMORY", Memory())
    with fake_github() as fake:
        yield fake


@pytest.fixture
async def rig(
    github: FakeGitHub, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    async with rig_of(settings_for(github, settings)) as opened:
        yield opened


def story() -> Story:
    """Return a small history: an installation, a push, a pull request, a deployment, a team.

    GitHub dates no team, so that its row is of when it was sent.
    """
    told = Story()
    told.tell("team", at("09-01 07:30"), action="created", team={"id": 3, "name": "Crew"})
    told.push("main", at("09-01 08:00"), [told.commit("v1", at("09-01 07:00"))])
    told.pull_request(1, at("09-01 08:10"), at("09-01 08:30"), "v2")
    told.attempt("v2", at("09-01 09:30"), ("success", at("09-01 09:40")))
    return told


def failed(github: FakeGitHub, told: Story, **more: Any) -> list[FakeAttempt]:
    """Note that nothing of a story could be delivered, a second apart, an hour ago."""
    return [
        github.log.add(event, payload, ago=HOUR - timedelta(seconds=number), **more)
        for number, (event, payload) in enumerate(told.deliveries)
    ]


def push(github: FakeGitHub, **more: Any) -> FakeAttempt:
    """Note that a push could not be delivered, of an organisation that nobody knows."""
    told = Story()
    told.push("main", at("09-01 08:00"), [told.commit("v1", at("09-01 07:00"))])
    event, payload = told.deliveries[-1]
    return github.log.add(event, payload, **more)


async def kept(rig: Rig, column: str = "delivery_id") -> list[Any]:
    """Return a column of the inbox, oldest first."""
    rows = await rig.ask(f"select {column} as told from deliveries order by id")  # noqa: S608
    return [row["told"] for row in rows]


async def cursor(rig: Rig) -> dict[str, Any]:
    """Return how far the log was read."""
    (row,) = await rig.ask("select * from delivery_cursors")
    return row


def guids(attempts: list[FakeAttempt]) -> list[str]:
    """Return the ids of deliveries."""
    return [each.guid for each in attempts]


async def test_what_was_missed_leaves_the_tables_as_if_it_had_come(
    rig: Rig, github: FakeGitHub
) -> None:
    told, engine = story(), rig.app.rest.state.engine
    attempts = failed(github, told)
    for attempt, (event, payload) in zip(attempts, told.deliveries, strict=True):
        await rig.deliver(event, payload, delivery_id=attempt.guid)
        async with engine.begin() as db:
            came = text("update deliveries set received_at = :at where delivery_id = :id")
            await db.execute(came, {"at": attempt.delivered_at, "id": attempt.guid})
    await rig.settle()
    as_delivered = await tables(engine)
    await emptied(engine)
    came_to = await reconcile(rig.surroundings)
    await rig.settle()
    found = await tables(engine)
    assert came_to == Reconciled(missed=len(attempts), recovered=len(attempts))
    assert await kept(rig) == guids(attempts)
    assert set(await kept(rig, "via || ' ' || status")) == {"recovered settled"}
    assert as_delivered["deployments"]
    assert as_delivered["teams"]
    assert as_delivered["pull_request_times"]
    same = {table: as_delivered[table] for table in TABLES} | {"delivery_cursors": []}
    assert differences(same, found | {"delivery_cursors": []}) == []


async def test_what_is_kept_is_the_payload_the_headers_that_matter_and_when_it_was_sent(
    rig: Rig, github: FakeGitHub
) -> None:
    attempt = push(github)
    await reconcile(rig.surroundings)
    (row,) = await rig.ask("select * from deliveries")
    assert json.loads(zlib.decompress(row["body"])) == attempt.payload
    assert b": " not in zlib.decompress(row["body"])[:40]
    assert (row["source"], row["event"], row["via"]) == ("github", "push", "recovered")
    assert row["sent_at"] == attempt.delivered_at
    assert row["headers"] == {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/0aa8d4f",
        "x-github-hook-id": "42",
        "x-github-hook-installation-target-id": "7",
        "x-github-hook-installation-target-type": "integration",
    }


async def test_what_the_inbox_knows_is_not_asked_for(rig: Rig, github: FakeGitHub) -> None:
    attempt = push(github, status_code=504)
    spaced = json.dumps(attempt.payload, indent=1).encode()
    await rig.deliver("push", spaced, delivery_id=attempt.guid)
    assert await reconcile(rig.surroundings) == Reconciled()
    assert github.asked(DETAIL) == []
    assert await kept(rig, "via") == ["webhook"]


async def test_a_webhook_after_its_recovery_is_a_repeat(rig: Rig, github: FakeGitHub) -> None:
    attempt = push(github)
    await reconcile(rig.surroundings)
    spaced = json.dumps(attempt.payload, indent=1).encode()
    answer = await rig.deliver("push", spaced, delivery_id=attempt.guid)
    other = await rig.deliver("push", spaced, delivery_id="another")
    assert (answer.status_code, other.status_code) == (200, 202)
    assert await kept(rig) == [attempt.guid, "another"]


async def test_a_delivery_that_came_meanwhile_is_not_put_beside_it(rig: Rig) -> None:
    await rig.deliver("push", {"ref": "refs/heads/main"}, delivery_id="one")
    late = Missed("one", "push", "{}", b"", b"another layout", datetime.now(UTC))
    async with rig.app.rest.state.engine.begin() as db:
        assert await keep_missed(db, "github", "recovered", [late]) == 0
        assert await keep_missed(db, "github", "recovered", [late._replace(event="fork")]) == 1
        assert await keep_missed(db, "github", "recovered", []) == 0
    assert await kept(rig, "event") == ["push", "fork"]


async def test_attempts_of_one_delivery_are_one(rig: Rig, github: FakeGitHub) -> None:
    first = push(github, ago=2 * HOUR)
    github.log.repeat(first, 502, ago=HOUR)
    newest = github.log.repeat(first, 504, ago=HOUR / 2)
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, recovered=1)
    assert github.asked(DETAIL) == [f"{DETAIL}{newest.id}"]
    assert await kept(rig, "sent_at") == [first.delivered_at]


async def test_what_succeeded_once_is_fine(rig: Rig, github: FakeGitHub) -> None:
    github.log.filters = False
    github.log.repeat(push(github, ago=2 * HOUR), 202)
    lost = push(github)
    came_to = await reconcile(rig.surroundings)
    assert (came_to.missed, await kept(rig)) == (1, [lost.guid])


async def test_what_nobody_registered_for_is_skipped(rig: Rig, github: FakeGitHub) -> None:
    skipped = github.log.add("star", {"action": "created"})
    assert await reconcile(rig.surroundings) == Reconciled()
    assert github.asked(DETAIL) == []
    assert (await cursor(rig))["newest_id"] == skipped.id


async def test_what_belongs_to_nobody_known_is_parked_until_its_installation_comes(
    rig: Rig, github: FakeGitHub
) -> None:
    told = story()
    attempts = failed(github, told)
    installation = attempts[0]
    github.log.attempts.remove(installation)
    await reconcile(rig.surroundings)
    await rig.settle()
    assert set(await kept(rig, "status")) == {"parked"}
    github.log.attempts.append(installation)
    installation.delivered_at = datetime.now(UTC) - timedelta(minutes=2)
    await reconcile(rig.surroundings)
    await rig.settle()
    assert set(await kept(rig, "status")) == {"settled"}


async def test_every_page_is_read_once_and_then_only_what_is_new(
    rig: Rig, github: FakeGitHub
) -> None:
    github.log.most_per_page = 2
    attempts = [push(github, ago=HOUR - timedelta(minutes=n)) for n in range(7)]
    assert (await reconcile(rig.surroundings)).recovered == 7
    assert len(github.asked(LIST)) - len(github.asked(DETAIL)) == 4
    assert await kept(rig) == guids(attempts)
    github.requests.clear()
    late = push(github, ago=timedelta(minutes=2))
    assert (await reconcile(rig.surroundings)).recovered == 1
    assert github.requests == [LIST, LIST, f"{DETAIL}{late.id}"]
    assert (await cursor(rig))["delivered_at"] == late.delivered_at


async def test_who_is_killed_between_portions_goes_on(
    rig: Rig, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "TOGETHER", 2)
    attempts = [push(github, ago=HOUR - timedelta(minutes=n)) for n in range(6)]
    asked = threading.Event()

    async def hang(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await receive()
        await receive()

    github.fail(hang, on=str(attempts[3].id))
    running = asyncio.create_task(reconcile(rig.surroundings))
    assert await asyncio.to_thread(asked.wait, 20)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert await kept(rig) == guids(attempts[:2])
    assert await rig.ask("select * from delivery_cursors") == []
    assert await reconcile(rig.surroundings) == Reconciled(missed=4, recovered=4)
    assert await kept(rig) == guids(attempts)


@pytest.mark.parametrize("fault", [bad_gateway(), truncated(), half_json()])
async def test_broken_answers_are_asked_for_again(rig: Rig, github: FakeGitHub, fault: Any) -> None:
    attempts = [push(github), push(github)]
    github.fail(fault, on=LIST)
    github.fail(fault, on=str(attempts[1].id))
    assert await reconcile(rig.surroundings) == Reconciled(missed=2, recovered=2)


async def test_a_log_that_cannot_be_listed_keeps_the_cursor_and_says_so(
    rig: Rig, github: FakeGitHub
) -> None:
    push(github)
    github.fail(bad_gateway(), on=LIST, times=4)
    came_to = await reconcile(rig.surroundings)
    assert "502" in str(came_to.error)
    row = await cursor(rig)
    assert (row["delivered_at"], row["error"]) == (None, came_to.error)
    assert row["checked_at"] is not None
    assert (await reconcile(rig.surroundings)).recovered == 1
    row = await cursor(rig)
    assert row["error"] is None
    github.fail(bad_gateway(), on=LIST, times=4)
    await reconcile(rig.surroundings)
    again = await cursor(rig)
    assert (again["delivered_at"], again["newest_id"]) == (row["delivered_at"], row["newest_id"])


async def test_the_cursor_passes_nothing_that_github_does_not_show(
    rig: Rig, github: FakeGitHub
) -> None:
    attempts = [push(github, ago=timedelta(minutes=50 - n)) for n in range(4)]
    github.fail(bad_gateway(), on=str(attempts[1].id), times=4)
    came_to = await reconcile(rig.surroundings)
    assert (came_to.missed, came_to.recovered, came_to.failed) == (4, 3, 1)
    assert (await cursor(rig))["delivered_at"] < attempts[1].delivered_at
    assert github.log.again == []
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, recovered=1)
    assert (await cursor(rig))["delivered_at"] == attempts[-1].delivered_at


async def test_what_github_fails_to_show_for_an_hour_is_sent_again(
    rig: Rig, github: FakeGitHub
) -> None:
    attempt = push(github, ago=2 * HOUR)
    github.fail(bad_gateway(), on=f"{DETAIL}{attempt.id}", times=4)
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, asked_again=1)
    assert github.log.again == [attempt.id]


async def test_what_was_sent_again_and_is_not_shown_for_an_hour_is_given_up(
    rig: Rig, github: FakeGitHub
) -> None:
    attempt = github.log.repeat(push(github, ago=3 * HOUR), 502, ago=2 * HOUR)
    github.fail(bad_gateway(), on=f"{DETAIL}{attempt.id}", times=4)
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, failed=1)
    assert github.log.again == []
    assert (await cursor(rig))["delivered_at"] == attempt.delivered_at


async def test_asking_to_send_again_is_asked_once_and_tried_at_the_next_reading(
    rig: Rig, github: FakeGitHub
) -> None:
    attempt = push(github, gone=True)
    github.fail(bad_gateway(), on="/attempts")
    came_to = await reconcile(rig.surroundings)
    assert (came_to.failed, len(github.asked("/attempts"))) == (1, 1)
    assert (await cursor(rig))["delivered_at"] < attempt.delivered_at
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, asked_again=1)


async def test_a_refusal_ends_the_reading(rig: Rig, github: FakeGitHub) -> None:
    attempts = [push(github, ago=HOUR - timedelta(minutes=n)) for n in range(30)]
    github.fail(answering(403, {"message": "This app is suspended"}), on=DETAIL, times=100)
    came_to = await reconcile(rig.surroundings)
    assert "suspended" in str(came_to.error)
    assert len(github.asked(DETAIL)) <= log_reading.AT_ONCE
    assert (await cursor(rig))["delivered_at"] < attempts[0].delivered_at


async def test_what_is_gone_is_sent_again_once(rig: Rig, github: FakeGitHub) -> None:
    attempt = push(github, gone=True)
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, asked_again=1)
    assert github.log.again == [attempt.id]
    github.log.repeat(attempt, 502, ago=timedelta(minutes=2), gone=True)
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, failed=1)
    assert github.log.again == [attempt.id]
    assert (await cursor(rig))["error"] is None


async def test_a_used_up_limit_ends_the_reading_and_the_next_goes_on(
    rig: Rig, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "TOGETHER", 2)
    attempts = [push(github, ago=HOUR - timedelta(minutes=n)) for n in range(6)]
    github.fail(limit_used_up(3600), on=str(attempts[3].id))
    came_to = await reconcile(rig.surroundings)
    assert came_to.until is not None
    assert came_to.until > datetime.now(UTC) + timedelta(minutes=50)
    assert "rate limit" in str(came_to.error)
    assert set(await kept(rig)) <= set(guids(attempts[:3]))
    assert (await cursor(rig))["delivered_at"] < attempts[3].delivered_at
    monkeypatch.setattr("bot.clients.github.MEMORY", Memory())
    assert (await reconcile(rig.surroundings)).error is None
    assert sorted(await kept(rig)) == sorted(guids(attempts))


async def test_the_last_tenth_of_the_hour_is_left_for_tokens(rig: Rig, github: FakeGitHub) -> None:
    push(github)
    soon = int((datetime.now(UTC) + HOUR).timestamp())
    left = {"x-ratelimit-limit": "5000", "x-ratelimit-reset": str(soon)}
    github.log.headers = left | {"x-ratelimit-remaining": "500"}
    came_to = await reconcile(rig.surroundings)
    assert (came_to.recovered, came_to.error) == (0, RESERVED)
    assert came_to.until is not None
    github.log.headers = left | {"x-ratelimit-remaining": "501"}
    assert await reconcile(rig.surroundings) == Reconciled(missed=1, recovered=1)


async def test_a_delivery_that_just_failed_is_left_for_later(rig: Rig, github: FakeGitHub) -> None:
    old = push(github)
    young = push(github, ago=timedelta(seconds=10))
    assert (await reconcile(rig.surroundings)).recovered == 1
    assert (await cursor(rig))["newest_id"] == old.id
    young.delivered_at -= timedelta(minutes=1)
    assert (await reconcile(rig.surroundings)).recovered == 1


async def test_two_workers_are_one_reading(rig: Rig, github: FakeGitHub) -> None:
    attempts = [push(github) for _ in range(5)]
    both = await asyncio.gather(reconcile(rig.surroundings), reconcile(rig.surroundings))
    assert sorted(each.error or "" for each in both) == ["", BUSY]
    assert sorted(await kept(rig)) == sorted(guids(attempts))
    assert len(github.asked(DETAIL)) == 5


async def test_who_comes_too_soon_reads_nothing(rig: Rig, github: FakeGitHub) -> None:
    await reconcile(rig.surroundings)
    github.requests.clear()
    came_to = await reconcile(rig.surroundings, unless_since=timedelta(minutes=4))
    assert (came_to.error, github.requests) == (READ, [])
    assert (await reconcile(rig.surroundings, unless_since=timedelta())).error is None


async def test_without_an_app_there_is_no_log(
    settings: Settings, clean: None, clean_redis: str
) -> None:
    async with rig_of(settings) as rig:
        assert await reconcile(rig.surroundings) == Reconciled(error=NO_APP)
        assert await rig.ask("select * from delivery_cursors") == []


async def test_a_refused_key_is_said_and_asked_with_no_further(
    github: FakeGitHub, settings: Settings, clean: None, clean_redis: str
) -> None:
    told = settings_for(github, settings, private_key=SecretStr("no key"))
    async with rig_of(told) as rig:
        came_to = await reconciling.tried(rig.surroundings, None)
        assert "private key" in str(came_to.error)
        assert (await cursor(rig))["error"] == came_to.error


async def test_days_of_what_was_missed_are_the_organisations(rig: Rig) -> None:
    async with rig.app.rest.state.engine.begin() as db:
        home = await organization_called(db, "acme")
        await db.execute(
            text("insert into organization_settings values (:home, 'Pacific/Auckland', 2024)"),
            {"home": home},
        )
        sent = [at("09-01 11:00"), at("09-01 13:00"), at("09-01 14:00"), at("08-01 14:00")]
        told = [
            Missed(str(n), "push", "{}", b"", str(n).encode(), when) for n, when in enumerate(sent)
        ]
        await keep_missed(db, "github", "recovered", told)
        pulled = Missed("p", "push", "{}", b"", b"p", sent[0])
        await keep_missed(db, "github", "pulled", [pulled])
        await db.execute(text("update deliveries set organization_id = :home"), {"home": home})
        assert list(await recovered_by_day(db, home, at("08-31 00:00"))) == [
            (date(2026, 9, 2), "push", 2),
            (date(2026, 9, 1), "push", 1),
        ]
        assert list(await recovered_by_day(db, "github:1", at("08-31 00:00"))) == []


async def test_the_page_and_the_api_say_how_a_delivery_came(rig: Rig, github: FakeGitHub) -> None:
    attempts = failed(github, story())
    await reconcile(rig.surroundings)
    await rig.deliver("ping", {"zen": "Design for failure."})
    await rig.settle()
    await rig.sign_in("acme", "admin")
    (listed, *_) = (await rig.get("/deliveries", limit=1))["items"]
    assert (listed["via"], listed["sent_at"][:19]) == (
        "recovered",
        attempts[-1].delivered_at.isoformat()[:19],
    )
    async with rig.app.rest.state.engine.begin() as db:
        user = await create_user(db, "op@example.com", admin=True)
        link = await sign_in_link(db, user)
    assert (await rig.client.post(f"/sign-in/{link}")).status_code == 303
    page = (await rig.client.get("/deliveries")).text
    assert page.count("github, recovered") == len(attempts)
    shown = (await rig.client.get(f"/deliveries/{listed['id']}")).text
    assert "recovered from the log of github, sent " in shown


@pytest.fixture
async def pulling(
    github: FakeGitHub, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    """A rig in pull mode, without a webhook secret."""
    told = settings_for(github, settings, pull=True, webhook_secret=SecretStr(""))
    async with rig_of(told) as opened:
        yield opened


async def test_pull_mode_takes_everything_of_the_last_three_days(
    pulling: Rig, github: FakeGitHub
) -> None:
    push(github, ago=timedelta(days=3, minutes=5))
    taken = [
        push(github, ago=timedelta(days=2)),
        push(github, ago=HOUR, status_code=200),
        push(github, ago=timedelta(seconds=1)),
    ]
    assert await reconcile(pulling.surroundings) == Reconciled(missed=3, recovered=3)
    assert await kept(pulling) == guids(taken)
    assert set(await kept(pulling, "via")) == {"pulled"}


async def test_in_pull_mode_what_is_in_githubs_log_shows_up_settled(
    pulling: Rig, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "QUICK_SECONDS", 0.05)
    told = story()
    failed(github, told)
    working = asyncio.create_task(Workshop(pulling.surroundings).run(None))
    try:
        await all_settled(pulling, len(told.deliveries))
        push(github, ago=timedelta(0))
        await all_settled(pulling, len(told.deliveries) + 1)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
    assert await pulling.ask("select head_ref from pull_requests")


async def all_settled(rig: Rig, count: int) -> None:
    """Wait until so many deliveries are settled."""
    async with asyncio.timeout(30):
        while (await kept(rig, "status")).count("settled") < count:  # noqa: ASYNC110 - the store's
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("came_to", "before", "seconds"),
    [
        (Reconciled(missed=1, recovered=1), 30.0, 5.0),
        (Reconciled(), 5.0, 10.0),
        (Reconciled(), 20.0, 30.0),
        (Reconciled(error=READ), 5.0, 10.0),
        (Reconciled(error=BUSY), 5.0, 10.0),
        (Reconciled(error="GitHub answered with 502"), 5.0, 60.0),
        (Reconciled(missed=2, error="GitHub answered with 502"), 5.0, 60.0),
        (Reconciled(error="limit", until=at("09-01 09:00")), 5.0, 600.0),
        (Reconciled(error="limit", until=at("09-01 08:00")), 5.0, 5.0),
    ],
)
def test_pull_mode_asks_often_while_there_is_news(
    came_to: Reconciled, before: float, seconds: float
) -> None:
    assert pause_after(came_to, before, at("09-01 08:50")) == seconds


def test_a_payload_that_is_no_unicode_is_written_with_escapes() -> None:
    assert log_reading.written(Recorded({"a": "ö"}, {})) == '{"a":"ö"}'.encode()
    assert log_reading.written(Recorded({"a": "\ud800"}, {})) == b'{"a":"\\ud800"}'
