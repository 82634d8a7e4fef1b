"""`dev --pull`: what is said at the start, and what the processes are told."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from bot import local
from bot.settings import Settings
from tests.command_line import Bot


@pytest.mark.parametrize(("pull", "sample", "said"), [
    (True, False, [local.PULLING]), (True, True, []), (False, False, []),
])  # fmt: skip
def test_pull_mode_is_said_at_the_start(
    tmp_path: Path, pull: bool, sample: bool, said: list[str]
) -> None:
    assert list(local.warnings(Settings(pull=pull), tmp_path, sample=sample)) == said


@pytest.mark.parametrize("pull", [True, False])
def test_every_process_is_told_of_pull_mode(tmp_path: Path, pull: bool) -> None:
    settings = Settings(
        pull=pull,
        database_url=SecretStr("postgresql://h/d"),
        redis_url=SecretStr("redis://h"),
    )
    for command in local.commands(settings, tmp_path, sample=False):
        assert command.env is not None
        assert command.env["PULL"] == ("1" if pull else "")


@pytest.mark.parametrize(("option", "pulls"), [((), False), (("--pull",), True)])
def test_dev_pulls_where_it_is_asked_to(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...], pulls: bool
) -> None:
    asked: list[bool] = []

    def run(*, sample: bool, pull: bool) -> int:
        asked.append(pull)
        return 0

    monkeypatch.setattr(local, "run", run)
    assert bot("dev", *option).code == 0
    assert asked == [pulls]
