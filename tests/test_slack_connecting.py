"""Connecting a workspace by consent, by token and for events only; and letting it go."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.clients.slack_scopes import SCOPES
from bot.settings import Settings
from bot.web.accounts import create_user
from bot.web.auth import cookie_name
from bot.web.sessions import start_session
from bot.web.tokens import access_token
from tests.fakes.slack import FakeSlack, fake_slack
from tests.rig import Rig, rig_of

pytestmark = pytest.mark.store

CONNECT = "/api/v1/connectors/slack/connect"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack(scopes=list(SCOPES)) as state:
        state.channel("C1", "incidents")
        state.channel("C2", "random")
        state.channel("C3", "incident-old", is_archived=True)
        state.channel("C4", "incident-private", is_private=True, is_member=True)
        state.user("U1", "Ada Vos", "Ada@Example.org")
        yield state


@pytest.fixture
async def rig(
    settings: Settings, slack: FakeSlack, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    changed = {
        "slack_api_url": slack.url,
        "slack_client_id": slack.client_id,
        "slack_client_secret": SecretStr(slack.client_secret),
    }
    async with rig_of(settings.model_copy(update=changed)) as opened:
        yield opened


async def somebody(rig: Rig, email: str, organization: str = "acme", role: str = "admin") -> str:
    """Make somebody; return their id."""
    async with rig.app.rest.state.engine.begin() as db:
        return (await create_user(db, email, organization=organization, role=role)).id


async def as_(rig: Rig, user_id: str, method: str, path: str, body: Any = None) -> httpx.Response:
    """Ask the API as somebody."""
    token = access_token(rig.settings, user_id)
    headers = {"authorization": f"Bearer {token}"}
    return await rig.client.request(method, path, json=body, headers=headers)


async def browsing(rig: Rig, user_id: str, path: str) -> httpx.Response:
    """Open a page in the browser of somebody who is signed in."""
    async with rig.app.rest.state.engine.begin() as db:
        session = await start_session(db, user_id, instead_of=None)
    cookie = f"{cookie_name(rig.settings)}={session}"
    return await rig.client.get(path, headers={"cookie": cookie})


async def begun(rig: Rig, user_id: str) -> str:
    """Begin a consent as somebody; return its state."""
    answer = await browsing(rig, user_id, "/connect/slack")
    assert answer.status_code == 303, answer.text
    asked = urlsplit(answer.headers["location"])
    query = parse_qs(asked.query)
    assert f"{asked.scheme}://{asked.netloc}{asked.path}" == (
        f"{rig.settings.slack_api_url}/oauth/v2/authorize"
    )
    assert query["scope"] == [",".join(SCOPES)]
    assert query["redirect_uri"] == [f"{rig.settings.public_url}/connect/slack/callback"]
    return query["state"][0]


async def returned(rig: Rig, user_id: str, state: str, code: str = "code-1") -> httpx.Response:
    """Come back from Slack."""
    return await browsing(rig, user_id, f"/connect/slack/callback?state={state}&code={code}")


async def connections(rig: Rig) -> list[dict[str, Any]]:
    return await rig.ask(
        "select external_id as team, organization_id as home, account_login as name, state, "
        "exists (select from connection_secrets s where s.connection_id = c.id) as token "
        "from connections c where source = 'slack' order by id"
    )


ACTIVE = {"team": "T1", "home": "login:acme", "name": "Acme", "state": "active", "token": True}


async def test_a_consent_connects_the_workspace_and_what_waited_settles(
    rig: Rig, slack: FakeSlack
) -> None:
    await rig.deliver_slack({"type": "message", "channel": "C1", "user": "U1", "text": "hello",
                             "ts": "1790000000.000100"})  # fmt: skip
    await rig.settle()
    ada = await somebody(rig, "ada@example.org")
    slack.codes.add("code-1")
    state = await begun(rig, ada)
    (kept,) = await rig.ask("select * from connect_states")
    assert state not in str(kept)
    assert (await returned(rig, ada, state)).status_code == 303
    assert await connections(rig) == [ACTIVE]
    assert await rig.ask("select * from connect_states") == []
    secrets = await rig.ask("select * from connection_secrets")
    assert slack.token not in str(secrets)
    (written,) = await rig.ask("select action, detail from audit_log")
    assert written == {"action": "slack_connected", "detail": "slack:team:T1"}
    await rig.settle()
    (delivery,) = await rig.ask("select status, organization_id from deliveries")
    assert delivery == {"status": "settled", "organization_id": "login:acme"}


async def test_a_state_works_once_in_time_and_for_who_began(rig: Rig, slack: FakeSlack) -> None:
    ada, bob = await somebody(rig, "ada@example.org"), await somebody(rig, "bob@example.org")
    slack.codes |= {"code-1"}
    state = await begun(rig, ada)
    assert (await returned(rig, bob, state)).status_code == 403
    assert (await returned(rig, ada, state)).status_code == 400
    old = await begun(rig, ada)
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text("update connect_states set expires_at = now()"))
    assert (await returned(rig, ada, old)).status_code == 400
    assert (await returned(rig, ada, "guessed")).status_code == 400
    assert (await returned(rig, ada, "")).status_code == 400
    assert await connections(rig) == []
    assert slack.asked == []


async def test_who_is_no_admin_any_more_connects_nothing(rig: Rig, slack: FakeSlack) -> None:
    ada = await somebody(rig, "ada@example.org")
    manager = await somebody(rig, "may@example.org", role="manager")
    slack.codes.add("code-1")
    state = await begun(rig, ada)
    assert (await browsing(rig, manager, "/connect/slack")).status_code == 403
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text("update memberships set role = 'manager'"))
    assert (await returned(rig, ada, state)).status_code == 403
    assert await connections(rig) == []


async def test_a_consent_that_slack_refuses_is_said(rig: Rig, slack: FakeSlack) -> None:
    ada = await somebody(rig, "ada@example.org")
    unknown = await returned(rig, ada, await begun(rig, ada))
    assert unknown.status_code == 502
    assert "invalid_code" in unknown.text
    state = await begun(rig, ada)
    denied = await browsing(rig, ada, f"/connect/slack/callback?state={state}&error=access_denied")
    assert denied.status_code == 400
    assert await connections(rig) == []


async def test_a_workspace_of_another_organisation_is_refused_until_it_is_let_go(
    rig: Rig, slack: FakeSlack
) -> None:
    ada = await somebody(rig, "ada@example.org")
    eve = await somebody(rig, "eve@example.org", "globex")
    assert (await as_(rig, ada, "POST", CONNECT, {"bot_token": slack.token})).status_code == 200
    slack.codes.add("code-1")
    taken = await returned(rig, eve, await begun(rig, eve))
    assert taken.status_code == 409
    assert (await as_(rig, eve, "POST", CONNECT, {"bot_token": slack.token})).status_code == 409
    assert await connections(rig) == [ACTIVE]
    gone = await as_(rig, ada, "POST", "/api/v1/connectors/slack/disconnect", {})
    assert gone.json()["connected"] is False
    assert await connections(rig) == [ACTIVE | {"state": "deleted", "token": False}]
    assert (await as_(rig, eve, "POST", CONNECT, {"bot_token": slack.token})).status_code == 200
    assert await connections(rig) == [ACTIVE | {"home": "login:globex"}]


async def test_connecting_reads_channels_and_people_and_joins_those_of_the_patterns(
    rig: Rig, slack: FakeSlack
) -> None:
    ada = await somebody(rig, "ada@example.org")
    connected = await as_(rig, ada, "POST", CONNECT, {"bot_token": slack.token})
    assert connected.json()["connected"] is True
    assert connected.json()["workspaces"][0]["missing_scopes"] == []
    assert slack.token not in connected.text
    await rig.settle()
    assert [each["id"] for each in slack.channels.values() if each["is_member"]] == ["C1", "C4"]
    listed = (await as_(rig, ada, "GET", "/api/v1/connectors/slack/channels")).json()["items"]
    assert [(each["name"], each["read"], each["member"]) for each in listed] == [
        ("incident-old", True, False),
        ("incident-private", True, True),
        ("incidents", True, True),
        ("random", False, False),
    ]
    (person,) = await rig.ask("select id, name, email from identities")
    assert person == {
        "id": "login:acme/slack:T1:U1",
        "name": "Ada Vos",
        "email": "ada@example.org",
    }
    status = (await as_(rig, ada, "GET", "/api/v1/connectors/slack/status")).json()
    (sync,) = status["synchronisations"]
    assert (sync["state"], sync["items"], sync["error"]) == ("done", 5, None)
    assert status["unheard"] == ["alerts"]


async def test_a_token_without_a_scope_is_said_and_the_rest_goes_on(
    rig: Rig, slack: FakeSlack
) -> None:
    ada = await somebody(rig, "ada@example.org")
    slack.scopes.remove("users:read")
    connected = await as_(rig, ada, "POST", CONNECT, {"bot_token": slack.token})
    assert connected.json()["workspaces"][0]["missing_scopes"] == ["users:read"]
    await rig.settle()
    status = (await as_(rig, ada, "GET", "/api/v1/connectors/slack/status")).json()
    (sync,) = status["synchronisations"]
    assert sync["state"] == "failed"
    assert "users:read" in sync["error"]


async def test_the_simple_way_takes_the_settings_token(
    settings: Settings, slack: FakeSlack, clean: None, clean_redis: str
) -> None:
    told = {"slack_api_url": slack.url, "slack_bot_token": SecretStr(slack.token)}
    async with rig_of(settings.model_copy(update=told)) as rig:
        ada = await somebody(rig, "ada@example.org")
        assert (await as_(rig, ada, "POST", CONNECT, {})).status_code == 200
        assert await connections(rig) == [ACTIVE]
        eve = await somebody(rig, "eve@example.org", "globex")
        shared = await as_(rig, eve, "POST", CONNECT, {})
        assert shared.status_code == 403
        assert (await browsing(rig, ada, "/connect/slack")).status_code == 409


async def test_a_team_alone_is_connected_for_events_by_who_can_own_no_other(
    rig: Rig, slack: FakeSlack
) -> None:
    ada = await somebody(rig, "ada@example.org")
    assert (await as_(rig, ada, "POST", CONNECT, {"team_id": "T7"})).status_code == 200
    assert await connections(rig) == [ACTIVE | {"team": "T7", "name": "T7", "token": False}]
    eve = await somebody(rig, "eve@example.org", "globex")
    claimed = await as_(rig, eve, "POST", CONNECT, {"team_id": "T8"})
    assert claimed.status_code == 403
    assert slack.asked == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "SLACK_BOT_TOKEN"),
        ({"team_id": "acme"}, 422, "team_id"),
        ({"bot_token": "xoxb-wrong"}, 502, "invalid_auth"),
        ({"bot_token": "xoxb-fake-token", "team_id": "T9"}, 422, "T1"),
        ({"bot": "x"}, 422, "bot"),
    ],
)
async def test_what_cannot_be_connected_is_named(
    rig: Rig, body: dict[str, str], status: int, words: str
) -> None:
    ada = await somebody(rig, "ada@example.org")
    answer = await as_(rig, ada, "POST", CONNECT, body)
    assert answer.status_code == status
    assert words in answer.text
    assert "xoxb" not in answer.text
    assert await connections(rig) == []


async def test_only_admins_connect(rig: Rig, slack: FakeSlack) -> None:
    may = await somebody(rig, "may@example.org", role="manager")
    for name in ("connect", "disconnect", "sync"):
        answer = await as_(rig, may, "POST", f"/api/v1/connectors/slack/{name}", {})
        assert answer.status_code == 403
    for name in ("status", "channels"):
        answer = await as_(rig, may, "GET", f"/api/v1/connectors/slack/{name}")
        assert answer.status_code == 200


async def test_an_uninstalled_app_is_connected_no_more_and_can_be_installed_again(
    rig: Rig, slack: FakeSlack
) -> None:
    ada = await somebody(rig, "ada@example.org")
    body = {"bot_token": slack.token}
    await as_(rig, ada, "POST", CONNECT, body)
    (now,) = await rig.ask("select extract(epoch from now())::bigint + 5 as at")
    await rig.deliver_slack({"type": "app_uninstalled", "event_ts": f"{now['at']}.000100"})
    await rig.settle()
    assert await connections(rig) == [ACTIVE | {"name": "T1", "state": "deleted", "token": False}]
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text("update connections set changed_at = now() - interval '1 minute'"))
    await as_(rig, ada, "POST", CONNECT, body)
    assert await connections(rig) == [ACTIVE]


async def test_connecting_again_replaces_the_token(rig: Rig, slack: FakeSlack) -> None:
    ada = await somebody(rig, "ada@example.org")
    await as_(rig, ada, "POST", CONNECT, {"bot_token": slack.token})
    before = await rig.ask("select ciphertext from connection_secrets")
    slack.token = "xoxb-second"
    await as_(rig, ada, "POST", CONNECT, {"bot_token": slack.token})
    after = await rig.ask("select ciphertext from connection_secrets")
    assert len(before) == len(after) == 1
    assert before != after
    await rig.settle()
    assert slack.channels["C1"]["is_member"]
