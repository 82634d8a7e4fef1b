"""The repository that the demo's tickets are about: small, real, on disk, with tests that run.

`acme/shipping` is no part of the story's 180 days. Each of its issues comes with the way a good
model would go, turn by turn (`bot.sample.scripted` plays it).
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sample.payloads import OWNER

REPOSITORY_ID = 871204416
NAME = "shipping"
FULL_NAME = f"acme/{NAME}"
CREATED_AT = "2026-01-12T08:30:00Z"

CODE = '''"""What it costs to ship a parcel, in euro."""

HEAVY_KG = 20
BASE, HEAVY_EXTRA, PER_KG = 4.90, 12.50, 0.35


def price(weight_kg, express=False):
    """Return the price of one parcel."""
    if weight_kg <= 0:
        raise ValueError("a parcel has a weight")
    total = BASE + weight_kg * PER_KG
    if weight_kg >= HEAVY_KG:
        total += HEAVY_EXTRA
    if express:
        total = total * 1.5
    return total


def order_price(weights_kg, express=False):
    """Return the price of an order of several parcels."""
    return sum(price(weight, express) for weight in weights_kg)
'''
TESTS = """import unittest

from shipping import order_price, price


class Price(unittest.TestCase):
    def test_a_light_parcel(self):
        self.assertAlmostEqual(price(2), 5.60)

    def test_a_heavy_parcel_costs_extra(self):
        self.assertAlmostEqual(price(30), 27.90)

    def test_a_parcel_has_a_weight(self):
        with self.assertRaises(ValueError):
            price(0)


class Orders(unittest.TestCase):
    def test_parcels_add_up(self):
        self.assertAlmostEqual(order_price([2, 2]), 11.20)


if __name__ == "__main__":
    unittest.main()
"""
README = """# shipping

What it costs to ship a parcel. `python3 -m unittest` runs the tests.
"""
CONFIGURATION = """\
# How Veelocity develops this repository's tickets (docs/agent.md).
test: python3 -m unittest
auto: false
"""
AGENTS = """\
Prices are in euro. Every rule has a test in test_shipping.py, named after what the customer sees.
"""
FILES: Mapping[str, str] = {
    "README.md": README,
    "AGENTS.md": AGENTS,
    "shipping.py": CODE,
    "test_shipping.py": TESTS,
    ".gitignore": "__pycache__/\n",
    ".github/veelocity.yml": CONFIGURATION,
}

Turn = tuple[dict[str, Any], ...]
"""What the model says in one turn: blocks, in Anthropic's form without ids."""


def says(words: str) -> dict[str, Any]:
    """A block of words."""
    return {"type": "text", "text": words}


def uses(name: str, **told: Any) -> dict[str, Any]:
    """A block that uses a tool."""
    return {"type": "tool_use", "name": name, "input": told}


def bash(command: str) -> dict[str, Any]:
    """A block that runs a command."""
    return uses("bash", command=command)


def edit(path: str, old: str, new: str) -> dict[str, Any]:
    """A block that replaces text in a file."""
    return uses(
        "str_replace_based_edit_tool",
        command="str_replace",
        path=f"/repo/{path}",
        old_str=old,
        new_str=new,
    )


def progress(done: int, *items: str) -> dict[str, Any]:
    """A block that reports progress: the first `done` items are done."""
    listed = [{"text": item, "done": number < done} for number, item in enumerate(items)]
    return uses("report_progress", items=listed)


def submits(title: str, summary: str, tested: str) -> dict[str, Any]:
    """A block that hands the work in."""
    return uses("submit", title=title, summary=summary, tests=tested)


@dataclass(frozen=True)
class SampleIssue:
    """An issue of the demo's repository, and how it is developed."""

    number: int
    title: str
    body: str
    labels: tuple[str, ...]
    turns: tuple[Turn, ...]

    @property
    def id(self) -> int:
        """Its id at the stand-in for GitHub."""
        return 2_900_000_000 + self.number


LIMIT_STEPS = (
    "Read the code and its tests",
    "Reproduce it with a test",
    "Charge extra above 20 kg only",
    "Run all tests",
)
LIMIT = SampleIssue(
    1,
    "Parcels of exactly 20 kg are charged as heavy",
    "Our price list says *heavy: above 20 kg*. A customer with a parcel of exactly 20 kg paid the "
    "heavy surcharge yesterday (24.40 instead of 11.90).",
    ("bug", "priority:high"),
    (
        (
            says("I will look at how prices are computed."),
            progress(0, *LIMIT_STEPS),
            bash("ls -a && cat shipping.py test_shipping.py"),
        ),
        (
            says("The limit is compared with >=. First a test that shows it."),
            progress(1, *LIMIT_STEPS),
            edit(
                "test_shipping.py",
                "    def test_a_parcel_has_a_weight(self):",
                "    def test_exactly_20_kg_is_not_heavy(self):\n"
                "        self.assertAlmostEqual(price(20), 11.90)\n\n"
                "    def test_a_parcel_has_a_weight(self):",
            ),
            bash("python3 -m unittest 2>&1 | tail -15"),
        ),
        (
            says("It fails as the customer saw it. Now the rule itself."),
            progress(2, *LIMIT_STEPS),
            edit("shipping.py", "if weight_kg >= HEAVY_KG:", "if weight_kg > HEAVY_KG:"),
            bash("python3 -m unittest 2>&1 | tail -5 && git diff --stat"),
        ),
        (
            progress(4, *LIMIT_STEPS),
            submits(
                "Charge the heavy surcharge above 20 kg only",
                "The price list says that parcels above 20 kg are heavy; the code compared with "
                "`>=`, so a parcel of exactly 20 kg paid 12.50 too much. A test now holds the "
                "limit.",
                "python3 -m unittest: 5 tests pass; the new one failed before the change.",
            ),
        ),
    ),
)
CENTS_STEPS = ("Find where amounts become fractions", "Test it", "Round each parcel", "Run tests")
CENTS = SampleIssue(
    2,
    "Express prices have fractions of a cent",
    "`price(1.23, express=True)` answers 7.995749999999999. The shop shows that to customers.",
    ("bug",),
    (
        (
            progress(0, *CENTS_STEPS),
            bash(
                'cat shipping.py && python3 -c "import shipping as s; print(s.price(1.23, True))"'
            ),
        ),
        (
            progress(1, *CENTS_STEPS),
            edit(
                "test_shipping.py",
                "class Orders(unittest.TestCase):",
                "class Cents(unittest.TestCase):\n"
                "    def test_a_price_is_in_whole_cents(self):\n"
                "        self.assertEqual(price(1.23, express=True), 8.00)\n\n\n"
                "class Orders(unittest.TestCase):",
            ),
            bash("python3 -m unittest 2>&1 | tail -12"),
        ),
        (
            progress(2, *CENTS_STEPS),
            edit("shipping.py", "    return total\n", "    return round(total, 2)\n"),
            bash("python3 -m unittest 2>&1 | tail -5"),
        ),
        (
            progress(4, *CENTS_STEPS),
            submits(
                "Round prices to whole cents",
                "A parcel's price is rounded to whole cents, so that an order adds up to what its "
                "parcels cost.",
                "python3 -m unittest: all pass; the new test failed before.",
            ),
        ),
    ),
)
FREE_STEPS = ("Read how orders are priced", "Test the new rule", "Add it", "Run tests")
FREE = SampleIssue(
    3,
    "Free shipping for orders of 100 euro and more",
    "`order_price` should take the value of the goods (`goods_value=`) and be 0 from 100 euro on. "
    "Express is never free.",
    ("enhancement", "priority:low"),
    (
        (progress(0, *FREE_STEPS), bash("cat shipping.py test_shipping.py")),
        (
            progress(1, *FREE_STEPS),
            edit(
                "test_shipping.py",
                "    def test_parcels_add_up(self):",
                "    def test_shipping_is_free_from_100_euro(self):\n"
                "        self.assertEqual(order_price([2], goods_value=100), 0)\n\n"
                "    def test_express_is_never_free(self):\n"
                "        self.assertGreater(order_price([2], True, goods_value=100), 0)\n\n"
                "    def test_parcels_add_up(self):",
            ),
            edit(
                "shipping.py",
                "def order_price(weights_kg, express=False):\n"
                '    """Return the price of an order of several parcels."""\n',
                "FREE_FROM = 100\n\n\n"
                "def order_price(weights_kg, express=False, goods_value=0):\n"
                '    """Return the price of an order; goods of 100 euro ship for free."""\n'
                "    if goods_value >= FREE_FROM and not express:\n"
                "        return 0\n",
            ),
            bash("python3 -m unittest 2>&1 | tail -5"),
        ),
        (
            progress(4, *FREE_STEPS),
            submits(
                "Ship orders of 100 euro and more for free",
                "`order_price` takes the value of the goods; from 100 euro on shipping is free, "
                "but for express.",
                "python3 -m unittest: all pass, two of them new.",
            ),
        ),
    ),
)
ISSUES = (LIMIT, CENTS, FREE)


def payload() -> dict[str, Any]:
    """Return the repository as GitHub's payloads carry it."""
    return {
        "id": REPOSITORY_ID,
        "name": NAME,
        "full_name": FULL_NAME,
        "private": True,
        "owner": OWNER,
        "html_url": f"https://github.com/{FULL_NAME}",
        "default_branch": "main",
        "fork": False,
        "archived": False,
        "created_at": CREATED_AT,
        "updated_at": CREATED_AT,
        "pushed_at": CREATED_AT,
    }


def origins(home: Path) -> Path:
    """Return the folder that stands in for GitHub's git, below a home."""
    return home / "origins"


def make_origin(home: Path) -> Path:
    """Return the repository on disk, made on the first start."""
    bare = origins(home) / f"{FULL_NAME}.git"
    if not (bare / "refs" / "heads" / "main").exists():
        bare.mkdir(parents=True, exist_ok=True)
        git(bare, "init", "--quiet", "--bare", "--initial-branch=main", ".")
        entries = "".join(
            f"100644 blob {git(bare, 'hash-object', '-w', '--stdin', told=text)}\t{path}\n"
            for path, text in FILES.items()
            if "/" not in path
        )
        hidden = git(bare, "hash-object", "-w", "--stdin", told=FILES[".github/veelocity.yml"])
        folder = git(bare, "mktree", told=f"100644 blob {hidden}\tveelocity.yml\n")
        tree = git(bare, "mktree", told=f"{entries}040000 tree {folder}\t.github\n")
        commit = git(bare, "commit-tree", "-m", "Price parcels", tree)
        git(bare, "update-ref", "refs/heads/main", commit)
    return bare


def git(folder: Path, *arguments: str, told: str = "") -> str:
    """Run git in the demo's own repository, with nothing of this machine's configuration."""
    person = {"NAME": "Wile E. Coyote", "EMAIL": "wile@acme.example", "DATE": CREATED_AT}
    environment = {
        "PATH": os.defpath,
        "HOME": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": text
            for who in ("AUTHOR", "COMMITTER")
            for what, text in person.items()
        },
    }
    done = subprocess.run(  # noqa: S603 - arguments of our own
        ["git", *arguments],  # noqa: S607 - found on the PATH
        cwd=folder,
        env=environment,
        input=told,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
