"""Tickets from the command line: what each command prints, does and returns."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncEngine

import models
from bot import developing, watching
from bot.web.api.run_answers import Run
from bot.web.api.ticket_answers import NextTicket, Ticket
from models.runs import ENDED, RunState
from models.store import engine as open_engine
from models.store import remember
from tests.agent_rows import AT, add_run, add_ticket
from tests.command_line import Bot, Said
from tests.fakes.github import FakeGitHub, fake_github

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.store


def write(url: str, do: Callable[[AsyncEngine], Awaitable[Any]]) -> Any:
    """Do something with a store, and let go of it."""

    async def opened() -> Any:
        engine = open_engine(url)
        try:
            return await do(engine)
        finally:
            await engine.dispose()

    return asyncio.run(opened())


def ask(url: str, question: str) -> list[dict[str, Any]]:
    """Ask a store."""
    with psycopg.connect(url, row_factory=dict_row) as db:
        return db.execute(question).fetchall()  # type: ignore[call-overload,no-any-return]


async def acme(engine: AsyncEngine) -> None:
    """Let the app be installed on acme, with the repository acme/api."""
    shared = {"organization_id": "github:1", "changed_at": AT}
    async with engine.begin() as db:
        await remember(
            db,
            [
                models.Organization(id="github:1", login="acme", account_id=1, changed_at=AT),
                models.Connection(
                    id="github:installation:42",
                    source="github",
                    external_id="42",
                    account_login="acme",
                    state="active",
                    **shared,
                ),
                models.Repository(
                    id="github:10", full_name="acme/api", owner_login="acme", **shared
                ),
            ],
        )


@pytest.fixture
def home(stored: Bot, postgres_url: str) -> Bot:
    """Run a command on a store that knows acme/api."""
    write(postgres_url, acme)
    return stored


@pytest.fixture
def github(home: Bot, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """A GitHub with acme/api, and an app whose keys the commands find."""
    with fake_github(writes=True) as fake:
        fake.repository("acme/api")
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("APP_ID", str(fake.app_id))
        monkeypatch.setenv("PRIVATE_KEY", fake.private_key)
        yield fake


@pytest.fixture
def queue(home: Bot, postgres_url: str) -> None:
    """Two open tickets of acme/api."""

    async def two(engine: AsyncEngine) -> None:
        for number, title in ((1, "Mend\x1b[2J the clock"), (2, "Wind it")):
            await add_ticket(engine, f"github:{number}", number=number, title=title)

    write(postgres_url, two)


def test_next_and_queue_say_what_waits(home: Bot, queue: None) -> None:
    following = home("next", "acme/api")
    assert following.code == 0
    assert re.split(r"\s{2,}", following.out.strip()) == [
        "1",
        "medium",
        "bug",
        "github:1",
        "#1 Mend [2J the clock",
    ]
    told = NextTicket.model_validate_json(home("next", "ACME/api", "--json").out)
    assert (told.queue_position, told.total_open_tickets) == (1, 2)
    listed = home("queue", "github:10")
    assert listed.code == 0
    assert [line.split()[3] for line in listed.out.splitlines()] == ["github:1", "github:2"]
    body = json.loads(home("queue", "acme/api", "--json").out)
    assert [Ticket.model_validate(item).id for item in body] == ["github:1", "github:2"]


def test_nothing_to_do_is_1(home: Bot) -> None:
    assert home("next", "acme/api") == Said(1, "Nothing to do in acme/api.\n", "")
    assert home("queue", "acme/api") == Said(1, "No ticket of acme/api is open.\n", "")
    assert home("runs") == Said(1, "There has been no run yet.\n", "")
    assert home("next", "acme/api", "--json").code == 1
    unknown = home("next", "acme/unheard-of")
    assert unknown == Said(1, "", "No repository is called 'acme/unheard-of'.\n")


def test_runs_are_listed_newest_first(home: Bot, queue: None, postgres_url: str) -> None:
    write(postgres_url, lambda engine: add_run(engine, "github:1", state="done", turns=3))
    write(postgres_url, lambda engine: add_run(engine, "github:2"))
    said = home("runs")
    assert said.code == 0
    newest, oldest = said.out.splitlines()
    assert "waiting for its turn" in newest
    assert "done" in oldest
    assert "3 turns" in oldest
    assert len(home("runs", "--limit", "1").out.splitlines()) == 1
    told = json.loads(home("runs", "--repo", "acme/api", "--json").out)
    assert [run["state"] for run in told] == ["queued", "done"]


def test_a_run_is_stopped_once(home: Bot, queue: None, postgres_url: str) -> None:
    run = write(postgres_url, lambda engine: add_run(engine, "github:1"))
    working = write(postgres_url, lambda engine: add_run(engine, "github:2", state="developing"))
    assert home("stop", run) == Said(0, f"Run {run} is stopped.\n", "")
    assert home("stop", run) == Said(1, "", f"Run {run} has ended: stopped.\n")
    assert home("stop", working).out == f"Run {working} will stop within seconds.\n"
    assert home("stop", 999) == Said(1, "", "There is no run 999.\n")
    asked = ask(postgres_url, "select stop_requested_at from runs order by id")
    assert all(row["stop_requested_at"] for row in asked)


@pytest.mark.parametrize("named", ["acme/api#12", "https://github.com/acme/api/issues/12"])
def test_an_issue_becomes_a_ticket_and_is_queued(
    home: Bot, github: FakeGitHub, postgres_url: str, named: str
) -> None:
    issue = github.issue("acme/api", "Mend the clock")
    assert issue.number == 12
    said = home("develop", named, "--no-wait")
    assert said == Said(0, "#12 is queued as run 1.\n", "")
    [ticket] = ask(postgres_url, "select id, source from tickets")
    assert ticket == {"id": f"github:{issue.id}", "source": "cli"}
    again = home("develop", named, "--no-wait")
    assert again == Said(1, "A run of #12 is waiting or at work already.\n", "")


def test_what_is_no_ticket_is_refused(home: Bot, github: FakeGitHub) -> None:
    for named in ("github:999", "nonsense", "acme/api", "acme/api#x"):
        said = home("develop", named, "--no-wait")
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith(f"There is no ticket {named!r}.")
    assert home("develop", "acme/api#999").err == "acme/api has no issue #999.\n"
    assert home("develop", "acme/web#1").err == "No repository is called 'acme/web'.\n"


def test_develop_next_ends_with_the_queue(
    home: Bot, github: FakeGitHub, queue: None, postgres_url: str
) -> None:
    codes = [home("develop-next", "acme/api", "--no-wait").code for _ in range(3)]
    assert codes == [0, 0, 1]
    runs = ask(postgres_url, "select ticket_id from runs order by id")
    assert [row["ticket_id"] for row in runs] == ["github:1", "github:2"]


class Hands(threading.Thread):
    """What a worker does to a run, as far as whoever watches can see."""

    def __init__(self, url: str, states: tuple[str, ...], **told: Any) -> None:
        super().__init__(daemon=True)
        self.url, self.states, self.told = url, states, told
        self.there = threading.Event()

    def run(self) -> None:
        """Connect as a worker, wait for a run, and move it on."""
        with psycopg.connect(self.url, autocommit=True, application_name="worker") as db:
            self.there.set()
            while not db.execute("select 1 from runs where state = 'queued'").fetchone():
                time.sleep(0.02)
            for name, value in self.told.items():
                db.execute(f"update runs set {name} = %s", [value])  # type: ignore[call-overload]  # noqa: S608
            for state in self.states:
                finished = "now()" if state in ENDED else "null"
                moved = f"update runs set state = %s, started_at = now(), finished_at = {finished}"  # noqa: S608
                db.execute(moved, [state])  # type: ignore[call-overload]
                time.sleep(0.15)


@pytest.fixture
def hands(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hands]:
    """Start a worker's hands."""
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)

    def start(*states: str, **told: Any) -> Hands:
        made = Hands(postgres_url, states, **told)
        made.start()
        assert made.there.wait(10)
        return made

    return start


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("done", 0),
        ("draft", 0),
        ("nothing_to_do", 1),
        ("cancelled", 1),
        ("over_budget", 1),
        ("failed", 3),
        ("blocked", 3),
    ],
)
def test_a_run_is_watched_to_its_end(
    home: Bot,
    github: FakeGitHub,
    queue: None,
    hands: Callable[..., Hands],
    state: str,
    code: int,
) -> None:
    hands("developing", state, turns=2, cost_usd=0.25, model="claude-sonnet-5-5")
    said = home("develop", "github:1")
    assert said.code == code
    assert (
        said.err.splitlines()
        == ["waiting for its turn", "developing", watching.STATES[state]][
            -len(said.err.splitlines()) :
        ]
    )
    assert said.out.splitlines()[0] == "#1 is queued as run 1."
    assert said.out.splitlines()[1].startswith(f"Run 1: {watching.STATES[state]} · ")
    assert "$0.25" in said.out


def test_what_the_model_reports_and_the_result_are_shown(
    home: Bot, github: FakeGitHub, queue: None, hands: Callable[..., Hands]
) -> None:
    checklist = json.dumps([{"text": "Read\x1b[2J it", "done": True}, {"text": "Mend it"}])
    hands("developing", "done", checklist=checklist, verdict="passed", pull_request_number=7)
    said = home("develop-next", "acme/api")
    assert "[x] Read[2J it\n[ ] Mend it\n" in said.err
    assert "\x1b" not in said.out + said.err
    assert "tests: passed · https://github.com/acme/api/pull/7" in said.out


def test_json_is_the_apis_body_and_nothing_else(
    home: Bot, github: FakeGitHub, queue: None, hands: Callable[..., Hands]
) -> None:
    hands("developing", "failed", error="It broke.")
    said = home("develop", "github:1", "--json")
    told = Run.model_validate_json(said.out)
    assert (said.code, told.state, told.error) == (3, RunState.FAILED, "It broke.")
    assert said.err == "#1 is queued as run 1.\n"
    queued = home("develop", "github:2", "--json", "--no-wait")
    assert (queued.code, json.loads(queued.out)["state"]) == (0, "queued")


@pytest.mark.parametrize(
    ("leased", "repository", "words"),
    [
        (None, "github:10", "No worker has taken it up."),
        ("now() + interval '1 minute'", "github:10", "Run 2 is at work on this repository"),
        ("now() + interval '1 minute'", "github:11", "The worker is busy with other runs"),
        ("now() - interval '1 minute'", "github:10", "No worker has taken it up."),
    ],
)
async def test_why_a_run_waits_is_said(
    engine: AsyncEngine, leased: str | None, repository: str, words: str
) -> None:
    for number in (1, 2):
        await add_ticket(engine, f"github:{number}")
    run = await add_run(engine, "github:1")
    await add_run(engine, "github:2", state="developing", repository_id=repository)
    if leased:
        async with engine.begin() as db:
            lease = f"update runs set leased_until = {leased} where id <> {run}"  # noqa: S608
            await db.exec_driver_sql(lease)
    row = await watching.looked_up(engine, run)
    assert (await watching.why_waiting(engine, row)).startswith(words)


async def test_it_is_said_when_nobody_takes_a_run_up(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.03)
    await add_ticket(engine, "github:1")
    run = await add_run(engine, "github:1")
    notes: list[str | None] = []

    def show(row: watching.Row, note: str | None) -> None:
        notes.append(note)
        if note:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await watching.watched(engine, run, show)
    assert notes[0] is None
    assert str(notes[-1]).startswith("No worker has taken it up.")


def test_a_terminal_shows_state_time_tokens_and_money() -> None:
    row = {
        "id": 7,
        "repository": "acme/api",
        "number": 12,
        "title": "Mend the clock",
        "state": "developing",
        "elapsed_seconds": 200.0,
        "turns": 4,
        "input_tokens": 1000,
        "cache_read_tokens": 9000,
        "cache_write_tokens": 0,
        "output_tokens": 500,
        "cost_usd": 0.125,
        "model": "claude-sonnet-5-5",
        "checklist": [{"text": "Read", "done": True}],
    }
    assert list(watching.lines(row, "A note.")) == [
        "Run 7 · acme/api#12 Mend the clock",
        "developing · 3 min · 4 turns · 10,000 tokens in, 500 out · $0.12 · claude-sonnet-5-5",
        "  [x] Read",
        "A note.",
    ]


def test_every_state_has_words_and_the_codes_are_known() -> None:
    assert set(watching.STATES) == {state.value for state in RunState}
    assert set(developing.CODES) <= set(watching.STATES)


def test_a_run_is_carried_out_here_where_that_is_asked(
    home: Bot,
    github: FakeGitHub,
    queue: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    postgres_url: str,
) -> None:
    monkeypatch.setenv("GIT_URL", (tmp_path / "nothing").as_uri())
    said = home("develop", "github:1", "--here")
    [run] = ask(postgres_url, "select state, attempts, error from runs")
    assert (said.code, run["state"], run["attempts"]) == (3, "failed", 1)
    assert run["error"] in said.out


@pytest.mark.faults
def test_ctrl_c_leaves_the_run_going_and_says_how_to_stop_it(
    home: Bot, github: FakeGitHub, queue: None, postgres_url: str, clean_redis: str, tmp_path: Path
) -> None:
    worker = psycopg.connect(postgres_url, application_name="worker")
    watched = subprocess.Popen(
        [sys.executable, "-m", "bot", "develop", "github:1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watched.stderr is not None
        assert watched.stderr.readline() == "waiting for its turn\n"
        watched.send_signal(signal.SIGINT)
        _, said = watched.communicate(timeout=20)
    finally:
        watched.kill()
        worker.close()
    assert watched.returncode == 130
    assert "Run 1 goes on: " in said
    assert "python -m bot stop 1" in said
    [run] = ask(postgres_url, "select state, stop_requested_at from runs")
    assert run == {"state": "queued", "stop_requested_at": None}
