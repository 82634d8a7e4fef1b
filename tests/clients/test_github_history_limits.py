"""What history is read within: GitHub's limits, our share of them, and what breaks on the way."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot.clients.asking import GitHubError, RateLimited
from bot.clients.github_history import PARTS, History
from bot.clients.github_reading import graphql_url
from bot.clients.signing import Memory
from bot.clients.spending import Spending
from tests.clients.past import (
    add_commits,
    add_deployment,
    add_issue,
    add_pull,
    add_release,
    add_review,
    add_run,
    everything,
    installed,
    rows,
)
from tests.fakes import faults
from tests.fakes.github_history import FakePast, fake_past

PASSING = {
    "a 502": faults.bad_gateway,
    "half an answer": faults.truncated,
    "half a document": faults.half_json,
    "a connection that closes": faults.dropped,
}


def filled(past: FakePast) -> FakePast:
    """Put a little of everything into a past."""
    api = past.repository()
    for number in range(1, 61):
        add_pull(api, number)
        add_commits(api, number, 60 if number == 7 else 2)
        add_review(api, number, number, remarks=1)
    for number in range(101, 111):
        add_run(api, number, attempts=2)
        add_deployment(api, number, ("queued", "success"))
        add_issue(api, number, comments=2)
        add_release(api, number)
    return past


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_whatever_breaks_once_in_a_while_leaves_the_same_rows(fault):
    with fake_past() as past:
        filled(past)
        async with installed(past) as github:
            expected = rows(await everything(History(github, past.repository().repository)))
            for on in ("/graphql", "/statuses", "/jobs", "/releases", "/issues", "/runs"):
                past.github.fail(fault(), on=on, times=2)
            read = rows(await everything(History(github, past.repository().repository)))
        assert all(each.times == 0 for each in past.github.faults)
    assert read == expected


async def test_less_is_asked_for_where_a_page_is_too_much():
    """GitHub gives up on pages of more than six; afterwards more is asked for again."""
    sizes: list[int] = []
    with fake_past() as past:
        api = filled(past).repository()
        async with installed(past) as github:
            history = History(github, api.repository)
            reader = history.past.reader
            asked = reader.graph

            async def patiently(what, query, **variables):
                sizes.append(variables.get("first", 0))
                if variables.get("first", 0) > 6:
                    raise GitHubError(502, "too much")
                return await asked(what, query, **variables)

            reader.graph = patiently
            told = await everything(history, "pull_requests")
    assert len([key for key in rows(told) if key[0] == "pull_requests"]) == 60
    assert sizes[:4] == [50, 25, 12, 6]
    assert max(sizes[4:]) == 12


async def test_what_never_ends_well_is_given_up():
    with fake_past() as past:
        api = filled(past).repository()
        past.github.fail(faults.bad_gateway(), on="/graphql", times=1000)
        async with installed(past) as github:
            history = History(github, api.repository)
            with pytest.raises(GitHubError, match="502") as refused:
                await history.page("pull_requests", None, since=None)
    assert refused.value.passing
    assert len([line for line in past.calls if "graphql" in line]) == 9


TROUBLE = {
    "a query that took too long": {"data": None, "errors": [{"message": "Something went wrong"}]},
    "a page with a hole": {
        "data": {"repository": {"pullRequests": {"nodes": [None]}}},
        "errors": [{"type": "SERVICE_UNAVAILABLE", "path": ["repository"], "message": "Sorry"}],
    },
    "an answer that is none": [],
}


@pytest.mark.parametrize("body", TROUBLE.values(), ids=TROUBLE)
async def test_an_error_in_a_good_answer_is_asked_again(body):
    with fake_past() as past:
        api = filled(past).repository()
        past.github.fail(faults.answering(200, body), on="/graphql")
        async with installed(past) as github:
            told = await everything(History(github, api.repository), "pull_requests")
    assert len([key for key in rows(told) if key[0] == "pull_requests"]) == 60


async def test_what_may_not_be_seen_is_left_out_and_the_rest_is_read():
    """A fork in a foreign organisation is hidden from us; its pull request is not."""
    hidden = {"type": "FORBIDDEN", "path": ["repository"], "message": "Resource not accessible"}
    listed = {"nodes": [None], "pageInfo": {"hasNextPage": False}, "totalCount": 1}
    body = {"data": {"repository": {"pullRequests": listed}}, "errors": [hidden]}
    with fake_past() as past:
        api = filled(past).repository()
        past.github.fail(faults.answering(200, body), on="/graphql")
        async with installed(past) as github:
            page = await History(github, api.repository).page("pull_requests", None, since=None)
    assert (page.told, page.next) == ([], None)


LIMITS = {
    "used up": lambda: faults.limit_used_up(600),
    "secondary": lambda: faults.secondary_limit(60),
    "secondary without a time": faults.secondary_limit,
    "too many": lambda: faults.too_many_requests(60),
}


@pytest.mark.parametrize("fault", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize(
    ("part", "on"),
    [("pull_requests", "/graphql"), ("deployments", "/statuses"), ("workflow_runs", "/jobs")],
)
async def test_a_limit_is_obeyed_and_the_same_page_can_be_asked_for_later(fault, part, on):
    with fake_past() as past:
        api = filled(past).repository()
        past.github.fail(fault(), on=on)
        memory = Memory()
        async with installed(past, memory) as github:
            history = History(github, api.repository)
            with pytest.raises(RateLimited) as limited:
                await history.page(part, None, since=None)
            asked = len(past.calls)
            with pytest.raises(RateLimited):
                await history.page(part, None, since=None)
            assert len([line for line in past.calls[asked:] if on in line]) == 0
            memory.limits.clear()
            assert await history.page(part, None, since=None)
    assert limited.value.until > datetime.now(UTC) + timedelta(seconds=50)


async def test_a_spent_limit_of_graphql_is_told_in_a_good_answer():
    with fake_past() as past:
        api = filled(past).repository()
        past.hour("graphql").used = 5000
        async with installed(past) as github:
            history = History(github, api.repository, most_of_limit=1.0)
            with pytest.raises(RateLimited) as limited:
                await history.page("pull_requests", None, since=None)
            assert await history.page("releases", None, since=None)
    assert limited.value.until > datetime.now(UTC) + timedelta(minutes=50)


async def test_at_most_a_quarter_of_the_limit_is_spent():
    with fake_past() as past:
        api = filled(past).repository()
        past.hour("core").limit = 100
        memory = Memory()
        async with installed(past, memory) as github:
            for _ in range(25):
                await History(github, api.repository).page("releases", None, since=None)
            with pytest.raises(RateLimited) as limited:
                await History(github, api.repository).page("issues", None, since=None)
            ours = [line for line in past.calls if "/releases" in line]
            assert len(ours) == 25
            assert limited.value.until > datetime.now(UTC) + timedelta(minutes=50)
            more = History(github, api.repository, most_of_limit=0.5)
            assert await more.page("releases", None, since=None)


async def test_the_last_fifth_of_the_limit_is_for_others_unless_all_is_given():
    with fake_past() as past:
        api = filled(past).repository()
        past.hour("core").used = 4001
        async with installed(past) as github:
            history = History(github, api.repository)
            await history.page("releases", None, since=None)
            with pytest.raises(RateLimited):
                await history.page("releases", None, since=None)
            everything_ = History(github, api.repository, most_of_limit=1.0)
            assert await everything_.page("releases", None, since=None)


def test_a_new_hour_begins_with_nothing_spent():
    spending, now = Spending(), datetime.now(UTC).timestamp()
    told = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "90"}
    spending.note(told | {"x-ratelimit-reset": str(int(now + 600))}, 30)
    assert spending.until(0.25)
    assert spending.until(0.5) is None
    spending.note(told | {"x-ratelimit-reset": str(int(now + 601))}, 30)
    assert spending.until(0.5)
    spending.note(told | {"x-ratelimit-reset": str(int(now + 4200))}, 1)
    assert spending.until(0.25) is None
    spending.resets_at = datetime.now(UTC) - timedelta(seconds=1)
    spending.ours = 100
    assert spending.until(0.25) is None


def test_an_answer_without_limits_is_not_counted():
    spending = Spending()
    spending.note({"x-ratelimit-reset": "soon"}, 5)
    assert spending == Spending()


async def test_whoever_is_told_to_stop_leaves_nothing_running():
    with fake_past() as past:
        api = filled(past).repository()
        async with installed(past) as github:
            history = History(github, api.repository)
            reading = asyncio.ensure_future(history.page("workflow_runs", None, since=None))
            async with asyncio.timeout(20):
                while not past.github.asked("/jobs"):  # noqa: ASYNC110 - the fake has no event
                    await asyncio.sleep(0.001)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_where_one_of_many_requests_is_refused_the_others_are_given_up():
    with fake_past() as past:
        api = filled(past).repository()
        past.github.fail(faults.answering(403, {"message": "No."}), on="/jobs")
        async with installed(past) as github:
            with pytest.raises(GitHubError, match="No"):
                await History(github, api.repository).page("workflow_runs", None, since=None)
            assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(past.github.asked("/jobs")) < len(api.runs)


@pytest.mark.parametrize("part", PARTS)
async def test_a_page_can_be_asked_for_again_and_tells_the_same(part: str):
    """Whoever is killed between two pages goes on from the cursor of the first."""
    with fake_past() as past:
        api = filled(past).repository()
        for number in range(200, 320):
            add_run(api, number)
        async with installed(past) as github:
            first = await History(github, api.repository).page(part, None, since=None)
            again = await History(github, api.repository).page(part, None, since=None)
            assert first == again
            if first.next:
                second = await History(github, api.repository).page(part, first.next, since=None)
                assert not set(rows(second.told)) & things(first.told)


def things(told) -> set[tuple[str, str]]:
    shared = {"contributors", "repositories", "workflows"}
    return {key for key in rows(told) if key[0] not in shared}


def test_an_enterprise_server_has_graphql_beside_its_rest_api():
    assert graphql_url("https://ghe.acme.example/api/v3") == "https://ghe.acme.example/api/graphql"
    assert graphql_url("https://api.github.com") == "/graphql"
