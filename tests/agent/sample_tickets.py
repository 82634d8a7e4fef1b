"""Five tickets on small repositories, and how a good model resolves each: look, test, mend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.anthropic import Turn, calls

SAMPLES = Path(__file__).parent / "samples"
Body = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A ticket, what a good model does, and what has to come of it.

    `tests` are the files of the new tests, `command` runs all of them, `failure` is what the new
    test says on the base; `changes` maps each changed file to its status and lines added and
    deleted.
    """

    name: str
    title: str
    body: str
    type: str
    script: Sequence[Turn]
    tests: tuple[str, ...]
    command: tuple[str, ...]
    failure: str
    changes: Mapping[str, tuple[str, int, int]]
    needs: str = "python3"

    @property
    def files(self) -> dict[str, bytes]:
        """The repository as it is before."""
        folder = SAMPLES / self.name
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }


def saw(*words: str, failed: bool = False) -> Callable[[Body], None]:
    """Return an expectation: the call before this turn came to these words."""

    def expect(body: Body) -> None:
        result = body["messages"][-1]["content"][0]
        assert result["type"] == "tool_result", result
        assert bool(result.get("is_error")) == failed, result
        for each in words:
            assert each in str(result["content"]), f"{each!r} is not in {result['content']}"

    return expect


def run(command: str, **more: Any) -> Turn:
    """Return a turn that runs a command."""
    return {**calls("bash", command=command), **more}


def replace(path: str, old: str, new: str, **more: Any) -> Turn:
    """Return a turn that replaces text in a file."""
    name = "str_replace_based_edit_tool"
    told = {"command": "str_replace", "path": f"/repo/{path}", "old_str": old, "new_str": new}
    return {**calls(name, **told), **more}


def create(path: str, text: str, **more: Any) -> Turn:
    """Return a turn that makes a file."""
    name = "str_replace_based_edit_tool"
    return {**calls(name, command="create", path=f"/repo/{path}", file_text=text), **more}


def steps(*texts: str, done: int = 0) -> Turn:
    """Return a turn that reports progress."""
    items = [{"text": text, "done": at < done} for at, text in enumerate(texts)]
    return calls("report_progress", items=items)


def hand_in(title: str, summary: str, **more: Any) -> Turn:
    """Return a turn that submits."""
    return {**calls("submit", title=title, summary=summary), **more}


UNITTEST = "python3 -m unittest discover"
PLAN = ("Reproduce it by a test", "Mend it", "Run all tests")

DURATIONS = Sample(
    name="durations",
    title="parse() accepts nonsense",
    body='`parse("1h30")` is 3600 and `parse("soon")` is 0. Both should be a `ValueError`.',
    type="bug",
    script=(
        run("git log --oneline; ls; cat durations.py tests/test_durations.py"),
        steps(*PLAN),
        replace(
            "tests/test_durations.py",
            "    def test_what_is_spelled",
            "    def test_nonsense_is_refused(self):\n"
            '        for text in ("1h30", "soon", "", "5 parsecs", "-1h"):\n'
            "            with self.subTest(text), self.assertRaises(ValueError):\n"
            "                parse(text)\n\n"
            "    def test_what_is_spelled",
            expect=saw("Noted."),
        ),
        run(UNITTEST, expect=saw("was changed")),
        replace(
            "durations.py",
            "    total = 0\n",
            '    if not re.fullmatch(r"(\\s*\\d+\\s*[dhms])+\\s*", text):\n'
            '        raise ValueError(f"{text!r} is no duration such as 1h30m")\n'
            "    total = 0\n",
            expect=saw("ValueError not raised", "FAILED (failures=5)", failed=True),
        ),
        run(UNITTEST),
        run("git diff --stat; git status --short", expect=saw("Ran 3 tests", "OK")),
        steps(*PLAN, done=3),
        hand_in("Refuse what is no duration", "`parse` took whatever it found in a text."),
    ),
    tests=("tests/test_durations.py",),
    command=("python3", "-m", "unittest", "discover"),
    failure="ValueError not raised",
    changes={"durations.py": ("M", 2, 0), "tests/test_durations.py": ("M", 5, 0)},
)

WORDCOUNT = Sample(
    name="wordcount",
    title="Show only the most frequent words",
    body="`--top N` should print the N most frequent words only. Please mention it in the README.",
    type="feature",
    script=(
        run("cat README.md wordcount/*.py tests/test_command.py"),
        replace(
            "tests/test_command.py",
            '\n\nif __name__ == "__main__":',
            "\n    def test_only_the_top_is_shown(self):\n"
            '        self.assertEqual(said("c b a b c c", "--top", "2"), "3\\tc\\n2\\tb\\n")\n'
            '\n\nif __name__ == "__main__":',
            expect=saw("most frequent first"),
        ),
        run(f"{UNITTEST} -s tests -t ."),
        replace(
            "wordcount/__main__.py",
            "    asked = parser.parse_args(arguments)\n"
            "    for word, count in counted(asked.file.read_text()):\n",
            '    parser.add_argument("--top", type=int, help="how many of the most frequent")\n'
            "    asked = parser.parse_args(arguments)\n"
            "    for word, count in counted(asked.file.read_text())[: asked.top]:\n",
            expect=saw("unrecognized arguments: --top 2", failed=True),
        ),
        replace(
            "README.md",
            "    python3 -m wordcount FILE\n",
            "    python3 -m wordcount FILE\n\n`--top N` shows the N most frequent only.\n",
        ),
        run(f"{UNITTEST} -s tests -t ."),
        hand_in("Add --top", "`--top N` limits what is printed.", expect=saw("Ran 2 tests", "OK")),
    ),
    tests=("tests/test_command.py",),
    command=("python3", "-m", "unittest", "discover", "-s", "tests", "-t", "."),
    failure="unrecognized arguments: --top 2",
    changes={
        "README.md": ("M", 2, 0),
        "tests/test_command.py": ("M", 3, 0),
        "wordcount/__main__.py": ("M", 2, 1),
    },
)

VERSIONS = Sample(
    name="versions",
    title="1.10.0 counts as older than 1.9.0",
    body="newest(['1.9.0', '1.10.0']) is 1.9.0.",
    type="bug",
    script=(
        run("ls -R . | grep -v node_modules; cat versions.js test/*.js"),
        run(
            "cat >> test/versions.test.js <<'END'\n\n"
            "test('parts are numbers', () => {\n"
            "  assert.strictEqual(newest(['1.9.0', '1.10.0']), '1.10.0');\n"
            "});\nEND",
            expect=saw("one < other"),
        ),
        run("node --test"),
        replace(
            "versions.js",
            "    const one = left[at] || '0';\n    const other = right[at] || '0';\n",
            "    const one = Number(left[at] || 0);\n    const other = Number(right[at] || 0);\n",
            expect=saw("parts are numbers", failed=True),
        ),
        run("node --test"),
        hand_in("Compare versions as numbers", "They were compared by letter.", expect=saw("3")),
    ),
    tests=("test/versions.test.js",),
    command=("node", "--test"),
    failure="parts are numbers",
    changes={"test/versions.test.js": ("M", 4, 0), "versions.js": ("M", 2, 2)},
    needs="node",
)

ROTATE = Sample(
    name="rotate",
    title="rotate.sh leaves files with spaces in their names",
    body="With `old backup.tar` in the folder, `rotate.sh` never deletes it.",
    type="bug",
    script=(
        run("cat README.md rotate.sh test.sh"),
        replace(
            "test.sh",
            "\nexit $failed",
            '\nfolder=$(filled "old backup" new)\n'
            'sh rotate.sh "$folder" 1\n'
            'check "a space is a letter like others" "new " "$(ls "$folder" | tr \'\\n\' \' \')"\n'
            "\nexit $failed",
            expect=saw("for file in"),
        ),
        run("sh test.sh"),
        replace(
            "rotate.sh",
            "for file in $(ls -t | tail -n +$((keep + 1))); do\n    rm -f $file\ndone\n",
            "ls -t | tail -n +$((keep + 1)) | while IFS= read -r file; do\n"
            '    rm -f -- "$file"\ndone\n',
            expect=saw("not ok 3 a space is a letter like others", failed=True),
        ),
        run("sh test.sh"),
        hand_in("Rotate names with spaces", "Names were split.", expect=saw("ok 3 a space")),
    ),
    tests=("test.sh",),
    command=("sh", "test.sh"),
    failure="not ok 3 a space is a letter like others",
    changes={"rotate.sh": ("M", 2, 2), "test.sh": ("M", 4, 0)},
    needs="sh",
)

ROUNDED = '''"""Amounts of money."""

from decimal import ROUND_HALF_UP, Decimal


def rounded(amount):
    """Return an amount in cents; half a cent goes upwards."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
'''
LEDGER = Sample(
    name="ledger",
    title="Round in one place",
    body="Invoices and receipts round differently. The README is right: half a cent upwards.",
    type="chore",
    script=(
        run("cat README.md Makefile; grep -rn 'quantize\\|round(' ledger"),
        create("ledger/money.py", ROUNDED, expect=saw("receipts.py", "round(amount / people, 2)")),
        replace(
            "tests/test_ledger.py",
            '\n\nif __name__ == "__main__":',
            "\n    def test_half_a_cent_goes_upwards(self):\n"
            '        self.assertEqual(share(Decimal("0.25"), 10), Decimal("0.03"))\n'
            '        self.assertEqual(change(Decimal("1.005"), Decimal(1)), Decimal("0.01"))\n'
            '\n\nif __name__ == "__main__":',
        ),
        run("make test"),
        run(
            "sed -i 's/return round(amount \\/ people, 2)/return rounded(amount \\/ people)/;"
            ' s/return (given - amount).quantize(Decimal("0.01"))/return rounded(given - amount)/;'
            " s/^from decimal import Decimal$/from ledger.money import rounded/' ledger/receipts.py"
            " && cat ledger/receipts.py",
            expect=saw("AssertionError: Decimal('0.02')", failed=True),
        ),
        run(
            "sed -i 's/return (net \\* (1 + tax)).*/return rounded(net * (1 + tax))/;"
            " s/^from decimal import .*/from decimal import Decimal\\n\\n"
            "from ledger.money import rounded/' ledger/invoices.py && make test",
            expect=saw("rounded(given - amount)", "from ledger.money import rounded"),
        ),
        hand_in("Round in one place", "Half a cent goes upwards now.", expect=saw("Ran 4", "OK")),
    ),
    tests=("tests/test_ledger.py",),
    command=("make", "test"),
    failure="AssertionError: Decimal('0.02')",
    changes={
        "ledger/invoices.py": ("M", 4, 2),
        "ledger/money.py": ("A", 8, 0),
        "ledger/receipts.py": ("M", 3, 3),
        "tests/test_ledger.py": ("M", 4, 0),
    },
    needs="make",
)

TICKETS = (DURATIONS, WORDCOUNT, VERSIONS, ROTATE, LEDGER)
