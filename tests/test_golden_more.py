"""More histories like GOLDEN.md's: each says what it must give, worked out by hand, and why."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from tests.happenings import Happening, call, connected, edited, reacted, said
from tests.rig import Rig
from tests.story import Story, at
from tests.test_golden import dora, kinds, told
from tests.test_golden_stability import failed, happened, happening, numbers, rig
from tests.whole_story import renamed

__all__ = ["happening", "rig"]

pytestmark = pytest.mark.store

QUIET = {"recovery": (None, 0, 0), "restore": (None, 0, 0)}


def shipped(*steps: tuple[str, str] | tuple[str, str, Mapping[str, Any]]) -> Story:
    """Write D0, then a pull request and a deployment a step: its commit, time and more.

    A commit that was there before is deployed again.
    """
    story = Story()
    story.baseline()
    number, known = 0, {"v0"}
    for name, when, *rest in steps:
        more = dict(rest[0]) if rest else {}
        environment = more.pop("environment", "")
        if name not in known:
            number, moment = number + 1, at(when)
            opened = moment.replace(hour=moment.hour - 2)
            merged = moment.replace(hour=moment.hour - 1)
            story.pull_request(number, opened, merged, name, **more)
            known.add(name)
        story.deploy(name, at(when), environment)
    return story


async def asked(rig: Rig, **query: Any) -> dict[str, Any]:
    """Return the numbers of September."""
    return numbers(await dora(rig, "09-01", "09-30", **query))


async def incident(rig: Rig) -> str:
    """Return the id of the only incident."""
    (row,) = await rig.ask("select id from incidents")
    return str(row["id"])


async def test_an_incident_24_hours_after_a_deployment_is_its_doing(
    rig: Rig, happening: Happening
) -> None:
    """D1 09-01 10:00, I 09-02 10:00 to 10:30: W is 24 h, its end belongs to it. FDRT 24.5 h."""
    lasted = ("09-02 10:00", "09-02 10:30")
    await happened(rig, shipped(("v1", "09-01 10:00")), happening, ("I", lasted, "it is slow"))
    found = await asked(rig)
    assert (found["failed"], found["recovery"]) == ((1, 1), (24.5 * 60, 1, 0))


async def test_an_incident_later_than_24_hours_is_nobodys(rig: Rig, happening: Happening) -> None:
    """D1 09-01 10:00, I 09-02 10:01: no failure; it is in time to restore all the same."""
    lasted = ("09-02 10:01", "09-02 10:31")
    await happened(rig, shipped(("v1", "09-01 10:00")), happening, ("I", lasted, "it is slow"))
    assert await asked(rig) == {
        "failed": (0, 1),
        "recovery": (None, 0, 0),
        "restore": (30, 1, 0),
        "rework": (0, 1),
    }


async def test_a_deployment_in_the_moment_of_an_incident_is_its_cause(
    rig: Rig, happening: Happening
) -> None:
    """D1 10:00, I 10:00 to 10:20: FDRT 20 min."""
    lasted = ("09-01 10:00", "09-01 10:20")
    await happened(rig, shipped(("v1", "09-01 10:00")), happening, ("I", lasted, "it is slow"))
    assert (await asked(rig))["recovery"] == (20, 1, 0)


async def test_a_redeployment_takes_no_blame(rig: Rig, happening: Happening) -> None:
    """D1(v1) 10:00, again 10:20, I 10:30 to 11:00: {D1}, 60 min, CFR 1/1, rework 0/1."""
    story = shipped(("v1", "09-01 10:00"), ("v1", "09-01 10:20"))
    await happened(rig, story, happening, ("I", ("09-01 10:30", "09-01 11:00"), "it is slow"))
    assert await kinds(rig) == ["baseline", "new", "redeploy"]
    assert await failed(rig) == [("10:00", "incident")]
    assert await asked(rig) == {
        "failed": (1, 1),
        "recovery": (60, 1, 0),
        "restore": (30, 1, 0),
        "rework": (0, 1),
    }


async def test_the_rollback_that_ends_an_incident_says_what_caused_it(
    rig: Rig, happening: Happening
) -> None:
    """D1(v1) 09:00, D2(v2) 10:00, D3(v3) 11:00, I 11:20 to 11:45, D4(v1) 11:40.

    The rollback takes back D2, the first after its target, and ended the incident: {D2}, once;
    10:00 to 11:45 is 105 min; CFR 1/3; rework 1/4.
    """
    story = shipped(
        ("v1", "09-01 09:00"), ("v2", "09-01 10:00"), ("v3", "09-01 11:00"), ("v1", "09-01 11:40")
    )
    await happened(rig, story, happening, ("I", ("09-01 11:20", "09-01 11:45"), "it is slow"))
    assert await failed(rig) == [("10:00", "incident")]
    assert await asked(rig) == {
        "failed": (1, 3),
        "recovery": (105, 1, 0),
        "restore": (25, 1, 0),
        "rework": (1, 4),
    }


async def test_a_rollback_of_a_rollback_condemns_nobody_anew(rig: Rig) -> None:
    """D1(v1) 09:00, D2(v2) 10:00, D3(v1) 10:30, D4(v2) 11:00: {D2}, 30 min; CFR 1/2; rework 2/4."""
    await told(rig, shipped(("v1", "09-01 09:00"), ("v2", "09-01 10:00"), ("v1", "09-01 10:30"),
                            ("v2", "09-01 11:00")))  # fmt: skip
    assert await kinds(rig) == ["baseline", "new", "new", "rollback", "rollback"]
    assert await failed(rig) == [("10:00", "rollback")]
    found = await asked(rig)
    assert found == {"failed": (1, 2), "rework": (2, 4)} | QUIET | {"recovery": (30, 1, 0)}


async def test_a_hotfix_of_a_hotfix_condemns_both_before(rig: Rig) -> None:
    """D1 10:00, hotfix D2 11:00, hotfix D3 11:30, D4 15:00: {D1, D2}; p50(60, 30) = 45 min.

    CFR 2/4, rework 2/4.
    """
    hot = {"labels": ("hotfix",)}
    await told(rig, shipped(("v1", "09-01 10:00"), ("v2", "09-01 11:00", hot),
                            ("v3", "09-01 11:30", hot), ("v4", "09-01 15:00")))  # fmt: skip
    assert await kinds(rig) == ["baseline", "new", "rollforward", "rollforward", "new"]
    assert await failed(rig) == [("10:00", "hotfix"), ("11:00", "hotfix")]
    found = await asked(rig)
    assert found == {"failed": (2, 4), "rework": (2, 4)} | QUIET | {"recovery": (45, 2, 0)}


async def test_a_revert_condemns_what_it_reverts_and_not_the_last(rig: Rig) -> None:
    """D1(PR#1) 10:00, D2(PR#2) 11:00, D3 reverts PR#1 12:00: {D1}, 120 min; CFR 1/3; rework 1/3."""
    reverting = {"title": 'Revert "Feature 1"', "branch": "revert-1-feature/1"}
    await told(rig, shipped(("v1", "09-01 10:00"), ("v2", "09-01 11:00"),
                            ("v3", "09-01 12:00", reverting)))  # fmt: skip
    assert await failed(rig) == [("10:00", "revert")]
    found = await asked(rig)
    assert found == {"failed": (1, 3), "rework": (1, 3)} | QUIET | {"recovery": (120, 1, 0)}


async def test_a_hotfix_during_an_incident_is_one_failure(rig: Rig, happening: Happening) -> None:
    """D1 10:00, I 10:30 to 11:30, hotfix D2 11:20: {D1}, 90 min; CFR 1/2; rework 1/2."""
    story = shipped(("v1", "09-01 10:00"), ("v2", "09-01 11:20", {"labels": ("hotfix",)}))
    await happened(rig, story, happening, ("I", ("09-01 10:30", "09-01 11:30"), "it is slow"))
    assert await failed(rig) == [("10:00", "incident")]
    assert await asked(rig) == {
        "failed": (1, 2),
        "recovery": (90, 1, 0),
        "restore": (60, 1, 0),
        "rework": (1, 2),
    }


async def test_a_hotfix_that_did_not_help_failed_too(rig: Rig, happening: Happening) -> None:
    """D1 10:00, hotfix D2 11:00, I 11:30 to 12:00: D1 for 60 min, D2 for 60 min; CFR 2/2."""
    story = shipped(("v1", "09-01 10:00"), ("v2", "09-01 11:00", {"labels": ("hotfix",)}))
    await happened(rig, story, happening, ("I", ("09-01 11:30", "09-01 12:00"), "it is slow"))
    assert await failed(rig) == [("10:00", "hotfix"), ("11:00", "incident")]
    assert await asked(rig) == {
        "failed": (2, 2),
        "recovery": (60, 2, 0),
        "restore": (30, 1, 0),
        "rework": (1, 2),
    }


async def test_what_an_incident_names_but_came_later_is_not_its_cause(
    rig: Rig, happening: Happening
) -> None:
    """D1(PR#1) 10:00, I 10:30 to 13:00 names PR#2, its mend, which D2 brings at 12:00: {D1}."""
    story = shipped(("v1", "09-01 10:00"), ("v2", "09-01 12:00"))
    lasted = ("09-01 10:30", "09-01 13:00")
    await happened(rig, story, happening, ("I", lasted, "acme/api#2 will mend it"))
    assert await failed(rig) == [("10:00", "incident")]
    assert (await asked(rig))["recovery"] == (180, 1, 0)


async def test_a_reopened_incident_lasts_until_its_last_end(rig: Rig, happening: Happening) -> None:
    """D1 10:00; I 10:30 to 11:00, open again 11:10, over 12:00: FDRT 120 min, restore 90 min."""
    began = at("09-01 10:30")
    story = shipped(("v1", "09-01 10:00"))
    await happened(rig, story, happening, ("I", ("09-01 10:30", "09-01 11:00"), "it is slow"))
    await happening.reopened(rig, "I", began, at("09-01 11:10"))
    await rig.settle()
    opened = await asked(rig)
    assert (opened["recovery"], opened["restore"]) == ((None, 0, 1), (None, 0, 1))
    await happening.ended(rig, "I", began, at("09-01 12:00"))
    await rig.settle()
    found = await asked(rig)
    assert (found["recovery"], found["restore"]) == ((120, 1, 0), (90, 1, 0))


async def test_a_message_that_was_edited_to_be_none_is_no_incident(rig: Rig) -> None:
    """D1 10:00; "outage" 10:30, edited to "all is well" 10:40: CFR 0/1, nothing to restore."""
    began = at("09-01 10:30")
    await connected(rig)
    await said(rig, "outage: it is slow", began)
    await told(rig, shipped(("v1", "09-01 10:00")))
    assert (await asked(rig))["failed"] == (1, 1)
    await edited(rig, "all is well", began, at("09-01 10:40"))
    await rig.settle()
    assert await asked(rig) == {"failed": (0, 1), "rework": (0, 1)} | QUIET
    assert await rig.ask("select * from incidents") == []


async def test_time_to_restore_is_of_all_incidents_by_their_last_severity(rig: Rig) -> None:
    """I1 sev1 09:00 to 09:30, before any deployment; I2 sev3, raised to sev1 by a reply, 10:30 to
    11:30; I3 none 12:00 to 13:30. All: median 60, mean 60; sev1: median 45; none: 90.
    """
    await connected(rig)
    for began, ended, words in [
        ("09-01 09:00", "09-01 09:30", "outage sev1"),
        ("09-01 10:30", "09-01 11:30", "outage sev3"),
        ("09-01 12:00", "09-01 13:30", "outage"),
    ]:
        await said(rig, words, at(began))
        await reacted(rig, "white_check_mark", at(began), at(ended))
    await said(rig, "it is a sev1", at("09-01 10:40"), at("09-01 10:30"))
    story = Story()
    story.push("main", at("09-01 05:00"), [story.commit("v0", at("09-01 05:00"))])
    story.deploy("v0", at("09-01 10:00"))
    await told(rig, story)
    restore = (await dora(rig, "09-01", "09-30"))["time_to_restore"]
    assert (restore["median_seconds"], restore["mean_seconds"]) == (3600, 3600)
    by = restore["by_severity"]
    assert {name: (part["median_seconds"], part["count"]) for name, part in by.items()
            if part["count"]} == {"sev1": (2700, 2), "none": (5400, 1)}  # fmt: skip


async def test_an_unlinked_deployment_leaves_no_other_to_blame(
    rig: Rig, happening: Happening
) -> None:
    """D1 09:00, D2 10:00; I 10:30 to 11:00 blames D2; unlinked by hand nobody of api is blamed,
    neither D1 nor D3, which is deployed at 12:00.
    """
    story = shipped(("v1", "09-01 09:00"), ("v2", "09-01 10:00"))
    await happened(rig, story, happening, ("I", ("09-01 10:30", "09-01 11:00"), "it is slow"))
    (blamed,) = await rig.ask("select incident_id, deployment_id from incident_deployments")
    path = f"/incidents/{blamed['incident_id']}/deployments/{blamed['deployment_id']}"
    await call(rig, "DELETE", path)
    more = Story(deliveries=[("", {})], head=story.head, next_id=story.next_id)
    more.deliveries.clear()
    more.pull_request(3, at("09-01 11:10"), at("09-01 11:30"), "v3")
    more.deploy("v3", at("09-01 12:00"))
    await told(rig, more)
    assert await asked(rig) == {
        "failed": (0, 3),
        "recovery": (None, 0, 0),
        "restore": (30, 1, 0),
        "rework": (0, 3),
    }


async def test_a_link_by_hand_to_another_service_stands_alone(
    rig: Rig, happening: Happening
) -> None:
    """D1 of api 10:00, of web 10:10; I 10:30 to 11:00; linked to web by hand: {web}, 50 min."""
    web = Story("web", 901, next_id=50_000)
    web.push("main", at("08-30 09:00"), [web.commit("w0", at("08-30 09:00"))])
    web.deploy("w0", at("08-31 12:00"))
    web.push("main", at("09-01 09:00"), [web.commit("w1", at("09-01 08:00"))])
    web.deploy("w1", at("09-01 10:10"))
    await told(rig, web)
    lasted = ("09-01 10:30", "09-01 11:00")
    story = shipped(("v1", "09-01 10:00"))
    await happened(rig, story, happening, ("I", lasted, "acme/api is slow"))
    assert await failed(rig) == [("10:00", "incident")]
    (there,) = await rig.ask(
        "select deployment_id as id from service_deployments"
        " where repository_id = 'github:901' and kind = 'new'"
    )
    await call(rig, "PUT", f"/incidents/{await incident(rig)}/deployments/{there['id']}")
    assert await failed(rig) == [("10:10", "incident")]
    assert (await asked(rig))["failed"] == (1, 2)
    assert (await asked(rig))["recovery"] == (50, 1, 0)
    assert (await asked(rig, repo_id="acme/api"))["failed"] == (0, 1)
    assert (await asked(rig, repo_id="acme/web"))["failed"] == (1, 1)


async def test_a_dismissed_incident_is_nowhere(rig: Rig, happening: Happening) -> None:
    """D1 10:00, I 10:30 to 11:00, dismissed: CFR 0/1, nothing to restore; taken back: as before."""
    story = shipped(("v1", "09-01 10:00"))
    await happened(rig, story, happening, ("I", ("09-01 10:30", "09-01 11:00"), "it is slow"))
    named = await incident(rig)
    await call(rig, "PATCH", f"/incidents/{named}", {"dismissed": True})
    assert await asked(rig) == {"failed": (0, 1), "rework": (0, 1)} | QUIET
    await call(rig, "PATCH", f"/incidents/{named}", {"dismissed": False})
    found = await asked(rig)
    assert (found["failed"], found["recovery"], found["restore"]) == (
        (1, 1),
        (60, 1, 0),
        (30, 1, 0),
    )


async def test_an_incident_of_staging_fails_nobody_in_production(rig: Rig) -> None:
    """D1 of production 10:00, of staging 10:10, after D0s; I 10:30 to 11:00 in staging.

    Production: CFR 0/1, nothing to restore; staging: CFR 1/1, 50 min, restore 30 min.
    """
    story = Story()
    story.baseline()
    story.baseline("staging")
    story.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1")
    story.deploy("v1", at("09-01 10:00"))
    story.deploy("v1", at("09-01 10:10"), "staging")
    await told(rig, story)
    lasted = {"started_at": "2026-09-01T10:30:00Z", "resolved_at": "2026-09-01T11:00:00Z"}
    await call(rig, "POST", "/incidents", {"title": "slow", "environment": "staging", **lasted})
    await rig.settle()
    assert await asked(rig) == {"failed": (0, 1), "rework": (0, 1)} | QUIET
    assert await asked(rig, environment="staging") == {
        "failed": (1, 1),
        "recovery": (50, 1, 0),
        "restore": (30, 1, 0),
        "rework": (0, 1),
    }


async def test_of_two_services_the_one_that_is_named_is_to_blame(rig: Rig) -> None:
    """D1 of web 10:00, of ios 10:20; "web is slow" 10:30 to 11:00: {web}, 60 min; CFR 1/2."""
    story = Story()
    story.baseline("production-web")
    story.baseline("production-ios")
    await told(rig, story)
    described = [{"name": name, "environment": f"production-{name}"} for name in ("web", "ios")]
    await call(rig, "PUT", "/repositories/github:900/services", {"services": described})
    more = Story(deliveries=[("", {})], head=story.head, next_id=story.next_id)
    more.deliveries.clear()
    more.pull_request(1, at("09-01 08:00"), at("09-01 09:00"), "v1")
    more.deploy("v1", at("09-01 10:00"), "production-web")
    more.deploy("v1", at("09-01 10:20"), "production-ios")
    await connected(rig)
    await said(rig, "outage: web is slow", at("09-01 10:30"))
    await reacted(rig, "white_check_mark", at("09-01 10:30"), at("09-01 11:00"))
    await told(rig, more)
    assert await failed(rig) == [("10:00", "incident")]
    found = await asked(rig)
    assert (found["failed"], found["recovery"]) == ((1, 2), (60, 1, 0))


async def test_a_shorter_window_acquits(rig: Rig, happening: Happening) -> None:
    """D1 10:00, I 11:30 to 12:00: failed with W of 24 h, not with 1 h, again with 24 h."""
    story = shipped(("v1", "09-01 10:00"))
    await happened(rig, story, happening, ("I", ("09-01 11:30", "09-01 12:00"), "it is slow"))
    for hours, wanted in [(24, (1, 1)), (1, (0, 1)), (1.5, (1, 1))]:
        await call(rig, "PUT", "/incidents/settings", {"window_hours": hours})
        await rig.settle()
        assert (await asked(rig))["failed"] == wanted


async def test_each_measure_is_of_the_month_of_its_own_event(
    rig: Rig, happening: Happening
) -> None:
    """D1 09-30 21:00, I 10-01 08:00 to 09:00: September CFR 1/1, FDRT 12 h; October restore 1 h.

    October has no deployment: its rate is no data, not 0.
    """
    story = shipped(("v1", "09-30 21:00"))
    await happened(rig, story, happening, ("I", ("10-01 08:00", "10-01 09:00"), "it is slow"))
    assert await asked(rig) == {
        "failed": (1, 1),
        "recovery": (720, 1, 0),
        "restore": (None, 0, 0),
        "rework": (0, 1),
    }
    body = await dora(rig, "10-01", "10-31")
    assert numbers(body) == {
        "failed": (0, 0),
        "recovery": (None, 0, 0),
        "restore": (60, 1, 0),
        "rework": (0, 0),
    }
    rates = [body[name] for name in ("change_failure_rate", "rework_rate")]
    assert [(rate["rate"], bool(rate["reason"])) for rate in rates] == [(None, True)] * 2


async def test_weeks_of_failures_end_where_the_organisation_lives(
    rig: Rig, happening: Happening
) -> None:
    """Berlin; clocks go back on 10-25. D 10-18T21:59Z, 22:01Z, 10-25T22:59Z, 23:01Z, all new.

    I1 10-18T22:00Z (Monday 00:00) blames the first, of the week before; I2 10-25T23:00Z (Monday
    00:00) the third. CFR by week: 1/1, 1/2, 0/1; restored by week: 0, 1, 1.
    """
    story = shipped(
        ("v1", "10-18 21:59"), ("v2", "10-18 22:01"), ("v3", "10-25 22:59"), ("v4", "10-25 23:01")
    )
    await happened(
        rig,
        story,
        happening,
        ("I1", ("10-18 22:00", "10-18 22:10"), "it is slow"),
        ("I2", ("10-25 23:00", "10-25 23:10"), "it is slow"),
    )
    async with rig.app.rest.state.engine.begin() as db:
        settings = "insert into organization_settings select id, 'Europe/Berlin', 2024 from"
        await db.execute(text(f"{settings} organizations"))
    weeks = {"start_date": "2026-10-12", "end_date": "2026-11-01", "group_by": "week"}
    rate = await rig.get("/metrics/dora/change-failure-rate", **weeks)
    counted = [(part["start_date"][5:], part["failed"], part["count"]) for part in rate["series"]]
    assert counted == [("10-12", 1, 1), ("10-19", 1, 2), ("10-26", 0, 1)]
    assert rate["series"][2]["rate"] == 0
    restore = await rig.get("/metrics/dora/time-to-restore", **weeks)
    assert [part["count"] for part in restore["series"]] == [0, 1, 1]


async def test_the_agents_failures_are_apart_from_peoples(rig: Rig, happening: Happening) -> None:
    """D1 of a person 10:00, D2 of the agent 11:00, I 11:30 to 12:00: agent 1/1, people 0/1."""
    claude = {"author": {"login": "claude[bot]", "id": 777, "type": "Bot"}, "branch": "claude/7-x"}
    story = shipped(("v1", "09-01 10:00"), ("v2", "09-01 11:00", claude))
    await happened(rig, story, happening, ("I", ("09-01 11:30", "09-01 12:00"), "it is slow"))
    cohorts = (await dora(rig, "09-01", "09-30"))["change_failure_rate"]["by_cohort"]
    counted = {name: (part["failed"], part["count"]) for name, part in cohorts.items()}
    assert (counted["agent"], counted["people"]) == ((1, 1), (0, 1))


async def test_a_renamed_repository_keeps_its_failures(rig: Rig, happening: Happening) -> None:
    """As G3b: I 11:00 to 12:00 names acme/api#1, so {D1}; acme/api is called otherwise since.

    A second repository, so that the words alone tell where it happened.
    """
    web = Story("web", 901, next_id=50_000)
    web.push("main", at("08-30 09:00"), [web.commit("w0", at("08-30 09:00"))])
    web.deploy("w0", at("08-31 12:00"))
    await told(rig, web)
    story = shipped(("v1", "09-01 10:00"), ("v2", "09-01 10:30"))
    lasted = ("09-01 11:00", "09-01 12:00")
    renamed(story, "backend", at("09-02 10:00"))
    await happened(rig, story, happening, ("I", lasted, "since acme/api#1"))
    assert await failed(rig) == [("10:00", "incident")]
    found = await asked(rig, repo_id="acme/backend")
    assert (found["failed"], found["recovery"]) == ((1, 2), (120, 1, 0))
