"""The Delivery screen in a browser: its numbers, its life, its explanation."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from redis import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.live import channel
from tests.browser import seeds
from tests.browser.conftest import LiveServer

COUNTED = text("select count(*) from service_deployments where counted and finished_at >= :since")


def counted(server: LiveServer, days: int) -> int:
    """Return how many deployments of the last days the tables hold, in UTC days."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    async def ask(db: AsyncConnection) -> int:
        since = midnight - timedelta(days=days - 1)
        return int(await db.scalar(COUNTED, {"since": since}) or 0)

    return server.ask(ask)


def test_the_page_shows_what_the_tables_hold(page: Page, live_server: LiveServer) -> None:
    page.goto("/delivery?period=90")
    card = page.get_by_role("article", name="Deployment frequency")
    expect(card).to_contain_text(f"{counted(live_server, 90)} deployments")


def test_an_open_page_changes_with_a_deployment(page: Page, live_server: LiveServer) -> None:
    page.goto("/delivery?period=7")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    page.locator("details.data summary").first.click()

    async def deploy(db: AsyncConnection) -> None:
        now = datetime.now(UTC) - timedelta(seconds=1)
        await seeds.write(db, [seeds.deployment(900_001, now)])

    before = counted(live_server, 7)
    live_server.ask(deploy)
    with Redis.from_url(live_server.redis_url) as redis:
        redis.publish(channel(seeds.ORGANIZATION), "deployment")
    card = page.get_by_role("article", name="Deployment frequency")
    expect(card).to_contain_text(f"{before + 1} deployments")
    expect(page.locator("details.data").first).to_have_attribute("open", "")


def test_a_page_that_lost_its_stream_catches_up(page: Page, live_server: LiveServer) -> None:
    page.goto("/delivery?period=7")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    with page.expect_request("**/delivery?period=7"):
        page.evaluate("document.querySelector('#live')._htmx.sse.reader.cancel()")


def test_filters_are_in_the_address_and_survive(page: Page) -> None:
    page.goto("/delivery?period=90")
    page.get_by_label("Repository", exact=True).select_option("acme/api")
    page.wait_for_url("**repository=acme%2Fapi*")
    page.get_by_role("link", name="7 d", exact=True).click()
    page.wait_for_url("**/delivery?period=7&repository=acme%2Fapi*")
    expect(page.get_by_label("Repository", exact=True)).to_have_value("acme/api")


def test_explain_says_what_counts_and_why_not(page: Page, live_server: LiveServer) -> None:
    page.goto("/delivery?period=90")
    page.get_by_role("article").get_by_role("link", name="Deployment frequency").click()
    expect(page.get_by_role("heading", name="Deployment frequency")).to_be_visible()
    counts = page.get_by_role("region", name="What counts", exact=True)
    expect(counts).to_contain_text(str(counted(live_server, 90)))
    expect(counts).to_contain_text("redeploy: the same commit was already running")
    page.get_by_role("link", name="Older rows").click()
    expect(page.get_by_role("table").get_by_role("row")).not_to_have_count(0)


def test_a_row_of_a_chart_leads_to_what_is_behind_it(page: Page) -> None:
    page.goto("/delivery?period=30&by=day")
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    page.locator("details.data summary").first.click()
    page.locator("details.data").first.locator("tbody a").nth(-2).click()
    expect(page.get_by_text(f"{day} to {day}, both included")).to_be_visible()


def test_csv_has_the_rows_of_the_screen(page: Page, live_server: LiveServer) -> None:
    answer = page.request.get("/delivery/deployments.csv?period=90")
    lines = answer.text().strip().splitlines()
    assert answer.headers["content-type"].startswith("text/csv")
    assert sum(",true," in line for line in lines[1:]) == counted(live_server, 90)


def test_without_script_everything_is_there(
    browser: Browser, session_cookies: list[dict[str, str]], base_url: str
) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=base_url)
    context.add_cookies(session_cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto("/delivery?period=30")
    expect(page.get_by_role("img", name="Deployments, failures and lead time")).to_be_visible()
    page.get_by_label("Repository", exact=True).select_option("acme/api")
    page.get_by_role("button", name="Show").first.click()
    expect(page).to_have_url(re.compile("repository=acme%2Fapi"))
    page.get_by_role("link", name="Stability").click()
    expect(page).to_have_url(re.compile("/delivery/stability.*repository=acme%2Fapi"))
    expect(page.get_by_role("img", name="Change failure rate over time")).to_be_visible()
    context.close()


def test_no_data_is_a_dash_with_a_reason(page: Page) -> None:
    page.goto("/delivery?start=2020-01-01&end=2020-01-02")
    card = page.get_by_role("article", name="Change lead time")
    expect(card.locator(".value")).to_have_text("–")
    expect(card).to_contain_text("No change with a lead time reached production")


def test_a_wrong_period_is_said(page: Page) -> None:
    page.goto("/delivery?start=2026-02-30&end=2026-03-01")
    expect(page.get_by_role("alert")).to_contain_text("start must be a day")


def test_keys(page: Page) -> None:
    page.goto("/deliveries")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Status")).to_be_focused()
    page.get_by_role("heading", name="Deliveries").click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/delivery")


def test_the_theme_is_kept(page: Page) -> None:
    page.goto("/delivery?period=7")
    page.get_by_role("button", name="Switch between light and dark").click()
    page.wait_for_url("**/delivery?period=7")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


CARDS = (
    "Deployment frequency",
    "Change lead time",
    "Change failure rate",
    "Failed deployment recovery time",
    "Rework rate",
)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_its_number_and_leads_to_its_rows(page: Page, name: str) -> None:
    page.goto("/delivery?period=90")
    card = page.get_by_role("article", name=name)
    value = card.locator(".value").inner_text()
    assert re.match(r"[\d.]+ ", value), value
    expect(card.locator(".change")).to_be_visible()
    expect(card.locator("svg.spark")).to_be_visible()
    card.locator(".under a").click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page.locator(".value").first).to_contain_text(value.split()[0])
    expect(page.get_by_role("region", name="Rows, in full").locator("tbody tr")).not_to_have_count(
        0
    )


@pytest.mark.parametrize("name", CARDS)
def test_a_card_without_data_is_a_dash_with_a_reason(page: Page, name: str) -> None:
    page.goto("/delivery?start=2020-01-01&end=2020-01-02")
    card = page.get_by_role("article", name=name)
    expect(card.locator(".value")).to_have_text("–")
    expect(card.locator(".under")).to_contain_text("from 2020-01-01 to 2020-01-02")
    expect(card.get_by_role("link", name="Why?")).to_be_visible()


def test_tabs_keep_what_was_chosen(page: Page) -> None:
    page.goto("/delivery?period=90&repository=acme/api")
    tabs = page.get_by_role("navigation", name="Delivery")
    for name in ("Deployment frequency", "Lead time", "Stability"):
        tabs.get_by_role("link", name=name).click()
        expect(tabs.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
        expect(page).to_have_url(re.compile(r"period=90&repository=acme%2Fapi"))
    page.get_by_label("Repository", exact=True).select_option("acme/site")
    expect(page).to_have_url(re.compile(r"/delivery/stability\?.*repository=acme%2Fsite"))


def test_failures_say_what_failed_and_which_incident_blames_it(page: Page) -> None:
    page.goto("/delivery/explain/change-failure-rate?period=90")
    failed = page.get_by_role("row").filter(has_text="failed").filter(has_text="blames it").first
    key = failed.get_by_role("link", name="INC-").inner_text()
    assert re.fullmatch(r"INC-\d{7}", key)


@pytest.mark.parametrize(
    "name", ["deployments", "changes", "failures", "recoveries", "restores", "rework"]
)
def test_every_metric_of_the_screen_has_its_rows_as_csv(page: Page, name: str) -> None:
    answer = page.request.get(f"/delivery/{name}.csv?period=90")
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(answer.text().strip().splitlines()) > 1
