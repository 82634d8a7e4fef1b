"""Fetching and pushing over HTTP with a token that nobody but git's own process gets to see."""

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.agent import git as command
from bot.agent.git import GitRefused
from bot.agent.workspace import Origin, Workspace, agent_home, workspace
from bot.settings import Settings
from tests.agent.conftest import Repository, plain_git
from tests.fakes.git_http import GitHttp, git_http

TOKEN = "ghs_" + "t0kenThatNobodyMaySee1234567890abcdef"
BASIC = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
SEEN = (TOKEN.encode(), BASIC.encode(), TOKEN[::-1].encode())


@pytest.fixture
def server(origin: Repository) -> Iterator[GitHttp]:
    """The origin behind HTTP and a token."""
    with git_http(origin.bare.parents[1], TOKEN) as opened:
        yield opened


def at(server: GitHttp, token: str | None = TOKEN) -> Origin:
    return Origin(f"{server.url}/acme/adding.git", SecretStr(token) if token else None)


@pytest.fixture
async def remote(agent_settings: Settings, server: GitHttp) -> AsyncIterator[Workspace]:
    """A workspace that speaks HTTP."""
    async with workspace(agent_settings, 7, "github:1", at(server), owner=None) as opened:
        yield opened


async def developed(space: Workspace, base: str, body: str = "a + b\n") -> str:
    """Change a file; return the commit."""
    await space.fetch("main")
    await space.checkout(base)
    (space.tree / "add.py").write_text(body)
    changes = await space.changes(base)
    return await space.commit(changes.tree, [base], "Add", name="Claude", email="c@example.com")


async def test_a_run_fetches_and_pushes_by_http(
    remote: Workspace, origin: Repository, server: GitHttp
) -> None:
    sha = await developed(remote, origin.head)
    await remote.push(sha, "claude/1-add", expected=None)
    assert origin.branches()["refs/heads/claude/1-add"] == sha
    assert set(server.authorizations) == {f"Basic {BASIC}"}
    assert any(each.endswith("POST /acme/adding.git/git-receive-pack") for each in server.requests)


async def test_a_pushed_branch_moves_only_from_where_it_is_expected(
    remote: Workspace, origin: Repository
) -> None:
    first = await developed(remote, origin.head)
    await remote.push(first, "claude/1-add", expected=None)
    second = await developed(remote, origin.head, "b + a\n")
    for wrong in (None, origin.head):
        with pytest.raises(GitRefused, match="changed by someone else") as refused:
            await remote.push(second, "claude/1-add", expected=wrong)
        assert refused.value.kind == "stale"
    assert origin.branches()["refs/heads/claude/1-add"] == first
    await remote.push(second, "claude/1-add", expected=first)
    assert await remote.remote_head("claude/1-add") == second


async def test_a_push_that_was_done_already_is_not_done_again(
    remote: Workspace, origin: Repository, server: GitHttp
) -> None:
    sha = await developed(remote, origin.head)
    await remote.push(sha, "claude/1-add", expected=None)
    server.requests.clear()
    await remote.push(sha, "claude/1-add", expected=None)
    assert not any("receive-pack" in each for each in server.requests)


async def test_nothing_but_the_branch_is_pushed(remote: Workspace, origin: Repository) -> None:
    sha = await developed(remote, origin.head)
    plain_git(remote.own / "git", "--git-dir=.", "tag", "-am", "x", "v1", sha)
    before = origin.branches()
    await remote.push(sha, "claude/1-add", expected=None)
    assert origin.branches() == {**before, "refs/heads/claude/1-add": sha}


async def test_the_second_run_starts_from_the_mirror(
    remote: Workspace, origin: Repository, server: GitHttp, agent_settings: Settings
) -> None:
    head = origin.write({"big.bin": os.urandom(200_000)})
    await remote.fetch("main")
    server.requests.clear()
    async with workspace(agent_settings, 8, "github:1", at(server), owner=None) as second:
        await second.fetch(head)
        assert server.requests == []
        await second.checkout(head)
        assert (second.tree / "big.bin").stat().st_size == 200_000
        await second.fetch("main")
        assert not any("POST" in each and "receive" in each for each in server.requests)
        assert await second.resolve("main") == head


async def test_a_commit_is_fetched_by_its_name(remote: Workspace, origin: Repository) -> None:
    old = origin.head
    origin.write({"x": "x"})
    await remote.fetch(old)
    assert await remote.resolve(old) == old
    assert await remote.resolve("main") is None


async def test_two_runs_fetch_at_once_without_harm(
    agent_settings: Settings, server: GitHttp, origin: Repository
) -> None:
    async def one(number: int) -> str | None:
        async with workspace(agent_settings, number, "github:1", at(server), owner=None) as space:
            await space.fetch("main")
            return await space.resolve("main")

    assert set(await asyncio.gather(*map(one, range(10, 16)))) == {origin.head}


REFUSALS = {
    (401, ""): ("access", "does not accept the app's token"),
    (403, ""): ("access", "Contents: write"),
    (404, ""): ("missing", "not found, or the app has no access"),
    (502, ""): ("unreachable", "cannot be reached just now"),
    (301, "http://127.0.0.1:1/elsewhere"): ("moved", "moved to another address"),
}


@pytest.mark.parametrize(("answer", "told"), REFUSALS.items(), ids=[str(k[0]) for k in REFUSALS])
async def test_what_a_remote_refuses_is_said_in_words_without_the_token(
    remote: Workspace, server: GitHttp, answer: tuple[int, str], told: tuple[str, str]
) -> None:
    server.answer = answer
    with pytest.raises(GitRefused, match=told[1]) as refused:
        await remote.fetch("main")
    assert refused.value.kind == told[0]
    assert not any(seen in repr(refused.value).encode() for seen in SEEN)


async def test_a_redirection_is_not_followed_with_the_token(
    remote: Workspace, server: GitHttp, origin: Repository
) -> None:
    with git_http(origin.bare.parents[1]) as other:
        server.answer = (302, f"{other.url}/acme/adding.git/info/refs?service=git-upload-pack")
        with pytest.raises(GitRefused):
            await remote.fetch("main")
        assert other.requests == []


async def test_a_branch_that_is_not_there_is_said(remote: Workspace) -> None:
    with pytest.raises(GitRefused, match="branch or commit asked for is not in the repository"):
        await remote.fetch("nothing")
    assert await remote.remote_head("claude/9-none") is None


async def test_a_wrong_token_is_said_and_nobody_is_asked_for_a_password(
    agent_settings: Settings, server: GitHttp
) -> None:
    wrong = at(server, "wrong-token-of-somebody")
    async with workspace(agent_settings, 9, "github:1", wrong, owner=None) as space:
        with pytest.raises(GitRefused, match="does not accept the app's token") as refused:
            await space.fetch("main")
        assert "wrong-token" not in str(refused.value)


async def test_the_token_is_in_no_file_and_no_argument(
    remote: Workspace,
    origin: Repository,
    agent_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrapper in git's place notes the arguments of all processes, its children's as well."""
    log = tmp_path / "arguments"
    program = command.shutil.which("git")
    wrapper = tmp_path / "bin/git"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f"#!/bin/sh\n(for n in 1 2 3 4 5 6; do cat /proc/[0-9]*/cmdline >> {log} 2>/dev/null;"
        f' echo >> {log}; sleep 0.02; done) &\n{program} "$@"\ncode=$?\nwait\nexit $code\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setattr(command, "PATH", f"{wrapper.parent}:{command.PATH}")
    sha = await developed(remote, origin.head)
    await remote.push(sha, "claude/1-add", expected=None)
    sampled = log.read_bytes()
    assert b"git-receive-pack" in sampled or b"git\0push" in sampled
    assert b"remote-http" in sampled
    assert not any(seen in sampled for seen in SEEN)
    kept = [path for path in agent_home(agent_settings).rglob("*") if path.is_file()]
    assert len(kept) > 20
    assert not [path for path in kept if any(seen in path.read_bytes() for seen in SEEN)]


async def test_a_trace_that_was_switched_on_for_us_prints_no_token(
    remote: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_TRACE", "GIT_TRACE_CURL", "GIT_CURL_VERBOSE", "GIT_TRACE_CURL_NO_DATA"):
        monkeypatch.setenv(name, str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_TRACE_REDACT", "0")
    await remote.fetch("main")
    assert not (tmp_path / "trace").exists()


async def test_a_silent_remote_is_given_up(
    remote: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "REMOTE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        remote.origin = Origin(f"http://127.0.0.1:{port}/acme/adding.git", SecretStr(TOKEN))
        with pytest.raises(GitRefused, match="took longer than") as refused:
            await remote.fetch("main")
    assert refused.value.kind == "slow"
