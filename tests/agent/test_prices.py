"""Prices are genai-prices' own, and what is reserved is never less than what is paid."""

from datetime import date
from decimal import Decimal
from importlib.metadata import version

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agent.conversation import Request, Usage
from bot.agent.prices import dated, known, most, price
from models.errors import Refused

SONNET = "claude-sonnet-5-5"
MODELS = [SONNET, "claude-opus-5-5", "claude-sonnet-4-5", "gpt-5.5", "gemini-3.5-flash"]
COUNTS = st.integers(0, 2_000_000)


def request(text: str, max_tokens: int = 1000, model: str = SONNET) -> Request:
    messages = [{"role": "user", "content": [{"type": "text", "text": text}]}]
    return Request(model, "You develop.", messages, (), max_tokens)


def test_each_kind_of_token_has_its_price():
    million = 1_000_000
    assert price(SONNET, Usage(input_tokens=million)) == Decimal(2)
    assert price(SONNET, Usage(output_tokens=million)) == Decimal(10)
    assert price(SONNET, Usage(cache_read_tokens=million)) == Decimal("0.1")
    assert price(SONNET, Usage(cache_write_tokens=million)) == Decimal("2.5")
    assert price(SONNET, Usage(million, million, million, million)) == Decimal("14.6")


def test_nothing_used_costs_nothing_and_little_is_not_rounded_away():
    assert price(SONNET, Usage()) == Decimal(0)
    assert price(SONNET, Usage(cache_read_tokens=1)) == Decimal("0.000001")


def test_bedrocks_names_have_bedrocks_prices():
    used = Usage(input_tokens=1_000_000)
    assert price("anthropic.claude-sonnet-5-5-v1:0", used) == Decimal("2.2")
    assert price("global.anthropic.claude-sonnet-5-5", used) == Decimal(2)


def test_a_model_without_a_price_is_refused():
    assert not known("claude-nonsense-9")
    assert not known("llama-4")
    with pytest.raises(Refused, match="no price for claude-nonsense-9"):
        price("claude-nonsense-9", Usage())


@pytest.mark.parametrize("model", MODELS)
def test_the_models_we_name_have_prices(model: str):
    assert known(model)
    assert price(model, Usage(1000, 1000)) > 0


def test_the_prices_have_a_date():
    words, day = dated().rsplit(" ", 1)
    assert words == f"genai-prices {version('genai-prices')}, newest price of"
    assert date(2026, 1, 1) < date.fromisoformat(day)


@given(st.sampled_from(MODELS), COUNTS, COUNTS, COUNTS, COUNTS)
def test_more_tokens_never_cost_less(model, fresh, output, read, written):
    less = price(model, Usage(fresh, output, read, written))
    more = price(model, Usage(fresh + 1000, output + 1000, read + 1000, written + 1000))
    assert 0 <= less <= more


@given(st.sampled_from(MODELS), st.text(max_size=3000), st.integers(1, 128_000), st.data())
def test_what_is_reserved_covers_every_answer_within_the_estimate(model, text, limit, data):
    """However the cache splits an input of one token for every three bytes, it is covered."""
    asked = request(text, limit, model)
    tokens = len(text.encode()) // 3
    read = data.draw(st.integers(0, tokens))
    written = data.draw(st.integers(0, tokens - read))
    used = Usage(tokens - read - written, limit, read, written)
    assert most(model, asked) >= price(model, used)


def test_a_longer_request_reserves_more():
    assert most(SONNET, request("x" * 9000)) > most(SONNET, request("x"))
    assert most(SONNET, request("x", 2000)) > most(SONNET, request("x", 1000))
