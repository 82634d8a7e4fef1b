import base64
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.clients import github_work as work
from bot.clients.github import GitHub, GitHubError, Installation, Patience, RateLimited
from bot.clients.signing import Memory
from bot.vault import AppCredentials
from tests.fakes import faults
from tests.fakes.github import FakeGitHub, FakeRepository, fake_github

HURRIED = Patience(tries=3, first_seconds=0.01, longest_seconds=0.02, limit_seconds=1.5)
NAME = "acme/api"
MARKER = "<!-- veelocity:ticket:github:1 -->"


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github(writes=True) as github:
        yield github


@pytest.fixture
def api(fake: FakeGitHub) -> FakeRepository:
    return fake.repository(NAME)


@pytest.fixture
async def github(fake: FakeGitHub) -> AsyncIterator[Installation]:
    us = AppCredentials(app_id=fake.app_id, private_key=SecretStr(fake.private_key))
    async with GitHub(us, fake.url, patience=HURRIED, memory=Memory()) as opened:
        yield opened.installation(42)


@pytest.mark.parametrize(
    ("role", "writes"),
    [("admin", 1), ("maintain", 1), ("write", 1), ("triage", 0), ("read", 0), ("none", 0)],
)
async def test_who_may_push_may_write(
    fake: FakeGitHub, api: FakeRepository, github: Installation, role: str, writes: int
) -> None:
    ben = fake.person("ben")
    api.permissions["ben"] = role
    assert await work.may_write(github, NAME, "ben", ben.id) is bool(writes)


async def test_a_login_that_changed_hands_may_not_write(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    ada = fake.person("ada")
    assert await work.may_write(github, NAME, "ada", ada.id)
    assert not await work.may_write(github, NAME, "ada", ada.id + 1)
    assert not await work.may_write(github, NAME, "nobody", 1)


async def test_a_bot_may_not_write_whatever_it_was_given(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    robot = fake.person("robot[bot]")
    api.permissions["robot[bot]"] = "admin"
    assert not await work.may_write(github, NAME, "robot[bot]", robot.id)


async def test_an_issue_is_read(api: FakeRepository, github: Installation) -> None:
    made = api.issue("Round half to even", "Banks do.", "bug", "P1")
    found = await work.issue(github, NAME, made.number)
    assert found is not None
    assert (found.id, found.title, found.body) == (made.id, "Round half to even", "Banks do.")
    assert found.label_names == ("bug", "P1")
    assert await work.issue(github, NAME, 404) is None


async def test_all_comments_are_read_and_ours_are_known(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    for number in range(120):
        api.comment(issue, f"said {number}")
    api.comment(issue, "I am the app", by=fake.bot)
    impostor = api.comment(issue, "So am I", by="eve")
    impostor.app = 99
    found = await work.comments(github, NAME, issue.number)
    assert [each.body for each in found][:2] == ["said 0", "said 1"]
    assert [each.body for each in found if each.ours] == ["I am the app"]
    assert len(fake.asked("/comments")) == 2


async def test_an_edited_comment_is_as_young_as_its_words(
    api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    said = api.comment(issue, "Do it")
    said.created_at, said.updated_at = "2026-09-01T10:00:00Z", "2026-09-02T10:00:00Z"
    (found,) = await work.comments(github, NAME, issue.number)
    assert found.at.isoformat() == "2026-09-02T10:00:00+00:00"


async def test_a_comment_is_found_by_its_marker_only_where_it_is_ours(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    api.comment(issue, f"{MARKER}\nI wrote this marker myself", by="eve")
    assert await work.find_comment(github, NAME, issue.number, MARKER) is None
    made = await work.create_comment(github, NAME, issue.number, f"{MARKER}\nWorking")
    assert await work.find_comment(github, NAME, issue.number, MARKER) == made
    await work.edit_comment(github, NAME, made, f"{MARKER}\nDone")
    assert fake.said == ["comment on #12: Working", f"edited comment {made}: Done"]


async def test_a_deleted_comment_is_gone(api: FakeRepository, github: Installation) -> None:
    api.issue()
    with pytest.raises(work.Gone):
        await work.edit_comment(github, NAME, 5, "Words")


@pytest.mark.parametrize("fault", [faults.bad_gateway, faults.dropped, faults.half_json])
async def test_a_comment_is_not_sent_twice(
    fake: FakeGitHub, api: FakeRepository, github: Installation, fault: Callable[[], Any]
) -> None:
    issue = api.issue()
    fake.fail(fault(), on=f"POST /repos/acme/api/issues/{issue.number}/comments", times=1)
    with pytest.raises(GitHubError):
        await work.create_comment(github, NAME, issue.number, "No marker")
    assert len(fake.asked("POST /repos")) == 1


async def test_a_comment_whose_answer_was_lost_is_found_again(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    lost = api.comment(issue, f"{MARKER}\nWorking", by=fake.bot)
    fake.fail(faults.dropped(), on="POST /repos/acme/api/issues", times=1)
    assert await work.create_comment(github, NAME, issue.number, f"{MARKER}\nWorking") == lost.id
    assert len(issue.comments) == 1


async def test_what_a_limit_held_off_is_sent_again(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    fake.fail(faults.too_many_requests(0), on="POST /repos", times=1)
    await work.create_comment(github, NAME, issue.number, "Now it may")
    assert fake.said == ["comment on #12: Now it may"]
    fake.fail(faults.too_many_requests(60), on="POST /repos", times=1)
    with pytest.raises(RateLimited):
        await work.create_comment(github, NAME, issue.number, "Later")


async def test_a_refused_token_is_renewed_before_something_is_made(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    await work.comments(github, NAME, issue.number)
    fake.tokens.clear()
    await work.create_comment(github, NAME, issue.number, "Hello")
    assert fake.said == ["comment on #12: Hello"]


async def test_reactions_are_seen_once(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    comment = api.comment(issue, "/claude develop")
    for _ in range(2):
        await work.react(github, NAME, work.EYES, comment=comment.id)
        await work.react(github, NAME, work.NO, issue=issue.number)
    await work.react(github, NAME, work.NO, comment=404)
    assert fake.said == [f"👀 on comment {comment.id}", "👎 on #12"]


async def test_an_issue_is_made_with_its_labels(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    made = await work.create_issue(github, NAME, "New", "Body", {"claude", "bug"})
    assert api.issues[made.number].labels == ["bug", "claude"]
    await work.add_labels(github, NAME, made.number, ["bug", "P1"])
    assert api.issues[made.number].labels == ["bug", "claude", "P1"]
    assert fake.said == ["opened issue #12: New", "labelled #12: bug, P1"]


async def test_a_pull_request_is_opened_once(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    api.heads["claude/12-x"] = "c" * 40
    told: dict[str, Any] = {"head": "claude/12-x", "base": "main", "title": "Do", "body": "It"}
    assert await work.find_pull_request(github, NAME, "claude/12-x") is None
    made = await work.create_pull_request(github, NAME, **told, draft=True)
    assert await work.create_pull_request(github, NAME, **told) == made
    assert await work.find_pull_request(github, NAME, "claude/12-x") == made
    await work.edit_pull_request(github, NAME, made, title="Done", body="It is")
    assert api.issues[made].title == "Done"
    assert fake.said == [
        "opened PR #12 from claude/12-x (draft): Do",
        "edited PR #12: body, title",
    ]
    found = await work.pull_request(github, NAME, made)
    assert found is not None
    assert (found.head.ref, found.head.sha, found.draft) == ("claude/12-x", "c" * 40, True)
    assert await work.pull_request(github, NAME, 404) is None


async def test_a_pull_request_whose_answer_was_lost_is_found(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    api.heads["claude/12-x"] = "c" * 40
    lost = api.pull("claude/12-x")
    fake.fail(faults.dropped(), on="POST /repos/acme/api/pulls")
    told: dict[str, Any] = {"head": "claude/12-x", "base": "main", "title": "Do", "body": "It"}
    assert await work.create_pull_request(github, NAME, **told) == lost.number


async def test_where_there_are_no_drafts_the_title_says_so(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    api.heads["claude/12-x"], api.drafts = "c" * 40, False
    told: dict[str, Any] = {"head": "claude/12-x", "base": "main", "title": "Do", "body": "It"}
    await work.create_pull_request(github, NAME, **told, draft=True)
    assert fake.said == ["opened PR #12 from claude/12-x: Draft: Do"]


async def test_what_github_will_not_open_is_said(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    with pytest.raises(GitHubError, match="head is invalid"):
        await work.create_pull_request(
            github, NAME, head="claude/nowhere", base="main", title="Do", body="It"
        )


async def test_people_and_teams_are_asked_to_review(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    fake.person("ben")
    pull = api.pull("claude/12-x")
    await work.request_reviewers(github, NAME, pull.number, ["ben", "acme/backend"])
    assert pull.reviewers == ["ben", "backend"]
    with pytest.raises(GitHubError, match="collaborators"):
        await work.request_reviewers(github, NAME, pull.number, ["nobody"])


async def test_a_review_is_read_with_its_remarks(api: FakeRepository, github: Installation) -> None:
    pull = api.pull("claude/12-x")
    made = api.review(pull, "Not yet", ("app.py", 3, "Why?"), ("app.py", None, "All of it"))
    found = await work.review(github, NAME, pull.number, made.id)
    assert found is not None
    assert (found.state, found.body) == ("CHANGES_REQUESTED", "Not yet")
    remarks = await work.review_comments(github, NAME, pull.number, made.id)
    assert [(each.line, each.body) for each in remarks] == [(3, "Why?"), (None, "All of it")]
    assert await work.review(github, NAME, pull.number, 1) is None


async def test_a_check_of_a_run_is_made_once_and_brought_up_to_date(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    sha = "c" * 40
    told: dict[str, Any] = {"name": "Veelocity", "head_sha": sha, "external_id": "run:1"}
    made = await work.put_check_run(github, NAME, **told, title="Testing", summary="…")
    again = await work.put_check_run(
        github, NAME, **told, title="Passed", summary="All.", conclusion="success"
    )
    assert again == made
    assert fake.said == [
        "check Veelocity on ccccccc: in_progress",
        "check Veelocity on ccccccc: success",
    ]


async def test_failing_checks_are_those_of_others(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    sha = "c" * 40
    api.check(sha, "lint", "success")
    api.check(sha, "tests", "failure", summary="2 failed")
    api.check("d" * 40, "tests", "failure")
    await work.put_check_run(
        github,
        NAME,
        name="Veelocity",
        head_sha=sha,
        external_id="run:1",
        title="Red",
        summary="",
        conclusion="failure",
    )
    found = await work.failing_checks(github, NAME, sha)
    assert [(each.name, each.output and each.output.summary) for each in found] == [
        ("tests", "2 failed")
    ]


async def test_branches_and_files_are_those_of_a_repository_on_disk(
    tmp_path: Path, fake: FakeGitHub, github: Installation
) -> None:
    origin = tmp_path / "api.git"
    origin.mkdir()

    def git(*arguments: str, told: str = "") -> str:
        asked = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        found = subprocess.run(
            asked, cwd=origin, input=told, capture_output=True, text=True, check=True
        )
        return found.stdout.strip()

    git("init", "--bare", "-q", ".")
    blob = git("hash-object", "-w", "--stdin", told="auto: false\n")
    folder = git("mktree", told=f"100644 blob {blob}\tveelocity.yml\n")
    tree = git("mktree", told=f"040000 tree {folder}\t.github\n")
    commit = git("commit-tree", "-m", "One", tree)
    git("update-ref", "refs/heads/main", commit)
    git("update-ref", "refs/heads/feature/a", commit)
    fake.repository("acme/disk", origin)
    path = ".github/veelocity.yml"
    assert await work.branch_head(github, "acme/disk", "main") == commit
    assert await work.branch_head(github, "acme/disk", "feature/a") == commit
    assert await work.branch_head(github, "acme/disk", "gone") is None
    assert await work.file_at(github, "acme/disk", path, commit) == b"auto: false\n"
    assert await work.file_at(github, "acme/disk", "gone.yml", commit) is None


async def test_a_token_for_git_opens_one_repository_and_nothing_else(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    issue = api.issue()
    fake.repository("acme/web").issue()
    token = await work.repository_token(github, NAME)
    assert list(fake.narrowed.values()) == [({"contents": "write"}, ("api",))]
    await work.branch_head(github, NAME, "main")
    ours = github.github.memory.tokens[github.account]
    github.github.memory.tokens[github.account] = type(ours)(token, ours.expires_at)
    assert await work.branch_head(github, NAME, "main") == "a" * 40
    assert await work.branch_head(github, "acme/web", "main") is None
    with pytest.raises(GitHubError, match="issues: write"):
        await work.react(github, NAME, work.EYES, issue=issue.number)


@pytest.mark.parametrize(
    ("act", "needed"),
    [
        (lambda g: work.create_comment(g, NAME, 12, "x"), "issues: write"),
        (lambda g: work.react(g, NAME, work.EYES, issue=12), "issues: write"),
        (lambda g: work.repository_token(g, NAME), "contents: write"),
        (lambda g: work.edit_pull_request(g, NAME, 12, title="x"), "pull_requests: write"),
        (
            lambda g: work.put_check_run(
                g, NAME, name="V", head_sha="c", external_id="1", title="", summary=""
            ),
            "checks: write",
        ),
    ],
)
async def test_a_missing_permission_is_named(
    fake: FakeGitHub,
    api: FakeRepository,
    github: Installation,
    act: Callable[[Installation], Any],
    needed: str,
) -> None:
    api.issue()
    fake.permissions[42] = dict.fromkeys(fake.permissions[42], "read")
    with pytest.raises(GitHubError, match=re.escape(needed)) as refused:
        await act(github)
    assert refused.value.status == 403
    assert "installation's" in str(refused.value)


async def test_the_slug_is_asked_for_once(fake: FakeGitHub, github: Installation) -> None:
    fake.slug = "our-bot"
    assert [await work.app_slug(github) for _ in range(2)] == ["our-bot", "our-bot"]
    assert fake.requests == ["GET /app"]


async def test_a_file_beyond_a_megabyte_is_not_taken_for_an_empty_one(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    told = {"type": "file", "encoding": "none", "content": "", "size": 2_000_000}
    fake.fail(faults.answering(200, told), on="/contents/")
    with pytest.raises(GitHubError, match="larger than 1 MB"):
        await work.file_at(github, NAME, "big.yml", "main")
    fake.fail(faults.answering(200, [{"type": "file"}]), on="/contents/")
    assert await work.file_at(github, NAME, "folder", "main") is None


async def test_base64_with_line_breaks_is_read(
    fake: FakeGitHub, api: FakeRepository, github: Installation
) -> None:
    content = base64.encodebytes(b"x" * 100).decode()
    told = {"type": "file", "encoding": "base64", "content": content}
    fake.fail(faults.answering(200, told), on="/contents/")
    assert await work.file_at(github, NAME, "a.yml", "main") == b"x" * 100
