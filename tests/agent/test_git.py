"""The hardened command itself: its environment, its names, its words, its end."""

import asyncio
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.agent import git_names
from bot.agent.git import (
    Ask,
    GitRefused,
    Origin,
    Place,
    Said,
    complaint,
    environment,
    git,
    heard,
    speaking,
)
from bot.agent.mirror import make_bare
from bot.agent.workspace import branch_name
from models.errors import Refused


async def test_nothing_of_our_environment_reaches_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "GIT_TRACE", "GIT_CURL_VERBOSE", "GIT_DIR", "LD_PRELOAD"):
        monkeypatch.setenv(name, "/tmp/of-ours")
    place = await make_bare(tmp_path / "bare")
    said = await git(place, "-c", "alias.show-env=!env", "show-env")
    assert "/tmp/of-ours" not in said.text
    assert f"GIT_DIR={place.folder}" in said.text


async def test_configuration_of_this_machine_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Somebody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    place = await make_bare(tmp_path / "bare")
    said = await git(place, "config", "--get", "user.name", ask=Ask(codes=(0, 1)))
    assert said.code == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/api.git",
        "https://git.example.com:8443/acme/api.git",
        "http://127.0.0.1:8000/acme/api.git",
        "http://localhost/acme/api.git",
        "http://[::1]:80/acme/api.git",
        "file:///srv/git/api.git",
    ],
)
def test_git_speaks_to_these(url: str) -> None:
    assert git_names.checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/pwned",
        "-u./x",
        "ext::sh -c touch% /tmp/pwned",
        "fd::17/foo",
        "git://github.com/acme/api.git",
        "ssh://-oProxyCommand=touch/x",
        "git@github.com:acme/api.git",
        "/srv/git/api.git",
        "../api.git",
        "http://github.com/acme/api.git",
        "http://127.0.0.1.evil.com/x.git",
        "https://x-access-token:secret@github.com/acme/api.git",
        "https://-oProxyCommand=x/acme/api.git",
        "https:///acme/api.git",
        "https://github.com/acme/../../etc",
        "https://github.com/acme/%2e%2e/x",
        "https://github.com/acme/api.git?x=1",
        "https://github.com/acme/api.git#x",
        "https://github.com/a\nb",
        "https://github.com/a b",
        "https://github.com/$(touch x)\x00",
        "file://host/srv/git",
        "file:///srv/../etc",
        "",
    ],
    ids=ascii,
)
def test_git_speaks_to_no_other_address(url: str) -> None:
    with pytest.raises(Refused, match="not an address"):
        git_names.checked_url(url)


@pytest.mark.parametrize(
    ("ref", "full"),
    [
        ("main", "refs/heads/main"),
        ("feature/ä-1.2", "refs/heads/feature/ä-1.2"),
        ("refs/pull/12/head", "refs/pull/12/head"),
        ("HEAD", "HEAD"),
        ("+main", "refs/heads/+main"),
        ("$(touch_x)", "refs/heads/$(touch_x)"),
    ],
)
def test_a_branch_has_its_full_name(ref: str, full: str) -> None:
    assert git_names.checked_ref(ref) == full


@pytest.mark.parametrize(
    "ref",
    [
        "--upload-pack=touch x",
        "-x",
        "refs/heads/-x",
        "a..b",
        "a b",
        "a:refs/heads/main",
        "a\nb",
        "a\x00",
        "a~1",
        "a^{commit}",
        "a*",
        "@{u}",
        "/main",
        "main/",
        "a//b",
        ".hidden",
        "a/.b",
        "main.lock",
        "main.",
        "",
        "x" * 300,
    ],
    ids=ascii,
)
def test_what_is_no_branch_is_refused(ref: str) -> None:
    with pytest.raises(Refused, match="not the name"):
        git_names.checked_ref(ref)


@pytest.mark.parametrize(
    "branch",
    [
        "main",
        "refs/heads/main",
        "refs/heads/claude/1-x",
        "claude/",
        "claude/-x",
        "claude/../main",
        "claude/1-x:refs/heads/main",
        "claude/1 x",
        "claude/1\n",
        "claude/$(touch x)",
        "claude/1.lock",
        "claude/1..2",
        "claude/1.",
        "claude/a/b",
        "Claude/1-x",
        "--force",
        "xclaude/1",
        "",
    ],
    ids=ascii,
)
def test_only_branches_of_the_agent_are_pushed_to(branch: str) -> None:
    with pytest.raises(Refused, match="not a branch of the agent"):
        git_names.checked_branch(branch)


@pytest.mark.parametrize(
    ("title", "branch"),
    [
        ("Add numbers", "claude/12-add-numbers"),
        ("  $(rm -rf /) --upload-pack=x ../..", "claude/12-rm-rf-upload-pack-x"),
        ("Größe ändern: naïve", "claude/12-große-andern-naive".replace("ß", "")),
        ("日本語", "claude/12"),
        ("", "claude/12"),
        ("word " * 40, "claude/12-word-word-word-word-word-word-word-word-word"),
        ("x" * 100, "claude/12-" + "x" * 48),
        ("main.lock", "claude/12-main-lock"),
    ],
)
def test_a_branch_is_named_after_its_issue(title: str, branch: str) -> None:
    assert branch_name(12, title) == branch
    git_names.checked_branch(branch)


@pytest.mark.parametrize("sha", ["HEAD", "main", "-x", "a" * 39, "A" * 40, "a" * 40 + "\n", ""])
def test_what_is_no_commit_is_refused(sha: str) -> None:
    with pytest.raises(Refused):
        git_names.checked_sha(sha)


def test_the_token_is_for_one_address_alone() -> None:
    url = "https://github.com/acme/api.git"
    asked = speaking(Origin(url, SecretStr("s3cret-token")))
    told = environment(Place(Path("/x")), asked.environment)
    keys = {
        told[f"GIT_CONFIG_KEY_{n}"]: told[f"GIT_CONFIG_VALUE_{n}"]
        for n in range(40)
        if f"GIT_CONFIG_KEY_{n}" in told
    }
    assert keys[f"http.{url}.extraHeader"].startswith("Authorization: Basic ")
    assert keys["protocol.allow"] == "never"
    assert keys["protocol.https.allow"] == "always"
    assert "protocol.http.allow" not in keys
    assert int(told["GIT_CONFIG_COUNT"]) == len(keys)


def test_a_folder_is_given_no_token() -> None:
    asked = speaking(Origin("file:///srv/git/api.git", SecretStr("s3cret-token")))
    assert "s3cret" not in str(asked.environment)


@pytest.mark.parametrize("url", ["ext::sh -c true", "git://127.0.0.1:1/x", "ssh://127.0.0.1:1/x"])
async def test_git_itself_speaks_no_other_protocol(tmp_path: Path, url: str) -> None:
    place = await make_bare(tmp_path / "bare")
    asked = speaking(Origin("https://github.com/acme/api.git"))
    said = await git(
        place, "ls-remote", "--", url, ask=Ask(environment=asked.environment, codes=(128,))
    )
    assert "not allowed" in said.err


@pytest.mark.parametrize(
    ("err", "kind"),
    [
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", "missing"),
        ("fatal: couldn't find remote ref refs/heads/x", "missing"),
        ("fatal: Authentication failed for 'https://x/'", "access"),
        ("remote: Permission to a/b.git denied to x[bot].\nerror: 403", "access"),
        (" ! [remote rejected] a -> b (refusing to allow a GitHub App to create or update "
         "workflow `.github/workflows/ci.yml` without `workflows` permission)", "access"),
        (" ! [remote rejected] a -> b (pre-receive hook declined)", "rejected"),
        (" ! [rejected] a -> b (stale info)", "stale"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "unreachable"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 502",
         "unreachable"),
        ("error: Operation too slow. Less than 1000 bytes/sec", "unreachable"),
        ("fatal: write error: No space left on device", "space"),
        ("fatal: something new", "other"),
    ],
)  # fmt: skip
def test_what_git_says_becomes_words(err: str, kind: str) -> None:
    told = complaint("fetch", err)
    assert told.kind == kind
    assert str(told)


def test_words_of_a_remote_hold_no_token_and_no_control_characters() -> None:
    told = complaint("push", "fatal: \x1b[2Jtoken s3cret and czNjcmV0", ("s3cret", "czNjcmV0"))
    assert str(told) == "git push failed: fatal:  [2Jtoken *** and ***"


def alive(place: Path) -> bool:
    pid = int((place / "pid").read_text())
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def appeared(path: Path) -> None:
    while not path.exists() or not path.read_text():
        time.sleep(0.01)


async def hanging(place: Place, ask: Ask) -> None:
    alias = f"alias.hang=!echo $$ > {place.folder}/pid; sleep 1000 & wait"
    await git(place, "-c", alias, "hang", ask=ask)


async def test_a_git_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    place = await make_bare(tmp_path / "bare")
    with pytest.raises(GitRefused, match="took longer") as refused:
        await hanging(place, Ask(seconds=0.5))
    assert refused.value.kind == "slow"
    assert not alive(place.folder)


async def test_a_cancelled_git_is_ended(tmp_path: Path) -> None:
    place = await make_bare(tmp_path / "bare")
    task = asyncio.create_task(hanging(place, Ask()))
    await asyncio.to_thread(appeared, place.folder / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(place.folder)


async def test_a_git_that_says_too_much_is_stopped(tmp_path: Path) -> None:
    place = await make_bare(tmp_path / "bare")
    endless = ("-c", "alias.endless=!yes", "endless")
    with pytest.raises(GitRefused, match="told more than 100000 bytes"):
        await git(place, *endless, ask=Ask(most_bytes=100_000))
    said = await git(place, *endless, ask=Ask(most_bytes=100_000, cut=True))
    assert len(said.out) == 100_000


async def test_without_git_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.agent.git.PATH", str(tmp_path))
    with pytest.raises(GitRefused, match="git is not installed"):
        await git(Place(tmp_path), "version")


async def test_a_process_that_ended_before_it_was_heard_is_cut() -> None:
    talk = "echo 1234567890; { sleep 0.5; echo late >&2; } >/dev/null & exit 0"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", talk, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    await process.wait()
    said = await heard(process, "talk", Ask(most_bytes=5, cut=True, seconds=20))
    assert said == Said(0, b"12345", "late\n")
