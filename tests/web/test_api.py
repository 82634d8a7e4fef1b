"""The API: what it answers, to whom, and how it says no."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import time_machine

from bot.web.accounts import create_user
from bot.web.api.endpoints import ENDPOINTS
from bot.web.tokens import access_token, derived, token_user
from tests.web.conftest import PASSWORD, World

SEPTEMBER = "start_date=2026-09-01&end_date=2026-09-30"
LISTS = (
    "connectors/github/repos",
    "connectors/github-actions/workflows",
    "connectors/github-actions/runs",
    "connectors/github-actions/deployments",
)
METRICS = (
    "metrics/dora",
    "metrics/dora/explain",
    "metrics/dora/deployment-frequency",
    "metrics/dora/deployment-frequency/explain",
    "metrics/dora/lead-time",
    "metrics/dora/lead-time/explain",
    *(
        f"metrics/dora/{name}{explained}"
        for name in (
            *("change-failure-rate", "failed-deployment-recovery-time", "time-to-restore"),
            *("mttr", "rework-rate"),
        )
        for explained in ("", "/explain")
    ),
)


async def tokens(world: World, who: str = "viewer@example.org") -> dict[str, Any]:
    """Sign in to the API by password."""
    async with world.engine.begin() as db:
        await create_user(db, who, password=PASSWORD)
    browser = await world.browser()
    answer = await browser.post("/api/v1/auth/login", json={"email": who, "password": PASSWORD})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


async def test_health_is_for_everybody(world: World) -> None:
    answer = await (await world.browser()).get("/api/v1/health")
    assert answer.json() == {"status": "healthy"}


async def test_a_password_gives_tokens_for_fifteen_minutes(world: World) -> None:
    told = await tokens(world)
    assert told["token_type"] == "bearer"
    assert told["expires_in"] == 900
    headers = {"authorization": f"Bearer {told['access_token']}"}
    browser = await world.browser(headers=headers)
    me = (await browser.get("/api/v1/auth/me")).json()
    assert me["email"] == "viewer@example.org"
    assert me["memberships"] == [
        {"organization_id": "github:1", "login": "acme", "name": None, "role": "viewer"}
    ]
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=15, seconds=1)):
        answer = await browser.get("/api/v1/auth/me")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_refresh_token_is_good_once_and_its_theft_ends_the_family(world: World) -> None:
    browser, first = await world.browser(), (await tokens(world))["refresh_token"]
    body = {"refresh_token": first}
    second = (await browser.post("/api/v1/auth/refresh", json=body)).json()["refresh_token"]
    assert (await browser.post("/api/v1/auth/refresh", json=body)).status_code == 401
    stolen = await browser.post("/api/v1/auth/refresh", json={"refresh_token": second})
    assert stolen.status_code == 401
    assert await world.rows("select * from refresh_tokens") == []


async def test_a_refresh_token_ends(world: World) -> None:
    browser, body = await world.browser(), {"refresh_token": (await tokens(world))["refresh_token"]}
    await world.rows("update refresh_tokens set expires_at = now() - interval '1 second'")
    assert (await browser.post("/api/v1/auth/refresh", json=body)).status_code == 401


async def test_logging_out_ends_the_family(world: World) -> None:
    browser, body = await world.browser(), {"refresh_token": (await tokens(world))["refresh_token"]}
    assert (await browser.post("/api/v1/auth/logout", json=body)).status_code == 204
    assert (await browser.post("/api/v1/auth/refresh", json=body)).status_code == 401
    assert (await browser.post("/api/v1/auth/logout", json=body)).status_code == 204


def forged(world: World) -> dict[str, str]:
    """Return tokens that must not be believed, by what is wrong with them."""
    keys = world.app.state.settings.secret_keys
    good = access_token(world.app.state.settings, "user:1")
    claims = jwt.decode(good, options={"verify_signature": False})
    key = derived(keys[0], "jwt")
    head, body, signature = good.split(".")
    return {
        "no algorithm": jwt.encode(claims, None, algorithm="none"),
        "another algorithm": jwt.encode(claims, key * 2, algorithm="HS512"),
        "another key": jwt.encode(claims, derived("guessed", "jwt"), algorithm="HS256"),
        "the raw secret": jwt.encode(claims, keys[0] * 4, algorithm="HS256"),
        "another audience": jwt.encode(claims | {"aud": "x"}, key, algorithm="HS256"),
        "another issuer": jwt.encode(claims | {"iss": "x"}, key, algorithm="HS256"),
        "too old": jwt.encode(claims | {"exp": 1}, key, algorithm="HS256"),
        "no end": jwt.encode(
            {name: claim for name, claim in claims.items() if name != "exp"}, key, algorithm="HS256"
        ),
        "no signature": f"{head}.{body}.",
        "a changed signature": f"{head}.{body}.{signature[::-1]}",
        "not a token": "nonsense",
        "nothing": "",
    }


async def test_forged_tokens_are_nobody(world: World) -> None:
    settings = world.app.state.settings
    browser = await world.browser()
    for wrong, token in forged(world).items():
        assert token_user(settings, token) is None, wrong
        headers = {"authorization": f"Bearer {token}"}
        assert (await browser.get("/api/v1/auth/me", headers=headers)).status_code == 401, wrong


def test_an_older_key_still_verifies_and_the_newest_signs(world: World) -> None:
    settings = world.app.state.settings
    older = settings.model_copy()
    older.__dict__["secret_keys"] = ("older-key",)
    assert token_user(settings, access_token(older, "user:1")) == "user:1"
    assert token_user(older, access_token(settings, "user:1")) is None


async def test_an_account_that_is_gone_has_no_token(world: World) -> None:
    program = await world.program("viewer")
    await world.rows("delete from users where email = 'viewer@example.org'")
    assert (await program.get("/api/v1/auth/me")).status_code == 401


async def test_members_of_one_organisation_find_nothing_of_anothers(world: World) -> None:
    ours, theirs = await world.program("viewer"), await world.program("stranger")
    for path in (*LISTS[1:], *METRICS):
        for repository in ("github:20", "globex/api", "github:999"):
            query = f"repo_id={quote(repository, safe='')}"
            assert (await ours.get(f"/api/v1/{path}?{query}")).status_code == 404, path
        assert (await ours.get(f"/api/v1/{path}?organization=globex")).status_code == 404, path
        assert (await theirs.get(f"/api/v1/{path}?repo_id=github:20")).status_code == 200, path


async def test_lists_hold_one_organisation_only(world: World) -> None:
    ours, theirs = await world.program("viewer"), await world.program("stranger")
    for path in LISTS:
        mine = [row["id"] for row in (await ours.get(f"/api/v1/{path}")).json()["items"]]
        yours = [row["id"] for row in (await theirs.get(f"/api/v1/{path}")).json()["items"]]
        assert mine
        assert yours
        assert not set(mine) & set(yours)
    for path in METRICS:
        for program, login in ((ours, "acme"), (theirs, "globex")):
            answer = await program.get(f"/api/v1/{path}?{SEPTEMBER}")
            assert answer.status_code == 200
            assert login in answer.text
            assert ({"acme", "globex"} - {login}).pop() not in answer.text


async def test_services_of_others_are_neither_read_nor_written(world: World) -> None:
    admin = await world.program("admin")
    for repository in ("github:20", "globex%2Fapi"):
        address = f"/api/v1/repositories/{repository}/services"
        assert (await admin.get(address)).status_code == 404
        assert (await admin.put(address, json={"services": []})).status_code == 404


async def test_every_endpoint_checks_the_tenant(world: World) -> None:
    ours = await world.program("admin")
    for made in ENDPOINTS:
        if not made.roles:
            continue
        path = made.path.replace("{repo_id:path}", "github:10").replace("{id}", "1")
        path = path.replace("{organization_id}", "globex")
        answer = await ours.request(
            made.method, f"/api/v1{path}?organization=globex", json={"services": []}
        )
        assert answer.status_code == 404, made.name


async def test_members_of_several_say_which_one(world: World) -> None:
    program = await world.program("both")
    answer = await program.get("/api/v1/metrics/dora")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "organization"
    assert "acme, globex" in answer.json()["detail"]
    told = await program.get("/api/v1/metrics/dora?organization=globex")
    assert told.json()["scope"]["organization"] == "globex"


async def test_dora_tells_the_metrics_of_a_period(world: World) -> None:
    program = await world.program("viewer")
    body = (await program.get(f"/api/v1/metrics/dora?{SEPTEMBER}&repo_id=acme%2Fapi")).json()
    assert body["scope"]["repository"] == "acme/api"
    assert body["deployment_frequency"]["count"] == 1
    assert body["change_lead_time"]["median_seconds"] == 183600


async def test_single_metrics_bring_their_series(world: World) -> None:
    program = await world.program("viewer")
    for group, length in (("day", 30), ("week", 5), ("month", 1), ("repo", 1)):
        query = f"{SEPTEMBER}&group_by={group}"
        frequency = (await program.get(f"/api/v1/{METRICS[2]}?{query}")).json()
        assert (frequency["count"], len(frequency["series"])) == (1, length)
        lead = (await program.get(f"/api/v1/{METRICS[4]}?{query}")).json()
        assert (lead["median_seconds"], len(lead["series"])) == (183600, length)
        assert sum(part["count"] for part in lead["histogram"]) == 1


async def test_explain_names_the_rows(world: World) -> None:
    program = await world.program("viewer")
    for path in (METRICS[3], METRICS[5]):
        body = (await program.get(f"/api/v1/{path}?{SEPTEMBER}")).json()
        assert body["counted"] == 1
        assert len(body["rows"]) == 1
        assert body["rows"][0]["counted"] is True


async def test_without_dates_it_is_the_last_thirty_days_of_the_organisation(world: World) -> None:
    admin = await world.program("admin")
    change = {"time_zone": "Pacific/Auckland"}
    assert (await admin.patch("/api/v1/organizations/acme", json=change)).status_code == 200
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False):
        program = await world.program("viewer")
        body = (await program.get("/api/v1/metrics/dora")).json()
    assert (body["start_date"], body["end_date"]) == ("2026-10-23", "2026-11-21")
    assert body["time_zone"] == "Pacific/Auckland"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start_date=2026-09-30&end_date=2026-09-01", "start_date"),
        ("start_date=2020-01-01&end_date=2026-09-01", "start_date"),
        ("start_date=yesterday", "start_date"),
        ("end_date=2026-02-30", "end_date"),
        ("end_date=1483228800", "end_date"),
        ("start_date=9999-12-31", "start_date"),
        ("cohorts=people,robots", "cohorts"),
        ("edition=2019", "edition"),
        ("format=xml", "format"),
        ("strat_date=2026-09-01", "strat_date"),
    ],
)
async def test_a_wrong_question_names_its_field(world: World, query: str, field: str) -> None:
    program = await world.program("viewer")
    answer = await program.get(f"/api/v1/metrics/dora?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("query", ["end_date=0001-01-01", "end_date=9999-12-31", "cursor=nonsense"])
async def test_what_no_calendar_or_cursor_holds_is_422(world: World, query: str) -> None:
    program = await world.program("viewer")
    for path in (METRICS[3], METRICS[5]):
        assert (await program.get(f"/api/v1/{path}?{query}")).status_code == 422


async def test_csv_has_the_rows_and_disarms_formulas(world: World) -> None:
    program = await world.program("viewer")
    for path in (METRICS[2], METRICS[3], METRICS[4], METRICS[5]):
        answer = await program.get(f"/api/v1/{path}?{SEPTEMBER}&format=csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"].startswith("attachment")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 1
        assert not any(str(value).startswith("=") for value in rows[0].values())
    answer = await program.get(f"/api/v1/metrics/dora?{SEPTEMBER}&format=csv")
    figures = {row["figure"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert figures["kinds.new"]["value"] == "1"
    assert figures["stages.coding_seconds"]["metric"] == "change_lead_time"


async def test_lists_come_in_pages(world: World) -> None:
    program = await world.program("viewer")
    seen, cursor = [], ""
    for _ in range(3):
        address = f"/api/v1/connectors/github-actions/runs?limit=1{cursor}"
        body = (await program.get(address)).json()
        seen += [item["id"] for item in body["items"]]
        cursor = f"&cursor={quote(body['next_cursor'] or '')}"
    assert seen == ["github:r102/1", "github:r101/1", "github:r100/1"]
    assert body["next_cursor"] is None
    ios = await program.get("/api/v1/connectors/github-actions/runs?platform=ios")
    assert len(ios.json()["items"]) == 2


async def test_connectors_tell_what_came(world: World) -> None:
    program = await world.program("viewer")
    status = (await program.get("/api/v1/connectors/github/status")).json()
    assert status["connected"] is True
    assert status["parked"] == 1
    assert status["last_delivery_at"].endswith("Z")
    path = "/api/v1/connectors/github-actions/deployments?environment=production"
    deployment = (await program.get(path)).json()["items"][0]
    assert (deployment["state"], deployment["finished_at"]) == ("success", "2026-09-01T12:00:00Z")
    empty = await program.get(path.replace("production", "staging"))
    assert empty.json() == {"next_cursor": None, "items": []}


async def test_admins_see_the_inbox_of_their_organisation(world: World) -> None:
    assert (await (await world.program("viewer")).get("/api/v1/deliveries")).status_code == 403
    admin = await world.program("admin")
    items = (await admin.get("/api/v1/deliveries")).json()["items"]
    assert [item["organization"] for item in items] == ["acme", "acme"]
    assert set(items[0]) == {
        *("id", "source", "delivery_id", "event", "action", "organization", "status"),
        *("received_at", "via", "sent_at", "settled_at", "attempts", "error", "decisions"),
    }
    parked = (await admin.get("/api/v1/deliveries?status=parked")).json()["items"]
    assert [item["status"] for item in parked] == ["parked"]
    assert (await admin.get("/api/v1/deliveries?status=lost")).status_code == 422
    assert (await admin.get(f"/api/v1/deliveries/{items[0]['id']}")).json() == items[0]
    for number in ("3", "4", "99", "nonsense", str(2**63), "9" * 40, "-1"):
        assert (await admin.get(f"/api/v1/deliveries/{number}")).status_code == 404


async def test_operators_see_the_inbox_of_all_and_of_nobody(world: World) -> None:
    operator = await world.program("operator")
    items = (await operator.get("/api/v1/deliveries")).json()["items"]
    assert [item["organization"] for item in items] == [None, "globex", "acme", "acme"]
    page = (await operator.get("/api/v1/deliveries?limit=3")).json()
    rest = await operator.get(f"/api/v1/deliveries?limit=3&cursor={page['next_cursor']}")
    assert [item["organization"] for item in rest.json()["items"]] == ["acme"]
    some = (await operator.get("/api/v1/deliveries?organization=Globex")).json()["items"]
    assert [item["organization"] for item in some] == ["globex"]
    assert (await operator.get("/api/v1/metrics/dora")).status_code == 403
    assert (await operator.get("/api/v1/metrics/dora?organization=acme")).status_code == 404


async def test_services_are_described_and_deployments_judged_again(world: World) -> None:
    admin, viewer = await world.program("admin"), await world.program("viewer")
    address = "/api/v1/repositories/acme%2Fapi/services"
    body = {
        "services": [
            {"name": "web", "environment": "production", "paths": ["web/**", "lib/**"]},
            {"name": "ios", "environment": "app-store", "paths": []},
        ]
    }
    assert (await viewer.put(address, json=body)).status_code == 403
    for _ in range(2):
        told = (await admin.put(address, json=body)).json()
    assert told["repository_id"] == "github:10"
    assert (await viewer.get(address)).json() == told
    assert [service["name"] for service in told["services"]] == ["ios", "web"]
    jobs = await world.rows("select name, key, arguments, organization_id from jobs")
    assert jobs == [
        {
            "name": "collect_changes",
            "key": "collect_changes:github:10",
            "arguments": {"repository": "github:10", "all": True},
            "organization_id": "github:1",
        }
    ]
    assert (await admin.put(address, json={"services": []})).json()["services"] == []


@pytest.mark.parametrize(
    "services",
    [
        [{"name": "", "environment": "production"}],
        [{"name": "nul\0", "environment": "production"}],
        [{"name": "web"}],
        [{"name": "web", "environment": "a"}, {"name": "web", "environment": "b"}],
        [{"name": "web", "environment": "a", "colour": "red"}],
        "web",
    ],
)
async def test_services_that_cannot_be_are_refused(world: World, services: Any) -> None:
    admin = await world.program("admin")
    body = {"services": services}
    answer = await admin.put("/api/v1/repositories/github:10/services", json=body)
    assert answer.status_code == 422
    assert await world.rows("select * from services") == []


async def test_settings_of_an_organisation_are_for_its_admins(world: World) -> None:
    admin, manager = await world.program("admin"), await world.program("manager")
    change = {"time_zone": "Europe/Berlin", "level_edition": 2023}
    assert (await manager.patch("/api/v1/organizations/acme", json=change)).status_code == 403
    assert (await admin.patch("/api/v1/organizations/github:1", json=change)).status_code == 200
    assert (await admin.patch("/api/v1/organizations/acme", json={})).status_code == 200
    told = (await manager.get("/api/v1/organizations")).json()["items"]
    assert [(one["time_zone"], one["level_edition"]) for one in told] == [("Europe/Berlin", 2023)]
    for wrong in ({"time_zone": "Mars/Olympus"}, {"level_edition": 2022}, {"colour": "red"}):
        answer = await admin.patch("/api/v1/organizations/acme", json=wrong)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == next(iter(wrong))


async def test_bodies_that_are_no_json_are_told_so(world: World) -> None:
    browser = await world.browser()
    form = await browser.post("/api/v1/auth/login", data={"email": "a", "password": "b"})
    assert form.status_code == 415
    json = {"content-type": "application/json"}
    for body in (b"", b"{", b"[" * 10000, b'{"email": "\\ud800", "password": ""}', b"\xff"):
        answer = await browser.post("/api/v1/auth/login", content=body, headers=json)
        assert answer.status_code == 422
    nul = {"email": "a\0@b.c", "password": "x"}
    assert (await browser.post("/api/v1/auth/login", json=nul)).status_code == 422


async def test_the_docs_list_every_operation(world: World) -> None:
    browser = await world.signed_in("viewer")
    document = (await browser.get("/api/v1/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    listed = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert len(listed) == len(ENDPOINTS)
    page = (await browser.get("/api/docs")).text
    assert all(path in page for _, path in listed)
    assert "https://" not in page.replace("https://github.com", "")
    assert all(made.words for made in ENDPOINTS)
