"""The Delivery screen in a browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LiveServer


def test_page_opens(page: Page, live_server: LiveServer, console: list[str]) -> None:
    page.goto("/delivery")
    expect(page.get_by_role("heading", name="Delivery", exact=True)).to_be_visible()
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/shot.png", full_page=True)
    assert console == []
