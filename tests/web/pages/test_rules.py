"""The screens of deployment rules: who sees and changes them, what they say and keep."""

import re
from html import unescape
from typing import Any

import httpx
import pytest

import models
from bot.web.pages import rules, rules_forms
from models.store import remember
from tests.web.conftest import AT, World
from tests.web.pages.screens import with_screens

FORM: dict[str, Any] = {
    "source": "deployments",
    "production": "live-*\n\nLIVE",
    "ignored": "canary",
    "workflows": "",
    "service": ["web", ""],
    "environment": ["prod*", ""],
    "paths": ["web/*, shared/*", ""],
    "do": "save",
}
HERE = "/settings/rules/acme/api"


@pytest.fixture
def screens(world: World) -> World:
    opened = with_screens(world)
    opened.app.router.routes += rules.routes()
    return opened


def words(markup: str) -> str:
    """Return what people read."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


async def read(browser: httpx.AsyncClient, path: str, status: int = 200) -> str:
    """Return what a screen says."""
    answer = await browser.get(path)
    assert answer.status_code == status, answer.text
    return words(answer.text)


async def kept(world: World) -> list[tuple[Any, ...]]:
    """Return the rules that are kept."""
    rows = await world.rows(
        "select repository_id, source, production, ignored, workflows from deployment_rules"
    )
    return [tuple(row.values()) for row in rows]


async def test_a_viewer_reads_and_may_not_change(screens: World) -> None:
    viewer = await screens.signed_in("viewer")
    assert "acme/api" in await read(viewer, "/settings/rules")
    said = await read(viewer, HERE)
    assert "Managers and admins may change it." in said
    assert "Save" not in said
    assert (await viewer.post(HERE, data=FORM)).status_code == 403
    assert await kept(screens) == []


async def test_nobody_signed_in_is_sent_to_sign_in(screens: World) -> None:
    browser = await screens.browser()
    for path in ("/settings/rules", HERE):
        assert (await browser.get(path)).status_code in (303, 401)


@pytest.mark.parametrize("who", ["manager", "admin"])
async def test_a_rule_and_its_services_are_kept(screens: World, who: str) -> None:
    browser = await screens.signed_in(who)
    answer = await browser.post(HERE, data=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HERE}?saved=1")
    assert await kept(screens) == [("github:10", "deployments", ["live-*", "LIVE"], ["canary"], [])]
    services = await screens.rows("select name, environment, paths from services")
    assert services == [{"name": "web", "environment": "prod*", "paths": ["web/*", "shared/*"]}]
    [order] = await screens.rows("select key, arguments from jobs where name = 'collect_changes'")
    assert order["arguments"] == {"repository": "github:10", "all": True}
    said = await read(browser, f"{HERE}?saved=1")
    assert "Kept. Everything of this repository is measured by it anew." in said
    assert "being applied since" in said
    assert f"changed by {who}" in said
    noted = await screens.rows("select action from audit_log where action like '%r%e_de%' or "
                               "action = 'describe_services' order by id")  # fmt: skip
    assert [row["action"] for row in noted] == ["rule_deployments", "describe_services"]
    assert "1 being applied" in await read(browser, "/settings/rules")


async def test_the_same_services_are_not_described_again(screens: World) -> None:
    browser = await screens.signed_in("manager")
    await browser.post(HERE, data=FORM)
    await browser.post(HERE, data=FORM | {"source": "release"})
    noted = await screens.rows("select detail from audit_log where action = 'describe_services'")
    assert len(noted) == 1
    assert (await kept(screens))[0][1] == "release"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"source": "guess"}, "It is one of auto, deployments"),
        ({"production": "x" * 201}, "A pattern has at most 200 characters"),
        ({"ignored": "\n".join(map(str, range(51)))}, "There may be 50 patterns at most."),
        ({"workflows": "a\x07b"}, "characters that cannot be seen"),
        ({"service": ["", ""]}, "Row 1, name"),
        ({"service": ["web", "web"], "environment": ["a", "b"], "paths": ["", ""]},
         "two services have the same name"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_at_its_field(
    screens: World, wrong: dict[str, Any], says: str
) -> None:
    browser = await screens.signed_in("manager")
    answer = await browser.post(HERE, data=FORM | wrong)
    assert answer.status_code == 422
    assert says in words(answer.text)
    assert "Nothing was kept" in words(answer.text)
    assert "canary" in answer.text or "ignored" in wrong
    assert await kept(screens) == []
    assert await screens.rows("select * from services") == []
    partial = await browser.post(HERE, data=FORM | wrong, headers={"hx-request": "true"})
    assert partial.status_code == 200
    assert says in words(partial.text)
    assert "<html" not in partial.text


async def test_a_preview_keeps_nothing(screens: World) -> None:
    browser = await screens.signed_in("manager")
    sent = {"data": FORM | {"do": "preview"}, "headers": {"hx-request": "true"}}
    answer = await browser.post(HERE, **sent)
    assert answer.status_code == 200
    assert "What it would count" in words(answer.text)
    assert '<div id="rule"' in answer.text
    assert "<html" not in answer.text
    assert await kept(screens) == []
    assert await screens.rows("select * from services") == []
    assert await screens.rows("select * from jobs where name = 'collect_changes'") == []


async def test_a_page_asks_for_its_state_alone(screens: World) -> None:
    browser = await screens.signed_in("viewer")
    answer = await browser.get(HERE, headers={"hx-request": "true"})
    assert answer.status_code == 200
    assert 'id="state"' in answer.text
    assert "<textarea" not in answer.text
    answer = await browser.get("/settings/rules", headers={"hx-request": "true"})
    assert 'id="rules"' in answer.text
    assert "<html" not in answer.text


async def test_a_rule_that_is_applied_or_failed_says_so(screens: World) -> None:
    browser = await screens.signed_in("manager")
    await browser.post(HERE, data=FORM)
    await screens.rows(
        "update jobs set status = 'parked', error = 'KeyError: x', finished_at = now()"
    )
    said = await read(browser, HERE)
    assert "could not be applied" in said
    assert "KeyError: x" in said
    await screens.rows("update deployment_rules set applied_at = now()")
    assert re.search(r"\bapplied at \d", await read(browser, HERE))


async def test_rules_of_others_are_neither_read_nor_written(screens: World) -> None:
    admin = await screens.signed_in("admin")
    for path in ("/settings/rules/globex/api", "/settings/rules/acme/none"):
        assert (await admin.get(path)).status_code == 404
        assert (await admin.post(path, data=FORM)).status_code == 404
    assert "globex" not in await read(admin, "/settings/rules")
    assert (await admin.get("/settings/rules?organization=globex")).status_code == 404
    assert await kept(screens) == []


async def test_forms_of_other_websites_are_refused(screens: World) -> None:
    browser = await screens.signed_in("admin")
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await browser.post(HERE, data=FORM, headers=foreign)).status_code == 403
    assert await kept(screens) == []


async def test_what_sources_call_things_is_no_markup(screens: World) -> None:
    async with screens.engine.begin() as db:
        attempt = models.Deployment(
            id="github:d9", organization_id="github:1", changed_at=AT, repository_id="github:10",
            source="api", environment="<b>prod", environment_class="production", sha="a" * 40,
            created_at=AT, result="success", result_at=AT, url="javascript:alert(1)",
        )  # fmt: skip
        await remember(db, [attempt])
    browser = await screens.signed_in("admin")
    answer = await browser.post(HERE, data=FORM | {"do": "preview", "ignored": "<i>"})
    assert answer.status_code == 200
    for said in ("<b>prod", "<i>", 'href="javascript'):
        assert said not in answer.text


async def test_the_list_can_be_searched(screens: World) -> None:
    browser = await screens.signed_in("viewer")
    assert "acme/web" not in await read(browser, "/settings/rules?q=API")
    assert "No repository’s name has “zzz” in it." in await read(browser, "/settings/rules?q=zzz")


def test_a_form_that_shows_what_is_kept_reads_back_the_same() -> None:
    from starlette.datastructures import FormData

    from bot.web.api.rules import KnownRule
    from bot.web.api.services import Described, Services

    rule = KnownRule(
        repository_id="r", repository="a/b", source="workflow", production=["x", "y"],
        ignored=[], workflows=["deploy*"], state="default", by=None, changed_at=None,
        applied_at=None, error=None,
    )  # fmt: skip
    services = Services(services=[Described(name="web", environment="p", paths=["a", "b/*"])])
    shown = rules_forms.of_rule(rule, services)
    rows = [(name, row[name]) for row in shown.rows for name in rules_forms.COLUMNS]
    told = rules_forms.read(FormData([*shown.said.items(), *rows]))
    assert (told.rule, told.services, told.errors) == (shown.rule, shown.services, {})
