"""One try of a call of Claude: streamed to its end, or an error that says what to do.

<https://docs.claude.com/en/api/messages-streaming>
"""

import asyncio
import importlib.util
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bot.agent.claude_errors import told_of
from bot.agent.conversation import Block, Reply, Request, Usage
from bot.agent.prices import BYTES_A_TOKEN, price
from bot.agent.retries import Patience
from bot.agent.trouble import Maker, ModelError
from bot.settings import Settings, secret
from models.errors import Refused

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message as Answered

EPHEMERAL = {"type": "ephemeral"}
SENT_AGAIN = {
    "text": ("type", "text"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input"),
}
"""The fields of a block that are kept: what the API takes when it is sent again."""

EXTRAS = {"bedrock": "botocore", "vertex": "google.auth"}
MAKERS = {
    "anthropic": ("Anthropic", "ANTHROPIC_API_KEY"),
    "bedrock": ("Amazon Bedrock", "the AWS credentials"),
    "vertex": ("Google Vertex AI", "the Google Cloud credentials"),
}
NO_KEY = "There is no key for Anthropic. Set ANTHROPIC_API_KEY."
NO_EXTRA = "CLAUDE_PROVIDER={name} needs more to be installed: pip install 'veelocity[{name}]'."
CUT = "the answer broke off"


def maker_of(settings: Settings, model: str) -> Maker:
    """Return who is asked for a Claude, as the settings have it."""
    name, key = MAKERS[settings.claude_provider]
    return Maker(name, key, model)


def opened(settings: Settings, patience: Patience) -> "AsyncAnthropic":
    """Return a client that leaves retries to us; raise `Refused` where it cannot be made."""
    import anthropic
    import httpx2

    name = settings.claude_provider
    if name in EXTRAS and not installed(EXTRAS[name]):
        raise Refused(NO_EXTRA.format(name=name))
    timeout = httpx2.Timeout(patience.silent_seconds, connect=min(30.0, patience.silent_seconds))
    made: dict[str, Any] = {"max_retries": 0, "timeout": timeout}
    if name == "anthropic":
        return direct(settings, made)
    kind = anthropic.AsyncAnthropicBedrock if name == "bedrock" else anthropic.AsyncAnthropicVertex
    try:
        return kind(**made)  # type: ignore[return-value]
    except ValueError as error:
        raise Refused(f"CLAUDE_PROVIDER={name} is not set up: {error}") from error


def direct(settings: Settings, made: Mapping[str, Any]) -> "AsyncAnthropic":
    """Return a client of Anthropic itself, or of a gateway at ANTHROPIC_BASE_URL."""
    import anthropic

    client = anthropic.AsyncAnthropic(
        api_key=secret(settings.anthropic_api_key) or None,
        base_url=settings.anthropic_base_url or None,
        **made,
    )
    if not (client.api_key or client.auth_token or client.credentials):
        raise ModelError(NO_KEY, "key")
    return client


def installed(name: str) -> bool:
    """Say whether a package can be imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@dataclass
class Heard:
    """What has come of an answer so far: a stream that breaks off is billed all the same."""

    usage: Usage = field(default_factory=Usage)
    size: int = 0
    whole: "Answered | None" = None
    request_id: str | None = None

    def hear(self, event: Any) -> None:
        """Take in one event of the stream."""
        if event.type == "message_start":
            self.usage = usage_of(event.message.usage)
        elif event.type == "content_block_delta":
            delta = event.delta.to_dict()
            said = (delta.get(name) for name in ("text", "thinking", "partial_json"))
            self.size += sum(len(words.encode()) for words in said if words)
        elif event.type == "message_stop":
            self.whole = event.message

    @property
    def lost(self) -> Usage:
        """The tokens of a broken answer; those of the output are estimated from its length."""
        estimated = self.size // BYTES_A_TOKEN
        return replace(self.usage, output_tokens=max(self.usage.output_tokens, estimated))


async def once(client: "AsyncAnthropic", settings: Settings, request: Request) -> Reply:
    """Ask once. Raise `ModelError` for anything but a whole answer; it carries what was used."""
    import anthropic
    import httpx2

    began, heard = time.monotonic(), Heard()
    maker = maker_of(settings, request.model)
    try:
        async with asyncio.timeout(settings.claude_timeout):
            await listen(client, body_of(request, settings), heard)
    except (anthropic.AnthropicError, httpx2.HTTPError, TimeoutError, ValueError) as error:
        told = told_of(error, maker, settings.claude_timeout, silent=heard.size == 0)
        raise billed(told, request.model, heard) from error
    if heard.whole is None or heard.whole.stop_reason is None:
        broken = maker.trouble("unreachable", CUT, passing=True)
        raise billed(broken, request.model, heard)
    return reply_of(heard.whole, request, time.monotonic() - began, heard.request_id)


async def listen(client: "AsyncAnthropic", body: Mapping[str, Any], heard: Heard) -> None:
    """Hear a stream to its end."""
    async with client.messages.stream(**body) as stream:
        heard.request_id = stream.request_id
        async for event in stream:
            heard.hear(event)


def billed(error: ModelError, model: str, heard: Heard) -> ModelError:
    """Return an error with what its try used."""
    error.usage = heard.lost
    error.cost_usd = price(model, error.usage)
    return error


def body_of(request: Request, settings: Settings) -> dict[str, Any]:
    """Return what is sent. The prefix stays the same from turn to turn, so that it is cached.

    Only Anthropic itself sets the cache's breakpoint by itself; elsewhere we do.
    """
    messages = [{"role": each["role"], "content": each["content"]} for each in request.messages]
    body: dict[str, Any] = {"model": request.model, "max_tokens": request.max_tokens}
    if request.tools:
        body["tools"] = list(request.tools)
    if settings.claude_provider == "anthropic":
        body["cache_control"] = EPHEMERAL
    else:
        messages[-1] = {**messages[-1], "content": marked(messages[-1]["content"])}
    if request.system:
        automatic = "cache_control" in body
        body["system"] = request.system if automatic else marked(request.system)
    return {**body, "messages": messages}


def marked(content: Any) -> list[Block]:
    """Return content with the cache's breakpoint at its end."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    return [*blocks[:-1], {**blocks[-1], "cache_control": EPHEMERAL}]


def reply_of(
    answered: "Answered", request: Request, seconds: float, request_id: str | None
) -> Reply:
    """Return a whole answer in our form."""
    usage = usage_of(answered.usage)
    details = answered.stop_details
    return Reply(
        content=[block for each in answered.content if (block := kept(each.to_dict()))],
        stop_reason=str(answered.stop_reason),
        usage=usage,
        cost_usd=price(request.model, usage),
        model=answered.model,
        seconds=seconds,
        request_id=request_id,
        refusal=(details.explanation or details.category) if details else None,
    )


def kept(block: Mapping[str, Any]) -> Block | None:
    """Return a block as it can be sent again; None for an empty text, which would be refused."""
    if block["type"] == "text" and not str(block["text"]).strip():
        return None
    fields = SENT_AGAIN.get(block["type"]) or tuple(block)
    return {name: block[name] for name in fields if block.get(name) is not None}


def usage_of(usage: Any) -> Usage:
    """Return the tokens of a call in our form."""
    return Usage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=usage.cache_read_input_tokens or 0,
        cache_write_tokens=usage.cache_creation_input_tokens or 0,
    )


async def listed(client: "AsyncAnthropic", settings: Settings) -> list[Any]:
    """Return the list of models once; raise `ModelError`."""
    import anthropic
    import httpx2

    try:
        return [each async for each in client.models.list(limit=1000)]
    except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:
        raise told_of(error, maker_of(settings, "its list of models"), 0, silent=True) from error
