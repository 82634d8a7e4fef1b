"""The Incidents screens: what they show to whom, and what their forms do."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlmodel import SQLModel

from bot.web.pages import incident_actions, incident_view
from models.deployments import DeployedService, DeploymentChange, ServiceDeployment
from models.incidents import Incident, IncidentDeployment, IncidentPlace
from models.store import remember
from tests.browser.seeds import write
from tests.web.conftest import World
from tests.web.pages.screens import with_screens

HX = {"hx-request": "true"}
NOW = datetime.now(UTC).replace(microsecond=0)
KEY = "INC-0000001"
FORMS: dict[str, dict[str, Any]] = {
    "/incidents": {"title": "Checkout is down", "repository": "github:10"},
    f"/incidents/{KEY}/say": {"state": "identified", "body": "It is the cache"},
    f"/incidents/{KEY}/correct": {"severity": "sev1", "environment": "production"},
    f"/incidents/{KEY}/dismiss": {},
    f"/incidents/{KEY}/post-mortem": {"post-mortem": "# Why\n\nThe cache."},
    f"/incidents/{KEY}/link": {"link": "github:d502"},
}
TABLES = (
    *("incident_reports", "incident_updates", "incident_corrections", "incident_links"),
    *("post_mortems", "jobs"),
)


@pytest.fixture
def screens(world: World) -> World:
    return with_screens(world)


def incident(number: int = 1, **changed: Any) -> Incident:
    """Return an incident that began an hour ago and is open."""
    told: dict[str, Any] = {
        "id": f"slack:T1:C1:{number}",
        "key": f"INC-{number:07d}",
        "organization_id": "github:1",
        "source": "slack",
        "title": f"Outage number {number}",
        "detail": "It is down.",
        "channel": "incidents",
        "severity": "sev2",
        "state": "investigating",
        "environment": "production",
        "environment_class": "production",
        "started_at": NOW - timedelta(hours=1),
        "detected_at": NOW - timedelta(hours=1),
        "opened_why": "says “outage”",
    }
    return Incident(**(told | changed))


def deployment(number: int, hours: float, **changed: Any) -> ServiceDeployment:
    """Return a deployment of acme/api that finished so many hours ago."""
    at = NOW - timedelta(hours=hours)
    told: dict[str, Any] = {
        "id": f"sd:{number}",
        "organization_id": "github:1",
        "repository_id": "github:10",
        "service_id": "github:10:production",
        "service": "production",
        "environment": "production",
        "environment_class": "production",
        "deployment_id": f"github:d{number}",
        "source": "deployment_status",
        "sha": f"{number:040d}",
        "state": "success",
        "kind": "new",
        "counted": True,
        "started_at": at,
        "finished_at": at,
    }
    return ServiceDeployment(**(told | changed))


def blame(of: Incident, one: ServiceDeployment) -> list[SQLModel]:
    """Return the rows that say that an incident blames a deployment."""
    shared = {"organization_id": "github:1", "incident_id": of.id}
    return [
        IncidentPlace(
            **shared,
            repository_id=one.repository_id,
            service_id=one.service_id,
            reason="its words name it",
        ),
        IncidentDeployment(
            **shared,
            service_deployment_id=one.id,
            repository_id=one.repository_id,
            service_id=one.service_id,
            deployment_id=one.deployment_id,
            evidence="window",
            reason="deployed 2 h before",
        ),
    ]


def change(of: ServiceDeployment) -> DeploymentChange:
    """Return a change that a deployment brought."""
    return DeploymentChange(
        id="dc:1",
        organization_id="github:1",
        repository_id=of.repository_id,
        service_id=of.service_id,
        environment_class="production",
        service_deployment_id=of.id,
        change_id="github:pr:7",
        pull_request_number=7,
        sha=of.sha,
        title="Cache the prices",
        author_login="ada",
        cohort="people",
        evidence="push",
        first_commit_at=of.finished_at - timedelta(hours=5),
        merged_at=of.finished_at - timedelta(hours=1),
        deployed_at=of.finished_at,
    )


async def planted(world: World) -> None:
    """Write an open incident that blames the latest of two deployments."""
    first, second = deployment(501, 3), deployment(502, 2)
    service = DeployedService(
        id="github:10:production",
        organization_id="github:1",
        repository_id="github:10",
        full_name="acme/api",
        service="production",
        environment_class="production",
    )
    one = incident()
    async with world.engine.begin() as db:
        await write(db, [service, first, second, change(second), one, *blame(one, second)])


async def shown(browser: httpx.AsyncClient, path: str = "/incidents", **more: Any) -> str:
    """Return a page's markup."""
    answer = await browser.get(path, **more)
    assert answer.status_code == 200, answer.text
    return answer.text


def words(markup: str) -> str:
    """Return what people read."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def listed(markup: str) -> list[str]:
    """Return the keys of the incidents that are listed."""
    return re.findall(r'<li id="(INC-\d+)">', markup)


async def test_an_incident_says_its_state_its_place_and_what_it_blames(screens: World) -> None:
    await planted(screens)
    said = words(await shown(await screens.signed_in("viewer")))
    assert re.search(r"investigating Outage number 1 INC-0000001 · for \S+ (min|h) ·", said)
    assert " · acme/api production · Slack #incidents sev2" in said
    assert "acme/api 0000000 Deployed 2 h before" in said
    assert "1 incident open" in said


async def test_a_list_is_narrowed_by_what_is_in_the_address(screens: World) -> None:
    old = {"started_at": NOW - timedelta(days=20)}
    ended = {"resolved_at": NOW - timedelta(minutes=5), "state": "resolved"}
    rows: list[SQLModel] = [
        incident(1),
        incident(2, severity="sev1", **ended),
        incident(3, source="github", severity=None, **old),
        incident(4, **old, resolved_at=NOW - timedelta(days=19), state="resolved"),
        incident(5, dismissed=True),
        incident(6, organization_id="github:2"),
        incident(7, environment="staging", environment_class="staging"),
    ]
    async with screens.engine.begin() as db:
        await write(db, rows)
    browser = await screens.signed_in("viewer")
    for query, keys in {
        "period=7": [2, 1, 3],
        "period=30": [2, 1, 4, 3],
        "period=30&state=open": [1, 3],
        "period=30&state=resolved": [2, 4],
        "period=30&severity=sev1": [2],
        "period=30&severity=none": [3],
        "period=30&source=github": [3],
        "period=30&environment=staging": [7],
        "period=30&repository=acme/web": [],
        f"period=30&before=INC-{1:07d}": [4, 3],
    }.items():
        found = listed(await shown(browser, f"/incidents?{query}"))
        assert found == [f"INC-{number:07d}" for number in keys], query
    assert (await browser.get("/incidents?state=lost")).status_code == 422


async def test_a_team_sees_the_incidents_of_its_repositories(screens: World) -> None:
    await planted(screens)
    await screens.rows(
        "insert into teams (id, organization_id, changed_at, rank, digest, source, name, slug,"
        " deleted) values ('github:team:1', 'github:1', now(), 0, 0, 'github', 'Core', 'core',"
        " false)"
    )
    browser = await screens.signed_in("viewer")
    assert listed(await shown(browser, "/incidents?team=github:team:1")) == []
    await screens.rows(
        "insert into team_repositories (id, organization_id, changed_at, rank, digest, team_id,"
        " repository_id, owned) values ('x', 'github:1', now(), 0, 0, 'github:team:1',"
        " 'github:10', true)"
    )
    markup = await shown(browser, "/incidents?team=Core")
    assert listed(markup) == [KEY]
    assert "team=github%3Ateam%3A1" in markup
    assert (await browser.get("/incidents?team=nobody")).status_code == 422


async def test_viewers_read_and_send_nothing(screens: World) -> None:
    await planted(screens)
    browser = await screens.signed_in("viewer")
    for path in ("/incidents", f"/incidents/{KEY}"):
        assert 'method="post" action="/incidents' not in await shown(browser, path)
    for path, form in FORMS.items():
        assert (await browser.post(path, data=form)).status_code == 403
    assert await kept(screens) == dict.fromkeys(TABLES, 0)


def test_every_form_is_tried() -> None:
    patterns = {route.path for route in incident_actions.routes()}
    assert {path.replace(KEY, "{key}") for path in FORMS} == patterns


@pytest.mark.parametrize("path", FORMS)
async def test_forms_of_other_websites_are_refused(screens: World, path: str) -> None:
    await planted(screens)
    browser = await screens.signed_in("manager")
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await browser.post(path, data=FORMS[path], headers=foreign)).status_code == 403
    assert await kept(screens) == dict.fromkeys(TABLES, 0)


@pytest.mark.parametrize("path", [path for path in FORMS if path != "/incidents"])
async def test_incidents_of_others_are_not_there(screens: World, path: str) -> None:
    await planted(screens)
    stranger = await screens.signed_in("stranger")
    assert (await stranger.post(path, data=FORMS[path])).status_code == 404
    assert (await stranger.get(f"/incidents/{KEY}")).status_code == 404
    assert listed(await shown(stranger)) == []
    assert await kept(screens) == dict.fromkeys(TABLES, 0)


async def kept(world: World) -> dict[str, int]:
    """Count what forms may write."""
    return {
        table: (await world.rows(f"select count(*) as n from {table}"))[0]["n"]  # noqa: S608
        for table in TABLES
    }


@pytest.mark.parametrize("path", FORMS)
async def test_what_a_manager_says_is_kept_and_written_down(screens: World, path: str) -> None:
    await planted(screens)
    browser = await screens.signed_in("manager")
    answer = await browser.post(path, data=FORMS[path])
    assert answer.status_code == 303, answer.text
    log = await screens.rows(
        "select l.action, u.email from audit_log l join users u on u.id = l.user_id"
        " where l.action like '%incident' or l.action = 'write_post_mortem'"
    )
    assert len(log) == 1
    assert log[0]["email"] == "manager@example.org"
    assert sum((await kept(screens)).values()) >= 1
    if "post-mortem" not in path:
        orders = await screens.rows("select name from jobs")
        assert [row["name"] for row in orders] == ["follow_incident"]


async def test_a_link_by_hand_is_shown_at_once_with_who(screens: World) -> None:
    await planted(screens)
    browser = await screens.signed_in("manager")
    sent = {"link": "github:d501", "from_list": "1"}
    answer = await browser.post(f"/incidents/{KEY}/link", data=sent, headers=HX)
    assert answer.status_code == 200
    said = words(answer.text)
    assert "Linked by hand: it stays so." in said
    assert "Linked by hand by manager" in said
    await browser.post(f"/incidents/{KEY}/link", data={"unlink": "github:d502"})
    said = words(await shown(browser, f"/incidents/{KEY}"))
    assert "was unlinked by manager" in said
    assert "Deployed 2 h before" not in said


async def test_a_deployment_of_others_cannot_be_linked(screens: World) -> None:
    await planted(screens)
    browser = await screens.signed_in("manager")
    answer = await browser.post(f"/incidents/{KEY}/link", data={"link": "github:d20"})
    assert answer.status_code == 409
    assert "There is no deployment" in words(answer.text)
    assert (await kept(screens))["incident_links"] == 0


async def test_a_menu_offers_the_latest_deployments_of_the_service(screens: World) -> None:
    await planted(screens)
    async with screens.engine.begin() as db:
        other = {"repository_id": "github:11", "service_id": "github:11:production"}
        await write(db, [deployment(503, 2.5, **other), deployment(504, -1)])
    markup = await shown(await screens.signed_in("manager"))
    assert re.findall(r'name="(unlink|link)" value="([^"]+)"', markup) == [
        ("unlink", "github:d502"),
        ("link", "github:d501"),
    ]


async def test_only_what_differs_is_corrected(screens: World) -> None:
    await planted(screens)
    browser = await screens.signed_in("manager")
    began = (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    form = {"severity": "sev1", "environment": "production", "started_at": began, "service": ""}
    await browser.post(f"/incidents/{KEY}/correct", data=form)
    rows = await screens.rows("select field, value from incident_corrections")
    assert rows == [{"field": "severity", "value": "sev1"}]
    again = {"severity": "sev2", "environment": "production", "started_at": began}
    answer = await browser.post(f"/incidents/{KEY}/correct", data=again)
    assert "Nothing differs" in words(answer.text)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"severity": "sev9"}, "A severity is one of"),
        ({"started_at": "yesterday"}, "started_at is a time such as"),
        ({"repository": "github:20"}, "There is no repository"),
        ({"resolved_at": "2000-01-01T10:00"}, "The end is before the beginning."),
    ],
)
async def test_a_wrong_correction_is_refused_by_name(
    screens: World, form: dict[str, str], says: str
) -> None:
    await planted(screens)
    browser = await screens.signed_in("manager")
    answer = await browser.post(f"/incidents/{KEY}/correct", data=form)
    assert answer.status_code == 409
    assert says in words(answer.text)
    assert (await kept(screens))["incident_corrections"] == 0


async def test_a_story_is_told_in_its_order(screens: World) -> None:
    await planted(screens)
    thread = {"channel_key": "slack:T1:C1", "thread_id": "slack:T1:C1:1", "rank": 0}
    async with screens.engine.begin() as db:
        from models.slack import SlackMessage

        await remember(
            db,
            [
                SlackMessage(
                    id="slack:T1:C1:1.5",
                    organization_id="github:1",
                    changed_at=NOW,
                    ts="1.5",
                    author_name="grace",
                    words="Rolling <b>back</b> now",
                    posted_at=NOW - timedelta(minutes=50),
                    **thread,
                )
            ],
        )
    browser = await screens.signed_in("manager")
    await browser.post(f"/incidents/{KEY}/say", data=FORMS[f"/incidents/{KEY}/say"])
    await browser.post(f"/incidents/{KEY}/correct", data={"severity": "sev1"})
    markup = await shown(browser, f"/incidents/{KEY}")
    said = words(markup)
    order = ("It began", "Opened: says “outage”", "Wrote grace", "identified · Said", "Corrected")
    assert [said.index(part) for part in order] == sorted(said.index(part) for part in order)
    assert "<b>back</b>" not in markup
    assert "It is the cache" in said


async def test_a_post_mortem_is_markdown_without_anything_active(screens: World) -> None:
    await planted(screens)
    browser = await screens.signed_in("manager")
    body = "# Why\n\n<script>alert(1)</script> **cache** [x](javascript:alert(1))"
    await browser.post(f"/incidents/{KEY}/post-mortem", data={"post-mortem": body})
    markup = await shown(browser, f"/incidents/{KEY}")
    prose = markup.partition('<div class="prose">')[2].partition("</section>")[0]
    assert "<h3>Why</h3>" in prose
    assert "<strong>cache</strong>" in prose
    assert "<script" not in markup.partition("</head>")[2]
    assert 'href="javascript' not in markup


async def test_the_blamed_deployment_says_what_it_brought(screens: World) -> None:
    await planted(screens)
    said = words(await shown(await screens.signed_in("viewer"), f"/incidents/{KEY}"))
    assert "Deployed 2 h before" in said
    assert "What it brought #7 Cache the prices ada" in said


async def test_csv_has_the_rows_of_the_list(screens: World) -> None:
    await planted(screens)
    async with screens.engine.begin() as db:
        await write(db, [incident(2, title="=1+1", severity="sev4")])
    browser = await screens.signed_in("viewer")
    answer = await browser.get("/incidents.csv?period=7")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["key"]: row["deployment_id"] for row in rows} == {
        KEY: "github:d502",
        "INC-0000002": "",
    }
    assert {row["title"] for row in rows} == {"Outage number 1", "'=1+1"}
    narrowed = await browser.get("/incidents.csv?period=7&severity=sev4")
    assert len(narrowed.text.splitlines()) == 2


async def test_an_organisation_without_incidents_is_told_the_next_step(screens: World) -> None:
    said = words(await shown(await screens.signed_in("admin")))
    assert "No incident was ever told. Connect Slack" in said
    viewer = await shown(await screens.signed_in("viewer"))
    assert 'href="/settings' not in viewer


def test_a_state_nobody_knows_is_said_as_it_is() -> None:
    assert incident_view.shape("resolved").icon == "settled"
    assert incident_view.shape("paused").words == "paused"
