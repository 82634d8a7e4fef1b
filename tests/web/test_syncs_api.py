"""Synchronisations over the API: who may start them, what is refused, and what is listed."""

from typing import Any

import pytest
from sqlalchemy import text

from bot.connectors import CONNECTORS
from tests.web.conftest import World

pytestmark = pytest.mark.store

LOG = """
    insert into sync_logs (organization_id, source, name, repository_id, state, items, calls,
                           missed, started_at, finished_at, error)
    values (:home, :source, :name, :repository, :state, 7, 2, 1,
            now() - make_interval(mins => :ago), now(), :error)
"""


async def logged(world: World, home: str = "github:1", **told: Any) -> None:
    bound = {"source": "github", "name": "prs", "repository": None, "state": "done", "ago": 5}
    async with world.engine.begin() as db:
        await db.execute(text(LOG), {**bound, "error": None, "home": home, **told})


async def trigger(
    world: World, who: str = "manager", path: str = "/sync/trigger", **body: Any
) -> Any:
    program = await world.program(who)
    return await program.post(f"/api/v1{path}", json=body)


async def jobs(world: World) -> list[tuple[Any, ...]]:
    rows = await world.rows("select name, organization_id, arguments, lane from jobs order by name")
    return [tuple(row.values()) for row in rows]


async def test_everything_that_is_connected_is_read(world: World) -> None:
    answer = await trigger(world)
    assert answer.status_code == 202
    assert [each["job"] for each in answer.json()["items"]] == [
        "sync_github_repos", "sync_github_prs", "sync_github_actions",
    ]  # fmt: skip
    assert [job[1:] for job in await jobs(world)] == [("github:1", {}, "sync")] * 3
    again = await trigger(world)
    assert again.status_code == 202
    assert again.json()["status"] == "running"
    assert {each["status"] for each in again.json()["items"]} == {"running"}
    assert len(await jobs(world)) == 3


async def test_a_part_or_a_repository_is_read_alone(world: World) -> None:
    answer = await trigger(world, source="github", part="prs", full=True)
    assert [each["part"] for each in answer.json()["items"]] == ["prs"]
    answer = await trigger(world, repo_id="acme/api")
    assert [each["job"] for each in answer.json()["items"]] == ["sync_source"]
    answer = await trigger(world, path="/connectors/github/sync", part="repos")
    assert answer.status_code == 202
    assert [(job[0], job[2]) for job in await jobs(world)] == [
        ("sync_github_prs", {"full": True}),
        ("sync_github_repos", {}),
        ("sync_source", {"source": "github", "part": "all", "repository": "github:10"}),
    ]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"source": "jira"}, 422, "There is no source 'jira': it is one of github, linear, slack."),
        ({"source": "github", "part": "stars"}, 422, "github has no part 'stars'"),
        ({"source": "linear"}, 409, "Linear is not connected."),
        ({"repo_id": "globex/api"}, 404, "There is no repository 'globex/api'"),
        ({"repo_id": "acme/api", "source": "slack"}, 422, "one of github, not of slack"),
        ({"sources": "github"}, 422, "There is no such parameter."),
    ],
)
async def test_what_cannot_be_read_is_refused_in_words(
    world: World, body: dict[str, Any], status: int, says: str
) -> None:
    answer = await trigger(world, **body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert await jobs(world) == []


async def test_where_nothing_is_connected_nothing_is_read(world: World) -> None:
    async with world.engine.begin() as db:
        await db.execute(text("update connections set state = 'suspended'"))
    answer = await trigger(world)
    assert (answer.status_code, answer.json()["detail"]) == (409, "No source is connected.")


async def test_viewers_see_and_do_not_start(world: World) -> None:
    assert (await trigger(world, "viewer")).status_code == 403
    assert (await trigger(world, "viewer", "/connectors/github/sync")).status_code == 403
    program = await world.program("viewer")
    assert (await program.get("/api/v1/sync/status")).status_code == 200
    assert (await program.get("/api/v1/sync/logs")).status_code == 200
    assert (await (await world.browser()).get("/api/v1/sync/status")).status_code == 401


async def test_the_status_tells_of_every_source_and_part(world: World) -> None:
    await logged(world, ago=60, state="failed", error="GitHub refused it.")
    await logged(world, ago=5)
    await logged(world, name="repos", state="running")
    await logged(world, "github:2", name="actions")
    program = await world.program("viewer")
    told = (await program.get("/api/v1/sync/status")).json()["items"]
    assert [each["source"] for each in told] == list(CONNECTORS)
    github, linear = told[0], told[1]
    assert (github["state"], github["accounts"]) == ("running", ["acme"])
    parts = [(each["part"], each["state"], each["items"]) for each in github["parts"]]
    assert parts == [("prs", "done", 7), ("repos", "running", 7)]
    assert [each["missed"] for each in github["parts"]] == [1, 1]
    assert 299 < github["parts"][0]["duration_seconds"] < 330
    assert github["next_run_at"]
    assert github["next_full_at"]
    assert github["readable"] == ["repos", "prs", "actions"]
    assert (linear["state"], linear["next_run_at"]) == ("absent", None)


async def test_logs_are_paged_and_ones_own(world: World) -> None:
    for number in range(5):
        await logged(world, ago=number)
    await logged(world, repository="github:10", name="backfill", ago=50)
    await logged(world, source="slack", name="T1", ago=60)
    await logged(world, "github:2")
    program = await world.program("viewer")
    seen, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await program.get("/api/v1/sync/logs", params=query)).json()
        seen += [(each["source"], each["part"], each["repository"]) for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    expected = [("github", "prs", None)] * 5
    assert seen == [*expected, ("github", "backfill", "acme/api"), ("slack", "T1", None)]
    only = (await program.get("/api/v1/sync/logs", params={"repo_id": "acme/api"})).json()
    assert [each["part"] for each in only["items"]] == ["backfill"]
    only = (await program.get("/api/v1/sync/logs", params={"source": "slack"})).json()
    assert [each["part"] for each in only["items"]] == ["T1"]
