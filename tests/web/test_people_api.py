"""Teams by hand, persons and their accounts, and the privacy setting over the API."""

from typing import Any

import pytest

from models import Connection, Identity, Team
from models.store import remember
from tests.web.conftest import AT, World

pytestmark = pytest.mark.store

API = "/api/v1"


async def asked(world: World, who: str, method: str, path: str, body: Any = None) -> Any:
    client = await world.program(who)
    return await client.request(method, API + path, json=body)


async def known(world: World, *identities: tuple[str, str | None]) -> None:
    async with world.engine.begin() as db:
        rows = [
            Identity(
                id=f"github:1/{account}",
                organization_id="github:1",
                changed_at=AT,
                source=account.partition(":")[0],
                account=account,
                email=email,
                name=account.rpartition(":")[2].title(),
                bot="[bot]" in account,
            )
            for account, email in identities
        ]
        await remember(db, rows)


async def people(world: World) -> dict[str, list[str]]:
    told = (await asked(world, "viewer", "GET", "/people")).json()
    return {one["name"]: [each["account"] for each in one["accounts"]] for one in told["items"]}


async def test_a_team_is_made_changed_and_deleted_by_hand(world: World) -> None:
    made = await asked(world, "manager", "POST", "/teams", {"name": "Red", "members": ["Ada"]})
    assert made.status_code == 200, made.text
    key = made.json()["id"]
    assert key.startswith("hand:")
    for path in (f"/teams/{key}/members/ben", f"/teams/{key}/repositories/acme%2Fapi"):
        assert (await asked(world, "manager", "PUT", path)).status_code == 200
    told = (await asked(world, "viewer", "GET", "/teams")).json()["items"]
    assert [(one["name"], one["members"], one["repositories"]) for one in told] == [
        ("Red", ["ada", "ben"], ["github:10"])
    ]
    await asked(world, "manager", "DELETE", f"/teams/{key}/members/ada")
    await asked(world, "manager", "DELETE", f"/teams/{key}/repositories/github:10")
    changed = await asked(world, "manager", "PUT", f"/teams/{key}", {"name": "Crimson"})
    assert (changed.json()["members"], changed.json()["repositories"]) == (["ben"], [])
    assert (await asked(world, "manager", "DELETE", f"/teams/{key}")).status_code == 204
    assert (await asked(world, "viewer", "GET", "/teams")).json()["items"] == []
    log = await world.rows("select action from audit_log where action like '%team%' order by id")
    assert [row["action"] for row in log] == [
        *("make_team", "add_team_member", "add_team_repository", "remove_team_member"),
        *("remove_team_repository", "change_team", "delete_team"),
    ]


async def test_a_team_of_github_is_changed_at_github(world: World) -> None:
    shared = {"organization_id": "github:1", "changed_at": AT, "source": "github"}
    async with world.engine.begin() as db:
        await remember(db, [Team(id="github:team:7", name="Web", slug="web", **shared)])
    answer = await asked(world, "admin", "PUT", "/teams/github:team:7/members/ada")
    assert (answer.status_code, "GitHub's" in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status"),
    [
        ("viewer", "POST", "/teams", {"name": "Red"}, 403),
        ("viewer", "POST", "/teams/sync", None, 403),
        ("manager", "PUT", "/people/github:1%2Fgithub:login:ada/merge", {"person": "x"}, 403),
        ("manager", "PUT", "/organizations/github:1/privacy", {"per_person": "team"}, 403),
        ("admin", "PUT", "/organizations/github:1/privacy", {"per_person": "all"}, 422),
        ("stranger", "PUT", "/organizations/github:1/privacy", {"per_person": "team"}, 404),
        ("admin", "PUT", "/teams/hand:none/members/ada", None, 404),
        ("admin", "PUT", "/people/nobody/merge", {"person": "x"}, 404),
        ("admin", "DELETE", "/people/nobody/merge", None, 404),
        ("manager", "POST", "/teams", {"name": "Red", "members": ["a b"]}, 422),
    ],
)
async def test_who_may_not_or_means_nothing_is_told(
    world: World, who: str, method: str, path: str, body: Any, status: int
) -> None:
    assert (await asked(world, who, method, path, body)).status_code == status


async def test_teams_of_another_organisation_are_not_found(world: World) -> None:
    made = await asked(world, "stranger", "POST", "/teams", {"name": "Theirs"})
    key = made.json()["id"]
    assert (await asked(world, "admin", "PUT", f"/teams/{key}/members/ada")).status_code == 404
    answer = await asked(world, "admin", "GET", f"/metrics/development/throughput?team_id={key}")
    assert answer.status_code == 404


async def test_a_sync_asks_every_active_installation(world: World) -> None:
    told = await asked(world, "manager", "POST", "/teams/sync")
    assert told.json() == {"queued": 1}
    assert await world.rows("select name, key from jobs") == [
        {"name": "sync_teams", "key": "sync_teams:github:installation:10"}
    ]
    async with world.engine.begin() as db:
        gone = Connection(
            id="github:installation:10",
            organization_id="github:1",
            changed_at=AT,
            rank=3,
            source="github",
            external_id="10",
            account_login="acme",
            state="deleted",
        )
        await remember(db, [gone])
    assert (await asked(world, "manager", "POST", "/teams/sync")).json() == {"queued": 0}


async def test_accounts_of_one_address_are_one_person(world: World) -> None:
    await known(
        world,
        ("github:login:ada", "ada@acme.example"),
        ("slack:T1:U1", "ada@acme.example"),
        ("linear:u1", "ada@acme.example"),
        ("github:login:ben", None),
        ("slack:T1:U2", None),
        ("slack:T1:B1[bot]", "ada@acme.example"),
    )
    found = await people(world)
    assert found["ada"] == ["github:login:ada", "linear:u1", "slack:T1:U1"]
    assert found["ben"] == ["github:login:ben"]
    assert len(found) == 3
    told = (await asked(world, "viewer", "GET", "/people")).json()
    assert [bot["account"] for bot in told["bots"]] == ["slack:T1:B1[bot]"]
    assert "acme.example" not in str(told)


async def test_what_an_admin_says_wins_over_addresses(world: World) -> None:
    await known(
        world,
        ("github:login:ada", "shared@acme.example"),
        ("github:login:ben", "shared@acme.example"),
        ("slack:T1:U2", None),
    )
    assert (await people(world)) == {
        "ada": ["github:login:ada", "github:login:ben"],
        "U2": ["slack:T1:U2"],
    }
    ben = "github:1%2Fgithub:login:ben/merge"
    apart = {"person": "github:1/github:login:ben"}
    assert (await asked(world, "admin", "PUT", f"/people/{ben}", apart)).status_code == 200
    slack = "github:1%2Fslack:T1:U2/merge"
    await asked(world, "admin", "PUT", f"/people/{slack}", apart)
    assert (await people(world)) == {
        "ada": ["github:login:ada"],
        "ben": ["github:login:ben", "slack:T1:U2"],
    }
    await asked(world, "admin", "DELETE", f"/people/{ben}")
    await asked(world, "admin", "DELETE", f"/people/{slack}")
    assert len(await people(world)) == 2
    log = await world.rows("select count(*) from audit_log where action like '%merge_people'")
    assert log == [{"count": 4}]


async def test_the_setting_is_self_only_until_an_admin_chooses(world: World) -> None:
    path = "/organizations/github:1/privacy"
    assert (await asked(world, "viewer", "GET", path)).json() == {"per_person": "self_only"}
    chosen = await asked(world, "admin", "PUT", path, {"per_person": "team"})
    assert chosen.json() == {"per_person": "team"}
    assert (await asked(world, "viewer", "GET", path)).json() == {"per_person": "team"}
