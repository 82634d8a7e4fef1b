"""`develop` in Slack: an issue becomes a ticket, and a run is queued for whoever asked."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bot.settings import Settings
from bot.web.accounts import create_user
from tests.chat.conftest import Chat
from tests.fakes.github import FakeGitHub, fake_github
from tests.fakes.github_told import installed, opened, settings_for
from tests.fakes.slack import FakeSlack
from tests.rig import rig_of


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with fake_github(writes=True) as fake:
        yield fake


@pytest.fixture
async def desk(
    github: FakeGitHub, slack: FakeSlack, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Chat]:
    api = github.repository("acme/api")
    told = settings_for(github, settings).model_copy(update={"slack_api_url": slack.url})
    async with rig_of(told) as rig:
        chat = Chat(rig, slack)
        for event, payload in (installed(api), opened(api, api.issue())):
            await rig.deliver(event, payload)
        await rig.settle()
        await rig.connect_slack(token=slack.token)
        async with chat.surroundings.engine.begin() as db:
            for role in ("viewer", "manager"):
                email = f"{role}@example.org"
                user = await create_user(db, email, organization="acme", role=role)
                chat.users[role] = user.id
        yield chat


async def test_an_issue_becomes_a_ticket_and_a_run_for_whoever_asked(
    desk: Chat, github: FakeGitHub
) -> None:
    issue = github.repositories["acme/api"].issue("Round half to even", "Banks do.")
    told = await desk.words("manager", f"develop api#{issue.number}")
    assert f"#{issue.number} is queued as run 1." in told
    assert "/agent/runs/1|" in told
    tickets = await desk.rig.ask("select source, status, requested_by_id, title from tickets")
    assert [tuple(row.values()) for row in tickets] == [
        ("slack", "open", desk.users["manager"], "Round half to even")
    ]
    runs = await desk.rig.ask("select kind, state, requested_by_id from runs")
    assert [tuple(row.values()) for row in runs] == [("develop", "queued", desk.users["manager"])]
    audited = await desk.rig.ask("select action, user_id from audit_log")
    assert {"action": "develop_ticket", "user_id": desk.users["manager"]} in audited


async def test_a_second_wish_queues_no_second_run(desk: Chat, github: FakeGitHub) -> None:
    issue = github.repositories["acme/api"].issue()
    await desk.said("manager", f"develop acme/api#{issue.number} --share")
    told = await desk.said("manager", f"develop acme/api#{issue.number} --share")
    assert "is waiting or at work already" in told["text"]
    assert told["response_type"] == "ephemeral"
    assert len(await desk.rig.ask("select * from runs")) == 1


async def test_a_viewer_develops_nothing_and_github_is_not_asked(
    desk: Chat, github: FakeGitHub
) -> None:
    issue = github.repositories["acme/api"].issue()
    github.requests.clear()
    assert "needs the role manager" in await desk.words("viewer", f"develop api#{issue.number}")
    assert github.requests == []


async def test_what_is_no_open_issue_is_refused(desk: Chat, github: FakeGitHub) -> None:
    assert "acme/api has no issue #999." in await desk.words("manager", "develop api#999")
    assert await desk.rig.ask("select * from runs") == []
