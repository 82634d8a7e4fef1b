"""`measure_builds`: the same builds whatever the order; GitHub is asked once."""

import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bot.jobs.builds import measured
from bot.settings import Settings
from models import build_facts as facts
from models.deriving import home_of
from tests.fakes import faults
from tests.fakes.github import GRANTED, FakeCheck, FakeGitHub, fake_github
from tests.rig import Rig, rig_of
from tests.story import INSTALLATION, OTHER, Delivery, Story, iso, sha
from tests.tables import emptied
from tests.test_orders import Telling, told

pytestmark = pytest.mark.store

START = datetime.now().astimezone() - timedelta(days=2)
CI = ".github/workflows/ci.yml"
GRANTS = {**GRANTED, "actions": "read", "checks": "write"}


@dataclass
class Attempt:
    """One attempt of a workflow run. `minutes`: when it started, after the story's start."""

    conclusion: str | None = "success"
    run: int = 1
    number: int = 1
    minutes: float = 0
    lasted: float = 10
    commit: str = "c1"
    branch: str = "main"
    name: str = "CI"
    workflow: int = 7
    path: str = CI
    jobs: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def started_at(self) -> datetime:
        return START + timedelta(minutes=self.minutes)

    @property
    def completed_at(self) -> datetime:
        return self.started_at + timedelta(minutes=self.lasted)


def tell(story: Story, attempt: Attempt) -> None:
    """Write the deliveries of an attempt: it starts, its jobs end, it ends."""
    run_told(story, attempt, attempt.started_at, "in_progress", None)
    for place, job in enumerate(attempt.jobs):
        job_told(story, attempt, place, job)
    if attempt.conclusion:
        run_told(story, attempt, attempt.completed_at, "completed", attempt.conclusion)


def run_told(
    story: Story, attempt: Attempt, when: datetime, status: str, conclusion: str | None
) -> None:
    run = {
        "id": attempt.run,
        "name": attempt.name,
        "path": attempt.path,
        "workflow_id": attempt.workflow,
        "run_attempt": attempt.number,
        "event": "push",
        "head_branch": attempt.branch,
        "head_sha": sha(attempt.commit),
        "status": status,
        "conclusion": conclusion,
        "created_at": iso(attempt.started_at),
        "run_started_at": iso(attempt.started_at),
        "updated_at": iso(when),
        "html_url": f"https://github.com/acme/api/actions/runs/{attempt.run}",
        "actor": OTHER,
    }
    workflow = {"id": attempt.workflow, "name": attempt.name, "path": attempt.path}
    story.tell("workflow_run", when, action=status, workflow_run=run, workflow=workflow)


def job_told(story: Story, attempt: Attempt, place: int, job: tuple[str, str, str | None]) -> None:
    """Write that a job ended: its name, how, and the step that failed."""
    name, conclusion, failed = job
    steps = [{"name": "Check out", "conclusion": "success"}]
    steps += [{"name": failed, "conclusion": "failure"}] if failed else []
    ended = attempt.started_at + timedelta(minutes=1 + place)
    told = {
        "id": attempt.run * 100 + attempt.number * 10 + place,
        "run_id": attempt.run,
        "run_attempt": attempt.number,
        "name": name,
        "status": "completed",
        "conclusion": conclusion,
        "started_at": iso(attempt.started_at),
        "completed_at": iso(ended),
        "html_url": f"https://github.com/acme/api/actions/runs/{attempt.run}/job/{place}",
        "steps": steps,
    }
    story.tell("workflow_job", ended, action="completed", workflow_job=told)


def story_of(*attempts: Attempt, base: Story | None = None) -> Story:
    story = base or Story()
    for attempt in attempts:
        tell(story, attempt)
    return story


def more(*attempts: Attempt) -> Story:
    """A story that goes on where the app is installed already."""
    story = story_of(*attempts)
    story.deliveries.pop(0)
    return story


async def delivered(rig: Rig, story: Story) -> None:
    for event, payload in story.deliveries:
        assert (await rig.deliver(event, payload)).status_code == 202
    await rig.settle()


async def builds(rig: Rig, columns: str = "*") -> list[Any]:
    rows = await rig.ask(f"select {columns} from builds order by started_at, id")  # noqa: S608
    return [tuple(row.values()) for row in rows] if columns != "*" else rows


async def test_the_last_attempt_counts_and_what_failed_before_makes_it_flaky(rig: Rig) -> None:
    jobs = [("lint", "success", None), ("test (3.12)", "failure", "Run shard 3 of 8")]
    story = story_of(
        Attempt("failure", jobs=jobs),
        Attempt("success", number=2, minutes=30, lasted=5),
        Attempt("failure", run=2, minutes=60, commit="c2", jobs=jobs),
    )
    await delivered(rig, story)
    assert await builds(rig, "attempts, outcome, flaky, failure, failed_job, duration_seconds") == [
        (2, "success", True, None, None, 300),
        (1, "failure", False, "Run shard # of #", "test (3.12)", 600),
    ]


async def test_another_run_that_failed_on_the_commit_makes_a_build_flaky(rig: Rig) -> None:
    story = story_of(
        Attempt("failure", run=1, branch="feature"),
        Attempt("success", run=2, minutes=20),
        Attempt("success", run=3, minutes=20, workflow=8, path=".github/workflows/lint.yml"),
        Attempt("success", run=4, minutes=40, commit="c2"),
        Attempt("success", run=5, minutes=60, commit="c3"),
        Attempt("failure", run=6, minutes=80, commit="c3"),
    )
    await delivered(rig, story)
    assert await builds(rig, "id, flaky") == [
        ("github:1", False),
        ("github:2", True),
        ("github:3", False),
        ("github:4", False),
        ("github:5", False),
        ("github:6", False),
    ]


async def test_what_failed_meanwhile_and_is_told_late_makes_a_build_flaky(rig: Rig) -> None:
    await delivered(rig, story_of(Attempt("success", run=1, minutes=0, lasted=50)))
    await delivered(rig, more(Attempt("failure", run=2, minutes=5, branch="feature")))
    assert await builds(rig, "id, flaky") == [("github:1", True), ("github:2", False)]


async def test_a_build_that_is_run_again_is_not_over(rig: Rig) -> None:
    story = story_of(Attempt("failure"), Attempt(None, number=2, minutes=30))
    await delivered(rig, story)
    assert await builds(rig, "outcome, counted, reason, failure, duration_seconds") == [
        (None, False, "it still runs", None, None)
    ]


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    """A GitHub that can be asked."""
    with fake_github() as fake:
        fake.permissions = {INSTALLATION: dict(GRANTS)}
        fake.repository("acme/api")
        yield fake


@pytest.fixture
async def asking(
    github: FakeGitHub, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Rig]:
    """The app as one that may ask GitHub."""
    app = {
        "app_id": github.app_id,
        "private_key": github.private_key,
        "github_api_url": github.url,
    }
    async with rig_of(Settings.model_validate(settings.model_dump() | app)) as rig:
        yield rig


async def test_a_workflow_file_is_read_once_and_says_what_is_built(
    asking: Rig, github: FakeGitHub
) -> None:
    github.repository("acme/api").files[CI] = "run: xcodebuild test"
    await delivered(asking, story_of(Attempt(run=1), Attempt(run=2, minutes=20, commit="c2")))
    await delivered(asking, more(Attempt(run=3, minutes=60, commit="c3")))
    assert await builds(asking, "platform, platform_by") == [("ios", "file")] * 3
    assert len(github.asked("/contents/")) == 1
    files = await asking.ask("select path, platform, evidence, missing from workflow_files")
    assert [tuple(row.values()) for row in files] == [(CI, "ios", "xcodebuild", False)]


async def test_words_and_github_s_own_workflows_need_no_file(
    asking: Rig, github: FakeGitHub
) -> None:
    named = Attempt(run=1, name="Android app")
    own = Attempt(run=2, workflow=8, path="dynamic/github-code-scanning/codeql", name="CodeQL")
    await delivered(asking, story_of(named, own))
    assert await builds(asking, "platform, platform_by") == [("android", "name"), (None, None)]
    assert github.asked("/contents/") == []


async def test_a_push_that_touches_the_file_has_it_read_again(
    asking: Rig, github: FakeGitHub
) -> None:
    repository = github.repository("acme/api")
    repository.files[CI] = "run: make"
    await delivered(asking, story_of(Attempt(run=1, commit="c1")))
    repository.files[CI] = "run: ./gradlew assemble"
    story = more()
    for name, path, minutes in (("c2", "README.md", 30), ("c3", CI, 60)):
        when = START + timedelta(minutes=minutes)
        commit = story.commit(name, when) | {"modified": [path]}
        story.push("main", when, [commit])
    story_of(
        Attempt(run=2, commit="c2", minutes=31), Attempt(run=3, commit="c3", minutes=61), base=story
    )
    await delivered(asking, story)
    assert await builds(asking, "id, platform") == [
        ("github:1", None),
        ("github:2", None),
        ("github:3", "android"),
    ]
    assert len(github.asked("/contents/")) == 2


async def test_where_no_push_tells_a_file_is_asked_for_once_a_day(
    asking: Rig, github: FakeGitHub
) -> None:
    github.repository("acme/api").files[CI] = "run: make"
    await delivered(asking, story_of(Attempt(run=1)))
    async with asking.app.rest.state.engine.begin() as db:
        await db.execute(text("update etags set stored_at = stored_at - interval '25 hours'"))
    await delivered(asking, more(Attempt(run=2, minutes=20, commit="c2")))
    await delivered(asking, more(Attempt(run=3, minutes=40, commit="c3")))
    assert len(github.asked("/contents/")) == 2
    assert len(await asking.ask("select from workflow_files")) == 1


async def test_a_file_that_is_not_there_is_not_asked_for_again(
    asking: Rig, github: FakeGitHub
) -> None:
    await delivered(asking, story_of(Attempt(run=1)))
    await delivered(asking, more(Attempt(run=2, minutes=20)))
    assert len(github.asked("/contents/")) == 1
    assert await builds(asking, "platform") == [(None,), (None,)]
    assert await asking.ask("select missing from workflow_files") == [{"missing": True}]


async def test_what_a_person_says_outweighs_the_file(asking: Rig, github: FakeGitHub) -> None:
    github.repository("acme/api").files[CI] = "run: xcodebuild"
    await delivered(asking, story_of(Attempt(run=1)))
    async with asking.app.rest.state.engine.begin() as db:
        said = "select 'github:7', organization_id, 'none', 'lead' from builds"
        columns = "workflow_id, organization_id, platform, by"
        await db.execute(text(f"insert into workflow_platforms ({columns}) {said}"))
    await delivered(asking, more(Attempt(run=2, minutes=20)))
    assert (await builds(asking, "platform, platform_by"))[1] == (None, "person")


def annotated(github: FakeGitHub, job: int, *said: tuple[str, str]) -> None:
    """Let a job say things: level and message."""
    check = FakeCheck(job, "test", "a" * 40, 15368, conclusion="failure")
    check.annotations = [
        {"path": "src/cart.py", "start_line": 12, "annotation_level": level, "message": message}
        for level, message in said
    ]
    github.repository("acme/api").checks.append(check)


async def test_a_failed_job_is_asked_once_why(asking: Rig, github: FakeGitHub) -> None:
    annotated(
        github,
        110,
        ("warning", "Node 16 is old"),
        ("failure", "Process completed with exit code 1."),
        ("failure", "assert 1 == 2"),
    )
    failed = [("test", "failure", "Run tests")]
    await delivered(asking, story_of(Attempt("failure", jobs=failed)))
    await delivered(asking, more(Attempt("success", run=2, minutes=30)))
    assert (await builds(asking, "annotation"))[0] == ("src/cart.py:12: assert 1 == 2",)
    assert len(github.asked("/annotations")) == 1


async def test_a_job_of_a_branch_that_builds_no_app_is_not_asked(
    asking: Rig, github: FakeGitHub
) -> None:
    failed = [("test", "failure", "Run tests")]
    branch = Attempt("failure", branch="feature", jobs=failed)
    app = Attempt("failure", run=2, branch="feature", name="iOS", workflow=8, jobs=failed)
    await delivered(asking, story_of(branch, app))
    assert [line.rpartition("/check-runs/")[2] for line in github.asked("/annotations")] == [
        "210/annotations"
    ]


async def test_a_rate_limit_puts_the_question_off_and_keeps_the_builds(
    asking: Rig, github: FakeGitHub
) -> None:
    github.fail(faults.limit_used_up(600), on="/contents/")
    await delivered(asking, story_of(Attempt(run=1)))
    assert await builds(asking, "outcome") == [("success",)]
    jobs = await asking.ask(
        "select status, attempts, next_try_at > now() + interval '5 minutes' as later"
        " from jobs where status <> 'done' and name = 'measure_builds'"
    )
    assert [tuple(job.values()) for job in jobs] == [("waiting", 0, True)]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A few runs of two workflows on two commits, some run again, drawn at random."""
    luck = random.Random(draw(st.integers(0, 2**32)))
    ends = ("success", "success", "failure", "timed_out", "cancelled", "startup_failure", None)
    story = Story()
    for run in range(1, luck.randint(2, 6)):
        workflow, commit = luck.choice([7, 8]), luck.choice(["c1", "c2"])
        minutes = luck.randint(0, 200)
        for number in range(1, luck.choice([2, 2, 3])):
            failed = luck.choice([None, "Run tests", "Lint 3"])
            jobs = [("a", luck.choice(["success", "failure"]), failed), ("b", "failure", None)]
            minutes += luck.randint(1, 30)
            attempt = Attempt(
                luck.choice(ends),
                run,
                number,
                minutes,
                luck.choice([0, 5, 50]),
                commit,
                workflow=workflow,
                name=luck.choice(["CI", "iOS"]),
                jobs=jobs[: luck.randint(0, 2)],
            )
            tell(story, attempt)
    return story


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stories(), st.randoms(use_true_random=False), st.sampled_from([1, 3, 7]))
async def test_any_order_measures_the_same_as_all_at_once(
    rig: Rig, story: Story, luck: random.Random, batch: int
) -> None:
    order = list(range(len(story.deliveries)))
    order += luck.choices(order, k=3)
    luck.shuffle(order)
    deliveries: list[Delivery] = story.deliveries
    await emptied(rig.app.rest.state.engine)
    await told(rig, deliveries, Telling(order, (batch,)))
    incrementally = await builds(rig)
    assert incrementally
    engine = rig.app.rest.state.engine
    async with engine.begin() as db:
        await db.execute(text("delete from builds"))
        home = await home_of(db, "github:900")
        ids = await facts.touched(db, "github:900", None)
    assert home
    await measured(engine, home, ids)
    assert await builds(rig) == incrementally
    assert await measured(engine, home, ids) == 0
