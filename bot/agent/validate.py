"""The repository's own tests, on the base and on the result: what is proven, and what is not.

The command is run as it is, in a sandbox of its own. Only its exit status and the comparison with
the base commit count, both seen by our own process; reports are not read, since hostile tests could
have written them (attack 11 of AGENT.md).
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.agent.cleaning import visible
from bot.agent.testing import COLOUR, failures, ran

if TYPE_CHECKING:
    from bot.agent.sandbox import Sandbox

Read = Callable[[str], Awaitable[bytes | None]]
Verdict = Literal["passed", "no new failures", "new failures", "no tests found"]

ENVIRONMENT = {
    "CI": "1",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_ADDOPTS": "-rfE --color=no -p no:cacheprovider",
}
"""What makes test programs say what failed, in plain words, without changing the command."""

KEPT_SECONDS = 24 * 3600
NO_TESTS_COLLECTED = 5
SILENT = "(the tests ended with exit status 0, but did not say what they ran, as they did before)"
TIMED_OUT = "(the tests did not end in time)"
UNNAMED = "(exit status {code}; the output names no test)"
BOTH_UNNAMED = (
    "The tests fail on the base as well, and name no tests: more than that cannot be said."
)
CANNOT_RUN = "The test command could not be run here: what it needs is not installed."
FEWER = "Fewer tests were run than on the base: {result} instead of {base}."
STATUS = "(exit status {code}, on the base it was {base})"


class TestRun(BaseModel):
    """One run of the tests. `failures` and `ran` are what the output says, which may be untrue.

    `code` is the exit status; `ran` how many tests were run, None where that was not said;
    `output` its beginning and end, untrusted.
    """

    __test__: ClassVar[bool] = False
    model_config = ConfigDict(frozen=True)

    code: int
    timed_out: bool
    seconds: float
    output: str
    failures: tuple[str, ...] = ()
    ran: int | None = None
    command: str = ""

    @property
    def passed(self) -> bool:
        """Whether the exit status says that all is well."""
        return self.code == 0 and not self.timed_out

    @property
    def found_none(self) -> bool:
        """Whether there were no tests to run."""
        silent = self.ran == 0 and not self.failures and not self.timed_out
        return self.is_missing or (silent and self.code in (0, NO_TESTS_COLLECTED))

    @property
    def is_missing(self) -> bool:
        """Whether the command itself was not there to be run."""
        missing = self.code in (126, 127) or "No module named pytest" in self.output
        return missing and not self.ran and not self.failures


class Evidence(BaseModel):
    """What the tests prove. `new_failures` failed on the result only, `fixed` on the base only.

    `notes` are sentences that people should know beside the verdict.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    command: str | None = None
    base: TestRun | None = None
    result: TestRun | None = None
    new_failures: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def detected(read: Read) -> str | None:
    """Return the command that runs a repository's tests, by its files; None where none is seen.

    `read` returns a file of the commit, or None where it is not there.
    """
    for look in (python_tests, node_tests, go_tests, rust_tests, make_tests):
        if command := await look(read):
            return command
    return None


async def python_tests(read: Read) -> str | None:
    """Look for pytest, then for a package of unittest's."""
    for path in ("pytest.ini", ".pytest.ini", "conftest.py", "tests/conftest.py"):
        if await read(path) is not None:
            return "python3 -m pytest"
    if "pytest" in project_words(await read("pyproject.toml")):
        return "python3 -m pytest"
    for path in ("tox.ini", "setup.cfg", "setup.py", *REQUIREMENTS):
        if re.search(rb"^[^#\n]*pytest", await read(path) or b"", re.MULTILINE):
            return "python3 -m pytest"
    if await read("tests/__init__.py") is not None:
        return "python3 -m unittest discover"
    return None


REQUIREMENTS = tuple(
    f"{name}.txt"
    for name in (
        "requirements",
        "requirements-dev",
        "requirements_dev",
        "dev-requirements",
        "requirements-test",
        "test-requirements",
        "requirements/dev",
        "requirements/test",
    )
)


def project_words(body: bytes | None) -> str:
    """Return what pyproject.toml says, without its comments; empty where it cannot be read."""
    try:
        return json.dumps(tomllib.loads((body or b"").decode()), default=str)
    except (ValueError, RecursionError):
        return ""


async def node_tests(read: Read) -> str | None:
    """Look for a script named test that is not the one which npm writes for nobody."""
    try:
        told = json.loads(await read("package.json") or b"null")
    except (ValueError, RecursionError):
        return None
    scripts = told.get("scripts") if isinstance(told, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    if not isinstance(script, str) or not script.strip() or "no test specified" in script:
        return None
    for lock, command in (("pnpm-lock.yaml", "pnpm test"), ("yarn.lock", "yarn test")):
        if await read(lock) is not None:
            return command
    return "npm test"


async def go_tests(read: Read) -> str | None:
    """Look for a module of Go's."""
    return "go test ./..." if await read("go.mod") is not None else None


async def rust_tests(read: Read) -> str | None:
    """Look for a crate of Rust's."""
    return "cargo test --offline" if await read("Cargo.toml") is not None else None


async def make_tests(read: Read) -> str | None:
    """Look for a target named test."""
    for path in ("GNUmakefile", "makefile", "Makefile"):
        if re.search(rb"^test[ \t]*::?(?!=)", await read(path) or b"", re.MULTILINE):
            return "make test"
    return None


async def tested(sandbox: "Sandbox", command: str, seconds: float) -> TestRun:
    """Run the tests once, in a process of their own, for at most `seconds`."""
    fresh = replace(sandbox, environment={**ENVIRONMENT, **sandbox.environment}, proxy=None)
    result = await fresh.run(command, seconds=seconds)
    whole = result.whole.decode(errors="replace")
    return TestRun(
        code=result.code,
        timed_out=result.timed_out,
        seconds=round(result.seconds, 3),
        output=visible(COLOUR.sub("", result.output)),
        failures=failures(whole) if result.code or result.timed_out else (),
        ran=ran(whole),
        command=command,
    )


def compared(base: TestRun | None, result: TestRun | None) -> Evidence:
    """Say what the tests of the result prove, given those of the base.

    Without a base everything that fails is new. None, None: there are no tests.
    """
    if result is None or (result.found_none and (base is None or base.found_none)):
        command = result.command if result else None
        why = (CANNOT_RUN,) if result and result.is_missing else ()
        return Evidence(
            verdict="no tests found", command=command, base=base, result=result, notes=why
        )
    new = new_failures(base, result)
    before = () if base is None else base.failures
    fixed = () if new_names_unknown(result) else tuple(set(before) - set(result.failures))
    return Evidence(
        verdict="new failures" if new else "passed" if result.passed else "no new failures",
        command=result.command,
        base=base,
        result=result,
        new_failures=new,
        fixed=tuple(sorted(fixed)),
        notes=tuple(notes(base, result)),
    )


def new_names_unknown(result: TestRun) -> bool:
    """Tell whether a run failed without saying which tests did."""
    return not result.passed and not result.failures


def new_failures(base: TestRun | None, result: TestRun) -> tuple[str, ...]:
    """Return what fails on the result and did not on the base, by name where names are known."""
    if result.passed:
        silent = base is not None and base.ran and not result.ran
        return (SILENT,) if silent else ()
    if result.timed_out and not (base and base.timed_out):
        return (*result.failures, TIMED_OUT)
    if base is None or base.passed or (base.failures and not result.failures):
        return result.failures or (UNNAMED.format(code=result.code),)
    new = tuple(name for name in result.failures if name not in set(base.failures))
    if new or result.code in (1, base.code) or base.timed_out:
        return new
    return (STATUS.format(code=result.code, base=base.code),)


def notes(base: TestRun | None, result: TestRun) -> list[str]:
    """Return what people should know beside the verdict."""
    said = []
    if base and not base.passed and not result.passed and not (base.failures or result.failures):
        said.append(BOTH_UNNAMED)
    if base and base.ran and result.ran is not None and result.ran < base.ran:
        said.append(FEWER.format(result=result.ran, base=base.ran))
    return said


def kept_at(folder: Path, repository_id: str, sha: str, command: str) -> Path:
    """Return where the tests of a commit are kept."""
    key = json.dumps([repository_id, sha, command]).encode()
    return folder / f"{hashlib.sha256(key).hexdigest()}.json"


def cached(folder: Path, repository_id: str, sha: str, command: str) -> TestRun | None:
    """Return how the tests of a commit went, if they were run within a day; else None."""
    path = kept_at(folder, repository_id, sha, command)
    with contextlib.suppress(OSError, ValidationError):
        if time.time() - path.stat().st_mtime < KEPT_SECONDS:
            return TestRun.model_validate_json(path.read_bytes())
    return None


def remember(folder: Path, repository_id: str, sha: str, command: str, run: TestRun) -> None:
    """Keep how the tests of a commit went; not where time ran out, which may be otherwise later."""
    if run.timed_out:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    forget(folder)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".new")
    with os.fdopen(handle, "w") as file:
        file.write(run.model_dump_json())
    Path(name).replace(kept_at(folder, repository_id, sha, command))


def forget(folder: Path) -> None:
    """Delete what is too old to be used."""
    for path in folder.glob("*.*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
