"""A run's folders: fetched, checked out, changed, committed, pushed."""

import asyncio
import os
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.agent import mirror
from bot.agent.folders import removed
from bot.agent.git import GitRefused
from bot.agent.workspace import Origin, Workspace, agent_home, workspace
from bot.settings import Settings
from models.errors import Refused
from tests.agent.conftest import Repository, plain_git

STRANGER = 65534
WHO = {"name": "Claude", "email": "c@example.com"}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


async def test_a_changed_file_becomes_a_commit_on_a_branch_of_the_agent(
    space: Workspace, origin: Repository
) -> None:
    (space.tree / "add.py").write_text("def add(a, b):\n    return a + b\n")
    (space.tree / "new.txt").write_text("new\n")
    (space.tree / "README.md").unlink()
    changes = await space.changes(origin.head)
    assert [(each.status, each.path, each.added, each.deleted) for each in changes.files] == [
        ("D", "README.md", 0, 1),
        ("M", "add.py", 1, 1),
        ("A", "new.txt", 1, 0),
    ]
    assert not changes.faults
    sha = await space.commit(
        changes.tree, [origin.head], "Add\n\nFor #1.", name="Claude", email="c@example.com"
    )
    await space.push(sha, "claude/1-add", expected=None)
    assert origin.branches()["refs/heads/claude/1-add"] == sha
    assert origin.show("claude/1-add", "add.py").endswith("a + b")
    assert plain_git(origin.bare, "log", "-1", "--format=%an %ce %s", sha) == (
        "Claude c@example.com Add"
    )


async def test_a_run_without_changes_has_none(space: Workspace, origin: Repository) -> None:
    changes = await space.changes(origin.head)
    assert (changes.files, changes.faults) == ((), ())


async def test_kinds_of_changes_are_told(space: Workspace, origin: Repository) -> None:
    (space.tree / "add.py").chmod(0o755)
    (space.tree / "README.md").unlink()
    (space.tree / "README.md").symlink_to("add.py")
    (space.tree / "data.bin").write_bytes(b"\0\1\2")
    changes = await space.changes(origin.head)
    assert {
        each.path: (each.status, each.old_mode, each.mode, each.size, each.added, each.target)
        for each in changes.files
    } == {
        "README.md": ("T", "100644", "120000", 6, 1, "add.py"),
        "add.py": ("M", "100644", "100755", 32, 0, None),
        "data.bin": ("A", "000000", "100644", 3, None, None),
    }


async def test_a_file_and_a_folder_change_places(space: Workspace, origin: Repository) -> None:
    (space.tree / "tests/test_add.py").unlink()
    (space.tree / "tests").rmdir()
    (space.tree / "tests").write_text("a file now\n")
    (space.tree / "add.py").unlink()
    (space.tree / "add.py").mkdir()
    (space.tree / "add.py/inner.py").write_text("a folder now\n")
    changes = await space.changes(origin.head)
    assert [(each.status, each.path) for each in changes.files] == [
        ("D", "add.py"),
        ("A", "add.py/inner.py"),
        ("A", "tests"),
        ("D", "tests/test_add.py"),
    ]


async def test_each_look_sees_what_is_there_then(space: Workspace, origin: Repository) -> None:
    (space.tree / "new").write_text("1\n")
    first = await space.changes(origin.head)
    (space.tree / "new").write_text("2\n")
    second = await space.changes(origin.head)
    (space.tree / "new").unlink()
    assert first.tree != second.tree
    assert (await space.changes(origin.head)).files == ()


async def test_a_change_of_the_same_size_at_the_same_time_is_seen(
    space: Workspace, origin: Repository
) -> None:
    await space.checkout(origin.head, again=True)
    (space.tree / "add.py").write_text("def add(a, b):\n    return a * b\n")
    assert [each.path for each in (await space.changes(origin.head)).files] == ["add.py"]


async def test_ignored_files_are_left_out(space: Workspace, origin: Repository) -> None:
    (space.tree / ".gitignore").write_text("*.pyc\n/build/\n")
    (space.tree / "x.pyc").write_text("x")
    (space.tree / "build").mkdir()
    (space.tree / "build/x").write_text("x")
    assert [each.path for each in (await space.changes(origin.head)).files] == [".gitignore"]


async def test_files_are_taken_byte_by_byte_whatever_attributes_say(
    space: Workspace, origin: Repository
) -> None:
    head = origin.write({
        ".gitattributes": "* text=auto eol=crlf\nx.txt working-tree-encoding=UTF-16\n",
        "y.txt": "a\nb\n",
    })  # fmt: skip
    await space.fetch("main")
    await space.checkout(head, again=True)
    assert (space.tree / "y.txt").read_bytes() == b"a\nb\n"
    (space.tree / "x.txt").write_bytes(b"$Id$\r\n\xff")
    changes = await space.changes(head)
    assert [(each.path, each.size) for each in changes.files] == [("x.txt", 7)]


async def test_the_model_has_a_git_of_its_own(space: Workspace, origin: Repository) -> None:
    git = space.tree
    assert plain_git(git, "status", "--porcelain") == ""
    assert plain_git(git, "log", "--format=%s") == "Start"
    (git / "add.py").write_text("changed\n")
    assert "+changed" in plain_git(git, "diff")
    plain_git(git, "commit", "-qam", "Mine")
    assert [each.path for each in (await space.changes(origin.head)).files] == ["add.py"]
    inner = git / ".git"
    assert not (inner / "objects/info/alternates").exists()
    assert str(space.own) not in "".join(
        path.read_text(errors="replace") for path in inner.rglob("*") if path.is_file()
    )
    assert str(space.mirror.folder) not in (inner / "config").read_text()


async def test_only_the_last_commits_are_cloned(space: Workspace, origin: Repository) -> None:
    for number in range(25):
        head = origin.write({"n": str(number)})
    await space.fetch("main")
    await space.checkout(head, again=True)
    assert plain_git(space.tree, "rev-list", "--count", "HEAD") == "20"


async def test_a_checkout_is_kept_unless_asked_again(space: Workspace, origin: Repository) -> None:
    (space.tree / "add.py").write_text("changed\n")
    await space.checkout(origin.head)
    assert (space.tree / "add.py").read_text() == "changed\n"
    await space.checkout(origin.head, again=True)
    assert "a - b" in (space.tree / "add.py").read_text()


async def test_a_run_goes_on_where_it_was(
    space: Workspace, origin: Repository, agent_settings: Settings
) -> None:
    (space.tree / "add.py").write_text("changed\n")
    (space.tmp / "note").write_text("kept")
    async with workspace(agent_settings, 1, "github:1", space.origin, owner=None) as again:
        assert again.folder == space.folder
        await again.checkout(origin.head)
        assert [each.path for each in (await again.changes(origin.head)).files] == ["add.py"]
        assert (again.tmp / "note").read_text() == "kept"
    async with workspace(agent_settings, 11, "github:1", space.origin, owner=None) as other:
        assert other.folder != space.folder


async def test_a_checkout_that_was_cut_short_is_made_again(
    space: Workspace, origin: Repository
) -> None:
    (space.own / "checked-out").unlink()
    (space.own / "index.lock").write_text("")
    (space.tree / "add.py").unlink()
    await space.checkout(origin.head)
    assert (await space.changes(origin.head)).files == ()


async def test_locks_of_a_killed_git_are_no_hindrance(space: Workspace, origin: Repository) -> None:
    base = origin.head
    head = origin.write({"x": "x"})
    (space.own / "index.lock").write_text("")
    seen = space.mirror.folder / "refs/seen"
    lock = next(seen.iterdir())
    lock.with_name(f"{lock.name}.lock").write_text("")
    await space.fetch("main")
    assert await space.resolve("main") == head
    (space.tree / "add.py").write_text("changed\n")
    assert [each.path for each in (await space.changes(base)).files] == ["add.py"]


async def test_what_was_left_of_a_killed_worker_is_deleted(
    space: Workspace, agent_settings: Settings
) -> None:
    (space.folder / "at-left" / "tree").mkdir(parents=True)
    async with workspace(agent_settings, 1, "github:1", space.origin, owner=None) as again:
        assert not (again.folder / "at-left").exists()


async def test_a_discarded_run_leaves_nothing(agent_settings: Settings, origin: Repository) -> None:
    async with workspace(agent_settings, 2, "github:1", Origin(origin.url), owner=None) as space:
        await space.fetch("main")
        await space.checkout(origin.head)
        (space.tree / "locked").mkdir()
        (space.tree / "locked/x").write_text("x")
        (space.tree / "locked").chmod(0)
        space.discard()
    assert not space.folder.exists()
    assert space.mirror.folder.exists()


async def test_deleting_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/x").write_text("x")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/link").symlink_to(tmp_path / "kept")
    await removed(tmp_path / "gone")
    assert (tmp_path / "kept/x").exists()


async def test_files_of_a_commit_are_read_and_never_those_of_the_tree(
    space: Workspace, origin: Repository, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (origin.clone / "AGENTS.md").symlink_to("docs/rules.md")
    (origin.clone / "out.md").symlink_to(tmp_path / "secret")
    head = origin.write({"docs/rules.md": "Be kind.\n"})
    await space.fetch("main")
    (space.tree / "add.py").write_text("changed\n")
    assert await space.read(head, "docs/rules.md") == b"Be kind.\n"
    assert await space.read(head, "./docs/rules.md") == b"Be kind.\n"
    assert await space.read(head, "AGENTS.md") == b"Be kind.\n"
    assert await space.read(head, "docs/rules.md", most_bytes=2) == b"Be"
    assert (await space.read(head, "add.py") or b"").endswith(b"a - b\n")
    for path in ("out.md", "docs", "none", "a\nb", "", "../x", "a/../b", "/etc/passwd"):
        assert await space.read(head, path) is None


async def test_references_are_resolved_as_they_were_fetched(
    space: Workspace, origin: Repository
) -> None:
    old = origin.head
    new = origin.write({"x": "x"})
    assert await space.resolve("main") == old
    assert await space.resolve("refs/heads/main") == old
    assert await space.resolve(new) is None
    assert await space.resolve("other") is None
    await space.fetch("HEAD", "main")
    assert await space.resolve("HEAD") == new
    assert await space.resolve("main") == new


async def test_branches_may_be_in_each_others_way(space: Workspace, origin: Repository) -> None:
    plain_git(origin.bare, "update-ref", "refs/heads/a", origin.head)
    await space.fetch("a")
    plain_git(origin.bare, "update-ref", "-d", "refs/heads/a")
    plain_git(origin.bare, "update-ref", "refs/heads/a/b", origin.head)
    await space.fetch("a/b")
    assert await space.resolve("a/b") == origin.head


async def test_a_branch_that_was_forced_is_followed(space: Workspace, origin: Repository) -> None:
    plain_git(origin.clone, "commit", "-q", "--amend", "-m", "Another start")
    plain_git(origin.clone, "push", "-qf", "origin", "HEAD:refs/heads/main")
    await space.fetch("main")
    assert await space.resolve("main") == origin.head


async def test_many_packs_are_joined_and_nothing_is_lost(
    space: Workspace, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MOST_PACKS", 2)
    plain_git(space.mirror.folder, "--git-dir=.", "config", "fetch.unpackLimit", "1")
    old = origin.head
    for number in range(5):
        origin.write({f"{number}": os.urandom(9000)})
        await space.fetch("main")
    packs = list((space.mirror.folder / "objects/pack").glob("*.pack"))
    assert len(packs) <= 3
    assert await space.resolve(old) == old
    assert (await space.changes(old)).files == ()


async def test_the_same_commit_is_made_twice(space: Workspace, origin: Repository) -> None:
    at = datetime(2026, 9, 1, tzinfo=UTC)
    changes = await space.changes(origin.head)
    told = (changes.tree, [origin.head], "Add\n\nÜber #1.\x00")
    first = await space.commit(*told, **WHO, at=at)
    assert await space.commit(*told, **WHO, at=at) == first
    show = plain_git(space.own / "git", "--git-dir=.", "log", "-1", "--format=%an%n%B", first)
    assert show == "Claude\nAdd\n\nÜber #1."


@pytest.mark.parametrize(
    ("name", "email", "line"),
    [
        ("A <b>\nparent 0", "a>\n<b@c", "author A bparent 0 <ab@c> "),
        ("<\u200b>", "", "author Claude <> "),
        ("A\x1b[2J\u202eB", "a@b", "author A[2JB <a@b> "),
    ],
)
async def test_a_name_cannot_change_the_form_of_a_commit(
    space: Workspace, origin: Repository, name: str, email: str, line: str
) -> None:
    tree = (await space.changes(origin.head)).tree
    sha = await space.commit(tree, [], "x", name=name, email=email)
    body = plain_git(space.own / "git", "--git-dir=.", "cat-file", "commit", sha)
    assert body.splitlines()[1].startswith(line)


async def test_a_patch_is_cut(space: Workspace, origin: Repository) -> None:
    (space.tree / "long.txt").write_text("line\n" * 10_000)
    changes = await space.changes(origin.head)
    patch = await space.patch(origin.head, changes.tree, 1000)
    assert patch.startswith("diff --git a/long.txt")
    assert "longer than is shown" in patch
    assert len(patch) < 1100
    assert "longer" not in await space.patch(origin.head, changes.tree)


async def test_base_and_result_are_checked_out_beside_the_work_tree(
    space: Workspace, origin: Repository
) -> None:
    (space.tree / "add.py").write_text("changed\n")
    (space.tree / "ignored.pyc").write_text("x")
    (space.tree / ".gitignore").write_text("*.pyc\n")
    changes = await space.changes(origin.head)
    async with space.at(origin.head) as (base, base_tmp), space.at(changes.tree) as (result, tmp):
        assert "a - b" in (base / "add.py").read_text()
        assert (result / "add.py").read_text() == "changed\n"
        assert not (result / "ignored.pyc").exists()
        assert plain_git(result, "status", "--porcelain") == ""
        assert base_tmp != tmp
        assert list(tmp.iterdir()) == []
    assert not base.exists()
    assert not result.parent.exists()
    assert (await space.changes(origin.head)).tree == changes.tree


async def test_a_checkout_beside_is_deleted_when_cancelled(
    space: Workspace, origin: Repository
) -> None:
    inside = asyncio.Event()

    async def held() -> None:
        async with space.at(origin.head):
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(held())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert list(space.folder.glob("at-*")) == []


async def test_what_is_not_fetched_is_said(space: Workspace) -> None:
    missing = "1" * 40
    for ask in (space.checkout(missing, again=True), space.changes(missing)):
        with pytest.raises(GitRefused, match="is not in the repository"):
            await ask


async def test_an_address_that_is_none_opens_no_workspace(agent_settings: Settings) -> None:
    with pytest.raises(Refused, match="not an address"):
        async with workspace(agent_settings, 1, "github:1", Origin("ext::sh -c x"), owner=None):
            pass
    assert not agent_home(agent_settings).exists()


async def test_nobody_else_enters_what_is_ours(space: Workspace) -> None:
    private = (space.own, space.own / "git", space.tree, space.tmp, space.mirror.folder.parent)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in private} == {0}
    assert stat.S_IMODE(space.folder.parent.stat().st_mode) & 0o066 == 0


def as_stranger(command: str, folder: Path) -> int:
    """Run a shell command as the sandbox's user; return its exit code."""
    shell = ["sh", "-c", command, "sh", str(folder)]
    who = {"user": STRANGER, "group": STRANGER, "extra_groups": []}
    done = subprocess.run(shell, **who, env={"PATH": "/usr/bin:/bin"}, cwd="/", check=False)
    return done.returncode


@AS_ROOT
async def test_the_sandbox_user_reaches_its_folders_and_no_others(
    agent_settings: Settings, origin: Repository, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("ours\n")
    (origin.clone / "link").symlink_to(outside)
    origin.commit()
    place = Origin(origin.url)
    async with workspace(agent_settings, 3, "github:1", place, owner=STRANGER) as space:
        await space.fetch("main")
        await space.checkout(origin.head)
        ours = {path for path in space.tree.rglob("*") if path.lstat().st_uid != STRANGER}
        assert not ours
        assert outside.stat().st_uid == 0
        inside = 'cd "$1" && echo changed > add.py && git status && touch ../tmp/x'
        assert as_stranger(inside, space.tree) == 0
        for closed in (space.own, space.mirror.folder, space.folder.parent):
            assert as_stranger('ls "$1" 2>/dev/null', closed) != 0
        assert as_stranger('touch "$1/x" 2>/dev/null', space.folder) != 0
        (space.tree / ".git/config").write_text("[core]\n\tfsmonitor = touch /tmp/pwned\n")
        changes = await space.changes(origin.head)
        assert [each.path for each in changes.files] == ["add.py"]
        async with space.at(changes.tree) as (tree, tmp):
            assert as_stranger('cd "$1" && git status && touch x ../tmp/y', tree) == 0
            assert (tmp / "y").exists()
