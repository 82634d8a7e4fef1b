"""What is said between us and a model, in the form of Anthropic's messages.

<https://docs.claude.com/en/api/messages>. Blocks are plain dictionaries, so that what was said can
be kept in the store and sent again as it was.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Block = dict[str, Any]
Message = dict[str, Any]
"""`{role: user | assistant, content: [Block, …]}`, and `stop_reason` where a model said it."""


@dataclass(frozen=True)
class Usage:
    """The tokens of one call. `input_tokens` are those that the cache neither gave nor took."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total(self) -> int:
        """All tokens of the call."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
        )


@dataclass(frozen=True)
class Request:
    """One call of a model. `tools` are in a fixed order, so that the cached prefix stays."""

    model: str
    system: str
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]]
    max_tokens: int


@dataclass(frozen=True)
class Reply:
    """What a model answered. `refusal` is its explanation where `stop_reason` is `refusal`."""

    content: list[Block]
    stop_reason: str
    usage: Usage
    cost_usd: Decimal
    model: str
    seconds: float
    request_id: str | None = None
    refusal: str | None = None

    @property
    def calls(self) -> list[Block]:
        """The tools it wants used, in its order."""
        return [block for block in self.content if block.get("type") == "tool_use"]

    @property
    def text(self) -> str:
        """What it says in words."""
        said = (block["text"] for block in self.content if block.get("type") == "text")
        return "\n".join(said).strip()


Ask = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True)
class ToolResult:
    """What a tool call came to: text for the model, and the whole of it for the run's log."""

    text: str
    failed: bool = False
    whole: str | None = None
    seconds: float = 0.0


Execute = Callable[[Block], Awaitable[ToolResult]]
"""Runs one `tool_use` block; never raises for what the model did wrong."""


@dataclass(frozen=True)
class Limits:
    """What a run may use. Tokens are counted over all calls, seconds on the wall."""

    usd: Decimal
    turns: int = 80
    tokens: int = 4_000_000
    seconds: float = 1800.0


@dataclass
class Used:
    """What a run has used so far; read from the store when it is taken up again."""

    usd: Decimal = Decimal(0)
    turns: int = 0
    tokens: int = 0
    seconds: float = 0.0


Keep = Callable[[Message], Awaitable[None]]
"""Stores one message as it happens, before the next thing is done."""


@dataclass
class Task:
    """What a loop works on.

    `messages` begin with the request and grow; on a resumed run they are what was said before.
    `fallback` is the model asked once, in a fresh conversation, when the first one refuses.
    `begin_again` is told when a fresh conversation begins (with its first message), `moved` which
    model goes on from then.
    """

    model: str
    system: str
    messages: list[Message]
    tools: Sequence[Mapping[str, Any]]
    max_tokens: int
    keep: Keep
    fallback: str | None = None
    begin_again: Keep | None = None
    moved: Callable[[str], Awaitable[None]] | None = None
    used: Used = field(default_factory=Used)
    resumed: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a loop ended.

    `kind`: submitted (the model says it is done), ended (it stopped without saying so), asked (it
    has a question for people), limit, stuck, refused, context (its window is full) or failed.
    `words` say it to people. `limit` names the limit that was hit: usd, turns, tokens, seconds,
    the ticket, the repository's day or the organisation's day.
    """

    kind: str
    words: str
    limit: str | None = None
    submission: Mapping[str, Any] | None = None
