"""README and its companions say what the code does."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from sqlmodel import SQLModel

import models  # noqa: F401 - makes the tables known
from bot.__main__ import cli
from bot.settings import SECRETS_IN_FILES, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
WORDS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *(ROOT / "docs").glob("*.md"),
]
ABSENT = (None, "", ())


def table(heading: str) -> dict[str, list[str]]:
    """Return a table of the README by its first column."""
    part = README.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def commands() -> dict[str, Any]:
    """Return the commands of the CLI by name."""
    group: Any = typer.main.get_command(cli)
    return dict(group.commands)


def test_every_setting_is_in_the_table() -> None:
    assert list(table("## Settings")) == [name.upper() for name in Settings.model_fields]


def test_defaults_in_the_table_are_those_of_the_code() -> None:
    told = {name: cells[-1] for name, cells in table("## Settings").items()}
    for name, field in Settings.model_fields.items():
        default = field.default
        secret = hasattr(default, "get_secret_value")
        if default in ABSENT or secret:
            default_in_words = re.fullmatch(r"`[^`:]*`", told[name.upper()])
            assert default_in_words is None, name
        else:
            assert told[name.upper()] == f"`{default}`"


def test_every_secret_from_a_file_is_named() -> None:
    named = re.findall(r"`(\w+)_FILE`", README)
    assert tuple(named) == SECRETS_IN_FILES


def test_every_command_is_in_the_table() -> None:
    assert set(table("## The command line")) == set(commands())


def test_options_in_the_table_are_those_of_the_commands() -> None:
    for name, (said,) in table("## The command line").items():
        known = {option for param in commands()[name].params for option in param.opts}
        assert set(re.findall(r"--[a-z-]+", said)) <= known, name


def test_every_permission_is_explained() -> None:
    granted = yaml.safe_load((ROOT / "app.yml").read_text())["default_permissions"]
    told = table("### What each permission is for")
    assert {name: level for name, (level, _) in told.items()} == granted


def test_every_table_is_in_the_architecture() -> None:
    told = (ROOT / "docs" / "architecture.md").read_text()
    assert [name for name in SQLModel.metadata.tables if f"`{name}`" not in told] == []


def shell_lines() -> list[str]:
    blocks = "\n".join(
        block
        for path in WORDS
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
    )
    return blocks.splitlines()


def test_commands_in_the_examples_exist() -> None:
    used = [line for line in shell_lines() if "python -m bot " in line]
    assert used
    for line in used:
        name, *rest = line.split("python -m bot ", 1)[1].split("#")[0].split()
        known = {option for param in commands()[name].params for option in param.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line


def test_make_targets_in_the_examples_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {line.split()[1] for line in shell_lines() if line.startswith("make ")}
    assert {"demo", "test", ".venv"} <= targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


def test_modules_in_the_examples_exist() -> None:
    modules = {module for line in shell_lines() for module in re.findall(r"-m (bot\.[\w.]+)", line)}
    assert modules == {"bot.sample.deliver"}
    assert all((ROOT / f"{module.replace('.', '/')}.py").is_file() for module in modules)


@pytest.mark.parametrize("path", WORDS, ids=lambda path: path.name)
def test_links_lead_to_files(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target
