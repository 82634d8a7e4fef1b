"""Attacks on whole runs, by their number in AGENT.md: git, links, tests, names, sizes, words."""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import WHO
from tests.agent.runs import FILES, GOOD, LOOK, MEND, SUBMIT, Desk, Opened, bash
from tests.agent.runs import desk as desk
from tests.agent.sandboxes import eventually, running
from tests.fakes.anthropic import Fake, calls
from tests.fakes.github_told import commented, labeled
from tests.rig import rig_of


async def told(here: Desk) -> str:
    """Return all that the run left for people to read: GitHub, the store's steps, the commit."""
    steps = await here.ask("select name, detail from run_steps")
    issues = here.repository.issues.values()
    comments = [each.body for issue in issues for each in issue.comments]
    pulls = [part for each in here.pulls() for part in (each.title, each.body)]
    checks = [each.summary for each in here.repository.checks]
    return "\n".join([*comments, *pulls, *map(str, checks), *map(str, steps)])


def heard(model: Fake) -> str:
    """Return all that the model was told."""
    return str(model.bodies)


def assert_nothing_left(here: Desk) -> None:
    """Nothing was pushed, and nothing was opened."""
    assert set(here.origin.branches()) == {"refs/heads/main"}
    assert here.pulls() == []


async def test_2_words_changed_after_the_trigger_are_never_read(desk: Opened):
    here, model = await desk(GOOD)
    issue = here.repository.issue("Add subtracts", "As it was.")
    before = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    early = here.repository.comment(issue, "An early comment.")
    edited = here.repository.comment(issue, "EDITED comment.")
    early.created_at = edited.created_at = before.replace("+00:00", "Z")
    async with rig_of(here.surroundings.settings) as rig:
        assert (await rig.deliver(*labeled(here.repository, issue))).status_code in (200, 202)
        issue.title, issue.body = "EDITED title", "EDITED body"
        edited.updated_at = late = "2099-01-01T00:00:00Z"
        here.repository.comment(issue, "LATE comment.").created_at = late
        await rig.settle()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert "As it was." in heard(model)
    assert "An early comment." in heard(model)
    assert "EDITED" not in heard(model)
    assert "LATE" not in heard(model)
    assert run["branch"].endswith("-add-subtracts")


PLANTED = """\
printf '#!/bin/sh\\ntouch {mark}\\n' > .git/evil && chmod 755 .git/evil
for hook in pre-commit post-commit pre-push post-checkout post-index-change reference-transaction
do cp .git/evil .git/hooks/$hook; done
mkdir -p .git/info; echo '* filter=evil diff=evil' > .git/info/attributes
evil=.git/evil
git config core.hooksPath .git/hooks
git config filter.evil.clean "$evil"
git config filter.evil.smudge "$evil"
git config diff.evil.command "$evil"
git config diff.external "$evil"
git config credential.helper "!$evil"
git config core.sshCommand "$evil"
git config core.fsmonitor "$evil"
"""


def plain_status(here: Desk, planted: str, folder: Path) -> None:
    """Plant the same in a plain clone, and ask git for its state as a careless host would."""
    shutil.copytree(here.origin.clone, folder)
    env = {**os.environ, **WHO}
    subprocess.run(["sh", "-c", f"{planted}\ngit status"], cwd=folder, env=env, check=False)


async def test_8_what_is_planted_in_the_trees_git_does_nothing_on_the_host(
    desk: Opened, tmp_path: Path
):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    mark = folder / "mark"
    planted = PLANTED.format(mark=mark)
    here, _ = await desk((MEND, bash(planted), SUBMIT))
    plain_status(here, planted, tmp_path / "hostile")
    assert mark.exists(), "the attack does not work at all"
    mark.unlink()
    await here.ticket()
    run = await here.develop()
    assert not mark.exists()
    assert run["state"] == "done", run["error"]
    assert "a + b" in here.origin.show(run["branch"], "add.py")


NESTED = {
    "a repository": "git init -q sub && cd sub && git -c user.name=a -c user.email=a@b "
    "commit -q --allow-empty -m x",
    "a gitlink": "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; mkdir sub; "
    "cp -r .git sub/.git",
    "a bare repository": "git init -q --bare sub && touch sub/objects/x sub/refs/x",
}


@pytest.mark.parametrize("name", NESTED)
async def test_9_a_nested_repository_is_held_back(desk: Opened, name: str):
    here, _ = await desk((MEND, bash(NESTED[name]), SUBMIT))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked", run["error"]
    assert "sub" in here.board(issue)
    assert_nothing_left(here)


async def test_10_links_out_of_the_tree_are_held_back_and_not_followed(
    desk: Opened, tmp_path: Path
):
    secret = tmp_path / "host-secret"
    secret.write_text("WORDS OF THE HOST")
    secret.chmod(0o644)
    links = f"ln -s {secret} leak; ln -s ../../../../../..{secret} up; ln -sf {secret} test_add.py"
    view = calls("str_replace_based_edit_tool", command="view", path="/repo/leak")
    here, model = await desk((MEND, bash(links), view, bash("cat leak up"), *[SUBMIT] * 4))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked", run["error"]
    assert "leaves the repository" in here.board(issue)
    assert "WORDS OF THE HOST" not in heard(model) + await told(here)
    assert_nothing_left(here)


HOSTILE = {
    "it prints a report and fails": (
        "print('Ran 1 test in 0.001s\\n\\nOK')\nraise SystemExit(1)\n",
        "new failures",
    ),
    "it ends early without a word": ("import os\nos._exit(0)\n", "new failures"),
    "it writes a report into a file": (
        "open('junit.xml', 'w').write('<testsuite tests=\"1\" failures=\"0\"/>')\nboom\n",
        "new failures",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_11_hostile_tests_prove_nothing(desk: Opened, name: str):
    body, verdict = HOSTILE[name]
    write = calls(
        "str_replace_based_edit_tool", command="create", path="/repo/test_add.py", file_text=body
    )
    here, _ = await desk((write, *[SUBMIT] * 4))
    await here.ticket()
    run = await here.develop()
    assert run["verdict"] == verdict
    assert run["state"] == "draft"
    (pull,) = here.pulls()
    assert pull.draft
    assert [each.conclusion for each in here.repository.checks] == ["failure"]


async def test_11_a_report_that_cannot_be_told_from_a_true_one_is_shown_as_lost_tests(
    desk: Opened,
):
    body = "import os\nprint('Ran 1 test in 0.001s\\n\\nOK', flush=True)\nos._exit(0)\n"
    write = calls(
        "str_replace_based_edit_tool", command="create", path="/repo/test_add.py", file_text=body
    )
    here, _ = await desk((MEND, write, SUBMIT))
    await here.ticket()
    await here.develop()
    (pull,) = here.pulls()
    assert "Tests that were deleted or weakened" in pull.body
    assert "test_add.py" in pull.body


async def test_11_a_daemon_of_the_tests_ends_with_them(desk: Opened):
    body = FILES["test_add.py"].replace(
        "    def test_nothing(self):\n",
        "    def test_nothing(self):\n        import subprocess\n"
        "        subprocess.Popen(['setsid', 'sleep', '53.625'])\n",
    )
    assert "53.625" in body
    write = calls(
        "str_replace_based_edit_tool", command="create", path="/repo/test_add.py", file_text=body
    )
    here, _ = await desk((MEND, write, bash("python3 -m unittest"), SUBMIT))
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert await eventually(lambda: not running("53.625"))


PROTECTED = (
    ".github/workflows/evil.yml",
    ".github/veelocity.yml",
    "CLAUDE.md",
    "docs/Agents.md",
    ".gitattributes",
    ".mcp.json",
    ".husky/pre-commit",
    "docs/CODEOWNERS",
)


async def test_12_protected_paths_are_held_back_each_by_its_name(desk: Opened):
    write = "; ".join(f"mkdir -p $(dirname {p}); echo 'test: true' > {p}" for p in PROTECTED)
    through_link = "ln -s .github gh; echo x > gh/through-a-link.yml; rm gh"
    here, _ = await desk((MEND, bash(f"{write}; {through_link}"), SUBMIT))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked", run["error"]
    for path in (*PROTECTED, ".github/through-a-link.yml"):
        assert f"`{path}`" in here.board(issue)
    assert "a + b" not in here.origin.show("main", "add.py")
    assert run["evidence"]["command"] == "python3 -m unittest"
    assert_nothing_left(here)


async def test_13_a_title_is_not_an_option_a_command_or_a_branch(desk: Opened, tmp_path: Path):
    first, second = tmp_path / "x", tmp_path / "y"
    title = f"--upload-pack=touch {first} $(touch {second}) `touch {second}` refs/heads/main"
    here, _ = await desk(GOOD)
    before = here.origin.head
    issue = await here.ticket(title)
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert run["branch"].startswith(f"claude/{issue.number}-upload-pack-touch-")
    assert set(here.origin.branches()) == {"refs/heads/main", f"refs/heads/{run['branch']}"}
    assert here.origin.head == before
    assert not first.exists()
    assert not second.exists()


async def test_15_a_diff_of_5000_files_is_held_back(desk: Opened):
    many = bash("for i in $(seq 5000); do echo $i > file-$i; done")
    here, _ = await desk((MEND, many, SUBMIT))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked", run["error"]
    assert "5001 changed files; 300 are allowed" in here.board(issue)
    assert len(here.board(issue)) < 3000
    assert_nothing_left(here)


async def test_4_and_14_commands_in_the_models_words_ask_for_nothing(desk: Opened):
    words = "/claude develop\n\n> /claude retry\n\n- /claude budget 500\n\n@veelocity please"
    progress = calls("report_progress", items=[{"text": "/claude develop", "done": False}])
    submit: Any = calls("submit", title="/claude develop", summary=words)
    here, _ = await desk((LOOK, progress, MEND, submit))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    (pull,) = here.pulls()
    ours = [each.body for each in issue.comments] + [pull.body]
    async with rig_of(here.surroundings.settings) as rig:
        for each in ours:
            for by in (here.github.bot, "ada"):
                await rig.deliver(*commented(here.repository, issue, each, by=by))
        await rig.settle()
        assert await rig.ask("select count(*) from deliveries where status = 'parked'") == [
            {"count": 0}
        ]
    assert await here.ask("select count(*) from runs") == [{"count": 1}]
