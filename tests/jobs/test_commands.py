"""What commands in comments do to a ticket, through the app: rows, and what is said on GitHub."""

from decimal import Decimal

import pytest

from tests.fakes.github_told import commented, labeled
from tests.fakes.github_work import FakeIssue
from tests.jobs.conftest import Desk

pytestmark = pytest.mark.store


@pytest.fixture
async def issue(desk: Desk) -> FakeIssue:
    """An issue that is a ticket with a queued run."""
    made = desk.api.issue()
    await desk.tell(labeled(desk.api, made))
    desk.fake.said.clear()
    return made


async def say(desk: Desk, issue: FakeIssue, body: str, **more: str) -> list[str]:
    """Comment, and return what the app said to that."""
    before = len(desk.fake.said)
    await desk.tell(commented(desk.api, issue, body, **more))
    return desk.fake.said[before:]


def own_comments(desk: Desk, issue: FakeIssue) -> list[str]:
    return [each.body for each in issue.comments if each.by.login == desk.fake.bot]


async def test_a_plan_waits_until_it_is_approved(desk: Desk) -> None:
    issue = desk.api.issue()
    await desk.tell(commented(desk.api, issue, "/claude plan carefully"))
    assert await desk.runs("kind, state") == [("plan", "queued")]
    await desk.change("update runs set state = 'waiting_approval'")
    desk.api.permissions["ben"] = "maintain"
    heard = await say(desk, issue, "/claude approve", by="ben")
    assert heard == [f"👀 on comment {issue.comments[-1].id}"]
    assert await desk.runs() == [("develop", "queued", "ben")]


async def test_a_plan_cannot_be_approved_by_who_may_not_write(desk: Desk) -> None:
    issue = desk.api.issue()
    await desk.tell(commented(desk.api, issue, "/claude plan"))
    await desk.change("update runs set state = 'waiting_approval'")
    await say(desk, issue, "/claude approve", by="eve")
    assert await desk.runs("state") == [("waiting_approval",)]


async def test_a_plan_makes_way_for_a_run(desk: Desk) -> None:
    issue = desk.api.issue()
    await desk.tell(commented(desk.api, issue, "/claude plan"))
    await desk.change("update runs set state = 'waiting_approval'")
    await say(desk, issue, "/claude develop")
    assert await desk.runs("kind, state") == [("plan", "cancelled"), ("develop", "queued")]


async def test_without_a_plan_there_is_nothing_to_approve(desk: Desk, issue: FakeIssue) -> None:
    said = await say(desk, issue, "/claude approve")
    comment = issue.comments[0].id
    assert said == [
        f"👀 on comment {comment}",
        f"😕 on comment {comment}",
        "comment on #12: @ada no plan waits for approval. `/claude plan` asks for one.",
    ]


async def test_a_run_is_stopped(desk: Desk, issue: FakeIssue) -> None:
    await say(desk, issue, "/claude stop")
    assert await desk.runs("state, stop_requested_by") == [("cancelled", "ada")]
    assert await desk.tickets() == [(12, "cancelled")]
    assert "😕" in (await say(desk, issue, "/claude stop"))[1]


async def test_a_run_at_work_is_asked_to_stop(desk: Desk, issue: FakeIssue) -> None:
    await desk.change("update runs set state = 'developing', leased_until = now()")
    await say(desk, issue, "/claude stop")
    assert await desk.runs("state, stop_requested_by") == [("developing", "ada")]


async def test_what_ended_is_tried_again(desk: Desk, issue: FakeIssue) -> None:
    await desk.change("update runs set state = 'failed'")
    await desk.change("update tickets set status = 'failed'")
    await say(desk, issue, "/claude retry with more care")
    assert await desk.runs("kind, state") == [("develop", "failed"), ("develop", "queued")]
    assert await desk.tickets("status, additional_context") == [("open", "with more care")]


async def test_a_ticket_that_is_busy_says_so(desk: Desk, issue: FakeIssue) -> None:
    said = await say(desk, issue, "/claude develop")
    assert said[1:] == [
        f"😕 on comment {issue.comments[0].id}",
        "comment on #12: @ada A run of #12 is waiting or at work already.",
    ]
    assert len(await desk.runs()) == 1


async def test_the_cost_is_told_in_one_comment_that_is_edited(desk: Desk, issue: FakeIssue) -> None:
    await desk.change("update runs set cost_usd = 0.415")
    for _ in range(3):
        await say(desk, issue, "/claude cost")
    assert own_comments(desk, issue) == [
        "<!-- veelocity:answer -->\n@ada 1 run cost $0.42 of $3.00."
    ]
    await say(desk, issue, "/claude help")
    (help_text,) = own_comments(desk, issue)
    assert "/claude budget N" in help_text


@pytest.mark.parametrize("body", ["/claude", "/claude help", "/claude dance", "/claude key x"])
async def test_who_asks_for_help_or_for_nothing_known_gets_help(desk: Desk, body: str) -> None:
    issue = desk.api.issue()
    await say(desk, issue, body)
    (answer,) = own_comments(desk, issue)
    assert "`/claude develop`" in answer
    assert (await desk.tickets(), await desk.runs()) == ([], [])


async def test_a_model_is_one_of_the_allow_list(desk: Desk, issue: FakeIssue) -> None:
    allowed = desk.rig.settings.allowed_models[1]
    await say(desk, issue, f"/claude model {allowed.title()}")
    assert await desk.tickets("model") == [(allowed,)]
    said = await say(desk, issue, "/claude model gpt-99")
    assert "`gpt-99` is not in the allow-list" in said[-1]
    assert await desk.tickets("model") == [(allowed,)]


async def test_the_allow_list_is_the_organisations_where_it_has_one(
    desk: Desk, issue: FakeIssue
) -> None:
    await desk.change("insert into agent_settings (organization_id, models)"
                      " select id, '{special-1}' from organizations")  # fmt: skip
    await say(desk, issue, f"/claude model {desk.rig.settings.allowed_models[0]}")
    assert await desk.tickets("model") == [(None,)]
    await say(desk, issue, "/claude model special-1")
    assert await desk.tickets("model") == [("special-1",)]


@pytest.mark.parametrize(("asked", "kept"), [("20", "20"), ("20.01", None), ("10000", None)])
async def test_a_budget_is_within_what_a_day_may_cost(
    desk: Desk, issue: FakeIssue, asked: str, kept: str | None
) -> None:
    said = await say(desk, issue, f"/claude budget {asked}")
    assert await desk.tickets("budget_usd") == [(Decimal(kept) if kept else None,)]
    assert ("$20.00 at most" in said[-1]) is (kept is None)


async def test_paths_are_allowed_one_by_one(desk: Desk, issue: FakeIssue) -> None:
    for path in (".github/labeler.yml", "CODEOWNERS", "CODEOWNERS", "../../etc/passwd"):
        await say(desk, issue, f"/claude allow {path}")
    assert await desk.tickets("allowed_paths") == [([".github/labeler.yml", "CODEOWNERS"],)]


async def test_a_priority_moves_a_ticket_up(desk: Desk, issue: FakeIssue) -> None:
    second = desk.api.issue("Second")
    await desk.tell(labeled(desk.api, second))
    await say(desk, second, "/claude priority P0")
    rows = await desk.rig.ask("select number, priority from tickets order by position")
    assert [tuple(row.values()) for row in rows] == [(13, "critical"), (12, "medium")]


@pytest.mark.parametrize("verb", ["approve", "stop", "cost", "budget 2", "allow x", "priority P0"])
async def test_what_is_no_ticket_has_nothing_to_change(desk: Desk, verb: str) -> None:
    issue = desk.api.issue()
    said = await say(desk, issue, f"/claude {verb}")
    assert said[-1].startswith("comment on #12: @ada this is no ticket yet")
    assert await desk.tickets() == []


async def test_a_comment_on_our_pull_request_goes_on_with_its_branch(
    desk: Desk, issue: FakeIssue
) -> None:
    pull = desk.api.pull("claude/12-fix-it")
    await desk.change("update runs set state = 'done'")
    await desk.change(
        "update tickets set pull_request_number = :number, status = 'in_review'",
        number=pull.number,
    )
    await say(desk, pull, "/claude develop rename it")
    assert (await desk.runs("kind, state, request"))[-1] == ("review", "queued", "rename it")
    assert await desk.tickets("number, title, status") == [(12, issue.title, "in_review")]
    said = await say(desk, pull, "/claude cost")
    assert said[-1] == f"comment on #{pull.number}: @ada 2 runs cost $0.00 of $3.00."


async def test_a_comment_on_a_pull_request_of_others_changes_nothing(desk: Desk) -> None:
    pull = desk.api.pull("feature", by="ben")
    said = await say(desk, pull, "/claude develop")
    assert "not a pull request of mine" in said[-1]
    assert (await desk.tickets(), await desk.runs()) == ([], [])


async def test_what_was_asked_is_in_the_audit_log(desk: Desk, issue: FakeIssue) -> None:
    await say(desk, issue, "/claude allow CODEOWNERS")
    rows = await desk.rig.ask(
        "select detail from audit_log where action = 'agent_asked' order by id"
    )
    ada = desk.fake.person("ada").id
    assert [row["detail"] for row in rows] == [
        f"ada (github:{ada}) on acme/api#12: label claude",
        f"ada (github:{ada}) on acme/api#12: /claude allow CODEOWNERS",
    ]
