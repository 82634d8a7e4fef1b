"""What tests prove: found, run in a process of their own, compared with the base, never trusted."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.agent import validate
from bot.agent.sandbox import Sandbox
from bot.agent.testing import failures, ran
from bot.agent.validate import (
    KEPT_SECONDS,
    SILENT,
    TIMED_OUT,
    Evidence,
    TestRun,
    cached,
    compared,
    detected,
    kept_at,
    remember,
)
from tests.agent.sandboxes import running


def files(kept: dict[str, str]) -> Callable[[str], Awaitable[bytes | None]]:
    async def read(path: str) -> bytes | None:
        return kept[path].encode() if path in kept else None

    return read


NPM = '{"scripts": {"test": "node --test"}}'


@pytest.mark.parametrize(
    ("kept", "command"),
    [
        ({}, None),
        ({"README.md": "pytest"}, None),
        ({"pytest.ini": ""}, "python3 -m pytest"),
        ({"conftest.py": ""}, "python3 -m pytest"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "python3 -m pytest"),
        ({"pyproject.toml": '[project]\ndependencies = ["pytest>=8"]'}, "python3 -m pytest"),
        ({"pyproject.toml": "# pytest\n[project]\n"}, None),
        ({"pyproject.toml": "not toml"}, None),
        ({"tox.ini": "[testenv]\ncommands = pytest"}, "python3 -m pytest"),
        ({"requirements-dev.txt": "ruff\npytest==9\n"}, "python3 -m pytest"),
        ({"requirements.txt": "# pytest\n"}, None),
        ({"tests/__init__.py": ""}, "python3 -m unittest discover"),
        ({"package.json": NPM}, "npm test"),
        ({"package.json": NPM, "yarn.lock": ""}, "yarn test"),
        ({"package.json": NPM, "pnpm-lock.yaml": ""}, "pnpm test"),
        (
            {"package.json": '{"scripts": {"test": "echo Error: no test specified && exit 1"}}'},
            None,
        ),
        ({"package.json": "{"}, None),
        ({"package.json": "[]"}, None),
        ({"package.json": '{"scripts": {"test": 1}}'}, None),
        ({"package.json": "[" * 100_000}, None),
        ({"go.mod": "module x"}, "go test ./..."),
        ({"Cargo.toml": "[package]"}, "cargo test --offline"),
        ({"Makefile": "all:\n\ntest: all\n\t./run\n"}, "make test"),
        ({"Makefile": "test := 1\ntests: x\n"}, None),
        ({"Makefile": "test:", "pytest.ini": ""}, "python3 -m pytest"),
    ],
)
async def test_the_command_is_found_by_the_files(kept: dict[str, str], command: str | None) -> None:
    assert await detected(files(kept)) == command


PYTEST = """\
..F.E
=========================== short test summary info ============================
FAILED tests/test_a.py::test_x[1 - 2] - assert 1 == 2
FAILED tests/test_a.py::Suite::test_y
ERROR tests/test_b.py - ImportError
========================= 2 failed, 3 passed, 1 error in 0.12s =========================
"""
UNITTEST = """\
FAIL: test_x (test_a.T.test_x)
----------------------------------------------------------------------
Ran 5 tests in 0.001s

FAILED (failures=1)
"""
TAP = """\
TAP version 13
# Subtest: bad
not ok 1 - bad
  ---
  duration_ms: 1.2
  ...
ok 2 - good
not ok 3 - later # TODO not yet
1..3
# tests 3
# pass 1
# fail 1
"""
SPEC = "✔ good (0.5ms)\n✖ bad (1.25ms)\nℹ tests 2\nℹ pass 1\n✖ failing tests:\n\n✖ bad (1.25ms)\n"
BATS = "1..2\nok 1 adds\nnot ok 2 divides by zero\n# (in test file a.bats, line 3)\n"
JEST = """\
\x1b[31mFAIL\x1b[39m src/a.test.js
  ● sum › adds two numbers

    expect(received).toBe(expected)

Tests:       1 failed, 4 passed, 5 total
"""
MOCHA = """\
  4 passing (10ms)
  1 failing

  1) sum
       adds:
     AssertionError
"""
GO = (
    "--- FAIL: TestAdd (0.00s)\n    a_test.go:3: no\nFAIL\nFAIL\texample.org/a\t0.01s\n"
    "ok  \texample.org/b\t0.01s\n"
)
CARGO = """\
running 2 tests
test tests::adds ... FAILED
test tests::works ... ok

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured
"""
RSPEC = "5 examples, 1 failure\n\nFailed examples:\n\nrspec ./spec/a_spec.rb:3 # adds\n"


@pytest.mark.parametrize(
    ("output", "names", "count"),
    [
        (
            PYTEST,
            ("tests/test_a.py::test_x[1 - 2]", "tests/test_a.py::Suite::test_y", "tests/test_b.py"),
            6,
        ),
        (UNITTEST, ("test_x (test_a.T.test_x)",), 5),
        (TAP, ("bad",), 3),
        (SPEC, ("bad",), 2),
        (BATS, ("divides by zero",), 2),
        (JEST, ("src/a.test.js", "sum › adds two numbers"), 5),
        (MOCHA, ("sum",), 5),
        (GO, ("TestAdd", "example.org/a"), 2),
        (CARGO, ("tests::adds",), 2),
        (RSPEC, ("./spec/a_spec.rb:3",), 5),
        ("============ no tests ran in 0.01s ============", (), 0),
        ("?   \texample.org/a\t[no test files]", (), 0),
        ("make: *** [test] Error 1", (), None),
        ("", (), None),
    ],
)
def test_outputs_are_understood(output: str, names: tuple[str, ...], count: int | None) -> None:
    assert failures(output) == names
    assert ran(output) == count


def run(code: int = 0, *names: str, count: int | None = None, **more: object) -> TestRun:
    told = {"timed_out": False, "seconds": 1.0, "output": "", "command": "make test"} | more
    return TestRun(code=code, failures=names, ran=count, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "result", "verdict", "new"),
    [
        (None, None, "no tests found", ()),
        (run(), run(), "passed", ()),
        (run(1, "a"), run(), "passed", ()),
        (None, run(), "passed", ()),
        (run(), run(1, "a"), "new failures", ("a",)),
        (None, run(1, "a"), "new failures", ("a",)),
        (run(), run(2), "new failures", ("(exit status 2; the output names no test)",)),
        (run(1, "a"), run(1, "a"), "no new failures", ()),
        (run(1, "a", "b"), run(1, "b"), "no new failures", ()),
        (run(1, "a"), run(1, "a", "b"), "new failures", ("b",)),
        (run(1, "a"), run(1, "b"), "new failures", ("b",)),
        (run(1, "a"), run(2), "new failures", ("(exit status 2; the output names no test)",)),
        (run(1, "a"), run(139, "a"), "new failures", ("(exit status 139, on the base it was 1)",)),
        (run(2), run(2), "no new failures", ()),
        (run(), run(124, timed_out=True), "new failures", (TIMED_OUT,)),
        (run(124, timed_out=True), run(124, timed_out=True), "no new failures", ()),
        (run(124, timed_out=True), run(), "passed", ()),
        (run(0, count=0), run(0, count=0), "no tests found", ()),
        (run(5, count=0), run(5, count=0), "no tests found", ()),
        (run(5, count=0), run(0, count=3), "passed", ()),
        (run(127), run(127), "no tests found", ()),
        (
            run(0, count=3),
            run(127),
            "new failures",
            ("(exit status 127; the output names no test)",),
        ),
        (run(0, count=3), run(0, count=2), "passed", ()),
        (
            run(0, count=3),
            run(5, count=0),
            "new failures",
            ("(exit status 5; the output names no test)",),
        ),
        (run(0, count=3), run(0), "new failures", (SILENT,)),
        (run(0, count=3), run(0, count=0), "new failures", (SILENT,)),
    ],
)
def test_what_the_result_proves(
    base: TestRun | None, result: TestRun | None, verdict: str, new: tuple[str, ...]
) -> None:
    evidence = compared(base, result)
    assert (evidence.verdict, evidence.new_failures) == (verdict, new)
    assert Evidence.model_validate(evidence.model_dump(mode="json")) == evidence


def test_what_is_mended_is_said() -> None:
    assert compared(run(1, "a", "b"), run(1, "b")).fixed == ("a",)
    assert compared(run(1, "a"), run(0)).fixed == ("a",)
    assert compared(run(1, "a"), run(3)).fixed == ()


def test_what_people_should_know_is_noted() -> None:
    assert compared(run(0, count=3), run(0, count=2)).notes == (
        "Fewer tests were run than on the base: 2 instead of 3.",
    )
    assert "name no tests" in compared(run(2), run(2)).notes[0]
    assert "could not be run here" in compared(run(127), run(127)).notes[0]


def test_the_tests_of_a_commit_are_run_once_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "baselines"
    assert cached(folder, "github:7", "sha", "make test") is None
    remember(folder, "github:7", "sha", "make test", run(1, "a"))
    assert cached(folder, "github:7", "sha", "make test") == run(1, "a")
    for other in (("github:8", "sha", "make test"), ("github:7", "other", "make test")):
        assert cached(folder, *other) is None
    assert cached(folder, "github:7", "sha", "make tests") is None
    kept = kept_at(folder, "github:7", "sha", "make test")
    os.utime(kept, (1, kept.stat().st_mtime - KEPT_SECONDS - 1))
    assert cached(folder, "github:7", "sha", "make test") is None
    remember(folder, "github:7", "other", "make test", run())
    assert not kept.exists()
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_what_did_not_end_in_time_is_not_remembered(tmp_path: Path) -> None:
    remember(tmp_path, "github:7", "sha", "make test", run(124, timed_out=True))
    assert cached(tmp_path, "github:7", "sha", "make test") is None


def test_a_broken_file_is_no_evidence(tmp_path: Path) -> None:
    kept_at(tmp_path, "github:7", "sha", "make test").write_text('{"code": 0')
    assert cached(tmp_path, "github:7", "sha", "make test") is None


PASSES = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n"
FAILS = PASSES.replace("pass", "self.fail('no')")
UNITTESTS = "python3 -m unittest -v"


def write(box: Sandbox, **kept: str) -> None:
    for name, body in kept.items():
        (box.work / f"{name}.py").write_text(body)


async def test_tests_are_run_and_their_failures_named(box: Sandbox) -> None:
    write(box, test_a=PASSES)
    before = await validate.tested(box, UNITTESTS, 60)
    write(box, test_a=PASSES, test_b=FAILS)
    after = await validate.tested(box, UNITTESTS, 60)
    assert (before.code, before.ran, before.failures) == (0, 1, ())
    assert (after.code, after.ran) == (1, 2)
    assert compared(before, after).new_failures == after.failures
    assert "test_b.T.test_a" in after.failures[0]
    assert after.command == UNITTESTS


async def test_tests_end_in_time(box: Sandbox) -> None:
    result = await validate.tested(box, "sleep 60", 0.5)
    assert result.timed_out
    assert compared(run(), result).verdict == "new failures"


async def test_tests_have_no_network_even_where_setup_had(box: Sandbox) -> None:
    open_box = replace(box, proxy=box.tmp / "egress.sock")
    result = await validate.tested(open_box, "env; ls /run/* 2>&1", 20)
    assert "proxy" not in result.output.lower()
    assert "PYTEST_ADDOPTS=-rfE" in result.output


async def test_tests_that_end_early_prove_nothing(box: Sandbox) -> None:
    """Attack 11: exit status 0 without having run anything."""
    write(box, test_a=PASSES)
    before = await validate.tested(box, UNITTESTS, 60)
    write(box, test_a="import os\nos._exit(0)\n")
    after = await validate.tested(box, UNITTESTS, 60)
    assert after.code == 0
    assert compared(before, after).verdict == "new failures"


async def test_tests_that_say_that_they_passed_are_not_believed(box: Sandbox) -> None:
    """Attack 11: an output and reports that were edited."""
    write(
        box,
        test_a=FAILS + "print('\\n===== 9 passed in 0.01s =====\\nRan 9 tests in 0.1s\\n\\nOK')",
    )
    (box.work / "report.xml").write_text("<testsuite failures='0' tests='9'/>")
    result = await validate.tested(box, UNITTESTS, 60)
    assert result.code == 1
    assert compared(run(0, count=9), result).verdict == "new failures"


async def test_nothing_that_tests_start_is_left(box: Sandbox) -> None:
    """Attack 11: a daemon that would edit files after the tests."""
    command = "(setsid sh -c 'sleep 4321; echo late > /repo/late' >/dev/null 2>&1 &) ; exit 0"
    result = await validate.tested(box, command, 60)
    assert result.code == 0
    assert running("sleep 4321") == []


async def test_hidden_and_coloured_output_becomes_plain(box: Sandbox) -> None:
    result = await validate.tested(
        box, "printf '\\033[31mred\\033[0m \\342\\200\\213\\033]0;x\\007end'", 20
    )
    assert result.output == "red end"
