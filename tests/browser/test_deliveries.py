"""The inbox in a browser."""

from playwright.sync_api import Page, expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.browser.conftest import LiveServer


def test_the_inbox_can_be_filtered_and_opened(page: Page) -> None:
    page.goto("/deliveries")
    page.get_by_label("Status").select_option("parked")
    page.wait_for_url("**status=parked*")
    rows = page.get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(1)
    rows.get_by_role("link").first.click()
    expect(page.get_by_role("region", name="What was decided", exact=True)).to_contain_text(
        "remember in deployments by deployment_finished"
    )
    expect(page.locator("pre")).to_contain_text("<script>alert(1)</script>")


def test_a_delivery_can_be_decided_again(page: Page, live_server: LiveServer) -> None:
    page.goto("/deliveries?status=ignored")
    page.get_by_role("table").locator("tbody tr").get_by_role("link").first.click()
    page.get_by_role("button", name="Decide again").click()
    expect(page.locator(".state").first).to_have_text("received")

    async def statuses(db: AsyncConnection) -> int:
        return int(await db.scalar(text("select count(*) from deliveries where status='received'")))

    assert live_server.ask(statuses) == 1


def test_an_unknown_delivery_is_not_found(page: Page) -> None:
    answer = page.goto("/deliveries/999999")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("alert")).to_contain_text("There is no such delivery")
