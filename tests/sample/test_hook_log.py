"""The sample goes on while the demo is stopped; its GitHub lists what nobody took."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from bot.local import run
from bot.sample import hook_log
from bot.sample.staging import Stage, staged
from bot.sample.world import Delivery
from bot.settings import Settings
from models.errors import Refused

HOUR = timedelta(hours=1)


def missed(count: int, first: timedelta) -> list[Delivery]:
    began = datetime.now(UTC) - first
    return [
        Delivery("issues", f"guid-{n}", {"action": "opened", "n": n}, began + n * HOUR)
        for n in range(count)
    ]


async def test_the_log_is_listed_by_pages_the_newest_first() -> None:
    deliveries = missed(70, timedelta(days=2, hours=23))
    app = Starlette(routes=hook_log.routes(deliveries))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        url, found = "/app/hook/deliveries?per_page=30&status=failure", []
        while url:
            answer = await client.get(url)
            found += answer.json()
            url = answer.links.get("next", {}).get("url", "")
        assert [each["guid"] for each in found] == [f"guid-{n}" for n in reversed(range(70))]
        assert {each["status_code"] for each in found} == {502}
        one = (await client.get(f"/app/hook/deliveries/{found[0]['id']}")).json()
        assert one["request"]["payload"] == deliveries[-1].payload
        assert one["request"]["headers"]["x-github-event"] == "issues"
        assert not any("signature" in name for name in one["request"]["headers"])
        assert (await client.get("/app/hook/deliveries/7")).status_code == 404


async def test_the_log_keeps_three_days() -> None:
    app = Starlette(routes=hook_log.routes(missed(3, timedelta(days=3, hours=1, minutes=30))))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        found = (await client.get("/app/hook/deliveries")).json()
        assert [each["guid"] for each in found] == ["guid-2"]


def test_a_sample_goes_on_by_whole_hours_while_it_is_stopped(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    first = staged(Settings(), tmp_path)
    assert stage.note().away == timedelta()
    noted = stage.note()
    stage.keep(noted.model_copy(update={"until": noted.until - timedelta(hours=49, minutes=30)}))
    again = staged(Settings(), tmp_path)
    assert stage.note().away == timedelta(hours=49)
    assert first.github_api_url.startswith("http://127.0.0.1:")
    assert again.github_api_url.endswith(str(stage.note().port))


def test_a_new_sample_may_begin_in_the_past(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.begin(timedelta(days=2))
    staged(Settings(), tmp_path)
    assert stage.note().away == timedelta(days=2)


def test_one_that_has_begun_does_not_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Stage(tmp_path).note()
    monkeypatch.setenv("VEELOCITY_HOME", str(tmp_path))
    with pytest.raises(Refused, match="holds a sample organisation already"):
        run(sample=True, away_days=2)
