"""The client of GitHub's log of deliveries: pages, filters, what is gone, and what is left."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from bot.clients.asking import GitHubError, Patience
from bot.clients.github import GitHub
from bot.clients.github_deliveries import DeliveryLog, cursor_of, mattering, nearly_used_up
from bot.clients.signing import Memory
from bot.vault import AppCredentials
from tests.fakes.faults import answering
from tests.fakes.github import FakeGitHub, fake_github

HURRIED = Patience(tries=2, first_seconds=0.01)
HOUR = timedelta(hours=1)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github() as github:
        yield github


@asynccontextmanager
async def opened(fake: FakeGitHub) -> AsyncIterator[DeliveryLog]:
    us = AppCredentials(app_id=fake.app_id, private_key=SecretStr(fake.private_key))
    async with GitHub(us, fake.url, patience=HURRIED, memory=Memory()) as github:
        yield DeliveryLog(github)


async def test_pages_follow_the_cursor_newest_first(fake: FakeGitHub) -> None:
    fake.log.most_per_page = 2
    made = [fake.log.add("push", {}, ago=HOUR - timedelta(minutes=n)) for n in range(5)]
    async with opened(fake) as log:
        pages = [[each.id for each in page] async for page in log.pages(failures=True)]
    newest_first = [each.id for each in reversed(made)]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert log.calls == 3


async def test_only_failures_are_listed_where_they_are_asked_for(fake: FakeGitHub) -> None:
    lost = fake.log.add("issues", {"action": "opened"}, status_code=504)
    fine = fake.log.repeat(lost, 202, ago=HOUR / 2)
    async with opened(fake) as log:
        (failures,) = [page async for page in log.pages(failures=True)]
        (everything,) = [page async for page in log.pages(failures=False)]
    assert [(each.id, each.succeeded) for each in failures] == [(lost.id, False)]
    assert [(each.id, each.succeeded, each.redelivery) for each in everything] == [
        (fine.id, True, True),
        (lost.id, False, False),
    ]
    (listed,) = failures
    assert (listed.guid, listed.event, listed.action) == (lost.guid, "issues", "opened")
    assert listed.delivered_at == lost.delivered_at


async def test_a_cursor_that_leads_nowhere_ends_the_list(fake: FakeGitHub) -> None:
    fake.log.headers = {"link": '<https://elsewhere.example.org/?cursor=>; rel="next"'}
    fake.log.add("push", {})
    async with opened(fake) as log:
        assert len([page async for page in log.pages(failures=False)]) == 1


async def test_an_attempt_is_shown_with_the_headers_that_matter(fake: FakeGitHub) -> None:
    made = fake.log.add("push", {"ref": "refs/heads/main"})
    async with opened(fake) as log:
        shown = await log.recorded(made.id)
    assert shown is not None
    assert shown.payload == {"ref": "refs/heads/main"}
    assert "x-hub-signature-256" not in shown.headers
    assert shown.headers["user-agent"] == "GitHub-Hookshot/0aa8d4f"


@pytest.mark.parametrize("request_shown", [None, {"headers": None, "payload": None}])
async def test_what_github_has_no_more_is_none(fake: FakeGitHub, request_shown: object) -> None:
    made = fake.log.add("push", {}, gone=True)
    async with opened(fake) as log:
        assert await log.recorded(made.id) is None
        assert await log.recorded(1) is None
        fake.fail(answering(200, {"id": made.id, "request": request_shown}))
        assert await log.recorded(made.id) is None


async def test_what_may_be_shown_later_is_an_error(fake: FakeGitHub) -> None:
    made = fake.log.add("push", {})
    fake.fail(answering(500, {"message": "Server Error"}), times=2)
    async with opened(fake) as log:
        with pytest.raises(GitHubError, match="500"):
            await log.recorded(made.id)


async def test_a_list_that_is_not_as_documented_is_an_error(fake: FakeGitHub) -> None:
    fake.fail(answering(200, [{"id": 1, "guid": "a\0b", "delivered_at": "yesterday"}]))
    async with opened(fake) as log:
        with pytest.raises(GitHubError, match="not as documented"):
            [page async for page in log.pages(failures=True)]


async def test_github_is_asked_to_deliver_again(fake: FakeGitHub) -> None:
    made = fake.log.add("push", {})
    async with opened(fake) as log:
        assert await log.deliver_again(made.id)
        assert not await log.deliver_again(1)
    assert fake.log.again == [made.id]


def test_of_the_next_page_only_the_cursor_is_taken() -> None:
    assert cursor_of("https://evil.example/app/hook/deliveries?per_page=1&cursor=v1_7") == "v1_7"
    assert cursor_of("https://api.github.com/app/hook/deliveries?per_page=1") is None
    assert cursor_of(None) is None


def test_headers_are_known_by_their_small_names() -> None:
    told = {"Content-Type": "application/json", "X-Hub-Signature-256": "sha256=1", "Accept": "*/*"}
    assert mattering(told) == {"content-type": "application/json"}
    assert mattering({"User-Agent": "x" * 300}) == {"user-agent": "x" * 200}


@pytest.mark.parametrize(
    ("left", "limit", "rests"),
    [("500", "5000", True), ("501", "5000", False), ("", "5000", False), ("3", "", False)],
)
def test_a_tenth_of_the_hour_is_left(left: str, limit: str, rests: bool) -> None:
    reset = str(int((datetime.now(UTC) + HOUR).timestamp()))
    told = {"x-ratelimit-remaining": left, "x-ratelimit-limit": limit, "x-ratelimit-reset": reset}
    assert (nearly_used_up(told) is not None) is rests
