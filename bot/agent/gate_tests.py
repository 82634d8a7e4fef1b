"""Tests that a change deleted or weakened: said in the pull request, for a person to judge."""

import re
from collections.abc import Iterable, Iterator

from bot.agent.gate_lines import Lines

TEST_FILE = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?|testing)/|(?:^|/)(?:test_[^/]*|conftest)\.py$"
    r"|_test\.[a-z]+$|[._](?:test|spec)\.[a-z]+$|(?:^|/)[^/]*Tests?\.(?:java|kt|cs|php|swift)$",
)
SKIPS = re.compile(
    r"pytest\.(?:mark\.)?(?:skip|xfail|importorskip)|unittest\.(?:skip|expectedFailure)"
    r"|@(?:skip|expectedFailure|Ignore|Disabled)\b|\bskipTest\(|\.skip(?:If|Unless)?\(|\.todo\("
    r"|\b(?:xit|xtest|xdescribe|xcontext)\(|\bt\.Skip(?:f|Now)?\(|#\[ignore|\bmarkTestSkipped\("
    r"|^\s*(?:skip|pending)\s+['\"]|\bexit 0\b.*skip"
)
ONLY = re.compile(r"\b(?:it|test|describe|context)\.only\(|\b(?:fit|fdescribe)\(")
LEFT_OUT = re.compile(
    r"\bcollect_ignore|pytest_collection_modifyitems|pytest_ignore_collect|--ignore[= ]"
    r"|--deselect|testPathIgnorePatterns|__test__\s*=\s*False"
)
ASSERTION = re.compile(
    r"\bassert\w*\b|\bexpect\w*\(|\bshould\b|\brequire\.\w+\(|\.to(?:Be|Equal|Throw|Have)"
    r"|\bt\.(?:Error|Fatal|Fail)|pytest\.raises"
)
HOLLOW = re.compile(
    r"\bassert\s+(?:True|1)\s*(?:$|#|,)|assertTrue\(\s*True\s*\)|expect\(true\)\.toBe\(true\)"
    r"|\bassert\(\s*true\s*\)|assert!\(\s*true\s*\)"
)
DEFINITION = re.compile(
    r"^\s*(?:async\s+)?def\s+test|^\s*(?:it|test|describe)\s*(?:\.\w+)?\(|^\s*func\s+Test"
    r"|#\[(?:\w+::)?test\]|@Test\b|^\s*test_\w+\s*\(\)|^\s*it\s+['\"]"
)


def weakened(found: Iterable[Lines]) -> tuple[str, ...]:
    """Return each test file that says less than before, with how, in words."""
    lines = list(found)
    arrived = {each.change.sha for each in lines if each.change.status == "A"}
    told = ((each.change.path, dict.fromkeys(ways_of(each, arrived))) for each in lines)
    return tuple(f"{path}: {', '.join(ways)}" for path, ways in told if ways)


def ways_of(lines: Lines, arrived: set[str]) -> Iterator[str]:
    """Yield the ways in which a file weakens the tests. Moving a file as it is weakens nothing."""
    change = lines.change
    added = [text for _, text in lines.added]
    if any(LEFT_OUT.search(text) for text in added):
        yield "leaves tests out"
    if not TEST_FILE.search(change.path):
        return
    if change.status == "D":
        if change.old_sha not in arrived:
            yield "deleted"
        return
    if change.size == 0:
        yield "emptied"
    yield from weaker(added, lines.removed)


def weaker(added: list[str], removed: list[str]) -> Iterator[str]:
    """Yield in which ways added lines say less than the removed ones."""
    if more(SKIPS, added, removed):
        yield "skips tests"
    if more(ONLY, added, removed):
        yield "runs some tests only"
    if (fewer := more(DEFINITION, removed, added)) > 0:
        yield f"{fewer} test{'s' * (fewer > 1)} fewer"
    if more(HOLLOW, added, removed):
        yield "asserts what is always true"
    real = [text for text in added if not HOLLOW.search(text)]
    if (fewer := more(ASSERTION, removed, real)) > 0:
        yield f"{fewer} assertion{'s' * (fewer > 1)} fewer"


def more(pattern: re.Pattern[str], these: list[str], those: list[str]) -> int:
    """Return by how much more lines of `these` than of `those` match; 0 where there are fewer."""
    ahead = [text for text in these if pattern.search(text)]
    return max(0, len(ahead) - sum(bool(pattern.search(text)) for text in those))
