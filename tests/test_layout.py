"""What holds for the repository as a whole."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from bot.schema import configuration
from tests.test_readme import commands

ROOT = Path(__file__).parents[1]
TOP = {
    "app.yml", "Procfile", "Makefile", "pyproject.toml", "requirements.lock", "README.md",
    "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "bot", "handlers", "models",
    "migrations", "tests", "bench", "deploy", "docs", ".ci", ".gitignore",
    "package.json", "package-lock.json",
}  # fmt: skip
PRODUCT = ("bot", "handlers", "models", "migrations")
MODULES = [
    path
    for package in PRODUCT
    for path in sorted((ROOT / package).rglob("*.py"))
    if "versions" not in path.parts
]
SELF = {"tests/test_layout.py"}
REGISTRIES = "|".join(("py" + "pi", "python" + "hosted", "npm" + "js", "yarn" + "pkg"))
FOREIGN = re.compile(
    rf"https?:\/\/[^\s\"']*(?:{REGISTRIES})|index[-]url[ =]*http"
    r"|(?<![\w.])/(?:root|work|home/[a-z]+)/",
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if name not in SELF and path.is_file():
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


def test_the_top_level_holds_only_what_has_a_place_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_public_says_what_it_means(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module"
    mute = [
        node.name
        for parent in (tree, *(each for each in tree.body if isinstance(each, ast.ClassDef)))
        for node in parent.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not is_a_shape(parent)
        and not ast.get_docstring(node)
    ]
    assert not mute


def is_a_shape(parent: ast.Module | ast.ClassDef) -> bool:
    """Tell whether a class only names what others have: its own docstring says what that is."""
    return isinstance(parent, ast.ClassDef) and any(
        isinstance(base, ast.Name) and base.id == "Protocol" for base in parent.bases
    )


def test_the_procfile_starts_commands_that_exist() -> None:
    started = re.findall(
        r"^(\w+): python -m bot (\S+)", (ROOT / "Procfile").read_text(), re.MULTILINE
    )
    assert started == [("release", "migrate"), ("web", "web"), ("worker", "worker")]
    assert {name for _, name in started} <= set(commands())


@pytest.mark.store
def test_migrations_make_what_the_models_say(postgres_url: str) -> None:
    command.check(configuration(postgres_url))


def test_nothing_names_a_package_index_or_a_machine() -> None:
    found = [(name, FOREIGN.findall(said)) for name, said in texts() if FOREIGN.search(said)]
    assert not found


def test_nothing_in_the_product_is_left_for_later() -> None:
    left = [name for name, said in texts() if name.startswith(PRODUCT) and UNFINISHED.search(said)]
    assert not left
