"""The Pull requests and People screens: what they say of groups, and of single people to whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from bot.web.pages import people, pull_requests
from bot.web.svg import Caption
from bot.web.whiskers import Whisker, whiskers
from models import Identity, Team, TeamMember
from models.metrics.privacy import choose_setting
from tests.models.metrics.development_rows import keep_pull_requests, pull_request
from tests.web.conftest import World
from tests.web.pages.screens import with_screens

NOW = datetime.now(UTC).replace(microsecond=0)
LOGINS = ("viewer-login", "bennet", "cleopatra", "danica", "evelyn")


@pytest.fixture
async def screens(world: World) -> World:
    """Six merged pull requests of five people, one that is open, and one of a bot."""
    with_screens(world)
    world.app.router.routes += [*pull_requests.routes(), *people.routes()]
    ours: dict[str, Any] = {"organization_id": "github:1", "repository_id": "github:10"}
    day = NOW - timedelta(days=3)
    rows = [
        change(hours, day, author_login=login, **ours)
        for hours, login in zip((2, 4, 6, 8, 10, 12), (*LOGINS, "bennet"), strict=True)
    ]
    rows.append(change(1, day, author_login="renovate[bot]", cohort="bots", **ours))
    rows.append(pull_request(NOW - timedelta(hours=30), author_login="cleopatra", **ours))
    async with world.engine.begin() as db:
        await keep_pull_requests(db, rows)
        for login in LOGINS:
            account = f"github:login:{login}"
            told = {"id": f"github:1/{account}", "source": "github", "account": account}
            email = "viewer@example.org" if login == "viewer-login" else f"{login}@example.org"
            row = {**told, "organization_id": "github:1", "email": email, "name": None}
            await db.execute(insert(Identity), [row])
    return world


def change(hours: float, opened: datetime, **told: Any) -> dict[str, Any]:
    """Return a pull request that was reviewed after half its hours and merged after them all."""
    half, whole = opened + timedelta(hours=hours / 2), opened + timedelta(hours=hours)
    return pull_request(opened, first_review_at=half, merged_at=whole, **told)


async def read(screens: World, who: str, path: str, status: int = 200) -> str:
    """Return a page as somebody sees it."""
    browser = await screens.signed_in(who)
    answer = await browser.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


async def test_the_medians_are_shown_with_how_many_they_are_of(screens: World) -> None:
    page = await read(screens, "viewer", "/pull-requests?period=7")
    assert '<p class="value" title="3 h 30 min 0 s; p75' in page
    assert '<p class="value" title="7 h 0 min 0 s; p75' in page
    assert page.count("6 pull requests</a>") == 3
    assert "1 wait for a reviewer" in page
    assert "renovate" not in page


async def test_who_wrote_what_is_told_to_themselves_alone(screens: World) -> None:
    page = await read(screens, "manager", "/pull-requests?period=7")
    assert not [login for login in LOGINS if login in page]
    rows = await read(screens, "admin", "/pull-requests/pr-merge-time.csv?period=7")
    assert rows.count("acme/api") > 5
    assert not [login for login in LOGINS if login in rows]
    own = await read(screens, "viewer", "/pull-requests/pr-merge-time.csv?period=7")
    assert own.count("viewer-login") == 1
    assert "bennet" not in own


async def test_too_few_people_are_no_group(screens: World) -> None:
    await screens.rows("delete from pull_request_times where author_login = 'evelyn'")
    page = await read(screens, "admin", "/pull-requests?period=7")
    assert "Fewer than 5 active people" in page
    assert "3 h 30" not in page
    rows = await read(screens, "admin", "/pull-requests/pr-merge-time.csv?period=7")
    assert len(rows.splitlines()) == 1


@pytest.mark.parametrize("metric", ["pr-review-time", "pr-merge-time", "cycle-time", "throughput"])
async def test_each_number_explains_itself(screens: World, metric: str) -> None:
    page = await read(screens, "viewer", f"/pull-requests/explain/{metric}?period=7")
    assert f'href="/pull-requests/{metric}.csv?' in page
    assert '<p class="crumb"><a href="/pull-requests?' in page


async def test_there_is_no_other_metric(screens: World) -> None:
    for path in ("/pull-requests/explain/lines-of-code", "/pull-requests/lines-of-code.csv"):
        assert "There is no metric" in await read(screens, "viewer", path, 404)


async def test_people_are_listed_by_name_and_only_ones_own_page_is_linked(screens: World) -> None:
    page = await read(screens, "viewer", "/people?period=7")
    assert page.index("bennet") < page.index("cleopatra") < page.index("viewer-login")
    assert page.count('<a href="/people/') == 1
    assert "viewer-login</a> (you)" in page


async def test_a_person_sees_their_own_figures_beside_the_groups(screens: World) -> None:
    page = await read(screens, "viewer", "/people/github:1/github:login:viewer-login?period=7")
    assert '<td title="2 h 0 min 0 s, of 1">2 h</td><td>7 h</td>' in page
    assert '<td title="1 in the period">1</td><td>1.2</td>' in page
    assert "<span>opened <a" in page
    assert "Only you see this page" in page


@pytest.mark.parametrize("who", ["viewer", "manager", "admin"])
async def test_nobody_sees_the_page_of_somebody_else(screens: World, who: str) -> None:
    for person in ("github:1/github:login:bennet", "github:1/github:login:nobody-at-all"):
        page = await read(screens, who, f"/people/{person}", 403)
        assert "shown to themselves alone" in page


async def test_the_parts_of_repositories_and_teams_follow_the_rest_of_the_screen(
    screens: World,
) -> None:
    shown = await read(screens, "viewer", "/pull-requests?period=7")
    assert 'hx-get="/pull-requests/groups?period=7"' in shown
    assert 'href="/pull-requests/groups?period=7' in shown
    assert "By repository, in full" not in shown
    whole = await read(screens, "viewer", "/pull-requests/groups?period=7")
    assert "By repository, in full" in whole
    browser = await screens.signed_in("viewer")
    answer = await browser.get("/pull-requests/groups?period=7", headers={"hx-request": "true"})
    assert answer.text.lstrip().startswith('<div id="groups"')
    row = answer.text.partition("<tbody>")[2].partition("</tr>")[0]
    assert "<td>6</td>" in row
    assert "3.5 h" in row


async def test_a_team_sees_its_own_where_the_organisation_chose_so(screens: World) -> None:
    ours = {"organization_id": "github:1"}
    team = {"id": "t", "source": "hand", "name": "Shop", "slug": "shop", **ours}
    async with screens.engine.begin() as db:
        await db.execute(insert(Team), [team])
        for login in ("viewer-login", "bennet"):
            row = {"id": f"t:{login}", "team_id": "t", "login": login, **ours}
            await db.execute(insert(TeamMember), [row])
        await choose_setting(db, "github:1", "team")
    assert "bennet" in await read(
        screens, "viewer", "/people/github:1/github:login:bennet?period=7"
    )
    await read(screens, "viewer", "/people/github:1/github:login:cleopatra", 403)
    await read(screens, "manager", "/people/github:1/github:login:bennet", 403)
    page = await read(screens, "viewer", "/people?period=7&team=t")
    assert "cleopatra" not in page


def test_a_whisker_reaches_from_the_median_to_the_slow_ones() -> None:
    rows = [Whisker("Coding", 3600, 7200), Whisker("Review", None, None)]
    drawn = whiskers(Caption("k", "Stages", "What took how long."), rows, "Stage")
    assert drawn.rows == (("Coding", "60 min", "2 h"), ("Review", "–", "–"))
    assert 'width="50%"' in drawn.svg
    assert 'x2="100%"' in drawn.svg
