"""Slack's Web API as we speak it: what is asked, what its errors mean, and no token in sight."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from pydantic import SecretStr

from bot.clients.slack import (
    RateLimited,
    Slack,
    SlackError,
    SlackSecret,
    access,
    of_slack,
    respond,
    slack_as,
    slack_for,
)
from bot.settings import Settings
from models.errors import Refused
from tests.fakes.slack import FakeSlack, fake_slack
from tests.rig import Rig

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}]


@pytest.fixture
def fake() -> Iterator[FakeSlack]:
    with fake_slack() as state:
        state.channel("C1", "incidents", is_member=True)
        yield state


@pytest.fixture
async def slack(fake: FakeSlack) -> AsyncIterator[Slack]:
    secret = SlackSecret(access_token=SecretStr(fake.token), bot_user_id="U0BOT")
    async with slack_as(fake.url, secret, "T1") as line:
        yield line


async def test_a_message_is_posted_answered_and_replaced(fake: FakeSlack, slack: Slack) -> None:
    ts = await slack.post("C1", BLOCKS, "hello")
    reply = await slack.post("C1", BLOCKS, "and more", thread_ts=ts)
    await slack.update("C1", ts, BLOCKS, "goodbye")
    assert fake.texts == ["goodbye", "and more"]
    assert [each.get("thread_ts") for each in fake.said] == [None, ts]
    assert fake.said[0]["blocks"] == BLOCKS
    assert reply != ts
    assert (
        await slack.permalink("C1", ts)
        == f"https://acme.slack.com/archives/C1/p{ts.replace('.', '')}"
    )


async def test_lists_are_read_to_their_end(fake: FakeSlack, slack: Slack) -> None:
    for number in range(2, 8):
        fake.channel(f"C{number}", f"incident-{number}")
        fake.user(f"U{number}", f"Person {number}")
    fake.channel("C9", "secret", is_private=True)
    assert [each["id"] for each in await slack.channels()] == [f"C{n}" for n in range(1, 8)]
    assert len(await slack.users()) == 6
    assert fake.asked.count("conversations.list") == 4


async def test_a_limit_between_two_pages_is_waited_for(fake: FakeSlack, slack: Slack) -> None:
    for number in range(2, 5):
        fake.channel(f"C{number}", f"incident-{number}")
    pages = slack.every("conversations.list", "channels")
    assert (await anext(pages))["id"] == "C1"
    fake.limited.append("conversations.list")
    assert [each["id"] async for each in pages] == ["C2", "C3", "C4"]


async def test_somebody_is_told_with_their_address_where_slack_tells_it(
    fake: FakeSlack, slack: Slack
) -> None:
    fake.user("U1", "Ada Vos", "Ada@Example.org")
    fake.user("U2", "Robot", is_bot=True)
    assert await slack.user("U1") == {
        "id": "U1",
        "name": "Ada Vos",
        "email": "ada@example.org",
        "bot": False,
    }
    assert (await slack.user("U2"))["bot"] is True
    with pytest.raises(SlackError, match="user_not_found"):
        await slack.user("U3")


async def test_a_thread_is_told_whole_by_its_reply_too(fake: FakeSlack, slack: Slack) -> None:
    fake.message("C1", "1.000001", "root", thread_ts="1.000001")
    fake.message("C1", "2.000001", "first reply", thread_ts="1.000001")
    fake.message("C1", "3.000001", "second reply", thread_ts="1.000001")
    for ts in ("1.000001", "2.000001"):
        found = await slack.thread("C1", ts)
        assert [each["text"] for each in found] == ["root", "first reply", "second reply"]


async def test_whose_token_it_is_and_what_it_may(fake: FakeSlack, slack: Slack) -> None:
    fake.scopes = ["chat:write", "commands"]
    told = await slack.workspace()
    assert (told.team_id, told.name, told.bot_user_id) == ("T1", "Acme", "U0BOT")
    assert told.scopes == ("chat:write", "commands")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"scopes": []}, "missing_scope", "It needs chat:write."),
        ({"token": "xoxb-another"}, "invalid_auth", "connect Slack again"),
        ({"revoked": True}, "token_revoked", "connect Slack again"),
        ({"channels": {}}, "channel_not_found", "invite it"),
    ],
)
async def test_what_slack_refuses_is_said_with_what_to_do(
    fake: FakeSlack, slack: Slack, change: dict[str, object], code: str, words: str
) -> None:
    vars(fake).update(change)
    with pytest.raises(SlackError, match=words) as error:
        await slack.post("C1", BLOCKS, "hello")
    assert error.value.code == code
    assert isinstance(error.value, Refused)


async def test_a_limit_says_until_when(fake: FakeSlack, slack: Slack) -> None:
    fake.limited.append("chat.postMessage")
    with pytest.raises(RateLimited) as limited:
        await slack.post("C1", BLOCKS, "hello")
    wait = limited.value.until - datetime.now(UTC)
    assert timedelta(0) < wait <= timedelta(seconds=1)
    await slack.post("C1", BLOCKS, "hello")
    assert fake.texts == ["hello"]


async def test_a_slack_that_is_away_is_named_and_no_token_is_said(slack: Slack) -> None:
    secret = SlackSecret(access_token=SecretStr("xoxb-hidden"))
    with structlog.testing.capture_logs() as logged:
        async with slack_as("http://127.0.0.1:9", secret) as away:
            assert "xoxb-hidden" not in repr(away)
            with pytest.raises(SlackError, match="could not be reached") as error:
                await away.post("C1", BLOCKS, "hello")
        await slack.workspace()
    assert "xoxb" not in str(error.value) + str(logged)


async def test_a_code_is_exchanged_once(fake: FakeSlack) -> None:
    settings = Settings(
        slack_api_url=fake.url,
        slack_client_id=fake.client_id,
        slack_client_secret=SecretStr(fake.client_secret),
    )
    fake.codes.add("code-1")
    assert (await access(settings, "code-1", "https://v.example/x"))["access_token"] == fake.token
    with pytest.raises(SlackError, match="invalid_code"):
        await access(settings, "code-1", "https://v.example/x")


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://hooks.slack.com/commands/T1/1/x", True),
        ("https://slack.com/api", True),
        ("http://hooks.slack.com/commands", False),
        ("https://hooks.slack.com:8443/x", False),
        ("https://hooks.slack.com.evil.example/x", False),
        ("https://evilslack.com/x", False),
        ("https://hooks.slack.com@evil.example/x", False),
        ("https://user:word@hooks.slack.com/x", False),
        ("https://127.0.0.1/x", False),
        ("file:///etc/passwd", False),
        ("https://[::1", False),
        ("https://[::1%25.slack.com]/x", False),
        ("https://evil.example\\.slack.com/x", False),
        ("https://evil.example%2f.slack.com/x", False),
        ("https://127.0.0.1\n.slack.com/x", False),
        ("https://hooks.slack.com/x\t", False),
        ("https://@hooks.slack.com/x", False),
        ("https://hooks.slack.com:443/x", True),
        ("HTTPS://hooks.slack.com/x", False),
        ("", False),
    ],
)
def test_only_slacks_own_hosts_are_answered(url: str, ours: bool) -> None:
    assert of_slack(url, "https://slack.com") is ours


async def test_an_answer_goes_where_slack_asked_for_it(fake: FakeSlack) -> None:
    await respond(f"{fake.url}/commands/1", {"text": "late"}, api_url=fake.url)
    assert fake.responded == [{"text": "late"}]
    with pytest.raises(SlackError, match="not Slack's"):
        await respond(f"{fake.url}/commands/1", {"text": "late"})
    with pytest.raises(SlackError, match="404"):
        await respond(f"{fake.url}/nowhere", {"text": "late"}, api_url=fake.url)


@pytest.mark.store
async def test_a_line_is_opened_for_the_organisation_that_is_connected(
    rig: Rig, fake: FakeSlack
) -> None:
    place = rig.surroundings
    settings = place.settings.model_copy(update={"slack_api_url": fake.url})

    async def told(organization: str, team: str | None = None) -> str | None:
        async with slack_for(place.engine, settings, place.vault, organization, team) as line:
            return (await line.workspace()).team_id if line else None

    assert await told("login:acme") is None
    await rig.connect_slack()
    assert await told("login:acme") is None
    await rig.connect_slack(token=fake.token)
    assert await told("login:acme") == "T1"
    assert await told("login:acme", "T2") is None
    assert await told("login:globex") is None
    sealed = await rig.ask("select ciphertext from connection_secrets")
    assert fake.token not in str(sealed)
    async with place.engine.begin() as db:
        await db.exec_driver_sql("update connections set state = 'deleted'")
    assert await told("login:acme") is None
