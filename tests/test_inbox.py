"""`POST /webhooks/github`: what is kept, what is refused, and what its sender is told."""

import asyncio
import hashlib
import hmac
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from starlette.types import Message

from bot.settings import Settings
from bot.web import inbox, receiving
from bot.web.inbox import Inbox, Receipt
from tests.rig import Rig, rig_of, signature
from tests.story import Story, at

pytestmark = pytest.mark.store

PING = {"zen": "Keep it logically awesome.", "hook_id": 1}
PART = b" " * 1024 * 1024
BODY = json.dumps(PING).encode()


async def statuses(rig: Rig) -> list[str]:
    """Return what has become of the deliveries, oldest first."""
    return [row["status"] for row in await rig.ask("select status from deliveries order by id")]


async def errors(rig: Rig) -> list[str]:
    """Settle, and return why deliveries are parked."""
    await rig.settle()
    rows = await rig.ask("select error from deliveries where status = 'parked' order by id")
    return [row["error"] for row in rows]


async def test_a_signed_delivery_is_kept_before_it_is_answered(rig: Rig) -> None:
    answer = await rig.deliver("ping", PING, delivery_id="one")
    (row,) = await rig.ask("select * from deliveries")
    assert answer.status_code == 202
    assert answer.json() == {
        "delivery_id": "one",
        "status": "received",
        "decisions": f"{rig.settings.public_url}/deliveries/{row['id']}",
    }
    assert (row["source"], row["delivery_id"], row["event"]) == ("github", "one", "ping")
    assert (row["status"], row["attempts"], row["organization_id"]) == ("received", 0, None)


async def test_the_body_is_kept_byte_for_byte(rig: Rig) -> None:
    body = '{ "zen" :\t"Größe \\u0041",\r\n"zen":1}\n'.encode()
    assert (await rig.deliver("ping", body)).status_code == 202
    (row,) = await rig.ask("select body, sha256 from deliveries")
    assert zlib.decompress(row["body"]) == body
    assert row["sha256"] == hashlib.sha256(body).digest()


async def test_headers_that_matter_are_kept_whatever_they_hold(rig: Rig) -> None:
    odd = {"user-agent": "GitHub\x7f-Höokshot", "x-github-hook-id": "7" * 999, "cookie": "secret"}
    answer = await rig.client.post(
        "/webhooks/github",
        content=BODY,
        headers=[
            (name.encode(), value.encode("latin-1"))
            for name, value in {**signed(BODY), **odd}.items()
        ],
    )
    assert answer.status_code == 202
    (row,) = await rig.ask("select headers from deliveries")
    assert row["headers"] == {
        "content-type": "application/json",
        "user-agent": "GitHub\x7f-H\ufffdokshot",
        "x-github-hook-id": "7" * 200,
    }


def signed(body: bytes, **headers: str) -> dict[str, str]:
    """Return the headers of a good delivery."""
    return {
        "content-type": "application/json",
        "x-github-event": "ping",
        "x-github-delivery": "d-1",
        "x-hub-signature-256": signature(body, "It's a Secret to Everybody"),
    } | headers


def sha1(body: bytes) -> str:
    """Sign as GitHub did before 2020."""
    return "sha1=" + hmac.new(b"It's a Secret to Everybody", body, hashlib.sha1).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": signature(BODY, "another secret")},
        {"x-hub-signature-256": signature(BODY + b" ", "It's a Secret to Everybody")},
        {"x-hub-signature-256": signature(BODY, "It's a Secret to Everybody").upper()},
        {"x-hub-signature-256": signature(BODY, "It's a Secret to Everybody")[7:]},
        {"x-hub-signature-256": signature(BODY, "")},
        {"x-hub-signature-256": sha1(BODY)},
        {"x-hub-signature-256": "", "x-hub-signature": sha1(BODY)},
        {"x-hub-signature-256": "sha256=\xfc"},
    ],
)
async def test_a_wrong_signature_leaves_no_row(rig: Rig, changed: dict[str, str]) -> None:
    headers = [(name, value.encode("latin-1")) for name, value in signed(BODY, **changed).items()]
    answer = await rig.client.post("/webhooks/github", content=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "X-Hub-Signature-256" in answer.json()["title"]
    assert await statuses(rig) == []


async def test_without_its_header_a_signature_is_missing(rig: Rig) -> None:
    headers = signed(BODY)
    del headers["x-hub-signature-256"]
    answer = await rig.client.post("/webhooks/github", content=BODY, headers=headers)
    assert answer.status_code == 401
    assert await statuses(rig) == []


async def test_the_previous_secret_still_signs(
    settings: Settings, clean: None, clean_redis: str
) -> None:
    turned = {"webhook_secret": SecretStr("new"), "webhook_secret_previous": SecretStr("old")}
    async with rig_of(settings.model_copy(update=turned)) as rig:
        assert (await rig.deliver("ping", PING, secret="new")).status_code == 202
        assert (await rig.deliver("ping", PING, secret="old")).status_code == 202
        assert (await rig.deliver("ping", PING, secret="older")).status_code == 401
        assert len(await statuses(rig)) == 2


async def test_without_a_secret_nothing_is_believed(
    settings: Settings, clean: None, clean_redis: str
) -> None:
    without = settings.model_copy(update={"webhook_secret": SecretStr("")})
    async with rig_of(without) as rig:
        answer = await rig.client.post("/webhooks/github", content=BODY, headers=signed(BODY))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "300")
        assert await statuses(rig) == []


async def test_a_repeat_is_seen_and_nothing_happens_twice(rig: Rig) -> None:
    first = await rig.deliver("ping", PING, delivery_id="one")
    again = await rig.deliver("ping", PING, delivery_id="one")
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json() | {"status": "seen"}
    assert await statuses(rig) == ["received"]


async def test_a_delivery_id_with_another_body_or_event_is_another_delivery(rig: Rig) -> None:
    for event, payload in (("ping", PING), ("ping", PING | {"hook_id": 2}), ("push", PING)):
        assert (await rig.deliver(event, payload, delivery_id="one")).status_code == 202
    assert len(await statuses(rig)) == 3


async def test_of_equal_deliveries_at_once_exactly_one_is_new(rig: Rig) -> None:
    answers = await asyncio.gather(
        *(rig.deliver("ping", PING, delivery_id=f"{number % 3}") for number in range(60))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 57 + [202] * 3
    assert len({answer.json()["decisions"] for answer in answers}) == 3
    assert len(await statuses(rig)) == 3


async def streamed(rig: Rig, parts: int, **headers: str) -> Any:
    """Send a body of so many MiB without saying how long it will be."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(parts):
            yield PART

    whole = hmac.new(b"It's a Secret to Everybody", PART * parts, hashlib.sha256).hexdigest()
    sent = signed(b"") | {"x-hub-signature-256": f"sha256={whole}"} | headers
    return await rig.client.post("/webhooks/github", content=body(), headers=sent)


async def test_25_mib_are_taken_and_more_are_not(rig: Rig) -> None:
    assert (await streamed(rig, 25)).status_code == 202
    answer = await streamed(rig, 26)
    assert (answer.status_code, answer.json()["status"]) == (413, 413)
    assert "25 MiB" in answer.json()["title"]
    assert len(await statuses(rig)) == 1


@pytest.mark.parametrize("length", [str(25 * 1024 * 1024 + 1), "9" * 5000])
async def test_a_length_beyond_the_cap_is_refused_before_anything_is_read(length: str) -> None:
    reading = receiving.Reading()
    with pytest.raises(receiving.Unread) as unread:
        await reading.body_of({b"content-length": length.encode()}, never)
    assert unread.value.answer is receiving.TOO_LARGE


async def never() -> Message:
    raise AssertionError("nothing was to be read")


async def test_large_bodies_together_are_bounded_and_ordinary_ones_still_read() -> None:
    reading, gate = receiving.Reading(), asyncio.Event()

    def sender(parts: int, size: int = 1024 * 1024) -> Any:
        left: Iterator[int] = iter(range(parts))

        async def receive() -> Message:
            if next(left, None) is not None:
                return {"type": "http.request", "body": b"x" * size, "more_body": True}
            await gate.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        return receive

    async with asyncio.TaskGroup() as group:
        large = [group.create_task(reading.body_of({}, sender(20))) for _ in range(12)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert reading.held > 12 * 19 * 1024 * 1024
        with pytest.raises(receiving.Unread) as unread:
            await reading.body_of({}, sender(24))
        assert unread.value.answer is receiving.BUSY
        ordinary = group.create_task(reading.body_of({}, sender(4, 1024)))
        gate.set()
    assert len(ordinary.result()) == 4096
    assert {len(each.result()) for each in large} == {20 * 1024 * 1024}
    assert reading.held == 0


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "BODY_SECONDS", 0.05)

    async def receive() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(receiving.Unread) as unread:
        await receiving.Reading().body_of({}, receive)
    assert unread.value.answer is receiving.TOO_SLOW


async def test_a_sender_that_hangs_up_gets_no_answer_and_leaves_no_row(rig: Rig) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise AssertionError("nobody listens")

    headers = [(name.encode(), value.encode()) for name, value in signed(BODY).items()]
    scope = {"type": "http", "method": "POST", "path": "/webhooks/github", "headers": headers}
    await rig.app(scope, receive, send)
    assert await statuses(rig) == []


@pytest.mark.parametrize("name", ["x-github-event", "x-github-delivery"])
@pytest.mark.parametrize("value", [None, "", "a b", "a\x00b", "ä", "x" * 201])
async def test_a_header_that_is_missing_or_malformed_is_named(
    rig: Rig, name: str, value: str | None
) -> None:
    headers = [
        (known, told.encode("latin-1")) for known, told in signed(BODY).items() if known != name
    ]
    headers += [(name, value.encode("latin-1"))] if value is not None else []
    answer = await rig.client.post("/webhooks/github", content=BODY, headers=headers)
    assert answer.status_code == 400
    assert name in answer.json()["title"]
    assert await statuses(rig) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_understood(rig: Rig, method: str) -> None:
    answer = await rig.client.request(method, "/webhooks/github")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON: EOF"),
        (b"not json", "the body is not JSON: "),
        (b'{"a": NaN}', "the body is not JSON: "),
        (b'{"a": 1', "the body is not JSON: EOF"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body is not JSON: "),
        (b'["a"]', "the body is a JSON array, not an object"),
        (b"42", "the body is a JSON number, not an object"),
        (b"null", "the body is a JSON null, not an object"),
        (b"[" * 10_000 + b"]" * 10_000, "the body is not JSON: recursion limit exceeded"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "the body is not JSON: recursion limit"),
        (b'{"a": "\\ud800"}', "the body is not JSON: unexpected end of hex escape"),
        (b'{"\\udc00": 1}', "the body is not JSON: "),
        (b'{"a": "\xff\xfe"}', "the body is not JSON: invalid unicode"),
        (b'{"a": "\x00"}', "the body is not JSON: control character"),
        (
            b"payload=%7B%22zen%22%3A%22x%22%7D",
            "the body is form-encoded: choose application/json as the webhook's content type",
        ),
    ],
)
async def test_what_is_no_json_object_is_kept_and_parked_with_the_reason(
    rig: Rig, body: bytes, reason: str
) -> None:
    assert (await rig.deliver("ping", body)).status_code == 202
    (error,) = await errors(rig)
    assert error.startswith(reason)
    (row,) = await rig.ask("select body from deliveries")
    assert zlib.decompress(row["body"]) == body


async def test_nul_characters_are_replaced_and_the_delivery_settles(rig: Rig) -> None:
    story = Story()
    name = "v0\\u0000\x00"
    story.push("main", at("09-01 09:00"), [story.commit("v0", at("09-01 09:00"), name)])
    for event, payload in story.deliveries:
        assert (await rig.deliver(event, payload)).status_code == 202
    assert await errors(rig) == []
    (row,) = await rig.ask("select headline from commits")
    assert row["headline"] == "v0\\u0000\ufffd"


async def test_what_is_beyond_the_bound_is_refused_and_told_to_come_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "BOUND_LETTERS", 3)
    answers = await asyncio.gather(*(rig.deliver("ping", PING) for _ in range(20)))
    told = {answer.status_code for answer in answers}
    kept = [answer for answer in answers if answer.status_code == 202]
    assert told == {202, 503}
    assert len(await statuses(rig)) == len(kept)
    assert {a.headers["retry-after"] for a in answers if a.status_code == 503} == {"5"}


async def opened(postgres_url: str, news: list[int]) -> Inbox:
    """Open an inbox of its own."""
    made = Inbox(postgres_url, news.append)
    made.start()
    return made


async def keep(made: Inbox, name: str, body: bytes = BODY) -> Receipt | None:
    """Keep one delivery."""
    return await made.keep(b"github", name.encode(), b"ping", b"{}", body)


async def test_a_sender_cancelled_in_mid_flush_costs_nobody_else(
    postgres_url: str, clean: None
) -> None:
    news: list[int] = []
    made = await opened(postgres_url, news)
    senders = [asyncio.ensure_future(keep(made, f"{number}")) for number in range(50)]
    await asyncio.sleep(0)
    for sender in senders[::2]:
        sender.cancel()
    told = await asyncio.gather(*senders, return_exceptions=True)
    assert all(isinstance(each, Receipt) for each in told[1::2])
    assert all(isinstance(each, asyncio.CancelledError) for each in told[::2])
    assert sum(news) == 50
    await made.stop()


async def test_two_flushers_with_the_same_repeats_do_not_lock_each_other_out(
    postgres_url: str, clean: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PATIENCE_SECONDS", 120)
    news: list[int] = []
    boxes = [await opened(postgres_url, news) for _ in range(3)]
    names = [f"{number}" for number in range(100)]
    orders = [names, names[::-1], names[50:] + names[:50]]
    told = await asyncio.gather(
        *(
            keep(box, name)
            for _ in range(3)
            for box, order in zip(boxes, orders, strict=True)
            for name in order
        )
    )
    assert None not in told
    assert sum(receipt.new for receipt in told if receipt) == 100 == sum(news)
    for box in boxes:
        await box.stop()


async def test_connections_that_break_cost_no_answer_while_postgres_is_there(
    postgres_url: str, clean: None
) -> None:
    made = await opened(postgres_url, [])
    assert await keep(made, "before")
    for turn in range(3):
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'veelocity-inbox' and datname = current_database()"
            )
        told = await asyncio.gather(*(keep(made, f"{turn}-{each}") for each in range(300)))
        assert None not in told
    await made.stop()
    with psycopg.connect(postgres_url) as db:
        assert db.execute("select count(*) from deliveries").fetchone() == (901,)


async def test_an_inbox_that_is_stopped_keeps_what_waits_first(
    postgres_url: str, clean: None
) -> None:
    made = await opened(postgres_url, [])
    senders = [asyncio.ensure_future(keep(made, f"{number}")) for number in range(500)]
    await asyncio.sleep(0)
    await made.stop()
    assert all([await sender for sender in senders])


async def test_without_postgres_everybody_is_told_to_come_again(tmp_path: Any) -> None:
    made = await opened(f"postgresql://nobody@/none?host={tmp_path}", [])
    assert await asyncio.gather(*(keep(made, f"{number}") for number in range(20))) == [None] * 20
    await made.stop()
