"""Five tickets on small repositories in Python, JavaScript and shell become pull requests."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.agent.conftest import Repository, plain_git
from tests.agent.runs import Opened
from tests.agent.runs import desk as desk
from tests.agent.sample_tickets import TICKETS, Sample


def outcome_of(folder: Path, sample: Sample) -> subprocess.CompletedProcess[str]:
    """Run a repository's tests as a person would."""
    return subprocess.run(
        sample.command,
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def checked_out(origin: Repository, branch: str, folder: Path) -> Path:
    """Clone one branch of the origin."""
    plain_git(origin.bare, "clone", "-q", "-b", branch, str(origin.bare), str(folder))
    return folder


def assert_proven(sample: Sample, origin: Repository, branch: str, folder: Path) -> None:
    """The new tests fail on the base, and all tests pass on the branch."""
    result = checked_out(origin, branch, folder / "result")
    passed = outcome_of(result, sample)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    base = checked_out(origin, "main", folder / "base")
    assert outcome_of(base, sample).returncode == 0
    for path in sample.tests:
        shutil.copy(result / path, base / path)
    failed = outcome_of(base, sample)
    assert failed.returncode != 0
    assert sample.failure in failed.stdout + failed.stderr


@pytest.mark.parametrize("sample", TICKETS, ids=lambda each: each.name)
async def test_a_sample_ticket_is_resolved(desk: Opened, sample: Sample, tmp_path: Path):
    if shutil.which(sample.needs, path=os.defpath) is None:
        pytest.skip(f"this machine has no {sample.needs}")
    here, model = await desk(sample.script, files=sample.files)
    issue = await here.ticket(sample.title, sample.body, type=sample.type)
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert run["verdict"] == "passed", run["evidence"]
    assert len(model.requests) == run["turns"] == len(sample.script)
    changed = {
        each["path"]: (each["status"], each["added"], each["deleted"])
        for each in run["changes"]["files"]
    }
    assert changed == sample.changes
    (pull,) = here.pulls()
    assert not pull.draft
    assert pull.title == sample.script[-1]["content"][0]["input"]["title"]
    assert pull.body.startswith(f"Fixes #{issue.number}\n")
    assert_proven(sample, here.origin, pull.head, tmp_path)


async def test_what_a_ticket_costs_and_takes_from_the_cache_is_recorded(desk: Opened):
    sample = TICKETS[0]
    here, _ = await desk(sample.script, files=sample.files)
    issue = await here.ticket(sample.title, sample.body)
    run = await here.develop()
    rows = await here.ask("select * from usage where run_id = :id", id=run["id"])
    assert run["cost_usd"] == sum(row["cost_usd"] for row in rows) > 0
    read, written = run["cache_read_tokens"], run["cache_write_tokens"]
    rate = read / (run["input_tokens"] + read + written)
    assert rate > 0.5
    assert f"{rate:.0%} from the cache" in here.pulls()[0].body
    assert "- [x] Mend it" in here.board(issue)
