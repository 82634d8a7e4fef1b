"""`follow_incident` and `read_incidents_again`: from what was told to what happened."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import text

import models
from bot.jobs import incidents as jobs
from bot.settings import Settings
from models.incident_changes import ReadAgain, correct, learn, link, report, report_id, say, unlink
from models.linear_mapping import keep_mappings
from models.queue import ClaimedJob, queue
from models.store import remember
from tests.incident_story import (
    ORGANIZATION,
    ROOT,
    STARTED,
    THREAD,
    Event,
    at,
    deleted,
    edited,
    follow,
    home,
    incidents,
    issue,
    named,
    posted,
    reacted,
    tell,
    worked,
)
from tests.rig import Rig, rig_of
from tests.tables import emptied

pytestmark = pytest.mark.store


@pytest.fixture
async def rig(settings: Settings, clean: None, clean_redis: str) -> AsyncIterator[Rig]:
    """The app with an organisation and a repository in it."""
    async with rig_of(settings) as opened:
        await home(opened)
        yield opened


async def one(rig: Rig) -> dict[str, Any]:
    """Work, and return the only incident."""
    await worked(rig)
    (found,) = await incidents(rig)
    return found


async def change(rig: Rig, statement: str, **bound: Any) -> None:
    """Write something into the store."""
    async with rig.app.rest.state.engine.begin() as db:
        await db.execute(text(statement), bound)


async def test_a_thread_is_an_incident_from_its_first_message_to_its_end(rig: Rig) -> None:
    await tell(rig, named("incidents"), posted("SEV2: API outage since acme/api#12"))
    found = await one(rig)
    assert (found["id"], found["state"], found["severity"]) == (THREAD, "investigating", "sev2")
    assert (found["started_at"], found["resolved_at"]) == (at(0), None)
    assert found["names"] == ["number:acme/api#12"]
    await tell(rig, posted("rolled back", 20), reacted("white_check_mark", 25, 20))
    found = await one(rig)
    assert (found["state"], found["resolved_at"]) == ("resolved", at(25))
    assert found["resolved_why"] == "✅ by U2"


async def test_what_was_taken_back_ends_nothing(rig: Rig) -> None:
    await tell(rig, named("incidents"), posted("outage"), reacted("white_check_mark", 5))
    assert (await one(rig))["state"] == "resolved"
    await tell(rig, reacted("white_check_mark", 6, added=False))
    assert (await one(rig))["resolved_at"] is None


async def test_an_incident_whose_first_message_is_deleted_is_gone_with_what_it_blamed(
    rig: Rig,
) -> None:
    await tell(rig, named("incidents"), posted("outage"))
    await one(rig)
    await tell(rig, deleted(0, 3))
    await worked(rig)
    assert await incidents(rig) == []
    assert await rig.ask("select * from incident_places") == []


async def test_a_thread_is_an_incident_once_its_channel_is_known(rig: Rig) -> None:
    await tell(rig, posted("outage"))
    await worked(rig)
    assert await incidents(rig) == []
    await tell(rig, named("incidents"))
    await follow(rig, THREAD.rpartition(":")[0])
    assert (await one(rig))["channel"] == "incidents"


async def test_a_reply_or_reaction_that_comes_before_its_thread_counts_then(rig: Rig) -> None:
    await tell(rig, named("incidents"), posted("resolved", 9), reacted("rotating_light", 2))
    await worked(rig)
    assert await incidents(rig) == []
    await tell(rig, posted("checkout is slow"))
    found = await one(rig)
    assert (found["opened_why"], found["resolved_at"]) == ("🚨 by U2", at(9))
    assert (found["started_at"], found["detected_at"]) == (at(0), at(2))


async def test_a_channel_says_where_its_incidents_happen(rig: Rig) -> None:
    await change(
        rig,
        "insert into incident_channels (organization_id, channel, environment, repository_id, "
        "service, severity) values (:o, 'incidents', 'staging-eu', 'github:10', 'api', 'sev3')",
        o=ORGANIZATION,
    )
    await tell(rig, named("incidents"), posted("outage since #12"))
    found = await one(rig)
    assert (found["environment"], found["environment_class"]) == ("staging-eu", "staging")
    assert (found["repository_id"], found["service"]) == ("github:10", "api")
    assert (found["severity"], found["names"]) == ("sev3", ["number:acme/api#12"])


async def test_a_labelled_issue_is_an_incident_as_long_as_it_has_the_label(rig: Rig) -> None:
    await tell(rig, issue("opened", 0), issue("labeled", 1, "bug", "p1", "incident"))
    found = await one(rig)
    assert (found["id"], found["severity"], found["source"]) == ("github:42", "sev2", "github")
    closed = {"state": "closed", "closed_at": at(30).isoformat()}
    await tell(rig, issue("closed", 30, "bug", "incident", **closed))
    assert (await one(rig))["resolved_at"] == at(30)
    await tell(rig, issue("unlabeled", 31, "bug", **closed))
    await worked(rig)
    assert await incidents(rig) == []


async def test_an_issue_without_labels_costs_no_job(rig: Rig) -> None:
    await tell(rig, issue("opened", 0), issue("edited", 1))
    assert await rig.ask("select * from jobs where name = 'follow_incident'") == []
    await tell(rig, issue("labeled", 2, "incident"), issue("deleted", 3, "incident"))
    await worked(rig)
    assert await incidents(rig) == []


async def linear_issue(rig: Rig, **more: Any) -> None:
    """Remember an issue of Linear's and follow it."""
    told = {
        "id": "linear:u1", "organization_id": ORGANIZATION, "changed_at": at(len(more)),
        "identifier": "ENG-1", "number": 1, "title": "Checkout fails", "team_id": "linear:t1",
        "labels": ["Incident"], "created_at": at(0), "mentions": ["number:acme/api#3"],
    }  # fmt: skip
    async with rig.app.rest.state.engine.begin() as db:
        await remember(db, [models.LinearIssue(**(told | more))])
    await follow(rig, "linear:u1")


async def test_a_linear_issue_is_an_incident_where_its_team_is_developed(rig: Rig) -> None:
    await change(
        rig,
        "insert into linear_mappings (organization_id, linear_id, repository_id, by) "
        "values (:o, 'linear:t1', 'github:10', 'user:1')",
        o=ORGANIZATION,
    )
    await linear_issue(rig)
    found = await one(rig)
    assert (found["source"], found["repository_id"]) == ("linear", "github:10")
    await linear_issue(rig, canceled_at=at(8))
    assert (await one(rig))["resolved_why"] == "cancelled in Linear"
    await linear_issue(rig, labels=[], canceled_at=at(8))
    await worked(rig)
    assert await incidents(rig) == []


async def test_a_new_mapping_moves_the_incidents_of_its_team(rig: Rig) -> None:
    await linear_issue(rig)
    assert (await one(rig))["repository_id"] is None
    for repository in ("github:10", None):
        async with rig.app.rest.state.engine.begin() as db:
            await keep_mappings(db, ORGANIZATION, {"linear:t1": repository}, "user:1")
        await worked(rig)
        assert (await one(rig))["repository_id"] == repository


async def reported(rig: Rig, own: str = "pd-1", **more: Any) -> str:
    """Report an incident."""
    told = {
        "id": report_id(ORGANIZATION, own), "organization_id": ORGANIZATION, "title": "Queue stuck",
        "description": "since #4", "severity": "sev3", "repository_id": "github:10",
        "started_at": at(0), "reported_by": "user:1",
    }  # fmt: skip
    async with rig.app.rest.state.engine.begin() as db:
        return await report(db, models.IncidentReport(**(told | more)))


async def test_a_report_is_an_incident_and_the_same_id_updates_it(rig: Rig) -> None:
    incident_id = await reported(rig)
    assert incident_id == "api:github:1:pd-1"
    found = await one(rig)
    assert (found["title"], found["names"]) == ("Queue stuck", ["number:acme/api#4"])
    await reported(rig, title="Queue was stuck", resolved_at=at(60))
    found = await one(rig)
    assert (found["title"], found["resolved_at"]) == ("Queue was stuck", at(60))


async def test_what_people_say_comes_on_top(rig: Rig) -> None:
    incident_id = await reported(rig)
    await one(rig)
    async with rig.app.rest.state.engine.begin() as db:
        await correct(db, incident_id, "severity", "sev1", "user:2")
        await correct(db, incident_id, "started_at", "2026-09-01T09:30:00Z", "user:2")
        await say(db, incident_id, "identified", "it is the queue", "user:2")
        await learn(db, incident_id, "# What we learnt", "user:2")
    found = await one(rig)
    assert (found["severity"], found["state"]) == ("sev1", "identified")
    assert found["started_at"] == STARTED - timedelta(minutes=30)
    assert found["corrected"] == ["severity", "started_at"]
    async with rig.app.rest.state.engine.begin() as db:
        await correct(db, incident_id, "severity", None, "user:2")
        await say(db, incident_id, "resolved", "", "user:2")
        await say(db, incident_id, "monitoring", "no, it is back", "user:2")
    found = await one(rig)
    assert (found["severity"], found["state"], found["resolved_at"]) == ("sev3", "monitoring", None)
    async with rig.app.rest.state.engine.begin() as db:
        await say(db, incident_id, "resolved", "", "user:2")
    found = await one(rig)
    assert (found["state"], found["resolved_by"]) == ("resolved", "user:2")
    (kept,) = await rig.ask("select body, by from post_mortems")
    assert kept == {"body": "# What we learnt", "by": "user:2"}


async def test_an_incident_that_is_recent_is_announced_and_pages_are_told(rig: Rig) -> None:
    now = datetime.now(UTC)
    asked = "select key, arguments from jobs where name = 'announce_incident'"
    incident_id = await reported(rig, started_at=now - timedelta(minutes=50))
    async with rig.surroundings.redis.pubsub() as told:
        await told.subscribe(f"live:{ORGANIZATION}")
        async with rig.app.rest.state.engine.begin() as db:
            assert await jobs.follow(db, ORGANIZATION, incident_id)
        (order,) = await rig.ask(asked)
        assert order["key"] == f"announce_incident:{incident_id}"
        assert order["arguments"] == {"incident": incident_id}
        await change(rig, "delete from jobs where name = 'announce_incident'")
        async with rig.app.rest.state.engine.begin() as db:
            assert not await jobs.follow(db, ORGANIZATION, incident_id)
        assert await rig.ask(asked) == []
        await reported(rig, started_at=now - timedelta(minutes=50), severity="sev1")
        await jobs.follow_incident(rig.surroundings, claimed("follow_incident", incident_id))
        heard = [await told.get_message(timeout=2) for _ in range(3)]
    said = {str(each["data"]) for each in heard if each}
    assert {"b'incident'", "b'deployment'"} <= said or {"incident", "deployment"} <= said
    assert len(await rig.ask(asked)) == 1


def claimed(name: str, incident_id: str) -> Any:
    """Return a job as the worker claims it."""
    return ClaimedJob(1, ORGANIZATION, name, "", {"incident": incident_id}, None, 1)


async def test_what_happened_long_ago_is_announced_to_nobody(rig: Rig) -> None:
    incident_id = await reported(rig, resolved_at=at(60))
    async with rig.app.rest.state.engine.begin() as db:
        assert await jobs.follow(db, ORGANIZATION, incident_id)
    assert await rig.ask("select * from jobs where name = 'announce_incident'") == []


async def test_a_thing_of_another_organisation_is_nothing_here(rig: Rig) -> None:
    incident_id = await reported(rig)
    await one(rig)
    async with rig.app.rest.state.engine.begin() as db:
        assert not await jobs.follow(db, "github:2", incident_id)
    assert len(await incidents(rig)) == 1


async def test_settings_that_change_are_read_into_all_that_is_kept(rig: Rig) -> None:
    now = datetime.now(UTC)
    await tell(rig, named("ops"), posted("outage"), issue("labeled", 1, "fire"))
    incident_id = await reported(rig, started_at=now - timedelta(days=3))
    await worked(rig)
    assert [row["id"] for row in await incidents(rig)] == [incident_id]
    await change(
        rig,
        "insert into incident_settings (organization_id, window_hours, windows, channels, "
        "start_patterns, resolve_patterns, start_reactions, resolve_reactions, alert_bots, labels, "
        "severities) values (:o, 24, '{}', '{ops}', '{}', '{}', '{}', '{}', '{}', '{fire}', '{}')",
        o=ORGANIZATION,
    )
    async with rig.app.rest.state.engine.begin() as db:
        await queue(db, [ReadAgain(ORGANIZATION)], ORGANIZATION)
    await worked(rig)
    ids = {row["id"] for row in await incidents(rig)}
    assert ids == {incident_id, THREAD, "github:42"}
    await change(rig, "delete from incident_settings")
    async with rig.app.rest.state.engine.begin() as db:
        await queue(db, [ReadAgain(ORGANIZATION)], ORGANIZATION)
    await worked(rig)
    assert [row["id"] for row in await incidents(rig)] == [incident_id]


async def deployments(rig: Rig) -> None:
    """Let there be a deployment of ours and one of theirs."""
    async with rig.app.rest.state.engine.begin() as db:
        for number, organization in ((501, ORGANIZATION), (502, "github:2")):
            await remember(db, [models.Deployment(
                id=f"github:{number}", organization_id=organization, repository_id="github:10",
                source="api", environment="production", environment_class="production",
                sha="a" * 40, created_at=at(-60),
            )])  # fmt: skip


async def test_links_name_a_deployment_of_the_organisation(rig: Rig) -> None:
    await deployments(rig)
    incident_id = await reported(rig)
    await one(rig)
    async with rig.app.rest.state.engine.begin() as db:
        await link(db, incident_id, "github:501", "user:1")
        await unlink(db, incident_id, "github:501", "user:2")
        for wrong in ("github:502", "github:503"):
            with pytest.raises(models.errors.Refused, match="no deployment"):
                await link(db, incident_id, wrong, "user:1")
        with pytest.raises(models.errors.Refused, match="no such incident"):
            await link(db, "github:999", "github:501", "user:1")
    (kept,) = await rig.ask("select deployment_id, linked, by from incident_links")
    assert kept == {"deployment_id": "github:501", "linked": False, "by": "user:2"}


TOLD: list[Event | str] = [
    named("general", -90),
    named("incidents", -60),
    posted("API otage, sev3"),
    edited("API outage, sev3 since #12", 0, 1),
    reacted("rotating_light", 2),
    reacted("rotating_light", 4, added=False),
    posted("raising to sev2", 5),
    posted("resolved", 8),
    deleted(8, 9),
    reacted("white_check_mark", 10, 5),
    reacted("white_check_mark", 11, 5, added=False),
    posted("looks good", 14),
    edited("looks good, resolved", 14, 15),
    issue("opened", 0),
    issue("labeled", 1, "incident"),
    issue("labeled", 2, "incident", "sev1"),
    issue("closed", 30, "incident", "sev1", state="closed", closed_at=at(30).isoformat()),
    issue("reopened", 40, "incident", "sev1"),
    "insert into incident_corrections (incident_id, field, value, by) "  # noqa: S608
    f"values ('{THREAD}', 'severity', 'sev1', 'user:1')",
    "insert into incident_updates "  # noqa: S608
    "(id, incident_id, organization_id, state, body, by, at) values "
    f"(1, 'github:42', '{ORGANIZATION}', 'monitoring', '', 'user:1', '2026-09-01 10:50Z')",
    "insert into incident_channels "  # noqa: S608
    "(organization_id, channel, environment, repository_id) "
    f"values ('{ORGANIZATION}', 'inc*', 'staging', 'github:10')",
]
"""All that happened: strings are what people wrote."""

EXPECTED: list[dict[str, Any]] = []
LEFT = "id, key, source, title, detail, severity, state, environment, environment_class, " \
    "repository_id, started_at, detected_at, resolved_at, opened_why, resolved_why, names, " \
    "corrected, channel, url"  # fmt: skip


async def told(rig: Rig, order: list[int], batches: list[int]) -> list[dict[str, Any]]:
    """Tell everything in an order, with work in between; return the incidents."""
    await emptied(rig.app.rest.state.engine)
    await home(rig)
    sizes, left = cycle(batches), list(order)
    while left:
        size = next(sizes)
        for index in left[:size]:
            each = TOLD[index]
            if isinstance(each, str):
                again = "on conflict do nothing"
                await change(rig, f"{each} {again}")
                await follow(rig, THREAD)
                await follow(rig, "github:42")
            else:
                await tell(rig, each)
        left = left[size:]
        await worked(rig)
    return await incidents(rig, LEFT)


@examples(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.permutations(range(len(TOLD))),
    st.lists(st.sampled_from(range(len(TOLD))), max_size=6),
    st.lists(st.sampled_from([1, 2, 5, 100]), min_size=1, max_size=3),
)
async def test_any_order_and_repetition_leaves_the_same_incidents(
    rig: Rig, order: list[int], again: list[int], batches: list[int]
) -> None:
    if not EXPECTED:
        EXPECTED.extend(await told(rig, list(range(len(TOLD))), [1]))
    expected = EXPECTED
    thread, labelled = sorted(expected, key=lambda row: row["source"], reverse=True)
    assert (thread["severity"], thread["environment"]) == ("sev1", "staging")
    assert thread["resolved_at"] == at(14)
    assert thread["title"] == "API outage, sev3 since #12"
    assert (labelled["severity"], labelled["state"]) == ("sev1", "monitoring")
    assert await told(rig, [*order, *again], batches) == expected


def test_the_first_message_of_the_story_is_the_thread() -> None:
    assert THREAD.endswith(ROOT)
