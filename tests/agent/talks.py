"""Scripted conversations for tests of the loop: a model, its tools, and a store that remembers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bot.agent.conversation import (
    Block,
    Limits,
    Message,
    Outcome,
    Reply,
    Request,
    Task,
    ToolResult,
    Usage,
    Used,
)
from bot.agent.loop import loop
from bot.agent.schemas import TOOLS
from tests.fakes.anthropic_rules import check_messages

PLENTY = Limits(usd=Decimal(1000), turns=1000, tokens=10**9, seconds=10**6)
DONE = {"title": "Mend it", "summary": "It was mended."}


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def use(name: str, call: str = "toolu_1", **given: Any) -> Block:
    return {"type": "tool_use", "id": call, "name": name, "input": given}


def submit(call: str = "toolu_9") -> Block:
    return use("submit", call, **DONE)


def reply(*content: Block, stop: str | None = None, **more: Any) -> Reply:
    """An answer; why it stopped is guessed from what it holds."""
    used = any(block["type"] == "tool_use" for block in content)
    told = {"usage": Usage(100, 10), "cost_usd": Decimal("0.01"), "model": "m", "seconds": 1.0}
    return Reply(list(content), stop or ("tool_use" if used else "end_turn"), **(told | more))


@dataclass
class Stage:
    """A script of answers (or exceptions), and what was sent, executed and stored.

    Every request is held against the API's rules.
    """

    script: Sequence[Reply | BaseException]
    execution: Callable[[Block], ToolResult] = lambda call: ToolResult(f"did {call['name']}")
    fallback: str | None = None
    used: Used = field(default_factory=Used)
    messages: list[Message] = field(
        default_factory=lambda: [{"role": "user", "content": [text("Mend #7.")]}]
    )
    resumed: bool = False
    times: Sequence[float] = (0.0,)
    requests: list[Request] = field(default_factory=list)
    executed: list[Block] = field(default_factory=list)
    conversations: list[list[Message]] = field(default_factory=list)
    paused: bool = False

    async def ask(self, request: Request) -> Reply:
        check_messages(list(request.messages), paused=self.paused)
        self.requests.append(request)
        answer = self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        self.paused = answer.stop_reason == "pause_turn" or (self.paused and not answer.content)
        return answer

    async def execute(self, call: Block) -> ToolResult:
        self.executed.append(call)
        return self.execution(call)

    async def keep(self, message: Message) -> None:
        self.conversations[-1].append(message)

    async def begin_again(self, message: Message) -> None:
        self.conversations.append([message])

    async def play(self, limits: Limits = PLENTY) -> Outcome:
        self.conversations.append(list(self.messages))
        task = Task(
            model="claude-sonnet-5-5",
            system="You develop.",
            messages=self.messages,
            tools=TOOLS,
            max_tokens=1000,
            keep=self.keep,
            fallback=self.fallback,
            begin_again=self.begin_again,
            used=self.used,
            resumed=self.resumed,
        )
        clock = iter([*self.times, *[self.times[-1]] * 10000])
        outcome = await loop(self.ask, self.execute, task, limits, lambda: next(clock))
        assert task.messages == self.conversations[-1]
        return outcome

    @property
    def stored(self) -> list[Message]:
        """The conversation that is in the store at the end."""
        return self.conversations[-1]

    @property
    def last(self) -> list[Block]:
        """What was said last, by either side."""
        return list(self.stored[-1]["content"])

    def names(self) -> list[str]:
        return [str(call["name"]) for call in self.executed]


def results(message: Message) -> list[Block]:
    return [block for block in message["content"] if block["type"] == "tool_result"]


def said(message: Message) -> str:
    return " ".join(block["text"] for block in message["content"] if block["type"] == "text")
