"""Signing in and out, sessions, roles and the choice of an organisation."""

import re

import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.routing import Route

from bot.settings import Settings
from bot.web import accounts, sessions
from bot.web.auth import create_user, safe_path
from models.errors import Refused
from models.organizations import Organization
from models.store import remember
from tests.web.conftest import AT, PASSWORD, World, application

PUBLIC = {
    "GET /sign-in",
    "POST /sign-in",
    "GET /sign-in/{token}",
    "POST /sign-in/{token}",
    "POST /sign-out",
    "GET /healthz",
    "GET /schemas/veelocity.json",
    "GET /readyz",
    "GET /broken",
    "GET /api/v1/broken",
    "GET /api/v1/health",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/logout",
}


def addresses(app: Starlette) -> list[tuple[str, str]]:
    """List every method and path the application answers."""
    return [
        (method, re.sub(r":\w+}", "}", route.path))
        for route in app.routes
        if isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def filled(path: str) -> str:
    """Put something of acme's into a path."""
    for name, value in (("repo_id", "github:10"), ("id", "1"), ("organization_id", "github:1")):
        path = path.replace(f"{{{name}}}", value)
    return path


async def test_every_route_but_the_public_ones_needs_somebody_signed_in(world: World) -> None:
    browser = await world.browser(peer=("203.0.113.9", 1))
    closed = []
    for method, path in addresses(world.app):
        if f"{method} {path}" in PUBLIC:
            continue
        answer = await browser.request(method, filled(path))
        to_sign_in = answer.headers.get("location", "").startswith("/sign-in")
        assert answer.status_code == 401 or to_sign_in or path == "/metrics", path
        closed.append(path)
    assert len(closed) > 20
    assert (await browser.get("/metrics")).status_code == 404


async def test_people_of_no_organisation_see_nothing_of_any(world: World) -> None:
    nobody = await world.program("nobody")
    for method, path in addresses(world.app):
        if not path.startswith("/api/v1") or f"{method} {path}" in PUBLIC:
            continue
        answer = await nobody.request(method, filled(path), json={})
        if path in ("/api/v1/auth/me", "/api/v1/organizations", "/api/v1/openapi.json"):
            assert answer.status_code == 200
        else:
            assert answer.status_code in (403, 404), path


async def test_a_link_of_a_public_address_signs_in_once_and_only_by_its_button(
    world: World,
) -> None:
    async with world.engine.begin() as db:
        token = await sessions.sign_in_link(db, "viewer@example.org")
    browser = await world.browser()
    assert (await browser.head(f"/sign-in/{token}")).status_code == 200
    shown = await browser.get(f"/sign-in/{token}")
    assert shown.status_code == 200
    assert "<button" in shown.text
    assert not browser.cookies
    assert (await browser.post(f"/sign-in/{token}")).headers["location"] == "/"
    assert (await browser.get("/")).text == "acme"
    again = await world.browser()
    assert (await again.post(f"/sign-in/{token}")).status_code == 401
    assert not again.cookies


async def test_a_link_of_this_machine_signs_in_at_once(world: World) -> None:
    world.app.state.settings = world.app.state.settings.model_copy(
        update={"base_url": "http://127.0.0.1:8000"}
    )
    async with world.engine.begin() as db:
        token = await sessions.sign_in_link(db, "viewer@example.org")
    browser = await world.browser()
    prefetch = {"sec-purpose": "prefetch;prerender"}
    assert (await browser.get(f"/sign-in/{token}", headers=prefetch)).status_code == 200
    assert (await browser.head(f"/sign-in/{token}")).status_code == 200
    answer = await browser.get(f"/sign-in/{token}")
    assert answer.status_code == 303
    assert answer.headers["set-cookie"].startswith("veelocity=")
    assert "Secure" not in answer.headers["set-cookie"]
    assert (await browser.get("/")).text == "acme"


async def test_a_link_too_old_signs_nobody_in(world: World) -> None:
    async with world.engine.begin() as db:
        token = await sessions.sign_in_link(db, "viewer@example.org")
    await world.rows("update sign_in_links set expires_at = now() - interval '1 second'")
    assert (await (await world.browser()).post(f"/sign-in/{token}")).status_code == 401


async def test_password_signs_in_and_the_cookie_is_bound_to_https(world: World) -> None:
    async with world.engine.begin() as db:
        await create_user(db, "Viewer@Example.org ", password=PASSWORD)
    browser = await world.browser()
    form = {"email": "VIEWER@example.org", "password": PASSWORD, "next": "/?organization=acme"}
    answer = await browser.post("/sign-in", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?organization=acme"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-veelocity=")
    for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/", "Max-Age=1209600"):
        assert part in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("viewer@example.org", "wrong horse"),
        ("unknown@example.org", PASSWORD),
        ("manager@example.org", ""),
        ("vie\0wer@example.org", "x"),
        ("", ""),
    ],
)
async def test_wrong_credentials_all_read_the_same(world: World, email: str, password: str) -> None:
    async with world.engine.begin() as db:
        await create_user(db, "viewer@example.org", password=PASSWORD)
    browser = await world.browser()
    answer = await browser.post("/sign-in", data={"email": email, "password": password})
    assert answer.status_code == 401
    assert "do not belong together" in answer.text
    assert not browser.cookies


async def test_unknown_people_cost_a_hash_too(world: World) -> None:
    checked = []
    kept = accounts.hasher()

    class Counting:
        def verify(self, password: str, hashed: str) -> bool:
            checked.append(hashed)
            return kept.verify(password, hashed)

        def hash(self, password: str) -> str:
            return kept.hash(password)

    accounts.nobodys_hash()
    original = accounts.hasher
    accounts.hasher = Counting  # type: ignore[assignment]
    try:
        async with world.engine.connect() as db:
            for email in ("unknown@example.org", "viewer@example.org"):
                assert await accounts.checked_password(db, email, "guess") is None
    finally:
        accounts.hasher = original
    assert checked == [accounts.nobodys_hash()] * 2


async def test_a_session_is_issued_anew_on_signing_in(world: World) -> None:
    browser = await world.signed_in("viewer")
    before = browser.cookies["__Host-veelocity"]
    async with world.engine.begin() as db:
        token = await sessions.sign_in_link(db, "manager@example.org")
    await browser.post(f"/sign-in/{token}")
    assert browser.cookies["__Host-veelocity"] != before
    planted = await world.browser(cookies={"__Host-veelocity": before})
    assert (await planted.get("/")).status_code == 303


async def test_a_planted_session_is_not_taken_over(world: World) -> None:
    browser = await world.browser(cookies={"__Host-veelocity": "planted"})
    async with world.engine.begin() as db:
        token = await sessions.sign_in_link(db, "viewer@example.org")
    await browser.post(f"/sign-in/{token}")
    planted = await world.browser(cookies={"__Host-veelocity": "planted"})
    assert (await planted.get("/")).status_code == 303


async def test_only_the_hash_of_a_session_is_kept(world: World) -> None:
    browser = await world.signed_in("viewer")
    rows = await world.rows("select * from sessions")
    assert browser.cookies["__Host-veelocity"] not in str(rows)


async def test_a_session_slides_and_ends(world: World) -> None:
    browser = await world.signed_in("viewer")
    assert "set-cookie" not in (await browser.get("/")).headers
    await world.rows("update sessions set expires_at = now() + interval '3 days'")
    assert "Max-Age=1209600" in (await browser.get("/")).headers["set-cookie"]
    left = await world.rows("select expires_at - now() > interval '13 days' as more from sessions")
    assert left == [{"more": True}]
    await world.rows("update sessions set expires_at = now() - interval '1 second'")
    assert (await browser.get("/")).status_code == 303


async def test_signing_out_ends_the_session_on_the_server(world: World) -> None:
    browser = await world.signed_in("viewer")
    token = browser.cookies["__Host-veelocity"]
    assert (await browser.post("/sign-out")).headers["location"] == "/sign-in"
    copied = await world.browser(cookies={"__Host-veelocity": token})
    assert (await copied.get("/")).status_code == 303


async def test_a_new_password_ends_every_session(world: World) -> None:
    browser = await world.signed_in("viewer")
    async with world.engine.begin() as db:
        await create_user(db, "viewer@example.org", password=PASSWORD)
    assert (await browser.get("/")).status_code == 303


async def test_a_page_sends_strangers_to_sign_in_and_back(world: World) -> None:
    browser = await world.browser()
    answer = await browser.get("/?days=7&organization=acme")
    assert answer.headers["location"] == "/sign-in?next=%2F%3Fdays%3D7%26organization%3Dacme"
    fragment = await browser.get("/", headers={"hx-request": "true"})
    assert (fragment.status_code, fragment.headers["hx-redirect"]) == (401, "/sign-in")
    stream = await browser.get("/", headers={"accept": "text/event-stream"})
    assert stream.status_code == 401


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/ok\r\nset-cookie: a=b",
        "javascript:alert(1)",
        "\\\\evil",
        "",
        None,
    ],
)
def test_signing_in_leads_nowhere_else(address: str | None) -> None:
    assert safe_path(address) == "/"


def test_signing_in_leads_back_to_our_own_pages() -> None:
    assert safe_path("/delivery?days=7#top") == "/delivery?days=7#top"


async def test_roles_are_a_ladder(world: World) -> None:
    assert (await (await world.signed_in("viewer")).get("/admins")).status_code == 403
    assert (await (await world.signed_in("manager")).get("/admins")).status_code == 403
    assert (await (await world.signed_in("admin")).get("/admins")).text == "for admins"


async def test_the_organisation_is_chosen_by_id_or_login(world: World) -> None:
    browser = await world.signed_in("both")
    assert (await browser.get("/")).text == "acme"
    assert (await browser.get("/?organization=Globex")).text == "globex"
    assert (await browser.get("/?organization=github:2")).text == "globex"
    assert (await browser.get("/?organization=initech")).status_code == 404


async def test_anothers_organisation_is_not_found(world: World) -> None:
    browser = await world.signed_in("viewer")
    for name in ("globex", "github:2", "no-such-thing"):
        answer = await browser.get(f"/?organization={name}")
        assert answer.status_code == 404


async def test_an_organisation_named_before_github_told_of_it_is_the_same_one(
    world: World,
) -> None:
    async with world.engine.begin() as db:
        await create_user(db, "early@example.org", organization="Initech")
        world.people["early"] = "early@example.org"
        told = Organization(id="github:3", login="initech", account_id=3, changed_at=AT)
        await remember(db, [told])
    answer = await (await world.program("early")).get("/api/v1/auth/me")
    assert [one["organization_id"] for one in answer.json()["memberships"]] == ["github:3"]


async def test_a_user_is_made_once_and_added_to(world: World) -> None:
    async with world.engine.begin() as db:
        first = await create_user(db, "new@example.org", organization="acme", name="New")
        again = await create_user(db, "NEW@example.org", organization="globex", admin=True)
        belongs = await accounts.memberships(db, first.id)
    assert first.id == again.id
    assert again.name == "New"
    assert [(one.login, one.role) for one in belongs] == [("acme", "viewer"), ("globex", "admin")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "not an address"},
        {"email": "nul\0@example.org"},
        {"email": "a@example.org", "password": "short"},
        {"email": "a@example.org", "role": "owner"},
    ],
)
async def test_an_impossible_user_is_refused(world: World, wrong: dict[str, str]) -> None:
    async with world.engine.connect() as db:
        with pytest.raises(Refused):
            await create_user(db, **wrong)  # type: ignore[arg-type]


async def test_a_link_for_nobody_is_refused(world: World) -> None:
    async with world.engine.connect() as db:
        with pytest.raises(Refused, match="Nobody has"):
            await sessions.sign_in_link(db, "ghost@example.org")


async def test_coming_in_and_being_turned_away_are_written_down(world: World) -> None:
    await world.signed_in("viewer")
    await (await world.browser()).post("/sign-in", data={"email": "a@b.c", "password": "nope"})
    rows = await world.rows("select action, detail from audit_log order by id")
    assert [row["action"] for row in rows] == ["sign_in", "sign_in_refused"]
    assert "nope" not in str(rows)
    assert rows[1]["detail"] == "from 127.0.0.1"


async def test_the_same_roles_hold_over_plain_http(settings: Settings, world: World) -> None:
    plain = settings.model_copy(update={"base_url": "http://192.0.2.1:8000"})
    world.app = application(plain, world.engine, world.app.state.redis)
    browser = await world.signed_in("viewer")
    assert "veelocity" in browser.cookies
    assert (await browser.get("/")).text == "acme"
    async with world.engine.connect() as db:
        assert await db.scalar(text("select count(*) from sessions")) == 1
