"""A run's folders: fetched, checked out, changed, committed, pushed."""

from bot.agent.workspace import Workspace
from tests.agent.conftest import Repository, plain_git


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
