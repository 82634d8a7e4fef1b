"""What every screen promises: accessible, within its width and budget, silent in the console."""

import gzip

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response

PAGES = (
    "/delivery?period=90",
    "/delivery?start=2020-01-01&end=2020-01-02",
    "/delivery/deployment-frequency?period=90",
    "/delivery/change-lead-time?period=90",
    "/delivery/stability?period=90",
    "/delivery/stability?start=2020-01-01&end=2020-01-02",
    "/delivery/explain/change-lead-time?period=90",
    "/delivery/explain/change-failure-rate?period=90",
    "/delivery/explain/time-to-restore?period=90",
    "/incidents?period=90",
    "/incidents?period=7&source=linear",
    "/incidents/INC-0000002",
    "/incidents/INC-0000009",
    "/builds?period=90",
    "/builds?period=7&platform=ios",
    "/builds?start=2020-01-01&end=2020-01-02",
    "/builds/explain/success-rate?period=90&platform=android",
    "/builds/explain/duration?period=7",
    "/pull-requests?period=90",
    "/pull-requests?start=2020-01-01&end=2020-01-02",
    "/pull-requests/explain/pr-merge-time?period=90",
    "/people?period=90",
    "/settings",
    "/settings/sync",
    "/settings/badges?metric=change_lead_time",
    "/deliveries",
    "/deliveries/1",
    "/deliveries/999999",
)
HTML_BYTES, CSS_BYTES, SCRIPT_BYTES, COLD_BYTES, REQUESTS = 15_000, 6_000, 18_000, 45_000, 6


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_no_violation_of_accessibility(page: Page, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(path)
    for summary in page.locator("details.data > summary").all():
        summary.click()
    menus = page.locator("main details.menu > summary")
    if menus.count():
        menus.last.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("section", ["who", "teams"])
def test_a_menu_of_people_opens_in_sight(page: Page, section: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/people?period=90")
    card = page.locator(f"section[aria-labelledby={section}]")
    card.locator("details.menu > summary").first.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in card.locator("details[open] button").all():
        button.click(trial=True)
        told = button.bounding_box()
        assert told
        assert told["x"] >= 0
        assert told["x"] + told["width"] <= width


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("path", PAGES)
def test_no_horizontal_scroll(page: Page, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", PAGES)
def test_the_console_is_silent(page: Page, console: list[str], path: str) -> None:
    answer = page.goto(path)
    assert answer is not None
    page.locator("body").press("?")
    expected = 1 if answer.status >= 400 else 0
    assert len(console) == expected, console
    assert not [said for said in console if "Content Security Policy" in said]


@pytest.mark.parametrize(
    "path",
    [
        "/delivery?period=90",
        "/delivery/stability?period=90",
        "/builds?period=90",
        "/incidents?period=90",
        "/incidents/INC-0000002",
        "/people?period=90",
        "/settings",
    ],
)
def test_a_page_keeps_to_its_budget(page: Page, base_url: str, path: str) -> None:
    seen: list[Response] = []
    page.on("response", lambda answer: seen.append(answer))
    page.goto(path)
    page.wait_for_selector("html[data-live=on]")
    sizes = dict.fromkeys(("document", "stylesheet", "script", "other"), 0)
    for answer in seen:
        kind = answer.request.resource_type
        if answer.request.url.startswith(f"{base_url}/live"):
            continue
        sizes[kind if kind in sizes else "other"] += len(gzip.compress(answer.body(), 6))
    assert sizes["document"] <= HTML_BYTES
    assert sizes["stylesheet"] <= CSS_BYTES
    assert sizes["script"] <= SCRIPT_BYTES
    assert sum(sizes.values()) <= COLD_BYTES
    assert len(seen) <= REQUESTS


def test_static_files_are_cached_for_ever_and_compressed(page: Page) -> None:
    page.goto("/delivery?period=7")
    address = page.locator("link[rel=stylesheet]").get_attribute("href")
    answer = page.request.get(address or "")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
