"""How a command is put into a container, with SANDBOX=container: by docker, or else podman.

For machines that forbid user namespaces. Unproven on a real engine: the tests look at what it is
asked. Weaker than bubblewrap in two ways: the engine's own system call filter is used, and when our
process is killed, the command goes on until its time is over.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from bot.agent.bubblewrap import owner, prelude
from bot.agent.command import Launch
from bot.agent.inside import FORWARDER, INSIDE_ENVIRONMENT, INSIDE_PROXY, PROXY_ENVIRONMENT
from models.errors import Refused

if TYPE_CHECKING:
    from bot.agent.sandbox import Sandbox

ENGINES = ("docker", "podman")
ENGINE_VARIABLES = (
    *("PATH", "HOME", "XDG_RUNTIME_DIR"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST"),
)
NO_ENGINE = "SANDBOX=container needs docker or podman on the PATH."
REMOVALS = 4
REMOVAL_SECONDS = 0.5


def engine() -> str | None:
    """Return the path of the container engine; None where there is none."""
    return next((path for name in ENGINES if (path := shutil.which(name))), None)


@contextmanager
def launched(sandbox: "Sandbox", command: str, seconds: float) -> Iterator[Launch]:
    """Yield how to start a command in a container of its own, which is removed with its end.

    One a command, as nothing a command leaves running is there for the next one in bubblewrap
    either, and nothing is to be cleared up after a worker that died. Raises `Refused` without an
    engine.
    """
    program = engine()
    if program is None:
        raise Refused(NO_ENGINE)
    name = f"veelocity-{uuid.uuid4().hex[:12]}"
    env = {name: os.environ[name] for name in ENGINE_VARIABLES if name in os.environ}
    argv = [program, "run", "--name", name, *walls(program), *bounds(sandbox)]
    argv += [*mounts(sandbox), *environment(sandbox), "--entrypoint", "timeout", sandbox.image]
    argv += ["--signal=KILL", f"{seconds + 60:.0f}", "/bin/bash", "-c"]
    argv += [prelude("-c 0", proxied=sandbox.proxy is not None), "bash", command, FORWARDER]
    removal = [program, "rm", "--force", name]
    yield Launch(argv, env, end=partial(removed, removal, env))


def walls(program: str) -> Iterator[str]:
    """Yield what a container may not do."""
    uid = owner()
    uid, gid = (os.geteuid(), os.getegid()) if uid is None else (uid, uid)
    yield from ("--rm", "--init", "--interactive", "--network", "none", "--read-only")
    yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    yield from ("--user", f"{uid}:{gid}", "--hostname", "sandbox", "--oom-score-adj", "1000")
    if program.endswith("podman") and os.geteuid():
        yield from ("--userns", "keep-id")


def bounds(sandbox: "Sandbox") -> Iterator[str]:
    """Yield the limits of a container; memory is without swap."""
    most = sandbox.bounds
    yield from ("--pids-limit", str(most.processes))
    yield from ("--memory", str(most.memory_bytes), "--memory-swap", str(most.memory_bytes))
    yield from ("--shm-size", str(most.shared_memory_bytes))
    yield from ("--ulimit", f"fsize={most.file_bytes}", "--ulimit", f"cpu={most.cpu_seconds}")
    yield from ("--ulimit", f"nofile={most.open_files}")


def mounts(sandbox: "Sandbox") -> Iterator[str]:
    """Yield a run's folders, and the proxy's socket while setting up."""
    pairs = {"/repo": sandbox.work, "/tmp": sandbox.tmp}  # noqa: S108 - inside
    if sandbox.proxy:
        pairs[INSIDE_PROXY] = sandbox.proxy
    for target, source in pairs.items():
        yield from ("--mount", f"type=bind,source={source.absolute()},target={target}")
    yield from ("--workdir", "/repo")


def environment(sandbox: "Sandbox") -> Iterator[str]:
    """Yield the variables of a container, which never gets ours."""
    proxy = PROXY_ENVIRONMENT if sandbox.proxy else {}
    for name, value in {**INSIDE_ENVIRONMENT, **proxy, **sandbox.environment}.items():
        yield from ("--env", f"{name}={value}")


async def removed(removal: Sequence[str], env: dict[str, str]) -> None:
    """Remove a container with all that runs in it; it may be about to start."""
    for _ in range(REMOVALS):
        process = await asyncio.create_subprocess_exec(
            *removal,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await process.wait() == 0:
            return
        await asyncio.sleep(REMOVAL_SECONDS)
