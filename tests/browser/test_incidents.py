"""The Incidents and Settings screens in a browser: alive, linked in two clicks, without script."""

import hashlib
import hmac
import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from redis import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.live import channel
from models.organizations import Connection
from models.slack import SlackChannel
from models.store import remember
from tests.browser import incident_seeds, seeds
from tests.browser.conftest import (
    PATIENCE_SECONDS,
    SLACK_SECRET,
    LiveServer,
    free_port,
    new_database,
    signed_in,
    started,
)


@pytest.fixture
def whole(postgres_url: str, redis_url: str) -> Iterator[LiveServer]:
    """The app with its worker, and a workspace of Slack, on a database of its own."""
    with new_database(postgres_url) as database:
        server = LiveServer(f"http://127.0.0.1:{free_port()}", database, redis_url)
        server.ask(seeds.plant_small)
        server.ask(connect_slack)
        with started(server, "web"), started(server, "worker"):
            yield server


async def connect_slack(db: AsyncConnection) -> None:
    """Connect a workspace with a channel."""
    shared = {"organization_id": seeds.ORGANIZATION, "changed_at": datetime.now(UTC)}
    await remember(
        db,
        [
            Connection(
                id="slack:team:T1",
                source="slack",
                external_id="T1",
                account_login="Acme",
                state="active",
                **shared,
            ),
            SlackChannel(
                id="slack:T1:C1", team_id="T1", channel_id="C1", name="incidents", **shared
            ),
        ],
    )


def slack_says(server: LiveServer, number: int, **event: object) -> None:
    """Deliver an event as Slack does, signed."""
    body = json.dumps(
        {
            "type": "event_callback",
            "team_id": "T1",
            "api_app_id": "A1",
            "event_id": f"Ev{number}",
            "event_time": int(time.time()),
            "event": {"channel": "C1", "channel_type": "channel", "user": "U1"} | event,
        }
    ).encode()
    at = str(int(time.time()))
    signature = hmac.new(SLACK_SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256)
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{server.url}/webhooks/slack/events",
        body,
        {
            "content-type": "application/json",
            "x-slack-request-timestamp": at,
            "x-slack-signature": f"v0={signature.hexdigest()}",
        },
    )
    urllib.request.urlopen(request).close()  # noqa: S310


def a_second() -> float:
    """Return a second in milliseconds, on a machine where as many processes as cores are busy."""
    return 1000 * max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until_settled(server: LiveServer, delivery_id: str) -> None:
    """Wait until the worker has started, and looked at a delivery."""

    async def status(db: AsyncConnection) -> str:
        asked = text("select status from deliveries where delivery_id = :id")
        return str(await db.scalar(asked, {"id": delivery_id}))

    until = time.monotonic() + PATIENCE_SECONDS
    while server.ask(status) in ("received", "None"):
        assert time.monotonic() < until, "the worker settles nothing"
        time.sleep(0.2)


def test_a_signed_message_is_on_the_open_page_within_a_second(
    browser: Browser, whole: LiveServer
) -> None:
    context = browser.new_context(base_url=whole.url)
    context.add_cookies(signed_in(whole))  # type: ignore[arg-type]
    page = context.new_page()
    page.goto("/incidents?period=7")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    slack_says(whole, 1, type="app_home_opened")
    wait_until_settled(whole, "Ev1")
    ts = f"{time.time():.6f}"
    slack_says(whole, 2, type="message", ts=ts, text="sev1 outage: acme/api loses orders")
    row = page.locator(".incidents > li").filter(has_text="loses orders")
    expect(row).to_be_visible(timeout=a_second())
    expect(row).to_contain_text("investigating")
    expect(row.locator(".blame")).to_contain_text("acme/api", timeout=a_second())
    slack_says(
        whole,
        3,
        type="reaction_added",
        reaction="white_check_mark",
        item={"type": "message", "channel": "C1", "ts": ts},
        event_ts=f"{time.time():.6f}",
    )
    expect(row).to_contain_text("resolved", timeout=a_second())
    context.close()


@pytest.fixture
def fresh(live_server: LiveServer) -> Iterator[str]:
    """An open incident of the seeds' story, from now; taken out again."""
    told = incident_seeds.incident(7001, datetime.now(UTC) - timedelta(minutes=5), None, "sev1")

    async def put(db: AsyncConnection) -> None:
        await seeds.write(db, [told])

    async def take(db: AsyncConnection) -> None:
        for table in ("incident_links", "incident_updates", "post_mortems"):
            await db.execute(text(f"delete from {table} where incident_id = :id"), {"id": told.id})  # noqa: S608
        await db.execute(text("delete from incidents where id = :id"), {"id": told.id})

    live_server.ask(put)
    yield told.key
    live_server.ask(take)


def told(server: LiveServer) -> None:
    """Tell open pages that incidents changed."""
    with Redis.from_url(server.redis_url) as redis:
        redis.publish(channel(seeds.ORGANIZATION), "incident")


def test_an_open_list_changes_with_an_incident(page: Page, live_server: LiveServer) -> None:
    page.goto("/incidents?period=7")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    one = incident_seeds.incident(7002, datetime.now(UTC), None, "sev2")

    async def put(db: AsyncConnection) -> None:
        await seeds.write(db, [one])

    async def take(db: AsyncConnection) -> None:
        await db.execute(text("delete from incidents where id = :id"), {"id": one.id})

    live_server.ask(put)
    told(live_server)
    expect(page.locator(f"#{one.key}")).to_be_visible()
    live_server.ask(take)
    told(live_server)
    expect(page.locator(f"#{one.key}")).to_have_count(0)


def test_a_deployment_is_linked_in_two_clicks(page: Page, fresh: str) -> None:
    page.goto("/incidents?period=7")
    row = page.locator(f"#{fresh}")
    expect(row).to_contain_text("blames no deployment")
    row.locator("summary").click()
    row.get_by_role("button", name=re.compile("^Link")).first.click()
    expect(page.get_by_role("status").first).to_contain_text("Linked by hand")
    expect(row.locator(".blame")).to_contain_text("Linked by hand by ada")
    row.get_by_role("button", name=re.compile("^Unlink")).click()
    expect(row.locator(".blame")).to_contain_text("blames no deployment")


def test_filters_are_in_the_address_and_survive(page: Page) -> None:
    page.goto("/incidents?period=90")
    page.get_by_label("Severity", exact=True).first.select_option("sev1")
    page.wait_for_url("**severity=sev1*")
    page.get_by_role("group", name="State").get_by_role("link", name="Resolved").click()
    page.wait_for_url("**state=resolved*severity=sev1*")
    page.get_by_role("link", name="30 d", exact=True).click()
    page.wait_for_url("**period=30*state=resolved*")
    expect(page.get_by_label("Severity", exact=True).first).to_have_value("sev1")
    expect(page.locator(".incidents > li").filter(has_text="investigating")).to_have_count(0)


def test_updates_and_a_post_mortem_are_written_without_leaving_the_page(
    page: Page, fresh: str
) -> None:
    page.goto(f"/incidents/{fresh}")
    page.get_by_label("What is new").fill("It is the cache")
    page.get_by_label("State").select_option("identified")
    page.get_by_role("button", name="Say it").click()
    expect(page.locator(".story")).to_contain_text("It is the cache")
    page.get_by_text("Write it").click()
    page.get_by_label("Markdown").fill("# Why\n\nThe **cache**.")
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator(".prose h3")).to_have_text("Why")
    expect(page.locator(".prose strong")).to_have_text("cache")


def without_script(
    browser: Browser, cookies: list[dict[str, str]], base_url: str
) -> BrowserContext:
    """Open a browser in which no script runs."""
    context = browser.new_context(java_script_enabled=False, base_url=base_url)
    context.add_cookies(cookies)  # type: ignore[arg-type]
    return context


def test_without_script_incidents_are_read_and_linked(
    browser: Browser, session_cookies: list[dict[str, str]], base_url: str, fresh: str
) -> None:
    context = without_script(browser, session_cookies, base_url)
    page = context.new_page()
    page.goto("/incidents?period=7")
    row = page.locator(f"#{fresh}")
    row.locator("summary").click()
    row.get_by_role("button", name=re.compile("^Link")).first.click()
    expect(page.locator(f"#{fresh} .blame")).to_contain_text("Linked by hand by ada")
    context.close()


def test_without_script_a_text_is_tried_on_the_settings(
    browser: Browser, session_cookies: list[dict[str, str]], base_url: str
) -> None:
    context = without_script(browser, session_cookies, base_url)
    page = context.new_page()
    page.goto("/settings")
    card = page.get_by_role("region", name="How incidents are read")
    card.get_by_label("What begins one").fill("kaboom")
    card.get_by_label("Text", exact=True).fill("kaboom sev1")
    card.get_by_role("button", name="Try it").click()
    expect(page.locator("#tried")).to_contain_text("Begins an incident")
    expect(card.get_by_label("What begins one")).to_have_value("kaboom")
    context.close()


def test_keys_lead_to_incidents_and_settings(page: Page) -> None:
    page.goto("/delivery")
    for key, path in (("n", "/incidents"), ("s", "/settings")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**{path}")
