"""The Builds screen in a browser: its platform, its life, and what a manager says of a workflow."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from redis import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.live import channel
from tests.browser import build_seeds, seeds
from tests.browser.conftest import LiveServer


def test_the_platform_survives_every_other_choice(page: Page) -> None:
    page.goto("/builds?period=90")
    page.get_by_role("group", name="Platform").get_by_text("iOS").click()
    expect(page).to_have_url("/builds?period=90&platform=ios")
    expect(page.locator("tbody", has_text="Android app")).to_have_count(0)
    page.get_by_role("group", name="Period").get_by_text("30 d").click()
    expect(page).to_have_url("/builds?period=30&platform=ios")
    page.get_by_label("Repository").select_option("acme/mobile")
    page.wait_for_url("**/builds?*repository=acme*")
    assert "platform=ios" in page.url
    page.get_by_role("link", name="Typical build", exact=True).click()
    expect(page.get_by_text("acme/mobile, builds for iOS")).to_be_visible()
    page.get_by_role("link", name="Builds", exact=True).last.click()
    assert "platform=ios" in page.url


def test_an_open_page_changes_with_a_build(page: Page, live_server: LiveServer) -> None:
    page.goto("/builds?period=7&repository=acme/site")
    expect(page.locator("html[data-live=on]")).to_be_attached()

    async def finish(db: AsyncConnection) -> None:
        number = 4 * 900_000 + 3
        made = build_seeds.build(number, datetime.now(UTC) - timedelta(hours=2), Random(1))
        made.branch = "just-built"
        await seeds.write(db, [made])

    expect(page.get_by_text("just-built")).to_have_count(0)
    live_server.ask(finish)
    with Redis.from_url(live_server.redis_url) as redis:
        redis.publish(channel(seeds.ORGANIZATION), "build")
    expect(page.get_by_text("just-built")).to_be_visible()


@pytest.mark.parametrize("width", [320, 1280])
def test_a_manager_says_what_a_workflow_builds(
    page: Page, live_server: LiveServer, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/builds?period=90&repository=acme/api")
    row = page.locator("tbody tr", has=page.locator("summary")).first
    row.locator("summary").click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    row.get_by_role("combobox").select_option("android" if width == 320 else "automatic")
    row.get_by_role("button", name="Set").click()
    page.wait_for_url("**/builds?period=90&repository=acme*#latest")

    async def said(db: AsyncConnection) -> list[str]:
        question = "select platform from workflow_platforms where workflow_id = 'github:w3'"
        return list((await db.scalars(text(question))).all())

    assert live_server.ask(said) == (["android"] if width == 320 else [])


def test_what_a_workflow_says_of_itself_is_only_text(page: Page, console: list[str]) -> None:
    page.goto("/builds?period=90")
    expect(page.get_by_text("Nightly <b>everything</b>").first).to_be_visible()
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    assert console == []
