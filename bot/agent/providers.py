"""Who makes which model, by its name."""

import re
from typing import Literal

from models.errors import Refused

Provider = Literal["anthropic", "openai", "google"]

MAKERS: tuple[tuple[str, Provider], ...] = (
    (r"claude", "anthropic"),
    (r"^(gpt-|chatgpt-|codex-|o\d)", "openai"),
    (r"^(models/)?gemini-", "google"),
)


def provider_of(model: str) -> Provider:
    """Return who makes a model: anthropic, openai or google; raise `Refused` for other names."""
    for pattern, provider in MAKERS:
        if re.search(pattern, model):
            return provider
    raise Refused(
        f"{shown(model)} is no model Veelocity can ask: its name has to be one of Claude's "
        "(claude-…), OpenAI's (gpt-…) or Google's (gemini-…)."
    )


def shown(model: str) -> str:
    """Return a name that somebody typed so that it can be said to people."""
    return re.sub(r"[^\w.:/@-]", "?", model)[:80] or "An empty name"
