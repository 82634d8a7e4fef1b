"""What Linear delivers: believed by signature and time, kept once, answered 200."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

import models
from bot.settings import Settings
from models.queue import find_homes
from models.store import remember
from tests.handlers.linear_recorded import WORKSPACE, about, story
from tests.linear_posts import LINEAR_SECRET, posted
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

HOUR = 3600.0


@pytest.fixture
async def rig(settings: Settings, clean: None, clean_redis: str) -> AsyncIterator[Rig]:
    told = settings.model_copy(update={"linear_webhook_secret": SecretStr(LINEAR_SECRET)})
    async with rig_of(told) as opened:
        yield opened


async def connect(rig: Rig) -> None:
    async with rig.surroundings.engine.begin() as db:
        await remember(
            db,
            [
                models.Organization(id="github:9001", login="acme", account_id=9001),
                models.Connection(
                    id=f"linear:organization:{WORKSPACE}", organization_id="github:9001",
                    source="linear", external_id=WORKSPACE, account_login="Acme", state="active",
                    permissions={},
                ),
            ],
        )  # fmt: skip
        await find_homes(db)


async def kept(rig: Rig) -> list[dict[str, Any]]:
    return await rig.ask("select delivery_id, event, status, headers from deliveries order by id")


async def test_a_delivery_is_kept_answered_200_and_settled(rig: Rig) -> None:
    await connect(rig)
    answer = await posted(rig, about("ENG-12"), delivery_id="d1")
    assert (answer.status_code, answer.json()["status"]) == (200, "received")
    assert answer.json()["decisions"].endswith("/deliveries/1")
    await rig.settle()
    (row,) = await kept(rig)
    assert (row["event"], row["status"]) == ("Issue", "settled")
    assert row["headers"]["linear-event"] == "Issue"
    rows = await rig.ask("select identifier from linear_issues")
    assert rows == [{"identifier": "ENG-12"}]


async def test_the_same_delivery_is_kept_once_whatever_it_says_by_then(rig: Rig) -> None:
    first = await posted(rig, about("ENG-12"), delivery_id="d1")
    again = await posted(rig, about("ENG-12"), delivery_id="d1")
    assert [first.json()["status"], again.json()["status"]] == ["received", "seen"]
    assert again.status_code == 200
    assert len(await kept(rig)) == 1


@pytest.mark.parametrize("headers", [
    {"linear-signature": ""}, {"linear-signature": "0" * 64}, {"linear-signature": "é"},
])  # fmt: skip
async def test_what_linear_did_not_sign_is_refused(rig: Rig, headers: dict[str, str]) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = await posted(rig, about("ENG-12"), **sent)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert "Linear-Signature" in answer.json()["title"]
    assert await kept(rig) == []


async def test_another_secret_is_refused(rig: Rig) -> None:
    assert (await posted(rig, about("ENG-12"), secret="another")).status_code == 401


@pytest.mark.parametrize(("age", "status"), [(55, 200), (65, 401), (-55, 200), (-65, 401)])
async def test_a_new_delivery_must_be_of_this_minute(rig: Rig, age: float, status: int) -> None:
    answer = await posted(rig, about("ENG-12"), age_seconds=age)
    assert answer.status_code == status
    assert len(await kept(rig)) == (status == 200)


@pytest.mark.parametrize(("age", "status"), [(6.9 * HOUR, 200), (7.1 * HOUR, 401)])
async def test_a_known_delivery_may_come_again_for_seven_hours(
    rig: Rig, age: float, status: int
) -> None:
    await posted(rig, about("ENG-12"), delivery_id="d1")
    answer = await posted(rig, about("ENG-12"), delivery_id="d1", age_seconds=age)
    assert answer.status_code == status
    other = await posted(rig, about("ENG-12"), delivery_id="d2", age_seconds=age)
    assert other.status_code == 401
    assert len(await kept(rig)) == 1


async def test_the_event_is_what_the_signed_body_says(rig: Rig) -> None:
    refused = await posted(rig, about("ENG-12"), event="IssueLabel")
    assert (refused.status_code, await rig.ask("select id from deliveries")) == (400, [])


async def test_what_is_not_signed_lets_nothing_old_in_again(rig: Rig) -> None:
    await posted(rig, about("ENG-12"), delivery_id="d1")
    as_other = {"delivery_id": "d1", "event": "Comment", "age_seconds": HOUR}
    refused = await posted(rig, about("ENG-12"), **as_other)
    assert (refused.status_code, refused.json()["title"]) == (
        400,
        "Linear-Event is not the type that the body says",
    )
    assert len(await kept(rig)) == 1


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{", b'{"type": "Issue"}', b'{"webhookTimestamp": "1788220800000"}',
    b'{"webhookTimestamp": true}', b'{"webhookTimestamp": 1e300}', b'{"webhookTimestamp": -5}',
])  # fmt: skip
async def test_a_body_without_its_time_is_refused_by_name(rig: Rig, body: bytes) -> None:
    answer = await posted(rig, body)
    assert answer.status_code == 400
    assert "webhookTimestamp" in answer.json()["title"]


@pytest.mark.parametrize("name", ["linear-event", "linear-delivery"])
async def test_a_missing_header_is_named(rig: Rig, name: str) -> None:
    answer = await posted(rig, about("ENG-12"), **{name: ""})
    assert answer.status_code == 400
    assert name in answer.json()["title"]


async def test_without_a_secret_nothing_is_believed(settings: Settings, clean: None) -> None:
    async with rig_of(settings) as rig:
        answer = await posted(rig, about("ENG-12"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


async def test_only_post_is_understood(rig: Rig) -> None:
    assert (await rig.client.get("/webhooks/linear")).status_code == 405


async def test_a_delivery_of_an_unknown_workspace_waits_for_it(rig: Rig) -> None:
    await posted(rig, about("ENG-12"))
    await rig.settle()
    rows = await rig.ask("select status, error from deliveries")
    assert rows[0]["status"] == "parked"
    assert f"no connection for organization {WORKSPACE}" in rows[0]["error"]
    await connect(rig)
    await rig.settle()
    assert (await kept(rig))[0]["status"] == "settled"


async def test_the_whole_story_settles_or_is_ignored(rig: Rig) -> None:
    await connect(rig)
    for event, body in story():
        assert (await posted(rig, body, event=event)).status_code == 200
    await rig.settle()
    rows = await rig.ask("select distinct status from deliveries order by status")
    assert [row["status"] for row in rows] == ["ignored", "settled"]
    assert await rig.ask("select name, error from jobs where status <> 'done'") == []
