"""What ingest is measured beside: a bare Starlette route, and Probot with an empty handler."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.stage import ROOT, SECRET, Stage, connects, free_port, running, until
from bot.sample.staging import Stage as SampleStage

PROBOT = ROOT / "bench" / "probot"
INSTALL = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
INSTALL_SECONDS = 180


@dataclass(frozen=True)
class Receiver:
    """Somebody who receives deliveries. `path`: where."""

    name: str
    port: int
    path: str = "/webhooks/github"


@contextmanager
def bare(on: Stage) -> Iterator[Receiver]:
    """Run the route that only checks the signature."""
    port, log = free_port(), on.home / "bare.log"
    environment = {"PATH": os.defpath, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with running([sys.executable, "-m", "bench.bare"], environment, log) as process:
        until(lambda: connects(port), process, log)
        yield Receiver("bare route", port)


@contextmanager
def probot(on: Stage, folder: Path) -> Iterator[Receiver]:
    """Run Probot, installed in a folder."""
    port, log = free_port(), on.home / "probot.log"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "NODE_ENV": "production",
        "LOG_LEVEL": "fatal",
        "APP_ID": "99",
        "PRIVATE_KEY": SampleStage(on.home).key(),
        "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_PATH": "/webhooks/github",
        "PORT": str(port),
    }
    argv = [str(shutil.which("node")), "node_modules/probot/bin/probot.js", "run", "./app.js"]
    with running(argv, environment, log, cwd=folder) as process:
        until(lambda: connects(port), process, log)
        yield Receiver("Probot", port)


def installed(on: Stage) -> Path | str:
    """Install Probot in the bench's folder; return that, or in words why it could not be."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no node and npm on the PATH"
    folder = on.home / "probot"
    shutil.copytree(PROBOT, folder)
    try:
        subprocess.run(
            INSTALL, cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"npm took longer than {INSTALL_SECONDS} seconds"
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines() or ["npm said nothing"]
        return f"npm could not install it: {last[-1]}"
    return folder
