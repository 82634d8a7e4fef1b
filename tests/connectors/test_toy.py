"""A fourth source: one module that asks it, one of handlers, and a line. Nothing else knows it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.connectors import CONNECTORS
from bot.connectors.protocol import Connector
from bot.jobs.schedule import queue_syncs
from bot.web.api import endpoints
from models.chat import keep_connection_secret
from models.organizations import Connection, Organization
from models.store import remember
from tests.connectors import toy_client as toy
from tests.connectors.toy_handlers import toy as handlers
from tests.fakes.serving import serving
from tests.rig import Rig

pytestmark = pytest.mark.store

HOME = "github:9"
NOW = datetime.now(UTC)


def card(number: int, hours: float, title: str = "A card") -> dict[str, Any]:
    at = NOW - timedelta(hours=hours)
    told = {"number": number, "title": title, "done": number % 2 == 0}
    return told | {"made_at": (at - timedelta(days=1)).isoformat(), "changed_at": at.isoformat()}


@pytest.fixture
def board() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A board over loopback HTTP, and the cards on it."""
    cards = [card(number, number) for number in range(1, 6)]

    async def about(request: Request) -> Response:
        return JSONResponse({"name": "Sprint"})

    async def listed(request: Request) -> Response:
        start, since = int(request.query_params["start"]), request.query_params.get("since", "")
        wanted = [each for each in cards if each["changed_at"] >= since]
        following = start + 2 if start + 2 < len(wanted) else None
        told = {"cards": wanted[start : start + 2], "next": following, "all": len(wanted)}
        return JSONResponse(told)

    with serving(Starlette(routes=[Route("/board", about), Route("/cards", listed)])) as url:
        yield url, cards


@pytest.fixture
async def connected(
    rig: Rig, board: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> Rig:
    """The toy as a source: this is the one line, and a connection."""
    monkeypatch.setitem(CONNECTORS, "toy", toy)  # type: ignore[arg-type]
    connection = Connection(
        id=f"{toy.CONNECTION}:{HOME}", organization_id=HOME, changed_at=NOW, source="toy",
        external_id="board", account_login="Sprint", state="active",
    )  # fmt: skip
    async with rig.surroundings.engine.begin() as db:
        await remember(db, [Organization(id=HOME, login="acme", account_id=9), connection])
        sealed = rig.surroundings.vault.seal(board[0])
        await keep_connection_secret(db, connection.id, sealed)
    await rig.sign_in(role="manager")
    return rig


async def told_of(rig: Rig) -> dict[str, Any]:
    """Return what the API says of the toy."""
    (found,) = [one for one in (await rig.get("/sync/status"))["items"] if one["source"] == "toy"]
    return dict(found)


async def trigger(rig: Rig, **body: Any) -> Any:
    headers = {"authorization": f"Bearer {rig.token}"}
    return await rig.client.post("/api/v1/sync/trigger", json=body, headers=headers)


async def test_it_is_read_on_demand_and_says_how_it_stands(connected: Rig) -> None:
    rig = connected
    before = await told_of(rig)
    assert (before["state"], before["accounts"], before["parts"]) == ("connected", ["Sprint"], [])
    answer = await trigger(rig, source="toy")
    assert answer.status_code == 202
    assert answer.json() == {
        "status": "queued",
        "items": [{"source": "toy", "part": "all", "job": "sync_source", "status": "queued"}],
    }
    assert (await trigger(rig, source="toy")).json()["status"] == "running"
    await rig.settle()
    rows = await rig.ask("select id, state, organization_id from issues order by id")
    assert [tuple(row.values()) for row in rows] == [
        (f"toy:{number}", "closed" if number % 2 == 0 else "open", HOME) for number in range(1, 6)
    ]
    after = await told_of(rig)
    (part,) = after["parts"]
    assert (part["part"], part["state"], part["items"], part["expected"], part["calls"]) == (
        "full", "done", 5, 5, 3,
    )  # fmt: skip
    assert after["supported_metrics"] == ["throughput"]
    assert after["next_run_at"]
    logs = (await rig.get("/sync/logs", source="toy"))["items"]
    assert [(log["source"], log["part"], log["items"]) for log in logs] == [("toy", "full", 5)]


async def test_it_is_read_on_schedule_and_what_was_missed_is_told(
    connected: Rig, board: tuple[str, list[dict[str, Any]]]
) -> None:
    rig = connected
    await trigger(rig, source="toy")
    await rig.settle()
    async with rig.surroundings.engine.begin() as db:
        await db.execute(text("update sync_logs set started_at = now() - interval '3 days'"))
    board[1].append(card(6, 2, "Nobody told of it"))
    async with rig.surroundings.engine.begin() as db:
        assert await queue_syncs(db, datetime.now(UTC)) == 1
    await rig.settle()
    (part,) = [each for each in (await told_of(rig))["parts"] if each["part"] == "changes"]
    assert part["missed"] == 1
    assert (await rig.ask("select thing_id from missed_news")) == [{"thing_id": "toy:6"}]


async def test_settings_show_it(connected: Rig) -> None:
    rig = connected
    await trigger(rig, source="toy")
    await rig.settle()
    headers = {"authorization": f"Bearer {rig.token}"}
    shown = (await rig.client.get("/settings/sync", headers=headers)).text
    assert "<b>Toy board</b>" in shown
    assert "Sync Toy board now" in shown
    same = {**headers, "sec-fetch-site": "same-origin"}
    answer = await rig.client.post("/settings/sync/check/toy", headers=same)
    assert "The toy answers for Sprint." in answer.text


async def test_its_trouble_is_told(connected: Rig, board: tuple[str, list[dict[str, Any]]]) -> None:
    rig = connected
    async with rig.surroundings.engine.begin() as db:
        sealed = rig.surroundings.vault.seal(f"{board[0]}/away")
        await db.execute(text("update connection_secrets set ciphertext = :c"), {"c": sealed})
    await trigger(rig, source="toy")
    await rig.settle()
    told = await told_of(rig)
    assert (told["state"], told["parts"][0]["error"]) == ("failed", "The toy answered 404.")


def test_metrics_that_sources_name_are_the_apis() -> None:
    known = {one.path.split("/")[-1] for one in endpoints.ENDPOINTS if "/metrics/" in one.path}
    for connector in (*CONNECTORS.values(), toy):
        assert connector.supported_metrics <= known, connector.name
        assert connector.supported_metrics


@pytest.mark.parametrize("connector", [*CONNECTORS.values(), toy], ids=lambda one: one.name)
def test_every_source_has_all_of_the_protocol(connector: Connector) -> None:
    wanted = {name for name in vars(Connector) if not name.startswith("_")}
    wanted |= set(Connector.__annotations__)
    assert {name for name in wanted if not hasattr(connector, name)} == set()


def test_the_toy_decides_as_it_reads() -> None:
    said = handlers.decide("card", {"card": card(1, 1)}, HOME, NOW)
    assert [row.id for row in said.rows] == ["toy:1"]
