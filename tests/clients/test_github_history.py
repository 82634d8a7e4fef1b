"""A repository's history, read from a fake GitHub: every part, page by page, as webhooks tell."""

from datetime import timedelta

import pytest

from bot.clients.asking import GitHubError, RateLimited
from bot.clients.github_history import (
    PARTS,
    Cost,
    History,
    HistoryPage,
    cost,
    repositories,
    repository,
)
from bot.queue import AGENT, INGEST
from handlers.github.history import PULL_REQUEST
from tests.clients.past import (
    START,
    add_commits,
    add_deployment,
    add_issue,
    add_pull,
    add_release,
    add_review,
    add_run,
    comment,
    everything,
    installed,
    person,
    rows,
    stamp,
    whole_past,
)
from tests.fakes.github_history import fake_past
from tests.handlers.recorded import decided, story

TOLD_ONLY_BY_WEBHOOKS = {
    "check_runs", "check_suites", "commits", "connection_repositories", "connections",
    "identities", "push_commits", "pushes", "refs", "repository_names", "team_members",
    "team_repositories", "teams",
}  # fmt: skip


async def test_what_is_read_makes_the_rows_that_the_recorded_webhooks_made():
    """What was deleted meanwhile cannot be read, and nobody tells who was only ever a member."""
    with fake_past() as past:
        for event, body in story():
            past.absorb(event, body)
        read = rows(await whole_past(past))
    told = {key: row for key, row in rows(story()).items() if key[0] not in TOLD_ONLY_BY_WEBHOOKS}
    missing = sorted(told.keys() - read.keys())
    assert missing == [
        ("contributors", "github:103"),
        ("deployments", "github:release:22003"),
        ("issue_comments", "github:80002"),
        ("issues", "github:70005"),
        ("issues", "github:70009"),
        ("releases", "github:22002"),
        ("review_comments", "github:81002"),
    ]
    different = [key for key in sorted(told.keys() & read.keys()) if told[key] != read[key]]
    assert different == [("organizations", "github:9001"), ("repositories", "github:5003")]
    kinds = {table for table, _ in told.keys() & read.keys()}
    assert kinds >= {
        "contributors", "deployment_statuses", "deployments", "issue_comments", "issues",
        "pull_request_heads", "pull_request_turns", "pull_requests", "releases", "repositories",
        "review_comments", "reviews", "workflow_jobs", "workflow_runs", "workflows",
    }  # fmt: skip


def lanes(told):
    """Whose jobs follow where everything is told as it happens."""
    return {job.lane for event, body in told for job in decided(event, dict(body), START).jobs}


async def test_nothing_of_the_past_is_obeyed():
    """A label or command of last month must not start the agent today."""
    with fake_past() as past:
        for event, body in story():
            past.absorb(event, body)
        told = await whole_past(past)
    assert lanes(told) == {INGEST}
    assert AGENT in lanes(story())
    assert {body.get("action") for _, body in told} == {"read"}


async def test_a_pull_request_is_read_with_all_its_commits_reviews_and_remarks():
    with fake_past() as past:
        api = past.repository()
        add_pull(api, 1)
        shas = add_commits(api, 1, 300)
        for review_id in range(1, 151):
            add_review(api, 1, review_id, remarks=130 if review_id == 12 else 1)
        async with installed(past) as github:
            history = History(github, api.repository)
            page = await history.page("pull_requests", None, since=None)
    read = rows(page.told)
    assert [key for key in read if key[0] == "pull_request_commits"] == [
        ("pull_request_commits", f"github:60001:{sha}") for sha in shas
    ]
    assert read["pull_request_commits", f"github:60001:{shas[7]}"]["headline"] == "Step 7"
    assert {key[1] for key in read if key[0] == "reviews"} == {
        f"github:{number}" for number in range(1, 151)
    }
    assert len([key for key in read if key[0] == "review_comments"]) == 149 + 130
    assert page.items == 1
    assert page.expected == 1


async def test_a_hundred_ordinary_pull_requests_take_at_most_five_requests():
    with fake_past() as past:
        api = past.repository()
        for number in range(1, 201):
            add_pull(api, number)
            add_commits(api, number, 60 if number % 40 == 0 else 3)
            add_review(api, number, number, remarks=2)
        async with installed(past) as github:
            told = await everything(History(github, api.repository), "pull_requests")
        used = past.hour("graphql").used
    read = rows(told)
    assert len([key for key in read if key[0] == "pull_requests"]) == 200
    assert len([key for key in read if key[0] == "pull_request_commits"]) == 195 * 3 + 5 * 60
    assert len(past.calls) <= 2 * 5
    assert used <= 2 * 20


async def test_pull_requests_come_newest_first_and_end_where_they_are_older():
    with fake_past() as past:
        api = past.repository()
        for number in range(1, 121):
            add_pull(api, number)
        async with installed(past) as github:
            history = History(github, api.repository)
            since = START + timedelta(minutes=41)
            first = await history.page("pull_requests", None, since=since)
            second = await history.page("pull_requests", first.next, since=since)
    numbers = [
        body["pull_request"]["number"]
        for page in (first, second)
        for event, body in page.told
        if event == "pull_request"
    ]
    assert numbers == list(range(120, 40, -1))
    assert (first.items, first.calls, first.expected) == (50, 2, 80)
    assert (second.items, second.calls, second.next) == (30, 1, None)
    assert second.expected is None


async def test_what_changed_after_the_end_of_the_window_is_left_out():
    with fake_past() as past:
        api = past.repository()
        for number in range(1, 11):
            add_pull(api, number)
        async with installed(past) as github:
            history = History(github, api.repository)
            until = START + timedelta(minutes=4)
            page = await history.page("pull_requests", None, since=None, until=until)
    assert page.items == 4


async def test_turns_and_forced_heads_are_read_from_the_timeline():
    with fake_past() as past:
        api = past.repository()
        add_pull(api, 1)
        api.timeline[1] = [
            {"type": "ConvertToDraftEvent", "at": stamp(3), "actor": person(103, "cleo")},
            {"type": "HeadRefForcePushedEvent", "at": stamp(4), "before": "e" * 40, "after": None},
            {"type": "ReadyForReviewEvent", "at": stamp(5), "actor": None},
        ]
        async with installed(past) as github:
            told = await everything(History(github, api.repository), "pull_requests")
    read = rows(told)
    turns = [(row["action"], row["at"]) for key, row in read.items() if "turns" in key[0]]
    assert turns == [
        ("converted_to_draft", START + timedelta(minutes=3)),
        ("ready_for_review", START + timedelta(minutes=5)),
    ]
    assert ("pull_request_heads", f"github:60001:{'e' * 40}") in read
    assert read["contributors", "github:103"]["login"] == "cleo"


async def test_odd_things_are_read():
    """Deleted people, gone forks, no words, emoji, and what Postgres cannot keep."""
    with fake_past() as past:
        api = past.repository()
        gone = {"ref": "patch-1", "sha": "f" * 40, "repo": None}
        add_pull(api, 1, user=None, head=gone, title="Ship it 🚀\0\ud800", body=None)
        add_pull(api, 2, user=person(501, "dependabot[bot]", "Bot"))
        add_commits(api, 1, 1)
        api.commits[1][0]["timestamp"] = "0000-00-00T00:00:00Z"
        add_review(api, 1, 9)
        api.reviews[1][9] |= {"user": None, "state": "dismissed"}
        api.remarks[9] = {5: comment(5, user=None)}
        add_issue(api, 3, comments=1, user=None, body="\0")
        add_deployment(api, 4, ("error",))
        api.deployments[4]["creator"] = api.statuses[4][401]["creator"] = None
        async with installed(past) as github:
            read = rows(await everything(History(github, api.repository)))
    pull = read["pull_requests", "github:60001"]
    assert pull["title"] == "Ship it 🚀\ufffd?"
    assert (pull["author_id"], pull["head_repository_id"]) == (None, None)
    assert read["pull_requests", "github:60002"]["cohort"] == "bots"
    assert read["pull_requests", "github:60002"]["author_login"] == "dependabot[bot]"
    assert read["pull_request_commits", f"github:60001:{1000:040x}"]["authored_at"].year == 1970
    assert read["reviews", "github:9"]["state"] == "dismissed"
    assert read["review_comments", "github:5"]["author_id"] is None
    assert read["deployment_statuses", "github:401"]["state"] == "error"


async def test_deployments_come_with_all_their_statuses():
    with fake_past() as past:
        api = past.repository()
        for number in range(1, 71):
            add_deployment(api, number, ("queued", "in_progress", "success", "inactive"))
        async with installed(past) as github:
            history = History(github, api.repository)
            first = await history.page("deployments", None, since=None)
            second = await history.page("deployments", first.next, since=None)
    read = rows([*first.told, *second.told])
    assert len([key for key in read if key[0] == "deployments"]) == 70
    assert {row["state"] for key, row in read.items() if key[0] == "deployment_statuses"} == {
        "success",
        "inactive",
    }
    assert (first.items, first.calls) == (50, 51)
    assert (second.items, second.calls, second.next) == (20, 21, None)


async def test_a_deployment_is_read_again_when_it_finished_later():
    with fake_past() as past:
        api = past.repository()
        add_deployment(api, 1, ("success",))
        add_deployment(api, 2, ("success",))
        api.deployments[1]["updated_at"] = stamp(90)
        async with installed(past) as github:
            told = await everything(
                History(github, api.repository), "deployments", since=START + timedelta(hours=1)
            )
    assert [body["deployment"]["id"] for event, body in told if event == "deployment"] == [1]


async def test_a_run_comes_with_every_attempt_and_all_their_jobs():
    with fake_past() as past:
        api = past.repository()
        add_run(api, 7, attempts=3)
        async with installed(past) as github:
            told = await everything(History(github, api.repository), "workflow_runs")
    read = rows(told)
    assert {key for key in read if key[0].startswith("workflow_")} == {
        *(("workflow_runs", f"github:7/{attempt}") for attempt in (1, 2, 3)),
        *(("workflow_jobs", f"github:{job}") for job in (71, 72, 73)),
    }
    assert read["workflow_runs", "github:7/1"]["conclusion"] == "failure"
    assert read["workflows", "github:30001"]["path"] == ".github/workflows/ci.yml"


async def test_more_runs_are_read_than_a_search_finds():
    """More than fit on one page were made within one second."""
    with fake_past() as past:
        api = past.repository()
        for number in range(1, 1102):
            add_run(api, number, at=stamp(300) if 300 <= number < 420 else "")
        past.hour("core").limit = 50_000
        async with installed(past) as github:
            told = await everything(History(github, api.repository), "workflow_runs")
    ids = [body["workflow_run"]["id"] for event, body in told if event == "workflow_run"]
    assert sorted(ids) == list(range(1, 1102))
    created = [body["workflow_run"]["created_at"] for e, body in told if e == "workflow_run"]
    assert created == sorted(created, reverse=True)


async def test_how_many_runs_there_are_to_read_is_told_with_the_first_page():
    with fake_past() as past:
        api = past.repository()
        for number in range(1, 81):
            add_run(api, number)
        async with installed(past) as github:
            history = History(github, api.repository)
            since = START + timedelta(minutes=21)
            page = await history.page("workflow_runs", None, since=since)
            more = await history.page("workflow_runs", page.next, since=since)
            every = await history.page("workflow_runs", None, since=None)
    assert (page.expected, more.expected, every.expected) == (60, None, 80)


async def test_a_run_of_before_is_read_again_when_it_was_run_again():
    with fake_past() as past:
        api = past.repository()
        for number in (1, 2):
            add_run(api, number)
        api.runs[1][1]["updated_at"] = stamp(90)
        async with installed(past) as github:
            since = START + timedelta(hours=1)
            told = await everything(History(github, api.repository), "workflow_runs", since=since)
    assert [body["workflow_run"]["id"] for event, body in told if event == "workflow_run"] == [1]


async def test_a_run_that_webhooks_told_of_whole_costs_no_more_requests():
    asked: list[str] = []

    async def known(ids):
        asked.extend(ids)
        return {"github:7/2"}

    with fake_past() as past:
        api = past.repository()
        add_run(api, 7, attempts=2)
        add_run(api, 8)
        add_run(api, 9)
        api.runs[9][1]["status"] = "in_progress"
        async with installed(past) as github:
            history = History(github, api.repository, known_runs=known)
            page = await history.page("workflow_runs", None, since=None)
    assert asked == ["github:8/1", "github:7/2"]
    assert sorted(line for line in past.calls if "/jobs" in line or "/attempts" in line) == [
        "GET /repos/acme/api/actions/runs/8/jobs page=1",
        "GET /repos/acme/api/actions/runs/9/jobs page=1",
    ]
    assert len([key for key in rows(page.told) if key[0] == "workflow_runs"]) == 3


async def test_what_is_gone_between_two_requests_is_left_out():
    with fake_past() as past:
        api = past.repository()
        add_run(api, 7, attempts=2)
        del api.runs[7][1]
        async with installed(past) as github:
            told = await everything(History(github, api.repository), "workflow_runs")
    assert [event for event, _ in told] == ["workflow_run", "workflow_job", "workflow_job"]


async def test_issues_come_with_comments_and_so_do_pull_requests():
    with fake_past() as past:
        api = past.repository()
        add_issue(api, 1, comments=150)
        add_issue(api, 2, state="closed", closed_at=stamp(9))
        add_pull(api, 3)
        api.comments[3] = {5: comment(5)}
        api.issues[3] = {"id": 70_003, "number": 3, "updated_at": stamp(3), "pull_request": {}}
        async with installed(past) as github:
            history = History(github, api.repository)
            page = await history.page("issues", None, since=None)
    read = rows(page.told)
    assert {key for key in read if key[0] == "issues"} == {
        ("issues", "github:70001"),
        ("issues", "github:70002"),
    }
    assert len([key for key in read if key[0] == "issue_comments"]) == 151
    assert read["issue_comments", "github:5"]["issue_id"] == "github:70003"
    assert page.calls == 3


async def test_releases_of_every_kind_are_read():
    with fake_past() as past:
        api = past.repository()
        add_release(api, 1)
        add_release(api, 2, draft=True, published_at=None)
        add_release(api, 3, prerelease=True)
        async with installed(past) as github:
            read = rows(await everything(History(github, api.repository), "releases"))
    assert [key[1] for key in read if key[0] == "deployments"] == ["github:release:1"]
    assert [row["draft"] for key, row in read.items() if key[0] == "releases"] == [
        False,
        True,
        False,
    ]


async def test_an_unchanged_list_costs_nothing():
    with fake_past() as past:
        api = past.repository()
        for add in (add_pull, add_issue, add_run, add_release):
            add(api, 1)
        add_deployment(api, 2, ("success",))
        async with installed(past) as github:
            before = History(github, api.repository)
            await everything(before)
            used = (past.hour("core").used, past.hour("graphql").used)
            spent = github.github.memory.spendings
            ours = {name: each.ours for name, each in spent.items()}
            again = History(github, api.repository, before.etags)
            pages = [await again.page(part, None, since=None) for part in PARTS]
            assert pages == [HistoryPage((), 0, None, 1, unchanged=True)] * len(PARTS)
            assert (past.hour("core").used, past.hour("graphql").used) == used
            assert past.unchanged == len(PARTS)
            assert {name: each.ours for name, each in spent.items()} == ours
            api.pulls[1]["updated_at"] = stamp(99)
            page = await again.page("pull_requests", None, since=None)
    assert page.items == 1
    assert again.etags != before.etags


async def test_repositories_are_read_with_whom_reaches_them():
    with fake_past() as past:
        for number in range(1, 104):
            past.repository(f"acme/{number}")
        async with installed(past) as github:
            first = await repositories(github)
            second = await repositories(github, first.next)
    read = rows([*first.told, *second.told])
    for table in ("repositories", "connection_repositories"):
        assert len([key for key in read if key[0] == table]) == 103
    assert read["connections", "github:installation:42"]["state"] == "active"
    assert (first.items, first.calls, first.expected) == (100, 2, 103)
    assert (second.items, second.next) == (3, None)


async def test_the_cost_is_known_beforehand():
    with fake_past() as past:
        api = past.repository()
        for number in range(1, 61):
            add_pull(api, number)
            add_run(api, number)
        add_issue(api, 61)
        add_deployment(api, 62, ("success",))
        add_release(api, 63)
        async with installed(past) as github:
            everything_ = await cost(github, "acme/api", None)
            late = await cost(github, "acme/api", START + timedelta(minutes=51))
    assert everything_ == Cost(60, 60, 1, 1, 1, calls=5 + 63 + 2 + 1 + 2)
    assert (late.pull_requests, late.runs) == (10, 10)
    assert (late.issues, late.deployments, late.releases) == (1, 1, 1)
    assert len(past.calls) == 4


async def test_an_unknown_repository_is_said_to_be_unknown():
    with fake_past() as past:
        past.repository()
        async with installed(past) as github:
            with pytest.raises(GitHubError, match="no repository acme/gone") as refused:
                await cost(github, "acme/gone", None)
            with pytest.raises(GitHubError) as missing:
                await repository(github, "acme/gone")
    assert (refused.value.status, missing.value.status) == (404, 404)


@pytest.mark.parametrize(
    ("part", "permission"),
    [
        ("pull_requests", "pull_requests"),
        ("deployments", "deployments"),
        ("workflow_runs", "actions"),
        ("releases", "contents"),
        ("issues", "issues"),
    ],
)
async def test_a_missing_permission_is_named(part: str, permission: str):
    with fake_past() as past:
        api = past.repository()
        add_pull(api, 1)
        del past.github.permissions[42][permission]
        async with installed(past) as github:
            history = History(github, api.repository)
            with pytest.raises(GitHubError, match=f"{permission}: read") as refused:
                await history.page(part, None, since=None)
    assert refused.value.status == 403
    assert not isinstance(refused.value, RateLimited)


def test_what_only_the_api_tells_is_not_told_by_webhooks():
    assert PULL_REQUEST not in {event for event, _ in story()}
