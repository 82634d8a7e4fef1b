"""The models: their keys, whether they answer, until when, and what they cost."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bot.checkups.finding import Finding, Patient, listed, missing, ok, warning
from bot.settings import Settings, secret
from models.errors import Refused

if TYPE_CHECKING:
    from bot.agent.model import Offered

SOON = timedelta(days=90)
ANOTHER = "Set CLAUDE_MODEL, CLAUDE_FALLBACK_MODEL or AGENT_MODELS to others."
NO_KEY = "ANTHROPIC_API_KEY is not set"
GET_KEY = "Make one at console.anthropic.com and set ANTHROPIC_API_KEY (or ANTHROPIC_API_KEY_FILE)."
OTHERS = {"openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY"}
EXTRA = "Install the extra for other models: pip install 'veelocity[models]'."


async def claude(patient: Patient) -> AsyncIterator[Finding]:
    """Claude: its key, asked for the list of models, which costs nothing, and their ends."""
    settings = patient.settings
    if settings.claude_provider == "anthropic" and not secret(settings.anthropic_api_key):
        yield missing("model key", NO_KEY, GET_KEY)
        for finding in endings(settings, None):
            yield finding
        return
    from bot.agent.model import ModelError, models_offered

    offers: list[Offered] | None = None
    try:
        offers = await models_offered(settings)
    except ModelError as error:
        passing = error.kind in ("unreachable", "overloaded")
        say = warning if passing else missing
        yield say("model key", str(error), "Try again later." if passing else GET_KEY)
    except Refused as refusal:
        yield missing("model key", str(refusal), "Then run this again.")
    else:
        yield ok("model key", f"it works by {settings.claude_provider}; {len(offers)} models")
        for finding in not_offered(settings, [each.id for each in offers]):
            yield finding
    for finding in endings(settings, offers):
        yield finding


def not_offered(settings: Settings, ids: list[str]) -> list[Finding]:
    """Say which of our models the key may not use; a name without its date means the newest."""
    if not ids:
        return []
    ours = [model for model in settings.allowed_models if maker(model) == "anthropic"]
    return [
        missing(f"model {model}", "the key may not use it, or there is none", ANOTHER)
        for model in ours
        if not any(each == model or each.startswith(f"{model}-2") for each in ids)
    ]


def endings(settings: Settings, offers: "list[Offered] | None") -> list[Finding]:
    """Say when our models stop to answer."""
    from bot.agent.model import retirement

    ours = [model for model in settings.allowed_models if maker(model) == "anthropic"]
    return [ending(model, retirement(model, offers)) for model in ours]


def ending(model: str, day: date | None) -> Finding:
    """Say when a model stops to answer, and whether that is soon."""
    check, today = f"model {model}", datetime.now(UTC).date()
    if day is None:
        return ok(check, "no end is known")
    if day <= today:
        return missing(check, f"it ended on {day}", ANOTHER)
    if day - today < SOON:
        return warning(check, f"it ends on {day}", ANOTHER)
    return ok(check, f"it ends on {day}")


async def others(patient: Patient) -> AsyncIterator[Finding]:
    """The keys of other makers, where the allow-list names models of theirs."""
    settings = patient.settings
    makers = {maker(model) for model in settings.allowed_models} & set(OTHERS)
    for name in sorted(makers):
        key = OTHERS[name]
        if not secret(getattr(settings, key.lower())):
            yield missing(f"key of {name}", f"{key} is not set", f"Set {key}.")
        else:
            yield ok(f"key of {name}", "it is set (not tried: that may cost)")
    if makers and find_spec("pydantic_ai") is None:
        yield missing("other models", "what speaks to them is not installed", EXTRA)


def maker(model: str) -> str:
    """Return who makes a model; empty for a name that nobody's models have."""
    from bot.agent.providers import provider_of

    try:
        return provider_of(model)
    except Refused:
        return ""


async def prices(patient: Patient) -> AsyncIterator[Finding]:
    """What each model costs: without a price nothing can be budgeted."""
    from bot.agent.prices import dated, known

    unknown = [model for model in patient.settings.allowed_models if not known(model)]
    if unknown:
        mend = f"{ANOTHER} Or upgrade genai-prices."
        yield missing("prices", f"none is known of {listed(unknown)}", mend)
    else:
        yield ok("prices", dated())
