"""The Builds screen: what it shows, to whom, with which filters, and what a manager changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.web.pages import builds
from tests.models.metrics.builds_rows import build, keep_builds
from tests.web.conftest import World
from tests.web.pages.screens import with_screens

NOW = datetime.now(UTC).replace(microsecond=0)
OURS: dict[str, Any] = {"organization_id": "github:1", "repository_id": "github:10"}
IOS = {"workflow_id": "github:w10", "workflow": "iOS app", "platform": "ios"}


@pytest.fixture
async def screens(world: World) -> World:
    """Twelve builds of acme's: some of an app, one of a bot, one called off; one of globex."""
    with_screens(world)
    world.app.router.routes += builds.routes()
    day = NOW - timedelta(days=3)
    rows = [
        *(build(day + timedelta(minutes=n), minutes=10, **OURS, **IOS) for n in range(6)),
        build(day, "failure", minutes=30, failure="Compile", annotation="no Basket", **OURS, **IOS),
        *(build(day, "failure", minutes=2, failure="Lint", **OURS) for _ in range(2)),
        build(day, "cancelled", **OURS),
        build(day, actor_login="renovate[bot]", attempts=2, flaky=True, **OURS),
        build(None, None, started_at=NOW - timedelta(minutes=1), branch="still", **OURS),
        build(day, organization_id="github:2", repository_id="github:20", branch="of-globex"),
        build(day - timedelta(days=7), "failure", minutes=5, **OURS, **IOS),
    ]
    async with world.engine.begin() as db:
        await keep_builds(db, rows)
    return world


async def read(screens: World, who: str, path: str, status: int = 200) -> str:
    """Return a page as somebody sees it."""
    browser = await screens.signed_in(who)
    answer = await browser.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


async def test_the_cards_say_how_many_builds_they_are_of(screens: World) -> None:
    page = await read(screens, "viewer", "/builds?period=7")
    assert (
        '<p class="value" title="7 passed, 3 failed, 0 timed out; 1 cancelled or skipped">' in page
    )
    assert "70 %" in page
    assert page.count(">10 builds</a>") == 4
    assert "of-globex" not in page
    assert "running</span>" in page


async def test_a_change_of_few_builds_is_grey(screens: World) -> None:
    page = await read(screens, "viewer", "/builds?period=7")
    card = page.partition('aria-labelledby="build-p90"')[2].partition("</article>")[0]
    assert 'class="change none"' in card
    assert "vs previous 7 days" in card


async def test_builds_of_bots_and_those_called_off_stand_apart(screens: World) -> None:
    page = await read(screens, "viewer", "/builds?period=7")
    said = "6 passed, 1 started by bots, 3 failed, 1 cancelled or skipped, per day."
    assert said in page


async def test_a_platform_narrows_everything_and_stays_in_every_link(screens: World) -> None:
    page = await read(screens, "viewer", "/builds?period=7&platform=ios")
    assert "6 passed, 1 failed" in page
    assert "Lint" not in page
    assert 'href="/builds?period=30&amp;platform=ios"' in page
    assert '<input type="hidden" name="platform" value="ios">' in page
    assert 'href="/builds/explain/duration?period=7&amp;platform=ios"' in page
    assert 'hx-get="/builds?period=7&amp;platform=ios"' in page
    page = await read(screens, "viewer", "/builds?period=7&platform=android")
    assert "No workflow builds for Android yet" in page
    assert '<p class="value" title="0 passed' in page
    assert "No build passed or failed from" in page


async def test_another_word_is_no_platform(screens: World) -> None:
    browser = await screens.signed_in("viewer")
    for path in ("/builds", "/builds/explain/duration", "/builds/duration.csv"):
        answer = await browser.get(f"{path}?platform=toaster")
        assert answer.status_code == 422
        assert "is neither" in answer.text


@pytest.mark.parametrize("metric", ["success-rate", "duration", "frequency"])
async def test_each_number_explains_itself_and_gives_its_rows(screens: World, metric: str) -> None:
    page = await read(screens, "viewer", f"/builds/explain/{metric}?period=7&platform=ios")
    assert f'href="/builds/{metric}.csv?period=7&amp;platform=ios"' in page
    assert "all repositories, builds for iOS" in page
    assert "7</a> of 7" in page
    rows = await read(screens, "viewer", f"/builds/{metric}.csv?period=7&platform=ios")
    assert len(rows.splitlines()) == 8
    assert "ada" not in rows
    everything = await read(screens, "viewer", f"/builds/{metric}.csv?period=7")
    assert len(everything.splitlines()) == 12
    assert "of-globex" not in everything


async def test_there_is_no_other_metric(screens: World) -> None:
    for path in ("/builds/explain/heroism", "/builds/heroism.csv"):
        assert "There is no metric" in await read(screens, "viewer", path, 404)


async def test_an_empty_screen_names_the_one_next_step(screens: World) -> None:
    page = await read(screens, "viewer", "/builds?period=7&repository=acme/web")
    assert "No build has come yet" in page
    assert "Run one in acme/web" in page
    await screens.rows("delete from repositories")
    page = await read(screens, "viewer", "/builds")
    assert "Nothing is connected yet" in page
    assert "No build has come yet</h2>" not in page


async def test_a_manager_says_what_a_workflow_builds(screens: World) -> None:
    browser = await screens.signed_in("manager")
    form = {"workflow": "github:w10", "platform": "android"}
    answer = await browser.post("/builds/platform?period=7", data=form)
    assert answer.headers["location"] == "/builds?period=7#latest"
    said = "select workflow_id, organization_id, platform from workflow_platforms"
    mine = {"workflow_id": "github:w10", "organization_id": "github:1"}
    assert await screens.rows(said) == [mine | {"platform": "android"}]
    [job] = await screens.rows("select name, arguments, organization_id from jobs")
    assert job["name"] == "measure_builds"
    assert job["arguments"] == {"repository": "github:10", "workflow": "github:w10"}
    [noted] = await screens.rows("select detail from audit_log where action like 'set_work%'")
    assert noted["detail"] == "CI (github:w10): android"
    await browser.post("/builds/platform", data=form | {"platform": "automatic"})
    assert await screens.rows(said) == []


@pytest.mark.parametrize(
    "form",
    [
        {"workflow": "github:w20", "platform": "ios"},
        {"workflow": "github:w10", "platform": "toaster"},
        {"workflow": "github:w10", "platform": ""},
        {},
    ],
)
async def test_what_is_not_ours_or_no_platform_is_refused(
    screens: World, form: dict[str, str]
) -> None:
    answer = await (await screens.signed_in("manager")).post("/builds/platform", data=form)
    assert answer.status_code == 409
    assert 'role="alert"' in answer.text
    assert await screens.rows("select from workflow_platforms") == []
    assert await screens.rows("select from jobs") == []


async def test_a_viewer_neither_sees_the_form_nor_may_send_it(screens: World) -> None:
    assert 'action="/builds/platform' not in await read(screens, "viewer", "/builds?period=7")
    assert 'action="/builds/platform' in await read(screens, "manager", "/builds?period=7")
    form = {"workflow": "github:w10", "platform": "ios"}
    answer = await (await screens.signed_in("viewer")).post("/builds/platform", data=form)
    assert answer.status_code == 403


async def test_the_part_that_changes_is_sent_alone(screens: World) -> None:
    browser = await screens.signed_in("viewer")
    answer = await browser.get("/builds?period=7", headers={"hx-request": "true"})
    assert "<html" not in answer.text
    assert 'id="figures"' in answer.text
    assert 'id="pulse"' in answer.text
