"""The screens of deployment rules in a browser."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models import Deployment, Repository
from models.store import remember
from tests.browser.conftest import LiveServer

HERE = "/settings/rules/acme/ruled"
HOME = {"organization_id": "github:1"}


async def plant(db: AsyncConnection) -> None:
    """Make a repository that was deployed to two environments."""
    now = datetime.now(UTC)
    deployments = [
        Deployment(
            id=f"github:ruled-{number}", repository_id="github:ruled", source="deployment_status",
            environment=name, environment_class=to, sha=f"{number:040}", created_at=at,
            result_at=at, result="success", **HOME,
        )
        for number, (name, to) in enumerate([("production", "production"), ("blue-eu", "other")])
        for at in [now - timedelta(days=number + 1)]
    ]  # fmt: skip
    repository = Repository(id="github:ruled", full_name="acme/ruled", owner_login="acme", **HOME)
    await remember(db, [repository, *deployments])


async def uproot(db: AsyncConnection) -> None:
    """Take it away again."""
    await db.execute(text("delete from repositories where id = 'github:ruled'"))
    for table in ("deployments", "deployment_rules", "services"):
        await db.execute(text(f"delete from {table} where repository_id = 'github:ruled'"))  # noqa: S608
    await db.execute(text("delete from jobs where key = 'collect_changes:github:ruled'"))


@pytest.fixture
def planted(live_server: LiveServer) -> Iterator[None]:
    """A repository that is there for one test."""
    live_server.ask(plant)
    yield
    live_server.ask(uproot)


def accessible(page: Page) -> None:
    """Axe finds nothing."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_rule_is_previewed_kept_and_applied(
    page: Page, console: list[str], live_server: LiveServer, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/settings/rules")
    accessible(page)
    page.get_by_role("link", name="acme/ruled").click()
    page.wait_for_selector("html[data-live=on]")
    page.get_by_label("Environments that are production").fill("blue-*")
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_role("region", name="What it would count")
    expect(preview).to_contain_text("Would newly count")
    expect(preview.get_by_role("listitem")).to_contain_text("blue-eu")
    expect(page.get_by_label("Environments that are production")).to_have_value("blue-*")
    accessible(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Kept. Everything of this repository")).to_be_visible()
    expect(page.locator("#state")).to_contain_text("being applied since")

    async def apply(db: AsyncConnection) -> None:
        await db.execute(text("update deployment_rules set applied_at = now()"))

    live_server.ask(apply)
    page.reload()
    expect(page.locator("#state")).to_contain_text("applied at")
    assert console == []


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("width", [320, 390])
def test_nothing_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/settings/rules", HERE):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.usefixtures("planted")
def test_it_works_without_script(page: Page) -> None:
    page.route("**/*.js", lambda route: route.abort())
    page.goto(HERE)
    page.get_by_label("Environments that do not count").fill("production")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("region", name="What it would count")).to_contain_text(
        "the rule of this repository ignores the environment production"
    )
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**saved=1*")
    expect(page.get_by_text("Kept. Everything of this repository")).to_be_visible()
