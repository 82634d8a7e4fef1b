"""The model's tools, executed: commands and files in the sandbox, the rest told to whom it is for.

A command has a fresh bash; the working directory and the exported variables of the one before are
kept in /tmp, so that `cd` and `export` last as in a terminal. Processes end with their command.
"""

import re
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.agent.command import SHOWN_CHARACTERS, Result
from bot.agent.conversation import Block, ToolResult
from bot.agent.editor import edited
from bot.agent.inputs import Wrong, text, value
from bot.agent.sandbox import Sandbox
from bot.agent.schemas import ASK, BASH, EDITOR, PLAN_TOOLS, PROGRESS, SUBMIT, TOOLS

__all__ = ["PLAN_TOOLS", "TOOLS", "Toolbox"]

SECONDS = 120
MOST_SECONDS = 600
MOST_ITEMS = 50
ITEM_CHARACTERS = 200
STATE = "/tmp/.shell"  # noqa: S108 - the sandbox's own
SHELL = f"""\
{{ [ -f {STATE} ] && . {STATE}; }} >/dev/null 2>&1
trap '[ -e {STATE} -a ! -f {STATE} ] || {{ export -p; printf "cd -- %q\\n" "$PWD"; }} \
2>/dev/null >{STATE}' EXIT
eval {{command}}
"""
RESTART = f"rm -f {STATE}"
SILENT = "(no output)"
STATUS = "[exit status {code}]"
MORE = "[the full output is in {path}]"
TOO_SLOW = (
    "[give `timeout` in seconds, at most {most}, for what takes longer; what runs in the "
    "background ends with its command too]"
)
SUBMITTED = "The work was handed in."
ASKED = "The question was handed on."
NOTED = "Noted."
UNKNOWN = "There is no tool {name}. There are: {names}."
NO_INPUT = "The tool's input must be an object."


@dataclass(frozen=True)
class Toolbox:
    """The tools over one sandbox.

    `on_progress` is told the checklist when the model reports it, `on_step` every call with what
    it came to. `clock` counts seconds.
    """

    sandbox: Sandbox
    on_progress: Callable[[list[dict[str, Any]]], Awaitable[None]]
    on_step: Callable[[Block, ToolResult], Awaitable[None]]
    clock: Callable[[], float] = time.monotonic

    async def execute(self, block: Block) -> ToolResult:
        """Execute one call; what the model did wrong is said in the result, and never raised."""
        began = self.clock()
        try:
            result = await self.used(block)
        except Wrong as wrong:
            result = ToolResult(str(wrong), failed=True)
        result = replace(result, seconds=self.clock() - began)
        given = block["input"] if isinstance(block.get("input"), dict) else {}
        await self.on_step({**block, "input": given}, result)
        return result

    async def used(self, block: Block) -> ToolResult:
        """Use the tool that a call names; raise `Wrong` for what cannot be."""
        name, given = block["name"], block.get("input")
        if not isinstance(given, dict):
            raise Wrong(NO_INPUT)
        if name == BASH:
            return await run(self.sandbox, given, str(block["id"]))
        if name == EDITOR:
            return ToolResult(await edited(self.sandbox, given))
        if name == PROGRESS:
            await self.on_progress(items(given))
            return ToolResult(NOTED)
        return handed_in(name, given)


async def run(sandbox: Sandbox, given: Mapping[str, Any], call: str) -> ToolResult:
    """Run a command of the bash tool, or forget the directory and variables of those before."""
    if given.get("restart") is True:
        await sandbox.run(RESTART, seconds=SECONDS)
        return ToolResult("The shell is as new.")
    command, seconds = text(given, "command"), seconds_of(given)
    done = await sandbox.run(SHELL.replace("{command}", shlex.quote(command)), seconds=seconds)
    kept = await kept_whole(sandbox, done, call)
    notes = [STATUS.format(code=done.code)] if done.code else []
    notes += [TOO_SLOW.format(most=MOST_SECONDS)] if done.timed_out else []
    notes += [MORE.format(path=kept)] if kept else []
    said = "\n".join([done.output.rstrip("\n") or SILENT, *notes])
    return ToolResult(said, failed=done.code != 0, whole=readable(done) if kept else None)


def seconds_of(given: Mapping[str, Any]) -> float:
    """Return how long a command may take."""
    if given.get("timeout") is None:
        return SECONDS
    return float(min(max(value(given, "timeout", int), 1), MOST_SECONDS))


async def kept_whole(sandbox: Sandbox, done: Result, call: str) -> str | None:
    """Put the whole of a long output where the model can look at it; return its path."""
    if len(readable(done)) <= SHOWN_CHARACTERS:
        return None
    path = f"/tmp/output-{re.sub(r'[^A-Za-z0-9_-]', '', call)[-64:]}.txt"  # noqa: S108 - as above
    written = await sandbox.run(f"cat > {path}", seconds=SECONDS, stdin=done.whole)
    return None if written.code else path


def readable(done: Result) -> str:
    """Return the whole output as text."""
    return done.whole.decode(errors="replace").replace("\0", "\ufffd")


def items(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps that were reported, in as many words as people read."""
    told = value(given, "items", list)[:MOST_ITEMS]
    if not all(isinstance(each, dict) and isinstance(each.get("text"), str) for each in told):
        raise Wrong("Each of `items` must be an object with `text` and `done`.")
    return [
        {"text": " ".join(each["text"].split())[:ITEM_CHARACTERS], "done": each.get("done") is True}
        for each in told
    ]


def handed_in(name: str, given: Mapping[str, Any]) -> ToolResult:
    """Look whether what ends the conversation is complete; raise `Wrong` where it is not."""
    if name == SUBMIT:
        text(given, "title")
        text(given, "summary")
        return ToolResult(SUBMITTED)
    if name == ASK:
        text(given, "question")
        return ToolResult(ASKED)
    names = ", ".join(str(tool["name"]) for tool in TOOLS)
    raise Wrong(UNKNOWN.format(name=str(name)[:100], names=names))
