import html
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import redis.asyncio
import time_machine
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.middleware import Middleware

from bot.settings import Settings
from bot.vault import Vault, app_credentials
from bot.web.accounts import create_user
from bot.web.auth import cookie_name
from bot.web.pages import setup
from bot.web.security import EXCEPTION_HANDLERS, Security
from bot.web.sessions import start_session
from tests.fakes import faults
from tests.fakes.github import FakeGitHub, fake_github


@dataclass
class Site:
    """The set-up's pages, with a way to be somebody."""

    app: Starlette
    engine: AsyncEngine
    fake: FakeGitHub
    settings: Settings
    redis: "redis.asyncio.Redis"
    refreshed: list[bool] = field(default_factory=list)

    async def browser(self, *, operator: bool = True) -> httpx.AsyncClient:
        """Open a browser in which somebody new has signed in."""
        async with self.engine.begin() as db:
            kind = "operator" if operator else "member"
            options: dict[str, Any] = {} if operator else {"organization": "acme", "role": "admin"}
            user = await create_user(db, f"{kind}@example.org", admin=operator, **options)
            token = await start_session(db, user.id, instead_of=None)
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=self.settings.public_url,
            cookies={cookie_name(self.settings): token},
        )

    async def rows(self, question: str) -> list[dict[str, Any]]:
        """Ask the store."""
        async with self.engine.connect() as db:
            return [dict(row) for row in (await db.execute(text(question))).mappings()]


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github() as github:
        yield github


@pytest.fixture
async def site(engine: AsyncEngine, clean_redis: str, fake: FakeGitHub) -> AsyncIterator[Site]:
    settings = Settings(
        secret_key=SecretStr("new-key,old-key"),
        base_url="https://veelocity.example",
        github_api_url=fake.url,
        github_url="https://github.example",
    )
    app = Starlette(
        routes=setup.routes(),
        middleware=[Middleware(Security)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    server = redis.asyncio.from_url(clean_redis)
    made = Site(app, engine, fake, settings, server)

    async def refresh() -> None:
        made.refreshed.append(True)

    app.state.settings, app.state.engine, app.state.redis = settings, engine, server
    app.state.refresh = refresh
    yield made
    await server.aclose()


async def begun(browser: httpx.AsyncClient, path: str = "/setup") -> tuple[str, dict[str, Any]]:
    """Open the page; return where its form goes and the manifest in it."""
    page = (await browser.get(path)).text
    found = re.search(r'action="([^"]*apps/new[^"]*)"', page)
    manifest = re.search(r'name="manifest" value="([^"]*)"', page)
    assert found
    assert manifest
    return html.unescape(found[1]), json.loads(html.unescape(manifest[1]))


def state_in(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


def test_in_pull_mode_webhooks_are_sent_to_where_nobody_can_be() -> None:
    told = setup.manifest("http://127.0.0.1:8000", pull=True)
    assert told["hook_attributes"] == {
        "url": "https://veelocity.invalid/webhooks/github",
        "active": True,
    }
    assert told["redirect_url"] == "http://127.0.0.1:8000/setup/callback"


async def test_the_page_sends_our_manifest_to_github(site: Site) -> None:
    async with await site.browser() as browser:
        address, manifest = await begun(browser)
        policy = (await browser.get("/setup")).headers["content-security-policy"]
    assert address.startswith("https://github.example/settings/apps/new?state=")
    assert manifest["hook_attributes"]["url"] == "https://veelocity.example/webhooks/github"
    assert manifest["redirect_url"] == "https://veelocity.example/setup/callback"
    assert manifest["default_permissions"]["contents"] == "write"
    assert "push" in manifest["default_events"]
    assert "form-action 'self' https://github.example;" in policy
    assert "default-src 'none'" in policy


async def test_the_app_can_belong_to_an_organisation(site: Site) -> None:
    async with await site.browser() as browser:
        address, _ = await begun(browser, "/setup?owner=acme-inc")
        wrong = await browser.get("/setup?owner=a/../b")
    assert address.startswith("https://github.example/organizations/acme-inc/settings/apps/new?")
    assert wrong.status_code == 400


async def test_the_app_is_stored_encrypted_and_told_to_every_process(site: Site) -> None:
    site.fake.manifests.add("code-1")
    async with site.redis.pubsub() as heard, await site.browser() as browser:
        await heard.subscribe("live:app")
        address, _ = await begun(browser)
        answer = await browser.get(f"/setup/callback?code=code-1&state={state_in(address)}")
        page = (await browser.get("/setup")).text
        messages = [await heard.get_message(timeout=2) for _ in range(2)]
    assert (answer.status_code, answer.headers["location"]) == (303, "/setup")
    assert "https://github.com/apps/veelocity-acme/installations/new" in page
    assert [message and message["data"] for message in messages] == [1, b"setup"]
    assert site.refreshed == [True]
    async with site.engine.connect() as db:
        found = await app_credentials(db, site.settings, Vault(["new-key"]))
    assert found is not None
    assert (found.app_id, found.webhook_secrets) == (99, ("hook-secret-of-99",))
    assert "BEGIN RSA PRIVATE KEY" in found.private_key.get_secret_value()
    kept = str(await site.rows("select * from credentials"))
    assert not re.search("PRIVATE KEY|hook-secret|client-secret", kept)
    entry = (await site.rows("select * from audit_log"))[-1]
    assert (entry["action"], entry["detail"]) == ("github_app_made", "veelocity-acme (app 99)")
    assert entry["user_id"]


async def test_a_code_works_once(site: Site) -> None:
    site.fake.manifests.add("code-1")
    async with await site.browser() as browser:
        address, _ = await begun(browser)
        path = f"/setup/callback?code=code-1&state={state_in(address)}"
        first, second = await browser.get(path), await browser.get(path)
    assert (first.status_code, second.status_code) == (303, 400)
    assert "it works once" in second.text
    assert "code-1" not in second.text


@pytest.mark.parametrize("change", [lambda state: "", lambda state: state[:-3] + "abc", str.upper])
async def test_a_forged_state_is_refused_and_github_not_asked(site: Site, change: Any) -> None:
    site.fake.manifests.add("code-1")
    async with await site.browser() as browser:
        address, _ = await begun(browser)
        path = f"/setup/callback?code=code-1&state={change(state_in(address))}"
        answer = await browser.get(path)
    assert answer.status_code == 400
    assert "does not belong to a set-up you began" in answer.text
    assert site.fake.requests == []
    assert await site.rows("select 1 from credentials") == []


async def test_another_sessions_state_is_refused(site: Site) -> None:
    async with await site.browser() as mine, await site.browser() as other:
        address, _ = await begun(mine)
        answer = await other.get(f"/setup/callback?code=code-1&state={state_in(address)}")
    assert answer.status_code == 400
    assert site.fake.requests == []


async def test_a_state_lasts_an_hour(site: Site) -> None:
    async with await site.browser() as browser:
        with time_machine.travel(datetime.now(UTC) - timedelta(minutes=61)):
            address, _ = await begun(browser)
        answer = await browser.get(f"/setup/callback?code=code-1&state={state_in(address)}")
    assert answer.status_code == 400
    assert "more than an hour ago" in answer.text
    assert site.fake.requests == []


async def test_a_state_outlives_a_new_secret_key(site: Site) -> None:
    site.fake.manifests.add("code-1")
    site.app.state.settings = site.settings.model_copy(update={"secret_key": SecretStr("old-key")})
    async with await site.browser() as browser:
        address, _ = await begun(browser)
        site.app.state.settings = site.settings
        answer = await browser.get(f"/setup/callback?code=code-1&state={state_in(address)}")
    assert answer.status_code == 303


async def test_only_operators_set_the_app_up(site: Site) -> None:
    async with await site.browser(operator=False) as browser:
        answers = [await browser.get(path) for path in ("/setup", "/setup/callback?code=c&state=s")]
    assert [answer.status_code for answer in answers] == [403, 403]
    transport = httpx.ASGITransport(site.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://veelocity.example") as one:
        assert (await one.get("/setup")).headers["location"].startswith("/sign-in")


async def test_an_app_in_the_settings_is_not_made_again(site: Site) -> None:
    told = {"app_id": 5, "private_key": SecretStr("pem")}
    site.app.state.settings = site.settings.model_copy(update=told)
    async with await site.browser() as browser:
        answer = await browser.get("/setup")
    assert answer.status_code == 409
    assert "APP_ID names the GitHub App" in answer.text


async def test_github_being_away_is_said_and_nothing_kept(site: Site) -> None:
    site.fake.fail(faults.bad_gateway(), times=9)
    async with await site.browser() as browser:
        address, _ = await begun(browser)
        answer = await browser.get(f"/setup/callback?code=code-1&state={state_in(address)}")
    assert answer.status_code == 502
    assert await site.rows("select 1 from credentials") == []


async def test_redis_being_away_does_not_undo_the_set_up(site: Site) -> None:
    site.fake.manifests.add("code-1")
    away = redis.asyncio.from_url("redis://127.0.0.1:1/0")
    site.app.state.redis = away
    async with await site.browser() as browser:
        address, _ = await begun(browser)
        answer = await browser.get(f"/setup/callback?code=code-1&state={state_in(address)}")
    await away.aclose()
    assert answer.status_code == 303
    assert len(await site.rows("select 1 from credentials")) == 1
