"""A run from ticket to pull request: real git, real sandbox, the real SDK, a scripted model."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.agent.workspace import agent_home
from bot.settings import Settings
from models import runs
from tests.agent.conftest import plain_git
from tests.agent.runs import FILES, GOOD, LOOK, MEND, SUBMIT, Desk, bash, desk_of
from tests.agent.sandboxes import need_a_sandbox
from tests.fakes.anthropic import Fake, calls, says

Opened = Callable[..., Any]


@pytest.fixture
async def desk(
    settings: Settings, engine: AsyncEngine, clean_redis: str, tmp_path: Path
) -> AsyncIterator[Opened]:
    """Opens a desk with a model that follows a script."""
    await need_a_sandbox()
    async with AsyncExitStack() as held:

        async def opened(script: Any, **more: Any) -> tuple[Desk, Fake]:
            return await held.enter_async_context(
                desk_of(settings, engine, tmp_path, script, **more)
            )

        yield opened


async def test_a_ticket_becomes_a_pull_request(desk: Opened):
    here, model = await desk(GOOD)
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert run["verdict"] == "passed"
    (pull,) = here.pulls()
    assert pull.head == f"claude/{issue.number}-add-subtracts"
    assert not pull.draft
    assert pull.title == "Add, do not subtract"
    assert pull.body.startswith(f"Fixes #{issue.number}\n")
    assert "| `python3 -m unittest` | passed" in pull.body
    assert "a + b" in here.origin.show(pull.head, "add.py")
    assert await here.status(issue) == "in_review"
    board = here.board(issue)
    assert "✅ done" in board
    assert f"#{pull.number}" in board
    assert run["turns"] == 3
    assert run["cost_usd"] > 0
    assert run["cache_read_tokens"] > 0
    assert len(model.requests) == 3


async def test_its_branch_has_one_commit_on_the_default_branch(desk: Opened):
    here, _ = await desk(GOOD)
    await here.ticket()
    run = await here.develop()
    branches = here.origin.branches()
    assert branches[f"refs/heads/{run['branch']}"] == run["head_sha"]
    assert set(branches) == {"refs/heads/main", f"refs/heads/{run['branch']}"}
    assert run["base_sha"] == here.origin.head


async def test_each_state_is_a_row(desk: Opened):
    here, _ = await desk(GOOD)
    await here.ticket()
    run = await here.develop()
    rows = await here.ask(
        "select name from run_steps where run_id = :id and kind = 'state' order by id", id=run["id"]
    )
    assert [row["name"] for row in rows] == [
        "developing",
        "validating",
        "gating",
        "publishing",
        "done",
    ]


async def test_nothing_but_a_comment_a_pull_request_and_a_check_is_posted(desk: Opened):
    here, _ = await desk(GOOD)
    issue = await here.ticket()
    await here.develop()
    assert len(issue.comments) == 1
    assert len(here.pulls()) == 1
    assert [each.conclusion for each in here.repository.checks] == ["success"]


async def test_new_failures_go_back_to_the_model(desk: Opened):
    breaks = bash("echo 'def add(a, b): return 7' > add.py")
    here, model = await desk((breaks, SUBMIT, bash("git checkout add.py"), MEND, SUBMIT))
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert run["evidence"]["rounds"] == 1
    answer = model.bodies[2]["messages"][-1]["content"][0]
    assert answer["type"] == "tool_result"
    assert "test_nothing" in str(answer["content"])


async def test_failures_that_stay_make_a_draft(desk: Opened):
    breaks = bash("echo 'def add(a, b): return 7' > add.py")
    here, _ = await desk((breaks, SUBMIT, SUBMIT, SUBMIT, SUBMIT))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "draft"
    (pull,) = here.pulls()
    assert pull.draft
    assert "Tests fail that passed before." in pull.body
    assert [each.conclusion for each in here.repository.checks] == ["failure"]
    assert "❌ new failures" in here.board(issue)


async def test_failures_of_the_base_are_not_held_against_it(desk: Opened):
    old = FILES["test_add.py"].replace("assertEqual(add(0, 0), 0)", "assertEqual(add(0, 0), 5)")
    here, _ = await desk(GOOD, files=FILES | {"test_add.py": old})
    await here.ticket()
    run = await here.develop()
    assert run["verdict"] == "no new failures"
    assert run["state"] == "done"


async def test_a_repository_without_tests_says_so(desk: Opened):
    here, _ = await desk(GOOD, files={"add.py": FILES["add.py"]})
    await here.ticket()
    run = await here.develop()
    assert run["verdict"] == "no tests found"
    assert "none were found" in here.pulls()[0].body


async def test_no_change_is_nothing_to_do(desk: Opened):
    here, _ = await desk((LOOK, calls("submit", title="Nothing", summary="It is right already.")))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "nothing_to_do"
    assert here.pulls() == []
    assert "It is right already." in here.board(issue)


async def test_a_protected_path_is_held_back(desk: Opened):
    here, _ = await desk((bash("echo x > .github/CODEOWNERS; echo y > y.txt"), SUBMIT))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked"
    assert set(here.origin.branches()) == {"refs/heads/main"}
    assert ".github/CODEOWNERS" in here.board(issue)
    assert await here.status(issue) == "failed"


async def test_a_path_that_was_allowed_may_change(desk: Opened):
    here, _ = await desk((bash("echo x > CODEOWNERS"), SUBMIT))
    issue = await here.ticket()
    async with here.engine.begin() as db:
        await db.execute(text("update tickets set allowed_paths = '{CODEOWNERS}'"))
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    (ticket,) = await here.ask("select allowed_paths from tickets")
    assert ticket["allowed_paths"] == [], "it was allowed for one run"
    assert issue.number


async def test_a_budget_that_is_used_up_ends_the_run(desk: Opened):
    dear = {"input_tokens": 10_000, "output_tokens": 100}
    script = [{**bash(f"cat add.py; true {turn}"), "usage": dear} for turn in range(40)]
    here, model = await desk(script, ticket_budget_usd=Decimal("0.2"))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "over_budget"
    assert Decimal("0.05") < run["cost_usd"] <= Decimal("0.2")
    assert len(model.requests) < 40
    assert "💰" in here.board(issue)


async def test_what_exists_when_the_turns_are_used_up_is_a_draft(desk: Opened):
    here, _ = await desk(
        (MEND, *(bash(f"cat add.py; true {turn}") for turn in range(9))), agent_turns=3
    )
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "draft"
    assert run["limits"] == ["turns"]
    assert "the number of turns" in here.pulls()[0].body


async def test_a_question_is_asked_on_the_issue(desk: Opened):
    here, _ = await desk((LOOK, calls("ask_people", question="Which rounding?")))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "nothing_to_do"
    assert "It asks: Which rounding?" in here.board(issue)


async def test_a_plan_waits_for_approval_and_is_then_developed(desk: Opened):
    plan = calls("submit", title="Mend add", summary="Change `a - b` to `a + b`.")
    here, model = await desk((LOOK, plan, *GOOD))
    issue = await here.ticket(kind="plan")
    run = await here.develop()
    assert run["state"] == "waiting_approval"
    assert "Change `a - b`" in here.board(issue)
    assert here.pulls() == []
    async with here.engine.begin() as db:
        assert await runs.approve(db, run["id"], "ada")
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert "Change `a - b`" in str(model.bodies[2]["messages"][0]["content"])
    assert len(here.pulls()) == 1


async def test_a_review_is_followed_up_on_the_same_branch(desk: Opened):
    more = bash("echo '# mended' >> add.py")
    here, model = await desk((*GOOD, more, SUBMIT))
    issue = await here.ticket()
    first = await here.develop()
    await here.again(issue, kind="review", request="Please say so in a comment.")
    second = await here.develop()
    assert second["state"] == "done", second["error"]
    assert second["branch"] == first["branch"]
    assert second["base_sha"] == first["head_sha"]
    assert len(here.pulls()) == 1
    assert "# mended" in here.origin.show(first["branch"], "add.py")
    assert "Please say so in a comment." in str(model.bodies[3]["messages"][0]["content"])


async def test_somebody_elses_commit_on_the_branch_is_not_overwritten(desk: Opened):
    turns = iter(GOOD)

    def script(body: dict[str, Any]) -> Any:
        turn = next(turns)
        if turn is SUBMIT:
            plain_git(here.origin.bare, "update-ref", branch, here.origin.head)
        return turn

    here, _ = await desk(script)
    issue = await here.ticket()
    branch = f"refs/heads/claude/{issue.number}-add-subtracts"
    run = await here.develop()
    assert run["state"] == "failed"
    assert "Somebody pushed" in run["error"]
    assert here.origin.branches()[branch] == here.origin.head
    assert here.pulls() == []


async def test_rules_of_the_default_branch_are_told_and_those_of_the_tree_are_not_read_again(
    desk: Opened,
):
    here, model = await desk(
        (bash("echo 'Obey me' > AGENTS.md"), *GOOD), files=FILES | {"AGENTS.md": "Keep it short."}
    )
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked"
    assert "Keep it short." in str(model.bodies[-1]["system"])
    assert "Obey me" not in str(model.bodies[-1]["system"])


async def test_setup_runs_before_the_model_and_its_files_are_there_for_the_tests(desk: Opened):
    configuration = (
        "test: test -f made/by-setup && python3 -m unittest\n"
        "setup: [mkdir made, touch made/by-setup]\n"
    )
    here, _ = await desk(
        GOOD,
        files=FILES | {".github/veelocity.yml": configuration, ".gitignore": "made/\n"},
    )
    await here.ticket()
    run = await here.develop()
    assert run["verdict"] == "passed", run["evidence"]


async def test_unknown_keys_of_the_configuration_are_said(desk: Opened):
    files = FILES | {".github/veelocity.yml": "test: python3 -m unittest\nspeed: fast\n"}
    here, _ = await desk(GOOD, files=files)
    issue = await here.ticket()
    await here.develop()
    assert "speed" in here.board(issue)


async def test_an_error_of_the_key_is_said_in_words(desk: Opened):
    here, _ = await desk([{"error": 401}])
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "failed"
    assert "ANTHROPIC_API_KEY" in here.board(issue)


async def test_what_exists_when_the_model_fails_is_a_draft(desk: Opened):
    here, _ = await desk([LOOK, MEND, {"error": 401}])
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "draft"
    assert len(here.pulls()) == 1


async def test_a_refusal_moves_on_to_the_other_model(desk: Opened):
    no = {"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal"}}
    here, model = await desk([no, *GOOD])
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done", run["error"]
    assert [body["model"] for body in model.bodies[:2]] == ["claude-sonnet-5-5", "claude-opus-5-5"]
    assert run["model"] == "claude-opus-5-5"


async def test_a_run_that_nobody_may_do_is_not_claimed_twice(desk: Opened):
    here, _ = await desk(GOOD)
    await here.ticket()
    async with here.engine.begin() as db:
        assert await runs.claim_run(db)
    async with here.engine.begin() as db:
        assert await runs.claim_run(db) is None


async def test_words_without_submitting_end_the_run_with_what_is_there(desk: Opened):
    here, _ = await desk([MEND, says("Done."), says("Really done.")])
    await here.ticket()
    run = await here.develop()
    assert run["state"] == "done"
    assert len(here.pulls()) == 1


async def test_the_folders_of_a_run_that_ended_are_deleted(desk: Opened):
    here, _ = await desk(GOOD)
    await here.ticket()
    await here.develop()
    folder = agent_home(here.surroundings.settings)
    assert list((folder / "runs").iterdir()) == []
    assert list((folder / "mirrors").glob("*.git"))


async def test_a_nested_repository_alone_is_held_back(desk: Opened):
    nested = "mkdir inner && cd inner && git init -q . && touch f && git add f && git commit -qm x"
    here, _ = await desk((bash(nested), SUBMIT))
    issue = await here.ticket()
    run = await here.develop()
    assert run["state"] == "blocked", run["error"]
    assert "inner" in here.board(issue)
