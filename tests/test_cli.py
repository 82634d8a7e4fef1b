"""The command line: what each command prints, refuses and returns."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot import __main__ as command_line
from bot.commands import figure
from tests.command_line import Bot, Said
from tests.story import Story

ROOT = Path(__file__).parents[1]
RECORDED = Path(__file__).parent / "payloads" / "github.ndjson"
COMMANDS = {
    "demo", "dev", "web", "worker", "migrate", "create-user", "deliveries", "replay", "metrics",
    "next", "queue", "develop", "develop-next", "runs", "stop", "doctor", "export", "backfill",
    "sync",
}  # fmt: skip
KEYS = {
    "id", "source", "delivery_id", "event", "action", "organization", "status", "received_at",
    "via", "sent_at", "settled_at", "attempts", "error", "decisions",
}  # fmt: skip

store = pytest.mark.store


@pytest.fixture
def told(stored: Bot, tmp_path: Path) -> Bot:
    """Run a command where a small story was replayed."""
    story = Story()
    story.baseline()
    lines = (
        json.dumps(
            {"headers": {"X-GitHub-Event": event, "X-GitHub-Delivery": f"d{n}"}, "body": body}
        )
        for n, (event, body) in enumerate(story.deliveries)
    )
    (tmp_path / "story.ndjson").write_text("\n".join(lines))
    assert stored("replay", "--file", "story.ndjson").code == 0
    return stored


def names_of(help_text: str) -> set[str]:
    lines = help_text.split("Commands", 1)[1].splitlines()
    return {line[1:].split()[0] for line in lines if line.startswith("│ ") and line[2] != " "}


def test_help_lists_every_command_and_what_exit_codes_mean(bot: Bot) -> None:
    said = bot("--help")
    assert said.code == 0
    assert names_of(said.out) == COMMANDS
    assert "0 done, 1 nothing to do or refused, 2 wrong usage, 3 failed" in " ".join(
        said.out.split()
    )


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(bot: Bot, command: str) -> None:
    said = bot(command, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"Usage: python -m bot {command}" in said.out


def test_help_imports_no_slow_library() -> None:
    slow = "{'sqlalchemy', 'sqlmodel', 'githubkit', 'starlette', 'httpx', 'pydantic', 'arq'}"
    script = (
        "import sys; sys.argv = ['bot', '--help']\n"
        "from bot.__main__ import main\n"
        "try: main()\n"
        f"finally: print(sorted({slow} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["nothing-of-the-kind"],
        ["deliveries", "--status", "lost"],
        ["deliveries", "--status", "parked", "--failed"],
        ["deliveries", "--limit", "-1"],
        ["replay"],
        ["replay", "1", "--since", "2026-01-01"],
        ["replay", "1", "--organization", "acme"],
        ["replay", "--since", "yesterday"],
        ["metrics"],
        ["metrics", "acme", "--days", "0"],
        ["metrics", "acme", "--start", "20x"],
        ["web", "--workers", "0"],
        ["create-user"],
        ["next"],
        ["queue"],
        ["develop"],
        ["develop-next"],
        ["runs", "--limit", "0"],
        ["stop"],
        ["stop", "first"],
    ],
)
def test_wrong_usage_is_2(bot: Bot, wrong: list[str]) -> None:
    said = bot(*wrong)
    assert said.code == 2
    assert "Usage: python -m bot" in said.out + said.err


@pytest.mark.parametrize(
    "command",
    [
        ["deliveries"],
        ["metrics", "acme"],
        ["replay", "1"],
        ["create-user", "a@b.c"],
        ["next", "acme/api"],
        ["queue", "acme/api"],
        ["runs"],
        ["stop", "1"],
    ],
)
def test_no_store_is_made_by_the_way(bot: Bot, command: list[str], tmp_path: Path) -> None:
    said = bot(*command)
    assert said.code == 1
    assert "DATABASE_URL is not set" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_process_needs_its_settings(bot: Bot, command: str) -> None:
    said = bot(command)
    assert said.code == 1
    assert "DATABASE_URL and SECRET_KEY must be set" in said.err


def test_wrong_settings_are_refused_before_anything_starts(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    said = bot("dev")
    assert said.code == 1
    assert "PORT:" in said.err
    assert "LOG_LEVEL:" in said.err


def test_a_database_that_is_away_is_said_in_one_line(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("REDIS_URL", redis_url)
    said = bot("deliveries")
    assert said.code == 3
    assert said.err.startswith("Postgres did not do it: ")
    assert "Traceback" not in said.err


@store
def test_a_store_without_tables_is_said(
    stored: Bot, monkeypatch: pytest.MonkeyPatch, postgres_url: str, server_url: str
) -> None:
    name = f"bare_{os.getpid()}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'create database "{name}"')  # type: ignore[call-overload]
        try:
            monkeypatch.setenv("DATABASE_URL", with_database(postgres_url, name))
            said = stored("deliveries")
            assert said.code == 1
            assert "run `python -m bot migrate` first" in said.err
            migrated = stored("migrate")
            assert migrated.code == 0
            assert "is up to date: revision" in migrated.out
            assert stored("deliveries").out == "None has come yet.\n"
        finally:
            server.execute(f'drop database "{name}" with (force)')  # type: ignore[call-overload]


def with_database(url: str, name: str) -> str:
    address, _, query = url.partition("?")
    return f"{address.rpartition('/')[0]}/{name}{'?' if query else ''}{query}"


def test_migrate_prints_its_sql_without_a_store(bot: Bot) -> None:
    said = bot("migrate", "--sql")
    assert said.code == 0
    assert "CREATE TABLE deliveries" in said.out


@store
def test_an_account_without_a_password_gets_a_link(stored: Bot) -> None:
    said = stored("create-user", "Ada@Example.org", "--organization", "acme", "--role", "manager")
    assert said.code == 0
    link, place, new = said.out.splitlines()
    assert link.startswith("ada@example.org can sign in once: http://127.0.0.1:8000/sign-in/")
    assert place == "Manager of acme."
    assert "acme has not installed the GitHub App yet" in new


@store
def test_an_account_may_have_a_password_and_no_organisation(
    stored: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Lines("correct horse\n"))
    said = stored("create-user", "a@b.example", "--admin", "--password-stdin")
    assert said.code == 0
    assert said.out.splitlines()[0] == (
        "a@b.example can sign in with the password: http://127.0.0.1:8000/sign-in"
    )
    assert "Operator of this Veelocity" in said.out
    assert "They belong to no organisation yet" in said.out


class Lines:
    """Standard input with one line."""

    def __init__(self, line: str) -> None:
        self.line = line

    def readline(self) -> str:
        return self.line


@store
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (["nobody"], "'nobody' is not an e-mail address"),
        (["a@b.example", "--role", "chief"], "'chief' is no role"),
        (["a@b.example", "--password-stdin"], "at least 8 characters"),
    ],
)
def test_an_impossible_account_is_refused(
    stored: Bot, monkeypatch: pytest.MonkeyPatch, wrong: list[str], why: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Lines("short\n"))
    said = stored("create-user", *wrong)
    assert said.code == 1
    assert why in said.err


@store
def test_deliveries_as_json_hold_what_is_promised(told: Bot) -> None:
    every = json.loads(told("deliveries", "--limit", "0", "--json").out)
    assert len(every) == 5
    assert {frozenset(each) for each in every} == {frozenset(KEYS)}
    assert [each["received_at"] for each in every] == sorted(
        (each["received_at"] for each in every), reverse=True
    )
    assert {each["status"] for each in every} <= {"settled", "ignored"}
    some = json.loads(told("deliveries", "--limit", "3", "--json").out)
    assert some == every[:3]
    assert told("deliveries", "--failed", "--json").out == "[]\n"


@store
def test_a_delivery_takes_two_lines_that_fit(told: Bot) -> None:
    said = told("deliveries")
    head, *lines = said.out.splitlines()
    assert head.split() == ["id", "received", "(UTC)", "status", "event", "organisation"]
    assert 5 <= len(lines) <= 10
    assert all(len(line) <= 80 for line in [head, *lines[::2]])
    assert "● settled" in lines[0]


@store
def test_what_did_not_come_by_webhook_says_how(told: Bot, postgres_url: str) -> None:
    missed = "update deliveries set via = 'recovered', sent_at = '2026-09-01 10:00Z' where id = 2"
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(missed)
    lines = told("deliveries").out.splitlines()
    assert [line.rsplit("acme", 1)[1] for line in lines if "acme" in line].count(
        " (recovered)"
    ) == 1
    told_so = {
        (each["id"], each["via"], each["sent_at"])
        for each in json.loads(told("deliveries", "--json").out)
        if each["via"] != "webhook"
    }
    assert told_so == {(2, "recovered", "2026-09-01T10:00:00Z")}


@store
def test_what_is_parked_says_why(stored: Bot, tmp_path: Path) -> None:
    homeless = {"headers": {"X-GitHub-Event": "push"}, "body": {"installation": {"id": 5}}}
    (tmp_path / "one.ndjson").write_text(json.dumps(homeless))
    replayed = stored("replay", "--file", "one.ndjson")
    assert replayed.out.splitlines()[-1] == "1 decided: 1 parked."
    said = stored("deliveries", "--failed")
    assert said.code == 0
    assert "■ parked" in said.out
    assert "organisation unknown: no connection for installation 5" in said.out
    assert stored("deliveries", "--status", "settled").code == 1


@store
def test_an_empty_inbox_is_nothing_to_do(stored: Bot) -> None:
    assert stored("deliveries") == Said(1, "None has come yet.\n", "")
    assert stored("deliveries", "--failed") == Said(1, "No delivery is failed or parked.\n", "")
    assert stored("replay", "--since", "2026-01-01").code == 1


@store
def test_a_recording_is_replayed_and_counted(stored: Bot) -> None:
    said = stored("replay", "--file", RECORDED)
    assert said.code == 0
    assert "109 decided: 1 ignored, 108 settled." in said.out
    again = stored("replay", "--file", RECORDED)
    assert "109 had been delivered before and were decided again." in again.out


@store
def test_replayed_deliveries_are_shown(told: Bot) -> None:
    said = told("replay", "1", "d1")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("2 decided: ")
    assert told("replay", "d1", "d99999").err == "No such delivery: d99999. Nothing was replayed.\n"
    assert told("replay", "--file", "nothing").code == 1


@store
def test_metrics_are_those_of_the_api(told: Bot) -> None:
    said = told("metrics", "acme", "--start", "2026-09-01", "--end", "2026-09-30", "--json")
    assert said.code == 0
    body: dict[str, Any] = json.loads(said.out)
    assert (body["start_date"], body["end_date"]) == ("2026-09-01", "2026-09-30")
    assert set(body) == {
        *("start_date", "end_date", "time_zone", "scope", "deployment_frequency"),
        *("change_lead_time", "change_failure_rate", "failed_deployment_recovery_time"),
        *("time_to_restore", "rework_rate"),
    }


@store
def test_metrics_fit_a_terminal_and_name_what_is_unknown(told: Bot) -> None:
    said = told("metrics", "ACME")
    assert said.code == 0
    assert "deployment frequency" in said.out
    for name in ("change lead time", "change failure rate", "failed deployment recovery time"):
        assert name in said.out
    assert "time to restore" in said.out
    august = told("metrics", "acme/api", "--start", "2026-08-01", "--end", "2026-08-31").out
    (rework,) = [line for line in august.splitlines() if "rework rate" in line]
    assert rework.split() == ["rework", "rate", "0", "%:", "0", "of", "1", "–", "1"]
    assert told("metrics", "acme", "--start", "2026-09-02", "--end", "2026-09-01").code == 2
    unknown = told("metrics", "nobody")
    assert unknown == Said(1, "", "No repository or organisation is called 'nobody'.\n")


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"per_day": 0.5}, "0.50 a day"),
        ({"rate": 0.25, "failed": 1, "count": 4}, "25 %: 1 of 4"),
        ({"rate": 0.2, "reworked": 1, "count": 5}, "20 %: 1 of 5"),
        ({"rate": None, "reason": "nothing came"}, "– nothing came"),
        ({"median_seconds": 6000, "open": 0}, "1.7 h median"),
        ({"median_seconds": 6000, "open": 2}, "1.7 h median, 2 still open"),
        (
            {"median_seconds": 60, "mean_seconds": 120, "by_severity": {}, "open": 1},
            "1 min median, 2 min mean, 1 still open",
        ),
    ],
)
def test_a_metric_is_said_in_few_words(part: dict[str, Any], says: str) -> None:
    assert figure(part) == says


def test_a_bug_shows_itself_and_is_3(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(command_line, "cli", broken)
    said = bot()
    assert said.code == 3
    assert "Traceback" in said.err
    assert said.err.endswith("Failed: a bug\n")


def test_ctrl_c_is_130(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "cli", interrupted)
    assert bot().code == 130


@pytest.mark.faults
def test_dev_runs_everything_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    environment = {**os.environ, "VEELOCITY_HOME": str(home), "PORT": "18760"}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    bot = [sys.executable, "-m", "bot"]
    running = subprocess.Popen(
        [*bot, "dev"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    try:
        lines = []
        for line in running.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        out = "".join(lines)
        assert "Sign in once" in out
        address = (home / "address").read_text()
        assert address in out
        twice = subprocess.run(
            [*bot, "dev"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert (twice.returncode, twice.stdout) == (1, "")
        assert twice.stderr.startswith(f"It runs already at {address}.")
        made = subprocess.run(
            [*bot, "create-user", "a@b.example"],
            cwd=ROOT,
            env=environment | {"PORT": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"{address}/sign-in/" in made.stdout
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=30)
        assert running.returncode == 0
        assert rest.endswith(f"Stopped. The data stays in {home}.\n")
    finally:
        running.kill()
        running.wait()
    deadline = time.monotonic() + 10
    while left := processes_of(str(home)):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert not (home / "address").exists()


def processes_of(home: str) -> list[str]:
    """List the command lines of processes that were started for a home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if home.encode() in environment + command and folder.name != str(os.getpid()):
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
