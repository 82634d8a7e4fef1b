"""What a machine lacks to develop is said, with what mends it."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.agent import bubblewrap, lacking
from bot.agent.sandbox import Lack, Result, Sandbox, lacks, owner
from bot.settings import Settings
from models.errors import Refused
from tests.agent.sandboxes import given_folder

BUBBLEWRAP = Settings(sandbox="bubblewrap")


@pytest.fixture(autouse=True)
def unknown() -> Iterator[None]:
    lacking.known.clear()
    yield
    lacking.known.clear()


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is all the PATH: with git, and what is put there."""
    here = shutil.which("git")
    assert here
    with given_folder() as folder:
        (folder / "git").symlink_to(here)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setitem(bubblewrap.OUTER_ENVIRONMENT, "PATH", str(folder))
        yield folder


def said(found: list[Lack]) -> list[str]:
    return [each.what for each in found]


async def test_a_machine_with_all_lacks_nothing(box: Sandbox) -> None:
    lacking.known.clear()
    assert await lacks(BUBBLEWRAP) == []


async def test_without_bubblewrap_it_is_said_how_to_install_it(programs: Path) -> None:
    (programs / "bash").touch(0o755)
    (programs / "setpriv").touch(0o755)
    (found,) = await lacks(BUBBLEWRAP)
    assert found.what == "bwrap is not installed."
    for words in ("apt-get install bubblewrap", "dnf install bubblewrap", "pacman -S bubblewrap"):
        assert words in found.mend


async def test_git_is_needed(programs: Path) -> None:
    (programs / "git").unlink()
    found = await lacks(Settings(sandbox="container", sandbox_image="x"))
    assert said(found) == ["git is not installed.", lacking.container.NO_ENGINE]


@pytest.mark.parametrize(
    ("version", "old"), [("2.33.8", True), ("1.9", True), ("2.34.0", False), ("10.1", False)]
)
async def test_git_must_not_be_too_old(programs: Path, version: str, old: bool) -> None:
    (programs / "git").unlink()
    (programs / "git").write_text(f"#!/bin/sh\necho git version {version}\n")
    (programs / "git").chmod(0o755)
    found = said(await lacking.lacking_git())
    assert found == ([f"git is too old: git version {version}."] if old else [])


REFUSING = "#!/bin/bash\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"


async def test_forbidden_namespaces_are_said_with_the_words_of_bubblewrap(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bash", "setpriv"):
        here = shutil.which(name, path="/usr/bin:/bin")
        assert here
        (programs / name).symlink_to(here)
    (programs / "bwrap").write_text(REFUSING.replace("/bin/bash", f"{programs}/bash"))
    (programs / "bwrap").chmod(0o755)
    (found,) = await lacks(BUBBLEWRAP)
    assert found.what == (
        "bubblewrap cannot make a sandbox here: bwrap: No permissions to create a new namespace"
    )
    assert "SANDBOX=container" in found.mend


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor profile"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces="),
    ],
)
def test_a_closed_switch_of_the_kernel_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    monkeypatch.setattr(lacking, "SWITCHES_BELOW", tmp_path)
    path.write_text(f"{1 - int(value)}\n")
    assert not any(wanted in each for each in lacking.mends())
    path.write_text(f"{value}\n")
    assert any(wanted in each for each in lacking.mends())


async def test_another_system_is_told_to_use_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (found,) = await lacks(BUBBLEWRAP)
    assert found.what == "bubblewrap needs Linux."
    assert "SANDBOX=container" in found.mend


async def test_a_machine_without_a_filter_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    assert any("s390x" in words for words in said(await lacks(BUBBLEWRAP)))


async def test_containers_need_an_engine_and_an_image(programs: Path) -> None:
    found = said(await lacks(Settings(sandbox="container")))
    assert found == [lacking.container.NO_ENGINE, lacking.NO_IMAGE]
    (programs / "docker").touch(0o755)  # no program at all
    lacking.known.clear()
    (found,) = said(await lacks(Settings(sandbox="container", sandbox_image="x")))
    assert found.startswith("The sandbox cannot be started: [Errno 8] Exec format error")


async def test_what_was_found_is_known_for_a_minute(
    monkeypatch: pytest.MonkeyPatch, programs: Path
) -> None:
    first = await lacks(BUBBLEWRAP)
    assert first
    (programs / "git").unlink()
    assert await lacks(BUBBLEWRAP) == first
    monkeypatch.setattr(lacking, "KNOWN_SECONDS", 0.0)
    assert await lacks(BUBBLEWRAP) != first


def test_the_owner_of_the_sandbox_is_nobody_else() -> None:
    uid = owner()
    assert (uid is None) == (os.geteuid() != 0)
    assert uid is None or uid in bubblewrap.OWNERS


def test_an_owner_with_a_name_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    taken = {58_100, 58_101}

    def named(uid: int) -> None:
        if uid not in taken:
            raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", named)
    assert owner() == 58_102
    taken.update(bubblewrap.OWNERS)
    with pytest.raises(Refused, match="one must be free"):
        owner()


async def test_a_command_that_does_not_start_is_an_answer(box: Sandbox, tmp_path: Path) -> None:
    gone = Sandbox(tmp_path / "gone", box.tmp)
    result = await gone.run("true")
    assert isinstance(result, Result)
    assert result.code == 1
    assert "bwrap:" in result.output
