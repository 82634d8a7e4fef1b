"""Blame and failures in Postgres: as the plain version says, and in whatever order things come."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.failures import judge, judge_all, relink
from models.columns import EPOCH
from tests.jobs.blame_oracle import Answer, Oracle
from tests.jobs.blame_rows import (
    ORGANIZATION,
    Attempt,
    Change,
    Event,
    History,
    Said,
    begin,
    incident_row,
    judgements,
    key,
    moment,
    open_incident,
    say,
    sha,
    ship,
)

pytestmark = pytest.mark.store

STEPS = 40
SERVICES = {"api": [("production",)], "shop": [("web",), ("ios",), ("web", "ios")]}


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a history of two repositories, one of them a monorepo of two services."""
    history = History(window_hours=draw(st.sampled_from([1.0, 3.0, 24.0])))
    for repository in SERVICES:
        for number in range(1, draw(st.integers(1, 6)) + 1):
            change = draw(changes(repository, number, len(history.changes) + 1))
            history.changes[repository, change.name] = change
    for repository, name in sorted(history.changes):
        times = draw(st.integers(1, 3))
        history.attempts += [
            draw(attempts(len(history.attempts) + each, repository, name)) for each in range(times)
        ]
    count = draw(st.integers(0, 6))
    history.incidents = [draw(incidents(number, history)) for number in range(count)]
    if count:
        who = st.tuples(st.integers(0, count - 1), st.integers(0, len(history.attempts) - 1))
        linked = draw(st.lists(who, max_size=4, unique=True))
        history.said = [
            Said(incident, attempt, draw(st.booleans()), minute)
            for minute, (incident, attempt) in enumerate(linked)
        ]
    return history


@st.composite
def changes(draw: st.DrawFn, repository: str, nth: int, number: int) -> Change:
    """Draw a pull request, perhaps one that reverts the one before it, or something unknown."""
    name, other = f"{repository}{nth}", draw(st.integers(max(1, nth - 2), nth))
    title, branch, corrective = draw(
        st.sampled_from(
            [
                (f"Change {nth}", "feature", False),
                (f"Change {nth}", "feature", False),
                (f"hotfix: {nth}", "hotfix/it", True),
                (f'Revert "Change {other}"', "undo", True),
                (f'Revert "Change {other}"', f"revert-{number - 1}-it", True),
                (f'Revert "Revert "Change {other}""', "again", True),
                (f"Undo {nth}", f"revert-{number - 1}-it", True),
                ('Revert "Something unknown"', "undo", True),
            ]
        )
    )
    return Change(repository, name, number, title, branch, corrective)


@st.composite
def attempts(draw: st.DrawFn, number: int, repository: str, name: str) -> Attempt:
    """Draw an attempt to deploy a commit."""
    in_class = draw(st.sampled_from(["production"] * 5 + ["staging"]))
    return Attempt(
        number,
        repository,
        name,
        draw(st.integers(0, STEPS)),
        draw(st.sampled_from(SERVICES[repository])),
        in_class,
        draw(st.sampled_from([True] * 6 + [False])),
        draw(st.integers(0, 2)),
    )


@st.composite
def incidents(draw: st.DrawFn, number: int, history: History) -> Event:
    """Draw an incident, which may tell or name where it happened."""
    start = draw(st.integers(0, STEPS))
    known = sorted(history.changes.values(), key=lambda change: change.number)
    references = [
        *(f"number:acme/{change.repository}#{change.number}" for change in known),
        *(f"number:#{change.number}" for change in known),
        *(f"sha:{sha(change.name)[:8]}" for change in known),
        *(f"deployment:{attempt.number}" for attempt in history.attempts),
        *("repository:acme/shop", "number:acme/docs#1", "number:#99999999999", "sha:0123456"),
    ]
    return Event(
        number,
        start,
        draw(st.none() | st.integers(start, STEPS + 5)),
        draw(st.sampled_from(["Everything is slow", "api is down", "web shop", "the ios app"])),
        tuple(draw(st.lists(st.sampled_from(references), max_size=2))),
        draw(st.sampled_from([None, None, None, "api", "shop"])),
        draw(st.sampled_from([None, None, None, "web", "shop", "tv"])),
        draw(st.sampled_from(["production"] * 5 + ["staging"])),
    )


async def judged_at_once(db: AsyncConnection, history: History) -> dict[str, list[Any]]:
    """Write a whole history, and judge it."""
    await begin(db, history)
    for event in history.incidents:
        await open_incident(db, incident_row(event))
    for said in history.said:
        await say(db, said)
    for repository in SERVICES:
        await ship(db, history, repository, history.attempts, EPOCH)
    for repository in SERVICES:
        await judge(db, ORGANIZATION, key(repository), None)
    return await judgements(db)


async def answered(db: AsyncConnection) -> Answer:
    """Return what was judged, as the plain version says it."""
    found = await judgements(db)
    return Answer(
        {row.incident_id: (row.repository_id, row.service_id) for row in found["incident_places"]},
        {
            (row.incident_id, row.service_deployment_id): row.evidence
            for row in found["incident_deployments"]
        },
        {
            row.service_deployment_id: (
                row.evidence,
                row.incidents,
                row.remedy_id,
                row.recovered_at,
            )
            for row in found["failed_deployments"]
        },
    )


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories())
async def test_postgres_judges_as_the_plain_version_does(
    db: AsyncConnection, history: History
) -> None:
    savepoint = await db.begin_nested()
    await judged_at_once(db, history)
    found, expected = await answered(db), Oracle(history).answer()
    assert found.places == expected.places
    assert found.blames == expected.blames
    assert found.failed == expected.failed
    await savepoint.rollback()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories(), data=st.data())
async def test_in_whatever_order_things_come_the_tables_end_equal(
    db: AsyncConnection, history: History, data: st.DataObject
) -> None:
    savepoint = await db.begin_nested()
    at_once = await judged_at_once(db, history)
    steps: list[Any] = [*history.attempts, *history.incidents, *history.said]
    order = data.draw(st.permutations(steps))
    await begin(db, history)
    known: list[Attempt] = []
    for step in order:
        await told(db, history, known, step)
    assert await judgements(db) == at_once
    await judge_all(db, ORGANIZATION)
    assert await judgements(db) == at_once
    await savepoint.rollback()


async def told(db: AsyncConnection, history: History, known: list[Attempt], step: Any) -> None:
    """Take one thing in as the jobs do, and judge what it may have changed."""
    if isinstance(step, Attempt):
        known.append(step)
        since = moment(step.step)
        await ship(db, history, step.repository, known, since)
        await judge(db, ORGANIZATION, key(step.repository), since)
    elif isinstance(step, Event):
        for open_still in (True, False):
            await open_incident(db, incident_row(step, open_still=open_still))
            await relink(db, step.id)
    else:
        await say(db, step)
        await relink(db, f"api:{step.incident}")


def shipped(*names: str, repository: str = "api", first: int = 0) -> History:
    """A history in which each name is deployed two steps after the one before; `v0` at first."""
    history = History()
    for number, name in enumerate(names):
        if (repository, name) not in history.changes:
            change = Change(repository, name, number + 100, f"Change {name}")
            history.changes[repository, name] = change
        history.attempts.append(Attempt(number, repository, name, first + number * 2))
    return history


async def blames(db: AsyncConnection) -> Sequence[tuple[Any, ...]]:
    """Return what is blamed, by which evidence and why."""
    asked = "select deployment_id, evidence, reason, by from incident_deployments order by 1"
    return [tuple(row) for row in await db.execute(text(asked))]


async def test_a_rollback_explains_itself(db: AsyncConnection) -> None:
    history = shipped("v0", "v1", "v2", "v0")
    history.incidents = [Event(1, 5, 7, repository="api")]
    await judged_at_once(db, history)
    rolled_back = f"rolled back to {sha('v0')[:7]} 2 h later"
    assert await blames(db) == [
        ("github:1", "remedy", f"{rolled_back}, while the incident ran", None)
    ]
    rows = await db.execute(text("select evidence, reason, remedy_id from failed_deployments"))
    assert [tuple(row) for row in rows] == [
        (
            "incident",
            f"INC-1: {rolled_back}, while the incident ran",
            "github:api/production/production/github:3",
        )
    ]


async def test_what_brought_a_commit_of_a_branch_is_named_by_it(db: AsyncConnection) -> None:
    history = shipped("v0", "v1", "v2")
    history.incidents = [Event(1, 5, names=(f"sha:{sha('on the branch')[:7]}",))]
    await judged_at_once(db, history)
    assert [row[:2] for row in await blames(db)] == [("github:2", "window")]
    await db.execute(
        text("""
            insert into pull_request_heads (id, organization_id, changed_at, rank, digest,
                                            repository_id, pull_request_id, sha)
            values ('h', 'acme', now(), 0, 0, 'github:api', 'github:pr-101', :sha)"""),
        {"sha": sha("on the branch")},
    )
    await relink(db, "api:1")
    said = f"names {sha('on the branch')[:7]}, which this deployment brought"
    assert await blames(db) == [("github:1", "named", said, None)]


async def test_a_commit_pushed_without_a_pull_request_is_named_by_any_of_its_push(
    db: AsyncConnection,
) -> None:
    history = shipped("v0", "v1", "v2")
    history.incidents = [Event(1, 5, names=(f"sha:{sha('first of two')}",))]
    await judged_at_once(db, history)
    await db.execute(
        text("update deployment_changes set change_id = 'push-1' where sha = :sha"),
        {"sha": sha("v1")},
    )
    await db.execute(
        text("""
            insert into push_commits (id, organization_id, changed_at, rank, digest,
                                      repository_id, push_id, sha, position, fresh)
            values ('k', 'acme', now(), 0, 0, 'github:api', 'push-1', :sha, 0, true)"""),
        {"sha": sha("first of two")},
    )
    await relink(db, "api:1")
    assert [row[:2] for row in await blames(db)] == [("github:1", "named")]


async def test_an_incident_that_is_dismissed_or_gone_blames_nothing(db: AsyncConnection) -> None:
    history = shipped("v0", "v1")
    history.incidents = [Event(1, 3, 4), Event(2, 3, 4)]
    judged = await judged_at_once(db, history)
    assert len(judged["incident_deployments"]) == 2
    assert judged["failed_deployments"][0].incidents == ["api:1", "api:2"]
    await db.execute(text("update incidents set dismissed = true where id = 'api:1'"))
    await relink(db, "api:1")
    left = await judgements(db)
    assert [row.incident_id for row in left["incident_places"]] == ["api:2"]
    assert left["failed_deployments"][0].incidents == ["api:2"]
    await db.execute(text("delete from incidents where id = 'api:2'"))
    await relink(db, "api:2")
    await relink(db, "api:never")
    left = await judgements(db)
    assert not left["incident_places"]
    assert not left["incident_deployments"]
    assert not left["failed_deployments"]


async def test_another_organisation_is_never_blamed(db: AsyncConnection) -> None:
    history = shipped("v0", "v1")
    number = history.changes["api", "v1"].number
    history.incidents = [
        Event(1, 3, names=(f"sha:{sha('v1')[:7]}", "deployment:1", f"number:acme/api#{number}"))
    ]
    history.said = [Said(1, 1, linked=True, minute=0)]
    await judged_at_once(db, history)
    assert len(await blames(db)) == 1
    for table in ("incidents", "incident_links", "incident_settings"):
        await db.execute(text(f"update {table} set organization_id = 'evil'"))  # noqa: S608
    await relink(db, "api:1")
    assert await blames(db) == []


async def test_a_changed_window_judges_everything_again(db: AsyncConnection) -> None:
    history = shipped("v0", "v1")
    history.incidents = [Event(1, 8)]
    history.window_hours = 1
    await judged_at_once(db, history)
    assert await blames(db) == []
    await db.execute(text("update incident_settings set windows = '{\"production\": 3}'"))
    await judge_all(db, ORGANIZATION)
    assert [row[:2] for row in await blames(db)] == [("github:1", "window")]


async def test_a_renamed_repository_is_found_by_its_new_name(db: AsyncConnection) -> None:
    history = shipped("v0", "v1")
    history.attempts += [Attempt(9, "shop", "s", 0, ("web",))]
    history.changes["shop", "s"] = Change("shop", "s", 900, "Begin")
    history.incidents = [Event(1, 3, 4, title="gateway is down")]
    await judged_at_once(db, history)
    assert await blames(db) == []
    await db.execute(
        text("update repositories set full_name = 'acme/gateway' where id = :id"),
        {"id": key("api")},
    )
    await judge(db, ORGANIZATION, key("api"), moment(STEPS))
    said = "opened 30 min after this deployment of gateway; no later one before it"
    assert await blames(db) == [("github:1", "window", said, None)]
