"""Makes a conversation shorter that no longer fits into the model's window."""

import json
from collections.abc import Iterable, Sequence

from bot.agent.conversation import Block, Message
from bot.agent.turns import calls, joined, words

KEPT_SHARE = 3
RESULT_CHARACTERS = 2000
CALL_CHARACTERS = 160
CALLS_LISTED = 150
DIGEST = """\
The conversation became too long, so its older part was taken out. What was done is still there: \
look at /repo (`git status`, `git diff`) before you go on.

What you had reported:
{checklist}

The calls that were taken out, oldest first:
{listed}"""


def compacted(messages: Sequence[Message]) -> list[Message]:
    """Return a shorter conversation that goes on where this one is.

    Its first message is the request, with a digest of what was taken out: the checklist that was
    reported last, and one line a call. The latest turns follow, their results shortened, as many
    as fit into a third of the old length.
    """
    whole = joined(messages)
    turns = list(zip(whole[1::2], whole[2::2], strict=False))
    kept = latest(turns, length(whole) // KEPT_SHARE)
    out = [assistant for assistant, _ in turns[: len(turns) - len(kept)]]
    first = {"role": "user", "content": [*whole[0]["content"], *digest(out)]}
    return [first, *(message for turn in kept for message in turn)]


def latest(turns: Sequence[tuple[Message, Message]], most: int) -> list[tuple[Message, Message]]:
    """Return the latest turns that together are not longer than `most` characters."""
    kept: list[tuple[Message, Message]] = []
    for assistant, user in reversed(turns):
        turn = (assistant, shortened(user))
        most -= length(turn)
        if most < 0:
            break
        kept.insert(0, turn)
    return kept


def shortened(user: Message) -> Message:
    """Return a message of ours with its tool results cut down."""
    return {**user, "content": [cut(block) for block in user["content"]]}


def cut(block: Block) -> Block:
    """Return a block, the middle of a long tool result left out."""
    text, half = block.get("content"), RESULT_CHARACTERS // 2
    if not isinstance(text, str) or len(text) <= RESULT_CHARACTERS:
        return block
    return {**block, "content": f"{text[:half]}\n[… taken out …]\n{text[-half:]}"}


def digest(out: Sequence[Message]) -> list[Block]:
    """Return what stands for turns that were taken out; nothing where none were."""
    if not out:
        return []
    used = [call for message in out for call in calls(message)]
    listed = [line(call) for call in used[-CALLS_LISTED:]]
    said = DIGEST.format(checklist=checklist(used), listed="\n".join(listed) or "- none")
    return words(said)


def line(call: Block) -> str:
    """Say a call on one line."""
    given = " ".join(json.dumps(call["input"], ensure_ascii=False).split())
    short = given if len(given) <= CALL_CHARACTERS else f"{given[:CALL_CHARACTERS]}…"
    return f"- {call['name']} {short}"


def checklist(used: Sequence[Block]) -> str:
    """Return the checklist that was reported last."""
    reported = [call["input"] for call in used if call["name"] == "report_progress"]
    items = reported[-1].get("items") if reported else None
    if not isinstance(items, list):
        return "nothing"
    told = [item for item in items if isinstance(item, dict)]
    return "\n".join(f"- [{'x' if item.get('done') else ' '}] {item.get('text')}" for item in told)


def length(messages: Iterable[Message]) -> int:
    """Return about how long messages are, in characters."""
    return len(json.dumps(list(messages), ensure_ascii=False))
