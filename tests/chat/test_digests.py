"""Digests are sent when they are due: once a channel and period, whoever sends them."""

import asyncio
from datetime import datetime, timedelta

from bot.chat import digest
from bot.jobs.digests import queue_digests
from models import subscribing
from models.subscribing import Place
from tests.agent_rows import add_pull_request, add_run, add_ticket
from tests.chat.block_kit import faults, words
from tests.chat.conftest import ACME, AT, Chat
from tests.chat.rows import ago, began, deployed, proposed

MONDAY = datetime.fromisoformat("2026-09-14T07:00+00:00")
"""Nine o'clock in Berlin."""

WEEK = timedelta(days=7)


async def wants(chat: Chat, cadence: str = "weekly", channel: str = "C1") -> None:
    """Let a channel have subscribed some weeks ago, in an organisation of Berlin."""
    async with chat.surroundings.engine.begin() as db:
        place = Place(ACME, f"slack:T1:{channel}")
        await subscribing.subscribe(db, place, "digest", "user:1", cadence)
    await chat.do("update subscriptions set created_at = :at", at=MONDAY - 4 * WEEK)
    await chat.do(
        "insert into organization_settings (organization_id, time_zone, level_edition)"
        " values (:id, 'Europe/Berlin', 2024) on conflict do nothing",
        id=ACME,
    )


async def due(chat: Chat, now: datetime) -> list[tuple[str, str]]:
    """Let a worker look for digests that are due; return what is queued, and take it away."""
    async with chat.surroundings.engine.begin() as db:
        await queue_digests(db, now)
    rows = await chat.rig.ask(
        "select name, arguments ->> 'period' as period from jobs order by key"
    )
    await chat.do("delete from jobs")
    return [(row["name"], row["period"]) for row in rows]


async def test_a_digest_is_queued_once_a_period_from_when_it_is_due(chat: Chat) -> None:
    await wants(chat)
    await chat.do("update subscriptions set last_period = '2026-08-31'")
    assert await due(chat, MONDAY - timedelta(seconds=1)) == []
    assert await due(chat, MONDAY) == [("send_digest", "2026-09-07")]
    for later in (timedelta(0), timedelta(hours=3), WEEK - timedelta(seconds=1)):
        assert await due(chat, MONDAY + later) == []
    assert await due(chat, MONDAY + WEEK) == [("send_digest", "2026-09-14")]


async def test_after_weeks_without_a_worker_only_the_latest_is_due(chat: Chat) -> None:
    await wants(chat)
    await chat.do("update subscriptions set last_period = '2026-08-10'")
    assert await due(chat, MONDAY + timedelta(days=2)) == [("send_digest", "2026-09-07")]
    assert await due(chat, MONDAY + timedelta(days=2)) == []


async def test_nothing_from_before_a_subscription_is_due(chat: Chat) -> None:
    await wants(chat)
    await chat.do("update subscriptions set created_at = :at", at=MONDAY + timedelta(minutes=1))
    assert await due(chat, MONDAY + timedelta(days=1)) == []
    assert await due(chat, MONDAY + WEEK) == [("send_digest", "2026-09-14")]


async def test_a_change_of_how_often_repeats_nothing(chat: Chat) -> None:
    await wants(chat)
    assert len(await due(chat, MONDAY)) == 1
    await wants(chat, "daily")
    assert await due(chat, MONDAY) == [("send_digest", "2026-09-13")]
    assert await due(chat, MONDAY) == []
    await wants(chat, "weekly")
    assert await due(chat, MONDAY + timedelta(days=1)) == []
    assert await due(chat, MONDAY + WEEK) == [("send_digest", "2026-09-14")]


async def test_two_workers_queue_a_digest_once(chat: Chat) -> None:
    await wants(chat)
    await wants(chat, channel="C2")

    async def look() -> int:
        async with chat.surroundings.engine.begin() as db:
            return await queue_digests(db, MONDAY)

    assert sum(await asyncio.gather(look(), look(), look())) == 2
    assert len(await chat.rig.ask("select * from jobs")) == 2


async def test_a_worker_that_dies_before_it_queued_leaves_the_digest_due(chat: Chat) -> None:
    await wants(chat)
    async with chat.surroundings.engine.connect() as db:
        assert await queue_digests(db, MONDAY) == 1
        await db.rollback()
    assert await due(chat, MONDAY) == [("send_digest", "2026-09-07")]


async def sent(chat: Chat, period: str = "2026-09-07", now: datetime = AT) -> str:
    """Send a digest; return what it says, which Slack must be able to take."""
    which = (await chat.rig.ask("select id from subscriptions order by id"))[0]["id"]
    await digest.send(chat.surroundings, ACME, which, period, now)
    told = chat.slack.said[-1]
    assert not faults(told), faults(told)
    return words(told)


async def test_a_digest_says_what_a_week_came_to(chat: Chat) -> None:
    await wants(chat)
    for day in range(7, 14):
        await deployed(chat, 500 + day, datetime.fromisoformat(f"2026-09-{day:02d}T12:00+02:00"))
    for day in range(1, 6):
        await deployed(chat, 600 + day, datetime.fromisoformat(f"2026-09-{day:02d}T12:00+02:00"))
    await deployed(chat, 701, datetime.fromisoformat("2026-09-14T12:00+02:00"))
    await proposed(chat, 1, ago(days=40), title="<!channel> is old")
    await began(chat, at=datetime.fromisoformat("2026-09-13T23:59+02:00"))
    await began(chat, "api:2", at=datetime.fromisoformat("2026-09-14T00:01+02:00"), title="Later")
    await add_ticket(chat.surroundings.engine)
    done = {"started_at": ago(days=5), "created_at": ago(days=5), "finished_at": ago(days=5)}
    await add_run(
        chat.surroundings.engine, state="done", cost_usd=1.5, pull_request_number=9, **done
    )
    await add_pull_request(chat.surroundings.engine, 9, merged_at=ago(days=4), state="closed")
    told = await sent(chat)
    assert "Delivery of acme, 7 Sep to 13 Sep 2026" in told
    assert "Deployment frequency: *1 per day*" in told
    assert "▲ 40 %, better against the 7 days before · n = 7 deployments" in told
    assert told.count("no data") == 2
    assert "*40 d*" in told
    assert "&lt;!channel&gt; is old" in told
    assert "*Incidents*: 1 began, 1 still open" in told
    assert "Checkout is down" in told
    assert "Later" not in told
    assert "1 attempt ended, 1 pull request merged, $1.50 spent." in told


async def test_an_empty_digest_says_so(chat: Chat) -> None:
    await wants(chat)
    told = await sent(chat)
    assert told.count("no data") == 5
    for said in ("No pull request is open.", "No incident began.", "The agent ended no attempt."):
        assert said in told


async def test_a_full_digest_is_bounded(chat: Chat) -> None:
    await wants(chat)
    for number in range(1, 20):
        await proposed(chat, number, ago(days=number), title="<&>" * 80)
        at = datetime.fromisoformat("2026-09-08T12:00+02:00")
        await began(chat, f"api:{number}", at=at, title="<&>" * 80)
    told = await sent(chat)
    assert told.count("_and 14 more_") == 2


async def test_a_digest_is_sent_once_however_often_it_is_tried(chat: Chat) -> None:
    await wants(chat)
    for _ in range(3):
        await sent(chat)
    assert len(chat.slack.said) == 1
    await sent(chat, "2026-09-14")
    assert len(chat.slack.said) == 2


async def test_a_channel_that_wants_none_any_more_gets_none(chat: Chat) -> None:
    await wants(chat)
    assert len(await due(chat, MONDAY)) == 1
    which = (await chat.rig.ask("select id from subscriptions"))[0]["id"]
    await chat.do("delete from subscriptions")
    await digest.send(chat.surroundings, ACME, which, "2026-09-07", AT)
    assert chat.slack.said == []


async def test_the_worker_sends_what_it_queued(chat: Chat) -> None:
    await wants(chat, "daily")
    async with chat.surroundings.engine.begin() as db:
        assert await queue_digests(db, MONDAY) == 1
    chat.slack.limited.append("chat.postMessage")
    await chat.rig.settle()
    assert chat.slack.said == []
    await chat.do("update jobs set next_try_at = now()")
    await chat.rig.settle()
    assert len(chat.slack.said) == 1
    assert "13 Sep 2026" in words(chat.slack.said[0])
