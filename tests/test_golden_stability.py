"""GOLDEN.md's failures, recovery, restoring and rework: signed deliveries, asked through the API.

Each case with an incident is told by every source: an issue of GitHub labelled `incident`, a
message in Slack that a reaction resolves, an issue of Linear, and a report over the API.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import time_machine
from pydantic import SecretStr

from bot.settings import Settings
from bot.web.tokens import access_token
from tests.happenings import SOURCES, Happening, connected
from tests.linear_posts import LINEAR_SECRET
from tests.rig import Rig, rig_of
from tests.story import Story, at
from tests.test_golden import dora, kinds, main_is_seen, rollback_story, told

__all__ = ["main_is_seen"]

pytestmark = pytest.mark.store

MINUTE, HOUR = 60, 3600
Ending = tuple[str, str | None]


@pytest.fixture
async def rig(settings: Settings, clean: None, clean_redis: str) -> AsyncIterator[Rig]:
    """The app, with Linear's signing secret."""
    told = settings.model_copy(update={"linear_webhook_secret": SecretStr(LINEAR_SECRET)})
    async with rig_of(told) as opened:
        yield opened


@pytest.fixture(params=SOURCES)
def happening(request: pytest.FixtureRequest) -> Happening:
    """Incidents from each source."""
    return Happening(str(request.param))


async def happened(
    rig: Rig, story: Story, happening: Happening, *incidents: tuple[str, Ending, str]
) -> None:
    """Deliver a story and its incidents: a name, its beginning and end, and its words."""
    await connected(rig)
    for name, (began, ended), words in incidents:
        await happening.began(rig, name, at(began), words)
        if ended:
            await happening.ended(rig, name, at(began), at(ended))
    await told(rig, story)


def numbers(body: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that the cases speak of: parts of wholes, and minutes."""
    rate, rework = body["change_failure_rate"], body["rework_rate"]
    recovery, restore = body["failed_deployment_recovery_time"], body["time_to_restore"]
    minutes: Callable[[float | None], float | None] = lambda seconds: seconds and seconds / MINUTE  # noqa: E731
    return {
        "failed": (rate["failed"], rate["count"]),
        "recovery": (minutes(recovery["median_seconds"]), recovery["count"], recovery["open"]),
        "restore": (minutes(restore["median_seconds"]), restore["count"], restore["open"]),
        "rework": (rework["reworked"], rework["count"]),
    }


async def failed(rig: Rig) -> list[tuple[str, str]]:
    """Return when the deployments that failed had finished, and by which evidence."""
    rows = await rig.ask("select failed_at, evidence from failed_deployments order by failed_at")
    return [(f"{row['failed_at']:%H:%M}", row["evidence"]) for row in rows]


async def signed_in_again(rig: Rig) -> None:
    """Renew the token, by the clock as it is now."""
    (user,) = await rig.ask("select id from users")
    rig.token = access_token(rig.settings, user["id"])


def two_deployments(first: str = "10:00", second: str = "10:30") -> Story:
    """Write D1(v1) and D2(v2) of 09-01, each with a pull request."""
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 09:00"), at("09-01 09:30"), "v1")
    story.deploy("v1", at(f"09-01 {first}"))
    story.pull_request(2, at("09-01 09:10"), at(f"09-01 {second}").replace(minute=5), "v2")
    story.deploy("v2", at(f"09-01 {second}"))
    return story


async def test_g3_an_incident_blames_the_latest_deployment_before_it(
    rig: Rig, happening: Happening
) -> None:
    lasted = ("09-01 11:00", "09-01 12:00")
    await happened(rig, two_deployments(), happening, ("I", lasted, "nobody can check out"))
    body = await dora(rig, "09-01", "09-30")
    assert await failed(rig) == [("10:30", "incident")]
    assert numbers(body) == {
        "failed": (1, 2),
        "recovery": (90, 1, 0),
        "restore": (60, 1, 0),
        "rework": (0, 2),
    }
    assert body["change_failure_rate"]["rate"] == 0.5


async def test_g3b_what_an_incident_names_is_to_blame(rig: Rig, happening: Happening) -> None:
    lasted = ("09-01 11:00", "09-01 12:00")
    await happened(rig, two_deployments(), happening, ("I", lasted, "since acme/api#1"))
    body = await dora(rig, "09-01", "09-30")
    assert await failed(rig) == [("10:00", "incident")]
    assert numbers(body)["failed"] == (1, 2)
    assert numbers(body)["recovery"] == (120, 1, 0)
    explained = await rig.get(
        "/metrics/dora/change-failure-rate/explain", start_date="2026-09-01", end_date="2026-09-30"
    )
    (row,) = [row for row in explained["rows"] if row["failed"]]
    assert "#1" in row["failed_because"]
    assert len(row["incidents"]) == 1


async def test_g4_a_rollback_condemns_the_first_deployment_after_its_target(
    rig: Rig, main_is_seen: bool
) -> None:
    await told(rig, rollback_story(), all_pushes=main_is_seen)
    body = await dora(rig, "09-01", "09-30")
    assert await failed(rig) == [("10:00", "rollback")]
    assert numbers(body) == {
        "failed": (1, 4),
        "recovery": (100, 1, 0),
        "restore": (None, 0, 0),
        "rework": (1, 5),
    }
    assert body["change_failure_rate"]["rate"] == 0.25
    assert body["rework_rate"]["rate"] == 0.2


async def test_g6_what_began_before_any_deployment_blames_none(
    rig: Rig, happening: Happening
) -> None:
    story = Story()
    story.push("main", at("09-01 05:00"), [story.commit("v0", at("09-01 05:00"))])
    story.pull_request(1, at("09-01 06:00"), at("09-01 09:30"), "v1")
    story.deploy("v1", at("09-01 10:00"))
    await happened(rig, story, happening, ("I", ("09-01 08:00", "09-01 09:00"), "it is slow"))
    before = await dora(rig, "09-01", "09-30")
    assert await kinds(rig) == ["baseline"]
    assert await rig.ask("select * from incident_deployments") == []
    assert before["change_failure_rate"]["rate"] is None
    assert before["change_failure_rate"]["reason"]
    assert numbers(before) == {
        "failed": (0, 0),
        "recovery": (None, 0, 0),
        "restore": (60, 1, 0),
        "rework": (0, 1),
    }
    more = Story(deliveries=[("", {})], head=story.head, next_id=story.next_id)
    more.deliveries.clear()
    more.pull_request(2, at("09-01 10:30"), at("09-01 10:45"), "v2")
    more.deploy("v2", at("09-01 11:00"))
    await told(rig, more)
    after = await dora(rig, "09-01", "09-30")
    assert (after["change_failure_rate"]["rate"], numbers(after)["failed"]) == (0, (0, 1))


async def test_g9_a_hotfix_condemns_the_deployment_before_it(rig: Rig) -> None:
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 09:00"), at("09-01 09:30"), "v1")
    story.deploy("v1", at("09-01 10:00"))
    hotfix = story.commit("h1", at("09-01 10:40"), "hotfix: stop the bleeding")
    story.push("main", at("09-01 10:45"), [hotfix])
    story.deploy("h1", at("09-01 11:00"))
    await told(rig, story)
    body = await dora(rig, "09-01", "09-30")
    assert await failed(rig) == [("10:00", "hotfix")]
    assert numbers(body) == {
        "failed": (1, 2),
        "recovery": (60, 1, 0),
        "restore": (None, 0, 0),
        "rework": (1, 2),
    }


def second_attempt() -> Story:
    """Write G11: the first attempt fails, the second succeeds."""
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 09:00"), at("09-01 09:40"), "v1")
    begun = ("in_progress", at("09-01 10:00"))
    story.attempt("v1", at("09-01 09:55"), begun, ("failure", at("09-01 10:05")))
    story.attempt("v1", at("09-01 10:10"), ("success", at("09-01 10:20")))
    return story


async def test_g11_a_failed_attempt_fails_nobody(rig: Rig) -> None:
    await told(rig, second_attempt())
    body = await dora(rig, "09-01", "09-30")
    assert body["deployment_frequency"]["attempt_success_rate"] == 0.5
    assert (body["change_failure_rate"]["rate"], numbers(body)["failed"]) == (0, (0, 1))
    assert numbers(body)["recovery"] == (None, 0, 0)


async def test_g11_an_incident_after_a_failed_attempt_blames_no_attempt(
    rig: Rig, happening: Happening
) -> None:
    lasted = ("09-01 10:10", "09-01 10:15")
    await happened(rig, second_attempt(), happening, ("I", lasted, "it is slow"))
    assert numbers(await dora(rig, "09-01", "09-30"))["failed"] == (0, 1)


async def test_g12_an_open_incident_has_an_age_and_no_recovery(
    rig: Rig, happening: Happening
) -> None:
    story = two_deployments("10:00", "12:00")
    await happened(rig, story, happening, ("I", ("09-01 10:30", None), "nobody can check out"))
    with time_machine.travel("2026-09-01T18:00:00Z", tick=False):
        await signed_in_again(rig)
        body = await dora(rig, "09-01", "09-30")
    assert await failed(rig) == [("10:00", "incident")]
    assert numbers(body) == {
        "failed": (1, 2),
        "recovery": (None, 0, 1),
        "restore": (None, 0, 1),
        "rework": (0, 2),
    }
    recovery = body["failed_deployment_recovery_time"]
    assert (recovery["oldest_open_seconds"], recovery["level"]) == (8 * HOUR, None)
    assert "1 still open" in recovery["reason"]
    await signed_in_again(rig)
    await happening.ended(rig, "I", at("09-01 10:30"), at("09-01 20:00"))
    await rig.settle()
    after = numbers(await dora(rig, "09-01", "09-30"))
    assert after["recovery"] == (600, 1, 0)
    assert after["restore"] == (570, 1, 0)


async def test_g13_two_incidents_of_one_deployment_are_one_failure(
    rig: Rig, happening: Happening
) -> None:
    story = Story()
    story.baseline()
    story.pull_request(1, at("09-01 09:00"), at("09-01 09:30"), "v1")
    story.deploy("v1", at("09-01 10:00"))
    await happened(
        rig,
        story,
        happening,
        ("I1", ("09-01 10:10", "09-01 11:00"), "nobody can check out"),
        ("I2", ("09-01 10:30", "09-01 12:30"), "nobody can sign in"),
    )
    body = await dora(rig, "09-01", "09-30")
    assert numbers(body) == {
        "failed": (1, 1),
        "recovery": (150, 1, 0),
        "restore": (85, 2, 0),
        "rework": (0, 1),
    }
    assert body["change_failure_rate"]["rate"] == 1
    for path in ("time-to-restore", "mttr"):
        dates = {"start_date": "2026-09-01", "end_date": "2026-09-30"}
        part = await rig.get(f"/metrics/dora/{path}", **dates, group_by="day")
        assert part["mean_seconds"] == 85 * MINUTE
        assert [day["count"] for day in part["series"]] == [2, *[0] * 29]
        assert sum(part["count"] for part in part["histogram"]) == 2
