"""From a label in Linear to an issue, a ticket and a run; and back as one comment and a state."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

import models
from bot.clients.linear import LinearSecret
from bot.jobs.linear_outcomes import comment_of, queue_outcomes
from bot.settings import Settings
from bot.web.accounts import create_user
from models.chat import keep_connection_secret
from models.store import remember
from tests.fakes.github import FakeGitHub, fake_github
from tests.fakes.github_told import installed, payload, pull_changed, settings_for
from tests.fakes.linear import API_KEY, FakeLinear, Node, fake_linear, stamp
from tests.jobs.conftest import Desk
from tests.linear_posts import LINEAR_SECRET, posted
from tests.rig import rig_of

pytestmark = pytest.mark.store

ADA = "ada@acme.example"


@dataclass
class Bench:
    """A desk whose organisation has a Linear as well, with one team that is mapped to acme/api."""

    desk: Desk
    linear: FakeLinear
    team: Node
    home: str

    async def label(self, issue: Node, *names: str, by: Node | None = None, **more: Any) -> None:
        """Put labels on an issue, and let Linear tell of it."""
        before = [each["id"] for each in issue["labels"]]
        issue["labels"] += [self.linear.label(name) for name in names or ("claude",)]
        issue["updatedAt"] = stamp()
        body = self.linear.webhook("Issue", "update", issue, by, updatedFrom={"labelIds": before})
        answer = await posted(self.desk.rig, body | more)
        assert answer.status_code == 200, answer.text
        await self.desk.rig.settle()

    async def sweep(self) -> int:
        """Do what the worker's sweeper does, and work off what follows."""
        async with self.desk.rig.surroundings.engine.begin() as db:
            due = await queue_outcomes(db)
        await self.desk.rig.settle()
        return due

    async def ticket(self) -> dict[str, Any]:
        """Return the only ticket."""
        (row,) = await self.desk.rig.ask("select * from tickets")
        return row


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github(writes=True) as github:
        yield github


@pytest.fixture
def linear() -> Iterator[FakeLinear]:
    with fake_linear() as opened:
        yield opened


@pytest.fixture
async def bench(
    fake: FakeGitHub, linear: FakeLinear, settings: Settings, clean: None, clean_redis: str
) -> AsyncIterator[Bench]:
    api = fake.repository("acme/api")
    told = settings_for(
        fake, settings, linear_api_url=linear.address,
        linear_webhook_secret=SecretStr(LINEAR_SECRET),
    )  # fmt: skip
    async with rig_of(told) as rig:
        desk = Desk(rig, fake, api)
        await desk.tell(installed(api), ("repository", payload(api, "edited", "ada")))
        (row,) = await rig.ask("select id, organization_id from repositories")
        made = Bench(desk, linear, linear.team("ENG"), row["organization_id"])
        await connect(made)
        await desk.change(
            "insert into linear_mappings (organization_id, linear_id, repository_id, by) "
            "values (:home, :team, :repository, 'x')",
            home=made.home, team=f"linear:{made.team['id']}", repository=row["id"],
        )  # fmt: skip
        yield made


async def connect(bench: Bench) -> None:
    connection = models.Connection(
        id=f"linear:organization:{bench.linear.id}", organization_id=bench.home, source="linear",
        external_id=bench.linear.id, account_login="Acme", state="active", permissions={},
        changed_at=datetime.now(UTC),
    )  # fmt: skip
    secret = LinearSecret(api_key=SecretStr(API_KEY)).model_dump_json(exclude_none=True)
    surroundings = bench.desk.rig.surroundings
    async with surroundings.engine.begin() as db:
        await remember(db, [connection])
        await keep_connection_secret(db, connection.id, surroundings.vault.seal(secret))
        login = await db.scalar(
            text("select login from organizations where id = :id"), {"id": bench.home}
        )
        await create_user(db, ADA, organization=login, role="manager")
        await create_user(db, "eve@acme.example", organization=login, role="viewer")
        await create_user(db, "mallory@globex.example", organization="globex", role="admin")


def issue_of(bench: Bench, **more: Any) -> Node:
    told = {"description": "Banks do.", "priority": 1.0, **more}
    return bench.linear.issue(bench.team, "Round half to even", **told)


async def test_a_managers_label_makes_an_issue_a_ticket_and_a_run(bench: Bench) -> None:
    await bench.label(issue_of(bench))
    assert bench.desk.fake.said == ["opened issue #12: ENG-1: Round half to even"]
    made = bench.desk.api.issues[12]
    assert made.body.splitlines()[1:] == [
        "Banks do.", "", "---", "From Linear: [ENG-1](https://linear.app/acme/issue/ENG-1)",
    ]  # fmt: skip
    assert made.labels == ["claude"]
    ticket = await bench.ticket()
    assert (ticket["title"], ticket["source"], ticket["priority"], ticket["number"]) == (
        "ENG-1: Round half to even", "linear", "critical", 12,
    )  # fmt: skip
    assert "Banks do." in ticket["body"]
    (user,) = await bench.desk.rig.ask("select id from users where email = :ada", ada=ADA)
    assert await bench.desk.runs("kind, state, requested_by_id") == [
        ("develop", "queued", user["id"])
    ]
    assert await bench.desk.audited() == []


async def test_where_nothing_starts_by_itself_the_ticket_waits(bench: Bench) -> None:
    bench.desk.api.files[".github/veelocity.yml"] = "auto: false\n"
    await bench.label(issue_of(bench))
    assert (await bench.desk.tickets(), await bench.desk.runs()) == ([(12, "open")], [])


async def test_other_labels_ask_for_nothing(bench: Bench) -> None:
    await bench.label(issue_of(bench), "bug", "urgent")
    assert (bench.desk.fake.said, await bench.desk.tickets()) == ([], [])
    assert await bench.desk.audited() == []


@pytest.mark.parametrize("email", ["eve@acme.example", "mallory@globex.example", "nobody@x.y"])
async def test_who_is_no_manager_here_starts_nothing(bench: Bench, email: str) -> None:
    other = bench.linear.user("Eve", email)
    await bench.label(issue_of(bench), by=other)
    assert (bench.desk.fake.said, await bench.desk.tickets()) == ([], [])
    (line,) = await bench.desk.audited()
    assert line.startswith(f"Eve (linear:{other['id']}) on ENG-1: label claude whose e-mail")


async def test_who_has_no_email_is_nobody(bench: Bench) -> None:
    actor = {"id": bench.linear.viewer["id"], "name": "Ada", "type": "user"}
    await bench.desk.change("delete from identities")
    await bench.label(issue_of(bench, creator=None), actor=actor)
    assert await bench.desk.tickets() == []
    assert len(await bench.desk.audited()) == 1


async def test_an_email_that_was_told_before_counts(bench: Bench) -> None:
    made = issue_of(bench)
    await posted(bench.desk.rig, bench.linear.webhook("Issue", "create", made))
    await bench.desk.rig.settle()
    actor = {"id": bench.linear.viewer["id"], "name": "Ada", "type": "user"}
    await bench.label(made, actor=actor)
    assert await bench.desk.tickets() == [(12, "open")]


async def test_a_program_asks_for_nothing(bench: Bench) -> None:
    await bench.label(issue_of(bench), actor={"id": "app", "name": "Bot", "type": "OauthClient"})
    assert await bench.desk.tickets() == []


async def test_an_issue_that_is_mapped_nowhere_is_only_written_down(bench: Bench) -> None:
    other = bench.linear.team("OPS")
    await bench.label(bench.linear.issue(other, "Elsewhere"))
    assert (bench.desk.fake.said, await bench.desk.tickets()) == ([], [])
    (line,) = await bench.desk.audited()
    assert line.endswith("but neither its project nor its team is mapped to a repository")


async def test_a_projects_repository_wins_over_its_teams(bench: Bench) -> None:
    web = bench.desk.fake.repository("acme/web")
    told = installed(bench.desk.api, web), ("repository", payload(web, "edited", "ada"))
    await bench.desk.tell(*told)
    project = bench.linear.project("Site")
    await bench.desk.change(
        "insert into linear_mappings (organization_id, linear_id, repository_id, by) "
        "select :home, :project, id, 'x' from repositories where full_name = 'acme/web'",
        home=bench.home, project=f"linear:{project['id']}",
    )  # fmt: skip
    await bench.label(issue_of(bench, project=project))
    assert [each.title for each in web.issues.values()] == ["ENG-1: Round half to even"]
    assert bench.desk.api.issues == {}


async def test_a_label_put_on_again_makes_no_second_issue(bench: Bench) -> None:
    made = issue_of(bench)
    await bench.label(made)
    made["labels"] = []
    await bench.label(made)
    assert len(bench.desk.api.issues) == 1
    assert len(await bench.desk.runs()) == 1


async def test_an_issue_that_was_made_and_not_written_down_is_found_by_its_marker(
    bench: Bench,
) -> None:
    wanted = issue_of(bench)
    marker = f"<!-- veelocity:linear:{wanted['id']} -->"
    bench.desk.api.issue("By somebody else", f"{marker}\nMine", by="eve")
    ours = bench.desk.api.issue("ENG-1: Round", f"{marker}\nBanks", by=bench.desk.fake.bot)
    await bench.label(wanted)
    assert len(bench.desk.api.issues) == 2
    assert await bench.desk.tickets() == [(ours.number, "open")]


async def test_a_marker_of_another_issue_in_a_description_ties_nothing(bench: Bench) -> None:
    second = issue_of(bench)
    forged = f"<!-- veelocity:linear:{second['id']} -->\nMine."
    await bench.label(issue_of(bench, description=forged))
    await bench.label(second)
    assert len(bench.desk.api.issues) == 2


async def test_an_issue_that_is_over_is_not_begun(bench: Bench) -> None:
    await bench.label(issue_of(bench, state="completed"))
    assert await bench.desk.tickets() == []


async def test_the_outcome_is_told_once_as_one_comment_and_a_state(bench: Bench) -> None:
    made = issue_of(bench)
    await bench.label(made)
    assert await bench.sweep() == 1
    said = bench.linear.said
    assert len(bench.linear.comment_bodies(made)) == 1
    assert said[-1].startswith("comment on ENG-1: Taken up as [acme/api#12](")
    assert await bench.sweep() == 0

    await bench.desk.change("update tickets set status = 'in_progress'")
    await bench.sweep()
    assert said[-2].startswith("edited comment on ENG-1: Claude is working on it")
    assert said[-1] == "ENG-1 is started"

    pull = bench.desk.api.pull("claude/12-x", title="ENG-1: Round half to even")
    await bench.desk.tell(pull_changed(bench.desk.api, pull, "opened"))
    await bench.desk.change(
        "update tickets set status = 'in_review', pull_request_number = :n", n=pull.number
    )
    await bench.sweep()
    assert f"[acme/api#{pull.number}]({pull.url})" in bench.linear.comment_bodies(made)[0]

    await bench.desk.tell(pull_changed(bench.desk.api, pull, "closed", merged=True))
    before = len(said)
    await bench.sweep()
    assert said[before:] == [
        f"edited comment on ENG-1: Done: [acme/api#{pull.number}]({pull.url}) is merged.",
        "ENG-1 is completed",
    ]
    assert await bench.sweep() == 0
    assert len(made["comments"]) == 1
    assert made["comments"][0]["id"] == comment_of(f"linear:{made['id']}")


async def test_what_people_moved_further_stays(bench: Bench) -> None:
    made = issue_of(bench)
    await bench.label(made)
    made["state"] = bench.team["states"][5]
    await bench.desk.change("update tickets set status = 'in_progress'")
    await bench.sweep()
    assert made["state"]["type"] == "canceled"


async def test_a_team_without_such_a_state_is_told_by_comment_alone(bench: Bench) -> None:
    made = issue_of(bench)
    await bench.label(made)
    bench.team["states"][:] = [
        each for each in bench.team["states"] if each["type"] != "started"
    ]  # fmt: skip
    await bench.desk.change("update tickets set status = 'in_progress'")
    await bench.sweep()
    assert made["state"]["type"] == "backlog"
    assert len(made["comments"]) == 1


async def test_telling_that_was_killed_after_the_comment_comments_once(bench: Bench) -> None:
    made = issue_of(bench)
    await bench.label(made)
    await bench.sweep()
    await bench.desk.change("update linear_tickets set told = null")
    await bench.sweep()
    assert len(made["comments"]) == 1
    assert sum("comment" in line for line in bench.linear.said) == 1


async def test_a_failure_is_told(bench: Bench) -> None:
    made = issue_of(bench)
    await bench.label(made)
    await bench.desk.change("update tickets set status = 'failed'")
    await bench.sweep()
    assert bench.linear.comment_bodies(made)[0].startswith("Claude did not get it done.")
    assert made["state"]["type"] == "backlog"


async def test_nothing_is_told_to_a_linear_that_was_disconnected(bench: Bench) -> None:
    await bench.label(issue_of(bench))
    await bench.desk.change("update connections set state = 'deleted' where source = 'linear'")
    assert await bench.sweep() == 0


async def test_an_outcome_that_cannot_be_told_does_not_pile_up_jobs(bench: Bench) -> None:
    await bench.label(issue_of(bench))
    bench.linear.limit(3600)
    assert await bench.sweep() == 1
    assert await bench.sweep() == 0
    assert len(await bench.desk.rig.ask("select 1 from jobs where name = 'tell_linear'")) == 1
