"""Where `/veelocity connect` leads, in a browser: readable, within its width, and it ties."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from models import chat_members
from models.chat_members import Begun
from tests.browser import seeds
from tests.browser.conftest import LiveServer, free_port, new_database, signed_in, started
from tests.fakes.slack import FakeSlack, fake_slack

LINK = "/connect/slack/member?token=of-the-link"


@pytest.fixture(scope="module")
def slack() -> Iterator[FakeSlack]:
    with fake_slack() as served:
        served.user("U7", "Ada Lovelace of the department of analytical engines", "ada@example.org")
        yield served


@pytest.fixture(scope="module")
def server(
    live_server: LiveServer, postgres_url: str, redis_url: str, slack: FakeSlack
) -> Iterator[LiveServer]:
    """An app that is connected to a Slack in which somebody asked for a link."""
    with new_database(postgres_url) as url:
        made = LiveServer(f"http://127.0.0.1:{free_port()}", url, redis_url)
        made.ask(seeds.plant_small)
        begun = Begun(seeds.ORGANIZATION, slack.team_id, "U7")
        made.ask(lambda db: chat_members.begin(db, "of-the-link", begun))
        with started(made, "web", SLACK_API_URL=slack.url):
            yield made


@pytest.fixture
def admin(context: BrowserContext, page: Page, server: LiveServer, slack: FakeSlack) -> Page:
    """A page in which an admin is signed in, who connected the workspace."""
    context.clear_cookies()
    context.add_cookies(signed_in(server))  # type: ignore[arg-type]
    page.goto(f"{server.url}/settings")
    if page.get_by_text("Connect by token of Slack").count():
        page.get_by_text("Connect by token of Slack").click()
        page.locator("#connector-slack input[name=token]").fill(slack.token)
        page.locator("#connector-slack").get_by_role("button", name="Connect", exact=True).click()
    expect(page.locator("#connector-slack")).to_contain_text("Acme")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390])
def test_the_page_is_accessible_silent_and_within_its_width(
    admin: Page, server: LiveServer, console: list[str], scheme: str, width: int
) -> None:
    admin.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    admin.set_viewport_size({"width": width, "height": 800})
    admin.goto(server.url + LINK)
    expect(admin.get_by_role("main")).to_contain_text("Ada Lovelace")
    found = Axe().run(admin)
    assert found.violations_count == 0, found.generate_report()
    assert admin.evaluate("document.documentElement.scrollWidth") <= width
    assert console == []


def test_the_account_is_tied_by_the_button(
    admin: Page, server: LiveServer, console: list[str]
) -> None:
    admin.goto(server.url + LINK)
    admin.get_by_role("button", name="This is my account").click()
    expect(admin.get_by_role("status").first).to_contain_text(
        "in Slack is you now, ada@example.org"
    )
    assert Axe().run(admin).violations_count == 0
    assert console == []
    answer = admin.goto(server.url + LINK)
    assert answer is not None
    assert answer.status == 410
