"""The client of Linear against a Linear that answers the real queries from a schema."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from graphql import parse, validate
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import models
from bot.clients import linear_queries as queries
from bot.clients.asking import Patience
from bot.clients.linear import LinearError, LinearSecret, RateLimited, linear_as
from bot.clients.linear_tokens import (
    Keyring,
    consent_url,
    exchanged,
    linear_for,
)
from bot.settings import Settings
from bot.vault import Vault
from models.chat import keep_connection_secret
from models.store import remember
from tests.fakes.linear import (
    API_KEY,
    CLIENT_ID,
    CLIENT_SECRET,
    MOST_COMPLEXITY,
    FakeLinear,
    fake_linear,
)
from tests.fakes.linear_graphql import complexity_of, schema

KEY = LinearSecret(api_key=SecretStr(API_KEY))
QUICK = Patience(first_seconds=0.001)
EVERY = {
    **queries.LISTS,
    "workspace": queries.WORKSPACE,
    "rest": queries.REST_OF_ISSUE,
    "standing": queries.STANDING,
    "comment": queries.COMMENT,
    "edit": queries.EDIT_COMMENT,
    "move": queries.MOVE,
}


@pytest.fixture
def linear() -> Iterator[FakeLinear]:
    with fake_linear() as fake:
        yield fake


def told(fake: FakeLinear, settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "linear_api_url": fake.address,
            "linear_client_id": CLIENT_ID,
            "linear_client_secret": SecretStr(CLIENT_SECRET),
            "linear_api_key": SecretStr(API_KEY),
        }
    )


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_query_is_valid_and_half_as_complex_as_may_be(name: str) -> None:
    assert validate(schema(), parse(EVERY[name])) == []
    assert complexity_of(EVERY[name], {}) < MOST_COMPLEXITY / 2


async def test_a_key_tells_its_workspace(linear: FakeLinear) -> None:
    async with linear_as(linear.address, KEY) as line:
        found = await queries.workspace(line)
    assert (found.organization.id, found.organization.url_key) == (linear.id, "acme")
    assert found.viewer.email == "ada@acme.example"


async def test_pages_are_followed_to_the_end_newest_first(linear: FakeLinear) -> None:
    team = linear.team("ENG")
    for number in range(120):
        linear.issue(team, f"Issue {number}", updatedAt=f"2026-09-01T00:{number // 60:02d}:"
                     f"{number % 60:02d}.000Z")  # fmt: skip
    after, found = None, []
    async with linear_as(linear.address, KEY) as line:
        while True:
            page = await queries.page(line, "issues", after)
            found += [node["title"] for node in page.nodes]
            after = page.next
            if after is None:
                break
        late = await queries.page(line, "issues", None, datetime(2026, 9, 1, 0, 1, 58, tzinfo=UTC))
    assert found == [f"Issue {number}" for number in reversed(range(120))]
    assert [node["title"] for node in late.nodes] == ["Issue 119", "Issue 118"]


async def test_what_linear_refuses_is_said_in_its_words(linear: FakeLinear) -> None:
    async with linear_as(linear.address, KEY) as line:
        with pytest.raises(LinearError, match="Could not find referenced Issue"):
            await queries.standing(line, "nothing", "x")
        with pytest.raises(LinearError, match="Cannot query field 'salary' on type 'User'"):
            await line.ask("query Salary { viewer { salary } }")
        with pytest.raises(LinearError, match="Query too complex"):
            await line.ask(
                "query Much { issues(first: 250) { nodes { id history(first: 250) "
                "{ nodes { id } } } } }"
            )


async def test_an_answer_that_is_good_only_in_part_is_not_taken(linear: FakeLinear) -> None:
    linear.partial = True
    async with linear_as(linear.address, KEY) as line:
        with pytest.raises(LinearError, match=r"Entity not found \(at issues\.nodes\.0\.creator\)"):
            await queries.page(line, "issues", None)


async def test_a_rate_limit_says_until_when(linear: FakeLinear) -> None:
    linear.limit(90)
    async with linear_as(linear.address, KEY) as line:
        with pytest.raises(RateLimited) as limited:
            await queries.workspace(line)
    left = (limited.value.until - datetime.now(UTC)).total_seconds()
    assert 80 < left <= 91
    assert linear.asked == ["Workspace"]


async def test_a_stumble_is_asked_again_but_never_a_mutation(linear: FakeLinear) -> None:
    issue = linear.issue(linear.team("ENG"), "x")
    async with linear_as(linear.address, KEY) as line:
        line.patience = QUICK
        linear.broken = [502, 503]
        await queries.workspace(line)
        assert linear.asked == ["Workspace"] * 3
        linear.broken = [502]
        with pytest.raises(LinearError, match="502"):
            await queries.edit_comment(line, "id", "body")
        assert linear.asked[3:] == ["EditComment"]
    assert linear.comment_bodies(issue) == []


async def test_an_unreachable_linear_is_said_without_the_key() -> None:
    async with linear_as("http://127.0.0.1:9", KEY) as line:
        line.patience = Patience(tries=1)
        with pytest.raises(LinearError, match="could not be reached") as failed:
            await queries.workspace(line)
    assert API_KEY not in f"{failed.value!r} {line!r}"


async def test_a_wrong_key_asks_for_connecting_again(linear: FakeLinear) -> None:
    wrong = LinearSecret(api_key=SecretStr("lin_api_wrong"))
    async with linear_as(linear.address, wrong) as line:
        with pytest.raises(LinearError, match="API key any more: connect Linear again"):
            await queries.workspace(line)


async def keyring(
    engine: AsyncEngine, settings: Settings, secret: LinearSecret, expires_at: datetime | None
) -> Keyring:
    """Connect acme with a secret."""
    vault = Vault(settings.secret_keys)
    connection = models.Connection(
        id="linear:organization:w1",
        organization_id="github:1",
        source="linear",
        external_id="w1",
        account_login="acme",
        state="active",
        permissions={},
    )
    async with engine.begin() as db:
        await remember(db, [connection])
        sealed = vault.seal(secret.model_dump_json(exclude_none=True))
        await keep_connection_secret(db, connection.id, sealed, expires_at)
    return Keyring(engine, settings, vault, connection.id)


def granted(linear: FakeLinear) -> LinearSecret:
    made = linear.grant()
    return LinearSecret(
        access_token=made["access_token"], refresh_token=made["refresh_token"], scopes=["read"]
    )


@pytest.mark.store
async def test_ten_workers_renew_a_token_once(
    linear: FakeLinear, engine: AsyncEngine, settings: Settings
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=4)
    ring = await keyring(engine, told(linear, settings), granted(linear), soon)
    found = await asyncio.gather(*(ring.current() for _ in range(10)))
    assert linear.refreshes == 1
    assert len({each.header for each in found}) == 1
    async with engine.connect() as db:
        row = (await db.execute(text("select * from connection_secrets"))).mappings().one()
    assert found[0].header.removeprefix("Bearer ") not in str(row)
    assert row["expires_at"] > datetime.now(UTC) + timedelta(hours=23)


@pytest.mark.store
async def test_a_token_that_linear_refuses_is_renewed_in_the_middle(
    linear: FakeLinear, engine: AsyncEngine, settings: Settings
) -> None:
    here, late = told(linear, settings), datetime.now(UTC) + timedelta(hours=9)
    ring = await keyring(engine, here, granted(linear), late)
    next(iter(linear.tokens.values())).ends = time.time() - 1
    async with linear_for(engine, here, ring.vault, "github:1") as line:
        assert line is not None
        assert (await queries.workspace(line)).organization.id == linear.id
        assert (await queries.workspace(line)).organization.id == linear.id
    assert (linear.refreshes, linear.asked) == (1, ["Workspace"] * 3)


@pytest.mark.store
async def test_a_refresh_token_that_was_revoked_asks_for_connecting_again(
    linear: FakeLinear, engine: AsyncEngine, settings: Settings
) -> None:
    ring = await keyring(engine, told(linear, settings), granted(linear), datetime.now(UTC))
    linear.tokens.clear()
    with pytest.raises(LinearError, match="connect Linear again"):
        await ring.current()


@pytest.mark.store
async def test_nobody_is_spoken_to_where_nothing_is_connected(
    linear: FakeLinear, engine: AsyncEngine, settings: Settings
) -> None:
    vault = Vault(settings.secret_keys)
    async with linear_for(engine, told(linear, settings), vault, "github:1") as line:
        assert line is None


@pytest.mark.store
async def test_a_key_of_the_settings_is_read_when_it_is_used(
    linear: FakeLinear, engine: AsyncEngine, settings: Settings
) -> None:
    here = told(linear, settings)
    ring = await keyring(engine, here, LinearSecret(), None)
    async with linear_for(engine, here, ring.vault, "github:1") as line:
        assert line is not None
        assert (await queries.workspace(line)).organization.id == linear.id


async def test_a_code_is_exchanged_once(linear: FakeLinear, settings: Settings) -> None:
    here = told(linear, settings)
    linear.codes["c1"] = "https://v.example/connect/linear/callback"
    made = await exchanged(here, "c1", "https://v.example/connect/linear/callback")
    assert made.secret.scopes == ["read", "write"]
    assert made.expires_at is not None
    with pytest.raises(LinearError, match="The authorization code is not valid"):
        await exchanged(here, "c1", "https://v.example/connect/linear/callback")


def test_consent_is_asked_of_linear_for_two_scopes(settings: Settings) -> None:
    public = settings.model_copy(update={"linear_client_id": "abc"})
    url = consent_url(public, "s t", "https://v.example/cb")
    assert url.startswith("https://linear.app/oauth/authorize?client_id=abc&")
    assert "scope=read%2Cwrite&state=s+t&actor=app" in url
    elsewhere = settings.model_copy(update={"linear_api_url": "http://127.0.0.1:1"})
    assert consent_url(elsewhere, "s", "r").startswith("http://127.0.0.1:1/oauth/authorize?")
