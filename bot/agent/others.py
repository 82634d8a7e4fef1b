"""Asks GPT (OpenAI's Responses API) and Gemini (generateContent) through pydantic-ai.

<https://ai.pydantic.dev/direct/>. An optional extra: `pip install 'veelocity[models]'`.
"""

import asyncio
import hashlib
import importlib.util
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.agent.conversation import Block, Reply, Request, Usage
from bot.agent.others_errors import TOO_SLOW, told_of
from bot.agent.others_messages import block_of, messages_of, tools_of
from bot.agent.prices import BYTES_A_TOKEN, estimated_tokens, price
from bot.agent.providers import Provider
from bot.agent.retries import Patience
from bot.agent.trouble import Maker, ModelError
from bot.settings import Settings, secret
from models.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model
    from pydantic_ai.usage import RequestUsage

MAKERS = {"openai": ("OpenAI", "OPENAI_API_KEY"), "google": ("Google", "GEMINI_API_KEY")}
NEEDED = {"openai": ("pydantic_ai", "openai"), "google": ("pydantic_ai", "google.genai")}
NO_EXTRA = "To ask {model} more has to be installed: pip install 'veelocity[models]'."
NO_KEY = "There is no key for {maker}. Set {key}."
CUT = "the answer broke off"
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_call": "tool_use"}


@dataclass(frozen=True)
class Asked:
    """An open connection to one maker."""

    provider: Provider
    model: "Callable[[str], Model[Any]]"
    seconds: float

    def maker(self, model: str) -> Maker:
        """Return who is asked, to people."""
        return Maker(*MAKERS[self.provider], model)


@asynccontextmanager
async def opened(
    settings: Settings, provider: Provider, patience: Patience
) -> AsyncIterator[Asked]:
    """Open a connection that leaves retries to us; raise `Refused` where it cannot be made."""
    maker, key = MAKERS[provider]
    if not all(installed(name) for name in NEEDED[provider]):
        raise Refused(NO_EXTRA.format(model=maker))
    given = secret(settings.openai_api_key if provider == "openai" else settings.gemini_api_key)
    if not given:
        raise ModelError(NO_KEY.format(maker=maker, key=key), "key")
    import httpx2

    timeout = httpx2.Timeout(patience.silent_seconds, connect=min(30.0, patience.silent_seconds))
    async with httpx2.AsyncClient(timeout=timeout, follow_redirects=True) as http:
        model = (openai if provider == "openai" else google)(settings, given, http)
        yield Asked(provider, model, settings.claude_timeout)


def installed(name: str) -> bool:
    """Say whether a package can be imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def openai(settings: Settings, key: str, http: Any) -> "Callable[[str], Model[Any]]":
    """Return what makes a model of OpenAI's Responses API: chat completions lose reasoning."""
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(
        api_key=key,
        base_url=settings.openai_base_url or None,
        http_client=http,
        timeout=http.timeout,
        max_retries=0,
    )
    provider = OpenAIProvider(openai_client=client)
    return lambda name: OpenAIResponsesModel(name, provider=provider)


def google(settings: Settings, key: str, http: Any) -> "Callable[[str], Model[Any]]":
    """Return what makes a model of Gemini's API."""
    from google.genai.types import HttpRetryOptions
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    provider = GoogleProvider(
        api_key=key,
        base_url=settings.gemini_base_url or None,
        http_client=http,
        retry_options=HttpRetryOptions(attempts=1),
    )
    return lambda name: GoogleModel(name, provider=provider)


@dataclass
class Heard:
    """What has come of an answer so far: a stream that breaks off is billed all the same."""

    request: Request
    size: int = 0
    begun: bool = False

    def hear(self, event: Any) -> None:
        """Take in one event of the stream."""
        self.begun = True
        piece = getattr(event, "delta", None) or getattr(event, "part", None)
        for name in ("content_delta", "args_delta", "content", "args"):
            said = getattr(piece, name, None)
            self.size += len(said.encode()) if isinstance(said, str) else 0

    @property
    def lost(self) -> Usage:
        """The tokens of a broken answer, estimated from its length and the request's."""
        if not self.begun:
            return Usage()
        return Usage(
            input_tokens=estimated_tokens(self.request), output_tokens=self.size // BYTES_A_TOKEN
        )


async def once(asked: Asked, request: Request) -> Reply:
    """Ask once. Raise `ModelError` for anything but a whole answer; it carries what was used."""
    from httpx2 import HTTPError
    from pydantic_ai.exceptions import AgentRunError, UserError

    began, heard = time.monotonic(), Heard(request)
    maker = asked.maker(request.model)
    try:
        async with asyncio.timeout(asked.seconds):
            answered = await streamed(asked, request, heard)
        if answered.finish_reason is None or answered.state != "complete":
            raise ValueError(CUT)
        return reply_of(answered, request, heard, time.monotonic() - began)
    except TimeoutError as error:
        late = TOO_SLOW.format(seconds=asked.seconds)
        told = maker.trouble("unreachable", late, passing=not heard.begun)
        raise billed(told, heard) from error
    except (AgentRunError, UserError, HTTPError, ValueError) as error:
        raise billed(told_of(error, maker), heard) from error


def billed(error: ModelError, heard: Heard) -> ModelError:
    """Return an error with what its try used."""
    error.usage = heard.lost
    error.cost_usd = price(heard.request.model, error.usage)
    return error


async def streamed(asked: Asked, request: Request, heard: Heard) -> "ModelResponse":
    """Return the answer at the end of a stream."""
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.models.openai import OpenAIResponsesModelSettings

    model = asked.model(request.model)
    wanted = OpenAIResponsesModelSettings(max_tokens=request.max_tokens)
    if asked.provider == "openai":
        wanted["openai_store"] = False
        wanted["openai_prompt_cache_key"] = cache_key(request)
    async with model_request_stream(
        model,
        messages_of(request, model.system),
        model_settings=wanted,
        model_request_parameters=ModelRequestParameters(function_tools=tools_of(request.tools)),
        instrument=False,
    ) as stream:
        async for event in stream:
            heard.hear(event)
        return stream.get()


def cache_key(request: Request) -> str:
    """Return what the calls of one conversation have in common, so that they share a cache."""
    first = repr((request.system, request.messages[0]["content"]))
    return hashlib.sha256(first.encode()).hexdigest()[:32]


def reply_of(answered: "ModelResponse", request: Request, heard: Heard, seconds: float) -> Reply:
    """Return a whole answer in our form; raise `ValueError` where a call cannot be read."""
    reason = stop_of(answered)
    usage = usage_of(answered.usage) if answered.usage.input_tokens else heard.lost
    refused = reason == "refusal"
    return Reply(
        content=[] if refused else content_of(answered, reason),
        stop_reason=reason,
        usage=usage,
        cost_usd=price(request.model, usage),
        model=answered.model_name or request.model,
        seconds=seconds,
        request_id=answered.provider_response_id,
        refusal=(answered.text or "its content filter stopped it") if refused else None,
    )


def stop_of(answered: "ModelResponse") -> str:
    """Return why an answer ended, in Anthropic's words."""
    from pydantic_ai.messages import ToolCallPart

    if answered.finish_reason == "content_filter":
        return "refusal"
    reason = STOPS.get(str(answered.finish_reason), str(answered.finish_reason))
    calls = any(isinstance(part, ToolCallPart) for part in answered.parts)
    return "tool_use" if calls and reason == "end_turn" else reason


def content_of(answered: "ModelResponse", reason: str) -> list[Block]:
    """Return an answer's blocks.

    Of an answer that was cut off by its limit of tokens only the words are kept: its calls are not
    whole, and reasoning is not taken back without the call that it led to.
    """
    if reason == "max_tokens":
        said = answered.text or ""
        return [{"type": "text", "text": said}] if said.strip() else []
    return [block_of(part) for part in answered.parts]


def usage_of(usage: "RequestUsage") -> Usage:
    """Return the tokens of a call in our form: theirs count the cache's in the input."""
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    return Usage(
        input_tokens=max(0, usage.input_tokens - read - written),
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
