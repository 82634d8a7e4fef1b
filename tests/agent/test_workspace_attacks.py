"""The work tree belongs to an attacker: what is prepared there is neither executed nor followed."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.agent import staging
from bot.agent.gate import judge
from bot.agent.git import GitRefused
from bot.agent.workspace import Changes, Workspace
from models.errors import Refused
from tests.agent.conftest import Repository, plain_git


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder in which a file appears when something of the attacker's was executed."""
    folder = tmp_path / "trap"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def caught(trap: Path) -> list[str]:
    """What of the attacker's was executed."""
    return sorted(path.name for path in trap.iterdir())


def script(path: Path, trap: Path, name: str) -> None:
    """Write a program that tells that it ran."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ntouch {trap}/{name}\ncat\n")
    path.chmod(0o755)


HOOKS = (
    "pre-commit", "commit-msg", "post-commit", "post-checkout", "post-index-change", "pre-push",
    "prepare-commit-msg", "reference-transaction", "fsmonitor-watchman", "post-rewrite",
)  # fmt: skip


def settings_of(trap: Path) -> dict[str, str]:
    """Every setting of git that names a program."""
    return {
        "core.fsmonitor": f"touch {trap}/fsmonitor; false",
        "core.sshCommand": f"touch {trap}/ssh",
        "core.pager": f"touch {trap}/pager",
        "core.editor": f"touch {trap}/editor",
        "core.askPass": f"{trap}/../run-askpass",
        "core.gitProxy": f"{trap}/../run-proxy",
        "core.alternateRefsCommand": f"touch {trap}/refs",
        "credential.helper": f"!touch {trap}/credential",
        "diff.external": f"touch {trap}/external",
        "diff.x.textconv": f"touch {trap}/textconv; cat",
        "diff.x.command": f"touch {trap}/command",
        "filter.x.clean": f"touch {trap}/clean; cat",
        "filter.x.smudge": f"touch {trap}/smudge; cat",
        "filter.x.process": f"touch {trap}/process",
        "filter.x.required": "true",
        "gpg.program": f"{trap}/../run-gpg",
        "commit.gpgSign": "true",
        "push.gpgSign": "true",
        "uploadpack.packObjectsHook": f"touch {trap}/packobjects",
        "receive.procReceiveRefs": "refs",
        "remote.origin.uploadpack": f"touch {trap}/uploadpack",
        "remote.origin.receivepack": f"touch {trap}/receivepack",
        "remote.origin.vcs": "ext",
        "protocol.ext.allow": "always",
        "alias.push": f"!touch {trap}/alias",
        "include.path": f"{trap}/../included",
        "sequence.editor": f"touch {trap}/sequence",
        "interactive.diffFilter": f"touch {trap}/interactive",
        "merge.x.driver": f"touch {trap}/merge",
    }


def armed(folder: Path, trap: Path, *, evil: str = "") -> None:
    """Turn a repository against whoever runs git in it."""
    for name, value in settings_of(trap).items():
        plain_git(folder, "config", "--add", name, value)
    if evil:
        plain_git(folder, "config", f"url.{evil}.pushInsteadOf", "file:///")
        plain_git(folder, "config", f"url.{evil}.insteadOf", "file:///")
    hooks = Path(plain_git(folder, "rev-parse", "--absolute-git-dir")) / "hooks"
    for name in HOOKS:
        script(hooks / name, trap, f"hook-{name}")
    for name in ("askpass", "proxy", "gpg"):
        script(trap.parent / f"run-{name}", trap, name)
    plain_git(folder, "config", "core.hooksPath", str(hooks))


async def through(space: Workspace, origin: Repository) -> Changes:
    """Take what a work tree holds all the way to the remote."""
    changes = await space.changes(origin.head)
    await space.patch(origin.head, changes.tree)
    await judge(space, changes, protected=(), allowed=())
    who = {"name": "Claude", "email": "c@example.com"}
    sha = await space.commit(changes.tree, [origin.head], "Change", **who)
    await space.push(sha, "claude/1-x", expected=None)
    await space.fetch("claude/1-x")
    return changes


async def test_nothing_that_a_tree_configures_is_executed(
    space: Workspace, origin: Repository, trap: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil.git"
    plain_git(tmp_path, "init", "-q", "--bare", str(evil))
    (space.tree / ".gitattributes").write_text("* filter=x diff=x merge=x\n*.py -diff\n")
    (space.tree / "add.py").write_text("changed\n")
    armed(space.tree, trap, evil=f"file://{evil}/")
    (trap.parent / "included").write_text(f'[core]\n\tpager = "touch {trap}/included"\n')
    script(space.tree / "git", trap, "git-in-the-tree")
    changes = await through(space, origin)
    assert caught(trap) == []
    assert {"add.py", ".gitattributes", "git"} == {each.path for each in changes.files}
    assert origin.show("claude/1-x", "add.py") == "changed"
    assert plain_git(evil, "for-each-ref") == ""


def test_the_trap_works(origin: Repository, trap: Path) -> None:
    (origin.clone / ".gitattributes").write_text("* filter=x diff=x\n")
    armed(origin.clone, trap)
    plain_git(origin.clone, "config", "--unset", "filter.x.process")
    plain_git(origin.clone, "config", "commit.gpgSign", "false")
    plain_git(origin.clone, "add", "-A")
    plain_git(origin.clone, "commit", "-m", "x")
    ran = {path.name for path in trap.iterdir()}
    assert {"fsmonitor", "clean", "hook-pre-commit", "hook-post-commit"} <= ran


async def test_a_nested_repository_is_refused_and_its_settings_not_read(
    space: Workspace, origin: Repository, trap: Path
) -> None:
    nested = space.tree / "nested"
    nested.mkdir()
    plain_git(nested, "init", "-q")
    (nested / "n.txt").write_text("n\n")
    plain_git(nested, "add", "-A")
    plain_git(nested, "commit", "-qm", "n")
    armed(nested, trap)
    changes = await through(space, origin)
    assert [(each.path, each.why) for each in changes.faults] == [
        ("nested/", "is a repository inside the repository")
    ]
    assert changes.files == ()
    assert caught(trap) == []


async def test_an_empty_nested_repository_is_refused(space: Workspace, origin: Repository) -> None:
    (space.tree / "nested").mkdir()
    plain_git(space.tree / "nested", "init", "-q")
    changes = await space.changes(origin.head)
    assert [each.path for each in changes.faults] == ["nested/"]


async def test_a_repository_planted_in_a_known_folder_hides_nothing(
    space: Workspace, origin: Repository, trap: Path
) -> None:
    plain_git(space.tree / "tests", "init", "-q")
    plain_git(space.tree / "tests", "add", "-A")
    plain_git(space.tree / "tests", "commit", "-qm", "n")
    armed(space.tree / "tests", trap)
    (space.tree / "tests/new.py").write_text("new\n")
    (space.tree / "tests/test_add.py").write_text("changed\n")
    changes = await space.changes(origin.head)
    shown = {each.path for each in (*changes.files, *changes.faults)}
    assert {"tests/test_add.py", "tests/new.py"} <= shown
    assert not any(each.mode == "160000" for each in changes.files)
    assert caught(trap) == []


async def test_a_bare_repository_in_the_tree_is_not_entered(
    space: Workspace, origin: Repository, trap: Path
) -> None:
    plain_git(space.tree, "init", "-q", "--bare", "bare")
    armed(space.tree / "bare", trap)
    for folder in ("objects", "refs"):
        (space.tree / "bare" / folder / "kept").write_text("")
    changes = await through(space, origin)
    assert "bare/config" in {each.path for each in changes.files}
    assert caught(trap) == []
    verdict = await judge(space, changes, protected=(), allowed=())
    assert any("bare repository" in fault.why for fault in verdict.faults)


def with_submodule(origin: Repository) -> str:
    """Give the origin a submodule: an entry that names a commit, and no files."""
    sha = origin.head
    plain_git(origin.clone, "update-index", "--add", "--cacheinfo", f"160000,{sha},lib/sub")
    plain_git(origin.clone, "commit", "-qm", "Add a submodule")
    plain_git(origin.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    return origin.head


async def test_a_submodule_that_is_there_stays(space: Workspace, origin: Repository) -> None:
    await space.fetch(with_submodule(origin))
    await space.checkout(origin.head, again=True)
    (space.tree / "add.py").write_text("changed\n")
    changes = await space.changes(origin.head)
    assert ([each.path for each in changes.files], changes.faults) == (["add.py"], ())


async def test_files_in_a_submodule_are_not_lost_in_silence(
    space: Workspace, origin: Repository, trap: Path
) -> None:
    await space.fetch(with_submodule(origin))
    await space.checkout(origin.head, again=True)
    sub = space.tree / "lib/sub"
    sub.mkdir(exist_ok=True)
    plain_git(sub, "init", "-q")
    plain_git(sub, "fetch", "-q", str(origin.bare), "refs/heads/main")
    plain_git(sub, "checkout", "-q", "FETCH_HEAD~")  # what the submodule names: git looks inside
    (sub / ".gitattributes").write_text("* filter=x\n")
    (sub / "add.py").write_text("as long as it was, and other text\n"[:32])
    armed(sub, trap)
    changes = await space.changes(origin.head)
    assert ("lib/sub", "is a submodule, and was changed") in [
        (each.path, each.why) for each in changes.faults
    ]
    assert caught(trap) == []


@pytest.mark.parametrize("instead", ["nothing", "file", "folder"])
async def test_a_submodule_that_goes_is_refused(
    space: Workspace, origin: Repository, instead: str
) -> None:
    await space.fetch(with_submodule(origin))
    await space.checkout(origin.head, again=True)
    sub = space.tree / "lib/sub"
    if sub.exists():
        sub.rmdir()
    if instead == "file":
        sub.write_text("x")
    if instead == "folder":
        sub.mkdir()
        (sub / "x").write_text("x")
    changes = await space.changes(origin.head)
    verdict = await judge(space, changes, protected=(), allowed=("lib/sub",))
    assert [each for each in verdict.faults if "submodule" in each.why]


async def test_links_are_stored_and_never_followed(
    space: Workspace, origin: Repository, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret of the machine\n")
    (space.tree / "file").symlink_to(outside / "secret.txt")
    (space.tree / "folder").symlink_to(outside)
    (space.tree / "tests/test_add.py").unlink()
    (space.tree / "tests").rmdir()
    (space.tree / "tests").symlink_to(outside)
    changes = await space.changes(origin.head)
    links = {each.path: each.target for each in changes.files if each.mode == "120000"}
    assert links == {
        "file": str(outside / "secret.txt"), "folder": str(outside), "tests": str(outside),
    }  # fmt: skip
    assert {each.path for each in changes.files} == {*links, "tests/test_add.py"}
    assert "secret of the machine" not in await space.patch(origin.head, changes.tree)


async def test_a_swapped_dot_git_does_not_matter(
    space: Workspace, origin: Repository, tmp_path: Path, trap: Path
) -> None:
    plain_git(tmp_path, "init", "-q", "other")
    armed(tmp_path / "other", trap)
    (space.tree / ".git").rename(space.tree / "moved")
    (space.tree / ".git").write_text(f"gitdir: {tmp_path / 'other/.git'}\n")
    (space.tree / "add.py").write_text("changed\n")
    (space.tree / ".gitignore").write_text("moved\n")
    changes = await space.changes(origin.head)
    assert [each.path for each in changes.files] == [".gitignore", "add.py"]
    (space.tree / ".git").unlink()
    assert (await space.changes(origin.head)).tree == changes.tree
    assert caught(trap) == []


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path.relative_to(Path.cwd())))


def device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


def put_instead(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink(missing_ok=True)
    try:
        make(path)
    except PermissionError:
        pytest.skip("only root makes devices")


SPECIAL: dict[str, Callable[[Path], None]] = {
    "is a named pipe": pipe,
    "is a socket": listener,
    "is a device": device,
}


@pytest.mark.parametrize(("why", "make"), SPECIAL.items(), ids=SPECIAL)
@pytest.mark.parametrize("name", ["add.py", "new"])
async def test_special_files_are_said_and_do_not_hang(
    space: Workspace,
    origin: Repository,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
    make: Callable[[Path], None],
    name: str,
) -> None:
    monkeypatch.chdir(space.tree)
    put_instead(space.tree / name, make)
    changes = await space.changes(origin.head)
    assert (name, why) in [(each.path, each.why) for each in changes.faults]


async def test_special_files_that_are_ignored_are_no_fault(
    space: Workspace, origin: Repository
) -> None:
    (space.tree / ".gitignore").write_text("*.sock\n")
    os.mkfifo(space.tree / "db.sock")
    assert (await space.changes(origin.head)).faults == ()


@pytest.mark.parametrize(
    "name", [".gitignore", ".gitattributes", ".gitmodules", "tests/.gitignore", "x/.git/HEAD"]
)
async def test_a_pipe_that_git_would_read_is_refused_before_git_looks(
    space: Workspace, origin: Repository, name: str
) -> None:
    path = space.tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(GitRefused, match="named pipe: git cannot look"):
        await space.changes(origin.head)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_what_cannot_be_read_is_said(space: Workspace, origin: Repository) -> None:
    (space.tree / "locked").write_text("x")
    (space.tree / "locked").chmod(0)
    (space.tree / "folder").mkdir()
    (space.tree / "folder").chmod(0)
    changes = await space.changes(origin.head)
    (space.tree / "folder").chmod(0o700)
    assert {each.path: each.why for each in changes.faults} == {
        "locked": "cannot be read", "folder": "cannot be read",
    }  # fmt: skip


async def test_a_huge_file_is_not_read(space: Workspace, origin: Repository) -> None:
    for name in ("huge.bin", "add.py"):
        with (space.tree / name).open("wb") as opened:
            opened.truncate(50 * 2**30)
    changes = await space.changes(origin.head)
    assert changes.files == ()
    assert {each.path: each.why for each in changes.faults} == {
        "huge.bin": "is larger than 25 MB", "add.py": "is larger than 25 MB",
    }  # fmt: skip
    assert (await judge(space, changes, protected=(), allowed=())).faults == changes.faults


async def test_huge_rules_are_not_read(space: Workspace, origin: Repository) -> None:
    with (space.tree / ".gitignore").open("wb") as opened:
        opened.truncate(50 * 2**30)
    with pytest.raises(GitRefused, match="larger than any file of rules"):
        await space.changes(origin.head)


async def test_more_files_than_anyone_would_look_at_are_refused_with_their_folder(
    space: Workspace, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MOST_FILES", 50)
    (space.tree / "node_modules").mkdir()
    for number in range(60):
        (space.tree / f"node_modules/{number}.js").write_text("x")
    with pytest.raises(GitRefused, match="60 files were changed, most of them below node_modules"):
        await space.changes(origin.head)
    (space.tree / ".gitignore").write_text("node_modules/\n")
    assert [each.path for each in (await space.changes(origin.head)).files] == [".gitignore"]


async def test_more_bytes_than_anyone_would_look_at_are_refused(
    space: Workspace, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MOST_BYTES", 10 * 2**20)
    (space.tree / "data").mkdir()
    for number in range(3):
        with (space.tree / f"data/{number}").open("wb") as opened:
            opened.truncate(5 * 2**20)
    with pytest.raises(GitRefused, match="more than 10 MB together, most of it below data"):
        await space.changes(origin.head)


async def test_endless_folders_are_refused(
    space: Workspace, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MOST_ENTRIES", 20)
    for number in range(30):
        (space.tree / f"{number}").mkdir()
    with pytest.raises(GitRefused, match="more than 20 files"):
        await space.changes(origin.head)


async def test_folders_deeper_than_a_path_are_said(space: Workspace, origin: Repository) -> None:
    here = os.open(space.tree, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 200, dir_fd=here)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    changes = await space.changes(origin.head)
    assert [each.why for each in changes.faults] == ["has a path that is too long"]
    space.discard()


@pytest.mark.parametrize("name", [".GIT", ".git ", "git~1", ".g\u200cit"], ids=ascii)
async def test_a_name_that_git_does_not_take_is_not_lost_in_silence(
    space: Workspace, origin: Repository, name: str
) -> None:
    (space.tree / name).mkdir()
    (space.tree / name / "config").write_text("x")
    changes = await space.changes(origin.head)
    assert [each.why for each in changes.faults] == ["has a name that git does not take"]


async def test_a_name_that_is_no_text_is_refused(space: Workspace, origin: Repository) -> None:
    (space.tree / os.fsdecode(b"caf\xe9")).write_text("x")
    changes = await space.changes(origin.head)
    assert [(each.path, each.why) for each in changes.faults] == [
        ("caf\\xe9", "has a name that is not UTF-8")
    ]


async def test_names_that_look_like_options_are_files(space: Workspace, origin: Repository) -> None:
    names = ["--force", "-n", ":(exclude)add.py", "a\nb", 'quo"te', "back\\slash", "*.py", "$(x)"]
    for name in names:
        (space.tree / name).write_text("x\n")
    changes = await space.changes(origin.head)
    assert sorted(each.path for each in changes.files) == sorted(names)
    await judge(space, changes, protected=(), allowed=())


@pytest.mark.parametrize(
    "ref",
    ["--upload-pack=touch pwned", "main:refs/heads/x", "$(touch pwned) x", "a\nb", "ext::sh -c x"],
)
async def test_a_reference_that_is_none_is_not_fetched(space: Workspace, ref: str) -> None:
    with pytest.raises(Refused, match="not the name"):
        await space.fetch(ref)
    with pytest.raises(Refused, match="not the name"):
        await space.resolve(ref)


async def test_a_branch_with_shell_in_its_name_is_only_a_name(
    space: Workspace, origin: Repository, trap: Path
) -> None:
    name = f"$(touch${{IFS}}{trap}/x)"
    plain_git(origin.bare, "update-ref", f"refs/heads/{name}", origin.head)
    await space.fetch(name)
    assert await space.resolve(name) == origin.head
    assert caught(trap) == []


@pytest.mark.parametrize(
    "branch",
    ["main", "refs/heads/main", "claude/../main", "--force", "claude/x:refs/heads/main", "claude/"],
)
async def test_no_other_branch_is_pushed_to(
    space: Workspace, origin: Repository, branch: str
) -> None:
    before = origin.branches()
    with pytest.raises(Refused, match="not a branch of the agent"):
        await space.push(origin.head, branch, expected=None)
    assert origin.branches() == before


@pytest.mark.parametrize("sha", ["main", "--all", "+HEAD", "", "HEAD:refs/heads/main"])
async def test_only_a_commit_is_pushed(space: Workspace, origin: Repository, sha: str) -> None:
    before = origin.branches()
    with pytest.raises(Refused, match="not the full name"):
        await space.push(sha, "claude/1-x", expected=None)
    assert origin.branches() == before


@pytest.mark.parametrize("sha", ["main", "-x", "HEAD", "--output=x"])
async def test_only_commits_are_read_compared_and_checked_out(space: Workspace, sha: str) -> None:
    for ask in (
        space.read(sha, "add.py"),
        space.checkout(sha, again=True),
        space.changes(sha),
        space.patch(sha, sha),
        space.commit(sha, [], "x", name="n", email="e"),
    ):
        with pytest.raises(Refused, match="not the full name"):
            await ask
