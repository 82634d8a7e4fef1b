"""Tickets made and started from elsewhere than GitHub: API, command line, page."""

from typing import Any

import pytest

from bot.agent import tickets
from bot.agent.tickets import create, develop_next, start, take
from bot.clients.github import GitHubError
from models.errors import Refused
from tests.fakes import faults
from tests.fakes.github_told import labeled
from tests.jobs.conftest import Desk, desk, fake

pytestmark = pytest.mark.store

__all__ = ["desk", "fake"]

BY: dict[str, Any] = {"by_id": "user:1", "by_login": None}


async def place(desk: Desk) -> tuple[str, str]:
    """Return the organisation and the repository."""
    (found,) = await desk.rig.ask("select organization_id, id from repositories")
    return found["organization_id"], found["id"]


async def taken(desk: Desk, number: int, **more: Any) -> str:
    home = await place(desk)
    return await take(desk.rig.surroundings, *home, number, source="api", **BY, **more)


@pytest.fixture
async def known(desk: Desk) -> Desk:
    """The desk, once GitHub has described its repository."""
    await desk.tell(labeled(desk.api, desk.api.issue("First"), "bug"))
    return desk


async def test_an_issue_that_is_there_is_taken_with_what_its_labels_say(known: Desk) -> None:
    issue = known.api.issue("Title", "Body", "enhancement", "P1")
    assert await taken(known, issue.number) == f"github:{issue.id}"
    assert await known.tickets("number, title, body, type, priority, source, status") == [
        (13, "Title", "Body", "feature", "high", "api", "open")
    ]
    assert (await known.runs(), known.fake.said) == ([], [])


async def test_what_is_said_outweighs_the_labels(known: Desk) -> None:
    issue = known.api.issue("Title", "Body", "bug")
    await taken(known, issue.number, type="docs", priority=None, additional_context="Soon")
    assert await known.tickets("type, priority, additional_context") == [("docs", "medium", "Soon")]


async def test_what_is_no_open_issue_is_refused(known: Desk) -> None:
    closed, pull = known.api.issue(), known.api.pull("feature")
    closed.state = "closed"
    for number, why in (
        (404, "has no issue #404"),
        (pull.number, "is a pull request"),
        (closed.number, "is closed: reopen it first"),
    ):
        with pytest.raises(Refused, match=why):
            await taken(known, number)
    assert await known.tickets() == []


async def test_a_repository_of_another_organisation_is_refused(known: Desk) -> None:
    _, repository_id = await place(known)
    with pytest.raises(Refused, match="There is no repository"):
        await take(known.rig.surroundings, "github:66", repository_id, 12, source="api", **BY)


async def test_a_new_ticket_makes_its_issue_which_does_not_ask_again(known: Desk) -> None:
    home, app = await place(known), known.rig.surroundings
    asked = {"type": "bug", "priority": "high", "source": "page", **BY}
    ticket_id = await create(app, *home, "New", "Body", **asked)
    made = known.api.issues[13]
    assert ticket_id == f"github:{made.id}"
    assert made.labels == ["bug", "claude", "priority:high"]
    assert known.fake.said == ["opened issue #13: New"]
    await known.tell(labeled(known.api, made, by=known.fake.bot))
    assert await known.tickets("number, type, priority, source") == [(13, "bug", "high", "page")]
    assert await known.runs() == []


async def test_a_run_is_pinned_to_the_default_branch_of_now(known: Desk) -> None:
    ticket_id = await taken(known, 12)
    known.api.heads["main"] = "c" * 40
    started = await start(known.rig.surroundings, ticket_id, by_login="ada", request="Mind this")
    assert started.words == f"#12 is queued as run {started.run_id}."
    assert await known.runs("instructions_commit, requested_by_login, request, state") == [
        ("c" * 40, "ada", "Mind this", "queued")
    ]
    again = await start(known.rig.surroundings, ticket_id)
    assert (again.run_id, again.words) == (None, "A run of #12 is waiting or at work already.")


async def test_a_closed_ticket_is_not_started(known: Desk) -> None:
    ticket_id = await taken(known, 12)
    await known.change("update tickets set status = 'closed'")
    assert (await start(known.rig.surroundings, ticket_id)).run_id is None
    with pytest.raises(Refused, match="There is no ticket"):
        await start(known.rig.surroundings, "github:404")


async def test_where_github_cannot_be_asked_nothing_is_queued(known: Desk) -> None:
    ticket_id = await taken(known, 12)
    known.fake.fail(faults.answering(403, {"message": "no"}), on="/git/ref")
    with pytest.raises(GitHubError):
        await start(known.rig.surroundings, ticket_id)
    known.api.heads.clear()
    with pytest.raises(Refused, match="no branch main"):
        await start(known.rig.surroundings, ticket_id)
    known.rig.settings = known.rig.settings.model_copy(update={"app_id": None})
    with pytest.raises(Refused, match="/setup"):
        await start(known.rig.surroundings, ticket_id)
    await known.change("update connections set state = 'suspended'")
    with pytest.raises(Refused, match="not installed on acme/api"):
        await start(known.rig.surroundings, ticket_id)
    assert await known.runs() == []


async def test_the_next_ticket_is_the_first_without_a_run(known: Desk) -> None:
    _, repository_id = await place(known)
    for number in (12, known.api.issue("Second", "", "P0").number):
        await taken(known, number)
    app = known.rig.surroundings
    words = [(await develop_next(app, repository_id, **BY)).words for _ in range(3)]
    assert words == ["#13 is queued as run 1.", "#12 is queued as run 2.", tickets.NOTHING]


@pytest.mark.parametrize(
    ("labels", "kind", "priority"),
    [
        ((), "task", "medium"),
        (("Bug",), "bug", "medium"),
        (("kind/feature", "P0"), "feature", "critical"),
        (("type: documentation", "priority: high"), "docs", "high"),
        (("refactor", "priority/low"), "refactor", "low"),
        (("tests", "p3", "P1"), "test", "high"),
        (("area:bug-tracker", "high", "P9", "priority:urgent"), "task", "medium"),
        (("chore",), "chore", "medium"),
    ],
)
def test_labels_say_type_and_priority(labels: tuple[str, ...], kind: str, priority: str) -> None:
    assert (tickets.type_of(labels), tickets.priority_of(labels)) == (kind, priority)


async def test_an_organisations_wishes_win_over_the_settings_of_this_veelocity(
    known: Desk,
) -> None:
    organization_id, _ = await place(known)
    settings, engine = known.rig.settings, known.rig.surroundings.engine
    async with engine.connect() as db:
        told = await tickets.settings_of(db, settings, organization_id)
    assert (told.ticket_budget_usd, told.models) == (3, list(settings.allowed_models))
    await known.change(
        "insert into agent_settings (organization_id, ticket_budget_usd, models)"
        " values (:id, 0, '{a,b}')",
        id=organization_id,
    )
    async with engine.connect() as db:
        told = await tickets.settings_of(db, settings, organization_id)
    assert (told.ticket_budget_usd, told.models) == (0, ["a", "b"])
    assert told.organization_day_budget_usd == 50
