"""Golden cases of those who report their deployments over the API: GitHub tells of code alone."""

import pytest

from tests.happenings import Happening, connected, deployed
from tests.rig import Rig
from tests.story import Story, at, sha
from tests.test_golden import dora, kinds, told
from tests.test_golden_stability import Ending, failed, happening, numbers, rig

__all__ = ["happening", "rig"]

pytestmark = pytest.mark.store

Incident = tuple[str, Ending, str]


def merged(*hours: int) -> Story:
    """Write v0, and one pull request a merge: the kth becomes vk at half past an hour."""
    story = Story()
    story.push("main", at("08-30 09:00"), [story.commit("v0", at("08-30 09:00"))])
    for number, hour in enumerate(hours, start=1):
        merge = at(f"09-01 {hour:02}:30")
        story.pull_request(number, at("09-01 08:00"), merge, f"v{number}")
    return story


async def reported(
    rig: Rig,
    story: Story,
    deployments: list[tuple[str, str]],
    happening: Happening,
    *incidents: Incident,
) -> None:
    """Deliver the code, report the deployments (commit, time), then tell the incidents."""
    await connected(rig)
    await told(rig, story)
    for name, when in [("v0", "08-31 12:00"), *deployments]:
        await deployed(rig, f"{name}-{when[:2]}{when[6:8]}{when[9:]}", sha(name), at(when))
    await rig.settle()
    for name, (began, ended), words in incidents:
        await happening.began(rig, name, at(began), words)
        if ended:
            await happening.ended(rig, name, at(began), at(ended))
    await rig.settle()


async def test_g3_of_reported_deployments(rig: Rig, happening: Happening) -> None:
    lasted = ("09-01 11:00", "09-01 12:00")
    shipped = [("v1", "09-01 10:00"), ("v2", "09-01 10:30")]
    await reported(rig, merged(9, 9), shipped, happening, ("I", lasted, "nobody can pay"))
    assert await kinds(rig) == ["baseline", "new", "new"]
    assert await failed(rig) == [("10:30", "incident")]
    body = await dora(rig, "09-01", "09-30")
    assert body["change_failure_rate"]["rate"] == 0.5
    assert numbers(body) == {
        "failed": (1, 2),
        "recovery": (90, 1, 0),
        "restore": (60, 1, 0),
        "rework": (0, 2),
    }


async def test_g3b_of_reported_deployments(rig: Rig, happening: Happening) -> None:
    lasted = ("09-01 11:00", "09-01 12:00")
    shipped = [("v1", "09-01 10:00"), ("v2", "09-01 10:30")]
    await reported(rig, merged(9, 10), shipped, happening, ("I", lasted, "since acme/api#1"))
    assert await failed(rig) == [("10:00", "incident")]
    assert numbers(await dora(rig, "09-01", "09-30"))["recovery"] == (120, 1, 0)


async def test_g4_of_reported_deployments(rig: Rig, happening: Happening) -> None:
    shipped = [
        ("v1", "09-01 09:00"),
        ("v2", "09-01 10:00"),
        ("v3", "09-01 11:00"),
        ("v1", "09-01 11:40"),
        ("v4", "09-01 15:00"),
    ]
    await reported(rig, merged(8, 9, 10, 14), shipped, happening)
    assert await kinds(rig) == ["baseline", "new", "new", "new", "rollback", "new"]
    assert await failed(rig) == [("10:00", "rollback")]
    assert numbers(await dora(rig, "09-01", "09-30")) == {
        "failed": (1, 4),
        "recovery": (100, 1, 0),
        "restore": (None, 0, 0),
        "rework": (1, 5),
    }


async def test_g13_of_reported_deployments(rig: Rig, happening: Happening) -> None:
    await reported(
        rig,
        merged(9),
        [("v1", "09-01 10:00")],
        happening,
        ("I1", ("09-01 10:10", "09-01 11:00"), "nobody can pay"),
        ("I2", ("09-01 10:30", "09-01 12:30"), "nobody can sign in"),
    )
    assert numbers(await dora(rig, "09-01", "09-30")) == {
        "failed": (1, 1),
        "recovery": (150, 1, 0),
        "restore": (85, 2, 0),
        "rework": (0, 1),
    }
