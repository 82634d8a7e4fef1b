"""The forms of the People screen: whose an account is, and who is in which team."""

import re
from html import unescape
from typing import Any

import httpx
import pytest

from bot.web.pages import people, people_actions
from models import Identity, Team
from models.persons import persons
from models.store import remember
from tests.web.conftest import AT, World
from tests.web.pages.screens import with_screens

TEAM = "hand:ours"
FORMS: dict[str, dict[str, str]] = {
    "/people/same": {"person": "github:1/github:login:ben", "other": "ada"},
    "/people/apart": {"account": "github:1/slack:T1:U1"},
    "/people/by-email": {"account": "github:1/slack:T1:U1"},
    "/people/teams": {"name": "Blue"},
    "/people/teams/members": {"team": TEAM, "login": "ben"},
    "/people/teams/repositories": {"team": TEAM, "repository": "github:10"},
    f"/people/teams/{TEAM}": {"name": "Crimson"},
}
OF_ADMINS = [path for path in FORMS if not path.startswith("/people/teams")]


@pytest.fixture
async def screens(world: World) -> World:
    """Ada at GitHub and Slack, two others, a team by hand and one of GitHub; globex has both."""
    with_screens(world)
    world.app.router.routes += [*people_actions.routes(), *people.routes()]
    async with world.engine.begin() as db:
        rows = [
            identity("github:1", "github:login:ada", "ada@acme.example"),
            identity("github:1", "github:login:ben", None),
            identity("github:1", "slack:T1:U1", "ada@acme.example"),
            identity("github:1", "slack:T1:U2", None),
            identity("github:2", "github:login:eve", None),
            team("github:1", TEAM, "Red"),
            team("github:1", "github:team:7", "Web"),
            team("github:2", "hand:theirs", "Theirs"),
        ]
        await remember(db, rows)
    return world


def identity(organization: str, account: str, email: str | None) -> Identity:
    """Return an account."""
    return Identity(
        id=f"{organization}/{account}",
        organization_id=organization,
        changed_at=AT,
        source=account.partition(":")[0],
        account=account,
        name=None if account.startswith("github:") else account.rpartition(":")[2],
        email=email,
    )


def team(organization: str, key: str, name: str) -> Team:
    """Return a team without anybody in it."""
    source = key.partition(":")[0]
    shared: dict[str, Any] = {"organization_id": organization, "changed_at": AT}
    return Team(id=key, source=source, name=name, slug=name.lower(), **shared)


def words(markup: str) -> str:
    """Return what people read."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


async def who(world: World) -> dict[str, list[str]]:
    """Return acme's people with their accounts."""
    async with world.engine.begin() as db:
        found = await persons(db, "github:1")
    return {one.name: [each.account for each in one.accounts] for one in found.people}


async def written(world: World) -> list[str]:
    """Return what the audit log has of people and teams."""
    rows = await world.rows(
        "select action from audit_log where action like '%people' or action like '%team%'"
        " order by id"
    )
    return [row["action"] for row in rows]


async def refused(browser: httpx.AsyncClient, path: str, sent: dict[str, str]) -> str:
    """Send a form that is refused, and return what the screen says of it."""
    answer = await browser.post(path, data=sent)
    assert answer.status_code == 422, answer.text
    found = re.search(r'<p class="hint bad" role="alert">(.*?)</p>', answer.text, re.DOTALL)
    assert found
    return words(found[1])


def test_every_form_is_tried() -> None:
    patterns = {route.path for route in people_actions.routes()}
    assert {path.replace(TEAM, "{team}") for path in FORMS} == patterns


async def test_forms_are_for_whom_they_are_shown(screens: World) -> None:
    for role, kept_out in (("viewer", list(FORMS)), ("manager", OF_ADMINS)):
        browser = await screens.signed_in(role)
        for path in kept_out:
            assert (await browser.post(path, data=FORMS[path])).status_code == 403
    assert await written(screens) == []
    seen = {
        role: (await (await screens.signed_in(role)).get("/people")).text
        for role in ("viewer", "manager", "admin")
    }
    assert {role: ("Teams</h2>" in page) for role, page in seen.items()} == {
        "viewer": False,
        "manager": True,
        "admin": True,
    }
    assert [role for role, page in seen.items() if "Same person as" in page] == ["admin"]
    assert "acme.example" not in "".join(seen.values())


@pytest.mark.parametrize("path", FORMS)
async def test_forms_of_other_websites_are_refused(screens: World, path: str) -> None:
    browser = await screens.signed_in("admin")
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await browser.post(path, data=FORMS[path], headers=foreign)).status_code == 403
    assert await written(screens) == []


async def test_two_are_one_person_until_an_account_is_kept_apart(screens: World) -> None:
    browser = await screens.signed_in("admin")
    answer = await browser.post("/people/same?period=7", data=FORMS["/people/same"])
    assert answer.headers["location"] == "/people?period=7#who"
    assert (await who(screens))["ada"] == ["github:login:ada", "github:login:ben", "slack:T1:U1"]
    assert "Keep apart ben in GitHub" in words((await browser.get("/people")).text)
    ben = {"account": "github:1/github:login:ben"}
    await browser.post("/people/apart", data=ben)
    assert (await who(screens))["ben"] == ["github:login:ben"]
    assert "Let its e-mail decide ben in GitHub" in words((await browser.get("/people")).text)
    await browser.post("/people/by-email", data=ben)
    assert await screens.rows("select * from identity_merges") == []
    assert await written(screens) == ["merge_people", "merge_people", "unmerge_people"]


async def test_all_accounts_of_a_person_go_along(screens: World) -> None:
    browser = await screens.signed_in("admin")
    sent = {"person": "github:1/github:login:ada", "other": "ben"}
    assert (await browser.post("/people/same", data=sent)).status_code == 303
    assert len((await who(screens))["ada"]) == 3
    assert set(await who(screens)) == {"ada", "U2"}
    assert await written(screens) == ["merge_people"] * 2


@pytest.mark.parametrize(
    ("path", "sent", "says"),
    [
        ("/people/same", {"other": "eve"}, "There is nobody called 'eve'"),
        ("/people/same", {"other": ""}, "There is nobody called ''"),
        ("/people/same", {"other": "ben"}, "ben is the same person already."),
        ("/people/same", {"person": "github:2/github:login:eve"}, "There is no such person"),
        ("/people/apart", {"account": "github:2/github:login:eve"}, "There is no such account"),
        ("/people/by-email", {"account": "github:2/github:login:eve"}, "There is no such account"),
        ("/people/teams", {"name": " "}, "A team needs a name."),
        ("/people/teams", {"name": "x" * 101}, "The name may have 100"),
        ("/people/teams/members", {"login": "<b>"}, "'<b>' is no login of GitHub."),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_kept(
    screens: World, path: str, sent: dict[str, str], says: str
) -> None:
    browser = await screens.signed_in("admin")
    assert says in await refused(browser, path, FORMS[path] | sent)
    assert await written(screens) == []


async def test_a_team_is_made_filled_emptied_and_deleted(screens: World) -> None:
    browser = await screens.signed_in("manager")
    for path in FORMS:
        if path not in OF_ADMINS:
            assert (await browser.post(path, data=FORMS[path])).status_code == 303
    page = (await browser.get("/people")).text
    said = words(page)
    assert "Crimson by hand ben · acme/api" in said
    assert "Blue by hand nobody" in said
    assert "Web GitHub's nobody" in said
    assert page.count("Delete the team") == 2
    for sent in ({"login": "ben"}, {"repository": "github:10"}):
        form = {"name": "Crimson"} | sent
        assert (await browser.post(f"/people/teams/{TEAM}", data=form)).status_code == 303
    assert "Crimson by hand nobody Change" in words((await browser.get("/people")).text)
    await browser.post(f"/people/teams/{TEAM}", data={"name": "Crimson", "do": "delete"})
    assert "Crimson" not in (await browser.get("/people")).text
    assert await written(screens) == [
        *("make_team", "add_team_member", "add_team_repository", "change_team"),
        *("remove_team_member", "remove_team_repository", "delete_team"),
    ]


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/people/teams/github:team:7", {"name": "Mine"}, 409),
        ("/people/teams/github:team:7", {"do": "delete"}, 409),
        ("/people/teams/members", {"team": "github:team:7", "login": "ben"}, 409),
        ("/people/teams/hand:theirs", {"name": "Mine"}, 404),
        ("/people/teams/hand:theirs", {"do": "delete"}, 404),
        ("/people/teams/hand:theirs", {"login": "eve"}, 404),
        ("/people/teams/members", {"team": "hand:theirs", "login": "ben"}, 404),
        ("/people/teams/repositories", {"team": "hand:theirs", "repository": "github:10"}, 404),
        ("/people/teams/repositories", {"team": TEAM, "repository": "github:20"}, 404),
    ],
)
async def test_what_is_githubs_or_anothers_is_not_changed(
    screens: World, path: str, sent: dict[str, str], status: int
) -> None:
    browser = await screens.signed_in("admin")
    assert (await browser.post(path, data=sent)).status_code == status
    assert await written(screens) == []
    assert (
        await screens.rows("select 1 from team_members union select 1 from teams t where deleted")
        == []
    )
