"""The command `export`: to a pipe, to a file, compressed, or not at all."""

import gzip
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.command_line import Bot

pytestmark = pytest.mark.store

ROOT = Path(__file__).parents[1]


@pytest.fixture
def acme(stored: Bot, postgres_url: str) -> Bot:
    """Run a command where acme has two repositories and a delivery."""
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(
            "insert into organizations (id, organization_id, changed_at, rank, digest, login,"
            " account_id) values ('github:1', 'github:1', now(), 0, 0, 'acme', 1)"
        )
        db.execute(
            "insert into repositories (id, organization_id, changed_at, rank, digest, full_name,"
            " owner_login, default_branch, private, archived, fork) select 'github:' || n,"
            " 'github:1', now(), 0, 0, 'acme/' || n, 'acme', 'main', false, false, false"
            " from generate_series(10, 11) n"
        )
        db.execute(
            "insert into deliveries (source, delivery_id, event, headers, body, sha256,"
            " organization_id) values ('github', 'd1', 'push', '{}', %s, '', 'github:1')",
            [bytes.fromhex("789cab562a4a4d53b25250ca4dcccc53aa0500257604bd")],
        )
    return stored


def rows(told: str) -> list[Any]:
    return [json.loads(line) for line in told.splitlines()]


def test_a_pipe_gets_the_lines_and_standard_error_the_count(acme: Bot) -> None:
    said = acme("export")
    assert said.code == 0
    assert said.err == "4 rows.\n"
    head, *told = rows(said.out)
    assert (head["export"], head["format"]) == ("veelocity", 1)
    assert head["organization"] == {"id": "github:1", "login": "acme"}
    assert [row["table"] for row in told] == ["deliveries", "organizations", *["repositories"] * 2]


@pytest.mark.parametrize("name", ["acme.ndjson", "acme.ndjson.gz"])
def test_a_file_is_for_its_owner_alone_and_compressed_by_its_name(
    acme: Bot, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("of yesterday")
    said = acme("export", "--organization", "ACME", "--output", name)
    assert (said.code, said.out) == (0, "")
    assert said.err == f"4 rows in {name}.\n"
    written = (tmp_path / name).read_bytes()
    told = rows((gzip.decompress(written) if name.endswith(".gz") else written).decode())
    assert len(told) == 5
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_what_cannot_be_written_or_found_is_refused(acme: Bot, tmp_path: Path) -> None:
    said = acme("export", "--output", "nowhere/acme.ndjson")
    assert said.code == 1
    assert "nowhere/acme.ndjson cannot be written: No such file or directory." in said.err
    said = acme("export", "--organization", "initech", "--output", "x.ndjson")
    assert said.code == 1
    assert said.err == "No organisation is called 'initech'.\n"
    assert list(tmp_path.iterdir()) == []


def test_whoever_stops_reading_ends_it_quietly(
    acme: Bot, postgres_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(
            "insert into repository_names (id, organization_id, changed_at, rank, digest,"
            " full_name, repository_id) select n::text, 'github:1', now(), 0, 0,"
            " repeat('x', 500), 'github:10' from generate_series(1, 2000) n"
        )
    export = [sys.executable, "-m", "bot", "export"]
    with subprocess.Popen(
        export, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["export"] == "veelocity"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 3
