"""Connecting Linear by key and by consent, mapping it, and what is listed of it."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import Mount

import models
from bot.settings import Settings
from bot.web.pages import connect_linear
from models.store import remember
from tests.fakes.linear import API_KEY, CLIENT_ID, CLIENT_SECRET, FakeLinear, fake_linear
from tests.web.conftest import AT, World, world_of

pytestmark = pytest.mark.store

CALLBACK = "https://veelocity.example/connect/linear/callback"


@pytest.fixture
def fake() -> Iterator[FakeLinear]:
    with fake_linear() as linear:
        yield linear


@pytest.fixture
async def world(
    fake: FakeLinear, settings: Settings, engine: AsyncEngine, clean_redis: str
) -> AsyncIterator[World]:
    told = settings.model_copy(
        update={
            "linear_api_url": fake.address,
            "linear_client_id": CLIENT_ID,
            "linear_client_secret": SecretStr(CLIENT_SECRET),
            "linear_webhook_secret": SecretStr("hush"),
        }
    )
    async with world_of(told, engine) as made:
        made.app.router.routes.append(Mount("/", routes=connect_linear.routes()))
        yield made


async def connected(world: World, who: str = "admin") -> httpx.AsyncClient:
    program = await world.program(who)
    answer = await program.post("/api/v1/connectors/linear/connect", json={"api_key": API_KEY})
    assert answer.status_code == 200, answer.text
    return program


async def test_an_admin_connects_by_a_key_which_is_kept_sealed(
    world: World, fake: FakeLinear
) -> None:
    program = await connected(world)
    told = (await program.get("/api/v1/connectors/linear/status")).json()
    assert told | {"synchronisation": None} == {
        "connected": True, "workspace": "Acme", "way": "api_key", "webhooks": True,
        "install": True, "synchronisation": None, "last_event_at": None,
        "waiting": 0, "failed": 0, "parked": 0,
    }  # fmt: skip
    (row,) = await world.rows("select * from connection_secrets")
    assert API_KEY not in str(row)
    (job,) = await world.rows("select name, key from jobs")
    assert job == {"name": "sync_linear", "key": "sync_linear:github:1"}
    (audited,) = await world.rows(
        "select action, detail from audit_log where action like 'linear%'"
    )
    assert audited["detail"] == f"linear:organization:{fake.id} (api_key)"


@pytest.mark.parametrize("who", ["manager", "viewer"])
async def test_only_admins_connect_map_and_read(world: World, who: str) -> None:
    program = await world.program(who)
    for method, path, body in (
        ("POST", "connect", {"api_key": API_KEY}), ("POST", "sync", {}), ("POST", "disconnect", {}),
        ("PUT", "mappings", {"mappings": [{"linear_id": "x"}]}),
    ):  # fmt: skip
        answer = await program.request(method, f"/api/v1/connectors/linear/{path}", json=body)
        assert answer.status_code == 403, path


async def test_a_wrong_key_is_refused_without_being_said(world: World) -> None:
    program = await world.program("admin")
    answer = await program.post("/api/v1/connectors/linear/connect", json={"api_key": "lin_api_no"})
    assert answer.status_code == 502
    assert "does not take the API key" in answer.json()["detail"]
    assert "lin_api_no" not in answer.text
    assert await world.rows("select 1 from connections where source = 'linear'") == []


async def test_without_any_key_it_is_said_what_is_missing(world: World) -> None:
    program = await world.program("admin")
    answer = await program.post("/api/v1/connectors/linear/connect", json={})
    assert answer.status_code == 422
    assert "LINEAR_API_KEY" in answer.json()["detail"]


async def test_the_key_of_the_settings_is_not_everybodys(world: World) -> None:
    told = world.app.state.settings.model_copy(update={"linear_api_key": SecretStr(API_KEY)})
    world.app.state.settings = told
    program = await world.program("admin")
    answer = await program.post("/api/v1/connectors/linear/connect", json={})
    assert answer.status_code == 403


async def test_a_workspace_belongs_to_one_organisation(world: World) -> None:
    await connected(world)
    stranger = await world.program("stranger")
    answer = await stranger.post("/api/v1/connectors/linear/connect", json={"api_key": API_KEY})
    assert answer.status_code == 409
    (row,) = await world.rows("select organization_id from connections where source = 'linear'")
    assert row["organization_id"] == "github:1"


async def test_disconnecting_forgets_the_secret_and_lets_another_connect(world: World) -> None:
    program = await connected(world)
    answer = await program.post("/api/v1/connectors/linear/disconnect")
    assert (answer.status_code, answer.json()["connected"]) == (200, False)
    assert await world.rows("select 1 from connection_secrets") == []
    assert (await program.post("/api/v1/connectors/linear/sync", json={})).status_code == 404
    await connected(world, "stranger")


async def test_an_admin_connects_by_consent_once(world: World, fake: FakeLinear) -> None:
    browser = await world.signed_in("admin")
    sent = await browser.get("/connect/linear")
    assert sent.status_code == 303
    asked = parse_qs(urlsplit(sent.headers["location"]).query)
    assert (asked["redirect_uri"], asked["scope"], asked["actor"]) == (
        [CALLBACK], ["read,write"], ["app"],
    )  # fmt: skip
    fake.codes["c1"] = CALLBACK
    back = {"code": "c1", "state": asked["state"][0]}
    answer = await browser.get("/connect/linear/callback", params=back)
    assert answer.status_code == 303, answer.text
    (row,) = await world.rows("select permissions from connections where source = 'linear'")
    assert row["permissions"] == {"way": "oauth", "read": "granted", "write": "granted"}
    (kept,) = await world.rows("select expires_at from connection_secrets")
    assert kept["expires_at"] is not None
    again = await browser.get("/connect/linear/callback", params=back)
    assert again.status_code == 400


async def test_a_consent_of_somebody_else_connects_nothing(world: World, fake: FakeLinear) -> None:
    browser = await world.signed_in("admin")
    asked = parse_qs(urlsplit((await browser.get("/connect/linear")).headers["location"]).query)
    fake.codes["c1"] = CALLBACK
    other = await world.signed_in("stranger")
    back = {"code": "c1", "state": asked["state"][0]}
    assert (await other.get("/connect/linear/callback", params=back)).status_code == 403
    forged = await browser.get("/connect/linear/callback", params={"code": "c1", "state": "x"})
    assert forged.status_code == 400
    assert await world.rows("select 1 from connections where source = 'linear'") == []


async def test_a_refused_consent_and_a_wrong_code_say_so(world: World) -> None:
    browser = await world.signed_in("admin")
    for back, status in (({"error": "access_denied"}, 400), ({}, 400), ({"code": "no"}, 502)):
        asked = parse_qs(urlsplit((await browser.get("/connect/linear")).headers["location"]).query)
        params = {**back, "state": asked["state"][0]}
        answer = await browser.get("/connect/linear/callback", params=params)
        assert answer.status_code == status


async def test_managers_do_not_begin_a_consent(world: World) -> None:
    browser = await world.signed_in("manager")
    assert (await browser.get("/connect/linear")).status_code == 403


def facts() -> list[models.columns.Fact]:
    shared = {"organization_id": "github:1", "changed_at": AT}
    return [
        models.LinearTeam(id="linear:t1", key="ENG", name="Engineering", **shared),
        models.LinearTeam(id="linear:t2", key="OLD", name="Old", deleted=True, **shared),
        models.LinearTeam(
            id="linear:t9", key="GLO", name="Theirs", organization_id="github:2", changed_at=AT
        ),
        models.LinearProject(id="linear:p1", name="Billing", **shared),
        models.LinearCycle(
            id="linear:c1", team_id="linear:t1", number=1, starts_at=AT, ends_at=AT, **shared
        ),
        models.LinearIssue(
            id="linear:i1", identifier="ENG-1", number=1, title="Round", team_id="linear:t1",
            project_id="linear:p1", state_type="completed", created_at=AT, completed_at=AT,
            **shared,
        ),
        models.LinearIssue(
            id="linear:i2", identifier="ENG-2", number=2, title="Euro", team_id="linear:t1",
            state_type="started", created_at=AT, **shared,
        ),
    ]  # fmt: skip


async def test_lists_show_what_was_read_of_ones_own(world: World) -> None:
    async with world.engine.begin() as db:
        await remember(db, facts())
    viewer = await world.program("viewer")

    async def listed(path: str) -> list[object]:
        answer = await viewer.get(f"/api/v1/connectors/linear/{path}")
        assert answer.status_code == 200, answer.text
        return [each.get("identifier") or each.get("key") or each.get("name") or each["number"]
                for each in answer.json()["items"]]  # fmt: skip

    assert await listed("teams") == ["ENG"]
    assert await listed("projects") == ["Billing"]
    assert await listed("cycles") == [1]
    assert await listed("issues") == ["ENG-2", "ENG-1"]
    assert await listed("issues?state=completed") == ["ENG-1"]
    assert await listed("issues?team=eng") == []
    assert await listed("issues?team=ENG&limit=1") == ["ENG-2"]


async def test_teams_and_projects_are_mapped_to_repositories(world: World) -> None:
    async with world.engine.begin() as db:
        await remember(db, facts())
    admin = await world.program("admin")
    path = "/api/v1/connectors/linear/mappings"
    wanted = [
        {"linear_id": "linear:t1", "repo_id": "acme/api"},
        {"linear_id": "linear:p1", "repo_id": "github:11"},
    ]
    answer = await admin.put(path, json={"mappings": wanted})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [(each["kind"], each["name"], each["repository"]) for each in items] == [
        ("project", "Billing", "acme/web"), ("team", "Engineering", "acme/api"),
    ]  # fmt: skip
    answer = await admin.put(path, json={"mappings": [{"linear_id": "linear:p1"}]})
    assert [each["kind"] for each in answer.json()["items"]] == ["team"]
    assert len(await world.rows("select 1 from audit_log where action = 'linear_mapped'")) == 2
    (order,) = await world.rows("select name, key from jobs")
    assert order == {"name": "read_incidents_again", "key": "read_incidents_again:github:1"}


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"linear_id": "linear:t9", "repo_id": "acme/api"}, 422),
        ({"linear_id": "linear:t1", "repo_id": "globex/api"}, 404),
        ({"linear_id": "linear:t1", "repo_id": "github:20"}, 404),
    ],
)
async def test_what_is_others_cannot_be_mapped(
    world: World, wanted: dict[str, str], status: int
) -> None:
    async with world.engine.begin() as db:
        await remember(db, facts())
    admin = await world.program("admin")
    answer = await admin.put("/api/v1/connectors/linear/mappings", json={"mappings": [wanted]})
    assert answer.status_code == status
    assert await world.rows("select 1 from linear_mappings") == []


async def test_a_sync_is_queued(world: World) -> None:
    program = await connected(world)
    answer = await program.post("/api/v1/connectors/linear/sync", json={"full": True})
    assert answer.json() == {"status": "queued"}
    (job,) = await world.rows("select arguments from jobs where name = 'sync_linear'")
    assert job["arguments"] == {"full": True}
