"""The Settings screen: connectors, how incidents are read, who may see people."""

import re
from html import unescape
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.datastructures import FormData

from bot.web.pages import settings, settings_forms
from models import LinearProject, LinearTeam
from models.incident_reading import Reading, incident_settings_of
from models.store import remember
from tests.fakes.slack import fake_slack
from tests.web.conftest import AT, World
from tests.web.pages.screens import with_screens

USUAL = settings_forms.shown(Reading())
FORMS: dict[str, dict[str, Any]] = {
    "/settings/incidents": USUAL | {"do": "save"},
    "/settings/channels": {"channel": ["incidents"], "environment": ["staging"]},
    "/settings/linear": {"linear:t1": "github:10"},
    "/settings/people": {"per_person": "team"},
    "/settings/check/slack": {},
    "/settings/connect/slack": {"token": "xoxb-1"},
}


@pytest.fixture
def screens(world: World) -> World:
    return with_screens(world)


def rows_of(channel: str, **told: str) -> dict[str, list[str]]:
    """Return the form of channels with one row, and an empty one."""
    columns = ("channel", "environment", "repository_id", "service", "severity")
    said = {"channel": channel} | told
    return {name: [said.get(name, ""), ""] for name in columns}


def words(markup: str) -> str:
    """Return what people read."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


async def reading_of(world: World) -> Reading:
    """Return how acme's incidents are read."""
    async with world.engine.connect() as db:
        return await incident_settings_of(db, "github:1")


async def shown(browser: httpx.AsyncClient) -> str:
    """Return the screen's markup."""
    answer = await browser.get("/settings")
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("who", ["viewer", "manager"])
async def test_settings_are_for_admins(screens: World, who: str) -> None:
    browser = await screens.signed_in(who)
    assert (await browser.get("/settings")).status_code == 403
    for path, form in FORMS.items():
        assert (await browser.post(path, data=form)).status_code == 403
    assert await screens.rows("select * from incident_settings") == []


@pytest.mark.parametrize("path", FORMS)
async def test_forms_of_other_websites_are_refused(screens: World, path: str) -> None:
    browser = await screens.signed_in("admin")
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await browser.post(path, data=FORMS[path], headers=foreign)).status_code == 403
    assert await screens.rows("select * from incident_settings") == []
    assert await screens.rows("select * from privacy_settings") == []


def test_every_form_is_tried() -> None:
    patterns = {route.path for route in settings.routes()} - {"/settings"}
    assert {path.replace("slack", "{source}") for path in FORMS} == patterns


async def with_linear(world: World) -> httpx.AsyncClient:
    """Let acme have a team and three projects in Linear, globex a team; open an admin's browser."""
    ours: dict[str, Any] = {"organization_id": "github:1", "changed_at": AT}
    async with world.engine.begin() as db:
        await remember(
            db,
            [
                LinearTeam(id="linear:t1", key="ENG", name="<b>Engineering", **ours),
                LinearProject(id="linear:p1", name="Billing", state="started", **ours),
                LinearProject(id="linear:p2", name="Long ago", state="completed", **ours),
                LinearProject(id="linear:p3", name="Gone", deleted=True, **ours),
                LinearTeam(
                    id="linear:t2",
                    key="GLO",
                    name="Theirs",
                    **ours | {"organization_id": "github:2"},
                ),
            ],
        )
    return await world.signed_in("admin")


async def mapped(world: World) -> dict[str, str]:
    """Return what is mapped to which repository."""
    rows = await world.rows("select linear_id, repository_id from linear_mappings")
    return {row["linear_id"]: row["repository_id"] for row in rows}


async def test_connectors_say_what_is_missing_and_where_to_go(screens: World) -> None:
    said = words(await shown(await screens.signed_in("admin")))
    assert re.search(r"workflow runs connected\b.* acme", said)
    assert "Set SLACK_SIGNING_SECRET: until then its webhooks answer 503." in said
    assert "Set LINEAR_WEBHOOK_SECRET" in said
    state = screens.app.state
    state.settings = state.settings.model_copy(
        update={"slack_client_id": "1", "slack_client_secret": SecretStr("hush")}
    )
    markup = await shown(await screens.signed_in("admin"))
    assert 'href="/connect/slack"' in markup
    assert 'href="/connect/linear"' not in markup
    assert "hush" not in markup


async def test_a_connected_workspace_can_be_checked(screens: World) -> None:
    browser = await screens.signed_in("admin")
    refused = await browser.post("/settings/check/slack")
    assert refused.status_code == 422
    assert "No workspace is connected." in words(refused.text)
    await screens.rows(
        "insert into connections (id, organization_id, changed_at, rank, digest, source,"
        " external_id, account_login, state, permissions) values ('slack:team:T1', 'github:1',"
        " now(), 0, 0, 'slack', 'T1', 'Acme', 'active', '{}')"
    )
    assert "connected, something is missing : Acme" in words(await shown(browser))
    answer = await browser.post("/settings/check/slack")
    assert answer.headers["location"].startswith("/settings?saved=checked")
    assert "sync_slack:T1" in {row["key"] for row in await screens.rows("select key from jobs")}
    assert "no such source" in (await browser.post("/settings/check/elsewhere")).text


async def test_slack_is_connected_by_a_token_that_is_never_shown(screens: World) -> None:
    browser = await screens.signed_in("admin")
    with fake_slack() as slack:
        state = screens.app.state
        state.settings = state.settings.model_copy(update={"slack_api_url": slack.url})
        wrong = await browser.post("/settings/connect/slack", data={"token": "xoxb-of-nobody"})
        assert wrong.status_code == 422
        assert "xoxb-of-nobody" not in wrong.text
        answer = await browser.post("/settings/connect/slack", data={"token": slack.token})
        assert answer.status_code == 303
        said = words(await shown(browser))
    assert f": {slack.team} ·" in said
    assert slack.token not in said


async def test_what_is_as_by_default_is_not_pinned(screens: World) -> None:
    browser = await screens.signed_in("admin")
    answer = await browser.post("/settings/incidents", data=FORMS["/settings/incidents"])
    assert answer.status_code == 303
    row = (await screens.rows("select * from incident_settings"))[0]
    assert row["channels"] == row["start_patterns"] == row["labels"] == []
    assert row["severities"] == row["windows"] == {}
    assert await reading_of(screens) == Reading()


async def test_patterns_reactions_and_windows_are_kept(screens: World) -> None:
    browser = await screens.signed_in("admin")
    form = USUAL | {
        "channels": "#Ops-*\nalerts\nalerts",
        "start_patterns": "brand\n/sev[12]\\b/",
        "start_reactions": ":fire:",
        "sev1": "catastrophe, sev1",
        "window_hours": "12.5",
        "windows": "staging 4\nEU production 2",
    }
    answer = await browser.post("/settings/incidents", data=form)
    assert answer.headers["location"] == "/settings?saved=incidents#incidents"
    told = await reading_of(screens)
    assert list(told.channels) == ["ops-*", "alerts"]
    assert list(told.start_patterns) == ["brand", "/sev[12]\\b/"]
    assert list(told.start_reactions) == ["fire"]
    assert list(told.severities["sev1"]) == ["catastrophe", "sev1"]
    assert told.severities["sev2"] == Reading().severities["sev2"]
    assert (told.window_hours, told.windows) == (12.5, {"staging": 4, "EU production": 2})
    orders = {row["name"] for row in await screens.rows("select name from jobs")}
    assert orders == {"read_incidents_again", "judge_again"}
    log = await screens.rows("select action from audit_log where action like 'configure%'")
    assert log == [{"action": "configure_incidents"}]


@pytest.mark.parametrize(
    ("field", "said", "says"),
    [
        ("channels", "two words", "A channel is a name or shell pattern"),
        ("start_patterns", "/(a+)+$/", "/(a+)+$/"),
        ("start_patterns", "x" * 300, "A pattern has at most"),
        ("start_reactions", "<b>", "A reaction is the name of an emoji"),
        ("sev1", "sev1, /[/", "/[/"),
        ("window_hours", "soon", "Hours are a number"),
        ("window_hours", "0", "Hours are more than 0"),
        ("windows", "staging", "Write an environment and its hours"),
        ("labels", "x" * 101, "A label has at most"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(
    screens: World, field: str, said: str, says: str
) -> None:
    browser = await screens.signed_in("admin")
    answer = await browser.post("/settings/incidents", data=USUAL | {field: said})
    assert answer.status_code == 422
    wrong = re.search(rf'<span class="bad" id="wrong-{field}">(.*?)</span>', answer.text, re.DOTALL)
    assert wrong
    assert says in unescape(wrong[1])
    assert f'name="{field}"' in answer.text.partition(f'describedby="wrong-{field}"')[0][-400:]
    assert unescape(answer.text).count(said) >= 1
    assert await screens.rows("select * from incident_settings") == []


async def test_a_text_is_tried_on_what_is_not_kept_yet(screens: World) -> None:
    browser = await screens.signed_in("admin")
    form = USUAL | {"start_patterns": "kaboom", "do": "try", "trial_channel": "incidents"}
    tried = await browser.post("/settings/incidents", data=form | {"trial_text": "kaboom sev1"})
    assert "Begins an incident" in words(tried.text)
    assert "sev1, production" in words(tried.text)
    tried = await browser.post("/settings/incidents", data=form | {"trial_text": "an outage"})
    assert "Begins no incident : says none of the start words" in words(tried.text)
    assert ">kaboom</textarea>" in tried.text
    assert await screens.rows("select * from incident_settings") == []


async def test_channels_are_mapped_and_tried(screens: World) -> None:
    browser = await screens.signed_in("admin")
    row = rows_of("#alerts-eu", environment="staging", repository_id="github:10", severity="sev3")
    trying = row | {"do": "try", "trial_text": "outage", "trial_channel": "alerts-eu"}
    tried = words((await browser.post("/settings/channels", data=trying)).text)
    assert "fits none of the channels" in tried
    await browser.post("/settings/incidents", data=USUAL | {"channels": "alerts-*"})
    tried = words((await browser.post("/settings/channels", data=trying)).text)
    assert "Begins an incident" in tried
    assert "sev3, staging, acme/api" in tried
    assert await screens.rows("select * from incident_channels") == []
    answer = await browser.post("/settings/channels", data=row)
    assert answer.status_code == 303
    place = (await reading_of(screens)).place_of("alerts-eu")
    assert (place.environment, place.repository, place.severity) == ("staging", "acme/api", "sev3")
    await browser.post("/settings/channels", data=rows_of(""))
    assert await screens.rows("select * from incident_channels") == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (rows_of("two words"), "A channel is a name"),
        (rows_of("a", repository_id="github:20"), "There is no repository"),
        (rows_of("a", severity="sev7"), "A severity is one of"),
        ({name: value[:1] * 2 for name, value in rows_of("a").items()}, "stands there twice"),
    ],
)
async def test_a_wrong_row_is_said(screens: World, row: dict[str, list[str]], says: str) -> None:
    browser = await screens.signed_in("admin")
    answer = await browser.post("/settings/channels", data=row)
    assert answer.status_code == 422
    assert says in words(answer.text)
    assert await screens.rows("select * from incident_channels") == []


async def test_teams_and_projects_of_linear_are_mapped(screens: World) -> None:
    browser = await with_linear(screens)
    markup = await shown(browser)
    assert re.findall(r'<select name="(linear:\w+)"', markup) == ["linear:t1", "linear:p1"]
    assert "&lt;b&gt;Engineering" in markup
    sent = {"linear:t1": "github:10", "linear:p1": ""}
    answer = await browser.post("/settings/linear", data=sent)
    assert answer.headers["location"] == "/settings?saved=linear#linear"
    assert await mapped(screens) == {"linear:t1": "github:10"}
    orders = {row["name"] for row in await screens.rows("select name from jobs")}
    assert orders == {"read_incidents_again"}
    (log,) = await screens.rows("select detail from audit_log where action = 'linear_mapped'")
    assert log == {"detail": "linear:t1 → github:10"}
    assert '<option value="github:10" selected>acme/api' in await shown(browser)
    await browser.post("/settings/linear", data=sent | {"linear:t1": ""})
    assert await mapped(screens) == {}


async def test_what_is_not_changed_keeps_who_mapped_it(screens: World) -> None:
    browser = await with_linear(screens)
    await screens.rows(
        "insert into linear_mappings (organization_id, linear_id, repository_id, by)"
        " values ('github:1', 'linear:t1', 'github:10', 'ben'),"
        " ('github:1', 'linear:p2', 'github:99', 'x')"
    )
    markup = await shown(browser)
    assert '<option value="github:99" selected>github:99, deleted' in markup
    sent = {"linear:t1": "github:10", "linear:p1": "github:11", "linear:p2": "github:99"}
    assert (await browser.post("/settings/linear", data=sent)).status_code == 303
    rows = await screens.rows("select linear_id from linear_mappings where by in ('ben', 'x')")
    assert {row["linear_id"] for row in rows} == {"linear:t1", "linear:p2"}
    assert (await mapped(screens))["linear:p1"] == "github:11"


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"linear:t1": "github:20"}, "There is no repository 'github:20'."),
        ({"linear:t1": "x"}, "There is no repository 'x'."),
        ({"linear:t2": "github:10"}, "There is no team or project 'linear:t2' in Linear."),
        ({"linear:t1": "github:10", "linear:p1": "x"}, "There is no repository 'x'."),
    ],
)
async def test_a_wrong_mapping_is_said_and_nothing_is_kept(
    screens: World, sent: dict[str, str], says: str
) -> None:
    browser = await with_linear(screens)
    answer = await browser.post("/settings/linear", data=sent)
    assert answer.status_code == 422
    assert says in words(answer.text)
    assert await mapped(screens) == {}
    assert await screens.rows("select 1 from jobs") == []


async def test_who_may_see_people_is_kept(screens: World) -> None:
    browser = await screens.signed_in("admin")
    assert 'value="self_only" checked' in await shown(browser)
    await browser.post("/settings/people", data={"per_person": "off"})
    assert 'value="off" checked' in await shown(browser)
    assert (await browser.post("/settings/people", data={"per_person": "all"})).status_code == 422
    assert 'value="off" checked' in await shown(browser)


async def test_every_organisation_has_settings_of_its_own(screens: World) -> None:
    browser = await screens.signed_in("stranger")
    await browser.post("/settings/incidents", data=USUAL | {"channels": "theirs"})
    await browser.post("/settings/people", data={"per_person": "off"})
    assert await reading_of(screens) == Reading()
    markup = await shown(await screens.signed_in("admin"))
    assert "theirs" not in markup
    assert 'value="self_only" checked' in markup


def test_a_form_without_fields_is_no_error_of_ours() -> None:
    draft = settings_forms.incidents(FormData())
    assert set(draft.errors) == {"window_hours"}
    assert settings_forms.places(FormData(), {}).read["places"] == []
