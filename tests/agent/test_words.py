"""Every sentence that GitHub shows of a run."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.agent import words

AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
TICKET = {"id": "github:42", "number": 12, "title": "Add is wrong"}


def run(**more: Any) -> dict[str, Any]:
    """A run as the store has it."""
    return {
        "state": "developing",
        "cost_usd": Decimal("0.42"),
        "model": "claude-sonnet-5-5",
        "checklist": [],
        "plan": None,
        "started_at": AT,
        "finished_at": None,
        "pull_request_number": None,
        "verdict": None,
        "limits": [],
        "error": None,
        "outcome": {},
        "summary": None,
        "evidence": {},
        "changes": {},
        "turns": 7,
        "input_tokens": 1000,
        "output_tokens": 2000,
        "cache_read_tokens": 9000,
        "cache_write_tokens": 0,
        "prompt_name": "default v1",
        **more,
    }


def tracking(**more: Any) -> str:
    return words.tracking(
        run(**more), TICKET, "https://v.example/agent/runs/5", now=AT + timedelta(minutes=3)
    )


def test_the_comment_says_state_time_cost_and_the_way_on():
    said = tracking()
    assert "developing" in said
    assert "3 min" in said
    assert "$0.42" in said
    assert "`claude-sonnet-5-5`" in said
    assert "(https://v.example/agent/runs/5)" in said
    assert "/claude stop" in said


def test_the_checklist_is_one_of_tasks():
    said = tracking(checklist=[{"text": "Look", "done": True}, {"text": "Mend"}])
    assert "- [x] Look\n- [ ] Mend" in said


def test_an_item_of_the_checklist_cannot_break_out_of_its_line():
    said = tracking(checklist=[{"text": "Look\n\n# Shout\n/claude develop @acme/all", "done": 0}])
    assert "\n# Shout" not in said
    assert "\n/claude develop" not in said


def test_a_run_that_ended_names_its_pull_request_and_its_verdict():
    said = tracking(
        state="done", pull_request_number=13, verdict="passed", finished_at=AT + timedelta(0, 40)
    )
    assert "Pull request: #13" in said
    assert "✅ passed" in said
    assert "40 s" in said
    assert "/claude retry" in said


@pytest.mark.parametrize("state", sorted(words.STATES))
def test_every_state_has_a_headline(state):
    assert tracking(state=state).startswith(f"**{words.STATES[state]}**")


def test_a_plan_is_shown_while_it_waits():
    said = tracking(state="waiting_approval", plan="Change `add.py`.")
    assert "Change `add.py`." in said
    assert "/claude approve" in said


def test_a_question_is_asked():
    said = tracking(state="nothing_to_do", outcome={"question": "Which rounding?"})
    assert "It asks: Which rounding?" in said


def body(**more: Any) -> str:
    return words.body(run(**more), TICKET, "https://v.example/agent/runs/5", template=None)


def test_the_pull_request_fixes_its_issue_and_no_other():
    said = body(summary="Mended. Fixes #9 and closes acme/web#3.")
    assert said.startswith("Fixes #12\n")
    assert "Fixes #9" not in said
    assert "closes acme/web#3" not in said


def test_the_evidence_stands_in_a_table():
    said = body(
        verdict="no new failures",
        evidence={
            "command": "python -m pytest | tail `x`",
            "base": {"code": 1, "failures": ["test_add", "test_old"], "seconds": 2},
            "result": {"code": 1, "failures": ["test_old"], "seconds": 3},
            "new_failures": [],
        },
    )
    assert "| `python -m pytest ¦ tail 'x'` | failed (exit 1), 2 failing, 2 s |" in said
    assert "no new failures" in said


def test_no_tests_are_said_plainly():
    assert "none were found" in body(verdict="no tests found")


def test_a_draft_says_why():
    said = body(verdict="new failures", limits=["turns"], outcome={"kind": "limit"})
    assert "Tests fail that passed before." in said
    assert "the number of turns" in said


def test_cost_tokens_cache_model_and_prompt_are_shown():
    said = body()
    assert "$0.42 · 7 turns · 10k tokens in, 90% from the cache, 2k out" in said
    assert "prompt default v1" in said


def test_weakened_tests_are_listed():
    said = words.body(run(), TICKET, "u", template=None, weakened=["tests/test_add.py: deleted"])
    assert "- `tests/test_add.py: deleted`" in said


def test_the_name_of_a_weakened_test_is_only_a_name():
    weakened = ["tests/fixes #7 @acme/team`/conftest.py: leaves tests out"]
    said = words.body(run(), TICKET, "u", template=None, weakened=weakened)
    assert "- `tests/fixes #7 @acme/team'/conftest.py: leaves tests out`" in said


def test_a_subject_names_no_other_issue_by_being_cut():
    outcome = {"title": "x" * 63 + " fixes #1234"}
    said = words.commit_message(outcome, {**TICKET, "number": 1234}, None).partition("\n")[0]
    assert said == "x" * 63 + " fixes"


def test_the_repositorys_template_follows():
    said = words.body(run(), TICKET, "u", template="## Checklist\n- [ ] docs\n")
    assert said.endswith("---\n\n## Checklist\n- [ ] docs")


def test_files_are_listed_with_their_lines():
    files = [{"path": "a`b.py", "added": 3, "deleted": 1}, {"path": "logo.png", "added": None}]
    said = body(changes={"files": files})
    assert "2 files changed" in said
    assert "`a'b.py` +3 −1" in said
    assert "`logo.png` (binary)" in said


def test_the_gate_names_the_files_and_the_way_to_allow_one():
    said = words.blocked([(".github/workflows/ci.yml", "protected")])
    assert "`.github/workflows/ci.yml` (protected)" in said
    assert "/claude allow PATH" in said


def test_the_commit_names_issue_and_coauthor():
    said = words.commit_message(
        {"title": "Add, do not subtract"}, TICKET, "ada <1+ada@users.noreply.github.com>"
    )
    assert said.splitlines()[0] == "Add, do not subtract"
    assert "For #12." in said
    assert said.endswith("Co-authored-by: ada <1+ada@users.noreply.github.com>")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "60 min")]
)
def test_durations(seconds, said):
    assert words.length(seconds) == said


def test_a_link_into_the_repository_stays_one_and_others_do_not():
    ticket = TICKET | {"url": "https://github.com/acme/adding/issues/12"}
    mine = "https://github.com/acme/adding/blob/main/add.py"
    said = words.body(
        run(summary=f"See [add]({mine}) and [that](https://evil.example/x)."),
        ticket,
        "u",
        template=None,
    )
    assert f"({mine})" in said
    assert "`https://evil.example/x`" in said


def test_what_the_evidence_leaves_open_is_said():
    told = {"command": "make test", "notes": ["Fewer tests were run than on the base: 1."]}
    assert "- Fewer tests were run" in body(verdict="passed", evidence=told)
