"""The export over the API: for admins, of their organisation alone, written down and limited."""

import json
from typing import Any

import pytest
from limits import parse

from bot.web.api import export
from tests.web.conftest import World


def rows(told: str) -> list[Any]:
    return [json.loads(line) for line in told.splitlines()]


async def test_an_admin_gets_everything_of_their_organisation_and_nothing_else(
    world: World,
) -> None:
    answer = await (await world.program("admin")).get("/api/v1/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["content-disposition"].startswith('attachment; filename="acme-2')
    assert answer.headers["cache-control"] == "no-store"
    head, *told = rows(answer.text)
    assert head["organization"] == {"id": "github:1", "login": "acme"}
    whose = {row["row"].get("organization_id") or "github:1" for row in told}
    assert whose == {"github:1"}
    assert {"deployments", "service_deployments", "workflow_runs", "users", "deliveries"} <= {
        row["table"] for row in told
    }
    assert "globex" not in answer.text.replace("both@example.org", "")
    assert "password" not in answer.text
    assert all("body" not in row["row"] for row in told if row["table"] == "deliveries")


async def test_who_exported_what_is_written_down(world: World) -> None:
    await (await world.program("admin")).get("/api/v1/export?deliveries=true")
    found = await world.rows(
        "select u.email, a.organization_id, a.detail from audit_log a"
        " join users u on u.id = a.user_id where action = 'export'"
    )
    assert found == [
        {
            "email": "admin@example.org",
            "organization_id": "github:1",
            "detail": "with what deliveries said",
        }
    ]


@pytest.mark.parametrize("who", ["viewer", "manager"])
async def test_others_do_not_export(world: World, who: str) -> None:
    assert (await (await world.program(who)).get("/api/v1/export")).status_code == 403
    assert await world.rows("select from audit_log where action = 'export'") == []


async def test_a_stranger_is_told_of_no_such_organisation(world: World) -> None:
    stranger = await world.program("stranger")
    answer = await stranger.get("/api/v1/export", params={"organization": "acme"})
    assert answer.status_code == 404


async def test_exports_of_an_organisation_are_limited(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "EXPORTS", parse("2 per hour"))
    admin = await world.program("admin")
    stranger = await world.program("stranger")
    answers = [(await admin.get("/api/v1/export")).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    assert (await stranger.get("/api/v1/export")).status_code == 200
