"""What a call costs, from the dated prices of genai-prices.

<https://github.com/pydantic/genai-prices>
"""

import json
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from bot.agent.conversation import Request, Usage
from bot.agent.providers import provider_of
from models.errors import Refused

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

BYTES_A_TOKEN = 3
"""Fewer than text has on average in any script, so that an estimate is rather too high."""

CENT_PARTS = Decimal("0.000001")
UNKNOWN = (
    "There is no price for {model} in genai-prices {version}, so it cannot be budgeted and is not "
    "used. Name another model, or upgrade genai-prices."
)


def price(model: str, usage: Usage, provider: str | None = None) -> Decimal:
    """Return what tokens cost in USD, rounded up to six places.

    `provider` is genai-prices' (anthropic, openai, google, aws); by default that of the model's
    name. Raise `Refused` for a model without a price.
    """
    cost = calculated(model, usage, provider).total_price
    return cost.quantize(CENT_PARTS, rounding=ROUND_UP)


def most(model: str, request: Request) -> Decimal:
    """Return what one try of a call can cost at most in USD, to be reserved before it.

    The input is taken as written to the cache, the dearest there is, and estimated from its
    length; the output as all that is allowed.
    """
    tokens = estimated_tokens(request)
    plain = Usage(input_tokens=tokens, output_tokens=request.max_tokens)
    written = Usage(cache_write_tokens=tokens, output_tokens=request.max_tokens)
    return max(price(model, plain), price(model, written))


def known(model: str) -> bool:
    """Say whether a model has a price."""
    try:
        calculated(model, Usage(), None)
    except Refused:
        return False
    return True


@cache
def dated() -> str:
    """Say which prices these are: the package's version and the newest day of a price in force."""
    from genai_prices import __version__

    return f"genai-prices {__version__}, newest price of {newest_day()}"


def estimated_tokens(request: Request) -> int:
    """Return about how many tokens a request has, rather too many."""
    body = json.dumps([request.system, request.tools, request.messages], ensure_ascii=False)
    return len(body.encode()) // BYTES_A_TOKEN + 1


def calculated(model: str, usage: Usage, provider: str | None) -> "PriceCalculation":
    """Return genai-prices' own calculation; its `input_tokens` include those of the cache."""
    from genai_prices import Usage as Tokens
    from genai_prices import __version__, calc_price

    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    tokens = Tokens(
        input_tokens=usage.input_tokens + read + written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens,
    )
    try:
        return calc_price(tokens, model, provider_id=provider or seller(model))
    except LookupError:
        raise Refused(UNKNOWN.format(model=model, version=__version__)) from None


def seller(model: str) -> str:
    """Return whose prices hold: Bedrock's for Bedrock's names of Claude, else the maker's."""
    return "aws" if "anthropic." in model else provider_of(model)


def newest_day() -> str:
    """Return the newest day from which any of the prices holds already, as an ISO date."""
    from genai_prices.data_snapshot import get_snapshot

    days = (
        str(day)
        for provider in get_snapshot().providers
        for model in provider.models
        for priced in priced_since(model)
        if (day := getattr(priced.constraint, "start_date", None))
    )
    today = datetime.now(UTC).date().isoformat()
    return max(day for day in days if day <= today)


def priced_since(model: Any) -> list[Any]:
    """Return a model's prices that hold from some day on."""
    conditional = model.prices if isinstance(model.prices, list) else []
    return [*conditional, *(model.price_variants or [])]
