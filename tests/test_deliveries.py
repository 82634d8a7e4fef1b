"""Settling: whom a delivery belongs to, what fails, and that no payload harms another."""

import asyncio
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import text
from structlog.testing import capture_logs

import handlers
import models
from bot import deliveries
from handlers.events import Decision, Job, Note, Source
from models.queue import DELIVERY_TRIES, find_homes, retry
from models.store import remember
from tests.rig import Rig
from tests.story import INSTALLATION, Story, at

pytestmark = pytest.mark.store

RECORDED = [
    (line["headers"]["X-GitHub-Event"], line["body"])
    for line in map(
        json.loads, (Path(__file__).parent / "payloads/github.ndjson").read_text().splitlines()
    )
]
NOBODY = f"organisation unknown: no connection for installation {INSTALLATION} of acme"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Do not render every traceback: many are made here."""
    with capture_logs():
        yield


def pushed() -> Story:
    """An installation and a push."""
    story = Story()
    story.push("main", at("09-01 09:00"), [story.commit("v1", at("09-01 08:00"))])
    return story


async def told(rig: Rig) -> list[tuple[Any, ...]]:
    """Return event, status and error of every delivery, oldest first."""
    rows = await rig.ask("select event, status, error from deliveries order by id")
    return [tuple(row.values()) for row in rows]


async def change(rig: Rig, statement: str) -> None:
    """Change the store."""
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text(statement))


async def test_a_delivery_for_nobody_known_waits_for_its_installation(rig: Rig) -> None:
    installation, push = pushed().deliveries
    await rig.deliver(*push)
    await rig.settle()
    assert await told(rig) == [("push", "parked", NOBODY)]
    assert await rig.ask("select * from commits") == []
    await rig.deliver(*installation)
    await rig.settle()
    assert await told(rig) == [("push", "settled", None), ("installation", "settled", None)]
    (commit,) = await rig.ask("select organization_id from commits")
    assert commit == {"organization_id": "github:77"}


async def test_an_installation_in_the_same_batch_is_known_whatever_came_first(rig: Rig) -> None:
    installation, push = pushed().deliveries
    await rig.deliver(*push)
    await rig.deliver(*installation)
    assert len(await deliveries.settle(rig.app.rest.state.engine)) == 2
    assert {status for _, status, _ in await told(rig)} == {"settled"}


async def test_an_installation_settled_elsewhere_at_that_moment_is_found_by_the_sweeper(
    rig: Rig,
) -> None:
    (event, installed), push = pushed().deliveries
    await rig.deliver(*push)
    await rig.settle()
    engine = rig.app.rest.state.engine
    async with engine.begin() as db:
        assert await find_homes(db) == 0
        decided = handlers.decide("github", event, installed, "github:77", at("09-01 00:00"))
        await remember(db, decided.rows)
    assert await told(rig) == [("push", "parked", NOBODY)]
    async with engine.begin() as db:
        assert await find_homes(db) == 1
    await rig.settle()
    assert await told(rig) == [("push", "settled", None)]


async def waiting_for_locks(rig: Rig) -> bool:
    """Tell whether somebody waits for a lock in our database."""
    rows = await rig.ask(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database()"
    )
    return bool(rows)


async def test_an_event_nobody_registered_is_kept_as_ignored(rig: Rig) -> None:
    await rig.deliver("interdimensional_rift", {"action": "opened"})
    await rig.settle()
    assert await told(rig) == [("interdimensional_rift", "ignored", None)]
    (row,) = await rig.ask("select decisions, action from deliveries")
    assert row["decisions"] == [{"note": "nobody registered for 'interdimensional_rift'"}]
    assert row["action"] == "opened"


async def test_facts_of_nobodys_organisation_are_not_taken(rig: Rig) -> None:
    _, (event, payload) = pushed().deliveries
    for name in ("installation", "organization"):
        del payload[name]
    payload["repository"].pop("owner")
    await rig.deliver(event, payload)
    await rig.settle()
    error = "organisation unknown: the payload names no installation, organisation or owner"
    assert await told(rig) == [("push", "parked", error)]
    assert await rig.ask("select * from repositories") == []


async def test_what_a_payload_lacks_is_named(rig: Rig) -> None:
    installation, (event, payload) = pushed().deliveries
    await rig.deliver(*installation)
    payload["repository"]["id"] = "900"
    del payload["before"]
    await rig.deliver(event, payload)
    await rig.settle()
    (_, status, error) = (await told(rig))[1]
    assert status == "parked"
    assert error.startswith("payload not understood: ")
    assert "repository.id: Input should be a valid integer" in error
    assert "before: Field required" in error


class Toy(BaseModel):
    """The payload of a toy event."""

    fails: str = ""


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A source whose one handler fails in a way that the payload names, while `broken`."""
    source, state = Source("github"), {"broken": True}

    @source.on("toy")
    def toy_told(event: Toy) -> Iterator[Decision]:
        """Do what the payload says."""
        if not state["broken"] or not event.fails:
            yield Note("A toy.")
            return
        yield from FAILURES[event.fails]()

    monkeypatch.setitem(handlers.SOURCES, "github", source)
    return state


def raising() -> Iterator[Decision]:
    """Be a bug, whose words are odd."""
    raise RuntimeError("odd \0 words \ud800")
    yield


def refused() -> Iterator[Decision]:
    """Say what Postgres cannot keep."""
    yield fact(full_name="a\0b")


def unwritable() -> Iterator[Decision]:
    """Say what is no JSON."""
    yield fact(full_name="\ud800")


def untyped() -> Iterator[Decision]:
    """Say what a column cannot hold."""
    yield fact(created_at="yesterday, or so")


def endless() -> Iterator[Decision]:
    """Order what cannot be written down."""
    yield Job("toy", "toy", {"it": object()})


def fact(**wrong: Any) -> models.Repository:
    """Return a repository with something wrong."""
    right = {"id": "github:1", "organization_id": "o", "full_name": "a/b", "owner_login": "a"}
    return models.Repository(**right | wrong)


FAILURES = {each.__name__: each for each in (raising, refused, unwritable, untyped, endless)}


async def every_try(rig: Rig) -> None:
    """Settle until nothing is to be tried again, however long that would take."""
    await rig.settle()
    while await rig.ask("select 1 from deliveries where status in ('failed', 'received')"):
        await change(rig, "update deliveries set next_try_at = now() where status = 'failed'")
        await rig.settle()


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_fails_is_tried_again_and_parked_at_last(
    rig: Rig, toys: dict[str, bool], failure: str
) -> None:
    await connect(rig)
    await rig.deliver("toy", {"fails": failure, "installation": {"id": 1}}, delivery_id="poison")
    await rig.settle()
    question = "select status, attempts, error, next_try_at > now() as later from deliveries"
    (row,) = await rig.ask(question)
    assert (row["status"], row["attempts"], row["later"]) == ("failed", 1, True)
    assert row["error"]
    await every_try(rig)
    (row,) = await rig.ask(question)
    assert (row["status"], row["attempts"]) == ("parked", DELIVERY_TRIES)
    assert row["error"].endswith(f"(after {DELIVERY_TRIES} tries)")
    toys["broken"] = False
    async with rig.app.rest.state.engine.begin() as db:
        assert len(await retry(db, [1])) == 1
    await rig.settle()
    assert await told(rig) == [("toy", "settled", None)]


async def connect(rig: Rig) -> None:
    """Let installation 1 be acme's."""
    await change(
        rig,
        "insert into connections (id, organization_id, changed_at, rank, digest, source,"
        " external_id, account_login, state, permissions) values ('github:installation:1', 'o',"
        " now(), 0, 0, 'github', '1', 'acme', 'active', '{}')",
    )


async def test_poison_harms_none_of_its_batch(rig: Rig, toys: dict[str, bool]) -> None:
    await connect(rig)
    for failure in FAILURES:
        await rig.deliver("toy", {"installation": {"id": 1}})
        await rig.deliver("toy", {"fails": failure, "installation": {"id": 1}})
        await rig.deliver("toy", b"no json", delivery_id=f"unreadable {failure}"[:9] + failure)
        await rig.deliver("other", {})
    assert len(await deliveries.settle(rig.app.rest.state.engine)) == 4 * len(FAILURES)
    statuses = [status for _, status, _ in await told(rig)]
    assert statuses == ["settled", "failed", "parked", "ignored"] * len(FAILURES)
    reasons = {error for _, status, error in await told(rig) if status == "parked"}
    assert {reason[:24] for reason in reasons} == {"the body is not JSON: ex"}


async def test_a_body_that_was_damaged_is_parked(rig: Rig) -> None:
    await rig.deliver("ping", {"zen": "x"})
    await change(rig, "update deliveries set body = 'no zlib'")
    await rig.deliver("ping", {"zen": "y"})
    await rig.settle()
    assert [status for _, status, _ in await told(rig)] == ["parked", "settled"]


async def test_large_bodies_are_settled_in_portions_and_none_is_forgotten(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "PORTION_BYTES", 100)
    for number in range(7):
        await rig.deliver("ping", {"zen": "x" * 60, "number": number})
    letters = await deliveries.settle(rig.app.rest.state.engine)
    assert len(letters) == 7
    assert {status for _, status, _ in await told(rig)} == {"settled"}


async def test_who_is_told_to_stop_gives_back_what_was_claimed(rig: Rig) -> None:
    engine = rig.app.rest.state.engine
    installation, push = pushed().deliveries
    await rig.deliver(*installation)
    await rig.deliver(*push)
    async with engine.connect() as other:
        await other.execute(text("lock table connections in share mode"))
        settling = asyncio.ensure_future(deliveries.settle(engine))
        while not await waiting_for_locks(rig):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
        assert settling.cancelled()
    rows = await rig.ask("select status, attempts, leased_until from deliveries")
    assert rows == [{"status": "received", "attempts": 0, "leased_until": None}] * 2
    await rig.settle()
    assert {status for _, status, _ in await told(rig)} == {"settled"}


def deep(levels: int) -> Any:
    """Return a value nested so deep."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63 - 1, 2**63, -1, 10**400, 1e308, 0.5]),
    st.sampled_from(
        [
            "",
            "\0",
            "a\0b",
            "9" * 3000,
            "x" * 70_000,
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-02-30T00:00:00Z",
            "now",
            "\U0010ffff",
            "'; drop table deliveries; --",
            "github:1",
        ]
    ),
    st.text(max_size=5),
    st.sampled_from([[], {}, [None], [[]], {"id": None}, deep(3), deep(60)]),
)
MISSING = object()


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a payload that its top holds, not too deep."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for key, item in inside:
        yield (*path, key)
        if isinstance(item, dict | list) and len(path) < 4:
            yield from paths(item, (*path, key))


def mutated(payload: Any, path: tuple[Any, ...], wrong: Any) -> None:
    """Put something wrong in the place of something right."""
    for key in path[:-1]:
        payload = payload[key]
    if wrong is MISSING:
        del payload[path[-1]]
    else:
        payload[path[-1]] = deepcopy(wrong)  # it may itself be made wrong next


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes]:
    """A recorded delivery in which up to three things are wrong."""
    event, body = draw(st.sampled_from(RECORDED))
    body = json.loads(json.dumps(body))
    for _ in range(draw(st.integers(1, 3))):
        places = list(paths(body))
        mutated(body, draw(st.sampled_from(places)), draw(st.one_of(st.just(MISSING), WRONG)))
    return event, json.dumps(body, ensure_ascii=draw(st.booleans())).encode()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(mutants(), min_size=5, max_size=15))
async def test_no_payload_is_lost_and_none_harms_another(
    rig: Rig, payloads: list[tuple[str, bytes]]
) -> None:
    await change(rig, "delete from deliveries")
    healthy = pushed().deliveries
    sent = [*payloads[:3], healthy[0], *payloads[3:], healthy[1]]
    for event, payload in sent:
        assert (await rig.deliver(event, payload)).status_code == 202
    assert len(await deliveries.settle(rig.app.rest.state.engine)) == len(sent)
    await every_try(rig)
    found = await told(rig)
    assert len(found) == len(sent)
    assert {status for _, status, _ in found} <= {"settled", "ignored", "parked"}
    assert all(error for _, status, error in found if status == "parked")
    assert not any("store refused" in (error or "") for _, _, error in found), found
    assert not any("Error" in (error or "") for _, _, error in found), found
    assert [found[3], found[-1]] == [
        ("installation", "settled", None),
        ("push", "settled", None),
    ]
