import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from bot.clients.github import (
    GitHub,
    GitHubError,
    Installation,
    Patience,
    RateLimited,
    convert_manifest,
)
from bot.clients.signing import Memory
from bot.vault import AppCredentials
from tests.fakes import faults
from tests.fakes.github import FakeCommit, FakeGitHub, app_key, fake_github, pem

HURRIED = Patience(tries=3, first_seconds=0.01, longest_seconds=0.02, limit_seconds=1.5)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github() as github:
        yield github


def credentials(fake: FakeGitHub) -> AppCredentials:
    return AppCredentials(app_id=fake.app_id, private_key=SecretStr(fake.private_key))


@asynccontextmanager
async def installed(
    fake: FakeGitHub, number: int = 42, memory: Memory | None = None
) -> AsyncIterator[Installation]:
    memory = Memory() if memory is None else memory
    async with GitHub(credentials(fake), fake.url, patience=HURRIED, memory=memory) as github:
        yield github.installation(number)


def line(fake: FakeGitHub, count: int) -> list[str]:
    shas = [f"{number:040x}" for number in range(count)]
    fake.repository("acme/api").line(*shas)
    return shas


async def test_a_comparison_lists_what_head_has_and_base_has_not(fake: FakeGitHub) -> None:
    api = fake.repository("acme/api")
    api.line("a", "b", "c")
    api.add(FakeCommit("d", ("c", "b"), "Merge\n\nbody", author_login=None, author_name="Bo"))
    async with installed(fake) as github:
        compared = await github.compare("acme/api", "a", "d")
    assert compared.status == "ahead"
    assert compared.shas == ("b", "c", "d")
    assert compared.complete
    last = compared.commits[-1]
    assert (last.headline, last.parents) == ("Merge", ("c", "b"))
    assert (last.author_login, last.author_name) == (None, "Bo")
    assert last.authored_at == datetime(2026, 9, 1, 12, tzinfo=UTC)
    assert fake.requests == [
        "POST /app/installations/42/access_tokens",
        "GET /repos/acme/api/compare/a...d page=1",
    ]


@pytest.mark.parametrize(
    ("base", "head", "status", "shas"),
    [
        ("a", "a", "identical", ()),
        ("b", "a", "behind", ()),
        ("b", "x", "diverged", ("x",)),
        ("a", "nowhere", "unknown", ()),
        ("a", "orphan", "unknown", ()),
    ],
)
async def test_a_comparison_says_how_two_commits_stand(
    fake: FakeGitHub, base: str, head: str, status: str, shas: tuple[str, ...]
) -> None:
    api = fake.repository("acme/api")
    api.line("a", "b")
    api.add(FakeCommit("x", ("a",)), FakeCommit("orphan"))
    async with installed(fake) as github:
        compared = await github.compare("acme/api", base, head)
    assert (compared.status, compared.shas) == (status, shas)


@pytest.mark.parametrize(("most_per_page", "pages"), [(250, 3), (100, 6)])
async def test_a_long_comparison_is_read_page_by_page(
    fake: FakeGitHub, most_per_page: int, pages: int
) -> None:
    fake.most_per_page = most_per_page
    shas = line(fake, 601)
    async with installed(fake) as github:
        compared = await github.compare("acme/api", shas[0], shas[-1])
    assert compared.shas == tuple(shas[1:])
    assert compared.complete
    assert len(fake.asked("/compare/")) == pages


@pytest.mark.parametrize(("count", "kept", "complete"), [(5001, 5000, True), (5002, 5000, False)])
async def test_a_comparison_ends_at_5000_commits(
    fake: FakeGitHub, count: int, kept: int, complete: bool
) -> None:
    shas = line(fake, count)
    async with installed(fake) as github:
        compared = await github.compare("acme/api", shas[0], shas[-1])
    assert len(compared.shas) == kept
    assert compared.shas[0] == shas[1]
    assert compared.complete is complete
    assert len(fake.asked("/compare/")) == 20


async def test_a_server_that_knows_no_pages_is_not_asked_for_ever(fake: FakeGitHub) -> None:
    body = {"status": "ahead", "total_commits": 9, "commits": [{"sha": "b", "commit": {}}]}
    fake.fail(faults.answering(200, body), on="/compare/", times=99)
    async with installed(fake) as github:
        compared = await github.compare("acme/api", "a", "z")
    assert (compared.shas, compared.complete) == (("b",), False)
    assert len(fake.asked("/compare/")) == 2


async def test_a_date_beyond_the_calendar_does_not_cost_the_answer(fake: FakeGitHub) -> None:
    api = fake.repository("acme/api")
    api.line("a")
    api.add(FakeCommit("b", ("a",), "nul \0 and \ud800", authored_at="99999-01-01T00:00:00Z"))
    async with installed(fake) as github:
        compared = await github.compare("acme/api", "a", "b")
    assert compared.commits[0].authored_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert compared.commits[0].headline == "nul  and ?"


async def test_a_renamed_repository_is_followed(fake: FakeGitHub) -> None:
    fake.repository("acme/new").line("a", "b")
    fake.renamed["acme/old"] = "acme/new"
    async with installed(fake) as github:
        assert (await github.compare("acme/old", "a", "b")).shas == ("b",)


async def test_a_pull_request_lists_250_commits_at_most(fake: FakeGitHub) -> None:
    shas = line(fake, 300)
    fake.repository("acme/api").pull_requests[5] = shas
    async with installed(fake) as github:
        listed = await github.pull_request_commits("acme/api", 5)
    assert [commit.sha for commit in listed] == shas[:250]
    assert len(fake.asked("/pulls/5/commits")) == 3


async def test_an_unknown_pull_request_is_an_error_in_words(fake: FakeGitHub) -> None:
    fake.repository("acme/api")
    async with installed(fake) as github:
        with pytest.raises(GitHubError, match=r"/pulls/9/commits with 404: Not Found") as error:
            await github.pull_request_commits("acme/api", 9)
    assert (error.value.status, error.value.passing) == (404, False)


@pytest.mark.parametrize(
    "fault",
    [faults.bad_gateway(), faults.truncated(), faults.half_json(), faults.dropped()],
    ids=["bad_gateway", "truncated", "half_json", "dropped"],
)
async def test_what_passes_is_asked_again(fake: FakeGitHub, fault: ASGIApp) -> None:
    fake.repository("acme/api").line("a", "b")
    fake.fail(fault, on="/compare/", times=2)
    async with installed(fake) as github:
        assert (await github.compare("acme/api", "a", "b")).shas == ("b",)
    assert len(fake.asked("/compare/")) == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.bad_gateway(), "502"),
        (faults.dropped(), "could not be reached"),
        (faults.half_json(), "no JSON"),
    ],
)
async def test_what_does_not_pass_is_an_error(fake: FakeGitHub, fault: ASGIApp, said: str) -> None:
    fake.fail(fault, on="/compare/", times=99)
    async with installed(fake) as github:
        with pytest.raises(GitHubError, match=said) as error:
            await github.compare("acme/api", "a", "b")
    assert error.value.passing
    assert len(fake.asked("/compare/")) == HURRIED.tries


async def test_an_answer_of_another_shape_is_an_error_that_names_the_field(
    fake: FakeGitHub,
) -> None:
    fake.fail(faults.answering(200, {"status": "ahead", "commits": [{}]}), on="/compare/")
    async with installed(fake) as github:
        with pytest.raises(GitHubError, match=r"total_commits, commits\.0\.sha"):
            await github.compare("acme/api", "a", "b")


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (faults.too_many_requests(90), 90),
        (faults.secondary_limit(30), 30),
        (faults.secondary_limit(), 60),
        (faults.limit_used_up(1800), 1800),
        (faults.too_many_requests(10**12), 7200),
        (faults.answering(503, {"message": "Busy"}, {"retry-after": "40"}), 40),
    ],
)
async def test_a_long_limit_is_put_off_not_waited_for(
    fake: FakeGitHub, fault: ASGIApp, seconds: int
) -> None:
    fake.repository("acme/api").line("a", "b")
    fake.fail(fault, on="/compare/")
    async with installed(fake) as github:
        with pytest.raises(RateLimited) as limited:
            await github.compare("acme/api", "a", "b")
        wait = limited.value.until - datetime.now(UTC)
        assert wait.total_seconds() == pytest.approx(seconds, abs=3)
        with pytest.raises(RateLimited):
            await github.compare("acme/api", "a", "b")
    assert len(fake.asked("/compare/")) == 1


async def test_a_limit_holds_for_one_installation_only(fake: FakeGitHub) -> None:
    fake.repository("acme/api").line("a", "b")
    fake.permissions[43] = fake.permissions[42]
    fake.fail(faults.too_many_requests(90), on="/compare/")
    async with installed(fake) as github:
        with pytest.raises(RateLimited):
            await github.compare("acme/api", "a", "b")
        other = github.github.installation(43)
        assert (await other.compare("acme/api", "a", "b")).shas == ("b",)


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_short_limit_is_waited_for(fake: FakeGitHub, seconds: int) -> None:
    fake.repository("acme/api").line("a", "b")
    fake.fail(faults.too_many_requests(seconds), on="/compare/")
    async with installed(fake) as github:
        started = asyncio.get_running_loop().time()
        assert (await github.compare("acme/api", "a", "b")).shas == ("b",)
        assert asyncio.get_running_loop().time() - started >= seconds * 0.95
    assert len(fake.asked("/compare/")) == 2


async def test_the_last_answer_of_an_hour_is_read_and_the_next_not_asked(fake: FakeGitHub) -> None:
    shas = line(fake, 400)
    async with installed(fake) as github:
        await github.compare("acme/api", shas[0], shas[1])
        fake.last_answer = faults.used_up(600)
        assert (await github.compare("acme/api", shas[0], shas[2])).complete
        with pytest.raises(RateLimited):
            await github.compare("acme/api", shas[0], shas[3])
    assert len(fake.asked("/compare/")) == 2


async def test_a_missing_permission_is_named(fake: FakeGitHub) -> None:
    fake.repository("acme/api").line("a", "b")
    fake.permissions[42] = {"metadata": "read"}
    async with installed(fake) as github:
        with pytest.raises(GitHubError, match="needs the permission contents: read") as error:
            await github.compare("acme/api", "a", "b")
    assert error.value.status == 403
    assert len(fake.asked("/compare/")) == 1


async def test_a_token_is_kept_while_it_lasts_even_by_the_next_client(fake: FakeGitHub) -> None:
    fake.repository("acme/api").line("a", "b")
    memory = Memory()
    for _ in range(2):
        async with installed(fake, memory=memory) as github:
            await asyncio.gather(*(github.compare("acme/api", "a", "b") for _ in range(5)))
    assert len(fake.asked("access_tokens")) == 1
    assert len(fake.asked("/compare/")) == 10


async def test_a_token_is_renewed_before_it_expires(fake: FakeGitHub) -> None:
    fake.repository("acme/api").line("a", "b")
    fake.token_lasts = timedelta(seconds=100)
    async with installed(fake) as github:
        await github.compare("acme/api", "a", "b")
        await github.compare("acme/api", "a", "b")
    assert len(fake.asked("access_tokens")) == 2


async def test_a_revoked_token_is_renewed(fake: FakeGitHub) -> None:
    fake.repository("acme/api").line("a", "b")
    async with installed(fake) as github:
        await github.compare("acme/api", "a", "b")
        fake.tokens.clear()
        assert (await github.compare("acme/api", "a", "b")).shas == ("b",)
    assert len(fake.asked("access_tokens")) == 2


@pytest.mark.parametrize(
    "expires_at",
    ["%Y-%m-%dT%H:%M:%S.123Z", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%d %H:%M:%S", "tomorrow"],
)
async def test_any_spelling_of_expires_at_is_read(fake: FakeGitHub, expires_at: str) -> None:
    fake.repository("acme/api").line("a", "b")
    fake.expires_at = expires_at
    async with installed(fake) as github:
        await github.compare("acme/api", "a", "b")
        await github.compare("acme/api", "a", "b")
    assert len(fake.asked("access_tokens")) == 1


async def test_an_installation_that_is_gone_says_so(fake: FakeGitHub) -> None:
    async with installed(fake, 1) as github:
        with pytest.raises(GitHubError, match="knows no installation 1"):
            await github.compare("acme/api", "a", "b")


async def test_the_app_tells_of_itself_and_what_is_granted(fake: FakeGitHub) -> None:
    async with GitHub(credentials(fake), fake.url, memory=Memory()) as github:
        app = await github.app()
        granted = await github.installation_permissions(42)
    assert (app.id, app.slug, app.events) == (7, "veelocity", ("push",))
    assert granted == fake.permissions[42]


async def test_a_wrong_private_key_is_refused(fake: FakeGitHub) -> None:
    other = AppCredentials(app_id=7, private_key=SecretStr(pem(app_key(2))))
    async with GitHub(other, fake.url, memory=Memory()) as github:
        with pytest.raises(GitHubError, match="401: A JSON web token could not be decoded"):
            await github.app()
    assert fake.requests == ["GET /app"]


async def test_an_unreadable_private_key_is_named(fake: FakeGitHub) -> None:
    other = AppCredentials(app_id=7, private_key=SecretStr("BEGIN nothing"))
    async with GitHub(other, fake.url, memory=Memory()) as github:
        with pytest.raises(GitHubError, match="private key is not a readable PEM"):
            await github.app()
    assert fake.requests == []


async def test_one_client_serves_tasks_that_were_there_before_it(fake: FakeGitHub) -> None:
    fake.repository("acme/api").line("a", "b")
    ready, done = asyncio.Event(), asyncio.Event()
    found: list[Installation] = []

    async def earlier() -> tuple[str, ...]:
        await ready.wait()
        compared = await found[0].compare("acme/api", "a", "b")
        done.set()
        return compared.shas

    task = asyncio.create_task(earlier())
    async with installed(fake) as github:
        found.append(github)
        ready.set()
        await done.wait()
    assert await task == ("b",)


async def test_a_manifest_is_converted_once(fake: FakeGitHub) -> None:
    fake.manifests.add("code-1")
    made = await convert_manifest("code-1", fake.url)
    assert (made.id, made.slug) == (99, "veelocity-acme")
    with pytest.raises(GitHubError, match="404") as error:
        await convert_manifest("code-1", fake.url)
    assert "code-1" not in str(error.value)


async def test_a_lost_conversion_is_not_tried_again(fake: FakeGitHub) -> None:
    fake.fail(faults.dropped(), times=9)
    with pytest.raises(GitHubError, match="could not be reached"):
        await convert_manifest("code-1", fake.url)
    assert len(fake.requests) == 1


async def test_no_secret_is_logged_or_raised(
    fake: FakeGitHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.repository("acme/api").line("a", "b")
    fake.manifests.add("code-secret")
    fake.fail(faults.bad_gateway(), on="/compare/")
    with capture_logs() as told:
        async with installed(fake) as github:
            await github.compare("acme/api", "a", "b")
            shown = [repr(github.github.memory), repr(github.github.credentials)]
            fake.fail(faults.dropped(), on="/pulls/", times=9)
            with pytest.raises(GitHubError) as error:
                await github.pull_request_commits("acme/api", 1)
        await convert_manifest("code-secret", fake.url)
    ours = [record for record in caplog.records if not record.name.startswith("uvicorn")]
    assert any(record.name.startswith("httpcore") for record in ours)
    shown += [
        *(record.getMessage() for record in ours),
        str(told),
        repr(error.value),
        repr(error.value.__cause__),
    ]
    assert any(entry["event"] == "github_asked" for entry in told)
    everything = "\n".join(shown)
    assert not re.search(r"ghs_|PRIVATE KEY|eyJ|code-secret|hook-secret|client-secret", everything)
