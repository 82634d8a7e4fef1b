"""The loop: ask the model, execute what it calls, until it submits or a limit is reached."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from bot.agent import limits as bounds
from bot.agent.budget import OverBudget
from bot.agent.compaction import compacted
from bot.agent.conversation import (
    Ask,
    Block,
    Execute,
    Limits,
    Outcome,
    Reply,
    Task,
    ToolResult,
)
from bot.agent.stuck import HINT, STUCK, Circles
from bot.agent.talk import Talk
from bot.agent.trouble import ContextFull
from bot.agent.turns import INTERRUPTED, answers, calls, cut_off, joined, said, sendable, words

ENDINGS = frozenset({"submit", "ask_people"})
"""The tools that end a loop."""

NUDGE = (
    "You stopped without calling a tool. If the work is done, call submit; if you cannot go on "
    "without people, call ask_people; otherwise go on with the work."
)
CUT = (
    "Your answer became too long and was cut off; what you were in the middle of was left out. Do "
    "it in smaller pieces, and write long files in several steps."
)
CUT_OFF = {"name": "max_tokens", "input": {}}
TAKEN_OVER = (
    "Note: work on this has begun already. What was done is in /repo: look at it (`git status`, "
    "`git diff`) before you go on."
)
ENDED = "The model stopped without submitting its work."
REFUSED = "The model {model} declined to go on: {why}"
NO_REASON = "it gave no reason."
UNKNOWN = "The model stopped for a reason that is not known here: {reason}."
CONTEXT = "The conversation is longer than the model can read, and could not be made short enough."


async def loop(
    ask: Ask,
    execute: Execute,
    task: Task,
    limits: Limits,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Work on a task until it is submitted, or cannot or may not go on; `clock` counts seconds.

    Every message is kept before the next thing is done, so that a task whose messages come from
    the store goes on at the exact turn. Raises what `ask` raises, but for `OverBudget` and
    `ContextFull`, which are outcomes; a cancellation passes through.
    """
    talk = Talk(ask, execute, task, limits, clock, clock(), task.model, task.max_tokens)
    outcome = await taken_up(talk)
    while outcome is None:
        outcome = over(talk) or await turn(talk)
    return outcome


async def taken_up(talk: Talk) -> Outcome | None:
    """Make a stored conversation one that the model can be asked with."""
    last = talk.task.messages[-1]
    if last["role"] != "assistant":
        return None
    called = calls(last)
    if not called:
        return await gone_on(talk, last.get("stop_reason"))
    if all(call["name"] in ENDINGS for call in called):
        return await execute_all(talk, called)
    await talk.keep(answers((call, INTERRUPTED) for call in called))
    return None


async def gone_on(talk: Talk, reason: str | None) -> Outcome | None:
    """Say what had not been said yet to words that were stored last."""
    if reason == "pause_turn":
        return None
    return await (told(talk, [], CUT) if reason == "max_tokens" else nudged(talk, ENDED))


def over(talk: Talk) -> Outcome | None:
    """Return how the loop ends where a limit is reached."""
    name = bounds.reached(talk.limits, talk.used())
    return Outcome("limit", bounds.said(talk.limits, name), limit=name) if name else None


async def turn(talk: Talk) -> Outcome | None:
    """Ask once, and do what the answer wants; return how the loop ends, None where it goes on."""
    try:
        reply = await talk.ask(talk.request())
    except ContextFull:
        return await window_exceeded(talk)
    except OverBudget as error:
        return Outcome("limit", str(error), limit=error.limit.name)
    talk.count(reply)
    return await REASONS.get(reply.stop_reason, unknown)(talk, reply)


async def answered(talk: Talk, reply: Reply) -> Outcome | None:
    """The model has said what it wants: tools used, or nothing more."""
    message = said(reply)
    await talk.keep(message)
    if called := calls(message):
        return await execute_all(talk, called)
    return await nudged(talk, reply.text)


async def nudged(talk: Talk, last_words: str) -> Outcome | None:
    """Tell a model once that it did not submit; the second time it has ended."""
    if talk.nudged:
        return Outcome("ended", last_words or ENDED)
    talk.nudged = True
    await talk.keep(answers([], NUDGE, *talk.warnings()))
    return None


async def execute_all(talk: Talk, called: Sequence[Block], *hints: str) -> Outcome | None:
    """Execute the calls of one answer, and keep the message that answers them.

    A call that ends the loop stays unanswered where it was the only one: what it leads to is its
    answer, should the conversation go on after all.
    """
    results, ending = await executed(talk, called)
    if ending and len(called) == 1:
        return ending
    if ending:
        await talk.keep(answers(results))
        return ending
    return await told(talk, results, *hints)


async def executed(
    talk: Talk, called: Sequence[Block]
) -> tuple[list[tuple[Block, ToolResult]], Outcome | None]:
    """Execute calls in their order, those that end the loop last; return what came of them."""
    results: dict[int, ToolResult] = {}
    ending = None
    for at, call in sorted(enumerate(called), key=lambda each: each[1]["name"] in ENDINGS):
        results[at] = await talk.execute(call)
        talk.circles.saw(call, results[at])
        if call["name"] in ENDINGS and not results[at].failed:
            ending = ending or ended_by(call)
    return [(call, results[at]) for at, call in enumerate(called)], ending


def ended_by(call: Block) -> Outcome:
    """Return the outcome that a call makes."""
    given = call["input"]
    if call["name"] == "submit":
        return Outcome("submitted", str(given.get("summary", "")), submission=given)
    return Outcome("asked", str(given.get("question", "")))


async def told(
    talk: Talk, results: Sequence[tuple[Block, ToolResult]], *hints: str
) -> Outcome | None:
    """Keep the message that answers calls, with what else the model should know."""
    how = talk.circles.found()
    stuck = Outcome("stuck", STUCK.format(how=how)) if how and talk.circles.hinted else None
    circling = [HINT.format(how=how)] if how and not stuck else []
    talk.circles.hinted = talk.circles.hinted or bool(how)
    await talk.keep(answers(results, *hints, *circling, *talk.warnings()))
    return stuck


async def cut(talk: Talk, reply: Reply) -> Outcome | None:
    """The answer ran out of tokens: what is whole of it holds, and the next may be longer, once."""
    if not talk.doubled:
        talk.doubled, talk.max_tokens = True, talk.max_tokens * 2
    message = cut_off(reply)
    await talk.keep(message)
    if called := calls(message):
        return await execute_all(talk, called, CUT)
    talk.circles.saw(CUT_OFF, ToolResult(CUT, failed=True))
    return await told(talk, [], CUT)


async def paused(talk: Talk, reply: Reply) -> Outcome | None:
    """The answer is to be sent back as it is, so that the model goes on with it."""
    if reply.calls:
        return await answered(talk, reply)
    if content := sendable(reply.content):
        await talk.keep({**said(reply), "content": content})
    return None


async def refused(talk: Talk, reply: Reply) -> Outcome | None:
    """The model declined: another one is asked once, with nothing of what was said before."""
    task = talk.task
    if task.fallback in (None, talk.model):
        return Outcome("refused", REFUSED.format(model=talk.model, why=reply.refusal or NO_REASON))
    first = joined(task.messages)[0]
    note = words(TAKEN_OVER) if len(task.messages) > 1 else []
    talk.model, talk.circles = str(task.fallback), Circles()
    if task.moved:
        await task.moved(talk.model)
    await talk.begin_again([{**first, "content": [*first["content"], *note]}])
    return None


async def window_exceeded(talk: Talk, _: Reply | None = None) -> Outcome | None:
    """The conversation no longer fits: it is made shorter once, and goes on."""
    if talk.compacted:
        return Outcome("context", CONTEXT)
    talk.compacted = True
    await talk.begin_again(compacted(talk.task.messages))
    return None


async def unknown(talk: Talk, reply: Reply) -> Outcome | None:
    """The model stopped for a reason that came after this was written: its words are kept."""
    await talk.keep(said(reply))
    return Outcome("failed", UNKNOWN.format(reason=reply.stop_reason))


REASONS: Mapping[str, Callable[[Talk, Reply], Awaitable[Outcome | None]]] = MappingProxyType(
    {
        "tool_use": answered,
        "end_turn": answered,
        "max_tokens": cut,
        "pause_turn": paused,
        "refusal": refused,
        "model_context_window_exceeded": window_exceeded,
    }
)
"""What is done for each reason for which a model stops."""
