"""The Synchronisation screen in a browser: both themes, small screens, and its life."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from redis import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.live import channel
from tests.browser import seeds
from tests.browser.conftest import LiveServer

LOG = text("""
    insert into sync_logs (organization_id, source, name, state, items, calls, missed, started_at,
                           finished_at, error)
    values (:home, 'github', :name, :state, :items, 3, :missed,
            now() - make_interval(mins => 12), now() - make_interval(mins => 11), :error)
""")
NEWS = text("""
    insert into missed_news (id, organization_id, source, what, thing_id, changed_at)
    select 'seed:' || n, :home, 'github', what, n::text, now() - interval '30 hours'
      from unnest(array['workflow_runs', 'workflow_runs', 'pull_requests']) with ordinality
           as t(what, n)
        on conflict (id) do nothing
""")


def log(server: LiveServer, **told: Any) -> None:
    bound = {"home": seeds.ORGANIZATION, "name": "prs", "state": "done", "items": 120,
             "missed": 2, "error": None, **told}  # fmt: skip

    async def write(db: AsyncConnection) -> None:
        await db.execute(LOG, bound)
        await db.execute(NEWS, {"home": seeds.ORGANIZATION})

    server.ask(write)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_can_be_read_by_everybody(
    page: Page, live_server: LiveServer, console: list[str], theme: str, width: int
) -> None:
    log(live_server)
    log(live_server, name="actions", state="failed", error="GitHub refused it: no permission.")
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/settings/sync")
    expect(page.get_by_text("2 workflow runs, 1 pull request")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert console == []


def test_an_open_page_shows_what_is_read(page: Page, live_server: LiveServer) -> None:
    page.goto("/settings/sync")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    log(live_server, name="live", items=98765)
    with Redis.from_url(live_server.redis_url) as redis:
        redis.publish(channel(seeds.ORGANIZATION), "sync")
    expect(page.get_by_role("cell", name="98765")).to_be_visible()


def test_settings_lead_there(page: Page, live_server: LiveServer) -> None:
    page.goto("/settings")
    page.get_by_role("link", name="Synchronisation").click()
    expect(page).to_have_url("/settings/sync")
    expect(page.get_by_role("heading", name="Synchronisation")).to_be_visible()
