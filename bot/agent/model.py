"""Asks a model: which one, by whom, with patience, and what it costs."""

import asyncio
import contextlib
import importlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from bot.agent import claude
from bot.agent.conversation import Ask, Reply, Request, Usage
from bot.agent.prices import price
from bot.agent.providers import Provider, provider_of
from bot.agent.retries import OnWait, Patience, patiently
from bot.agent.trouble import ContextFull, ModelError
from bot.settings import Settings

__all__ = [
    "ContextFull",
    "ModelError",
    "Offered",
    "Patience",
    "ask_of",
    "models_offered",
    "provider_of",
    "retirement",
    "warm",
]

WARMED: dict[Provider, tuple[str, ...]] = {
    "anthropic": ("genai_prices.data", "anthropic.resources.messages"),
    "openai": ("genai_prices.data", "openai.resources.responses", "pydantic_ai.models.openai"),
    "google": ("genai_prices.data", "pydantic_ai.models.google"),
}
ANOTHER = "{model} is not of {provider}: a conversation does not change its maker in the middle."


@asynccontextmanager
async def ask_of(
    settings: Settings,
    model: str,
    *,
    patience: Patience | None = None,
    on_wait: OnWait | None = None,
) -> AsyncIterator[Ask]:
    """Open what asks a model and those of the same maker; its calls raise `ModelError`.

    A reply's usage and cost are those of all its tries, and a `ModelError` carries those of the
    tries made in vain: a stream that broke off is billed too. Raise `Refused` for a model that
    has no price or cannot be asked from here.
    """
    patience, provider = patience or patience_of(settings), provider_of(model)
    await asyncio.to_thread(warm, provider)
    price(model, Usage())
    if provider == "anthropic":
        async with claude.opened(settings, patience) as client:
            ask = partial(claude.once, client, settings)
            yield counted(ask, provider, patience, on_wait)
    else:
        from bot.agent import others

        async with others.opened(settings, provider, patience) as asked:
            yield counted(partial(others.once, asked), provider, patience, on_wait)


def patience_of(settings: Settings) -> Patience:
    """Return the patience with any model that the settings ask for."""
    return Patience(tries=settings.claude_tries, silent_seconds=settings.claude_silent_seconds)


def warm(provider: Provider = "anthropic") -> None:
    """Import what asks a maker: that takes a second, which nothing else should wait for.

    For a thread; the worker may call it before the first run needs it.
    """
    for name in WARMED[provider]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def counted(once: Ask, provider: Provider, patience: Patience, on_wait: OnWait | None) -> Ask:
    """Return an ask that tries again, and counts the money of every try."""

    async def ask(request: Request) -> Reply:
        if provider_of(request.model) != provider:
            raise ModelError(ANOTHER.format(model=request.model, provider=provider), "request")
        lost: list[ModelError] = []

        async def tried() -> Reply:
            try:
                return await once(request)
            except ModelError as error:
                lost.append(error)
                raise

        try:
            reply = await patiently(tried, patience, on_wait)
        except ModelError as error:
            error.usage, error.cost_usd = summed(Usage(), Decimal(0), lost)
            raise
        usage, cost = summed(reply.usage, reply.cost_usd, lost)
        return replace(reply, usage=usage, cost_usd=cost)

    return ask


def summed(usage: Usage, cost: Decimal, lost: list[ModelError]) -> tuple[Usage, Decimal]:
    """Return tokens and cost with those of the tries that came to nothing."""
    for error in lost:
        cost += error.cost_usd
        usage = Usage(
            input_tokens=usage.input_tokens + error.usage.input_tokens,
            output_tokens=usage.output_tokens + error.usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens + error.usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens + error.usage.cache_write_tokens,
        )
    return usage, cost


@dataclass(frozen=True)
class Offered:
    """A model that the key may use. `lifecycle`: active, deprecated or retired."""

    id: str
    display_name: str
    lifecycle: str = "active"
    retires_at: datetime | None = None


async def models_offered(settings: Settings, *, patience: Patience | None = None) -> list[Offered]:
    """Return the models of Anthropic that the key may use, as its list has them, newest first.

    Bedrock and Vertex have no such list: empty there. Raise `ModelError` where it cannot be read.
    """
    if settings.claude_provider != "anthropic":
        return []
    patience = patience or Patience(tries=2, silent_seconds=10.0)
    async with claude.opened(settings, patience) as client:
        listed = await patiently(lambda: claude.listed(client, settings), patience)
    return [offered(each) for each in listed]


def offered(info: Any) -> Offered:
    """Return one entry of the list in our form."""
    return Offered(info.id, info.display_name, info.lifecycle or "active", info.retires_at)


def retirement(model: str, offers: list[Offered] | None = None) -> date | None:
    """Return the day from which a model no longer answers; None where no end is known.

    The list of models says it best, where a name without its date means the model of any date;
    without it, what the SDK knew when it was made.
    """
    named = re.compile(re.escape(model) + r"(-\d{8})?")
    for each in offers or ():
        if each.retires_at and named.fullmatch(each.id):
            return each.retires_at.date()
    from anthropic.resources.messages import messages

    said = messages.DEPRECATED_MODELS.get(model)
    return day_of(said) if said else None


def day_of(said: str) -> date | None:
    """Read a day as the SDK writes it: November 30th, 2026."""
    month, day, year = said.replace(",", "").split()
    digits = "".join(letter for letter in day if letter.isdigit())
    return datetime.strptime(f"{month} {digits} {year}", "%B %d %Y").replace(tzinfo=UTC).date()
