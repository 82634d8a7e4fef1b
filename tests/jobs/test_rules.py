"""Rules of deployments: what counts under them, in any order, beside a version in plain Python."""

from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

import models
from handlers.events import Job
from models.queue import queue
from models.rules import keep_rule
from models.store import remember
from tests.rig import Rig
from tests.story import Story, at, iso, sha
from tests.tables import differences, emptied, tables

pytestmark = pytest.mark.store

HOME, HERE = "github:77", "github:900"
DEFAULT: dict[str, Any] = {"source": "auto", "production": [], "ignored": [], "workflows": []}


async def ruled(rig: Rig, **rule: Any) -> None:
    """Keep a rule and order what follows, as the API does."""
    async with rig.app.rest.state.engine.begin() as db:
        await keep_rule(db, HOME, HERE, DEFAULT | rule, "ada")
        again = Job(
            "collect_changes",
            key=f"collect_changes:{HERE}",
            arguments={"repository": HERE, "all": True},
        )
        await queue(db, [again], HOME)


async def told(rig: Rig, story: Story) -> None:
    """Deliver a story and settle it."""
    for event, payload in story.deliveries:
        assert (await rig.deliver(event, payload)).status_code == 202
    story.deliveries.clear()
    await rig.settle()


async def counted(rig: Rig) -> list[str]:
    """Return what counts in production: source and the day."""
    rows = await rig.ask(
        "select source || ' ' || to_char(finished_at, 'MM-DD') as said from service_deployments"
        " where counted and environment_class = 'production' order by finished_at, id"
    )
    return [row["said"] for row in rows]


async def reasons(rig: Rig) -> set[str]:
    """Return why what was told of does not count."""
    rows = await rig.ask(
        "select distinct reason from service_deployments where state = 'superseded'"
    )
    return {row["reason"] for row in rows}


async def applied(rig: Rig) -> bool:
    """Tell whether the rule is applied."""
    [row] = await rig.ask("select applied_at >= changed_at as applied from deployment_rules")
    return bool(row["applied"])


def run(story: Story, name: str, when: Any, workflow: str, event: str = "push") -> None:
    """Write a run of a workflow that succeeded."""
    number = story.number()
    path = f".github/workflows/{workflow.lower().replace(' ', '-')}.yml"
    story.tell(
        "workflow_run",
        when,
        action="completed",
        workflow={"id": len(workflow), "name": workflow, "path": path, "state": "active"},
        workflow_run={
            "id": number, "name": workflow, "path": path, "head_branch": "main",
            "head_sha": sha(name), "event": event, "status": "completed", "conclusion": "success",
            "workflow_id": len(workflow), "run_attempt": 1,
            "created_at": iso(when - timedelta(minutes=4)),
            "run_started_at": iso(when - timedelta(minutes=4)), "updated_at": iso(when),
        },
    )  # fmt: skip


def release(story: Story, name: str, when: Any) -> None:
    """Write a published release."""
    story.tell(
        "release",
        when,
        action="published",
        release={
            "id": story.number(), "tag_name": name, "target_commitish": sha(name), "draft": False,
            "prerelease": False, "created_at": iso(when), "published_at": iso(when),
        },
    )  # fmt: skip


def everything() -> Story:
    """One of each source, on days of their own."""
    story = Story()
    story.push("main", at("08-30 09:00"), [story.commit("v0", at("08-30 09:00"))])
    story.deploy("v0", at("09-01 12:00"))
    story.pull_request(1, at("09-02 08:00"), at("09-02 10:00"), "v1")
    story.deploy("v1", at("09-03 12:00"), "blue-eu")
    run(story, "v1", at("09-04 12:00"), "Deploy")
    run(story, "v1", at("09-05 12:00"), "Ship it")
    run(story, "v1", at("09-06 12:00"), "Ship it", event="pull_request")
    release(story, "v1", at("09-07 12:00"))
    return story


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        ({}, ["deployment_status 09-01"]),
        ({"source": "deployments"}, ["deployment_status 09-01"]),
        ({"source": "workflow"}, ["workflow_run 09-04"]),
        ({"source": "release"}, ["release 09-07"]),
        ({"source": "merge"}, ["merge 09-02"]),
        ({"source": "api"}, []),
        ({"production": ["BLUE-*"]}, ["deployment_status 09-01", "deployment_status 09-03"]),
        ({"ignored": ["production"], "production": ["blue*"]}, ["deployment_status 09-03"]),
        ({"source": "workflow", "workflows": ["ship*"]}, ["workflow_run 09-05"]),
        ({"source": "workflow", "workflows": ["ship-it.yml", "deploy"]}, ["workflow_run 09-04"]),
        ({"workflows": ["ship*"]}, ["deployment_status 09-01"]),
        ({"ignored": ["*"]}, []),
    ],
)
async def test_what_counts_under_a_rule(rig: Rig, rule: dict[str, Any], counts: list[str]) -> None:
    await told(rig, everything())
    await ruled(rig, **rule)
    assert not await applied(rig)
    await rig.settle()
    assert await counted(rig) == counts
    assert await applied(rig)
    chosen = rule.get("source", "auto") != "auto"
    for reason in await reasons(rig):
        assert ("rule" in reason) or not chosen, reason


async def test_going_back_leaves_what_was_there(rig: Rig) -> None:
    await told(rig, everything())
    before = await tables(rig.app.rest.state.engine)
    await ruled(rig, source="workflow", workflows=["ship*"], ignored=["prod*"])
    await rig.settle()
    assert differences(before, await tables(rig.app.rest.state.engine))
    await ruled(rig)
    await rig.settle()
    after = await tables(rig.app.rest.state.engine)
    assert [said for said in differences(before, after) if "deployment_rules" not in said] == []


async def test_what_is_delivered_later_is_judged_by_the_rule(rig: Rig) -> None:
    story = everything()
    await told(rig, story)
    await ruled(rig, source="workflow", workflows=["ship*"])
    await rig.settle()
    run(story, "v2", at("09-08 12:00"), "Ship it")
    run(story, "v3", at("09-09 12:00"), "Deploy")
    run(story, "v4", at("09-10 12:00"), "Ship it", event="pull_request_target")
    await told(rig, story)
    assert await counted(rig) == ["workflow_run 09-05", "workflow_run 09-08"]
    await ruled(rig, source="merge")
    await rig.settle()
    story.pull_request(2, at("09-11 08:00"), at("09-11 10:00"), "v5")
    await told(rig, story)
    assert await counted(rig) == ["merge 09-02", "merge 09-11"]


async def test_merges_count_beside_deployments_to_staging_only(rig: Rig) -> None:
    story = Story()
    story.push("main", at("08-30 09:00"), [story.commit("v0", at("08-30 09:00"))])
    story.deploy("v0", at("09-01 12:00"), "staging")
    await told(rig, story)
    story.pull_request(1, at("09-02 08:00"), at("09-02 10:00"), "v1")
    await told(rig, story)
    assert await counted(rig) == ["merge 09-02"]


async def test_the_last_of_two_quick_changes_is_applied(rig: Rig) -> None:
    await told(rig, everything())
    await ruled(rig, source="release")
    await ruled(rig, source="workflow")
    await rig.settle()
    assert await counted(rig) == ["workflow_run 09-04"]
    assert await applied(rig)
    jobs = await rig.ask(
        "select count(*) from jobs where status <> 'done' and name = 'collect_changes'"
    )
    assert jobs[0]["count"] == 0


async def test_a_rule_that_changed_meanwhile_is_not_applied(rig: Rig) -> None:
    from models.rules import applied as note

    await told(rig, everything())
    await ruled(rig, source="release")
    [before] = await rig.ask("select changed_at from deployment_rules")
    await ruled(rig, source="workflow")
    async with rig.app.rest.state.engine.begin() as db:
        await note(db, HERE, before["changed_at"])
    [row] = await rig.ask("select applied_at from deployment_rules")
    assert row["applied_at"] is None


async def test_runs_of_repositories_without_a_rule_measure_nothing(rig: Rig) -> None:
    story = everything()
    await told(rig, story)
    [before] = await rig.ask("select count(*) from jobs where name = 'collect_changes'")
    run(story, "v9", at("09-20 12:00"), "Tests")
    await told(rig, story)
    assert await rig.ask("select count(*) from jobs where name = 'collect_changes'") == [before]
    jobs = await rig.ask("select status from jobs where name = 'count_workflow_runs'")
    assert {row["status"] for row in jobs} == {"done"}


GLOBS = st.lists(st.sampled_from(["prod*", "live", "*eu", "stag?ng", "qa", "*"]), max_size=2)
RULES = st.fixed_dictionaries({
    "source": st.sampled_from(["auto", "deployments", "workflow", "release", "merge", "api"]),
    "production": GLOBS,
    "ignored": GLOBS,
    "workflows": st.lists(st.sampled_from(["deploy*", "Ship it", "*.yml", "tests"]), max_size=2),
})  # fmt: skip


FIRST, LAST = -1, -2
KNOWN = [0, 1]
"""The deliveries that make the repository known: before them nobody can give it a rule."""


@st.composite
def happenings(draw: st.DrawFn) -> list[int]:
    """An order of the deliveries of a story, some of them twice, and of two changes of a rule."""
    rest = range(len(KNOWN), len(everything().deliveries))
    order = draw(st.permutations(rest))
    first, last = sorted(draw(st.lists(st.integers(0, len(order)), min_size=2, max_size=2)))
    again = draw(st.lists(st.sampled_from(rest), max_size=3))
    return [*KNOWN, *order[:first], FIRST, *order[first:last], LAST, *order[last:], *again]


async def lived(rig: Rig, order: list[int], rules: dict[int, dict[str, Any]], batch: int) -> Any:
    """Tell a story and change the rule in an order; return the tables but for the rule's own."""
    await emptied(rig.app.rest.state.engine)
    deliveries = everything().deliveries
    for place, number in enumerate(order):
        if number in rules:
            await ruled(rig, **rules[number])
        else:
            event, payload = deliveries[number]
            await rig.deliver(event, payload, delivery_id=f"d{number}")
        if place % batch == 0 or place < len(KNOWN):
            await rig.settle()
    await rig.settle()
    assert await applied(rig)
    return await tables(rig.app.rest.state.engine) | {"deployment_rules": []}


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=happenings(), first=RULES, last=RULES, batch=st.integers(1, 9))
async def test_rules_and_deliveries_in_any_order_leave_the_same_tables(
    rig: Rig, order: list[int], first: dict[str, Any], last: dict[str, Any], batch: int
) -> None:
    plain = [*range(len(everything().deliveries)), LAST]
    expected = await lived(rig, plain, {LAST: last}, 100)
    assert differences(expected, await lived(rig, order, {FIRST: first, LAST: last}, batch)) == []


SOURCES = {
    "deployments": "deployment_status", "workflow": "workflow_run", "release": "release",
    "merge": "merge", "api": "api",
}  # fmt: skip
PRIORITY = ("deployment_status", "workflow_run", "release", "api", "merge")
ENVIRONMENTS = {"production": "production", "live": "production", "prod-eu": "production",
                "staging": "staging", "qa": "staging"}  # fmt: skip


@st.composite
def attempts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Attempts of many sources, each at a minute of its own, some of them merges."""
    found = []
    for minute in range(draw(st.integers(0, 12))):
        source = draw(st.sampled_from(PRIORITY))
        environment = draw(st.sampled_from(list(ENVIRONMENTS)))
        if source in ("release", "merge", "workflow_run"):
            environment = "production"
        found.append({
            "minute": minute, "source": source, "environment": environment,
            "sha": draw(st.sampled_from("abc")) * 40,
            "ok": source in ("release", "merge") or draw(st.booleans()),
            "workflow": draw(st.sampled_from(["Deploy", "Ship it", "Tests"])),
        })  # fmt: skip
    return found


def facts(each: dict[str, Any]) -> list[Any]:
    """Return the facts of an attempt, as the sources tell them."""
    when, number = at("09-01 09:00") + timedelta(minutes=each["minute"]), each["minute"]
    shared = {"organization_id": HOME, "changed_at": when, "repository_id": HERE}
    result = "success" if each["ok"] else "failure"
    if each["source"] == "merge":
        return [models.PullRequest(
            id=f"github:pr{number}", number=number, title="x", state="merged", base_ref="main",
            base_is_default=True, head_ref="b", head_sha="d" * 40, merge_commit_sha=each["sha"],
            opened_at=when, merged_at=when, cohort="people", **shared,
        )]  # fmt: skip
    rows: list[Any] = []
    id_ = f"github:{number}"
    if each["source"] == "workflow_run":
        name, id_ = each["workflow"], f"github:workflow_run:{number}"
        rows.append(models.WorkflowRun(
            id=f"github:{number}/1", run_id=f"github:{number}", workflow_id="w", name=name,
            path=f".github/workflows/{name.lower()}.yml", event="push", head_sha=each["sha"],
            status="completed", conclusion=result, started_at=when, completed_at=when, **shared,
        ))  # fmt: skip
        if name != "Deploy":
            return rows
    rows.append(models.Deployment(
        id=id_, source=each["source"], environment=each["environment"], sha=each["sha"],
        environment_class=ENVIRONMENTS[each["environment"]], created_at=when, result=result,
        result_at=when, **shared,
    ))  # fmt: skip
    return rows


def glob(said: str, patterns: list[str]) -> bool:
    """Whether a name fits."""
    return any(fnmatchcase(said.lower(), pattern.lower()) for pattern in patterns)


Judged = tuple[dict[str, Any], str]


def heard_of(told_of: list[dict[str, Any]], rule: dict[str, Any]) -> list[Judged]:
    """Return the attempts that a rule leaves in, and the class of each."""
    wanted, heard = rule["workflows"] or ["deploy"], []
    for each in told_of:
        names = (each["workflow"], f"{each['workflow']}.yml")
        runs = each["source"] == "workflow_run"
        if runs and not any(glob(said, wanted) for said in names):
            continue
        if glob(each["environment"], rule["ignored"]):
            continue
        fits = glob(each["environment"], rule["production"])
        heard.append((each, "production" if fits else ENVIRONMENTS[each["environment"]]))
    return heard


def counting_here(here: list[dict[str, Any]], to: str, rule: dict[str, Any]) -> str:
    """Return the source that counts in a class."""
    known = [each["source"] for each in here if each["source"] != "merge"]
    chosen = SOURCES.get(rule["source"])
    if chosen and (to == "production" or chosen in known):
        return chosen
    return next((each for each in PRIORITY if each in known), "merge")


def kind_of(deployed: str, ran: list[str]) -> str:
    """Return the kind of a deployment after some others."""
    if not ran:
        return "baseline"
    if ran[-1] == deployed:
        return "redeploy"
    return "rollback" if deployed in ran else "new"


def oracle(told_of: list[dict[str, Any]], rule: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Return minute, class and kind of each success that counts, as plainly as can be."""
    heard, found = heard_of(told_of, rule), []
    for to in ("production", "staging"):
        here = [each for each, its in heard if its == to]
        source = counting_here(here, to, rule)
        ran: dict[str, list[str]] = {}
        for each in here:
            if each["source"] == source and each["ok"]:
                before = ran.setdefault(each["environment"], [])
                found.append((each["minute"], to, kind_of(each["sha"], before)))
                before.append(each["sha"])
    return sorted(found)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(attempts=attempts(), rule=RULES)
async def test_what_counts_is_what_a_plain_version_says(
    rig: Rig, attempts: list[dict[str, Any]], rule: dict[str, Any]
) -> None:
    engine = rig.app.rest.state.engine
    await emptied(engine)
    async with engine.begin() as db:
        await remember(db, [
            models.Repository(id=HERE, organization_id=HOME, full_name="acme/api",
                              owner_login="acme", changed_at=at("09-01 00:00")),
            *(row for each in attempts for row in facts(each)),
        ])  # fmt: skip
    await ruled(rig, **rule)
    await rig.settle()
    assert await applied(rig)
    rows = await rig.ask(
        "select (extract(epoch from finished_at - :start) / 60)::int as minute,"
        " environment_class, kind, counted from service_deployments where state = 'success'",
        start=at("09-01 09:00"),
    )
    said = [(row["minute"], row["environment_class"], row["kind"]) for row in rows]
    expected = oracle(attempts, rule)
    assert sorted(said) == expected, to_json(rule)
    assert sum(row["counted"] for row in rows) == sum(kind != "redeploy" for _, _, kind in expected)
    told_of = await rig.ask("select count(*) from service_deployments where reason is null and"
                            " not counted")  # fmt: skip
    assert told_of[0]["count"] == 0
