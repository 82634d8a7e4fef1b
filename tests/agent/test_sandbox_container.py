"""SANDBOX=container: what the engine is asked, by a stand-in on the PATH that writes it down.

No real engine is run here: that docker and podman do what they are asked is not shown.
"""

import asyncio
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bot.agent import container, lacking
from bot.agent.command import Bounds
from bot.agent.sandbox import Sandbox, lacks, owner, sandbox_for
from bot.settings import Settings
from models.errors import Refused
from tests.agent.sandboxes import eventually

STANDIN = """#!/bin/bash
python3 -c 'import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))' "$@" >> {log}
if [ "$1" = rm ]; then exit 0; fi
while [ "$1" != timeout ]; do shift; done
shift 5
cd {work}
exec /bin/bash -c "${{@:1}}"
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that writes down how it is called and runs the command on this machine."""
    work, log = tmp_path / "work", tmp_path / "log"
    work.mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "docker"
    program.write_text(STANDIN.format(log=log, work=work))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    return tmp_path


@pytest.fixture
def box(engine: Path) -> Sandbox:
    settings = Settings(sandbox="container", sandbox_image="project:1")
    return sandbox_for(settings, engine / "work", engine / "tmp")


def calls(engine: Path) -> list[tuple[list[str], dict[str, str]]]:
    return [tuple(json.loads(line)) for line in (engine / "log").read_text().splitlines()]


def options(argv: list[str], name: str) -> list[str]:
    return [argv[at + 1] for at, each in enumerate(argv[:-1]) if each == name]


async def test_a_command_is_run_in_a_container_of_its_own(box: Sandbox, engine: Path) -> None:
    result = await box.run("echo out; exit 7", stdin=b"x")
    assert (result.code, result.output) == (7, "out\n")
    ((argv, _),) = calls(engine)
    assert argv[0] == "run"
    assert {"--rm", "--init", "--interactive", "--read-only"} <= set(argv)
    assert options(argv, "--network") == ["none"]
    assert options(argv, "--cap-drop") == ["ALL"]
    assert options(argv, "--security-opt") == ["no-new-privileges"]
    assert options(argv, "--workdir") == ["/repo"]
    assert argv[argv.index("project:1") - 2 : argv.index("project:1")] == [
        "--entrypoint",
        "timeout",
    ]


async def test_a_container_has_the_two_folders_and_nothing_else(box: Sandbox, engine: Path) -> None:
    await box.run("true")
    ((argv, _),) = calls(engine)
    assert options(argv, "--mount") == [
        f"type=bind,source={engine / 'work'},target=/repo",
        f"type=bind,source={engine / 'tmp'},target=/tmp",
    ]
    assert not {"--volume", "-v", "--privileged"} & set(argv)


async def test_a_container_is_not_roots(box: Sandbox, engine: Path) -> None:
    await box.run("true")
    ((argv, _),) = calls(engine)
    uid = owner()
    mine = f"{os.getuid()}:{os.getgid()}"
    assert options(argv, "--user") == [mine if uid is None else f"{uid}:{uid}"]
    assert not options(argv, "--user")[0].startswith("0:")


async def test_a_container_has_bounds(box: Sandbox, engine: Path) -> None:
    bounds = Bounds(memory_bytes=1 << 30, processes=64, file_bytes=1000, cpu_seconds=9)
    await replace(box, bounds=bounds).run("true")
    ((argv, _),) = calls(engine)
    assert options(argv, "--memory") == options(argv, "--memory-swap") == [str(1 << 30)]
    assert options(argv, "--pids-limit") == ["64"]
    assert options(argv, "--ulimit") == ["fsize=1000", "cpu=9", "nofile=4096"]


async def test_no_secret_reaches_the_engine_or_the_container(box: Sandbox, engine: Path) -> None:
    await replace(box, environment={"COLOUR": "blue"}).run("true")
    ((argv, env),) = calls(engine)
    assert "canary" not in json.dumps([argv, env])
    assert {"COLOUR=blue", "CI=1"} <= set(options(argv, "--env"))


async def test_a_container_is_removed_when_its_time_is_over(box: Sandbox, engine: Path) -> None:
    result = await box.run("exec sleep 60", seconds=1)
    assert (result.code, result.timed_out) == (124, True)
    (argv, _), (removal, _) = calls(engine)
    assert removal == ["rm", "--force", *options(argv, "--name")]


async def test_a_container_is_removed_when_its_command_is_cancelled(
    box: Sandbox, engine: Path
) -> None:
    task = asyncio.create_task(box.run("touch begun; exec sleep 60"))
    assert await eventually((engine / "work" / "begun").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert calls(engine)[-1][0][:2] == ["rm", "--force"]


async def test_output_is_cut_as_everywhere(box: Sandbox) -> None:
    assert "[... 578,895 characters cut ...]" in (await box.run("seq 100000")).output


async def test_the_proxy_is_mounted_while_setting_up(box: Sandbox, engine: Path) -> None:
    argv: list[str] = []
    with container.launched(replace(box, proxy=engine / "socket"), "true", 1) as launch:
        argv = list(launch.argv)
    wanted = f"type=bind,source={engine / 'socket'},target=/run/egress.sock"
    assert wanted in options(argv, "--mount")
    assert "HTTPS_PROXY=http://127.0.0.1:3128" in options(argv, "--env")


def test_podman_of_an_ordinary_user_keeps_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert options(list(container.walls("/usr/bin/podman")), "--userns") == ["keep-id"]
    assert not options(list(container.walls("/usr/bin/docker")), "--userns")


async def test_a_machine_whose_engine_runs_commands_lacks_nothing(engine: Path) -> None:
    lacking.known.clear()
    settings = Settings(sandbox="container", sandbox_image="project:1")
    assert await lacks(settings) == []
    assert calls(engine)[0][0][0] == "run"
    lacking.known.clear()
    (engine / "bin" / "docker").write_text("#!/bin/bash\necho no daemon; exit 125\n")
    (found,) = await lacks(settings)
    assert found.what == "No command runs in a container here: no daemon"
    lacking.known.clear()


async def test_without_an_engine_it_is_said(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "tmp"))
    with pytest.raises(Refused, match="needs docker or podman"):
        await box.run("true")


def test_without_an_image_nothing_falls_back_to_another_sandbox(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="set SANDBOX_IMAGE"):
        sandbox_for(Settings(sandbox="container"), tmp_path, tmp_path)
