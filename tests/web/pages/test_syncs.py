"""The Synchronisation screen: sources, what was missed, what was read, and starting it."""

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest
from sqlalchemy import text

from bot.web.pages import syncs
from bot.web.pages.syncs_view import missed_days
from models.recovering import RecoveredDay
from tests.web.conftest import World
from tests.web.test_syncs_api import logged

pytestmark = pytest.mark.store


@pytest.fixture
def screens(world: World) -> World:
    world.app.router.routes += syncs.routes()
    return world


def words(markup: str) -> str:
    """Return what people read, but for how long ago things were: a second may pass meanwhile."""
    text = re.sub(r"<time[^>]*>[^<]*</time>", "then", markup)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_what_was_missed_is_said_day_by_day() -> None:
    tuesday, monday, sunday = (date(2026, 11, day) for day in (17, 16, 15))
    found = [
        ("2026-11-17", "deployment_statuses", "github", 2),
        ("2026-11-17", "workflow_runs", "github", 1),
        ("2026-11-16", "linear_issues", "linear", 1),
    ]
    recovered = [
        RecoveredDay(tuesday, "workflow_run", 2),
        RecoveredDay(tuesday, "push", 1),
        RecoveredDay(monday, "delivery", 1),
        RecoveredDay(sunday, "push", 2),
    ]
    assert [each.says for each in missed_days(found, recovered)] == [
        "3 deliveries were missed on Tuesday 17 November: 2 workflow runs, 1 push – brought"
        " back from GitHub’s delivery log.",
        "3 things were missed on Tuesday 17 November: 2 deployment statuses, 1 workflow run – found"
        " by a sync of GitHub.",
        "1 delivery was missed on Monday 16 November: 1 delivery – brought back from GitHub’s"
        " delivery log.",
        "1 thing was missed on Monday 16 November: 1 linear issue – found by a sync of Linear.",
        "2 deliveries were missed on Sunday 15 November: 2 pushes – brought back from GitHub’s"
        " delivery log.",
    ]


async def test_viewers_do_not_see_it(screens: World) -> None:
    browser = await screens.signed_in("viewer")
    for method, path in (("GET", ""), ("POST", "/check/github"), ("POST", "/read/github")):
        answer = await browser.request(method, f"/settings/sync{path}")
        assert answer.status_code == 403, path
    assert await screens.rows("select 1 from jobs where name like 'sync%'") == []


async def test_it_shows_sources_what_was_missed_and_what_was_read(screens: World) -> None:
    await logged(screens)
    await logged(screens, name="actions", state="failed", error="GitHub <refused> it.")
    await logged(screens, "github:2", name="of-another")
    now = datetime.now(UTC)
    async with screens.engine.begin() as db:
        news = (
            "insert into missed_news (id, organization_id, source, what, thing_id, changed_at)"
            " values ('a', 'github:1', 'github', 'pull_requests', 'x', :at),"
            " ('b', 'github:2', 'github', 'reviews', 'y', :at)"
        )
        await db.execute(text(news), {"at": now - timedelta(hours=30)})
    browser = await screens.signed_in("manager")
    answer = await browser.get("/settings/sync")
    assert answer.status_code == 200
    shown = words(answer.text)
    assert "GitHub acme" in shown
    assert "the last reading failed" in shown
    assert "prs : 7 things" in shown
    assert "GitHub <refused> it." in shown
    assert "1 thing was missed on" in shown
    assert ": 1 pull request – found by a sync of GitHub." in shown
    assert "review" not in shown
    assert "of-another" not in shown
    assert "Linear not connected" in shown
    part = await browser.get("/settings/sync", headers={"hx-request": "true"})
    assert part.status_code == 200
    assert part.text.strip().startswith('<div id="state"')
    assert words(part.text) in shown


async def test_a_source_is_read_now(screens: World) -> None:
    browser = await screens.signed_in("manager")
    answer = await browser.post("/settings/sync/read/github")
    assert answer.status_code == 303
    shown = words((await browser.get(answer.headers["location"])).text)
    assert "GitHub is being read." in shown
    rows = await screens.rows("select name from jobs where name like 'sync%' order by name")
    assert [row["name"] for row in rows] == [
        "sync_github_actions", "sync_github_prs", "sync_github_repos",
    ]  # fmt: skip
    (noted,) = await screens.rows("select detail from audit_log where action = 'synchronise'")
    assert noted["detail"] == "github"
    answer = await browser.post("/settings/sync/read/slack")
    assert answer.status_code == 409
    assert "Slack is not connected." in answer.text


async def test_a_source_is_checked_now(screens: World) -> None:
    browser = await screens.signed_in("manager")
    answer = await browser.post("/settings/sync/check/linear")
    assert "No workspace of Linear is connected." in answer.text
    assert (await browser.post("/settings/sync/check/jira")).status_code == 404


async def test_forms_of_other_websites_are_refused(screens: World) -> None:
    browser = await screens.signed_in("admin")
    foreign = {"sec-fetch-site": "cross-site"}
    for path in ("check", "read"):
        answer = await browser.post(f"/settings/sync/{path}/github", headers=foreign)
        assert answer.status_code == 403
