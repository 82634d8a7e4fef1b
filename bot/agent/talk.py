"""A conversation with a model under way: its messages, its figures, and what happens only once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bot.agent import limits as bounds
from bot.agent.conversation import Ask, Execute, Limits, Message, Reply, Request, Task, Used
from bot.agent.stuck import Circles
from bot.agent.turns import joined


@dataclass
class Talk:
    """A conversation under way: what it works on and with, and what can happen only once."""

    ask: Ask
    execute: Execute
    task: Task
    limits: Limits
    clock: Callable[[], float]
    began: float
    model: str
    max_tokens: int
    circles: Circles = field(default_factory=Circles)
    doubled: bool = False
    nudged: bool = False
    compacted: bool = False
    warned: bool = False

    def used(self) -> Used:
        """Return what the run has used up to now."""
        used = self.task.used
        return replace(used, seconds=used.seconds + self.clock() - self.began)

    def request(self) -> Request:
        """Return the next call of the model."""
        task = self.task
        messages = joined(task.messages)
        return Request(self.model, task.system, messages, task.tools, self.max_tokens)

    def count(self, reply: Reply) -> None:
        """Count what an answer used."""
        used = self.task.used
        used.usd += reply.cost_usd
        used.turns += 1
        used.tokens += reply.usage.total

    async def keep(self, message: Message) -> None:
        """Add a message, and have it stored."""
        self.task.messages.append(message)
        await self.task.keep(message)

    async def begin_again(self, messages: Sequence[Message]) -> None:
        """Go on with a fresh conversation, and have it stored."""
        self.task.messages[:] = messages[:1]
        if self.task.begin_again:
            await self.task.begin_again(messages[0])
        for message in messages[1:]:
            await self.keep(message)

    def warnings(self) -> list[str]:
        """Return the one word of warning when a limit is near."""
        warning = None if self.warned else bounds.wrap_up(self.limits, self.used())
        self.warned = self.warned or warning is not None
        return [warning] if warning else []
