"""The History screen: how far each repository was read, what more costs, and ordering it."""

from datetime import timedelta

import pytest

from bot.web.pages import backfills
from models import ConnectionRepository
from models.store import remember
from models.syncing import Progress, advance_sync, begin_sync, finish_sync
from tests.web.conftest import AT, World
from tests.web.pages.screens import with_screens

HERE = "/settings/history"


@pytest.fixture
async def screens(world: World) -> World:
    opened = with_screens(world)
    opened.app.router.routes += backfills.routes()
    row = ConnectionRepository(
        id="github:installation:10:1",
        organization_id="github:1",
        changed_at=AT - timedelta(days=1),
        connection_id="github:installation:10",
        repository_id="github:repo:history",
        full_name="acme/history",
    )
    async with world.engine.begin() as db:
        await remember(db, [row])
    return opened


async def log(world: World, *, items: int, expected: int, error: str | None = None) -> None:
    place = '{"since": "2026-01-01T00:00:00Z"}'
    async with world.engine.begin() as db:
        number = await begin_sync(
            db, "github:1", "github", "backfill", repository_id="github:repo:history", cursor=place
        )
        await advance_sync(db, number, place, Progress(items, 7, 0, expected))
        if error:
            await finish_sync(db, number, error)


async def test_a_manager_sees_how_far_it_is_in_words(screens: World) -> None:
    await log(screens, items=30, expected=120)
    said = (await (await screens.signed_in("manager")).get(HERE)).text
    assert "acme/history" in said
    assert "30 of about 120 things by 7 requests" in said
    assert 'value="25"' in said
    assert "is being read" in said


async def test_what_failed_says_why_and_can_be_tried_again(screens: World) -> None:
    await log(screens, items=3, expected=9, error="GitHub would not tell.")
    manager = await screens.signed_in("manager")
    said = (await manager.get(HERE)).text
    assert "GitHub would not tell." in said
    assert "Try again" in said
    asked = {"repository": "github:repo:history", "days": "90"}
    answer = await manager.post(HERE, data=asked, headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 303
    (job,) = await screens.rows("select key, lane from jobs")
    assert job == {"key": "backfill:github:repo:history", "lane": "history"}
    assert "waits for its turn" in (await manager.get(HERE)).text


async def test_days_are_a_number_and_nobody_can_be_asked(screens: World) -> None:
    manager = await screens.signed_in("manager")
    for days in ("", "0", "x", "99999"):
        told = {"repository": "acme/history", "days": days}
        answer = await manager.get(f"{HERE}/cost", params=told)
        assert answer.status_code == 422
        assert "Say how many days" in answer.text
    told = {"repository": "acme/history", "days": "30"}
    assert "no installation" in (await manager.get(f"{HERE}/cost", params=told)).text
    elsewhere = await manager.get(f"{HERE}/cost", params={"repository": "other/x", "days": "3"})
    assert "no repository" in elsewhere.text


async def test_a_viewer_may_not_look(screens: World) -> None:
    assert (await (await screens.signed_in("viewer")).get(HERE)).status_code == 403
