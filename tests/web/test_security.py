"""Headers, CSRF, body limits, rate limits and what is said when something goes wrong."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio
import structlog
import time_machine

from bot.web.accounts import create_user
from bot.web.api import probes
from bot.web.limiting import Limiter, address_of
from bot.web.security import POLICY
from bot.web.tokens import scrape_token
from tests.web.conftest import PASSWORD, World

CROSS = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://veelocity.example"},
    {"origin": "https://veelocity.example.evil.example"},
]
OWN = [
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"origin": "https://veelocity.example"},
    {},
]


async def test_every_answer_carries_the_headers(world: World) -> None:
    browser = await world.signed_in("viewer")
    for path in ("/", "/no-such-page", "/api/v1/health", "/api/v1/none", "/sign-in", "/healthz"):
        headers = (await browser.get(path)).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["cache-control"] == "no-store"
        assert len(headers["x-request-id"]) == 16


async def test_plain_http_promises_no_https(world: World) -> None:
    world.app.state.settings = world.app.state.settings.model_copy(
        update={"base_url": "http://127.0.0.1:8000"}
    )
    answer = await (await world.browser()).get("/api/v1/health")
    assert "strict-transport-security" not in answer.headers


async def test_a_request_id_from_outside_is_not_taken(world: World) -> None:
    answer = await (await world.browser()).get("/healthz", headers={"x-request-id": "forged"})
    assert answer.headers["x-request-id"] != "forged"


@pytest.mark.parametrize("headers", CROSS)
async def test_other_websites_cannot_act_for_people(world: World, headers: dict[str, str]) -> None:
    browser = await world.signed_in("admin")
    assert (await browser.post("/admins", headers=headers)).status_code == 403
    change = {"time_zone": "Europe/Berlin"}
    answer = await browser.patch("/api/v1/organizations/acme", json=change, headers=headers)
    assert answer.status_code == 403
    assert await world.rows("select * from organization_settings") == []
    assert (await browser.post("/sign-out", headers=headers)).status_code == 403
    assert (await browser.get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", OWN)
async def test_our_own_pages_can(world: World, headers: dict[str, str]) -> None:
    browser = await world.signed_in("admin")
    assert (await browser.post("/admins", headers=headers)).status_code == 200
    change = {"time_zone": "Europe/Berlin"}
    answer = await browser.patch("/api/v1/organizations/acme", json=change, headers=headers)
    assert answer.json()["time_zone"] == "Europe/Berlin"


async def test_an_authorization_header_never_rides_on_a_cookie(world: World) -> None:
    browser = await world.signed_in("admin")
    headers = {"sec-fetch-site": "cross-site", "authorization": "Bearer made-up"}
    assert (await browser.get("/api/v1/auth/me", headers=headers)).status_code == 401
    change = {"time_zone": "Europe/Berlin"}
    answer = await browser.patch("/api/v1/organizations/acme", json=change, headers=headers)
    assert answer.status_code == 401
    assert (await browser.post("/admins", headers=headers)).status_code == 303


async def test_tokens_need_no_csrf_check(world: World) -> None:
    program = await world.program("admin")
    answer = await program.patch(
        "/api/v1/organizations/acme", json={}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 200


async def test_large_bodies_are_refused_told_or_not(world: World) -> None:
    browser = await world.browser()
    large = b"x" * (1024 * 1024 + 1)
    json = {"content-type": "application/json"}
    answer = await browser.post("/api/v1/auth/login", content=large, headers=json)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 65536

    answer = await browser.post("/api/v1/auth/login", content=pieces(), headers=json)
    assert answer.status_code == 413
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await browser.post("/sign-in", content=pieces(), headers=form)).status_code == 413


async def test_an_address_with_nul_is_refused(world: World) -> None:
    browser = await world.signed_in("viewer")
    for address in ("/%00", "/?organization=%00", "/api/v1/repositories/%00/services"):
        assert (await browser.get(address)).status_code == 400


async def test_a_bug_answers_500_with_the_id_and_without_the_secret(world: World) -> None:
    browser = await world.browser()
    with structlog.testing.capture_logs() as logs:
        page, told = await browser.get("/broken"), await browser.get("/api/v1/broken")
    assert (page.status_code, told.status_code) == (500, 500)
    assert "secret" not in page.text + told.text
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json()["request_id"] == told.headers["x-request-id"]
    assert page.headers["content-security-policy"] == POLICY
    assert [log["path"] for log in logs] == ["/broken", "/api/v1/broken"]


async def test_problems_are_told_where_they_were_asked(world: World) -> None:
    browser = await world.browser()
    told = await browser.get("/api/v1/no-such-thing")
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json()["status"] == 404
    assert (await browser.delete("/api/v1/health")).json()["title"] == "Method Not Allowed"
    page = await browser.get("/no-such-page")
    assert page.headers["content-type"].startswith("text/html")


async def test_an_application_has_its_own_error_page(world: World) -> None:
    from bot.web.pages.render import error_page

    world.app.state.error_page = error_page
    answer = await (await world.browser()).get("/no-such-page")
    assert answer.status_code == 404
    assert answer.headers["x-request-id"] in answer.text


async def test_postgres_away_is_503_with_a_time_to_come_back(world: World) -> None:
    from models.store import engine

    browser = await world.signed_in("viewer")
    kept, world.app.state.engine = world.app.state.engine, engine("postgresql://127.0.0.1:1/none")
    with structlog.testing.capture_logs():
        for path in ("/", "/api/v1/auth/me"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        ready = await browser.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["postgres"] == "away"
    await world.app.state.engine.dispose()
    world.app.state.engine = kept


async def test_guessing_passwords_of_one_person_is_limited(world: World) -> None:
    browser = await world.browser()
    for email in ("viewer@example.org", "unknown@example.org"):
        form = {"email": email, "password": "guess"}
        statuses = [(await browser.post("/sign-in", data=form)).status_code for _ in range(5)]
        assert statuses == [401] * 5
        await world.app.state.redis.delete(*await sign_in_addresses(world))
        for address in ("203.0.113.1", "203.0.113.2"):
            other = await world.browser(peer=(address, 1))
            answer = await other.post("/api/v1/auth/login", json=form | {"email": email.upper()})
            assert answer.status_code == 429
            assert 0 < int(answer.headers["retry-after"]) <= 900
        await world.app.state.redis.delete(*await sign_in_addresses(world))


async def sign_in_addresses(world: World) -> list[bytes]:
    """List the counters of addresses."""
    keys = await world.app.state.redis.keys("*sign-in/*")
    return list(keys)


async def test_guessing_from_one_address_is_limited_and_forgiven(world: World) -> None:
    browser = await world.browser()
    with time_machine.travel("2026-11-21T10:00:00Z", tick=False) as clock:
        for number in range(10):
            form = {"email": f"guess{number}@example.org", "password": "guess"}
            assert (await browser.post("/sign-in", data=form)).status_code == 401
        answer = await browser.post("/sign-in", data=form | {"email": "more@example.org"})
        assert answer.status_code == 429
        clock.shift(timedelta(minutes=5, seconds=1))
        answer = await browser.post("/sign-in", data=form | {"email": "more@example.org"})
        assert answer.status_code == 401


async def test_the_right_password_does_not_help_beyond_the_limit(world: World) -> None:
    async with world.engine.begin() as db:
        await create_user(db, "viewer@example.org", password=PASSWORD)
    browser = await world.browser()
    form = {"email": "viewer@example.org", "password": "guess"}
    for _ in range(5):
        await browser.post("/sign-in", data=form)
    assert (await browser.post("/sign-in", data=form | {"password": PASSWORD})).status_code == 429


async def test_the_api_is_limited_by_address_and_token(world: World) -> None:
    browser = await world.browser()
    with time_machine.travel("2026-11-21T10:00:00Z", tick=False):
        statuses = [(await browser.get("/api/v1/health")).status_code for _ in range(600)]
        assert set(statuses) == {200}
        answer = await browser.get("/api/v1/health")
        assert answer.status_code == 429
        assert answer.json()["title"] == "Too many requests"
        assert (await browser.get("/healthz")).status_code == 200
        elsewhere = await world.browser(peer=("203.0.113.1", 1))
        assert (await elsewhere.get("/api/v1/health")).status_code == 200


async def test_limits_hold_while_redis_is_away(world: World) -> None:
    away = redis.asyncio.from_url("redis://127.0.0.1:1")
    world.app.state.limiter = Limiter(away)
    browser = await world.browser()
    form = {"email": "viewer@example.org", "password": "guess"}
    with structlog.testing.capture_logs() as logs:
        statuses = [(await browser.post("/sign-in", data=form)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert len(logs) == 1
    await away.aclose()


def scope(peer: str, forwarded: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return {"client": (peer, 1), "headers": headers}


def test_a_forwarded_address_counts_only_from_our_proxies(world: World) -> None:
    settings = world.app.state.settings
    assert address_of(scope("203.0.113.1", "198.51.100.9"), settings) == "203.0.113.1"
    ours = settings.model_copy(update={"trusted_proxies": ("203.0.113.1", "10.0.0.0/8")})
    told = "198.51.100.1, 198.51.100.9, 10.1.2.3"
    assert address_of(scope("203.0.113.1", told), ours) == "198.51.100.9"
    assert address_of(scope("203.0.113.1", "junk"), ours) == "203.0.113.1"
    assert address_of(scope("203.0.113.1"), ours) == "203.0.113.1"
    assert address_of({"client": None, "headers": []}, ours) == ""


async def test_ready_says_which_part_is_not(world: World) -> None:
    browser = await world.browser()
    newest = await asyncio.to_thread(probes.newest_revision)
    await world.rows("update alembic_version set version_num = 'elsewhere'")
    try:
        answer = await browser.get("/readyz")
    finally:
        await world.rows("update alembic_version set version_num = :newest", newest=newest)
    assert answer.status_code == 503
    assert answer.json()["checks"]["postgres"] == "ok"
    assert answer.json()["checks"]["redis"] == "ok"
    assert "run migrate" in answer.json()["checks"]["schema"]
    assert (await browser.get("/readyz")).json()["status"] == "ready"


async def test_numbers_for_prometheus_are_not_for_everybody(world: World) -> None:
    here = await world.browser()
    assert (await here.get("/metrics")).status_code == 200
    assert (await here.get("/metrics", headers={"x-forwarded-for": "1.2.3.4"})).status_code == 404
    far = {"peer": ("203.0.113.1", 1)}
    assert (await (await world.browser(**far)).get("/metrics")).status_code == 404
    assert (await (await world.signed_in("admin", **far)).get("/metrics")).status_code == 404
    assert (await (await world.signed_in("operator", **far)).get("/metrics")).status_code == 200
    token = scrape_token(world.app.state.settings)
    headers = {"authorization": f"Bearer {token}"}
    assert (await (await world.browser(**far)).get("/metrics", headers=headers)).status_code == 200
