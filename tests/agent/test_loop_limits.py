"""How the loop ends at a limit, or when the model goes in circles."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.agent.conversation import ToolResult, Used
from tests.agent.talks import PLENTY, Stage, reply, said, submit, use


def working(count: int = 200) -> list:
    """Answers that each do something else."""
    return [reply(use("bash", f"c{n}", command=f"echo {n}")) for n in range(count)]


@pytest.mark.parametrize(
    ("limits", "name", "words"),
    [
        ({"usd": Decimal("0.10")}, "usd", "$0.10"),
        ({"turns": 10}, "turns", "10 turns"),
        ({"tokens": 1100}, "tokens", "1,100 tokens"),
        ({"seconds": 600.0}, "seconds", "600 seconds"),
    ],
)
async def test_a_limit_is_warned_of_once_and_then_ends_the_loop(limits, name, words):
    stage = Stage(working(), times=[n * 30.0 for n in range(60)])
    outcome = await stage.play(replace(PLENTY, **limits))
    assert (outcome.kind, outcome.limit) == ("limit", name)
    assert words in outcome.words
    warnings = [said(each) for each in stage.stored if "Finish now" in said(each)]
    assert len(warnings) == 1
    before = [said(each) for each in stage.stored].index(warnings[0])
    assert 0.6 < before / len(stage.stored) < 0.95
    assert stage.stored[-1]["role"] == "user"


async def test_who_heeds_the_warning_submits():
    stage = Stage([*working(8), reply(submit())])
    assert (await stage.play(replace(PLENTY, turns=10))).kind == "submitted"
    assert "turns" in said(stage.stored[-2])


async def test_a_run_taken_up_again_beyond_its_limit_asks_nothing():
    stage = Stage(working(), used=Used(usd=Decimal(3)))
    outcome = await stage.play(replace(PLENTY, usd=Decimal(3)))
    assert (outcome.kind, outcome.limit, stage.requests) == ("limit", "usd", [])


async def test_the_time_before_the_loop_counts():
    stage = Stage(working(), used=Used(seconds=100.0), times=[0.0, 20.0])
    assert (await stage.play(replace(PLENTY, seconds=110.0))).limit == "seconds"


async def test_the_same_call_four_times_gets_one_hint_and_then_the_end():
    stage = Stage([reply(use("bash", command="make"))])
    outcome = await stage.play()
    assert outcome.kind == "stuck"
    assert "the same call 4 times" in outcome.words
    hints = [n for n, each in enumerate(stage.stored) if "circles" in said(each)]
    assert hints == [8]
    assert len(stage.requests) == 8
    assert stage.stored[-1]["role"] == "user"


async def test_who_heeds_the_hint_goes_on():
    same = [reply(use("bash", command="make"))] * 4
    assert (await Stage([*same, *working(5), reply(submit())]).play()).kind == "submitted"


async def test_the_same_error_three_times_is_a_circle():
    stage = Stage(working(), lambda _: ToolResult("no such file", failed=True))
    outcome = await stage.play()
    assert "the same error 3 times" in outcome.words
    assert len(stage.requests) == 6


async def test_an_error_between_results_is_none():
    script = working(30)
    outcomes = iter([True, True, False] * 10 + [False] * 9)
    stage = Stage([*script, reply(submit())], lambda _: ToolResult("same", failed=next(outcomes)))
    assert (await stage.play()).kind == "submitted"


async def test_two_calls_in_turn_are_a_circle():
    turns = [reply(use("bash", command=command)) for command in ("ls", "pwd") * 50]
    outcome = await Stage(turns).play()
    assert "the same two calls in turn" in outcome.words


async def test_reports_of_progress_do_not_hide_a_circle():
    calls = [use("bash", "a", command="make"), use("report_progress", "b", items=[])]
    outcome = await Stage([reply(*calls)]).play()
    assert outcome.kind == "stuck"
