"""Slack's three addresses: what is believed, kept and answered, and what is left out."""

import asyncio
import json
import time
import zlib
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from bot.settings import Settings
from bot.web import slack_answers
from bot.web.slack_answers import Answers, Commands, Interactions
from bot.web.slack_webhooks import Desk, refused
from models.errors import Refused
from tests.fakes.slack import fake_slack
from tests.rig import Rig, rig_of, slack_signature

pytestmark = pytest.mark.store

# https://docs.slack.dev/authentication/verifying-requests-from-slack
SECRET, AT = "8f742231b10e8888abcd99yyyzzz85a5", 1531420618
PUBLISHED = b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
    b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
HEADERS = {b"x-slack-request-timestamp": b"1531420618", b"x-slack-signature": PUBLISHED}
SAID = {
    "type": "message",
    "channel": "C1",
    "user": "U1",
    "text": "hello",
    "ts": "1790000000.000100",
}


def test_the_published_signature_is_believed() -> None:
    assert slack_signature(BODY, SECRET, AT).encode() == PUBLISHED
    assert refused(BODY, HEADERS, SECRET, AT) is None
    assert refused(BODY, HEADERS, SECRET, AT + 300) is None
    assert refused(BODY, HEADERS, SECRET, AT - 300) is None


@pytest.mark.parametrize(
    ("changed", "body", "now"),
    [
        ({}, BODY + b" ", AT),
        ({}, BODY, AT + 301),
        ({}, BODY, AT - 301),
        ({b"x-slack-signature": b""}, BODY, AT),
        ({b"x-slack-signature": PUBLISHED[3:]}, BODY, AT),
        ({b"x-slack-signature": PUBLISHED.upper()}, BODY, AT),
        ({b"x-slack-request-timestamp": b""}, BODY, AT),
        ({b"x-slack-request-timestamp": b"1531420619"}, BODY, AT),
        ({b"x-slack-request-timestamp": b"-1531420618"}, BODY, AT),
        ({b"x-slack-request-timestamp": b"9" * 5000}, BODY, AT),
        ({b"x-slack-request-timestamp": b" 1531420618"}, BODY, AT),
        ({b"x-slack-request-timestamp": b"+1531420618"}, BODY, AT),
        ({b"x-slack-request-timestamp": b"1531420618.0"}, BODY, AT),
        ({b"x-slack-signature": b"v1" + PUBLISHED[2:]}, BODY, AT),
        ({b"x-slack-signature": PUBLISHED + b" "}, BODY, AT),
        ({b"x-slack-signature": b"v0=" + b"z" * 64}, BODY, AT),
        ({b"x-slack-signature": b"v0=\xff\xfe"}, BODY, AT),
        ({b"x-slack-request-timestamp": "١٥٣".encode()}, BODY, AT),
    ],
)
def test_anything_else_is_not(changed: dict[bytes, bytes], body: bytes, now: float) -> None:
    refusal = refused(body, HEADERS | changed, SECRET, now)
    assert refusal is not None
    assert refusal.status == 401


async def kept(rig: Rig) -> list[dict[str, Any]]:
    """Return what is in the inbox, with the bodies read."""
    rows = await rig.ask("select * from deliveries order by id")
    return [{**row, "body": json.loads(zlib.decompress(row["body"]))} for row in rows]


async def test_an_event_is_kept_before_it_is_answered_without_the_token(rig: Rig) -> None:
    headers = {"x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout", "cookie": "c"}
    answer = await rig.deliver_slack(SAID, event_id="Ev1", **headers)
    (row,) = await kept(rig)
    assert answer.status_code == 200
    assert answer.json() == {
        "delivery_id": "Ev1",
        "status": "received",
        "decisions": f"{rig.settings.public_url}/deliveries/{row['id']}",
    }
    assert (row["source"], row["delivery_id"], row["event"]) == ("slack", "Ev1", "message")
    assert row["body"]["event"] == SAID
    assert row["body"]["team_id"] == "T1"
    assert "token" not in row["body"]
    assert row["headers"]["x-slack-retry-num"] == "1"
    assert row["headers"]["x-slack-retry-reason"] == "http_timeout"
    assert not {"cookie", "x-slack-signature"} & set(row["headers"])


async def test_a_repeat_is_known_by_its_event_id_whatever_its_bytes(rig: Rig) -> None:
    first = await rig.deliver_slack(SAID, event_id="Ev1")
    again = await rig.deliver_slack(SAID | {"text": "hello\n"}, event_id="Ev1")
    other = await rig.deliver_slack(SAID, event_id="Ev2")
    assert [each.json()["status"] for each in (first, again, other)] == [
        "received",
        "seen",
        "received",
    ]
    assert again.status_code == 200
    assert again.json()["decisions"] == first.json()["decisions"]
    assert len(await kept(rig)) == 2


async def test_slacks_question_is_answered_only_where_slack_asks(rig: Rig) -> None:
    asked = json.dumps({"token": "t", "type": "url_verification", "challenge": "3eZbrw1a"}).encode()
    answer = await rig.deliver_slack(asked)
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1a"})
    forged = await rig.deliver_slack(asked, secret="another")
    assert forged.status_code == 401
    assert "3eZbrw1a" not in forged.text
    assert await kept(rig) == []


@pytest.mark.parametrize("path", ["events", "commands", "interactions"])
async def test_what_is_not_signed_leaves_no_row(rig: Rig, path: str) -> None:
    body = b"command=%2Fveelocity"
    address = f"/webhooks/slack/{path}"
    old = rig.slack_headers(body, at=int(time.time()) - 301)
    for headers in ({}, old, rig.slack_headers(body, "another")):
        answer = await rig.client.post(address, content=body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await rig.client.get(address)).status_code == 405
    assert await kept(rig) == []


@pytest.mark.parametrize("path", ["events", "commands", "interactions"])
async def test_without_a_secret_nothing_is_believed(
    settings: Settings, clean: None, clean_redis: str, path: str
) -> None:
    without = settings.model_copy(update={"slack_signing_secret": SecretStr("")})
    async with rig_of(without) as rig:
        at = int(time.time())
        headers = {"x-slack-request-timestamp": str(at)}
        headers["x-slack-signature"] = slack_signature(b"", "", at)
        answer = await rig.client.post(f"/webhooks/slack/{path}", content=b"", headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "300")
        assert await kept(rig) == []


async def test_a_body_that_is_too_large_is_refused(rig: Rig) -> None:
    headers = {"content-length": str(26 * 1024 * 1024)}
    answer = await rig.client.post("/webhooks/slack/events", content=b"{}", headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize("body", [b"", b"[]", b"no json", b'{"a": "\\ud800"}', b"\xff"])
async def test_what_cannot_be_read_is_kept_and_parked(rig: Rig, body: bytes) -> None:
    assert (await rig.deliver_slack(body)).status_code == 200
    assert (await rig.deliver_slack(body)).json()["status"] == "seen"
    await rig.settle()
    (row,) = await rig.ask("select event, status, error from deliveries")
    assert (row["event"], row["status"]) == ("unknown", "parked")
    assert "JSON" in row["error"]


async def test_events_of_a_workspace_nobody_connected_wait_for_it(rig: Rig) -> None:
    await rig.deliver_slack(SAID)
    await rig.settle()
    (row,) = await rig.ask("select status, error from deliveries")
    assert row == {
        "status": "parked",
        "error": "organisation unknown: no connection for team T1",
    }
    await rig.connect_slack()
    await rig.settle()
    assert await rig.ask("select status, organization_id from deliveries") == [
        {"status": "settled", "organization_id": "login:acme"}
    ]
    (message,) = await rig.ask("select * from slack_messages")
    assert (message["words"], message["organization_id"]) == ("hello", "login:acme")


async def test_an_event_without_an_id_is_kept_once(rig: Rig) -> None:
    limited = {"token": "t", "type": "app_rate_limited", "team_id": "T1", "minute_rate_limited": 1}
    body = json.dumps(limited).encode()
    assert [(await rig.deliver_slack(body)).json()["status"] for _ in range(2)] == [
        "received",
        "seen",
    ]
    await rig.connect_slack()
    await rig.settle()
    (row,) = await rig.ask("select event, status from deliveries")
    assert row == {"event": "app_rate_limited", "status": "ignored"}


async def command(rig: Rig, **told: str) -> Any:
    """Send a slash command."""
    form = {
        "token": "legacy-token",
        "team_id": "T1",
        "channel_id": "C1",
        "user_id": "U1",
        "command": "/veelocity",
        "text": "help",
        "response_url": "https://hooks.slack.com/commands/T1/1/secret",
        "trigger_id": "1.2.abc",
    } | told
    body = urlencode({name: value for name, value in form.items() if value}).encode()
    return await rig.client.post(
        "/webhooks/slack/commands", content=body, headers=rig.slack_headers(body)
    )


async def test_a_command_is_answered_at_once_and_kept_without_what_lets_one_act(rig: Rig) -> None:
    await rig.connect_slack()
    answer = await command(rig)
    assert answer.status_code == 200
    assert answer.json()["response_type"] == "ephemeral"
    (row,) = await kept(rig)
    assert (row["delivery_id"], row["event"]) == ("1.2.abc", "command")
    assert row["body"] == {
        "team_id": "T1",
        "channel_id": "C1",
        "user_id": "U1",
        "command": "/veelocity",
        "text": "help",
    }
    await rig.settle()
    (row,) = await rig.ask("select status, decisions from deliveries")
    assert row["status"] == "settled"
    assert [said["note"] for said in row["decisions"]] == [
        "It was answered at once, where it was asked."
    ]


async def test_a_command_that_comes_twice_is_done_once(rig: Rig) -> None:
    await rig.connect_slack()
    await command(rig)
    again = await command(rig)
    assert (again.status_code, again.json()["text"]) == (200, slack_answers.TWICE)
    assert len(await kept(rig)) == 1


async def test_slacks_check_of_the_certificate_is_answered_and_not_kept(rig: Rig) -> None:
    answer = await command(rig, command="", ssl_check="1")
    assert (answer.status_code, answer.content) == (200, b"")
    assert await kept(rig) == []


def desk_of(rig: Rig) -> Desk:
    return Desk(rig.app.rest.state.inbox, "secret")


async def slowly(surroundings: object, told: object) -> dict[str, str]:
    await asyncio.sleep(0.3)
    return {"text": "here it is"}


async def refusing(surroundings: object, told: object) -> dict[str, str]:
    raise Refused("This needs the role manager.")


async def failing(surroundings: object, told: object) -> dict[str, str]:
    raise RuntimeError("a bug with a secret in it")


def form(slack_url: str, trigger: str) -> bytes:
    told = {"command": "/veelocity", "trigger_id": trigger, "team_id": "T1"}
    return urlencode(told | {"response_url": f"{slack_url}/commands/T1/1/x"}).encode()


async def test_what_takes_long_is_answered_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_answers, "PATIENCE_SECONDS", 0.1)
    with fake_slack() as slack:
        told = rig.settings.model_copy(update={"slack_api_url": slack.url})
        answers = Answers(rig.surroundings.__class__(
            told, rig.surroundings.engine, rig.surroundings.redis, rig.surroundings.vault
        ))  # fmt: skip
        commands = Commands(desk_of(rig), answers, slowly)
        answer = await commands.answer({}, form(slack.url, "1.1"))
        assert answer.says == slack_answers.only_to_them(slack_answers.ON_IT)
        foreign = await commands.answer({}, form("https://slack.com.evil.example", "1.2"))
        assert foreign.says == slack_answers.only_to_them(slack_answers.ON_IT)
        await answers.close()
        assert slack.responded == [{"text": "here it is"}]


@pytest.mark.parametrize(
    ("ask", "words"), [(refusing, "This needs the role manager."), (failing, slack_answers.SORRY)]
)
async def test_what_goes_wrong_is_told_to_who_asked_alone(rig: Rig, ask: Any, words: str) -> None:
    answer = await Commands(desk_of(rig), Answers(rig.surroundings), ask).answer(
        {}, form("https://hooks.slack.com", "1.3")
    )
    assert (answer.status, answer.says) == (200, slack_answers.only_to_them(words))


async def test_a_button_is_kept_without_what_lets_one_act_and_acted_on_once(rig: Rig) -> None:
    pressed: list[Any] = []

    async def act(surroundings: object, told: Any) -> None:
        pressed.append(told)

    payload = {
        "type": "block_actions",
        "token": "legacy-token",
        "team": {"id": "T1"},
        "user": {"id": "U1"},
        "trigger_id": "2.2.abc",
        "response_url": "https://hooks.slack.com/actions/T1/1/secret",
        "actions": [{"action_id": "resolve"}],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    interactions = Interactions(desk_of(rig), Answers(rig.surroundings), act)
    for _ in range(2):
        answer = await interactions.answer({}, body)
        assert (answer.status, answer.says) == (200, {})
    (told,) = pressed
    assert told["response_url"] == payload["response_url"]
    assert "token" not in told
    (row,) = await kept(rig)
    assert row["body"] == {name: payload[name] for name in ("type", "team", "user", "actions")}
    await rig.connect_slack()
    await rig.settle()
    assert await rig.ask("select event, status from deliveries") == [
        {"event": "interaction", "status": "settled"}
    ]
    wrong = await interactions.answer({}, b"payload=no")
    assert wrong.status == 400


async def test_slack_is_answered_in_time_while_the_inbox_cannot_write(rig: Rig) -> None:
    """A frozen table lets nothing through; Slack hears so within its three seconds."""
    engine = rig.app.rest.state.engine
    async with engine.begin() as db:
        await db.exec_driver_sql("lock table deliveries in access exclusive mode")
        started = time.monotonic()
        event = await rig.deliver_slack(SAID, event_id="Ev1")
        asked = await command(rig)
        assert time.monotonic() - started < 5
    assert (event.status_code, event.headers["retry-after"]) == (503, "5")
    assert asked.json()["text"] == slack_answers.NOT_KEPT
    for _ in range(100):
        if await kept(rig):
            break
        await asyncio.sleep(0.05)
    assert (await rig.deliver_slack(SAID, event_id="Ev1")).json()["status"] == "seen"
