"""What the output of tests says: which failed, how many ran. It explains, and decides nothing.

Tests may be hostile and write what they like; whether they passed is told by the exit status that
our own process saw. Read are the outputs of pytest, unittest, TAP (node, bats, prove), node's own,
jest, vitest, mocha, go, cargo and rspec.
"""

import re
from collections.abc import Callable, Iterator

from bot.agent.cleaning import visible

MOST_NAMES = 500
MOST_NAME = 300
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]{0,300}(?:\x07|\x1b\\)|\x1b.")
DURATION = re.compile(r"\s*\(\d+(?:\.\d+)?\s?m?s\)$")

FAILURES = (
    re.compile(
        r"^(?:FAILED|ERROR) (?P<name>\S[^\n]*?\.py(?:::[^\[\n]*?(?:\[.*?\](?= - |$))?)?)(?: - .*)?$"
    ),
    re.compile(r"^(?:FAIL|ERROR): (?P<name>\w[\w\[\]]* \([\w.<>]+\).*?)$"),
    re.compile(r"^\s*not ok \d+(?: -)? (?P<name>(?!.*# (?i:todo|skip)).+)$"),
    re.compile(r"^\s*✖ (?P<name>(?!failing tests:).+)$"),
    re.compile(r"^\s*● (?P<name>(?!Console$).+)$"),
    re.compile(r"^\s*(?:FAIL|❯) {1,3}(?P<name>\S+\.\w+(?: > .+)?)$"),
    re.compile(r"^\s*--- FAIL: (?P<name>\S+)"),
    re.compile(r"^FAIL\t(?P<name>\S+)"),
    re.compile(r"^test (?P<name>\S+(?: - .+?)?) \.\.\. FAILED$"),
    re.compile(r"^rspec (?P<name>\S+)"),
)
MOCHA = re.compile(r"^  +\d+\) (?P<name>\S.*?):?$")
COUNTED = (
    re.compile(r"(\d+) (?:passed|failed|error(?:s)?|xfailed|xpassed)\b(?=.* in [\d.]+s)"),
    re.compile(r"^Ran (\d+) tests? in "),
    re.compile(r"^(?:#|ℹ) tests (\d+)$"),
    re.compile(r"^\s*Tests:?\s.*?(\d+) total"),
    re.compile(r"^\s*Tests\s.*\((\d+)\)$"),
    re.compile(r"^test result: \w+\. (\d+) passed"),
    re.compile(r"^test result: .*; (\d+) failed"),
    re.compile(r"^\s+(\d+) (?:passing|failing)\b"),
    re.compile(r"^(\d+) examples?, \d+ failures?"),
)
ONE_EACH = re.compile(r"^\s*(?:ok \d+ |not ok \d+ |--- (?:PASS|FAIL): |ok  ?\t)")
NONE = re.compile(
    r"no tests ran in|collected 0 items|^Ran 0 tests|NO TESTS RAN|no test files|No tests found"
    r"|No test files found|^(?:#|ℹ) tests 0$|0 examples, 0 failures",
    re.MULTILINE,
)


def lines_of(output: str) -> list[str]:
    """Return the lines of an output without colours and what nobody sees."""
    return visible(COLOUR.sub("", output)).replace("\r", "\n").split("\n")


def failures(output: str) -> tuple[str, ...]:
    """Return the names of the tests that an output says have failed, in its order."""
    lines = lines_of(output)
    mocha = any(re.match(r"^\s+\d+ failing$", line) for line in lines)
    patterns = (*FAILURES, MOCHA) if mocha else FAILURES
    found = (name for line in lines for name in named(line, patterns))
    return tuple(dict.fromkeys(found))[:MOST_NAMES]


def named(line: str, patterns: tuple[re.Pattern[str], ...]) -> Iterator[str]:
    """Yield the failed test that a line names, if it names one."""
    for pattern in patterns:
        if found := pattern.match(line[:2000]):
            yield " ".join(DURATION.sub("", found["name"].strip()).split())[:MOST_NAME]
            return


def ran(output: str) -> int | None:
    """Return how many tests an output says were run; None where it does not say."""
    lines = lines_of(output)
    counted = sum(count for line in lines for count in counts(line))
    return counted or count_of(lines, ONE_EACH.match) or (0 if NONE.search(output) else None)


def counts(line: str) -> Iterator[int]:
    """Yield the numbers of tests that a line of summary names."""
    for pattern in COUNTED:
        yield from (int(number) for number in pattern.findall(line[:2000]) if len(number) < 9)


def count_of(lines: list[str], is_one: Callable[[str], object]) -> int:
    """Count the lines that stand for a test."""
    return sum(bool(is_one(line)) for line in lines)
