"""Incidents over the API: reported, listed, corrected and linked, by whom, and whose they are."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.web.conftest import AT, World

API = "/api/v1"
STARTED = AT + timedelta(minutes=30)
SENT: dict[str, Any] = {
    "id": "pd-1",
    "title": "Checkout is down",
    "description": "since acme/api#12",
    "severity": "sev2",
    "repo_id": "acme/api",
    "started_at": STARTED.isoformat(),
}
ID = "api:github:1:pd-1"


@pytest.fixture(autouse=True)
async def services(world: World) -> None:
    """Let the services of acme/api and globex/api be known, as deriving them leaves them."""
    for organization, login, number in (("github:1", "acme", 10), ("github:2", "globex", 20)):
        await world.rows(
            "insert into deployed_services "
            "(id, organization_id, repository_id, full_name, service, environment_class) values "
            "(:r || '/production', :o, :r, :name, 'production', 'production')",
            o=organization,
            r=f"github:{number}",
            name=f"{login}/api",
        )


async def report(program: httpx.AsyncClient, **more: Any) -> Any:
    """Report an incident; it must be taken."""
    answer = await program.post(f"{API}/incidents", json=SENT | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def changed(program: httpx.AsyncClient, method: str, path: str, **sent: Any) -> Any:
    """Change an incident; it must be taken."""
    answer = await program.request(method, f"{API}/incidents/{path}", **sent)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def keys(program: httpx.AsyncClient, query: str = "", path: str = "incidents") -> list[str]:
    """Return the titles of the incidents that are listed."""
    answer = await program.get(f"{API}/{path}{query}")
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def test_a_report_says_at_once_what_it_blames_and_why(world: World) -> None:
    told = await report(await world.program("manager"))
    assert (told["id"], told["source"], told["state"]) == (ID, "api", "investigating")
    assert (told["severity"], told["environment_class"]) == ("sev2", "production")
    assert told["place"]["repository"] == "acme/api"
    (blamed,) = told["deployments"]
    assert (blamed["deployment_id"], blamed["evidence"]) == ("github:d10", "window")
    assert blamed["reason"]
    assert blamed["by"] is None


async def test_the_same_id_updates_a_report_and_each_organisation_has_its_own(world: World) -> None:
    program = await world.program("manager")
    first = await report(program)
    again = await report(program, title="Checkout was down", severity="sev1")
    assert (again["key"], again["title"]) == (first["key"], "Checkout was down")
    untimed = {name: SENT[name] for name in SENT if name != "started_at"}
    answer = await program.post(f"{API}/incidents", json=untimed)
    assert datetime.fromisoformat(answer.json()["started_at"]) == STARTED
    stranger = await world.program("stranger")
    theirs = await report(stranger, repo_id="globex/api")
    assert theirs["id"] == "api:github:2:pd-1"
    assert await keys(program) == ["Checkout is down"]
    assert len(await world.rows("select id from incidents")) == 2


async def test_a_report_without_an_id_is_new_each_time(world: World) -> None:
    program = await world.program("manager")
    await report(program, id=None)
    await report(program, id=None)
    assert len(await keys(program)) == 2


async def test_incidents_are_listed_by_what_they_are(world: World) -> None:
    program = await world.program("manager")
    ended = {"started_at": AT.isoformat(), "resolved_at": STARTED.isoformat()}
    later = {"started_at": (AT + timedelta(hours=2)).isoformat()}
    await report(program, id="1", title="one", **ended)
    await report(program, id="2", title="two", severity=None, environment="staging")
    await report(program, id="3", title="three", repo_id="acme/web", service="shop", **later)
    assert await keys(program) == ["three", "two", "one"]
    assert await keys(program, "?state=open") == ["three", "two"]
    assert await keys(program, "?state=resolved") == ["one"]
    assert await keys(program, "?severity=none") == ["two"]
    assert await keys(program, "?severity=sev2") == ["three", "one"]
    assert await keys(program, "?environment=staging") == ["two"]
    assert await keys(program, "?repo_id=acme%2Fweb") == ["three"]
    assert await keys(program, "?service=shop") == ["three"]
    assert await keys(program, "?service=production") == ["one"]
    assert await keys(program, "?source=slack") == []
    assert await keys(program, path="connectors/slack/incidents") == []
    since = quote(STARTED.isoformat())
    assert await keys(program, f"?since={since}") == ["three", "two"]
    assert await keys(program, f"?until={since}") == ["one"]
    page = (await program.get(f"{API}/incidents?limit=2")).json()
    assert await keys(program, f"?limit=2&cursor={page['next_cursor']}") == ["one"]
    for wrong in ("state=lost", "severity=sev9", "since=yesterday", "repo_id=globex%2Fapi"):
        assert (await program.get(f"{API}/incidents?{wrong}")).status_code in (404, 422)


async def test_an_incident_is_shown_by_id_and_by_key(world: World) -> None:
    program = await world.program("manager")
    key = (await report(program))["key"]
    viewer = await world.program("viewer")
    shown = (await viewer.get(f"{API}/incidents/{ID}")).json()
    assert shown == (await viewer.get(f"{API}/incidents/{key}")).json()
    assert shown == (await viewer.get(f"{API}/incidents/{key.lower()}")).json()
    assert shown == (await viewer.get(f"{API}/incidents/{quote(ID, safe='')}")).json()
    assert shown["names"] == ["number:acme/api#12"]
    assert shown["detail"].endswith("since acme/api#12")
    assert [step["kind"] for step in shown["timeline"]] == ["opened"]
    assert [each["deployment_id"] for each in shown["candidates"]] == ["github:d10"]


async def test_corrections_win_are_kept_and_taken_back(world: World) -> None:
    program = await world.program("manager")
    await report(program)
    sent = {
        "title": "The shop was down",
        "severity": "sev1",
        "repo_id": "acme/web",
        "service": "shop",
        "started_at": "2026-09-01T14:00:00+02:00",
        "resolved_at": "2026-09-01T15:00:00Z",
    }
    told = await changed(program, "PATCH", ID, json=sent)
    assert (told["title"], told["severity"]) == ("The shop was down", "sev1")
    assert (told["repository_id"], told["service"]) == ("github:11", "shop")
    assert (told["state"], told["resolved_why"]) == ("resolved", "corrected by hand")
    assert datetime.fromisoformat(told["started_at"]) == datetime(2026, 9, 1, 12, tzinfo=UTC)
    assert len(told["corrected"]) == 6
    corrections = [step for step in told["timeline"] if step["kind"] == "correction"]
    assert {step["by"] for step in corrections} == {"manager"}
    await report(program, title="Renamed at its source", severity="sev4")
    back = await changed(program, "PATCH", ID, json={"title": None, "resolved_at": None})
    assert (back["title"], back["severity"]) == ("Renamed at its source", "sev1")
    assert back["resolved_at"] is None


async def test_a_dismissed_incident_blames_nothing_and_is_not_listed(world: World) -> None:
    program = await world.program("manager")
    await report(program)
    told = await changed(program, "PATCH", ID, json={"dismissed": True})
    assert (told["dismissed"], told["deployments"]) == (True, [])
    assert await keys(program) == []
    assert await keys(program, "?dismissed=true") == ["Checkout is down"]
    told = await changed(program, "PATCH", ID, json={"dismissed": None})
    assert len(told["deployments"]) == 1


async def test_updates_are_its_course(world: World) -> None:
    program = await world.program("manager")
    await report(program)
    path = f"{ID}/updates"
    told = await changed(program, "POST", path, json={"state": "identified", "body": "the cache"})
    assert told["state"] == "identified"
    await changed(program, "POST", path, json={"body": "a note"})
    told = await changed(program, "POST", path, json={"state": "resolved"})
    assert told["state"] == "resolved"
    told = await changed(program, "POST", path, json={"state": "investigating"})
    assert (told["state"], told["resolved_at"]) == ("investigating", None)
    updates = [step for step in told["timeline"] if step["kind"] == "update"]
    assert [step["state"] for step in updates] == ["identified", None, "resolved", "investigating"]
    assert (await program.post(f"{API}/incidents/{path}", json={})).status_code == 422


async def test_a_post_mortem_is_written_over(world: World) -> None:
    program = await world.program("manager")
    await report(program)
    await changed(program, "PUT", f"{ID}/post-mortem", json={"body": "# One"})
    told = await changed(program, "PUT", f"{ID}/post-mortem", json={"body": "# Two"})
    assert (told["post_mortem"]["body"], told["post_mortem"]["by"]) == ("# Two", "manager")


async def test_links_by_hand_win_and_say_who(world: World) -> None:
    program = await world.program("manager")
    await report(program)
    path = f"{ID}/deployments/github:d10"
    told = await changed(program, "DELETE", path)
    assert told["deployments"] == []
    (step,) = [step for step in told["timeline"] if step["kind"] == "unlink"]
    assert (step["by"], step["body"]) == ("manager", "github:d10")
    told = await changed(program, "PUT", path)
    (blamed,) = told["deployments"]
    assert (blamed["evidence"], blamed["by"]) == ("hand", "manager")
    assert blamed["linked_at"]
    for wrong in ("github:d20", "github:nothing"):
        answer = await program.put(f"{API}/incidents/{ID}/deployments/{wrong}")
        assert answer.status_code == 422
        assert "no deployment" in answer.json()["detail"]


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "incidents", SENT),
    ("PATCH", f"incidents/{ID}", {"title": "x"}),
    ("POST", f"incidents/{ID}/updates", {"body": "x"}),
    ("PUT", f"incidents/{ID}/post-mortem", {"body": "x"}),
    ("PUT", f"incidents/{ID}/deployments/github:d10", {}),
    ("DELETE", f"incidents/{ID}/deployments/github:d10", {}),
    ("POST", "deployments", {"repo_id": "acme/api", "sha": "b" * 40}),
]
CONFIGURATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "incidents/settings", {}),
    ("PUT", "incidents/channels", {"channels": []}),
    ("POST", "connectors/slack/configure", {"channels": []}),
]


@pytest.mark.parametrize(("method", "path", "sent"), CALLS)
async def test_viewers_change_nothing_and_every_change_is_audited(
    world: World, method: str, path: str, sent: dict[str, Any]
) -> None:
    manager = await world.program("manager")
    await report(manager)
    before = await world.rows("select count(*) as n from audit_log")
    viewer = await world.program("viewer")
    refused = await viewer.request(method, f"{API}/{path}", json=sent)
    assert refused.status_code == 403
    assert await world.rows("select count(*) as n from audit_log") == before
    taken = await manager.request(method, f"{API}/{path}", json=sent)
    assert taken.status_code == 200, taken.text
    (entry,) = await world.rows("select * from audit_log order by id desc limit 1")
    assert (entry["organization_id"], bool(entry["user_id"])) == ("github:1", True)
    assert entry["detail"]


@pytest.mark.parametrize(("method", "path", "sent"), CONFIGURATIONS)
async def test_only_admins_configure(
    world: World, method: str, path: str, sent: dict[str, Any]
) -> None:
    for who, status in (("viewer", 403), ("manager", 403), ("admin", 200)):
        program = await world.program(who)
        answer = await program.request(method, f"{API}/{path}", json=sent)
        assert answer.status_code == status, answer.text
    assert await world.rows("select * from audit_log where action ~ 'configure|map_channels'")


@pytest.mark.parametrize(("method", "path", "sent"), CALLS[1:6])
async def test_an_incident_of_others_is_not_there(
    world: World, method: str, path: str, sent: dict[str, Any]
) -> None:
    key = (await report(await world.program("manager")))["key"]
    stranger = await world.program("stranger")
    for named in (path, path.replace(ID, key)):
        answer = await stranger.request(method, f"{API}/{named}", json=sent)
        assert answer.status_code == 404
    assert (await stranger.get(f"{API}/incidents/{ID}")).status_code == 404
    assert await keys(stranger) == []
    for table in ("incident_corrections", "incident_updates", "post_mortems", "incident_links"):
        assert await world.rows(f"select * from {table}") == []  # noqa: S608


async def test_a_deployment_of_others_is_not_reported(world: World) -> None:
    manager = await world.program("manager")
    sent = {"repo_id": "globex/api", "sha": "b" * 40}
    assert (await manager.post(f"{API}/deployments", json=sent)).status_code == 404
    assert (await manager.post(f"{API}/incidents", json=SENT | sent)).status_code == 422


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "x\x00"}, "title"),
        ({"severity": "bad"}, "severity"),
        ({"started_at": "2026-09-01T10:00:00"}, "started_at"),
        ({"started_at": "2999-01-01T00:00:00Z"}, ""),
        ({"resolved_at": AT.isoformat()}, ""),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"id": "a b"}, "id"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    world: World, wrong: dict[str, Any], field: str
) -> None:
    program = await world.program("manager")
    answer = await program.post(f"{API}/incidents", json=SENT | wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert await world.rows("select * from incident_reports") == []


async def test_an_incident_cannot_be_corrected_to_end_before_it_began(world: World) -> None:
    program = await world.program("manager")
    await report(program, resolved_at=(STARTED + timedelta(minutes=30)).isoformat())
    late = (STARTED + timedelta(hours=1)).isoformat()
    for wrong in ({"started_at": late}, {"resolved_at": AT.isoformat()}):
        answer = await program.patch(f"{API}/incidents/{ID}", json=wrong)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == next(iter(wrong))


async def test_settings_are_the_defaults_until_they_are_configured(world: World) -> None:
    admin = await world.program("admin")
    told = (await admin.get(f"{API}/incidents/settings")).json()
    assert told["channels"] == ["incidents", "alerts", "incident-*"]
    assert (told["window_hours"], len(told["defaults"])) == (24, 10)
    sent = {
        "window_hours": 6,
        "windows": {"staging": 2},
        "channels": ["#ops-*"],
        "start_patterns": ["outage", r"/\bsev[ -]?1\b/"],
        "resolve_reactions": [":tada:"],
        "severities": {"sev1": ["critical"]},
    }
    told = (await admin.put(f"{API}/incidents/settings", json=sent)).json()
    assert (told["window_hours"], told["windows"]) == (6, {"staging": 2})
    assert (told["channels"], told["resolve_reactions"]) == (["ops-*"], ["tada"])
    assert (told["severities"]["sev1"], told["severities"]["sev2"][0]) == (["critical"], "sev2")
    assert "channels" not in told["defaults"]
    assert "labels" in told["defaults"]
    assert told == (await admin.get(f"{API}/incidents/settings")).json()
    orders = {row["name"] for row in await world.rows("select name from jobs")}
    assert {"read_incidents_again", "judge_again"} <= orders
    stranger = await world.program("stranger")
    assert (await stranger.get(f"{API}/incidents/settings")).json()["window_hours"] == 24


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"window_hours": 0}, "window_hours"),
        ({"window_hours": 1000}, "window_hours"),
        ({"windows": {"staging": -1}}, "windows.staging"),
        ({"start_patterns": ["/(a+)+/"]}, "start_patterns.0"),
        ({"resolve_patterns": ["ok", ""]}, "resolve_patterns.1"),
        ({"severities": {"sev9": ["x"]}}, "severities.sev9.[key]"),
        ({"channels": ["#"]}, "channels.0"),
        ({"labels": ["x\x00"]}, "labels.0"),
    ],
)
async def test_settings_that_cannot_be_are_refused_by_name(
    world: World, wrong: dict[str, Any], field: str
) -> None:
    admin = await world.program("admin")
    answer = await admin.put(f"{API}/incidents/settings", json=wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert await world.rows("select * from incident_settings") == []


async def test_channels_are_mapped_to_what_they_are_about(world: World) -> None:
    admin = await world.program("admin")
    sent = {
        "channels": [
            {"channel": "#Incident-API", "repo_id": "acme/api", "service": "api"},
            {"channel": "alerts-*", "environment": "staging-eu", "severity": "sev3"},
        ]
    }
    told = (await admin.put(f"{API}/incidents/channels", json=sent)).json()
    assert [each["channel"] for each in told["channels"]] == ["alerts-*", "incident-api"]
    assert told["channels"][1]["repository"] == "acme/api"
    assert (await admin.get(f"{API}/incidents/channels")).json()["channels"] == told["channels"]
    for wrong in (
        {"channels": [{"channel": "a"}, {"channel": "#A"}]},
        {"channels": [{"channel": "a", "service": "api"}]},
        {"channels": [{"channel": "a", "repo_id": "globex/api"}]},
    ):
        answer = await admin.put(f"{API}/incidents/channels", json=wrong)
        assert answer.status_code in (404, 422), answer.text
    assert len(await world.rows("select * from incident_channels")) == 2


async def test_slack_is_configured_by_the_same(world: World) -> None:
    admin = await world.program("admin")
    sent = {"settings": {"channels": ["ops"]}, "channels": [{"channel": "ops"}]}
    told = (await admin.post(f"{API}/connectors/slack/configure", json=sent)).json()
    assert (told["settings"]["channels"], told["channels"][0]["channel"]) == (["ops"], "ops")
    only = {"channels": []}
    told = (await admin.post(f"{API}/connectors/slack/configure", json=only)).json()
    assert (told["settings"]["channels"], told["channels"]) == (["ops"], [])
    assert (await admin.post(f"{API}/connectors/slack/configure", json={})).status_code == 422


async def test_a_text_is_tried_and_nothing_is_kept(world: World) -> None:
    viewer = await world.program("viewer")
    address = f"{API}/incidents/settings/try"
    sent = {"text": "P0: API outage, see acme/api#3", "channel": "#incidents"}
    told = (await viewer.post(address, json=sent)).json()
    assert (told["opens"], told["why"], told["severity"]) == (True, "says “P0”", "sev1")
    assert "number:acme/api#3" in told["names"]
    other = sent | {"settings": {"channels": ["ops"]}}
    assert not (await viewer.post(address, json=other)).json()["opens"]
    bot = {"text": "latency", "channel": "alerts", "bot": "Datadog"}
    assert (await viewer.post(address, json=bot)).json()["why"] == "alert of Datadog"
    assert await world.rows("select * from incidents") == []
    assert await world.rows("select * from incident_settings") == []


async def test_a_deployment_is_reported_and_the_same_id_updates_it(world: World) -> None:
    program = await world.program("manager")
    sent = {
        "id": "build-7",
        "repo_id": "acme/web",
        "environment": "prod-eu",
        "sha": "b" * 40,
        "ref": "main",
        "state": "failure",
        "created_at": AT.isoformat(),
        "finished_at": STARTED.isoformat(),
        "url": "https://ci.example/7",
    }
    told = (await program.post(f"{API}/deployments", json=sent)).json()
    assert (told["id"], told["environment_class"]) == ("api:github:1:build-7", "production")
    assert (told["source"], told["state"]) == ("api", "failure")
    later = sent | {"state": "success", "created_at": None}
    told = (await program.post(f"{API}/deployments", json=later)).json()
    assert datetime.fromisoformat(told["created_at"]) == AT
    (row,) = await world.rows("select * from deployments where source = 'api'")
    assert (row["result"], row["result_at"], row["organization_id"]) == (
        "success", STARTED, "github:1",
    )  # fmt: skip
    (job,) = await world.rows("select * from jobs where name = 'collect_changes'")
    assert (job["arguments"], job["since"]) == ({"repository": "github:11"}, AT)
    moved = await program.post(f"{API}/deployments", json=sent | {"repo_id": "acme/api"})
    assert moved.status_code == 422
    now = (await program.post(
        f"{API}/deployments", json={"repo_id": "acme/web", "sha": "c" * 40}
    )).json()  # fmt: skip
    assert now["created_at"] == now["finished_at"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"sha": "abc"}, "sha"),
        ({"state": "pending"}, "state"),
        ({"finished_at": "2999-01-01T00:00:00Z"}, ""),
        ({"created_at": STARTED.isoformat(), "finished_at": AT.isoformat()}, ""),
    ],
)
async def test_a_deployment_that_cannot_be_is_refused_by_name(
    world: World, wrong: dict[str, Any], field: str
) -> None:
    program = await world.program("manager")
    answer = await program.post(
        f"{API}/deployments", json={"repo_id": "acme/api", "sha": "b" * 40} | wrong
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
