"""`make bench` works: every part runs and prints its figures, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.agent import FILES, make_repository
from bench.bodies import PULL_REQUEST_BYTES, PUSH_BYTES, in_turn
from bench.stage import ROOT, ask, stage
from bot.embedded import postgres_folder, redis_binary, socket_folder
from bot.sample.story import story

needs_redis = pytest.mark.skipif(redis_binary() is None, reason="no Redis on this machine")


@needs_redis
def test_every_part_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        *("ingest:", "settle:", "recover:", "slack:", "metrics:", "start:", "sandbox:", "turns:"),
        *("half of the bare route", "backlog"),
    ):
        assert said in done.stdout


@needs_redis
def test_the_stage_is_durable_and_leaves_nothing_behind() -> None:
    with stage() as on:
        postgres = postgres_folder(on.home)
        assert postgres.exists()
        assert ask(on.server_url, "show fsync") == ("on",)
    for folder in (on.home, postgres, socket_folder(postgres), socket_folder(on.home / "redis")):
        assert not folder.exists()


def test_bodies_are_as_large_as_those_of_github() -> None:
    sizes = {"push": PUSH_BYTES, "pull_request": PULL_REQUEST_BYTES}
    for event, body in in_turn(story().deliveries, pairs=2):
        assert abs(len(body) - sizes[event]) < 500


def test_a_large_history_is_made_of_what_cannot_be_compressed(tmp_path: Path) -> None:
    bare = tmp_path / "large.git"
    make_repository(bare, 20)
    size = sum(path.stat().st_size for path in (bare / "objects").rglob("*") if path.is_file())
    assert 20e6 < size < 21e6
    listed = subprocess.check_output(["git", "-C", bare, "ls-tree", "-r", "--name-only", "main"])
    assert set(listed.decode().split()) == {*FILES, "data.bin", "news.md"}
