"""`sync_teams`: GitHub's teams as it lists them, beside what its webhooks tell."""

from typing import Any

import pytest

from handlers.github.payloads import sync_teams
from models.queue import queue
from tests.fakes.github_told import INSTALLATION, installed
from tests.jobs.conftest import Desk

pytestmark = pytest.mark.store

CONNECTION = f"github:installation:{INSTALLATION}"


async def synced(desk: Desk) -> None:
    async with desk.rig.app.rest.state.engine.begin() as db:
        await queue(db, [sync_teams(CONNECTION)], None)
    await desk.rig.settle()


async def members(desk: Desk) -> list[tuple[Any, ...]]:
    rows = await desk.rig.ask(
        "select t.slug, m.login from team_members m join teams t on t.id = m.team_id"
        " where m.member and not t.deleted order by t.slug, m.login"
    )
    return [tuple(row.values()) for row in rows]


async def repositories(desk: Desk) -> list[tuple[Any, ...]]:
    rows = await desk.rig.ask(
        "select t.slug, o.repository_id from team_repositories o join teams t on t.id = o.team_id"
        " where o.owned and not t.deleted order by 1, 2"
    )
    return [tuple(row.values()) for row in rows]


@pytest.fixture
def granted(desk: Desk) -> Desk:
    desk.fake.permissions[INSTALLATION]["members"] = "read"
    return desk


async def test_an_installation_brings_the_teams_of_its_organisation(granted: Desk) -> None:
    granted.fake.teams = {
        "payments": (["Ada", "ben"], ["acme/api"]),
        "everybody": ([f"person-{number}" for number in range(250)], []),
    }
    await granted.tell(installed(granted.api))
    found = await members(granted)
    assert [pair for pair in found if pair[0] == "payments"] == [
        ("payments", "ada"),
        ("payments", "ben"),
    ]
    assert len(found) == 252
    assert await repositories(granted) == [("payments", "github:1")]
    assert len(granted.fake.asked("/teams/everybody/members")) == 3


async def test_what_github_lists_no_more_has_ended(granted: Desk) -> None:
    granted.fake.teams = {"payments": (["ada", "ben"], ["acme/api"]), "web": (["cleo"], [])}
    await synced(granted)
    granted.fake.teams = {"payments": (["ben", "dan"], [])}
    await synced(granted)
    assert await members(granted) == [("payments", "ben"), ("payments", "dan")]
    assert await repositories(granted) == []


async def test_without_the_permission_it_is_said_which_is_missing(desk: Desk) -> None:
    desk.fake.permissions[INSTALLATION].pop("members", None)
    desk.fake.teams = {"payments": (["ada"], [])}
    await synced(desk)
    rows = await desk.rig.ask("select error from jobs where name = 'sync_teams'")
    assert "needs the permission members: read" in rows[-1]["error"]
    assert await members(desk) == []
