"""The Agent screens in a browser: drag, buttons, live runs, and everything without script."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Response, expect
from redis import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.live import channel
from models import runs, tickets
from models.runs import RunState
from tests.browser import agent_seeds
from tests.browser.conftest import LiveServer
from tests.browser.seeds import ORGANIZATION

QUEUE_BYTES, HTML_BYTES, CSS_BYTES, SCRIPT_BYTES, COLD_BYTES = 33_000, 15_000, 6_000, 18_000, 45_000
PLACES = ("agent", "empty", "working", "done", "blocked", "planned", "messages")


@pytest.fixture
def scene(live_server: LiveServer) -> Iterator[dict[str, int]]:
    """Write tickets and runs, and take them out again: other screens count what there is."""
    yield live_server.ask(agent_seeds.plant)
    live_server.ask(agent_seeds.uproot)


def address(place: str, scene: dict[str, int]) -> str:
    """Return the path of one of the screens."""
    if place == "messages":
        return f"/agent/runs/{scene['done']}/messages"
    named = {"agent": "/agent", "empty": "/agent?repository=acme/site&start=2020-01-01"}
    return named.get(place) or f"/agent/runs/{scene[place]}"


def told(server: LiveServer, *events: str) -> None:
    """Tell open pages that something changed."""
    with Redis.from_url(server.redis_url) as redis:
        for event in events:
            redis.publish(channel(ORGANIZATION), event)


def queue(page: Page) -> Locator:
    """Return the rows of acme/api's queue."""
    return page.get_by_role("list", name="Queue of acme/api").get_by_role("listitem")


def numbers(server: LiveServer) -> list[int]:
    """Return acme/api's queue as the table has it."""

    async def ask(db: AsyncConnection) -> list[int]:
        return [row["number"] for row in await tickets.queue_of(db, agent_seeds.API)]

    return server.ask(ask)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_no_violation_of_accessibility(
    page: Page, scene: dict[str, int], place: str, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(address(place, scene))
    for summary in page.locator("details:not(.menu) > summary").all():
        summary.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    if place == "agent":
        page.get_by_text("New ticket", exact=True).click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("place", PLACES)
def test_no_horizontal_scroll(page: Page, scene: dict[str, int], place: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address(place, scene))
    for summary in page.locator("details:not(.menu) > summary").all():
        summary.click()
    for menu in page.locator("main .menu > summary").all():
        menu.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        menu.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("place", PLACES)
def test_the_console_is_silent_and_nothing_of_strangers_runs(
    page: Page, console: list[str], scene: dict[str, int], place: str
) -> None:
    page.on("dialog", lambda dialog: console.append(dialog.message))
    page.goto(address(place, scene))
    page.locator("body").press("?")
    assert console == []
    assert page.locator("main img").count() == 0


def test_the_queue_keeps_to_its_budget(page: Page, base_url: str, scene: dict[str, int]) -> None:
    seen: list[Response] = []
    page.on("response", lambda answer: seen.append(answer))
    page.goto("/agent")
    page.wait_for_selector("html[data-live=on]")
    sizes = {"document": 0, "stylesheet": 0, "script": 0, "queue": 0, "other": 0}
    for answer in seen:
        if not answer.request.url.startswith(f"{base_url}/live"):
            queues = answer.request.url.endswith("/queue.js")
            kind = "queue" if queues else answer.request.resource_type
            body = len(gzip.compress(answer.body(), 6))
            sizes[kind if kind in sizes else "other"] += body
    assert sizes["document"] <= HTML_BYTES
    assert sizes["stylesheet"] <= CSS_BYTES
    assert sizes["script"] <= SCRIPT_BYTES
    assert sizes["script"] + sizes["queue"] <= QUEUE_BYTES
    assert sum(sizes.values()) - sizes["queue"] <= COLD_BYTES
    assert len(seen) <= 6


def test_a_ticket_is_dragged_to_its_place(
    page: Page, live_server: LiveServer, scene: dict[str, int]
) -> None:
    page.goto("/agent")
    assert numbers(live_server) == [41, 42, 43, 44]
    grip = queue(page).nth(3).locator(".grip").bounding_box()
    first = queue(page).nth(0).bounding_box()
    assert grip
    assert first
    page.mouse.move(grip["x"] + 5, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(grip["x"] + 5, first["y"] + 30, steps=8)
    for step in range(60):
        page.mouse.move(grip["x"] + 5 + step % 3, first["y"] + 4 + step % 5)
        if "#44" in queue(page).nth(0).inner_text():
            break
        page.wait_for_timeout(50)
    with page.expect_response("**/order"):
        page.mouse.up()
    expect(queue(page).nth(0)).to_contain_text("#44")
    assert numbers(live_server) == [44, 41, 42, 43]
    page.reload()
    expect(queue(page).nth(0)).to_contain_text("#44")


def test_the_buttons_work_by_keyboard_and_keep_the_focus(
    page: Page, live_server: LiveServer, scene: dict[str, int]
) -> None:
    page.goto("/agent")
    page.get_by_role("button", name="Move #41 down").focus()
    page.keyboard.press("Enter")
    expect(queue(page).nth(1)).to_contain_text("#41")
    expect(page.get_by_role("button", name="Move #41 down")).to_be_focused()
    page.keyboard.press("Enter")
    expect(queue(page).nth(2)).to_contain_text("#41")
    assert numbers(live_server) == [42, 43, 41, 44]


def test_a_priority_is_chosen(page: Page, live_server: LiveServer, scene: dict[str, int]) -> None:
    page.goto("/agent")
    page.get_by_label("Priority of #44").select_option("critical")
    expect(queue(page).nth(0)).to_contain_text("#44")
    expect(page.get_by_label("Priority of #44")).to_have_value("critical")
    assert numbers(live_server)[0] == 44


def test_what_is_refused_is_said_and_what_was_written_stays(
    page: Page, scene: dict[str, int]
) -> None:
    page.goto("/agent")
    page.get_by_role("button", name="Develop #41").click()
    expect(page.get_by_role("status").filter(has_text="GitHub App")).to_be_visible()
    menu = page.get_by_text("New ticket", exact=True)
    menu.click()
    page.get_by_label("Title").fill("Mend the clock")
    page.get_by_role("button", name="Put it into the queue").click()
    expect(page.get_by_label("Title")).to_be_hidden()
    menu.click()
    expect(page.get_by_label("Title")).to_have_value("Mend the clock")


def test_what_is_being_written_survives_what_happens(
    page: Page, live_server: LiveServer, scene: dict[str, int]
) -> None:
    page.goto("/agent")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    page.get_by_text("New ticket", exact=True).click()
    page.get_by_label("Title").fill("Mend the clock")
    live_server.ask(lambda db: runs.stop(db, scene["planned"], "ada"))
    told(live_server, "ticket")
    expect(page.get_by_text("1 run under way")).to_be_visible()
    expect(page.get_by_label("Title")).to_have_value("Mend the clock")
    expect(page.get_by_label("Title")).to_be_focused()


def test_an_open_run_goes_on_by_itself(
    page: Page, live_server: LiveServer, scene: dict[str, int]
) -> None:
    run = scene["working"]
    page.goto(f"/agent/runs/{run}")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    steps = page.get_by_role("log", name="Steps, newest last")
    steps.get_by_text("python3 -m pytest").click()
    expect(steps.get_by_text("test_row_59 PASSED")).to_be_visible()

    async def go_on(db: AsyncConnection) -> None:
        await runs.note(db, run, "tool", "git diff --stat", detail="1 file", ok=True, seconds=0.1)
        await runs.move(db, run, RunState.VALIDATING)

    live_server.ask(go_on)
    told(live_server, "run")
    expect(steps.get_by_text("git diff --stat")).to_be_visible()
    expect(page.locator("[aria-current=step]")).to_have_text("testing")
    expect(steps.get_by_text("test_row_59 PASSED")).to_be_visible()


def test_a_burst_of_events_is_fetched_once_a_second(
    page: Page, live_server: LiveServer, scene: dict[str, int]
) -> None:
    asked: list[str] = []
    path = f"/agent/runs/{scene['working']}"
    page.goto(path)
    expect(page.locator("html[data-live=on]")).to_be_attached()
    page.on("request", lambda request: asked.append(request.url) if path in request.url else 0)
    for _ in range(12):
        told(live_server, "run")
        page.wait_for_timeout(200)
    assert 1 <= len(asked) <= 4


def test_elapsed_time_counts_on(page: Page, scene: dict[str, int]) -> None:
    page.goto(f"/agent/runs/{scene['working']}")
    elapsed = page.locator("time[data-since]")
    before = elapsed.inner_text()
    expect(elapsed).not_to_have_text(before, timeout=4000)


def test_a_plan_is_approved_in_the_page(page: Page, scene: dict[str, int]) -> None:
    page.goto(f"/agent/runs/{scene['planned']}")
    expect(page.get_by_role("region", name="The plan")).to_contain_text("Keep the last answer")
    page.get_by_role("button", name="Approve the plan").click()
    expect(page.get_by_role("heading", name="waiting", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Approve the plan")).to_have_count(0)


def test_a_run_is_stopped_in_the_page(
    page: Page, live_server: LiveServer, scene: dict[str, int]
) -> None:
    page.goto(f"/agent/runs/{scene['working']}")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stopping")).to_be_disabled()
    assert live_server.ask(lambda db: runs.beat(db, scene["working"])) is True


def test_the_last_page_of_a_run_is_quiet(
    page: Page, live_server: LiveServer, scene: dict[str, int]
) -> None:
    page.goto(f"/agent/runs/{scene['working']}")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    live_server.ask(lambda db: runs.move(db, scene["working"], RunState.FAILED, "It broke."))
    told(live_server, "run")
    expect(page.get_by_role("heading", name="failed", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="failed").get_by_text("It broke.")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_without_script_everything_works(
    browser: Browser,
    session_cookies: list[dict[str, Any]],
    base_url: str,
    live_server: LiveServer,
    scene: dict[str, int],
) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=base_url)
    context.add_cookies(session_cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto("/agent?repository=acme/api")
    expect(page.locator(".grip").first).to_be_hidden()
    page.get_by_role("button", name="Move #42 up").click()
    assert numbers(live_server) == [42, 41, 43, 44]
    expect(page).to_have_url(f"{base_url}/agent?repository=acme/api")
    page.get_by_label("Priority of #44").select_option("critical")
    queue(page).filter(has_text="#44").get_by_role("button", name="Set").click()
    assert numbers(live_server) == [44, 42, 41, 43]
    page.get_by_role("button", name="Develop #41").click()
    expect(page.get_by_role("status").first).to_contain_text("GitHub App")
    page.goto(f"/agent/runs/{scene['working']}")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stopping")).to_be_visible()
    context.close()


def test_viewers_see_and_do_nothing(
    browser: Browser, base_url: str, live_server: LiveServer, scene: dict[str, int]
) -> None:
    from bot.web.auth import create_user, sign_in_link

    async def viewer(db: AsyncConnection) -> str:
        user = await create_user(db, "vera@example.org", organization="acme", role="viewer")
        return await sign_in_link(db, user)

    context = browser.new_context(base_url=base_url)
    page = context.new_page()
    page.goto(f"/sign-in/{live_server.ask(viewer)}")
    if "/sign-in" in page.url:
        page.get_by_role("button", name="Sign in").click()
    page.goto("/agent")
    expect(queue(page)).to_have_count(4)
    expect(page.locator("main button:visible")).to_have_count(0)
    page.goto(f"/agent/runs/{scene['planned']}")
    expect(page.locator("main button:visible")).to_have_count(0)
    context.close()


def test_the_key_leads_to_the_screen(page: Page, scene: dict[str, int]) -> None:
    page.goto("/delivery")
    page.keyboard.press("g")
    page.keyboard.press("g")
    page.wait_for_url("**/agent")
    expect(page.get_by_role("heading", name="Agent", exact=True)).to_be_visible()


def test_nothing_is_left_of_the_scene(live_server: LiveServer) -> None:
    async def count(db: AsyncConnection) -> int:
        return int(await db.scalar(text("select count(*) from tickets")) or 0)

    assert live_server.ask(count) == 0
